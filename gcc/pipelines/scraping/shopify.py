"""The flows of Shopify."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import pydantic
from pydantic import AfterValidator, Field

from gcc.pipelines.events.types import ORDER_LOG
from gcc.pipelines.scraping.flow import Flow, Made, Params, flow_of
from gcc.pipelines.scraping.yields import ORDER, of_orders
from gcc.sources.chain import Visit
from gcc.sources.shopify.client import ShopifyApi, store_name
from gcc.sources.shopify.orders_parse import PLATFORM
from gcc.sources.snapshot import Found, Order
from gcc.sources.verdicts import InvalidHandle

PAGES_MAX = 400


def _store(text: str) -> str:
    try:
        return store_name(text)
    except InvalidHandle as error:
        raise ValueError(str(error)) from None


def _utc(at: dt.datetime) -> dt.datetime:
    try:
        return at.astimezone(dt.UTC)
    except OverflowError:
        raise ValueError("is beyond the years 1 to 9999 in UTC") from None


class StoreParams(Params):
    """`store` is a shop's NAME or NAME.myshopify.com; of orders that were placed `since` then, oldest first. `after`:
    where a job before stopped, which enqueued this one."""

    store: Annotated[str, AfterValidator(_store)]
    since: Annotated[pydantic.AwareDatetime, AfterValidator(_utc)] | None = None
    pages_max: Annotated[int, Field(ge=1, le=10_000)] = PAGES_MAX
    after: Annotated[str, Field(max_length=2000)] | None = None


async def _orders(api: ShopifyApi, params: StoreParams, visit: Visit) -> Found[list[Order]]:
    """As many as are read at once; what `pages_max` leaves is for another job."""
    pages = min(params.pages_max, api.pages_at_once)
    found = await api.orders(params.store, params.since, pages, visit, start=params.after)
    left = params.pages_max - pages
    if found.after is None or not left:
        return found
    told = f"{found.partial}: a job of its own goes on with them"
    return replace(found, partial=told, rest={"after": found.after, "pages_max": left})


FLOWS: Sequence[Flow] = (
    flow_of(
        PLATFORM,
        "refresh_orders_by_store",
        StoreParams,
        {"shopify": _orders},
        Made(of_orders, (ORDER_LOG,), (ORDER,)),
        "owner",
    ),
)
