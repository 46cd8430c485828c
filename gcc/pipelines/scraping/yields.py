"""What a flow makes of what it retrieved: rows of current state, and the events that tell of them. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gcc.channels.message import Frame, NewId
from gcc.pipelines.events.emit import crawl_frames
from gcc.platforms import Platform
from gcc.sources.snapshot import ProfileSnapshot, derive
from gcc.tables import Row, Table, Upsert


@dataclass(frozen=True, slots=True)
class Yield:
    """`data` is kept with the job, for people; `notes` tell what was odd in the answer, by path."""

    writes: Sequence[Upsert]
    frames: Sequence[Frame]
    data: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()


Yields = Callable[[Any, NewId], Yield]
"""Turns what a flow's sources retrieve into what is committed. An exception is a bug, and costs the job an attempt."""

TRACKED_PROFILE = Table("tracked_profile", key={"platform": "text", "profile_id": "text"}, latest={"handle": "text"})
"""What the platform follows; a new handle replaces the old one."""


def of_profile(platform: Platform, profile: ProfileSnapshot, new_id: NewId) -> Yield:
    """A profile with its averages, its posts, and its place in the list of followed profiles."""
    derived = derive(profile)
    account = {
        **derived.dimensions,
        **derived.metrics,
        "id": new_id(),
        platform.profile_id: derived.profile_id,
        "handle": derived.handle,
        "source": derived.source,
        "scraped_at": derived.at,
    }
    posts = [
        {
            **post.dimensions,
            **post.metrics,
            "shortcode": post.shortcode,
            "publish_time": post.publish_time,
            platform.profile_id: derived.profile_id,
            platform.post_id: post.post_id,
            "source": derived.source,
            "scraped_at": derived.at,
        }
        for post in derived.posts
    ]
    tracked = {"platform": platform.name, "profile_id": derived.profile_id, "handle": derived.handle}
    return Yield(
        [
            Upsert(platform.account, [_columns(platform.account, account)]),
            Upsert(platform.post, [_columns(platform.post, post) for post in posts]),
            Upsert(TRACKED_PROFILE, [tracked]),
        ],
        crawl_frames(platform, derived, new_id),
        {"profile_id": derived.profile_id, "handle": derived.handle, "posts": len(derived.posts)},
        derived.notes,
    )


def _columns(table: Table, known: Row) -> Row:
    """What the table has columns for: events carry the rest."""
    return {name: known[name] for name in table.columns if name in known}
