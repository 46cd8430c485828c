"""One id for each account and each post of Instagram, whichever source told of it. Pure.

Instagram's own id (ig_id, pk) is what those tell who scrape it; the Graph API has another one (fbid) for the same.
A post's shortcode is its own id, written to the base of 64: so posts go by that. Of accounts some tell both ids; else
our rows tell who is meant, see `gcc.sources.known.Known.names_of`. One that nobody knew before goes by its fbid, where
it is told, else by its ig_id, and keeps that id.
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from gcc.platforms import INSTAGRAM
from gcc.sources.instagram.graph_errors import SOURCE as GRAPH
from gcc.sources.snapshot import Activity, Found, Person, PostSnapshot, ProfileSnapshot, Relation

T = TypeVar("T")
_GRAPH_ID = re.compile(r"1784[0-9]{13}")
_GRAPH_MEDIA_ID = re.compile(r"1[78][0-9]{15}")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_VALUES = {letter: value for value, letter in enumerate(_LETTERS)}
_SHORTCODE_CHARS = range(9, 12)  # of ids that hold their time, as all do since 2011
_KEY_CHARS = 28  # follow the shortcode of a private account's post


@dataclass(frozen=True, slots=True)
class Told:
    """An account as a source told of it at `at`: `id` is the one that it told, "" or None what it did not tell.

    `about`: the fbid as somebody's program rounded it, as far as a double goes. `post_ids`: of some of its posts.
    """

    id: str
    handle: str
    at: dt.datetime
    ig_id: str | None
    fbid: str | None
    about: float | None = None
    post_ids: tuple[str, ...] = ()


def is_fbid(profile_id: str) -> bool:
    """Whether it is an account's id in the Graph API."""
    return _GRAPH_ID.fullmatch(profile_id) is not None


def may_be(fbid: str, dimensions: Mapping[str, Any]) -> bool:
    """Whether a profile with these dimensions can be the one of this id in the Graph API: nothing there denies it."""
    own, about = dimensions.get("fbid"), dimensions.get("fbid_about")
    return own == fbid if own else not about or float(about) == float(fbid)


def media_id(shortcode: str) -> str | None:
    """Instagram's own id of the post with this shortcode; None where it is no shortcode that tells it."""
    code = shortcode[:-_KEY_CHARS] if len(shortcode) > _KEY_CHARS else shortcode
    if len(code) not in _SHORTCODE_CHARS:
        return None
    number = 0
    for letter in code:
        if (value := _VALUES.get(letter)) is None:
            return None
        number = number << 6 | value
    return str(number)


def shortcode_of(post_id: str) -> str | None:
    """The shortcode of the post with this id of Instagram's own; None where it is another one."""
    number = int(post_id) if post_id.isascii() and post_id.isdecimal() and len(post_id) <= 20 else 0
    number, code = 0 if _GRAPH_MEDIA_ID.fullmatch(post_id) else number, ""
    while number:
        number, value = divmod(number, len(_LETTERS))
        code = _LETTERS[value] + code
    return code if len(code) in _SHORTCODE_CHARS else None


def told(found: Any) -> list[Told]:
    """The accounts that an answer tells of, each once."""
    return list({each.id: each for each in reversed(list(_told(found))) if each.id}.values())


def named(found: Any, names: Mapping[str, str]) -> Any:
    """The answer with the ids that we have for what it tells of; `names`: of the accounts that our rows know."""
    called = {each.id: names.get(each.id) or each.fbid or each.id for each in told(found)}
    match found:
        case ProfileSnapshot():
            (own,) = (each for each in _told(replace(found, posts=[], more=None)))
            ids = {name: value for name, value in (("ig_id", own.ig_id), ("fbid", own.fbid)) if value}
            odd = dict.fromkeys(found.dimensions.keys() & {"ig_id", "fbid"})
            return replace(
                found,
                profile_id=called.get(found.profile_id, found.profile_id),
                dimensions={**found.dimensions, **odd, **ids},
                posts=[_named(post, called) for post in found.posts],
                more=found.more and replace(found.more, items=[_named(post, called) for post in found.more.items]),
            )
        case Found(items=list() as items):
            return replace(found, items=[_named(item, called) for item in items])
    return found


def _told(found: Any) -> Iterator[Told]:
    match found:
        case ProfileSnapshot():
            posts = [*found.posts, *(found.more.items if found.more else ())]
            post_ids = tuple(media_id(post.shortcode) or post.post_id for post in found.posts)
            yield _account(found.profile_id, found.handle, found.dimensions, found.at, post_ids)
            yield from _all(post for post in posts if post.profile_id != found.profile_id)
        case Found(items=list() as items):
            yield from _all(items)


def _all(items: Iterable[Any]) -> Iterator[Told]:
    for item in items:
        match item:
            case PostSnapshot():
                yield _account(item.profile_id, item.handle, {}, item.at)
            case Relation():
                for person in (item.person, item.target):
                    yield _account(person.profile_id, person.handle, person.dimensions, item.at)
            case Activity():
                yield _account(item.actor.profile_id, item.actor.handle, item.actor.dimensions, item.at)
                yield _account(item.profile_id, "", {}, item.at)


def _account(
    own: str, handle: str, dimensions: Mapping[str, Any], at: dt.datetime, post_ids: tuple[str, ...] = ()
) -> Told:
    fbid, ig_id, about = (dimensions.get(name) for name in ("fbid", "ig_id", "fbid_about"))
    fbid = own if is_fbid(own) else fbid if isinstance(fbid, str) and is_fbid(fbid) else None
    ig_id = own if not is_fbid(own) else ig_id if isinstance(ig_id, str) and INSTAGRAM.is_id(ig_id) else None
    return Told(own, handle, at, ig_id or None, fbid, float(about) if about and not fbid else None, post_ids)


def _named(item: Any, called: Mapping[str, str]) -> Any:
    match item:
        case PostSnapshot():
            own = media_id(item.shortcode) or item.post_id
            fbid = {"fbid": item.post_id} if item.source == GRAPH and own != item.post_id else {}
            profile_id = called.get(item.profile_id, item.profile_id)
            return replace(item, post_id=own, profile_id=profile_id, dimensions={**item.dimensions, **fbid})
        case Relation():
            return replace(item, person=_person(item.person, called), target=_person(item.target, called))
        case Activity():
            actor = _person(item.actor, called)
            post_id = media_id(item.shortcode) or item.post_id
            like = f"{post_id or item.shortcode}:{actor.profile_id}"
            return replace(
                item,
                activity_id=like if item.kind == "like" else item.activity_id,
                post_id=post_id,
                profile_id=called.get(item.profile_id, item.profile_id),
                actor=actor,
            )
    return item


def _person(person: Person, called: Mapping[str, str]) -> Person:
    return replace(person, profile_id=called.get(person.profile_id, person.profile_id))
