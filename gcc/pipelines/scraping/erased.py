"""What a crawl found without those who are not to be stored. Pure."""

from collections.abc import Set
from dataclasses import replace
from typing import Any

from gcc.sources.snapshot import Activity, ChannelActivity, Found, PostSnapshot, ProfileSnapshot, Relation


def spared(found: Any, erased: Set[str]) -> Any | None:
    """What is left of what a flow retrieved; None: all of it is of one who is not to be stored."""
    match found:
        case ProfileSnapshot():
            return None if found.profile_id in erased else found
        case Found(items=list() as items):
            return replace(found, items=[item for item in items if erased.isdisjoint(_persons(item))])
    return found


def _persons(item: Any) -> tuple[str, ...]:
    """The ids of the profiles that it tells of."""
    match item:
        case ProfileSnapshot() | PostSnapshot():
            return (item.profile_id,)
        case Relation():
            return item.person.profile_id, item.target.profile_id
        case Activity():
            return item.profile_id, item.actor.profile_id
        case ChannelActivity():
            return (item.channel_id,)
    return ()
