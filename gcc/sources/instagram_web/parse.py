"""Answers of Instagram's web and private APIs, whoever handed them on, as snapshots. Pure.

Each function takes decoded JSON and finds what it is named for, see shapes.py: a count that is absent or -1 is None,
a field of a wrong type is None and noted by its path, an item without its id is left out and noted. An answer without
what was asked for is OddAnswer naming the path; one that says there is none (null) is NotFound.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from gcc.platforms import INSTAGRAM
from gcc.sources.fields import ID_CHARS_MAX, Fields, parsed
from gcc.sources.instagram.hashtags import hashtags
from gcc.sources.instagram_web import shapes
from gcc.sources.instagram_web.shapes import Path, beside, counts, first, identity, opened, seek
from gcc.sources.paging import Page
from gcc.sources.snapshot import Activity, Metrics, Person, PostSnapshot, ProfileSnapshot, Relation
from gcc.sources.verdicts import NotFound, OddAnswer

T = TypeVar("T")
NO_PROFILE, NO_POST, NO_HASHTAG = "PROFILE_NOT_FOUND", "POST_NOT_FOUND", "HASHTAG_NOT_FOUND"
_NO_STORIES = "STORIES_NOT_FOUND"
NOBODY = Person("")
_KINDS = {1: "image", 2: "video", 8: "carousel"}  # media_type of the private API
_TYPES = {"Sidecar": "carousel", "Image": "image", "Video": "video"}  # a part of the web API's __typename


def profile(decoded: Any, source: str, at: dt.datetime, asked: str = "") -> ProfileSnapshot:
    """The profile, with the posts that stand beside it; `asked` is its handle where the answer tells none."""
    root = opened(decoded, source)
    user = seek(root, shapes.USER, itself=("username",), absent=NO_PROFILE)[0].thing
    profile_id = identity(user, shapes.USER_IDS)
    handle = shapes.handle(user) or asked
    shown = parsed(beside(user, shapes.OWN_MEDIAS), partial(_post, owner=Person(profile_id, handle), at=at))
    return ProfileSnapshot(
        platform=INSTAGRAM.name,
        profile_id=profile_id,
        handle=handle,
        source=source,
        at=at,
        metrics=counts(user, shapes.USER_METRICS),
        dimensions={"handle": handle, **_dimensions(user)},
        posts=list({each.post_id: each for each in shown}.values()),
        notes=root.notes,
    )


def posts(
    decoded: Any, source: str, at: dt.datetime, owner: Person = NOBODY, sought: Sequence[Path] = shapes.MEDIAS
) -> Page[PostSnapshot]:
    """A page of posts, of `owner` where a post tells none."""
    absent = NO_HASHTAG if sought is shapes.HASHTAG else NO_PROFILE
    return _page(decoded, source, sought, partial(_post, owner=owner, at=at), absent)


def tagged(decoded: Any, source: str, at: dt.datetime) -> Page[PostSnapshot]:
    """A page of others' posts in which a profile is tagged."""
    return posts(decoded, source, at, sought=shapes.TAGGED)


def hashtag(decoded: Any, source: str, at: dt.datetime) -> Page[PostSnapshot]:
    """A page of the posts with a hashtag, its top posts too."""
    return posts(decoded, source, at, sought=shapes.HASHTAG)


def post(decoded: Any, source: str, at: dt.datetime, owner: Person = NOBODY) -> PostSnapshot:
    """One post. Its answer is odd, too, where it is an empty list."""
    root = opened(decoded, source)
    return _post(seek(root, shapes.MEDIA, itself=("code", "shortcode"), absent=NO_POST)[0].thing, owner, at)


def stories(decoded: Any, source: str, at: dt.datetime, owner: Person = NOBODY) -> Page[PostSnapshot]:
    """What a profile shows for a day, or its highlights; null and {} are none."""
    root = opened(decoded, source)
    found: list[PostSnapshot] = []
    for reel in _reels(root):
        shown_by = _owner(reel, owner)
        found += parsed(reel.objects("items"), partial(_post, owner=shown_by, at=at, story=True))
    return Page(found, None, root.notes)


def followers(decoded: Any, source: str, at: dt.datetime, target: Person) -> Page[Relation]:
    """A page of those who follow `target`."""

    def follows(user: Fields) -> Relation:
        return Relation(INSTAGRAM.name, source, at, person=_person(user), target=target)

    return _page(decoded, source, shapes.FOLLOWERS, follows, NO_PROFILE)


def following(decoded: Any, source: str, at: dt.datetime, person: Person) -> Page[Relation]:
    """A page of those whom `person` follows."""

    def follows(user: Fields) -> Relation:
        return Relation(INSTAGRAM.name, source, at, person=person, target=_person(user))

    return _page(decoded, source, shapes.FOLLOWING, follows, NO_PROFILE)


def people(decoded: Any, source: str) -> Page[Person]:
    """A page of profiles, seen beside another one."""
    return _page(decoded, source, shapes.RELATED, _person, NO_PROFILE)


def likers(decoded: Any, source: str, at: dt.datetime, post_id: str, shortcode: str) -> Page[Activity]:
    """A page of those who like a post."""

    def likes(user: Fields) -> Activity:
        actor = _person(user)
        like = f"{post_id or shortcode}:{actor.profile_id}"
        return Activity(INSTAGRAM.name, source, at, like, "like", post_id, shortcode, profile_id="", actor=actor)

    return _page(decoded, source, shapes.LIKERS, likes, NO_POST)


def comments(decoded: Any, source: str, at: dt.datetime, post_id: str, shortcode: str) -> Page[Activity]:
    """A page of a post's comments, each followed by the answers to it that stand there."""

    def thread(comment: Fields, parent_id: str | None = None) -> list[Activity]:
        activity_id = identity(comment, shapes.COMMENT_IDS)
        said = Activity(
            INSTAGRAM.name,
            source,
            at,
            activity_id,
            "comment",
            post_id,
            shortcode,
            profile_id="",
            actor=_owner(comment, NOBODY),
            publish_time=first(comment, shapes.TIME, Fields.epoch),
            metrics=counts(comment, shapes.COMMENT_METRICS),
            dimensions={
                "text": comment.text("text"),
                "parent_id": parent_id or first(comment, (("parent_comment_id",),), Fields.number_or_text),
            },
        )
        answers = [] if parent_id else beside(comment, shapes.ANSWERS)
        return [said, *(each for found in parsed(answers, partial(thread, parent_id=activity_id)) for each in found)]

    page = _page(decoded, source, shapes.COMMENTS, thread, NO_POST)
    return Page([each for found in page.items for each in found], page.after, page.notes, page.partial)


def total(decoded: Any, source: str, sought: Sequence[Path]) -> int | None:
    """How many things the whole list has of which this is a page, where the page tells it."""
    return seek(opened(decoded, source), sought)[0].total


def _page(decoded: Any, source: str, sought: Sequence[Path], parse: Callable[[Fields], T], absent: str) -> Page[T]:
    root = opened(decoded, source)
    places = seek(root, sought, absent=absent)
    items = [item for place in places for item in place.items()]
    found = parsed(items, parse)
    if items and not found:
        raise OddAnswer(f"{source}: none of {len(items)} is what was asked for: {root.notes[-1]}")
    after, why_partial = places[0].next_page()
    return Page(found, after, root.notes, why_partial)


def _post(media: Fields, owner: Person, at: dt.datetime, *, story: bool = False) -> PostSnapshot:
    post_id = identity(media, shapes.MEDIA_IDS)
    code = first(media, shapes.CODE, shapes.text)
    code = code if code and len(code) <= ID_CHARS_MAX else None
    owner = _owner(media, owner)
    caption = first(media, shapes.CAPTION, shapes.text) or _web_caption(media)
    post_type = "story" if story else _post_type(media)
    expires = first(media, shapes.EXPIRES, Fields.epoch)
    metrics = counts(media, shapes.MEDIA_METRICS)
    return PostSnapshot(
        platform=INSTAGRAM.name,
        post_id=post_id,
        shortcode=code or post_id,
        profile_id=owner.profile_id,
        handle=owner.handle,
        source=media.source,
        at=at,
        publish_time=first(media, shapes.TIME, Fields.epoch),
        metrics={**metrics, **_watched(media, post_type, metrics)},
        dimensions={
            "post_type": post_type,
            "caption": caption,
            "hashtags": hashtags(caption or ""),
            "permalink": _permalink(code, post_type, owner.handle, post_id),
            "thumbnail_url": _picture(media),
            **({"expires_at": expires.isoformat()} if expires else {}),
            **_more(media),
        },
    )


def _watched(media: Fields, post_type: str | None, metrics: Metrics) -> dict[str, int | None]:
    """Views and plays. Some write 0 for what they do not know, and for what does not move: none is liked unseen."""
    unseen = post_type not in ("image", "carousel") and not metrics["likes"] and not metrics["comments"]
    return {
        name: first(media, ways, shapes.positive) or (first(media, ways, shapes.count) if unseen else None)
        for name, ways in shapes.WATCHED.items()
    }


def _post_type(media: Fields) -> str | None:
    named = media.text("__typename") or ""
    if "Story" in named:
        return "story"
    if media.text("product_type") == "clips":
        return "reels"
    by_name = next((kind for part, kind in _TYPES.items() if part in named), None)
    by_flag = {True: "video", False: "image", None: None}[media.flag("is_video")]
    return _KINDS.get(media.code("media_type") or 0) or by_name or by_flag


def _permalink(code: str | None, post_type: str | None, handle: str, post_id: str) -> str | None:
    if post_type == "story":
        return f"https://www.instagram.com/stories/{handle}/{post_id}/" if handle else None
    return f"https://www.instagram.com/{'reel' if post_type == 'reels' else 'p'}/{code}/" if code else None


def _more(media: Fields) -> dict[str, Any]:
    """What is told of whom it was made with, who is tagged in it, whether it was paid for, and how long it lasts."""
    told = {
        "collaborators": _handles(media, shapes.COAUTHORS),
        "tagged": _handles(media, shapes.TAGGED_IN),
        "paid_partnership": media.flag("is_paid_partnership"),
        "duration_s": media.number("video_duration"),
    }
    return {name: value for name, value in told.items() if value}


def _handles(media: Fields, ways: Sequence[Path]) -> list[str]:
    found = (first(each, shapes.HANDLE, shapes.text) for each in beside(media, ways))
    return [handle for handle in found if handle]


def _web_caption(media: Fields) -> str | None:
    """The text of the first of `edge_media_to_caption`."""
    said = beside(media, (("edge_media_to_caption",),))
    return said[0].text("text") if said else None


def _picture(media: Fields) -> str | None:
    """Its still: named as such, else the largest candidate, which comes first, else that of an album's first part."""
    if named := first(media, shapes.PICTURE, shapes.text):
        return named
    for way in shapes.PICTURES:
        for part in beside(media, (way,))[:1]:
            return shapes.text(part, "url") or _picture(part)
    return None


def _owner(thing: Fields, otherwise: Person) -> Person:
    """Who posted or said it; of what is not told there, what is known `otherwise`."""
    for (name,) in shapes.OWNER:
        if thing.kind(name) == "an object":
            known = thing.object(name)
            try:
                profile_id = identity(known, shapes.USER_IDS)
            except OddAnswer:
                continue
            handle = shapes.handle(known) or (otherwise.handle if profile_id == otherwise.profile_id else "")
            return Person(profile_id, handle, dimensions=_told(_dimensions(known)))
    return otherwise


def _person(user: Fields) -> Person:
    return Person(
        identity(user, shapes.USER_IDS),
        shapes.handle(user) or "",
        _told(counts(user, shapes.USER_METRICS)),
        _told(_dimensions(user)),
    )


def _dimensions(user: Fields) -> dict[str, Any]:
    texts = {name: first(user, ways, shapes.text) for name, ways in shapes.USER_TEXTS.items()}
    flags = {name: first(user, ways, Fields.flag) for name, ways in shapes.USER_FLAGS.items()}
    return {**texts, **_fbid(user), **flags}


def _fbid(user: Fields) -> dict[str, Any]:
    """Its id in the Graph API: as a number it may have been rounded on its way here, and is told as such."""
    texts = (first(user, (way,), shapes.text) for way in shapes.FBID)
    numbers = [found for way in shapes.FBID if (found := first(user, (way,), Fields.count))]
    fbid = next((found for found in texts if found), None)
    exact = next((str(found) for found in numbers if int(float(found)) != found or found <= 1 << 53), None)
    about = {"fbid_about": str(numbers[0])} if numbers and not (fbid or exact) else {}
    return {"fbid": fbid or exact, **about}


def _told(values: dict[str, T]) -> dict[str, T]:
    """Of another's profile, what is there: it tells little."""
    return {name: value for name, value in values.items() if value is not None}


def _reels(root: Fields) -> list[Fields]:
    try:
        place = seek(root, shapes.REELS, absent=_NO_STORIES)[0]
    except NotFound:
        return []
    holder = place.around[-1]
    match place.key:
        case "items":
            return [holder]
        case "reels" if holder.kind("reels") == "an object":
            reels = holder.object("reels")
            return [reels.object(name) for name in reels if reels.kind(name) == "an object"]
        case key:
            return place.items() if holder.kind(key) == "a list" else [holder.object(key)]
