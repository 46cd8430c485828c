"""Shopify's orders: both APIs against the world's shops, the error table, recorded orders, and mutations of all."""

import datetime as dt
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from gcc.actors.scraper import Retries
from gcc.channels.jobs import Crawl, Job, JobStatus, NewJob
from gcc.clock import VirtualClock
from gcc.errors import GccError
from gcc.metrics import Metrics
from gcc.pipelines.scraping.flow import Flow
from gcc.pipelines.scraping.shopify import FLOWS, StoreParams
from gcc.pipelines.scraping.table import Apis
from gcc.pipelines.scraping.work import FlowWork
from gcc.sources.breakers import Breakers
from gcc.sources.chain import Outside, Visit
from gcc.sources.credentials import Facts
from gcc.sources.fields import Fields
from gcc.sources.http import Answer, Request
from gcc.sources.limits import InProcessLimiter
from gcc.sources.shopify import client, errors
from gcc.sources.shopify.client import ALL_ORDERS, ShopifyApi, store_name
from gcc.sources.shopify.errors import TooCostly
from gcc.sources.shopify.orders_parse import graphql_line, graphql_order, properties, rest_order
from gcc.sources.snapshot import Found, Order
from gcc.sources.table import SOURCES
from gcc.sources.verdicts import (
    CredentialDead,
    CredentialRefused,
    InvalidHandle,
    NeedsOwner,
    NotFound,
    OddAnswer,
    QuestionFailed,
    RateLimited,
    SourceFailed,
)
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.lifecycle import Board
from gcc.world import shopify as world
from tests.fakes.credentials import FakeCredentials
from tests.fakes.erasures import NobodyErased
from tests.fakes.fetcher import FakeFetcher, Reply
from tests.fakes.objects import MemoryObjects
from tests.recorded import recorded
from tests.unit.mutated_json import ANYTHING, VERDICTS, mutated
from tests.unit.storable import check_value

AT = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC)
ALL, LIMITED = world.STORES[0], world.LIMITED
ROW = SOURCES["shopify"]


class Bench:
    """The client of one API version before the world's shops; `stand_in` may answer instead of them."""

    def __init__(self, version: str = "", base_url: str = "") -> None:
        self.clock = VirtualClock(1)
        self.credentials = FakeCredentials(self.clock)
        self.fetcher = FakeFetcher(self._answer)
        self.limiter = InProcessLimiter(ROW.rules)
        rules = {ROW.name: ROW.limits}
        outside = Outside(self.fetcher, self.limiter, self.credentials, self.clock, Metrics(), {}, rules=rules)
        self.world = world.ShopifyApi(1, ["asha", "ravi"], self.clock.now)
        self.api = ShopifyApi(outside, ROW.address(base_url or ROW.base_url, version))
        self.stand_in: Callable[[Request], Reply | None] = lambda request: None

    async def ready(self) -> "Bench":
        for token, store in world.TOKENS.items():
            facts = Facts(
                account=f"{store}{world.DOMAIN}", scopes=("read_orders",) if store == LIMITED else (ALL_ORDERS,)
            )
            await self.credentials.put(ROW.name, store, {"token": token}, facts)
        return self

    async def orders(self, store: str, since: dt.datetime | None = None, pages_max: int = 99) -> Found[list[Order]]:
        return await self.api.orders(store, since, pages_max, Visit(wait_s_max=60.0))

    def _answer(self, request: Request) -> Reply:
        if (instead := self.stand_in(request)) is not None:
            return instead
        url = urlsplit(request.url)
        store = str(url.hostname).removesuffix(world.DOMAIN)
        query = dict(parse_qsl(urlencode(request.params)))
        headers = {name.encode(): value.encode() for name, value in request.headers.items()}
        found = self.world.answer(request.method, f"/{store}{url.path}", query, headers, request.body)
        retry = {} if found.retry_after_s is None else {"retry-after": str(found.retry_after_s)}
        return Reply(found.status, found.body, {**dict(found.headers), **retry})


def told(order: Order) -> dict[str, Any]:
    return {
        "order_id": order.order_id, "store": order.store, "placed_at": order.placed_at and order.placed_at.isoformat(),
        "total_price": order.metrics["total_price"], "items": order.metrics["items"],
        "line_items": order.metrics["line_items"], "status": order.dimensions["status"],
        "currency": order.dimensions["currency"],
    }  # fmt: skip


@pytest.mark.parametrize("version", ["", "rest-2026-10"])
@pytest.mark.parametrize("store", world.STORES)
async def test_both_apis_bring_all_that_the_token_is_shown(
    autojump_clock: trio.testing.MockClock, version: str, store: str
) -> None:
    bench = await Bench(version).ready()
    found = await bench.orders(store)
    truth = bench.world.truth(store)
    assert truth and [told(order) for order in found.items] == truth
    assert any(order.metrics["line_items"] == 45 for order in found.items), "more than a page of line items"
    partial = "older than 60 days there may be more: its token lacks the scope read_all_orders"
    assert (found.partial, list(found.notes)) == (partial if store == LIMITED else None, [])
    customers = {order.dimensions.get("customer_id") for order in found.items}
    assert (customers == {None}) == (store == LIMITED)
    assert any(order.dimensions.get("utm", {}).get("campaign") == "asha" for order in found.items)
    refused = [request for request in bench.fetcher.requests if "world-shop" in request.url + str(request.params)]
    assert not refused, "a token stands in its header alone"


@pytest.mark.parametrize("version", ["", "rest-2026-10"])
async def test_orders_since_a_time_are_all_of_these(autojump_clock: trio.testing.MockClock, version: str) -> None:
    bench = await Bench(version).ready()
    since = bench.clock.now() - dt.timedelta(days=20)
    found = await bench.orders(LIMITED, since)
    truth = bench.world.truth(LIMITED) or []
    assert [told(order) for order in found.items] == [each for each in truth if each["placed_at"] >= since.isoformat()]
    assert 0 < len(found.items) < len(truth) and found.partial is None


async def test_both_apis_tell_the_same_of_an_order(autojump_clock: trio.testing.MockClock) -> None:
    graphql, rest = [await (await Bench(version).ready()).orders(ALL) for version in ("", "rest-2026-10")]
    for one, other in zip(graphql.items, rest.items, strict=True):
        differ = {"total_refunded", "fulfillment_status"}
        assert {name: value for name, value in one.metrics.items() if name not in differ} == {
            name: value for name, value in other.metrics.items() if name not in differ
        }
        assert {name: value for name, value in one.dimensions.items() if name not in differ} == other.dimensions


async def test_a_capped_walk_says_so(autojump_clock: trio.testing.MockClock) -> None:
    found = await (await Bench().ready()).orders(ALL, pages_max=1)
    assert (len(found.items), found.partial) == (50, "there are more than 1 pages")


@pytest.mark.parametrize("version", ["", "rest-2026-10"])
async def test_a_shop_of_many_orders_is_read_in_parts_of_few(
    autojump_clock: trio.testing.MockClock, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "ORDERS_MAX", 40)
    monkeypatch.setattr(client, "PAGE", 20)
    monkeypatch.setattr(client, "REST_PAGE", 20)
    bench, (flow,) = await Bench(version).ready(), FLOWS
    apis = Apis({"shopify": bench.api}, Breakers(Board(bench.clock.now), bench.clock.rng), bench.limiter)
    retries = Retries(3, Backoff(1, 2))
    work = FlowWork(flow, apis, MemoryObjects(), NobodyErased(), bench.clock, retries, bench.clock.rng)
    todo: list[NewJob] = [NewJob(flow.name, flow.platform, {"store": ALL, "pages_max": 5}, priority=7)]
    parts, orders = [], []
    while todo:
        new, now = todo.pop(), bench.clock.now()
        assert (new.flow, new.platform, new.priority, new.key) == (flow.name, "SHOPIFY", 7, None)
        job = Job(
            bench.clock.new_id(), new.flow, new.platform, new.params, 7, 1, 0, 1, JobStatus.PROCESSING, now, now, now
        )
        crawl = await work(job)
        assert isinstance(crawl, Crawl), crawl
        parts.append((crawl.data["orders"], crawl.data["partial"]))
        orders += [row["platform_order_id"] for upsert in crawl.writes for row in upsert.rows]
        todo += crawl.then
    on = "there are more than 2 pages: a job of its own goes on with them"
    assert parts == [(40, on), (40, on), (20, "there are more than 1 pages")], "five pages in all"
    assert orders == [each["order_id"] for each in (bench.world.truth(ALL) or [])[:100]]


async def test_a_shop_is_asked_with_its_own_token_alone(autojump_clock: trio.testing.MockClock) -> None:
    bench = await Bench().ready()
    with pytest.raises(NeedsOwner):
        await bench.orders("another-shop")
    assert bench.fetcher.requests == []


@pytest.mark.parametrize(
    "store",
    ["", "a.b", "evil.example", "evil.example/x.myshopify.com", "a.myshopify.com.evil.example", "-a", "a@b", "a:80",
     "127.0.0.1", "a/../b", "a%2fb", "ä", "x" * 61, "a\n"],
)  # fmt: skip
async def test_no_host_but_a_shops_is_asked(store: str) -> None:
    with pytest.raises(InvalidHandle):
        store_name(store.replace("\n", "\nb"))
    with pytest.raises(ValueError, match="is no shop"):
        StoreParams(store=store.replace("\n", "\nb"))


@pytest.mark.parametrize("written", ["glow-and-co", " Glow-And-Co.myshopify.com ", "GLOW-AND-CO"])
def test_a_shop_may_be_written_as_people_do(written: str) -> None:
    assert StoreParams(store=written).store == "glow-and-co"


@pytest.mark.parametrize("since", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-01-01T00:00:00"])
def test_a_time_that_no_calendar_of_utc_has_is_a_bad_param(since: str) -> None:
    with pytest.raises(ValueError, match="since"):
        StoreParams.model_validate({"store": "x", "since": since})


async def test_a_base_url_without_a_shop_is_asked_as_it_is(autojump_clock: trio.testing.MockClock) -> None:
    bench = await Bench(base_url="http://127.0.0.1:9/api").ready()
    bench.stand_in = lambda request: Reply(200, b'{"data": {"orders": {"nodes": [], "pageInfo": {}}}}')
    assert (await bench.orders(ALL)).items == []
    assert bench.fetcher.requests[0].url == "http://127.0.0.1:9/api/2026-10/graphql.json"


async def test_a_query_that_costs_too_much_is_halved(autojump_clock: trio.testing.MockClock) -> None:
    bench = await Bench().ready()

    def costly(request: Request) -> Reply | None:
        if json.loads(request.body)["variables"].get("first", 0) <= 12:
            return None
        error = {"message": "too much", "extensions": {"code": "MAX_COST_EXCEEDED"}}
        return Reply(200, json.dumps({"errors": [error]}).encode())

    bench.stand_in = costly
    assert len((await bench.orders(ALL)).items) == len(bench.world.truth(ALL) or [])
    sizes = [json.loads(request.body)["variables"].get("first") for request in bench.fetcher.requests[:3]]
    assert sizes == [50, 25, 12]


async def test_rest_names_nothing_beside_the_cursor_and_the_page_size(autojump_clock: trio.testing.MockClock) -> None:
    bench = await Bench("rest-2026-10").ready()
    link = '<https://x/?page_info=abc%3D>; rel="previous", <https://evil.example/?page_info=def&limit=1>; rel="next"'
    replies = iter([Reply(200, b'{"orders": []}', {"Link": link}), Reply(200, b'{"orders": []}')])
    bench.stand_in = lambda request: next(replies)
    await bench.orders(ALL)
    first, second = bench.fetcher.requests
    assert (first.params["status"], first.params["limit"]) == ("any", "250")
    assert (second.url, dict(second.params)) == (first.url, {"limit": "250", "page_info": "def"})


@pytest.mark.parametrize(
    ("link", "cursor"),
    [
        ("", None),
        ('<https://x/?page_info=p>; rel="previous"', None),
        ('<https://x/?limit=5&page_info=a_b-1>; rel="next"', "a_b-1"),
        ("<https://x/?page_info=q>; rel=next", "q"),
        ("<https://x/?page_info=eyJ9%3D%3D&limit=5>; rel=next", "eyJ9=="),  # it is encoded again when it is sent
        ('<https://x/?limit=5>; rel="next"', None),
    ],
)
def test_the_next_page_of_rest(link: str, cursor: str | None) -> None:
    assert errors.next_page(link) == cursor


def graphql_errors(code: str | None, message: str = "no", **beside: Any) -> dict[str, Any]:
    return {"errors": [{"message": message, **({"extensions": {"code": code}} if code else {})}], **beside}


COST = {"cost": {"requestedQueryCost": 500, "throttleStatus": {
    "maximumAvailable": 1000.0, "currentlyAvailable": 100, "restoreRate": 100.0}}}  # fmt: skip


@pytest.mark.parametrize(
    ("status", "body", "verdict", "wait_s"),
    [
        (200, graphql_errors(None, "Throttled"), RateLimited, 2.0),
        (200, graphql_errors("THROTTLED", "Throttled", extensions=COST), RateLimited, 4.0),
        (429, graphql_errors(None, "Throttled"), RateLimited, 7.0),
        (429, {"errors": "Exceeded 2 calls per second"}, RateLimited, 7.0),
        (429, "<html>", RateLimited, 7.0),
        (200, graphql_errors("ACCESS_DENIED", data={"orders": None}), CredentialRefused, None),
        (200, graphql_errors("MAX_COST_EXCEEDED"), TooCostly, None),
        (200, graphql_errors("INTERNAL_SERVER_ERROR"), SourceFailed, None),
        (200, graphql_errors("undefinedField"), QuestionFailed, None),
        (200, {"errors": "no"}, QuestionFailed, None),
        (200, [], OddAnswer, None),
        (200, "{", SourceFailed, None),
        (401, {"errors": "[API] Invalid API key or access token"}, CredentialDead, None),
        (401, "", CredentialDead, None),
        (402, {"errors": "Unavailable Shop"}, QuestionFailed, None),
        (403, {"errors": "requires merchant approval for read_orders scope."}, CredentialRefused, None),
        (404, {"errors": "Not Found"}, NotFound, None),
        (423, {}, QuestionFailed, None),
        (301, "{}", QuestionFailed, None),
        (301, "", QuestionFailed, None),  # of one shop: the others answer
        (302, "<html>", QuestionFailed, None),
        (503, {"errors": {"base": ["away"]}}, SourceFailed, None),
        (503, "<html>", SourceFailed, None),
    ],
)
def test_what_refusals_mean(status: int, body: Any, verdict: type[GccError], wait_s: float | None) -> None:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    headers = {"retry-after": "7"} if status == 429 else {}
    with pytest.raises(verdict) as refused:
        errors.judge(Answer(status, headers, raw, 0.1), AT)
    if wait_s is not None:
        assert isinstance(refused.value, RateLimited) and refused.value.retry_after_s == wait_s


def test_data_beside_errors_is_an_answer() -> None:
    body = graphql_errors("ACCESS_DENIED", data={"orders": {"nodes": []}})
    assert errors.judge(Answer(200, {}, json.dumps(body).encode(), 0.1), AT) == body


# What stands in the answers


@pytest.mark.parametrize(
    ("name", "order_id", "total", "lines"),
    [
        ("go/order.json", "123456", 10.0, [["Soda", 1, 0.0]]),
        ("go/order_with_transaction.json", "123456", 10.0, [["Soda", 1, 0.0]]),
        ("python_api/order.json", "450789469", 409.94, [["IPod Nano - 8gb", 1, 199.0]]),
        ("python_api/orders.json", "450789469", 598.94, []),
    ],
)
def test_recorded_orders(name: str, order_id: str, total: float, lines: list[Any]) -> None:
    document = recorded(f"shopify/{name}")
    item = Fields(document["orders"][0] if "orders" in document else document["order"], "shopify")
    order = rest_order(item, "a.myshopify.com", AT)
    assert (order.order_id, order.metrics["total_price"], item.notes) == (order_id, total, [])
    assert order.placed_at is not None and order.dimensions["currency"] == "USD"
    found = [[line["title"], line["quantity"], line["price"]] for line in order.dimensions["line_items"]]
    assert found[:1] == lines
    if name == "python_api/order.json":
        assert order.dimensions["line_items"][0]["properties"] == [["Custom Engraving", "Happy Birthday"]]
        assert order.dimensions["discount_codes"] == ["TENOFF"]


@pytest.mark.parametrize(
    ("name", "read", "noted"),
    [
        ("properties_empty_object.json", [], 0),
        ("properties_ommited.json", [], 0),
        ("properties_object.json", [["property 1", "3"]], 0),
        ("properties_invalid1.json", [], 1),
        ("properties_invalid2.json", [], 1),
    ],
)
def test_odd_properties_of_line_items(name: str, read: list[Any], noted: int) -> None:
    line = Fields(recorded(f"shopify/go/orderlineitems/{name}"), "shopify")
    assert (properties(line), len(line.notes)) == (read, noted)


def test_all_sums_of_an_order_are_kept_and_what_was_paid_back_is_added_up() -> None:
    paid_back = [
        {"kind": "refund", "status": "success", "amount": "10.10"},
        {"kind": "refund", "status": "failure", "amount": "99.00"},
        {"kind": "void", "status": "success", "amount": "7.00"},
    ]
    refunds = [{"transactions": paid_back}, {"transactions": [{"kind": "refund", "amount": "0.20"}]}, {}]
    document = {"id": 1, "total_tip_received": "0.5", "total_weight": 300, "total_tax": None, "refunds": refunds}
    metrics = rest_order(Fields(document, "shopify"), "s", AT).metrics
    assert (metrics["total_refunded"], metrics["total_tip_received"], metrics["total_weight"]) == (10.3, 0.5, 300.0)
    assert rest_order(Fields({"id": 1}, "shopify"), "s", AT).metrics["total_refunded"] is None


@pytest.mark.parametrize(
    ("info", "why"),
    [
        ({"hasNextPage": True, "endCursor": None}, "it says that there are more, and names no way there"),
        ({}, "it does not tell whether there are more"),
        ({"hasNextPage": False, "endCursor": None}, None),
    ],
)
async def test_a_page_that_names_no_way_on_may_not_be_the_last(
    autojump_clock: trio.testing.MockClock, info: dict[str, Any], why: str | None
) -> None:
    bench = await Bench().ready()
    data = {"data": {"orders": {"nodes": [], "pageInfo": info}}}
    bench.stand_in = lambda request: Reply(200, json.dumps(data).encode())
    found = await bench.orders(ALL, since=bench.clock.now())
    assert (found.items, found.partial) == ([], why)


def test_an_order_without_an_id_costs_itself_alone() -> None:
    with pytest.raises(OddAnswer, match=r"\$\.id should be an id"):
        rest_order(Fields({"total_price": "1.00"}, "shopify"), "a", AT)


def samples() -> tuple[dict[str, Any], dict[str, Any]]:
    """An order in REST's words, and a page of GraphQL's."""
    shop = world.ShopifyApi(1, ["asha"], lambda: AT)
    order = shop._orders(ALL)[7]
    return order.rest(ALL), order.graphql(10, hidden=False)


REST_ORDER, GRAPHQL_ORDER = samples()


def check(order: Order) -> None:
    assert 0 < len(order.order_id) <= 200
    for number in order.metrics.values():
        assert number is None or abs(number) < 1e40
    lines = order.dimensions.pop("line_items")
    check_value(order.dimensions)
    for line in lines:
        price = line.pop("price")
        assert price is None or isinstance(price, float)
        check_value(line)


@given(mutated(REST_ORDER))
def test_whatever_rest_answers_is_an_order_or_odd(document: Any) -> None:
    with suppress(OddAnswer):
        check(rest_order(Fields(document, "shopify"), "a.myshopify.com", AT))


@given(mutated(GRAPHQL_ORDER))
def test_whatever_graphql_answers_is_an_order_or_odd(document: Any) -> None:
    with suppress(OddAnswer):
        item = Fields(document, "shopify")
        lines = item.object("lineItems").each("nodes", graphql_line)
        check(graphql_order(item, lines, "a.myshopify.com", AT))


@given(st.integers(200, 599), ANYTHING | mutated(graphql_errors("THROTTLED", extensions=COST, data={"orders": {}})))
def test_whatever_is_answered_is_decoded_or_a_verdict(status: int, body: Any) -> None:
    raw = json.dumps(body).encode()
    try:
        decoded = errors.judge_rest(Answer(status, {"link": "<x?page_info=1>; rel=next"}, raw, 0.1), AT)
    except VERDICTS:
        return
    assert isinstance(decoded, dict) and decoded["next"] == "1"
    errors.cost(decoded)


def test_the_flow_is_the_shops_own() -> None:
    (flow,) = FLOWS
    assert isinstance(flow, Flow) and flow.capability == "owner" and list(flow.chain) == ["shopify"]
