"""The Admin API of a Shopify shop as this platform asks it: its orders, by GraphQL or, where the version says so, by
REST.

The version (`sources.shopify.version`) is GraphQL's, such as 2026-10; `rest-2026-10` asks REST, which Shopify calls
legacy. A shop is asked at its own host, `{store}` in the address, and only with its own token. A credential's secret is
{"token": ...}; without the scope read_all_orders it is shown the orders of 60 days alone. Bulk operations are not used:
pages bring the same, and their cost is within the limits. Failures: see `Outside.ask`.
"""

import datetime as dt
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from gcc.sources.chain import Outside, Question, SourceApi, Visit
from gcc.sources.credentials import Credential
from gcc.sources.fields import Fields, parsed
from gcc.sources.http import Request
from gcc.sources.paging import Page, pages
from gcc.sources.shopify import errors
from gcc.sources.shopify.errors import TooCostly
from gcc.sources.shopify.orders_parse import SOURCE, graphql_line, graphql_order, rest_order
from gcc.sources.shopify.usage import REST, usage
from gcc.sources.snapshot import Found, Order
from gcc.sources.verdicts import InvalidHandle

DOMAIN = ".myshopify.com"
REST_VERSION = "rest-"
REST_PAGE = 250
PAGE, LINES = 50, 10
ORDERS_MAX = 5000
"""So many are read at once, and are stored in one transaction: a few tens of megabytes."""
POINTS_UNTOLD, POINTS_MAX = 100, 500
"""What a query is taken to cost until an answer tells, and the most that one may."""
LINE_PAGES_MAX = 50
ALL_ORDERS = "read_all_orders"
SHOWN = dt.timedelta(days=60)
_STORE = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")

_MONEY = "{ shopMoney { amount currencyCode } }"
_LINE = f"""
pageInfo {{ hasNextPage endCursor }}
nodes {{
  id title sku quantity product {{ legacyResourceId }} variant {{ legacyResourceId }}
  originalUnitPriceSet {_MONEY} customAttributes {{ key value }}
}}"""
_VISIT = "{ landingPage referrerUrl utmParameters { source medium campaign content term } }"
ORDERS = f"""
query Orders($first: Int!, $lines: Int!, $after: String, $query: String) {{
  currentAppInstallation {{ accessScopes {{ handle }} }}
  orders(first: $first, after: $after, query: $query, sortKey: CREATED_AT) {{
    pageInfo {{ hasNextPage endCursor }}
    nodes {{
      id legacyResourceId name createdAt processedAt cancelledAt cancelReason test tags sourceName currencyCode
      displayFinancialStatus displayFulfillmentStatus discountCodes
      totalPriceSet {_MONEY} currentTotalPriceSet {_MONEY} subtotalPriceSet {_MONEY} totalDiscountsSet {_MONEY}
      totalTaxSet {_MONEY} totalShippingPriceSet {_MONEY} totalRefundedSet {_MONEY}
      customer {{ legacyResourceId }}
      customerJourneySummary {{ firstVisit {_VISIT} lastVisit {_VISIT} }}
      lineItems(first: $lines) {{ {_LINE} }}
    }}
  }}
}}"""
LINE_ITEMS = f"""
query LineItems($id: ID!, $lines: Int!, $after: String) {{
  order(id: $id) {{ lineItems(first: $lines, after: $after) {{ {_LINE} }} }}
}}"""


class ShopifyApi:
    """`base_url` is the API's root with its version, such as https://{store}.myshopify.com/admin/api/2026-10."""

    api = SourceApi(SOURCE, errors.judge, usage)

    def __init__(self, outside: Outside, base_url: str) -> None:
        self._outside = outside
        root, _, version = base_url.rstrip("/").rpartition("/")
        self._rest = version.startswith(REST_VERSION)
        self._root = f"{root}/{version.removeprefix(REST_VERSION)}"
        self._page_size = PAGE
        self.pages_at_once = ORDERS_MAX // (REST_PAGE if self._rest else PAGE)
        self._points = {ORDERS: POINTS_UNTOLD, LINE_ITEMS: POINTS_UNTOLD}

    async def orders(
        self, store: str, since: dt.datetime | None, pages_max: int, visit: Visit, *, start: str | None = None
    ) -> Found[list[Order]]:
        """The shop's orders, those placed `since` then or all that its token is shown, oldest first; from the page at
        `start` on, see `Found.after`.

        Raises InvalidHandle without asking, NotFound (STORE_NOT_FOUND).
        """
        name = store_name(store)
        scopes: list[str] = []
        ask = partial(self._rest_page if self._rest else self._page, name, since, scopes, visit)
        found = await pages(ask, pages_max=pages_max, key=lambda order: order.order_id, start=start)
        hidden = self._not_shown(since, scopes)
        reasons = "; ".join(reason for reason in (found.partial, hidden) if reason)
        return replace(found, partial=reasons or None)

    def _not_shown(self, since: dt.datetime | None, scopes: Sequence[str]) -> str | None:
        if ALL_ORDERS in scopes or (since is not None and since > self._outside.clock.now() - SHOWN):
            return None
        told = "its token lacks the scope" if scopes else "nobody tells whether its token has the scope"
        return f"older than {SHOWN.days} days there may be more: {told} {ALL_ORDERS}"

    async def _page(
        self, name: str, since: dt.datetime | None, scopes: list[str], visit: Visit, after: str | None
    ) -> Page[Order]:
        wanted = "status:any" if since is None else f"status:any created_at:>='{_utc(since)}'"
        text = f"orders {wanted} after {after or 'the start'}"
        while True:
            variables = {"first": self._page_size, "lines": LINES, "after": after, "query": wanted}
            try:
                data = await self._query(name, ORDERS, variables, text, visit)
                break
            except TooCostly:
                if self._page_size == 1:
                    raise
                self._page_size //= 2
        installed = data.object("currentAppInstallation").objects("accessScopes")
        scopes[:] = [handle for each in installed if (handle := each.text("handle"))] or scopes
        listed = data.object("orders", needed=True)
        found: list[Order] = []
        for item in listed.objects("nodes", needed=True):
            lines = await self._lines(name, item, visit)
            parse = partial(graphql_order, lines=lines, store=f"{name}{DOMAIN}", at=self._outside.clock.now())
            found += parsed([item], parse)
        return Page(found, _next(listed), data.notes, _why_cut(listed))

    async def _lines(self, name: str, order: Fields, visit: Visit) -> list[dict[str, Any]]:
        """All line items of an order: those that came with it, and their further pages."""
        listed = order.object("lineItems")
        lines, after, gid = listed.each("nodes", graphql_line), _next(listed), order.text("id")
        for _ in range(LINE_PAGES_MAX):
            if after is None or gid is None:
                break
            variables = {"id": gid, "lines": REST_PAGE, "after": after}
            data = await self._query(name, LINE_ITEMS, variables, f"line items of {gid} after {after}", visit)
            listed = data.noting(order.notes).object("order").object("lineItems")
            more, before = listed.each("nodes", graphql_line), after
            lines, after = lines + more, _next(listed)
            if after == before or not more:
                break
        return lines

    async def _query(self, name: str, query: str, variables: Mapping[str, Any], text: str, visit: Visit) -> Fields:
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"content-type": "application/json"}
        build = partial(self._request, "POST", self._url(name, "graphql.json"), {}, headers, body)
        question = Question(f"{name}: {text}", build, units=self._points[query], owner=f"{name}{DOMAIN}")
        decoded = await self._outside.ask(self.api, question, visit)
        self._points[query] = min(errors.cost(decoded) or self._points[query], POINTS_MAX)
        return Fields(decoded, SOURCE).object("data", needed=True)

    async def _rest_page(
        self, name: str, since: dt.datetime | None, scopes: list[str], visit: Visit, after: str | None
    ) -> Page[Order]:
        params = {"limit": str(REST_PAGE)}
        if after is not None:
            params["page_info"] = after  # with it nothing else may be asked for
        else:
            params |= {"status": "any", "order": "created_at asc"} | ({"created_at_min": _utc(since)} if since else {})
        build = partial(self._request, "GET", self._url(name, "orders.json"), params, {}, b"")

        def asking(credential: Credential) -> Request:
            scopes[:] = credential.scopes
            return build(credential)

        text = f"{name}: orders {params}"
        question = Question(text, asking, bucket=REST, owner=f"{name}{DOMAIN}", judge=errors.judge_rest)
        answer = Fields(await self._outside.ask(self.api, question, visit), SOURCE)
        now, store = self._outside.clock.now(), f"{name}{DOMAIN}"
        found = answer.each("orders", lambda item: rest_order(item, store, now), needed=True)
        return Page(found, answer.text("next"), answer.notes)

    def _url(self, name: str, path: str) -> str:
        return f"{self._root.replace('{store}', name)}/{path}"

    def _request(
        self,
        method: str,
        url: str,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
        credential: Credential,
    ) -> Request:
        sent = {**headers, "x-shopify-access-token": str(credential.secret["token"])}
        return Request(SOURCE, method, url, params, sent, self._outside.timeout_s(SOURCE), body)


def store_name(store: str) -> str:
    """The shop's own name, of NAME or NAME.myshopify.com. InvalidHandle: there can be no such shop, and no other host
    is asked."""
    name = store.strip().lower().removesuffix(DOMAIN)
    if not _STORE.fullmatch(name):
        raise InvalidHandle(f"{store[:60]!r} is no shop: write NAME or NAME{DOMAIN}")
    return name


def _next(listed: Fields) -> str | None:
    info = listed.object("pageInfo")
    return info.text("endCursor") if info.flag("hasNextPage") else None


def _why_cut(listed: Fields) -> str | None:
    """Why there may be more though no cursor leads to it."""
    info = listed.object("pageInfo")
    more = info.flag("hasNextPage")
    if more is None:
        return "it does not tell whether there are more"
    return "it says that there are more, and names no way there" if more and "endCursor" not in info else None


def _utc(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
