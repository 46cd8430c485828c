"""Stands in for the Admin API of Shopify's shops: their orders, by GraphQL and by REST.

In: the path below `/shopify` (`/{store}/admin/api/{version}/graphql.json` or `orders.json`), the token's header, the
query or the body. Out: an `Answer` in the real API's shapes, with its limits: points of GraphQL in `extensions`, REST's
calls in a header. GraphQL is not parsed: every field that is known is answered, and the operation is told by its name.
Orders and their customers are invented, computed from the shop and the order's number.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any
from urllib.parse import quote

import msgspec

from gcc.world.answer import Answer, Query, answer, written
from gcc.world.api import Api, Headers
from gcc.world.chance import key_of, mix

SOURCE = "shopify"
DOMAIN = ".myshopify.com"
STORES = ("glow-and-co", "desi-threads", "spice-lane")
TOKENS = {f"world-shop-{store}": store for store in STORES}
LIMITED = STORES[-1]
"""Its token lacks read_all_orders, and may not see customers."""
SHOWN = dt.timedelta(days=60)
ORDERS = range(80, 200)  # as many has a shop
REST_BUCKET, REST_PER_S = 40, 2.0
POINTS, POINTS_PER_S, COST_MAX = 1000, 100.0, 1000
_GOODS = ("Face serum", "Cotton kurta", "Masala box", "Silver anklet", "Herbal tea", "Block-print scarf")
_CURRENCY = "INR"


class ShopifyApi(Api):
    """The shops of a world."""

    source = SOURCE
    tokens = tuple(TOKENS)

    def __init__(self, seed: int, handles: Sequence[str], now: Callable[[], dt.datetime]) -> None:
        """`handles`: of creators, whose links led to some of the orders."""
        self._seed = seed
        self._handles = handles
        self._now = now
        self._began = _midnight(now())
        self._used = {(token, size): _Leaking(size, per_s) for token in TOKENS for size, per_s in _BUCKETS}

    def token(self, query: Query, headers: Headers) -> str | None:
        return headers.get(b"x-shopify-access-token", b"").decode("latin-1") or None

    def answer(self, method: str, path: str, query: Query, headers: Headers, body: bytes) -> Answer:
        token = self.token(query, headers) or ""
        store, _, rest = path[1:].partition("/")
        if TOKENS.get(token) != store:
            return self.refuse_token(token) if store in STORES else _refusal(404, "Not Found")
        version_and_what = rest.removeprefix("admin/api/").split("/")
        match method, version_and_what:
            case "GET", [_, "orders.json"]:
                return self._rest(store, query, self._used[token, REST_BUCKET])
            case "POST", [_, "graphql.json"]:
                return self._graphql(store, body, self._used[token, POINTS])
        return _refusal(404, "Not Found")

    def refuse_token(self, token: str | None, *, expired: bool = False) -> Answer:
        return _refusal(401, "[API] Invalid API key or access token (unrecognized login or wrong password)")

    def refuse_rate(self, retry_after_s: int, *, of_user: bool) -> Answer:
        told = "Exceeded 2 calls per second for api client. Reduce request rates to resume uninterrupted service."
        return answer(429, {"errors": told}, retry_after_s)

    def fail(self, status: int) -> Answer:
        return _refusal(status, "Internal Server Error")

    def given_out(self) -> list[dict[str, Any]]:
        return [{"token": token, "account": f"{store}{DOMAIN}"} for token, store in TOKENS.items()]

    def truth(self, store: str) -> list[dict[str, Any]] | None:
        """What a crawl that sees all must find of a shop's orders, oldest first; None: there is no such shop."""
        name = store.removesuffix(DOMAIN)
        return [order.truth(name) for order in self._orders(name)] if name in STORES else None

    def _orders(self, store: str, since: dt.datetime | None = None) -> list["_Order"]:
        """Those that its token is shown, oldest first."""
        first = since or dt.datetime.min.replace(tzinfo=dt.UTC)
        if store == LIMITED:
            first = max(first, _midnight(self._now()) - SHOWN)
        bits = mix(self._seed, key_of(store))
        count = ORDERS[bits % len(ORDERS)]
        every = dt.timedelta(hours=10 + bits % 20)
        made = (
            _order(mix(bits, number), number, self._began - every * (count - number), self._handle(bits, number))
            for number in range(count)
        )
        return [order for order in made if order.at >= first]

    def _handle(self, bits: int, number: int) -> str | None:
        """Whose link led there, if anybody's did."""
        chance = mix(bits, number, 1)
        return self._handles[chance % len(self._handles)] if self._handles and chance % 3 else None

    def _rest(self, store: str, query: Query, bucket: "_Leaking") -> Answer:
        if (wait_s := bucket.take(1, self._now())) > 0:
            return self.refuse_rate(int(wait_s) + 1, of_user=False)
        known = {"limit", "page_info", "fields"}
        if "page_info" in query and set(query) - known:
            return _refusal(400, dict.fromkeys(sorted(set(query) - known), "cannot be passed"))
        since, start = _cursor(query.get("page_info"), query.get("created_at_min"))
        size = min(int(query["limit"]) if query.get("limit", "").isdecimal() else 50, 250)
        orders = self._orders(store, since)
        body = {"orders": [order.rest(store) for order in orders[start : start + size]]}
        headers = [("x-shopify-shop-api-call-limit", f"{bucket.used:.0f}/{REST_BUCKET}")]
        if start + size < len(orders):
            cursor = quote(f"{since.isoformat() if since else ''}|{start + size}", safe="")
            address = f"https://{store}{DOMAIN}/admin/api/orders.json?limit={size}&page_info={cursor}"
            headers.append(("link", f'<{address}>; rel="next"'))
        return answer(200, body, headers=tuple(headers))

    def _graphql(self, store: str, body: bytes, bucket: "_Leaking") -> Answer:
        try:
            asked = msgspec.json.decode(body, type=_Asked)
        except msgspec.DecodeError:
            return _refusal(400, {"query": "Required parameter missing or invalid"})
        cost = asked.variables.first * 2 + asked.variables.lines
        if cost > COST_MAX:
            told_so = f"Query cost is {cost}, which exceeds the single query max cost limit {COST_MAX}"
            return answer(200, {"errors": [{"message": told_so, "extensions": {"code": "MAX_COST_EXCEEDED"}}]})
        wait_s = bucket.take(cost, self._now())
        told = {
            "requestedQueryCost": cost,
            "actualQueryCost": None if wait_s > 0 else cost,
            "throttleStatus": {
                "maximumAvailable": float(POINTS),
                "currentlyAvailable": int(POINTS - bucket.used),
                "restoreRate": POINTS_PER_S,
            },
        }
        if wait_s > 0:
            throttled = {"message": "Throttled", "extensions": {"code": "THROTTLED"}}
            return answer(200, {"errors": [throttled], "extensions": {"cost": told}})
        data = self._lines(store, asked.variables) if "query LineItems" in asked.query else self._page(store, asked)
        return answer(200, {"data": data, "extensions": {"cost": told}})

    def _page(self, store: str, asked: "_Asked") -> dict[str, Any]:
        variables, scopes = asked.variables, ["read_orders", *([] if store == LIMITED else ["read_all_orders"])]
        _, _, since = (variables.query or "").partition("created_at:>='")
        orders = self._orders(store, _moment(since.rstrip("'")))
        start = _place(variables.after)
        end = start + variables.first
        nodes = [order.graphql(variables.lines, hidden=store == LIMITED) for order in orders[start:end]]
        return {
            "currentAppInstallation": {"accessScopes": [{"handle": scope} for scope in scopes]},
            "orders": {"pageInfo": _page_info(end, len(orders)), "nodes": nodes},
        }

    def _lines(self, store: str, variables: "_Variables") -> dict[str, Any]:
        found = next((order for order in self._orders(store) if order.gid == variables.id), None)
        return {"order": found and {"lineItems": found.lines_from(_place(variables.after), variables.lines)}}


_BUCKETS = ((REST_BUCKET, REST_PER_S), (POINTS, POINTS_PER_S))


class _Leaking:
    """A bucket that a token fills, and that loses `per_s`."""

    def __init__(self, size: int, per_s: float) -> None:
        self._size, self._per_s = size, per_s
        self.used = 0.0
        self._at: dt.datetime | None = None

    def take(self, units: float, now: dt.datetime) -> float:
        """0: they are in; else the seconds until they would be."""
        if self._at is not None:
            self.used = max(0.0, self.used - (now - self._at).total_seconds() * self._per_s)
        self._at = now
        over = self.used + units - self._size
        if over > 0:
            return over / self._per_s
        self.used += units
        return 0.0


class _Variables(msgspec.Struct):
    first: Annotated[int, msgspec.Meta(ge=1, le=250)] = 1
    lines: Annotated[int, msgspec.Meta(ge=1, le=250)] = 10
    after: str | None = None
    query: str | None = None
    id: str = ""


class _Asked(msgspec.Struct):
    query: str
    variables: _Variables = msgspec.field(default_factory=_Variables)


@dataclass(frozen=True, slots=True)
class _Line:
    id: int
    title: str
    quantity: int
    paise: int
    sku: str

    def rest(self) -> dict[str, Any]:
        return {
            "id": self.id, "product_id": self.id % 10_000, "variant_id": self.id % 100_000, "title": self.title,
            "sku": self.sku, "quantity": self.quantity, "price": _amount(self.paise), "properties": [],
        }  # fmt: skip

    def graphql(self) -> dict[str, Any]:
        return {
            "id": f"gid://shopify/LineItem/{self.id}", "title": self.title, "sku": self.sku, "quantity": self.quantity,
            "product": {"legacyResourceId": str(self.id % 10_000)}, "customAttributes": [],
            "variant": {"legacyResourceId": str(self.id % 100_000)}, "originalUnitPriceSet": _money(self.paise),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Order:
    id: int
    number: int
    at: dt.datetime
    lines: tuple[_Line, ...]
    discount: int
    tax: int
    shipping: int
    status: str
    cancelled: bool
    customer_id: int
    landing: str | None

    @property
    def gid(self) -> str:
        return f"gid://shopify/Order/{self.id}"

    @property
    def subtotal(self) -> int:
        return sum(line.paise * line.quantity for line in self.lines) - self.discount

    @property
    def total(self) -> int:
        return self.subtotal + self.tax + self.shipping

    @property
    def refunded(self) -> int:
        return self.total if self.status == "refunded" else 0

    @property
    def cancelled_at(self) -> str | None:
        return written(self.at + dt.timedelta(hours=5)) if self.cancelled else None

    def truth(self, store: str) -> dict[str, Any]:
        return {
            "order_id": str(self.id), "store": f"{store}{DOMAIN}", "placed_at": self.at.isoformat(),
            "total_price": self.total / 100, "items": sum(line.quantity for line in self.lines),
            "line_items": len(self.lines), "status": "cancelled" if self.cancelled else self.status,
            "currency": _CURRENCY,
        }  # fmt: skip

    def rest(self, store: str) -> dict[str, Any]:
        customer = None if store == LIMITED else {"id": self.customer_id, "first_name": "Asha", "state": "enabled"}
        return {
            "id": self.id, "admin_graphql_api_id": self.gid, "name": f"#{self.number}", "created_at": written(self.at),
            "processed_at": written(self.at), "cancelled_at": self.cancelled_at, "cancel_reason": None, "test": False,
            "currency": _CURRENCY, "financial_status": self.status, "fulfillment_status": None, "source_name": "web",
            "total_price": _amount(self.total), "current_total_price": _amount(self.total - self.refunded),
            "subtotal_price": _amount(self.subtotal), "total_discounts": _amount(self.discount),
            "total_tax": _amount(self.tax), "tags": "", "customer": customer, "discount_codes": [],
            "landing_site": self.landing, "referring_site": None,
            "total_shipping_price_set": {"shop_money": {"amount": _amount(self.shipping), "currency_code": _CURRENCY}},
            "line_items": [line.rest() for line in self.lines],
        }  # fmt: skip

    def graphql(self, lines: int, *, hidden: bool) -> dict[str, Any]:
        visit = {"landingPage": self.landing, "referrerUrl": None, "utmParameters": None}
        journey = {"firstVisit": visit, "lastVisit": visit} if self.landing else None
        return {
            "id": self.gid, "legacyResourceId": str(self.id), "name": f"#{self.number}", "createdAt": written(self.at),
            "processedAt": written(self.at), "cancelledAt": self.cancelled_at, "cancelReason": None, "test": False,
            "tags": [], "sourceName": "web", "currencyCode": _CURRENCY, "displayFinancialStatus": self.status.upper(),
            "displayFulfillmentStatus": "UNFULFILLED", "discountCodes": [], "totalPriceSet": _money(self.total),
            "currentTotalPriceSet": _money(self.total - self.refunded), "subtotalPriceSet": _money(self.subtotal),
            "totalDiscountsSet": _money(self.discount), "totalTaxSet": _money(self.tax),
            "totalShippingPriceSet": _money(self.shipping), "totalRefundedSet": _money(self.refunded),
            "customer": None if hidden else {"legacyResourceId": str(self.customer_id)},
            "customerJourneySummary": journey, "lineItems": self.lines_from(0, lines),
        }  # fmt: skip

    def lines_from(self, start: int, size: int) -> dict[str, Any]:
        end = start + size
        nodes = [line.graphql() for line in self.lines[start:end]]
        return {"pageInfo": _page_info(end, len(self.lines)), "nodes": nodes}


@lru_cache(maxsize=1000)
def _order(bits: int, number: int, at: dt.datetime, handle: str | None) -> _Order:
    lines = tuple(_lines(bits, number))
    goods = sum(line.paise * line.quantity for line in lines)
    discount = goods // 10 if number % 5 == 0 else 0
    landing = f"/?utm_source=instagram&utm_medium=creator&utm_campaign={handle}" if handle else None
    status = "refunded" if number % 11 == 3 else "pending" if number % 13 == 5 else "paid"
    return _Order(
        5_000_000_000_000 + bits % 10**9 * 1000 + number, 1001 + number, at, lines, discount,
        (goods - discount) * 18 // 100, 5_000, status, number % 17 == 9, 7_000_000_000 + bits % 500, landing,
    )  # fmt: skip


def _lines(bits: int, number: int) -> Iterator[_Line]:
    for place in range(45 if number % 40 == 7 else 1 + bits % 4):  # some orders have more lines than a page
        chance = mix(bits, place)
        good = chance % len(_GOODS)
        yield _Line(
            9_000_000_000_000 + (bits % 10**9) * 100 + place, _GOODS[good], 1 + chance % 3, 19_900 + chance % 80 * 1000,
            f"SKU-{good}",
        )  # fmt: skip


def _refusal(status: int, errors: Any) -> Answer:
    return answer(status, {"errors": errors})


def _page_info(end: int, count: int) -> dict[str, Any]:
    return {"hasNextPage": end < count, "endCursor": f"place-{min(end, count)}" if count else None}


def _place(after: str | None) -> int:
    number = (after or "").removeprefix("place-")
    return int(number) if number.isdecimal() and len(number) < 10 else 0


def _cursor(page_info: str | None, created_at_min: str | None) -> tuple[dt.datetime | None, int]:
    """Since when, and which order of these is the next."""
    if page_info is None:
        return _moment(created_at_min), 0
    since, _, place = page_info.partition("|")
    return _moment(since), int(place) if place.isdecimal() and len(place) < 10 else 0


def _moment(text: str | None) -> dt.datetime | None:
    try:
        at = dt.datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=dt.UTC)


def _midnight(at: dt.datetime) -> dt.datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def _amount(paise: int) -> str:
    return f"{paise / 100:.2f}"


def _money(paise: int) -> dict[str, Any]:
    return {"shopMoney": {"amount": _amount(paise), "currencyCode": _CURRENCY}}
