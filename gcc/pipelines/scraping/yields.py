"""What a flow makes of what it retrieved: rows of current state, and the events that tell of them. Pure."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gcc.channels.message import Frame, NewId
from gcc.pipelines.events.emit import (
    activity_frames,
    channel_activity_frames,
    order_frames,
    post_frames,
    profile_frames,
    relation_frames,
)
from gcc.platforms import Platform
from gcc.sources.snapshot import (
    Activity,
    ChannelActivity,
    Found,
    Order,
    PostSnapshot,
    ProfileSnapshot,
    Relation,
    Seen,
    Sheet,
)
from gcc.tables import Row, Table, Types, Upsert


@dataclass(frozen=True, slots=True)
class Yield:
    """`data` is kept with the job, for people; `notes` tell what was odd in the answer, by path.

    `objects` are stored before all else is committed; {job} in a key is the job's id. `rest`: see `Found`.
    """

    writes: Sequence[Upsert]
    frames: Sequence[Frame]
    data: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()
    objects: Mapping[str, bytes] = field(default_factory=dict)
    rest: Mapping[str, Any] | None = None


Yields = Callable[[Any, NewId], Yield]
"""Turns what a flow's sources retrieve into what is committed. An exception is a bug, and costs the job an attempt."""

SEEN: Types = {"source": "text", "scraped_at": "timestamptz"}
TRACKED_PROFILE = Table("tracked_profile", key={"platform": "text", "profile_id": "text"}, latest={"handle": "text"})
"""What the platform follows; a new handle replaces the old one."""
PROFILE_RELATIONSHIP = Table(
    "profile_relationship",
    key=dict.fromkeys(("platform", "source_profile_id", "target_profile_id", "relationship_type"), "text"),
    first={"first_seen_at": "timestamptz"},
    latest=SEEN,
    known=dict.fromkeys(("source_handle", "target_handle"), "text"),
    newer="scraped_at",
    stamp="updated_at",
)
POST_ACTIVITY_LOG = Table(
    "post_activity_log",
    key=dict.fromkeys(("platform", "activity_id"), "text"),
    first=dict.fromkeys(("activity_type", "post_id"), "text"),
    latest={**dict.fromkeys(("shortcode", "actor_profile_id"), "text"), **SEEN},
    known={
        **dict.fromkeys(("profile_id", "actor_handle", "text", "parent_id"), "text"),
        **dict.fromkeys(("likes", "replies"), "bigint"),
        "publish_time": "timestamptz",
    },
    newer="scraped_at",
    stamp="updated_at",
)
YOUTUBE_ACTIVITY = Table(
    "youtube_activity",
    key={"activity_id": "text"},
    latest={
        **dict.fromkeys(("channel_id", "activity_type"), "text"),
        "publish_time": "timestamptz",
        **dict.fromkeys(("metrics", "dimensions"), "jsonb"),
        **SEEN,
    },
    newer="scraped_at",
    stamp="updated_at",
)
ORDER = Table(
    "order",
    key=dict.fromkeys(("store", "platform_order_id"), "text"),
    latest={
        **dict.fromkeys(("status", "currency"), "text"),
        "placed_at": "timestamptz",
        "total_price": "double precision",
        **dict.fromkeys(("metrics", "dimensions"), "jsonb"),
        **SEEN,
    },
    newer="scraped_at",
    stamp="updated_at",
)


def insights_table(platform: Platform) -> Table:
    """What the owners of profiles are told of them."""
    return Table(
        f"{platform.name.lower()}_profile_insights",
        key={platform.profile_id: "text"},
        latest={**dict.fromkeys(("metrics", "dimensions"), "jsonb"), **SEEN},
        known={"handle": "text"},
        newer="scraped_at",
        stamp="updated_at",
    )


def of_profile(platform: Platform, profile: ProfileSnapshot, new_id: NewId) -> Yield:
    """A profile, with its averages where they were derived, its posts, and its place in the list of followed ones."""
    account = {
        **profile.dimensions,
        **profile.metrics,
        "id": new_id(),
        platform.profile_id: profile.profile_id,
        "handle": profile.handle,
        "state": "private" if profile.dimensions.get("is_private") else "active",
        **_seen(profile),
    }
    tracked = {"platform": platform.name, "profile_id": profile.profile_id, "handle": profile.handle}
    return Yield(
        [
            Upsert(platform.account, [_columns(platform.account, account)]),
            _posts(platform, profile.posts),
            Upsert(TRACKED_PROFILE, [tracked]),
        ],
        [*profile_frames(platform, profile, new_id), *post_frames(profile.posts, new_id)],
        {"profile_id": profile.profile_id, "handle": profile.handle, "posts": len(profile.posts)},
        profile.notes,
    )


def of_posts(platform: Platform, found: Found[Sequence[PostSnapshot]], new_id: NewId) -> Yield:
    """Posts of anybody, with whatever figures are told: an owner's insights, too."""
    return _all(found, "posts", _posts(platform, found.items), post_frames(found.items, new_id))


def of_profile_insights(table: Table, platform: Platform, profile: ProfileSnapshot, new_id: NewId) -> Yield:
    """What the owner of a profile is told of it, into `table`: see `insights_table`."""
    row = {
        platform.profile_id: profile.profile_id,
        "handle": profile.handle or None,
        "metrics": profile.metrics,
        "dimensions": profile.dimensions,
        **_seen(profile),
    }
    told = {"profile_id": profile.profile_id, "metrics": len(profile.metrics)}
    return Yield([Upsert(table, [row])], profile_frames(platform, profile, new_id), told, profile.notes)


def of_relations(found: Found[Sequence[Relation]], new_id: NewId) -> Yield:
    """Who follows whom."""
    rows = [
        {
            "platform": each.platform,
            "source_profile_id": each.person.profile_id,
            "target_profile_id": each.target.profile_id,
            "relationship_type": each.kind,
            "first_seen_at": each.at,
            "source_handle": each.person.handle or None,
            "target_handle": each.target.handle or None,
            **_seen(each),
        }
        for each in found.items
    ]
    return _all(found, "relations", Upsert(PROFILE_RELATIONSHIP, rows), relation_frames(found.items, new_id))


def of_activities(found: Found[Sequence[Activity]], new_id: NewId) -> Yield:
    """Who commented or liked."""
    rows = [
        {
            "platform": each.platform,
            "activity_id": each.activity_id,
            "activity_type": each.kind,
            "post_id": each.post_id,
            "shortcode": each.shortcode,
            "profile_id": each.profile_id or None,
            "actor_profile_id": each.actor.profile_id,
            "actor_handle": each.actor.handle or None,
            "text": each.dimensions.get("text"),
            "parent_id": each.dimensions.get("parent_id"),
            "likes": each.metrics.get("likes"),
            "replies": each.metrics.get("replies"),
            "publish_time": each.publish_time,
            **_seen(each),
        }
        for each in found.items
    ]
    return _all(found, "activities", Upsert(POST_ACTIVITY_LOG, rows), activity_frames(found.items, new_id))


def of_channel_activities(found: Found[Sequence[ChannelActivity]], new_id: NewId) -> Yield:
    """What a channel did."""
    rows = [
        {
            "activity_id": each.activity_id,
            "activity_type": each.kind,
            "channel_id": each.channel_id,
            "publish_time": each.publish_time,
            "metrics": each.metrics,
            "dimensions": each.dimensions,
            **_seen(each),
        }
        for each in found.items
    ]
    return _all(found, "activities", Upsert(YOUTUBE_ACTIVITY, rows), channel_activity_frames(found.items, new_id))


def of_orders(found: Found[Sequence[Order]], new_id: NewId) -> Yield:
    """Orders of a shop."""
    rows = [
        {
            "store": each.store,
            "platform_order_id": each.order_id,
            "placed_at": each.placed_at,
            "status": each.dimensions.get("status"),
            "currency": each.dimensions.get("currency"),
            "total_price": each.metrics.get("total_price"),
            "metrics": each.metrics,
            "dimensions": each.dimensions,
            **_seen(each),
        }
        for each in found.items
    ]
    return _all(found, "orders", Upsert(ORDER, rows), order_frames(found.items, new_id))


EXPORT = "exports/{job}.csv"


def of_sheet(found: Found[Sheet], new_id: NewId) -> Yield:
    """A table as a CSV object, with its header also where it has no rows."""
    data = {"rows": len(found.items.rows), **_partial(found)}
    return Yield([], [], data, found.notes, {EXPORT: csv_of(found.items)})


def csv_of(sheet: Sheet) -> bytes:
    """RFC 4180, in UTF-8. A text that a spreadsheet would take for a formula gets an apostrophe before it."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(sheet.header)
    writer.writerows([_cell(value) for value in row] for row in sheet.rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _posts(platform: Platform, posts: Sequence[PostSnapshot]) -> Upsert:
    rows = [
        {
            **post.dimensions,
            **post.metrics,
            "shortcode": post.shortcode,
            "publish_time": post.publish_time,
            platform.profile_id: post.profile_id or None,
            platform.post_id: post.post_id,
            **_seen(post),
        }
        for post in posts
    ]
    return Upsert(platform.post, [_columns(platform.post, row) for row in rows])


def _all(found: Found[Any], noun: str, write: Upsert, frames: Sequence[Frame]) -> Yield:
    return Yield([write], frames, {noun: len(found.items), **_partial(found)}, found.notes, rest=found.rest)


def _seen(shown: Seen) -> Row:
    return {"source": shown.source, "scraped_at": shown.at}


def _partial(found: Found[Any]) -> dict[str, Any]:
    return {"partial": found.partial} if found.partial else {}


def _columns(table: Table, known: Row) -> Row:
    """What the table has columns for: events carry the rest."""
    return {name: known[name] for name in table.columns if name in known}
