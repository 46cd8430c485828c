"""Orders of both of Shopify's APIs as `Order`: REST's names, whichever API answered. Pure.

Money is the shop's own (`shop_money`), not what the customer saw. What an app may not see is null there and None here:
no customer, no source of the visit. A line item has the properties that its customer chose: a list of names and values,
which apps also write as an object, or not as they should; those are noted.
"""

import datetime as dt
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from gcc.sources.fields import Fields
from gcc.sources.snapshot import Order

SOURCE = "shopify"
PLATFORM = "SHOPIFY"
"""Of shops, not of profiles."""
UTM = ("source", "medium", "campaign", "content", "term")
_MONEY = {  # of REST -> of GraphQL
    "total_price": "totalPriceSet",
    "current_total_price": "currentTotalPriceSet",
    "subtotal_price": "subtotalPriceSet",
    "total_discounts": "totalDiscountsSet",
    "total_tax": "totalTaxSet",
    "total_shipping": "totalShippingPriceSet",
    "total_refunded": "totalRefundedSet",
}
_TEXTS = ("name", "tags", "source_name", "landing_site", "referring_site", "cancel_reason")
_STATUSES = ("financial_status", "fulfillment_status")
_LINE_NUMBERS = ("id", "product_id", "variant_id")


def rest_order(item: Fields, store: str, at: dt.datetime) -> Order:
    """An order of the REST API. OddAnswer: it has no id."""
    lines = item.each("line_items", rest_line)
    landing = item.text("landing_site")
    dimensions = {
        **{name: item.text(name) for name in (*_TEXTS, *_STATUSES)},
        "currency": item.text("currency"),
        "test": item.flag("test"),
        "customer_id": item.object("customer").number_or_text("id"),
        "discount_codes": [code for each in item.objects("discount_codes") if (code := each.text("code"))],
        "utm": _utm_of(landing),
    }
    money = {name: _rest_money(item, name) for name in _MONEY}
    money["total_shipping"] = _shop_money(item.object("total_shipping_price_set"))
    money["total_refunded"] = _refunded(item) if "refunds" in item else None
    others = (name for name in item.names() if name not in money and name.startswith(("total_", "current_total_")))
    money |= {name: item.amount(name) for name in others if item.kind(name) in ("a text", "a number")}
    cancelled, placed = item.time("cancelled_at"), item.time("processed_at") or item.time("created_at")
    return _order(_identity(item, "id"), store, at, placed, cancelled, money, lines, dimensions)


def _refunded(item: Fields) -> float:
    """What was paid back, in the currency of the shop."""
    paid = (each for refund in item.objects("refunds") for each in refund.objects("transactions"))
    return round(sum(each.amount("amount") or 0 for each in paid if _is_refund(each)), 2)


def _is_refund(transaction: Fields) -> bool:
    return transaction.text("kind") == "refund" and transaction.text("status") in ("success", None)


def _rest_money(item: Fields, name: str) -> float | None:
    amount = _shop_money(item.object(f"{name}_set"))
    return item.amount(name) if amount is None else amount


def _shop_money(money: Fields) -> float | None:
    """Of a set of money, whichever API wrote it."""
    return money.object("shop_money" if "shop_money" in money else "shopMoney").amount("amount")


def rest_line(item: Fields) -> dict[str, Any]:
    return {
        **{name: item.number_or_text(name) for name in _LINE_NUMBERS},
        **{name: item.text(name) for name in ("title", "sku")},
        "quantity": item.count("quantity"),
        "price": _rest_money(item, "price"),
        "properties": properties(item),
    }


def properties(line: Fields) -> list[list[Any]]:
    """[name, value] of each property of a line item."""
    match line.kind("properties"):
        case "an object":
            one = line.object("properties")
            given = [one] if "name" in one else []
        case _:
            given = line.objects("properties")
    return [[name, each.number_or_text("value", chars_max=10_000)] for each in given if (name := each.text("name"))]


def graphql_order(item: Fields, lines: list[dict[str, Any]], store: str, at: dt.datetime) -> Order:
    """An order of the GraphQL API, with all of its line items. OddAnswer: it has no id."""
    journey = item.object("customerJourneySummary")
    visit = journey.object("lastVisit" if "lastVisit" in journey else "firstVisit")
    landing = visit.text("landingPage")
    told = {name: visit.object("utmParameters").text(name) for name in UTM}
    dimensions = {
        "name": item.text("name"),
        "tags": ", ".join(item.texts("tags")),
        "source_name": item.text("sourceName"),
        "landing_site": landing,
        "referring_site": visit.text("referrerUrl"),
        "cancel_reason": _lower(item.text("cancelReason")),
        "financial_status": _lower(item.text("displayFinancialStatus")),
        "fulfillment_status": _lower(item.text("displayFulfillmentStatus")),
        "currency": item.object("totalPriceSet").object("shopMoney").text("currencyCode") or item.text("currencyCode"),
        "test": item.flag("test"),
        "customer_id": item.object("customer").number_or_text("legacyResourceId"),
        "discount_codes": item.texts("discountCodes"),
        "utm": {name: value for name, value in told.items() if value} or _utm_of(landing),
    }
    money = {name: _shop_money(item.object(its_name)) for name, its_name in _MONEY.items()}
    cancelled, placed = item.time("cancelledAt"), item.time("processedAt") or item.time("createdAt")
    return _order(_identity(item, "legacyResourceId"), store, at, placed, cancelled, money, lines, dimensions)


def graphql_line(item: Fields) -> dict[str, Any]:
    gid = item.text("id") or ""
    return {
        "id": gid.rpartition("/")[2] or None,
        "product_id": item.object("product").number_or_text("legacyResourceId"),
        "variant_id": item.object("variant").number_or_text("legacyResourceId"),
        "title": item.text("title"),
        "sku": item.text("sku"),
        "quantity": item.count("quantity"),
        "price": _shop_money(item.object("originalUnitPriceSet")),
        "properties": [
            [name, each.text("value")] for each in item.objects("customAttributes") if (name := each.text("key"))
        ],
    }


def _identity(item: Fields, key: str) -> str:
    found = item.number_or_text(key)
    if found is None:
        raise item.refusal(key, "an id")
    return found


def _order(
    order_id: str,
    store: str,
    at: dt.datetime,
    placed_at: dt.datetime | None,
    cancelled_at: dt.datetime | None,
    money: dict[str, float | None],
    lines: list[dict[str, Any]],
    dimensions: dict[str, Any],
) -> Order:
    status = "cancelled" if cancelled_at else dimensions["financial_status"]
    told = {**dimensions, "status": status, "cancelled_at": cancelled_at and cancelled_at.isoformat()}
    known = {name: value for name, value in told.items() if value not in (None, "", [], {})}
    metrics = {**money, "items": sum(line["quantity"] or 0 for line in lines), "line_items": len(lines)}
    return Order(PLATFORM, SOURCE, at, order_id, store, placed_at, metrics, {**known, "line_items": lines})


def _utm_of(landing: str | None) -> dict[str, str]:
    """What the address of the first page tells of where the customer came from."""
    try:
        query = parse_qsl(urlsplit(landing or "").query)
    except ValueError:
        return {}
    return {name[4:]: value for name, value in query if name.startswith("utm_") and name[4:] in UTM}


def _lower(text: str | None) -> str | None:
    return text.lower() if text else None
