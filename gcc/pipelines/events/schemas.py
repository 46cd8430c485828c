"""What events look like on the wire, part one: what every event carries, and the logs of crawls and of work.

A schema is strict: types as declared, unknown fields refused (the sink keeps those in `extra`). `v` is its
version. A field with a default may be absent. Times are "YYYY-MM-DD HH:MM:SS.ffffff", UTC (spec/events.md);
ids and times are text here and are checked for what they are by the sink (`Id`, `Time`).
"""

from typing import Annotated, Any

import msgspec

ORIGIN = "gcc"
IMPORTED = "import"
EMITTED_BY = (ORIGIN, IMPORTED)
"""Of the events in counted tables, those that somebody counted when they were committed; others' are not missed."""

Named = Annotated[str, msgspec.Meta(min_length=1)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Id = Annotated[str, msgspec.Meta(title="UUID")]
Time = Annotated[str, msgspec.Meta(title="time, UTC")]
Values = dict[str, Any]


def _whole(least: int, most: int) -> msgspec.Meta:
    return msgspec.Meta(ge=least, le=most)


# Whole numbers as their columns hold them: ClickHouse cuts off the rest of larger ones without a word.
UInt16 = Annotated[int, _whole(0, 2**16 - 1)]
UInt32 = Annotated[int, _whole(0, 2**32 - 1)]
UInt64 = Annotated[int, _whole(0, 2**63 - 1)]  # half of it: more cannot be said here
Int16 = Annotated[int, _whole(-(2**15), 2**15 - 1)]
Int32 = Annotated[int, _whole(-(2**31), 2**31 - 1)]
Int64 = Annotated[int, _whole(-(2**63), 2**63 - 1)]
Metrics = dict[str, int | float | None]


class Event(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=False, kw_only=True):
    """What every event carries. `event_id` is minted once; `origin` says which program emitted it."""

    event_id: Id
    event_timestamp: Time
    v: UInt16 = 1
    origin: str = ORIGIN
    origin_id: str = ""


class ProfileLog(Event):
    source: str
    platform: str
    profile_id: str
    handle: str
    metrics: Metrics
    dimensions: Values


class PostLog(ProfileLog):
    shortcode: str
    post_id: str = ""
    publish_time: Time | None = None


class ScrapeRequestLog(Event, kw_only=True):
    """`seq`, `retry_count`: ours; other producers count no changes of a job."""

    scl_id: str
    seq: UInt32 = 0
    flow: str
    platform: str
    params: Values
    status: str
    priority: Int16
    retry_count: UInt32 = 0
    reason: str | None = None
    picked_at: Time | None = None
    expires_at: Time | None = None


class TraceLog(Event):
    """A request to the outside. `response_status` 0: no answer came; `time_taken` in seconds."""

    id: str
    host_name: str
    service_name: str
    method: str
    uri: str
    headers: dict[str, str]
    request: str
    response_status: Int32
    response_size: Int64
    time_taken: float


class SentimentLog(Event, kw_only=True):
    """What a comment under a post says; `score` is from -1 to 1."""

    source: str = ""
    platform: str = ""
    profile_id: str = ""
    shortcode: str
    comment_id: str
    comment: str
    sentiment: str
    score: float
    metrics: Metrics = {}
    dimensions: Values = {}


class PostActivityLog(Event, kw_only=True):
    """Somebody did something with a post: `activity_type` is comment or like."""

    source: str = ""
    platform: str = ""
    profile_id: str
    shortcode: str
    activity_type: str
    actor_profile_id: str
    publish_time: Time | None = None
    metrics: Metrics = {}
    dimensions: Values = {}


class ProfileRelationshipLog(Event, kw_only=True):
    source: str = ""
    platform: str = ""
    source_profile_id: str
    target_profile_id: str
    relationship_type: str
    source_metrics: Metrics = {}
    source_dimensions: Values = {}
    target_metrics: Metrics = {}
    target_dimensions: Values = {}


class OrderLog(Event, kw_only=True):
    source: str = ""
    platform: str = ""
    platform_order_id: str
    store: str
    metrics: Metrics
    dimensions: Values


class YtActivityLog(Event, kw_only=True):
    source: str = ""
    platform: str = "YOUTUBE"
    activity_id: str
    activity_type: str
    actor_channel_id: str
    publish_time: Time | None = None
    metrics: Metrics = {}
    dimensions: Values = {}


class CreatorFollowerScore(Event, kw_only=True):
    """How credible a creator's follower looks, by the rules of names (`score`: 0 real, 0.33 a weak sign, 1 fake) and by
    the model of accounts (`account_score`, 0 to 1), kept apart. None: nothing is known, and `refused` says why the
    names could not be scored. `event_timestamp`: when it was asked, of two answers that of the later question stands.
    """

    platform: Annotated[str, msgspec.Meta(pattern=r"^(INSTAGRAM|YOUTUBE)\Z")] = "INSTAGRAM"
    profile_id: Named
    handle: str = ""
    follower_profile_id: str = ""
    follower_handle: str
    follower_full_name: str = ""
    score: Share | None = None
    refused: str = ""
    features: Values = {}
    reasons: list[Values] = []
    account: Values = {}
    account_score: Share | None = None
    account_reasons: list[Values] = []
    scorer_version: Named


class AssetLog(Event, kw_only=True):
    """A picture or a film was copied: from `source_url` to `s3_url`, served at `cdn_url`."""

    platform: str = ""
    profile_id: str
    asset_type: str
    s3_url: str
    cdn_url: str
    source_url: str = ""
    bytes: UInt64 = 0
