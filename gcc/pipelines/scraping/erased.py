"""What a crawl found without those who are not to be stored. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from gcc.sources.snapshot import OTHERS, Activity, ChannelActivity, Found, PostSnapshot, ProfileSnapshot, Relation
from gcc.stores.erasures import Leaving

T = TypeVar("T")


def spared(found: Any, erased: Leaving) -> Any | None:
    """What is left of what a flow retrieved; None: all of it is of one who is not to be stored."""
    if not erased.ids:
        return found
    match found:
        case ProfileSnapshot():
            return None if _tells_of(found, erased) else _without(found, erased)
        case Found(items=list() as items):
            return replace(found, items=_kept(items, erased))
    return found


def _kept(items: Sequence[T], erased: Leaving) -> list[T]:
    return [_without(item, erased) for item in items if not _tells_of(item, erased)]


def _tells_of(item: Any, erased: Leaving) -> bool:
    """Who is known by a handle alone is whoever has, or had, that."""
    return any(
        profile_id in erased.ids or (not profile_id and handle.lower() in erased.names)
        for profile_id, handle in _persons(item)
    )


def _persons(item: Any) -> tuple[tuple[str, str], ...]:
    """The profiles that it tells of: (id, handle), "" where it is not told."""
    match item:
        case ProfileSnapshot() | PostSnapshot():
            return ((item.profile_id, item.handle),)
        case Relation():
            return (item.person.profile_id, item.person.handle), (item.target.profile_id, item.target.handle)
        case Activity():
            return (item.profile_id, ""), (item.actor.profile_id, item.actor.handle)
        case ChannelActivity():
            return ((item.channel_id, ""),)
    return ()


def _without(item: Any, erased: Leaving) -> Any:
    """The same, which names them no more."""
    match item:
        case ProfileSnapshot():
            return replace(item, posts=_kept(item.posts, erased), more=spared(item.more, erased))
        case PostSnapshot() if any(item.dimensions.get(name) for name in OTHERS):
            lists = {name: item.dimensions[name] for name in OTHERS if isinstance(item.dimensions.get(name), list)}
            kept = {name: [each for each in listed if not _names(each, erased)] for name, listed in lists.items()}
            return replace(item, dimensions={**item.dimensions, **kept})
    return item


def _names(word: Any, erased: Leaving) -> bool:
    return isinstance(word, str) and word.lower() in erased.names
