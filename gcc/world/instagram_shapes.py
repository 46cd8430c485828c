"""Profiles, posts, stories and comments in the shapes that those who scrape Instagram hand on. Pure.

`private`: as the app is told (pk, follower_count, taken_at); `web`: as the pages are (edge_followed_by, shortcode);
`flat`: as one of them flattens the first (texts for ids and times). Only what callers read, and what misleads them, is
there: a hidden count of likes is -1 on the web, and missing in the app. Ids are Instagram's own; the one that the Graph
API has for an account stands beside them on the web, and in the app as a number, which many who hand it on round.
"""

from collections.abc import Callable
from typing import Any, Literal

from gcc.world.answer import written
from gcc.world.comments import Comment
from gcc.world.crowd import Person
from gcc.world.model import Cast, Creator, Post
from gcc.world.stories import Story

Json = dict[str, Any]
Account = Creator | Person
Shape = Literal["private", "web", "flat"]
_TYPES = {"image": 1, "reel": 2, "video": 2, "carousel": 8}
_NAMES = {"image": "GraphImage", "reel": "GraphVideo", "video": "GraphVideo", "carousel": "GraphSidecar"}


def pk_of(account: Account) -> str:
    return account.profile_id if isinstance(account, Person) else account.pk


def picture_of(account: Account) -> str | None:
    if isinstance(account, Person):
        return account.picture_url
    return f"https://images.example/instagram/{account.profile_id}/profile.jpg"


def user(cast: Cast, account: Account, shape: Shape) -> Json:
    """A whole profile."""
    figures = account if isinstance(account, Person) else cast.today_of(account)
    counts = (figures.followers, figures.following, figures.media_count)
    known: Json = {
        "full_name": account.full_name,
        "biography": account.bio,
        "external_url": None if isinstance(account, Person) else account.website,
        "is_private": _is_private(account),
        "is_verified": isinstance(account, Person) and account.verified,
        "username": account.handle,
        "profile_pic_url": picture_of(account),
    }
    if shape == "web":
        edges = zip(("edge_followed_by", "edge_follow", "edge_owner_to_timeline_media"), counts, strict=True)
        business = {"is_business_account": isinstance(account, Creator)}
        fbid = {"fbid": account.profile_id} if isinstance(account, Creator) else {}
        return {**known, **business, "id": pk_of(account), **fbid, **{name: {"count": count} for name, count in edges}}
    told = dict(zip(("follower_count", "following_count", "media_count"), counts, strict=True))
    shown = {**known, **told, "is_business": isinstance(account, Creator)}
    if shape == "flat":
        return {**shown, "pk": pk_of(account)}
    rounded = {"fbid_v2": int(float(account.profile_id))} if isinstance(account, Creator) else {}
    return {**shown, "pk": int(pk_of(account)), **rounded}


def person(account: Account, shape: Shape) -> Json:
    """A profile in a list of others."""
    known = {
        "username": account.handle,
        "full_name": account.full_name,
        "is_private": _is_private(account),
        "is_verified": isinstance(account, Person) and account.verified,
        "profile_pic_url": picture_of(account),
    }
    if shape == "private":
        return {**known, "pk": int(pk_of(account))}
    return {**known, "id": pk_of(account), **({"pk": pk_of(account)} if shape == "flat" else {})}


def media(creator: Creator, post: Post, shape: Shape) -> Json:
    return _SHAPES[shape](creator, post)


def story(creator: Creator, shown: Story, shape: Shape) -> Json:
    taken, expires = int(shown.published.timestamp()), int(shown.expires.timestamp())
    link = f"https://images.example/instagram/{shown.shortcode}.jpg"
    told = {
        "pk": shown.pk if shape == "flat" else int(shown.pk),
        "id": f"{shown.pk}_{creator.pk}",
        "code": shown.shortcode,
        "taken_at": written(shown.published) if shape == "flat" else taken,
        "expiring_at": expires,
        "media_type": _TYPES[shown.kind],
        "user": person(creator, shape),
    }
    if shape == "flat":
        return {**told, "thumbnail_url": link, "caption_text": shown.caption or ""}
    return {**told, "image_versions2": {"candidates": [{"url": link}]}, "caption": _said(shown.caption)}


def comment(said: Comment, replies: list[Comment]) -> Json:
    """A thread of the web, its replies whole."""
    node = {
        "id": said.comment_id,
        "text": said.text,
        "created_at": int(said.published.timestamp()),
        "owner": {"id": pk_of(said.actor), "username": said.actor.handle},
        "edge_liked_by": {"count": said.likes},
    }
    if said.parent_id is not None:
        return node
    edges = [{"node": comment(reply, [])} for reply in replies]
    page_info = {"has_next_page": False, "end_cursor": None}
    return {**node, "edge_threaded_comments": {"count": said.replies, "page_info": page_info, "edges": edges}}


def _private_media(creator: Creator, post: Post) -> Json:
    return {
        "pk": int(post.pk),
        "id": f"{post.pk}_{creator.pk}",
        "code": post.shortcode,
        "taken_at": int(post.published.timestamp()),
        "media_type": _TYPES[post.kind],
        "product_type": _product(post),
        "caption": _said(post.title),
        "comment_count": post.comments,
        **({"like_count": post.likes} if creator.shows_likes else {"like_and_view_counts_disabled": True}),
        **({"play_count": post.views} if post.views is not None else {}),
        "image_versions2": {"candidates": [{"width": 1080, "height": 1080, "url": _still(post)}]},
        "user": person(creator, "private"),
    }


def _web_media(creator: Creator, post: Post) -> Json:
    likes = {"count": post.likes if creator.shows_likes else -1}
    return {
        "__typename": _NAMES[post.kind],
        "id": post.pk,
        "shortcode": post.shortcode,
        "taken_at_timestamp": int(post.published.timestamp()),
        "is_video": post.kind == "reel",
        "product_type": _product(post),
        "edge_media_to_caption": {"edges": [{"node": {"text": post.title}}]},
        "edge_media_to_comment": {"count": post.comments},
        "edge_liked_by": likes,
        "edge_media_preview_like": likes,
        **({"video_view_count": post.views} if post.views is not None else {}),
        "display_url": _still(post),
        "owner": {"id": creator.pk, "username": creator.handle},
    }


def _flat_media(creator: Creator, post: Post) -> Json:
    return {
        "pk": post.pk,
        "id": f"{post.pk}_{creator.pk}",
        "code": post.shortcode,
        "taken_at": written(post.published),
        "taken_at_ts": int(post.published.timestamp()),
        "media_type": _TYPES[post.kind],
        "product_type": _product(post),
        "caption_text": post.title,
        "comment_count": post.comments,
        "like_count": post.likes if creator.shows_likes else -1,
        **({"play_count": post.views} if post.views is not None else {}),
        "thumbnail_url": _still(post),
        "user": person(creator, "flat"),
    }


_SHAPES: dict[Shape, Callable[[Creator, Post], Json]] = {
    "private": _private_media,
    "web": _web_media,
    "flat": _flat_media,
}


def _is_private(account: Account) -> bool:
    return account.private if isinstance(account, Person) else account.state == "private"


def _product(post: Post) -> str:
    return {"reel": "clips", "carousel": "carousel_container"}.get(post.kind, "feed")


def _still(post: Post) -> str:
    return f"https://images.example/instagram/{post.shortcode}.jpg"


def _said(text: str | None) -> Json | None:
    return None if text is None else {"text": text}
