"""What ClickHouse holds of PostgreSQL, row by row: `beat_replica` of the crawls, `coffee_replica` of the tenants.

A row of this table says which rows follow which, and what is read: each column of the replica (sql/clickhouse) is the
source's of that name, or `derived` from the source's row `it`. What is `left_out` is never read: secrets, addresses of
people, and what may hold one because people write it. A test keeps both lists whole: a column that comes to be in the
source is decided on here.
"""

from collections.abc import Sequence

from gcc.actors.replicated import ReplicatedTable
from gcc.platforms.instagram import INSTAGRAM
from gcc.platforms.youtube import YOUTUBE

_ID = {"id": "uuid"}
_HAS = {
    "has_email": "coalesce(it.email, '') <> ''",
    "has_phone": "coalesce(it.phone, '') <> ''",
}
_ADDRESSES = ("email", "phone")
_DERIVED = ("derived_at", "grade", "growth_7d", "growth_30d", "growth_90d")  # what models made of it
_SHARED = {"is_shared": "it.share_id is not null"}
_SHARE = ("share_id", "share_expires_at")  # whoever knows the id may read

_NUMBERS = (
    "coalesce((select jsonb_object_agg(part, figure) from jsonb_each(value) as parts (part, figure)"
    " where jsonb_typeof(figure) = 'number'), '{}')"
)
_OBJECT = "jsonb_each(case jsonb_typeof(it.{0}) when 'object' then it.{0} else '{{}}' end) as each (name, value)"
_SEEN_ON = "(it.scraped_at at time zone 'UTC')::date::text"
_OF_INSIGHTS = f"""
from (
    select name as metric, {_SEEN_ON} as period_end, value, '{{}}'::jsonb as breakdown
    from {_OBJECT.format("metrics")}
    where jsonb_typeof(value) = 'number' and not coalesce(it.dimensions ? (name || '_by_end_time'), false)
    union all
    select name, {_SEEN_ON}, null, {_NUMBERS}
    from {_OBJECT.format("dimensions")}
    where jsonb_typeof(value) = 'object' and right(name, 12) <> '_by_end_time'
    union all
    select left(name, -12), left(ends, 10), figure, '{{}}'
    from {_OBJECT.format("dimensions")}
    cross join jsonb_each(case jsonb_typeof(value) when 'object' then value else '{{}}' end) as series (ends, figure)
    where right(name, 12) = '_by_end_time' and jsonb_typeof(figure) = 'number'
        and ends ~ '^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}'
) as told"""  # noqa: S608
"""A row of insights holds all metrics: here each is a row, of a series each end; else it ends when it is seen."""
_INSIGHTS = {name: f"told.{name}" for name in ("metric", "period_end", "value", "breakdown")}
_IN_INSIGHTS = ("metrics", "dimensions")

_UUID = "'^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'"


def _tenants(name: str, derived: dict[str, str] | None = None, left_out: Sequence[str] = ()) -> ReplicatedTable:
    return ReplicatedTable(f"coffee_replica.{name}", name, _ID, derived or {}, left_out, soft=True)


def _curated(platform: str) -> ReplicatedTable:
    return ReplicatedTable(
        f"coffee_replica.view_{platform.lower()}_account_lite",
        "curated_account",
        {"profile_id": "text"},
        left_out=("platform", "curated_by", "hides_contacts"),
        where=f"it.platform = '{platform}'",
        platform=platform,
        soft=True,
    )


REPLICAS: Sequence[ReplicatedTable] = (
    ReplicatedTable(
        "beat_replica.instagram_account",
        "instagram_account",
        {"profile_id": "text"},
        _HAS,
        (*_ADDRESSES, *_DERIVED),
        platform=INSTAGRAM.name,
    ),
    ReplicatedTable(
        "beat_replica.youtube_account",
        "youtube_account",
        {"channel_id": "text"},
        left_out=_DERIVED,
        platform=YOUTUBE.name,
    ),
    ReplicatedTable(
        "beat_replica.instagram_post_simple", "instagram_post", {"post_id": "text"}, platform=INSTAGRAM.name
    ),
    ReplicatedTable("beat_replica.youtube_post_simple", "youtube_post", {"video_id": "text"}, platform=YOUTUBE.name),
    ReplicatedTable(
        "beat_replica.instagram_profile_insights",
        "instagram_profile_insights",
        {"profile_id": "text"},
        _INSIGHTS,
        _IN_INSIGHTS,
        more=_OF_INSIGHTS,
        more_key=("metric", "period_end"),
        platform=INSTAGRAM.name,
    ),
    ReplicatedTable(
        "beat_replica.youtube_profile_insights",
        "youtube_profile_insights",
        {"channel_id": "text"},
        _INSIGHTS,
        _IN_INSIGHTS,
        more=_OF_INSIGHTS,
        more_key=("metric", "period_end"),
        platform=YOUTUBE.name,
    ),
    ReplicatedTable("beat_replica.post_activity_log", "post_activity_log", {"platform": "text", "activity_id": "text"}),
    ReplicatedTable(
        "beat_replica.profile_log",
        "profile_log",
        {"event_id": "uuid"},
        {"dimensions": "(it.dimensions - array['email', 'phone', 'public_email', 'public_phone_number'])::text"},
        left_out=("origin",),
    ),
    ReplicatedTable(
        "beat_replica.credential",
        "credential",
        _ID,
        left_out=("credentials", "sealed", "key_id", "given", "handle", "reason", "renewing_at", "probed_at"),
    ),
    ReplicatedTable(
        "beat_replica.scrape_request_log",
        "scrape_request_log",
        _ID,
        {"error_code": "it.data ->> 'code'"},
        ("idempotency_key", "data", "lease_until", "awaited", "lost"),
    ),
    ReplicatedTable("beat_replica.asset_log", "asset_log", _ID, left_out=("source_url",)),
    _tenants("profile_collection", _SHARED, _SHARE),
    _tenants("profile_collection_item", left_out=("custom_data",)),
    _tenants("post_collection", _SHARED, _SHARE),
    _tenants("post_collection_item", left_out=("custom_data",)),
    _tenants("keyword_collection", left_out=("job_id", "report_key")),
    _tenants(
        "collection_group",
        {
            "collection_ids": "(select coalesce(array_agg(lower(each)), '{}')"  # noqa: S608
            f" from jsonb_array_elements_text(it.collection_ids) as each where lower(each) ~ {_UUID})"
        },
    ),
    _tenants("campaign_profiles", _HAS, (*_ADDRESSES, "notes")),
    _tenants("collection_analytics"),
    _tenants("activity_tracker", left_out=("key_id", "thing_id", "request_id", "metadata")),
    ReplicatedTable("coffee_replica.partner", "partner", {"id": "bigint"}, left_out=("limits",), soft=True, kept=True),
    _tenants("partner_contract"),
    _tenants("partner_usage", left_out=("told",)),
    _tenants("partner_profile_page_track"),
    _tenants("social_link"),
    _curated(INSTAGRAM.name),
    _curated(YOUTUBE.name),
)
