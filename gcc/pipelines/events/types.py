"""Event types: one row each of routes, queue, table and schema. With routes.py the only place that names routes.

A producer encodes an event by `encode`; a sinker reads lines by the type's `schema`. Topic keys stand in order of
the table of spec/events.md.
"""

import datetime as dt
from dataclasses import dataclass

import msgspec

from gcc.channels.message import Binding, Route
from gcc.pipelines.events import app_schemas as app
from gcc.pipelines.events.routes import CLICKS, CREATOR_OUT, QUEUES, WEBENGAGE, error_bindings, routes
from gcc.pipelines.events.schemas import (
    AssetLog,
    CreatorFollowerScore,
    Event,
    OrderLog,
    PostActivityLog,
    PostLog,
    ProfileLog,
    ProfileRelationshipLog,
    ScrapeRequestLog,
    SentimentLog,
    TraceLog,
    YtActivityLog,
)

ERROR_TABLE = "_e.error_event"
KEPT_DAYS = 3 * 365


@dataclass(frozen=True, slots=True)
class EventType:
    """One kind of event.

    `consumers` is how many took from its queue in the original; here one sinker does, with one insert in flight.
    `id_field`, `time_field`: where another producer's event has its id and its time, if not in event_id and
    event_timestamp. `errors_to`: the table of what cannot be stored; None: the dead letters.
    """

    name: str
    routes: tuple[Route, ...]
    queue: str
    table: str
    schema: type[Event]
    consumers: int = 2
    counted: bool = False  # True: we emit it, and count it where it is committed; `check` compares
    id_field: str = "event_id"
    time_field: str = "event_timestamp"
    errors_to: str | None = None
    ahead_max: dt.timedelta | None = None  # what is of a later time is refused; None: it is as good as any
    kept_days: int = KEPT_DAYS  # then dropped (0: never); retention.<name>_days of the settings overrides it

    @property
    def route(self) -> Route:
        """Where our own producers publish it."""
        return self.routes[0]

    @property
    def bindings(self) -> tuple[Binding, ...]:
        return tuple(Binding(route, self.queue) for route in self.routes)


def _log(
    name: str,
    schema: type[Event],
    *,
    key: str = "",
    consumers: int = 2,
    counted: bool = False,
    kept_days: int = KEPT_DAYS,
) -> EventType:
    """A log of crawls or of work, as beat names its key, queue and table."""
    events = f"{name}_events"
    return EventType(
        name, (Route("beat.dx", key or events),), f"{events}_q", f"_e.{events}", schema, consumers, counted,
        kept_days=kept_days,
    )  # fmt: skip


def _app(name: str, keys: tuple[str, ...], queue: str, schema: type[Event]) -> EventType:
    """What apps send: nothing of it is dropped, so what is unknown or invalid becomes an error_event."""
    return EventType(name, routes("grpc_event.tx", keys), queue, f"_e.{name}", schema, errors_to=ERROR_TABLE)


POST_LOG = _log("post_log", PostLog, consumers=20, counted=True)
PROFILE_LOG = _log("profile_log", ProfileLog, counted=True)
SENTIMENT_LOG = _log("sentiment_log", SentimentLog)
POST_ACTIVITY_LOG = _log("post_activity_log", PostActivityLog, counted=True)
PROFILE_RELATIONSHIP_LOG = _log("profile_relationship_log", ProfileRelationshipLog, counted=True)
SCRAPE_REQUEST_LOG = _log("scrape_request_log", ScrapeRequestLog, counted=True, kept_days=90)
ORDER_LOG = _log("order_log", OrderLog, counted=True)
YT_ACTIVITY_LOG = _log("yt_activity_log", YtActivityLog, counted=True)
ASSET_LOG = _log("asset_log", AssetLog, key="asset_log_events_rk")
CREATOR_FOLLOWER_SCORE = EventType(
    "creator_follower_score",
    (CREATOR_OUT,),
    "creator_out",
    "_e.creator_follower_score",
    CreatorFollowerScore,
    ahead_max=dt.timedelta(days=2),  # it would outlive every newer answer
    kept_days=0,  # one row a follower: a state, not a log; see score_retention.py
)
TRACE_LOG = EventType(
    "trace_log", (Route("identity.dx", "trace_log"),), "trace_log", "_e.trace_log_events", TraceLog, id_field="id",
    kept_days=14,
)  # fmt: skip
PARTNER_ACTIVITY_LOG = EventType(
    "partner_activity_log",
    (Route("coffee.dx", "activity_tracker_rk"),),
    "activity_tracker_q",
    "_e.partner_activity_log_events",
    app.PartnerActivityLog,
)
AFFILIATE_ORDER_EVENT = EventType(
    "affiliate_order_event",
    (Route("affiliate.dx", "affiliate_order_rk"),),
    "affiliate_orders_event_q",
    "_e.affiliate_order_event",
    app.AffiliateOrderEvent,
    kept_days=0,  # one row an order: a state, not a log
)
BIGBOSS_VOTE_LOG = EventType(
    "bigboss_vote_log",
    (Route("bigboss", "bigboss_vote"),),
    "bigboss_vote_log_q",
    "_e.bigboss_vote_log",
    app.BigbossVoteLog,
)
APP_EVENT = _app("event", ("#",), "grpc_clickhouse_event_q", app.AppEvent)
CLICK_EVENT = _app("click_event", CLICKS, "clickhouse_click_event_q", app.ClickEvent)
APP_INIT_EVENT = _app("app_init_event", ("AppInitEvent",), "app_init_event_q", app.AppEvent)
LAUNCH_REFER_EVENT = _app("launch_refer_event", ("LaunchReferEvent",), "launch_refer_event_q", app.LaunchReferEvent)
ERROR_EVENT = EventType(
    "error_event", (Route("grpc_event_error.dx", "error"),), "grpc_event_error_q", ERROR_TABLE, app.ErrorEvent
)
AB_ASSIGNMENT = EventType(
    "ab_assignment", (Route("ab.dx", "ab_assignments"),), "ab_assignments", "_e.ab_assignment", app.AbAssignment
)
BRANCH_EVENT = EventType(
    "branch_event",
    (Route("branch_event.tx", "#"),),
    "branch_event_q",
    "_e.branch_event",
    app.BranchEvent,
    id_field="id",
    time_field="timestamp",
)
WEBENGAGE_EVENT = EventType(
    "webengage_event", (WEBENGAGE,), "webengage_ch_event_q", "_e.webengage_event", app.WebengageEvent,
    time_field="event_time",
)  # fmt: skip
SHOPIFY_EVENT = EventType(
    "shopify_event",
    (Route("shopify_event.dx", "shopify_event"),),
    "shopify_events_q",
    "_e.shopify_event",
    app.ShopifyEvent,
    id_field="webhook_id",
)
GRAPHY_EVENT = EventType(
    "graphy_event", (Route("grpc_event.dx", "graphy_event"),), "graphy_event_q", "_e.graphy_event", app.GraphyEvent
)
ENTITY_METRIC = EventType(
    "entity_metric", (Route("grpc_event.dx", "vidooly_event"),), "vidooly_event_q", "_e.entity_metric", app.EntityMetric
)

EVENT_TYPES: tuple[EventType, ...] = (
    PROFILE_LOG, POST_LOG, SCRAPE_REQUEST_LOG, TRACE_LOG,  # ours, first where people look
    SENTIMENT_LOG, POST_ACTIVITY_LOG, PROFILE_RELATIONSHIP_LOG, ORDER_LOG, YT_ACTIVITY_LOG, ASSET_LOG,
    CREATOR_FOLLOWER_SCORE, PARTNER_ACTIVITY_LOG, AFFILIATE_ORDER_EVENT, BIGBOSS_VOTE_LOG,
    APP_EVENT, CLICK_EVENT, APP_INIT_EVENT, LAUNCH_REFER_EVENT, ERROR_EVENT,
    AB_ASSIGNMENT, BRANCH_EVENT, WEBENGAGE_EVENT, SHOPIFY_EVENT, GRAPHY_EVENT, ENTITY_METRIC,
)  # fmt: skip

BINDINGS: tuple[Binding, ...] = (
    *(binding for event_type in EVENT_TYPES for binding in event_type.bindings),
    *(binding for queue in QUEUES for binding in queue.bindings),
)
"""All of them, apart from those of the error queues."""
ERROR_BINDINGS = error_bindings(BINDINGS)
"""Of the error queue of each of their queues."""

encode = msgspec.json.Encoder().encode
"""An event as one line of JSON (msgspec escapes newlines inside strings)."""


def timestamp(at: dt.datetime) -> str:
    """An aware time as events carry it."""
    iso: str = msgspec.to_builtins(at.astimezone(dt.UTC))  # ends with Z; a third of the cost of isoformat
    return f"{iso[:10]} {iso[11:-1]}" if at.microsecond else f"{iso[:10]} {iso[11:-1]}.000000"
