"""Profiles, their posts and their series as the API reads them.

In: who asks, a platform, a handle (any case; where profiles are known by their ids also the id) or a profile id. Out:
rows as dicts named like the columns, times in UTC, as the plan of who asks sees them (gate.py). Nothing is written.
Raises errors.Transient when the store does not answer; a cancelled caller's query is cancelled.
"""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from psycopg import sql

from gcc import statements
from gcc.platforms import Platform
from gcc.stores import gate
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.gate import Row
from gcc.stores.postgres import Pool
from gcc.stores.tenant import Tenant

SQL = statements.load("discovery")
SERIES_SQL = statements.load("timeseries", Path(statements.SQL) / "clickhouse" / "queries")["series"]

SYNCED_METRICS = {
    "followers": "followers",
    "following": "following",
    "media_count": "media_count",
    "views": "views",
    "engagement_rate": "engagement",
}
"""metric -> column of social_profile_time_series; the only names that get into its SQL."""
EVENT_METRICS = ("likes", "comments", "avg_likes", "avg_comments", "avg_views")
"""Columns of _e.profile_log_events that are not synced; the only names bound as its column."""

ROW_VERSION = "xmin"
"""The column of every table that tells one state of a row from all others, for half of what a time costs to read."""

Points = list[dict[str, str | int | float]]
_SYNCED_SQL = {metric: SQL["series"].format(column=column) for metric, column in SYNCED_METRICS.items()}


@dataclass(frozen=True, slots=True)
class Known:
    """A profile we know of; `scraped_at` is None where only its name is known yet."""

    profile_id: str
    scraped_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Found:
    row: Row
    version: tuple[object, ...]  # changes whenever anything in `row` does


@dataclass(frozen=True, slots=True)
class Columns:
    """What is read of a platform's profiles, of their posts, and of the newest posts beside a profile."""

    profile: tuple[str, ...]
    post: tuple[str, ...]
    figures: tuple[str, ...]


async def find(tenant: Tenant, pool: Pool, platform: Platform, columns: Columns, handle: str) -> Found | None:
    """The profile with its `platform` and its `recent_posts`, or None."""
    rows = await pool.rows(statement("find", platform, (*columns.profile, ROW_VERSION)), {"handle": handle})
    if not rows:
        return None
    row, profile_id = rows[0], rows[0][platform.profile_id]
    posts = await pool.rows(statement("recent", platform, (*columns.figures, ROW_VERSION)), {"profile_id": profile_id})
    contacts = [row.get(name) for name in gate.CONTACTS]  # which change without the row
    figures = [(post[platform.post_id], post.pop(ROW_VERSION)) for post in posts]
    version = profile_id, row.pop(ROW_VERSION), contacts, figures
    (profile,) = gate.seen(tenant.plan, rows)
    return Found({"platform": platform.name, **profile, "recent_posts": gate.seen(tenant.plan, posts)}, version)


async def identify(pool: Pool, platform: Platform, handle: str) -> Known | None:
    """The id behind a handle, crawled or only followed yet; None if nobody has named it."""
    rows = await pool.rows(statement("identify", platform), {"handle": handle})
    return Known(**rows[0]) if rows else None


async def identify_id(pool: Pool, platforms: Iterable[Platform], profile_id: str) -> dict[str, Known]:
    """Platform -> the profile of that id, where one is known."""
    asked = b" union all ".join(statement("known_by_id", platform) for platform in platforms)
    rows = await pool.rows(asked, {"profile_id": profile_id})
    return {row["platform"]: Known(row["profile_id"], row["scraped_at"]) for row in rows}


async def lately_not_found(pool: Pool, key: str, within_s: float) -> str | None:
    """The code of a refresh under this key (gcc.pipelines.scraping.table.refresh_key) that found within `within_s` that
    there is no such profile, or none that is shown."""
    found = await pool.rows(SQL["lately_not_found"], {"key": key, "within_s": within_s})
    return str(found[0]["code"]) if found else None


async def posts(
    tenant: Tenant,
    pool: Pool,
    platform: Platform,
    columns: Columns,
    profile_id: str,
    *,
    after: tuple[dt.datetime | None, str] | None,
    limit: int,
) -> tuple[list[Row], int]:
    """Up to `limit` posts after (publish_time, post id), newest first, and how many there are in all."""
    publish_time, post_id = after or (None, None)
    where = {"profile_id": profile_id, "publish_time": publish_time, "post_id": post_id, "limit": limit}
    rows = await pool.rows(statement("posts", platform, columns.post), where)
    (counted,) = await pool.rows(statement("count_posts", platform), where)
    return gate.seen(tenant.plan, [{"platform": platform.name, **row} for row in rows]), counted["count"]


async def synced_series(
    pool: Pool, platform: str, profile_id: str, metric: str, first: dt.date, last: dt.date, granularity: str
) -> tuple[bytes, dt.datetime | None]:
    """Points of one of SYNCED_METRICS, ascending, as JSON, and the time the synced table is true of (None: never
    synced)."""
    where = {
        "platform": platform,
        "profile_id": profile_id,
        "first": first,
        "last": last,
        "granularity": granularity,
    }
    rows = await pool.rows(_SYNCED_SQL[metric], where)
    return (rows[0]["points"].encode(), rows[0]["as_of"]) if rows else (b"[]", None)


async def event_series(
    clickhouse: ClickHouse,
    platform: str,
    profile_id: str,
    metric: str,
    span: tuple[dt.datetime, dt.datetime],
    granularity: Literal["day", "week", "month"],
    zone: str,
) -> tuple[Points, dt.datetime | None]:
    """Points of one of EVENT_METRICS over span [first, end) by days of `zone`; the newest event's time."""
    if metric not in EVENT_METRICS:
        raise ValueError(f"{metric!r} is no metric of the events")
    first, end = (f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S.%f}" for moment in span)
    rows = await clickhouse.rows(
        SERIES_SQL,
        {
            "platform": platform,
            "profile_id": profile_id,
            "column": metric,
            "first": first,
            "end": end,
            "granularity": granularity,
            "zone": zone,
        },
    )
    newest_us = max((int(row["newest_us"]) for row in rows), default=None)
    newest = None if newest_us is None else dt.datetime.fromtimestamp(newest_us / 1e6, dt.UTC)
    return [{"date": row["bucket"], "value": row["value"]} for row in rows], newest


def accounts(platforms: Iterable[Platform]) -> str:
    """A subquery: platform, profile_id and scraped_at of all profiles that were crawled there."""
    return " union all ".join(statement("accounts", platform).decode() for platform in platforms)


def named(platforms: Iterable[Platform]) -> str:
    """A subquery: profile_id and scraped_at of all that go by asked.handle on asked.platform, a row of the query."""
    return " union all ".join(statement("named", platform).decode() for platform in platforms)


@lru_cache(maxsize=256)
def statement(name: str, platform: Platform, columns: tuple[str, ...] = ()) -> bytes:
    """One of sql/postgres/queries/discovery.sql that names a platform's tables, as `platform` has it."""
    composed = sql.SQL(SQL[name]).format(
        platform=sql.Literal(platform.name),
        account=sql.Identifier(platform.account.name),
        post=sql.Identifier(platform.post.name),
        profile_id=sql.Identifier(platform.profile_id),
        post_id=sql.Identifier(platform.post_id),
        known_by_id=sql.Literal(platform.known_by_id),
        columns=sql.SQL(", ").join(_column(platform, name) for name in columns),
        posts_max=sql.Literal(platform.recent_posts_max),
    )
    return composed.as_bytes()


def _column(platform: Platform, name: str) -> sql.Composable:
    if name not in gate.CONTACTS:
        return sql.Identifier(name)
    return sql.SQL(SQL["contact"]).format(
        platform=sql.Literal(platform.name),
        account=sql.Identifier(platform.account.name),
        profile_id=sql.Identifier(platform.profile_id),
        column=sql.Identifier(name),
    )
