"""Answers of the Instagram Graph API as snapshots, pages, insights and verdicts. Pure.

Fields that the API leaves out are None (like_count of a post that hides its likes), and so is a field of a wrong
type, which the notes tell. An answer without what was asked for is OddAnswer naming the path; an item of a list
without its id is left out, and noted. Numbers that nobody here knows are kept under the API's own names.

A list comes as an edge ({"data": [...], "paging": ...}), as one object, as objects by their ids (?ids=), or in
`business_discovery`, `mentioned_media` or `mentioned_comment`.
"""

import datetime as dt
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from gcc.platforms import INSTAGRAM
from gcc.platforms.platform import words
from gcc.sources.fields import ID_CHARS_MAX, Fields, opened, parsed
from gcc.sources.http import Answer
from gcc.sources.instagram.graph_errors import SOURCE, refusal
from gcc.sources.instagram.graph_insights import Insights, insights_of
from gcc.sources.instagram.hashtags import hashtags as hashtags_of
from gcc.sources.paging import Page
from gcc.sources.snapshot import Activity, Metrics, Person, PostSnapshot, ProfileSnapshot

T = TypeVar("T")
CURSOR_CHARS_MAX = 4000
_SHORTCODE = re.compile(r"instagram\.com/(?:[\w.]+/)?(?:p|reels?|tv)/([\w-]{1,64})", re.ASCII)
_PLAIN = re.compile(r"[^\s(){},]+")
_POST_COUNTS = {  # one number under both names: rows of posts hold plays, models compare views across platforms
    "views": "view_count",
    "plays": "view_count",
    "shares": "shares_count",
    "saved": "saved_count",
    "reposts": "reposts_count",
}
_OF_POST = words(
    "id like_count comments_count view_count shares_count saved_count reposts_count media_type media_product_type"
    " permalink caption timestamp shortcode thumbnail_url media_url owner username children collaborators comments"
    " insights"
)
_OF_PROFILE = words(
    "id user_id ig_id username name biography website profile_picture_url followers_count follows_count media_count"
    " account_type media stories"
)
_OF_COMMENT = words("id text timestamp username user from like_count parent_id parent media replies hidden")


def judge(answer: Answer, now: dt.datetime) -> Any:
    """The decoded JSON object, or the verdict that its error code, else its status, stands for.

    One without what was asked for is OddAnswer: none, whatever its status.
    """
    return judging(lambda decoded, _: discovered(decoded))(answer, now)


def judging(
    parse: Callable[[Any, dt.datetime], T], *, names: Sequence[str] = (), of_post: bool = False
) -> Callable[[Answer, dt.datetime], T]:
    """A judge that answers what `parse` makes of a good answer, so that one which is odd counts as none.

    `names` are the fields or metrics that were asked for, as they are once the answer is there: see NamesRefused.
    `of_post`: the question's path names a post, not the account that asks.
    """

    def judged(answer: Answer, now: dt.datetime) -> T:
        decoded, error = opened(answer, SOURCE, now)
        if error is not None:
            raise refusal(answer, error, now, names=names, of_post=of_post)
        return parse(decoded, now)

    return judged


def discovered(decoded: Any) -> Any:
    """The same, if there is something in it that business discovery found; OddAnswer otherwise."""
    Fields(decoded, SOURCE).object("business_discovery", needed=True)
    return decoded


def profile(decoded: Any, asked: str, at: dt.datetime) -> ProfileSnapshot:
    """The profile that business discovery found for the handle `asked`, with its first page of posts.

    Or, where there is no `business_discovery`, an account's own profile as it is itself, or the first of a list.
    """
    found = _user(Fields(decoded, SOURCE))
    profile_id = found.identity("user_id" if "user_id" in found else "id")  # an Instagram login's id is its app's own
    handle = found.identity("username") if "username" in found or not asked else asked
    posts = found.object("media").each("data", lambda media: _post(media, at, profile_id, handle))
    numbers, told = found.others(_OF_PROFILE)
    return ProfileSnapshot(
        platform=INSTAGRAM.name,
        profile_id=profile_id,
        handle=handle,
        source=SOURCE,
        at=at,
        metrics={
            "followers": found.count("followers_count"),
            "following": found.count("follows_count"),
            "media_count": found.count("media_count"),
            **numbers,
        },
        dimensions={
            "handle": handle,
            "full_name": found.text("name"),
            "bio": found.text("biography"),
            "profile_pic_url": found.text("profile_picture_url"),
            "website": found.text("website"),
            **({"ig_id": found.number_or_text("ig_id")} if "ig_id" in found else {}),
            **({"profile_type": found.text("account_type")} if "account_type" in found else {}),
            **told,
        },
        posts=list({post.post_id: post for post in posts}.values()),
        notes=found.notes,
    )


def discovered_posts(decoded: Any, handle: str, at: dt.datetime) -> Page[PostSnapshot]:
    """A page of the posts that business discovery found for `handle`. It names no next page, only the cursor."""
    found = Fields(decoded, SOURCE).object("business_discovery", needed=True)
    profile_id = found.identity("id")
    edge = found.object("media")
    posts = edge.each("data", lambda media: _post(media, at, profile_id, handle))
    after = edge.object("paging").object("cursors").read("after", "a cursor", _plain_cursor)
    return Page(posts, after, found.notes)


def posts(decoded: Any, at: dt.datetime, *, profile_id: str = "", handle: str = "") -> Page[PostSnapshot]:
    """A page of media: an account's own, its stories, those that tag or mention it, a hashtag's, an album's children.

    `profile_id` and `handle` tell whose they are, where the media do not; "" where nobody does.
    """
    whole = Fields(decoded, SOURCE)
    items = _items(whole, "mentioned_media")
    return _page(whole, parsed(items, lambda media: _post(media, at, profile_id, handle)))


def post(decoded: Any, at: dt.datetime, *, profile_id: str = "", handle: str = "") -> PostSnapshot:
    """One media, asked for by its id."""
    return _post(Fields(decoded, SOURCE), at, profile_id, handle)


def comments(
    decoded: Any, at: dt.datetime, *, post_id: str = "", shortcode: str = "", profile_id: str = ""
) -> Page[Activity]:
    """A page of comments, each followed by the replies that came with it.

    `post_id`, `shortcode` and `profile_id` tell under which post, and whose, where the comments do not.
    """
    whole = Fields(decoded, SOURCE)
    cut: list[str] = []

    def thread(comment: Fields) -> list[Activity]:
        first = _comment(comment, at, post_id, shortcode, profile_id)
        replies = comment.object("replies")
        if "next" in replies.object("paging"):
            cut.append(first.activity_id)
        told = first.dimensions.get("parent_id") or first.activity_id
        return [
            first,
            *replies.each("data", lambda reply: _comment(reply, at, first.post_id, shortcode, profile_id, told)),
        ]

    threads = parsed(_items(whole, "mentioned_comment"), thread)
    partial = f"{len(cut)} comments have more replies than came with them" if cut else None
    return _page(whole, [activity for found in threads for activity in found], partial)


def insights(decoded: Any) -> Insights:
    """What an owner is told of an account or a media: old series and new totals, by the API's names."""
    whole = Fields(decoded, SOURCE)
    if "data" in whole or "id" not in whole:
        whole.objects("data", needed=True)
    return insights_of(whole)


def hashtag_ids(decoded: Any) -> dict[str, str | None]:
    """The ids of hashtags, and their names where they are told: a search tells none."""
    whole = Fields(decoded, SOURCE)
    items = _items(whole)
    return dict(parsed(items, lambda tag: (tag.identity("id"), tag.text("name", chars_max=ID_CHARS_MAX))))


def _user(whole: Fields) -> Fields:
    if "business_discovery" in whole or not ("id" in whole or "user_id" in whole or "data" in whole):
        return whole.object("business_discovery", needed=True)
    return next(iter(whole.objects("data")), whole) if "data" in whole else whole


def _items(whole: Fields, *wrappers: str) -> list[Fields]:
    """The objects that an answer lists, in whichever form. OddAnswer: there is no list."""
    for wrapper in wrappers:
        if wrapper in whole:
            return [whole.object(wrapper, needed=True)]
    if "data" in whole:
        return whole.objects("data", needed=True)
    if "id" in whole:
        return [whole]
    return whole.members() or whole.objects("data", needed=True)


def _page(whole: Fields, items: list[T], partial: str | None = None) -> Page[T]:
    """`items` with the cursor of the page after them: only where a next one is named, whatever the cursors say."""
    paging = whole.object("paging")
    following = paging.text("next")
    if not following:
        return Page(items, None, whole.notes, partial)
    after = paging.object("cursors").text("after", chars_max=CURSOR_CHARS_MAX) or _cursor_in(following)
    return Page(items, after, whole.notes, partial if after else "a next page is named, but no cursor leads to it")


def _plain_cursor(text: str) -> str:
    """One that goes into a field expression: what ends its place there could ask for more."""
    if len(text) > CURSOR_CHARS_MAX or not _PLAIN.fullmatch(text):
        raise ValueError(text)
    return text


def _cursor_in(url: str) -> str | None:
    """The cursor alone: the rest of a next page's URL holds the token, sometimes twice."""
    try:
        found = parse_qs(urlsplit(url).query, max_num_fields=100).get("after", [""])[0]
    except ValueError:
        return None
    return found if 0 < len(found) <= CURSOR_CHARS_MAX else None


def _post(media: Fields, at: dt.datetime, profile_id: str, handle: str) -> PostSnapshot:
    post_id = media.identity("id")
    caption, permalink = media.text("caption"), media.text("permalink")
    in_link = _SHORTCODE.search(permalink or "")
    thumbnail, file = media.text("thumbnail_url"), media.text("media_url")
    owner = media.object("owner")
    numbers, told = media.others(_OF_POST)
    nested = insights_of(media.object("insights")) if "insights" in media else None
    return PostSnapshot(
        platform=INSTAGRAM.name,
        post_id=post_id,
        shortcode=media.text("shortcode", chars_max=ID_CHARS_MAX) or (in_link[1] if in_link else post_id),
        profile_id=owner.text("id", chars_max=ID_CHARS_MAX) or profile_id,
        handle=(owner if "username" in owner else media).text("username", chars_max=ID_CHARS_MAX) or handle,
        source=SOURCE,
        at=at,
        publish_time=media.time("timestamp"),
        metrics={
            "likes": media.count("like_count"),
            "comments": media.count("comments_count"),
            **_counts(media),
            **numbers,
            **(nested.metrics if nested else {}),
        },
        dimensions={
            "post_type": _post_type(media.text("media_type"), media.text("media_product_type")),
            "caption": caption,
            "hashtags": hashtags_of(caption or ""),
            "permalink": permalink,
            "thumbnail_url": thumbnail or file,
            **({"media_url": file} if thumbnail and file else {}),
            **_parts(media),
            **told,
            **(nested.dimensions if nested else {}),
        },
    )


def _counts(media: Fields) -> Metrics:
    """Views always, as posts of all kinds are compared by them; the others where they are told."""
    return {
        name: media.count(field) for name, field in _POST_COUNTS.items() if name in ("views", "plays") or field in media
    }


def _parts(media: Fields) -> dict[str, Any]:
    """An album's children, and whom a post was made with."""
    parts: dict[str, Any] = {}
    if "children" in media:
        parts["children"] = media.object("children").each("data", lambda child: child.identity("id"))
    if "collaborators" in media:
        parts["collaborators"] = media.object("collaborators").each("data", lambda person: person.identity("username"))
    return parts


def _comment(
    comment: Fields, at: dt.datetime, post_id: str, shortcode: str, profile_id: str, parent_id: str | None = None
) -> Activity:
    activity_id = comment.identity("id")
    media = comment.object("media")
    actors = comment.object("from"), comment.object("user"), comment
    handles = (actor.text("username", chars_max=ID_CHARS_MAX) for actor in actors)
    ids = (actor.text("id", chars_max=ID_CHARS_MAX) for actor in actors[:2])
    numbers, told = comment.others(_OF_COMMENT)
    parent = comment.text("parent_id") or comment.object("parent").text("id") or parent_id
    replies = comment.object("replies").objects("data")
    return Activity(
        platform=INSTAGRAM.name,
        source=SOURCE,
        at=at,
        activity_id=activity_id,
        kind="comment",
        post_id=media.text("id", chars_max=ID_CHARS_MAX) or post_id,
        shortcode=media.text("shortcode", chars_max=ID_CHARS_MAX) or shortcode,
        profile_id=media.object("owner").text("id", chars_max=ID_CHARS_MAX) or profile_id,
        actor=Person(next(filter(None, ids), ""), next(filter(None, handles), "")),
        publish_time=comment.time("timestamp"),
        metrics={
            "likes": comment.count("like_count"),
            **({"replies": len(replies)} if "replies" in comment else {}),
            **numbers,
        },
        dimensions={
            "text": comment.text("text"),
            **({"parent_id": parent} if parent else {}),
            **({"hidden": comment.flag("hidden")} if "hidden" in comment else {}),
            **told,
        },
    )


def _post_type(media_type: str | None, product: str | None) -> str | None:
    if product in ("REELS", "STORY"):
        return product.lower()
    if media_type == "CAROUSEL_ALBUM":
        return "carousel"
    return media_type.lower() if media_type else None
