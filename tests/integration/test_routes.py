"""Every route of spec/events.md, on real stores: published as another producer would, read back typed.

One table of payloads: each as the documentation of its sender has it, without what only we put into an event.
"""

import datetime as dt
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gcc.channels.memory import Signal
from gcc.channels.message import Delivery, Frame, Route
from gcc.clock import SystemClock
from gcc.errors import Transient
from gcc.metrics import Metrics
from gcc.pipelines.events.check import check
from gcc.pipelines.events.referrals import also_referrals
from gcc.pipelines.events.routes import ACCESS_TOKEN_EXPIRED, CLICKS, EXCHANGES, MARKETING, QUEUES
from gcc.pipelines.events.sinks import Sink
from gcc.pipelines.events.types import BINDINGS, EVENT_TYPES, EventType
from gcc.stores import outbox
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.letters import PostgresLetters
from gcc.stores.postgres import Pool
from gcc.stores.postgres_exchange import PostgresExchange
from gcc.stores.referrals import PostgresReferrals
from gcc.web.ops.counts import PlatformCounts
from tests.fakes.objects import MemoryObjects

TYPES = {event_type.name: event_type for event_type in EVENT_TYPES}
AT = "2026-03-01 10:20:30"
READ_AT = dt.datetime(2026, 3, 1, 10, 20, 30, tzinfo=dt.UTC)
ID = "0191b2c3-0000-7000-8000-00000000000a"
SNAPSHOT = {"source": "graphapi", "platform": "INSTAGRAM", "event_timestamp": AT}
HEADER = {
    "session_id": "s-1", "bb_device_id": "9", "user_id": "u-7", "device_id": "d-1", "android_advertising_id": "aaid",
    "client_id": "app", "channel": "ANDROID", "os": "android", "os_version": "14", "app_language": "hi",
    "app_version": "3.2.1", "current_url": "https://example.org/p/1", "merchant_id": "m-1", "utm_source": "instagram",
    "utm_medium": "story", "utm_campaign": "diwali", "utm_term": "t", "utm_content": "c", "ppId": "pp-1",
    "event_timestamp": AT,
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """`read`: columns, and what the table must have in them; column event_timestamp is read of every one."""

    event_type: str
    payload: dict[str, Any]
    read: dict[str, Any]
    key: str = ""  # of a topic exchange
    at: dt.datetime = field(default=READ_AT)


def launch(name: str, params: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**HEADER, "event_name": name, "event_params": params, **more}


CASES = [
    Case(
        "profile_log",
        {
            **SNAPSHOT, "event_id": ID, "profile_id": "178414", "handle": "asha",
            "metrics": {"followers": 1200, "engagement_rate": 0.031}, "dimensions": {"category": "food"},
        },
        {
            "event_id": uuid.UUID(ID), "v": 1, "origin": "", "followers": 1200, "engagement_rate": 0.031,
            "category": "food",
        },
    ),
    Case(
        "post_log",
        {
            **SNAPSHOT, "profile_id": "178414", "handle": "asha", "shortcode": "Cx1", "publish_time": AT,
            "metrics": {"likes": 10, "reach": None}, "dimensions": {"post_type": "reels"},
        },
        {"likes": 10, "reach": None, "post_type": "reels", "publish_time": READ_AT, "shortcode": "Cx1"},
    ),
    Case(
        "sentiment_log",
        {
            **SNAPSHOT, "shortcode": "Cx1", "comment_id": "c1", "comment": "बहुत अच्छा", "sentiment": "positive",
            "score": 0.82,
        },
        {"comment": "बहुत अच्छा", "sentiment": "positive", "score": 0.82, "metrics": "{}"},
    ),
    Case(
        "post_activity_log",
        {
            **SNAPSHOT, "activity_type": "comment", "actor_profile_id": "5", "shortcode": "Cx1", "profile_id": "178414",
            "publish_time": AT, "dimensions": {"text": "hi"},
        },
        {"activity_type": "comment", "actor_profile_id": "5", "publish_time": READ_AT, "text": "hi"},
    ),
    Case(
        "profile_relationship_log",
        {
            **SNAPSHOT, "source_profile_id": "1", "target_profile_id": "2", "relationship_type": "FOLLOWS",
            "source_metrics": {"followers": 3}, "source_dimensions": {"handle": "a"},
            "target_metrics": {"followers": 4}, "target_dimensions": {"handle": "b"},
        },
        {"relationship_type": "FOLLOWS", "source_followers": 3, "target_followers": 4, "target_handle": "b"},
    ),
    Case(
        "scrape_request_log",
        {
            "event_timestamp": AT, "scl_id": "77", "flow": "refresh_profile_by_handle", "platform": "INSTAGRAM",
            "params": {"handle": "asha"}, "status": "COMPLETE", "priority": 1, "reason": None, "picked_at": AT,
            "expires_at": AT,
        },
        {"scl_id": "77", "status": "COMPLETE", "reason": None, "picked_at": READ_AT, "seq": 0},
    ),
    Case(
        "creator_follower_score",
        {
            "event_timestamp": AT, "profile_id": "178414", "handle": "asha", "follower_handle": "Ravi_9",
            "follower_profile_id": 5, "score": 0.33, "features": {"digits": 1}, "scorer_version": "2",
            "reasons": [{"feature": "digits", "value": 5, "against": "more than 4"}], "account_score": None,
            "account": {"posts": 3},
        },
        {
            "platform": "INSTAGRAM", "follower_profile_id": "5", "score": 0.33, "refused": "",
            "features": '{"digits":1}', "reasons": '[{"feature":"digits","value":5,"against":"more than 4"}]',
            "account": '{"posts":3}', "account_score": None, "account_reasons": "[]", "scorer_version": "2",
        },
    ),
    Case(
        "order_log",
        {
            **SNAPSHOT, "platform": "SHOPIFY", "platform_order_id": 820982911946154508, "store": "shop.example",
            "metrics": {"total_price": 199.5}, "dimensions": {"currency": "INR"},
        },
        {"platform_order_id": "820982911946154508", "store": "shop.example", "total_price": 199.5, "currency": "INR"},
    ),
    Case(
        "yt_activity_log",
        {
            "source": "ytapi", "event_timestamp": AT, "activity_id": "a1", "activity_type": "upload",
            "actor_channel_id": "UC1", "dimensions": {"video_id": "v1"},
        },
        {"platform": "YOUTUBE", "activity_type": "upload", "actor_channel_id": "UC1", "video_id": "v1"},
    ),
    Case(
        "asset_log",
        {
            "platform": "INSTAGRAM", "event_timestamp": AT, "profile_id": "1", "asset_type": "profile_pic",
            "s3_url": "s3://a/b.jpg", "cdn_url": "https://cdn.example/b.jpg",
        },
        {"asset_type": "profile_pic", "cdn_url": "https://cdn.example/b.jpg", "bytes": 0},
    ),
    Case(
        "trace_log",
        {
            "event_timestamp": AT, "id": ID, "host_name": "h", "service_name": "graphapi", "method": "GET",
            "uri": "/me", "headers": {"accept": "*/*"}, "request": "", "response_status": 200, "response_size": 12,
            "time_taken": 0.25,
        },
        {"event_id": uuid.UUID(ID), "response_status": 200, "time_taken": 0.25, "headers": '{"accept":"*/*"}'},
    ),
    Case(
        "partner_activity_log",
        {"event_timestamp": AT, "partner_id": "42", "user_id": 7, "activity_type": "LOGIN", "metadata": {"a": 1}},
        {"partner_id": 42, "user_id": "7", "activity_type": "LOGIN", "metadata": '{"a":1}'},
    ),
    Case(
        "affiliate_order_event",
        {
            "event_timestamp": AT, "order_id": "o-1", "store": "amazon", "status": "DELIVERED", "amount": "499.00",
            "commission": 12.5, "referral_code": "ASHA10", "ordered_at": "2026-02-27T08:00:00Z",
            "order_data": {"items": 2},
        },
        {"order_id": "o-1", "amount": 499.0, "ordered_at": dt.datetime(2026, 2, 27, 8, tzinfo=dt.UTC)},
    ),
    Case(
        "bigboss_vote_log",
        {"event_timestamp": AT, "user_id": "u", "contestant": "ravi", "votes": 3, "week": "4"},
        {"contestant": "ravi", "votes": 3},
    ),
    Case(
        "event",
        launch("PageOpenedEvent", {"page": "home", "position": 3}),
        {"event_name": "PageOpenedEvent", "utm_campaign": "diwali", "event_params": '{"page":"home","position":3}'},
        key="PageOpenedEvent",
    ),
    *(
        Case(
            "click_event",
            launch(name, {"page": "home", "element": "cta", "action": "tap"}),
            {"event_name": name, "page": "home", "element": "cta", "action": "tap", "os": "android"},
            key=name,
        )
        for name in CLICKS
    ),
    Case("app_init_event", launch("AppInitEvent", {}), {"app_version": "3.2.1", "ppId": "pp-1"}, key="AppInitEvent"),
    Case(
        "launch_refer_event",
        launch("LaunchReferEvent", {"referral_code": "ASHA10", "referrer_user_id": 12}),
        {"referral_code": "ASHA10", "user_id": "u-7"},
        key="LaunchReferEvent",
    ),
    Case(
        "error_event",
        launch("NoSuchEvent", {"x": 1}, error="no message NoSuchEvent"),
        {"event_name": "NoSuchEvent", "error": "no message NoSuchEvent", "event_params": '{"x":1}'},
    ),
    Case(
        "ab_assignment",
        {"event_timestamp": AT, "experiment": "new_home", "variant": "b", "user_id": "u", "bb_device_id": 9},
        {"experiment": "new_home", "variant": "b", "bb_device_id": "9"},
    ),
    Case(
        "branch_event",
        {
            "name": "open", "timestamp": 1512681005807,
            "user_data": {"os": "IOS", "os_version": "11.1.2", "country": "US", "limit_ad_tracking": False},
            "last_attributed_touch_data": {"~id": 467391383381228204, "~campaign": "december", "~feature": "marketing"},
            "custom_data": {"reinstall": "false"}, "event_data": {"revenue": 12.5, "currency": "USD"},
        },
        {
            "name": "open", "os": "IOS", "country": "US", "campaign": "december", "feature": "marketing",
            "revenue": 12.5, "timestamp": 1512681005807, "custom_data": '{"reinstall":"false"}',
        },
        key="open",
        at=dt.datetime(2017, 12, 7, 21, 10, 5, 807000, tzinfo=dt.UTC),
    ),
    Case(
        "webengage_event",
        {"user_id": "u", "event_name": "Clicked", "event_time": "2026-03-01T15:50:30+05:30", "event_data": {"c": 1}},
        {"user_id": "u", "event_name": "Clicked", "event_data": '{"c":1}'},
    ),
    Case(
        "shopify_event",
        {
            "event_timestamp": AT, "topic": "orders/create", "shop_domain": "shop.example", "webhook_id": ID,
            "event_data": {"id": 820982911946154508, "total_price": "199.00", "currency": "INR"},
        },
        {"event_id": uuid.UUID(ID), "order_id": 820982911946154508, "total_price": 199.0, "currency": "INR"},
    ),
    Case(
        "graphy_event",
        {"event_timestamp": AT, "event_name": "course_completed", "user_id": "l", "event_data": {"course": "reels"}},
        {"event_name": "course_completed", "user_id": "l", "event_data": '{"course":"reels"}'},
    ),
    Case(
        "entity_metric",
        {
            "event_timestamp": 1772360430, "platform": "YOUTUBE", "entity_type": "channel", "entity_id": "UC1",
            "metrics": {"views": 1000, "subscribers": 10, "engagement_rate": 1.5},
        },
        {"source": "vidooly", "views": 1000, "subscribers": 10, "engagement_rate": 1.5},
    ),
]  # fmt: skip


class Way:
    """The way of a message on real stores, a step at a time."""

    def __init__(self, pool: Pool, clickhouse: ClickHouse) -> None:
        self.pool, self.clickhouse, self.clock = pool, clickhouse, SystemClock()
        self.objects = MemoryObjects()
        self.letters = StoredDeadLetters(pool, self.objects, self.clock)
        self.exchange = PostgresExchange(pool, self.letters, Signal())

    async def publish(self, route: Route, *bodies: bytes) -> None:
        """One message each, as the exchange takes them in from other producers."""
        async with self.pool.transaction() as conn:
            await outbox.put(conn, [Frame(self.clock.new_id(), route, 1, body) for body in bodies])
        await self.exchange.declare(BINDINGS)
        while await self.exchange.relay():
            pass

    async def sink(self, event_type: EventType) -> int:
        """Store all that waits in its queue; how many events."""
        also = also_referrals(PostgresReferrals(self.pool)) if event_type.name == "launch_refer_event" else None
        sink = Sink(event_type, self.clickhouse, self.letters, Metrics(), also=also)
        deliveries = await self.exchange.take(event_type.queue, frames_max=100)
        stored = await sink.handle(deliveries)
        await self.exchange.acknowledge(deliveries)
        return stored

    async def rows(self, event_type: EventType, columns: str) -> list[dict[str, Any]]:
        return await self.clickhouse.rows(f"select {columns} from {event_type.table} final")  # noqa: S608

    async def buried(self) -> list[tuple[str, int, str]]:
        async with self.pool.connection() as conn:
            found = await conn.execute("select queue, events, reason from dead_letter order by reason")
            return [(queue, events, reason) for queue, events, reason in await found.fetchall()]


@pytest.fixture
def way(pool: Pool, clickhouse: ClickHouse) -> Way:
    return Way(pool, clickhouse)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.key or case.event_type)
async def test_a_message_of_another_producer_is_read_back_typed(way: Way, case: Case) -> None:
    event_type = TYPES[case.event_type]
    route = next(route for route in event_type.routes if route.key in (case.key, "#") or not case.key)
    if route.key == "#":  # handed over as a topic exchange would: the key is the message's own
        frame = Frame(way.clock.new_id(), Route(route.exchange, case.key), 1, msgspec.json.encode(case.payload))
        sink = Sink(event_type, way.clickhouse, way.letters, Metrics())
        assert await sink.handle([Delivery(event_type.queue, 1, frame, 1)]) == 1
    else:
        await way.publish(route, msgspec.json.encode(case.payload))
        assert await way.sink(event_type) == 1
    assert await way.buried() == []
    (row,) = await way.rows(event_type, ", ".join(["event_timestamp", "extra", *case.read]))
    assert row == {"event_timestamp": case.at, "extra": "", **case.read}


def test_every_event_type_has_a_payload_and_every_table_one_type() -> None:
    assert {case.event_type for case in CASES} == set(TYPES)
    tables = [event_type.table for event_type in EVENT_TYPES]
    assert len(tables) == len(set(tables)) == 25
    assert {binding.queue for binding in BINDINGS} == {each.queue for each in EVENT_TYPES} | {
        queue.name for queue in QUEUES
    }


def test_the_documentation_has_every_row() -> None:
    told = (Path(__file__).parents[2] / "docs" / "delivery.md").read_text()
    for event_type in EVENT_TYPES:
        keys = ", ".join(route.key for route in event_type.routes)
        row = f"| {event_type.name} | {event_type.route.exchange} / {keys} | {event_type.queue} | {event_type.table} |"
        assert row in told
    assert all(f" | {queue.name} |" in told for queue in QUEUES)


def test_patterns_are_declared_on_topic_exchanges_only() -> None:
    for route in [*(binding.route for binding in BINDINGS), ACCESS_TOKEN_EXPIRED]:
        kind = EXCHANGES[route.exchange]
        assert kind == "topic" or not set(route.key) & {"#", "*"}, route
    used = {binding.route.exchange for binding in BINDINGS}
    assert used == set(EXCHANGES)


def test_only_what_this_platform_emits_and_counts_is_counted() -> None:
    counted = {event_type.name for event_type in EVENT_TYPES if event_type.counted}
    assert counted == {
        "profile_log", "post_log", "scrape_request_log", "post_activity_log", "profile_relationship_log", "order_log",
        "yt_activity_log",
    }  # fmt: skip


async def test_queues_without_a_table_keep_what_is_published(way: Way) -> None:
    for route in {route for queue in QUEUES for route in queue.routes}:
        await way.publish(route, b'{"a":1}')
    depths = {depth.queue: depth.events for depth in await way.exchange.depths()}
    assert {queue.name: depths[queue.name] for queue in QUEUES} == {queue.name: len(queue.routes) for queue in QUEUES}
    assert await way.buried() == []
    assert depths["webengage_ch_event_q"] == 1  # the webhook is stored as well as forwarded
    assert depths["webengage_event_q"] == len(MARKETING) + 1


async def test_a_message_delivered_again_is_one_row(way: Way) -> None:
    event_type = TYPES["sentiment_log"]
    (case,) = (case for case in CASES if case.event_type == event_type.name)
    await way.publish(event_type.route, *[msgspec.json.encode(case.payload)] * 2)
    sink = Sink(event_type, way.clickhouse, way.letters, Metrics())
    first, second = await way.exchange.take(event_type.queue, frames_max=10)
    for batch in ([first, second], [second], [first], [second, first]):
        await sink.handle(batch)
    assert len(await way.rows(event_type, "event_id")) == 2  # two messages, however alike


async def test_a_batch_with_three_poison_rows_stores_the_rest_and_buries_three(way: Way) -> None:
    """Rows that the reader takes and the table does not: here it is given a constraint that no schema knows."""
    event_type = TYPES["asset_log"]
    await way.clickhouse.command(f"alter table {event_type.table} add constraint odd check bytes not in (1, 444, 999)")
    asset = {"event_timestamp": AT, "profile_id": "1", "asset_type": "a", "s3_url": "", "cdn_url": ""}
    await way.publish(event_type.route, *[msgspec.json.encode(asset | {"bytes": number}) for number in range(1000)])
    sink = Sink(event_type, way.clickhouse, way.letters, Metrics())
    batch = await way.exchange.take(event_type.queue, frames_max=1000)
    for _ in range(2):
        assert await sink.handle(batch) == 997
    assert await way.rows(event_type, "count() as n") == [{"n": 997}]
    buried = await way.buried()
    assert [(queue, events) for queue, events, _ in buried] == [(event_type.queue, 1)] * 3
    assert all("Constraint" in reason for _, _, reason in buried)


@pytest.mark.parametrize("event_type", EVENT_TYPES, ids=lambda each: each.name)
async def test_a_table_that_takes_nothing_keeps_its_queue_and_one_that_takes_others_does_not(
    way: Way, event_type: EventType
) -> None:
    """A column that lacks is the store's fault, however few the rows; poison is its own, however many."""
    (case, *_) = (case for case in CASES if case.event_type == event_type.name)
    good = msgspec.json.encode({"event_name": case.key, **case.payload, "origin_id": "x"})
    frames = [Frame(way.clock.new_id(), event_type.route, 1, body) for body in (b"", b"  ", b"no json", good)]
    batch = [Delivery(event_type.queue, number, frame, 1) for number, frame in enumerate(frames)]
    sink = Sink(event_type, way.clickhouse, way.letters, Metrics())
    assert await sink.handle(batch) == 1
    (errors,) = await way.rows(TYPES["error_event"], "count() as n")
    letters = await way.buried()
    assert (errors["n"] if event_type.errors_to else sum(events for _, events, _ in letters)) == 3
    await way.clickhouse.command(f"alter table {event_type.table} drop column origin_id")
    for part in (batch[3:], batch):
        with pytest.raises(Transient, match="takes nothing, not even a blank event"):
            await sink.handle(part)
    assert await way.buried() == letters
    await way.clickhouse.command(f"drop table {event_type.table}")
    with pytest.raises(Transient):
        await sink.handle(batch[3:])


async def test_whole_numbers_are_bounded_as_their_columns_are(way: Way) -> None:
    """ClickHouse cuts off what does not fit: 70,000 would be stored as 4,464."""
    for event_type in EVENT_TYPES:
        database, table = event_type.table.split(".")
        found = await way.clickhouse.rows(
            "select name, type from system.columns where database = {d:String} and table = {t:String}"
            " and default_kind != 'MATERIALIZED'",
            {"d": database, "t": table},
        )
        types = {row["name"]: row["type"] for row in found}
        for each in msgspec.structs.fields(event_type.schema):
            kind = types[each.name].removeprefix("Nullable(").removesuffix(")")
            declared = msgspec.inspect.type_info(each.type)
            parts = declared.types if isinstance(declared, msgspec.inspect.UnionType) else (declared,)
            (whole,) = [part for part in parts if isinstance(part, msgspec.inspect.IntType)] or [None]
            assert (whole is not None) == ("Int" in kind), f"{event_type.name}.{each.name}"
            if whole is not None:
                bits = int(kind.partition("Int")[2])
                least, most = (0, 2**bits) if kind.startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1))
                assert (whole.ge, whole.le) == (least, min(most, 2**63) - 1), f"{event_type.name}.{each.name}"


async def test_what_is_no_json_or_another_type_is_buried_with_its_reason(way: Way) -> None:
    event_type = TYPES["order_log"]
    await way.publish(event_type.route, b"<order/>", b'{"event_timestamp":"yesterday"}', b'{"store":"s"}', b"[]")
    assert await way.sink(event_type) == 0
    reasons = [reason for _, _, reason in await way.buried()]
    assert [reason.removeprefix("not of type order_log: ") for reason in reasons] == [
        "'yesterday' is no time; write RFC 3339, YYYY-MM-DD HH:MM:SS or a Unix time "
        "(in smaller units than seconds of 2000 or later)",
        "Expected `object`, got `array`",
        "JSON is malformed: invalid character (byte 0)",
        "Object missing required field `event_timestamp`",
    ]


async def test_app_events_that_are_unknown_or_invalid_become_one_error_event_each(way: Way) -> None:
    event_type, init = TYPES["event"], TYPES["app_init_event"]
    bodies = {
        "AppInitEvent": msgspec.json.encode({**HEADER, "event_name": "AppInitEvent", "event_params": "not an object"}),
        "AddToCartEvent": b"\xff no json",
        "nonsense": msgspec.json.encode(HEADER),
    }
    for number, (key, body) in enumerate(bodies.items()):
        frame = Frame(way.clock.new_id(), Route("grpc_event.tx", key), 1, body)
        for sinks in (event_type, init) if key == "AppInitEvent" else (event_type,):  # bound to both queues
            sink = Sink(sinks, way.clickhouse, way.letters, Metrics())
            for _ in range(2):
                assert await sink.handle([Delivery(sinks.queue, number, frame, 1)]) == 0
    assert await way.rows(event_type, "event_id") == await way.rows(init, "event_id") == await way.buried() == []
    found = await way.rows(TYPES["error_event"], "event_name, user_id, event_timestamp, event_params, error")
    rows = {row["event_name"]: row for row in found}
    assert len(found) == 3 and set(rows) == {"AppInitEvent", "AddToCartEvent", "nonsense"}
    assert "Expected `object`, got `str`" in rows["AppInitEvent"]["error"]
    assert (rows["AppInitEvent"]["user_id"], rows["AppInitEvent"]["event_timestamp"]) == ("u-7", READ_AT)
    assert msgspec.json.decode(rows["AddToCartEvent"]["event_params"]) == {"raw": "\ufffd no json"}
    assert abs(rows["AddToCartEvent"]["event_timestamp"] - way.clock.now()) < dt.timedelta(minutes=5)  # its frame's
    assert "nonsense" not in rows["nonsense"]["error"] and "event_name" in rows["nonsense"]["error"]


async def test_a_referral_is_in_both_stores_once_and_only_where_it_is_stored(way: Way) -> None:
    event_type = TYPES["launch_refer_event"]
    good = launch("LaunchReferEvent", {"referral_code": "ASHA10", "referrer_user_id": 12})
    own = launch("LaunchReferEvent", {}, referral_code="TOP\0", user_id=5)
    refused = msgspec.json.encode({**good, "event_params": "no object"})
    sink = Sink(event_type, way.clickhouse, way.letters, Metrics(), also=also_referrals(PostgresReferrals(way.pool)))
    await way.publish(event_type.route, msgspec.json.encode(good), msgspec.json.encode(own), refused)
    batch = await way.exchange.take(event_type.queue, frames_max=10)
    for part in (batch, batch[:1], batch):
        await sink.handle(part)
    async with way.pool.connection() as conn:
        found = await conn.execute(
            "select event_id, referral_code, referrer_user_id, user_id, channel, referred_at from referral order by 2"
        )
        referrals = await found.fetchall()
    assert [row[1:] for row in referrals] == [
        ("ASHA10", "12", "u-7", "ANDROID", READ_AT),
        ("TOP", "", "5", "ANDROID", READ_AT),
    ]
    stored = await way.rows(event_type, "event_id")
    assert {row["event_id"] for row in stored} == {row[0] for row in referrals}


async def test_one_bad_referral_costs_no_other_its_row(way: Way) -> None:
    event_type = TYPES["launch_refer_event"]
    params: list[Any] = [
        {"referral_code": "x" * 501}, {"referral_code": "\0" * 9}, {"referral_code": [1]}, {"referral_code": None},
        {"referral_code": {"a": {}}}, {"referral_code": 10**400}, {"referral_code": 1e300},
        {"referrer_user_id": "y" * 10_000},
    ]  # fmt: skip
    odd = [launch("LaunchReferEvent", each) for each in params]
    odd.append(launch("LaunchReferEvent", {}, referral_code="\u0928" * 3000))
    good = launch("LaunchReferEvent", {"referral_code": "\u0928" * 500, "referrer_user_id": 12})
    await way.publish(event_type.route, *[msgspec.json.encode(each) for each in (good, *odd, good)])
    sink = Sink(event_type, way.clickhouse, way.letters, Metrics(), also=also_referrals(PostgresReferrals(way.pool)))
    batch = await way.exchange.take(event_type.queue, frames_max=100)
    for _ in range(2):
        assert await sink.handle(batch) == len(odd) + 2, "all of them are events"
    async with way.pool.connection() as conn:
        ((kept, good_ones),) = await (
            await conn.execute("select count(*), count(*) filter (where referrer_user_id = '12') from referral")
        ).fetchall()
    assert (kept, good_ones) == (len(odd) + 2 - 3, 2)
    errors = await way.rows(TYPES["error_event"], "error")
    assert sorted(row["error"] for row in errors) == [
        "stored, but no referral: its referral_code has 3000 characters, more than 500",
        "stored, but no referral: its referral_code has 501 characters, more than 500",
        "stored, but no referral: its referrer_user_id has 10000 characters, more than 500",
    ]
    assert await way.buried() == []


async def test_an_order_is_as_its_latest_event_says_in_whatever_order_they_come(way: Way) -> None:
    event_type = TYPES["affiliate_order_event"]
    for at, status in (("2026-03-31 23:00:00", "SHIPPED"), ("2026-04-01 01:00:00", "DELIVERED"), (AT, "PLACED")):
        body = {"event_timestamp": at, "order_id": "1", "store": "s", "status": status}
        await way.publish(event_type.route, msgspec.json.encode(body))
        await way.sink(event_type)
    assert await way.rows(event_type, "status") == [{"status": "DELIVERED"}]


async def test_only_events_for_a_table_can_lag(way: Way) -> None:
    counts = PlatformCounts(way.pool, way.exchange, PostgresLetters(way.pool, MemoryObjects(), Signal()))
    await way.publish(QUEUES[1].routes[0], b"{}")
    assert (await counts.read()).stored_lag_s == 0
    await way.publish(TYPES["order_log"].route, b"{}")
    assert (await counts.read()).stored_lag_s > 0


async def test_check_misses_nothing_of_other_producers_and_is_not_blinded_by_them(way: Way) -> None:
    event_type = TYPES["profile_log"]
    (case,) = (case for case in CASES if case.event_type == event_type.name)
    await way.publish(event_type.route, msgspec.json.encode(case.payload))
    await way.sink(event_type)
    async with way.pool.connection() as conn:  # one of ours was counted, and never came
        await conn.execute("insert into import_ledger (id, name, events) values (gen_random_uuid(), 'x', 1)")
    report = await check(way.pool, way.clickhouse)
    assert (report.events_stored, report.missing, report.doubled) == (0, 1, 0)
