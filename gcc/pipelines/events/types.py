"""Event types: one row each of schema, route, queue and table. The only place that names routes.

A producer encodes an event by `encode`; a sinker reads lines by the type's `schema` (msgspec, strict
types, unknown fields refused so that they can be kept in `extra`). `v` is the schema's version. Times
are "YYYY-MM-DD HH:MM:SS.ffffff", UTC (spec/events.md).
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import msgspec

from gcc.channels.message import Binding, Route

ORIGIN = "gcc"


class Event(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=False, kw_only=True):
    """What every event carries. `event_id` is minted once; `origin` says which program emitted it."""

    event_id: str
    event_timestamp: str
    v: int = 1
    origin: str = ORIGIN
    origin_id: str = ""


class ProfileLog(Event):
    source: str
    platform: str
    profile_id: str
    handle: str
    metrics: dict[str, int | float | None]
    dimensions: dict[str, Any]


class PostLog(ProfileLog):
    shortcode: str
    post_id: str = ""
    publish_time: str | None = None


class ScrapeRequestLog(Event):
    scl_id: str
    seq: int
    flow: str
    platform: str
    params: dict[str, Any]
    status: str
    priority: int
    retry_count: int
    reason: str | None
    picked_at: str | None
    expires_at: str | None


class TraceLog(Event):
    id: str
    host_name: str
    service_name: str
    method: str
    uri: str
    headers: dict[str, str]
    request: str
    response_status: int
    response_size: int
    time_taken: float


@dataclass(frozen=True, slots=True)
class EventType:
    name: str
    route: Route
    queue: str
    table: str
    schema: type[Event]
    counted: bool = True  # False: outside `check` (traces)

    @property
    def binding(self) -> Binding:
        return Binding(self.route, self.queue)


EXCHANGES = {"beat.dx": "direct", "identity.dx": "direct"}
"""The kind of each exchange (spec/events.md)."""

PROFILE_LOG = EventType(
    "profile_log",
    Route("beat.dx", "profile_log_events"),
    "profile_log_events_q",
    "_e.profile_log_events",
    ProfileLog,
)
POST_LOG = EventType(
    "post_log",
    Route("beat.dx", "post_log_events"),
    "post_log_events_q",
    "_e.post_log_events",
    PostLog,
)
SCRAPE_REQUEST_LOG = EventType(
    "scrape_request_log",
    Route("beat.dx", "scrape_request_log_events"),
    "scrape_request_log_events_q",
    "_e.scrape_request_log_events",
    ScrapeRequestLog,
)
TRACE_LOG = EventType(
    "trace_log",
    Route("identity.dx", "trace_log"),
    "trace_log",
    "_e.trace_log_events",
    TraceLog,
    counted=False,
)

EVENT_TYPES: tuple[EventType, ...] = (PROFILE_LOG, POST_LOG, SCRAPE_REQUEST_LOG, TRACE_LOG)

encode = msgspec.json.Encoder().encode
"""An event as one line of JSON (msgspec escapes newlines inside strings)."""


def timestamp(at: dt.datetime) -> str:
    """An aware time as events carry it."""
    return at.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
