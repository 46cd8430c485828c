"""Where things and their values stand in what Instagram's own web and private APIs answer: tables of paths. Pure.

Those who scrape it hand its answers on, bare or wrapped, in its private shape (pk, media_count, next_max_id), its web
shape (edge_followed_by, page_info) or one of their mixtures. So nothing here asks who answered: of several paths the
first one with a value holds.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from gcc.sources.fields import ID_CHARS_MAX, Fields
from gcc.sources.verdicts import NotFound

T = TypeVar("T")
Path = tuple[str, ...]
_DEPTH_MAX = 8  # of wrappings; four are the most that were met


def paths(text: str) -> tuple[Path, ...]:
    return tuple(tuple(each.split(".")) for each in text.split())


# Where things stand, below any wrapping.

WRAPPINGS = frozenset(("response", "body", "data", "graphql", "result"))  # and all like _XDT
_XDT = re.compile(r"(?:\d+\$)?(?:xdt_|(?:multi)?fetch__XDT)")  # in the app with a number before, and arguments after
USER = paths("user.reel.user user broadcast_dict.broadcast_owner")
MEDIA = paths("shortcode_media xdt_shortcode_media media_or_ad media items")
MEDIAS = paths(
    "items medias posts feed_items user.edge_owner_to_timeline_media user.edge_felix_video_timeline"
    " edge_owner_to_timeline_media edge_felix_video_timeline sections edges"
)
TAGGED = paths("user.edge_user_to_photos_of_you edge_user_to_photos_of_you items edges")
HASHTAG = paths(
    "hashtag.edge_hashtag_to_media hashtag.edge_hashtag_to_ranked_media hashtag.edge_hashtag_to_top_posts"
    " edge_hashtag_to_media edge_hashtag_to_ranked_media edge_hashtag_to_top_posts"
    " recent.sections top.sections media_grid.sections sections items medias edges"
)
REELS = paths("reels_media reels reel items edges")
FOLLOWERS = paths("user.edge_followed_by edge_followed_by users items edges")
FOLLOWING = paths("user.edge_follow edge_follow users items edges")
LIKERS = paths("shortcode_media.edge_liked_by xdt_shortcode_media.edge_liked_by edge_liked_by users items edges")
RELATED = paths("user.edge_related_profiles edge_related_profiles users items edges")
COMMENTS = paths(
    "shortcode_media.edge_media_to_parent_comment shortcode_media.edge_media_to_comment"
    " xdt_shortcode_media.edge_media_to_parent_comment comments edge_media_to_parent_comment edge_media_to_comment"
    " items edges"
)
_ITEM_WRAPPINGS = ("node", "media", "media_or_ad")
_SECTION = paths("medias fill_items one_by_two_item.clips.items")  # of layout_content, a row of a hashtag's page

# How a page tells of the next one. A flag of _ENDS ends the list where it is false, whatever cursor stands beside it.

_CURSORS = paths(
    "page_info.end_cursor paging_info.max_id next_max_id next_page_id next_cursor end_cursor next_min_id"
    " pagination_token"
)
_ENDS = paths("page_info.has_next_page paging_info.more_available more_available has_next_page")
_MORE = (*_ENDS, *paths("big_list has_more has_more_comments"))
_LIMITED = "should_limit_list_of_followers"
_CURSOR_CHARS_MAX = 4096
_NAME_CHARS_MAX = 60

# Where a thing's values stand. Of an id, the part before "_": a post's is followed by its owner's. Ids that are
# numbers come last: some who hand them on round what is beyond 2^53.

USER_IDS = ("pk_id", "id", "strong_id__", "pk", "user_id")
COMMENT_IDS = ("id", "strong_id__", "pk")
MEDIA_IDS = ("id", "strong_id__", "pk", "media_id")
Named = Mapping[str, Sequence[Path]]
USER_METRICS: Named = {
    "followers": paths("follower_count followers_count edge_followed_by.count followed_by.count"),
    "following": paths("following_count edge_follow.count follows.count"),
    "media_count": paths("media_count edge_owner_to_timeline_media.count all_media_count media.count"),
}
USER_TEXTS: Named = {
    "full_name": paths("full_name"),
    "bio": paths("biography bio"),
    "profile_pic_url": paths("hd_profile_pic_url_info.url profile_pic_url_hd profile_pic_url profile_picture"),
    "website": paths("external_url"),
    "category": paths("category_name category business_category_name overall_category_name"),
}
FBID = paths("fbid fbid_v2")
"""Its id in the Graph API."""
USER_FLAGS: Named = {
    "is_verified": paths("is_verified"),
    "is_business": paths("is_business is_business_account"),
    "is_private": paths("is_private"),
}
_VIEWS = "view_count video_view_count video_views metrics.view_count"
_PLAYS = "play_count ig_play_count video_play_count metrics.play_count"
WATCHED: Named = {  # newer answers have one of both, which Instagram calls views since 2025
    "views": paths(f"{_VIEWS} {_PLAYS}"),
    "plays": paths(f"{_PLAYS} {_VIEWS}"),
}
MEDIA_METRICS: Named = {
    "likes": paths("like_count edge_media_preview_like.count edge_liked_by.count likes.count metrics.like_count"),
    "comments": paths(
        "comment_count edge_media_to_parent_comment.count edge_media_to_comment.count edge_media_preview_comment.count"
        " comments.count metrics.comment_count"
    ),
    "shares": paths("reshare_count share_count metrics.share_count"),
    "saved": paths("save_count saved_count metrics.save_count"),
    "reposts": paths("media_repost_count repost_count"),
}
COMMENT_METRICS: Named = {
    "likes": paths("comment_like_count like_count edge_liked_by.count"),
    "replies": paths("child_comment_count edge_threaded_comments.count"),
}
OWNER = paths("user owner from")
CODE = paths("code shortcode")
TIME = paths("taken_at taken_at_timestamp taken_at_ts created_at_utc created_at created_time date")
CAPTION = paths("caption_text caption caption.text")
PICTURE = paths("thumbnail_url display_url display_uri thumbnail_src display_src images.standard_resolution.url")
EXPIRES = paths("expiring_at expiring_at_timestamp")
COAUTHORS = paths("coauthor_producers")
TAGGED_IN = paths("usertags.in usertags edge_media_to_tagged_user")
HANDLE = paths("username user.username")
OWN_MEDIAS = paths("edge_owner_to_timeline_media edge_felix_video_timeline media")  # beside a profile
ANSWERS = paths("edge_threaded_comments child_comments preview_child_comments")  # to a comment
PICTURES = paths("image_versions2.candidates image_versions display_resources resources carousel_media")

_KNOWN_COUNTS = frozenset(
    way[0]
    for table in (USER_METRICS, MEDIA_METRICS, WATCHED, COMMENT_METRICS)
    for ways in table.values()
    for way in ways
    if len(way) == 1
)


_NULLS = frozenset((
    "user", "shortcode_media", "xdt_shortcode_media", "xdt_api__v1__media__shortcode__web_info", "hashtag",
    "reels_media", "reels", "reel",
))  # fmt: skip
"""What is null where there is none."""


@dataclass(frozen=True, slots=True)
class Place:
    """What was sought: the value at `key` of the last of `around`, the objects from the outermost on.

    `key` is "" where that object itself was sought.
    """

    around: tuple[Fields, ...]
    key: str

    @property
    def thing(self) -> Fields:
        """The object that was sought; of a list the first one. Raises OddAnswer where there is none."""
        holder = self.around[-1]
        items = self.items() if self.key else [holder]
        if not items:
            raise holder.refusal(self.key, "a list of one")
        return items[0]

    def items(self) -> list[Fields]:
        """The objects of a list or of a connection's edges, without what wraps each; an object is a list of one."""
        holder, key = self.around[-1], self.key
        if holder.kind(key) != "a list":
            holder, key = holder.object(key), _list_of(holder.object(key))
        found = holder.objects(key) if key else [holder]
        return [bare for item in found for bare in _bare(item)]

    @property
    def total(self) -> int | None:
        """How many things the whole list has, where a connection tells."""
        holder = self.around[-1]
        return count(holder.object(self.key), "count") if holder.kind(self.key) == "an object" else None

    def next_page(self) -> tuple[str | None, str | None]:
        """The next page's cursor, and why this may not be all though there is none."""
        inner = self.around[-1].object(self.key) if self.around[-1].kind(self.key) == "an object" else None
        levels = self.around if inner is None else (*self.around, inner)
        flags = [flag for way in _MORE for level in levels if (flag := _at(level, way, Fields.flag)) is not None]
        ended = any(_at(level, way, Fields.flag) is False for way in _ENDS for level in levels)
        cursors = (_at(level, way, _cursor) for level in levels for way in _CURSORS)
        after = None if ended else next((cursor for cursor in cursors if cursor), None)
        if after is not None or ended:
            return after, None
        if any(flags):
            return None, "it says that there is more, and names no way there"
        if any(level.kind(_LIMITED) == "true or false" and level.flag(_LIMITED) for level in levels):
            return None, "it shows a part of this list only"
        return None, None


def seek(root: Fields, sought: Sequence[Path], *, itself: Sequence[str] = (), absent: str = "") -> list[Place]:
    """The places of what is `sought`, all of one depth beneath whatever wraps it; the first one's paging counts.

    An object with a name of `itself` is what is sought, too. Where nothing is: raises NotFound with the code `absent`,
    if it stands there as null, else OddAnswer.
    """
    around: tuple[Fields, ...] = (root,)
    null = ""
    for _ in range(_DEPTH_MAX):
        here = around[-1]
        if any(name in here for name in itself):
            return [Place(around, "")]
        if places := [place for way in sought if (place := _place(around, way)) is not None]:
            return places
        null = null or next((name for name in here if name in _NULLS and here.kind(name) == "nothing"), "")
        wrapping = next((name for name in here if _wraps(here, name)), None)
        if wrapping is None:
            break
        if here.kind(wrapping) == "a list":
            return [Place(around, wrapping)]
        around = (*around, here.object(wrapping))
    if null and absent:
        raise NotFound(absent, f"{root.source}: it says that there is no {null}")
    raise around[-1].refusal(sought[0][-1], "what was asked for")


def opened(decoded: Any, source: str) -> Fields:
    """An answer as an object: a chunk, [items, cursor], is read as one with these names, and so is a bare list."""
    if isinstance(decoded, list):
        chunk = len(decoded) == 2 and isinstance(decoded[0], list)
        decoded = {"items": decoded[0], "next_max_id": decoded[1]} if chunk else {"items": decoded}
    return Fields(decoded, source)


def first(found: Fields, ways: Sequence[Path], read: Callable[[Fields, str], T | None]) -> T | None:
    """The first value of `ways` that `read` makes something of."""
    return next((value for way in ways if (value := _at(found, way, read)) is not None), None)


def beside(found: Fields, ways: Sequence[Path]) -> list[Fields]:
    """The objects of all lists that `ways` lead to."""
    return [item for way in ways if (place := _place((found,), way)) is not None for item in place.items()]


def text(found: Fields, key: str) -> str | None:
    """The text at `key`, empty ones left out: one of several places may be."""
    return found.text(key) if found.kind(key) == "a text" and found.text(key) else None


def handle(found: Fields) -> str | None:
    """The handle; one that is longer than any can be is left out."""
    return found.text("username", chars_max=ID_CHARS_MAX) if found.kind("username") == "a text" else None


def count(found: Fields, key: str) -> int | None:
    """The count at `key`; -1 is a hidden one."""
    return None if found.code(key) == -1 else found.count(key)


def positive(found: Fields, key: str) -> int | None:
    return count(found, key) or None


def counts(found: Fields, named: Named) -> dict[str, int | float | None]:
    """The metrics of `named`, None where there is none, and every other number that calls itself a count."""
    others = (name for name in found if name.endswith("_count") and len(name) <= _NAME_CHARS_MAX)
    told = {name: count(found, name) for name in others if name not in _KNOWN_COUNTS and found.kind(name) == "a number"}
    return {**told, **{name: first(found, ways, count) for name, ways in named.items()}}


def identity(found: Fields, names: Sequence[str]) -> str:
    """The thing's id: the first of `names`, up to a "_". Without one it is nothing: raises OddAnswer."""
    for name in names:
        whole = (found.number_or_text(name) or "").partition("_")[0]
        if whole.isascii() and whole.isdecimal():
            return whole
    raise found.refusal(names[0], "an id")


def _at(found: Fields, way: Path, read: Callable[[Fields, str], T | None]) -> T | None:
    """What `read` makes of the value that `way` leads to; None where it leads nowhere."""
    for step in way[:-1]:
        if step not in found:
            return None
        found = found.object(step)
    return read(found, way[-1]) if way[-1] in found else None


def _cursor(found: Fields, key: str) -> str | None:
    return found.number_or_text(key, chars_max=_CURSOR_CHARS_MAX)


def _place(around: tuple[Fields, ...], way: Path) -> Place | None:
    for step in way[:-1]:
        if around[-1].kind(step) != "an object":
            return None
        around = (*around, around[-1].object(step))
    holder, key = around[-1], way[-1]
    kind = holder.kind(key)
    if kind == "a list" or (kind == "an object" and (_list_of(holder.object(key)) or not key.startswith("edge_"))):
        return Place(around, key)
    return None


def _list_of(connection: Fields) -> str:
    """The name of its list; "" where it is no connection."""
    return next((name for name in ("edges", "items", "nodes") if connection.kind(name) == "a list"), "")


def _wraps(holder: Fields, name: str) -> bool:
    if xdt := _XDT.match(name):
        return holder.kind(name) == ("a list" if "multi" in xdt[0] else "an object")
    return name in WRAPPINGS and holder.kind(name) in ("an object", "a list")


def _bare(item: Fields) -> Iterator[Fields]:
    """What is wrapped in an item of a list: mostly one thing, of a row of a page several."""
    for _ in range(_DEPTH_MAX):
        wrapping = next((name for name in _ITEM_WRAPPINGS if item.kind(name) == "an object"), None)
        if wrapping is None or "username" in item:  # a person has media, and is none
            break
        item = item.object(wrapping)
    if item.kind("layout_content") != "an object":
        yield item
        return
    row = item.object("layout_content")
    for way in _SECTION:
        place = _place((row,), way)
        yield from place.items() if place else ()
