"""The fields of the Graph API's nodes, one table a node: name -> what it tells. A value of None is left out.

Business discovery and an account's own node share the tables; what the owner alone is told stands apart.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from gcc.world import ids, insights
from gcc.world.chance import key_of, mix
from gcc.world.crowd import Person
from gcc.world.graph_fields import Field
from gcc.world.graph_refusals import no_field
from gcc.world.model import Cast, Creator, Post
from gcc.world.stories import Story

Reader = Callable[..., Any]
"""What a field tells of an item, which is given as its parts."""
_MEDIA_TYPES = {"image": "IMAGE", "carousel": "CAROUSEL_ALBUM", "reel": "VIDEO", "video": "VIDEO"}
_IMAGES = "https://images.example/instagram"
_FIRST_CHILDREN, _MORE_CHILDREN = 2, 8


class Node(NamedTuple):
    kind: str  # as errors call it
    fields: Mapping[str, Reader]
    shown: str = "id"  # where nothing is asked for


def read(
    node: Node, fields: Sequence[Field], item: tuple[Any, ...], nested: Mapping[str, Callable[[Field], Reader]]
) -> dict[str, Any]:
    """The item with its id and the fields that it has of these; `nested` are its edges."""
    return compiled(node, fields, nested)(item)


def compiled(
    node: Node, fields: Sequence[Field], nested: Mapping[str, Callable[[Field], Reader]]
) -> Callable[[tuple[Any, ...]], dict[str, Any]]:
    """A function that shows any item of the node so. Raises GraphError naming a field that there is not."""
    readers = [(field.name, _reader(node, field, nested)) for field in fields]
    own_id = node.fields["id"]

    def show(item: tuple[Any, ...]) -> dict[str, Any]:
        shown = {"id": own_id(*item)}
        for name, reader in readers:
            if (value := reader(*item)) is not None:
                shown[name] = value
        return shown

    return show


def _reader(node: Node, field: Field, nested: Mapping[str, Callable[[Field], Reader]]) -> Reader:
    if field.name in nested:
        return nested[field.name](field)
    reader = node.fields.get(field.name)
    if reader is None:
        raise no_field(field.name, node.kind)
    return reader


def time(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S+0000")


def child_ids(cast: Cast, creator: Creator, post: Post) -> list[str]:
    """The ids of an album's pictures."""
    if post.kind != "carousel":
        return []
    count = _FIRST_CHILDREN + mix(key_of(post.post_id), 5) % _MORE_CHILDREN
    return [ids.encode(ids.Thing("child", cast.slot(creator), post.number, number)) for number in range(count)]


PROFILE = Node("ShadowIGUser", {
    "id": lambda cast, creator: creator.profile_id,
    "ig_id": lambda cast, creator: int(creator.pk),
    "username": lambda cast, creator: creator.handle,
    "name": lambda cast, creator: creator.full_name,
    "biography": lambda cast, creator: creator.bio,
    "website": lambda cast, creator: creator.website,
    "followers_count": lambda cast, creator: cast.today_of(creator).followers,
    "follows_count": lambda cast, creator: cast.today_of(creator).following,
    "media_count": lambda cast, creator: cast.today_of(creator).media_count,
    "profile_picture_url": lambda cast, creator: f"{_IMAGES}/{creator.profile_id}/profile.jpg",
})  # fmt: skip
OWN_PROFILE = Node("ShadowIGUser", {
    **PROFILE.fields,
    "user_id": lambda cast, creator: creator.profile_id,
    "account_type": lambda cast, creator: "MEDIA_CREATOR" if key_of(creator.handle) % 2 else "BUSINESS",
    "has_profile_pic": lambda cast, creator: True,
})  # fmt: skip
_DISCOVERED: dict[str, Reader] = {
    "id": lambda creator, post: post.post_id,
    "shortcode": lambda creator, post: post.shortcode,
    "caption": lambda creator, post: post.title,
    "like_count": lambda creator, post: post.likes if creator.shows_likes else None,
    "comments_count": lambda creator, post: post.comments,
    "media_type": lambda creator, post: _MEDIA_TYPES[post.kind],
    "media_product_type": lambda creator, post: "REELS" if post.kind == "reel" else "FEED",
    "media_url": lambda creator, post: None if post.copyrighted else f"{_IMAGES}/{_file(post)}",
    "thumbnail_url": lambda creator, post: f"{_IMAGES}/{post.shortcode}.jpg" if post.kind == "reel" else None,
    "permalink": lambda creator, post: f"https://www.instagram.com/{_room(post)}/{post.shortcode}/",
    "timestamp": lambda creator, post: time(post.published),
    "username": lambda creator, post: creator.handle,
    "owner": lambda creator, post: {"id": creator.profile_id},
    "boost_ads_list": lambda creator, post: None,
}
DISCOVERED = Node("ShadowIGMedia", {**_DISCOVERED, "view_count": lambda creator, post: post.views})
HASHTAGGED = Node("ShadowIGHashtagMedia", {**_DISCOVERED, **dict.fromkeys(
    ("shortcode", "media_product_type", "thumbnail_url", "username", "owner"), lambda creator, post: None
)})  # fmt: skip
OWN_MEDIA = Node("ShadowIGMedia", {
    **_DISCOVERED,
    "ig_id": lambda creator, post: post.pk,
    "is_comment_enabled": lambda creator, post: True,
    "is_shared_to_feed": lambda creator, post: True if post.kind == "reel" else None,
    "alt_text": lambda creator, post: None,
    "collaborators": lambda creator, post: None,
    "saved_count": lambda creator, post: insights.post(creator, post)["saved"],
    "shares_count": lambda creator, post: insights.post(creator, post)["shares"],
    "reposts_count": lambda creator, post: insights.post(creator, post)["shares"] // 5,
    "total_like_count": lambda creator, post: post.likes,
    "total_comments_count": lambda creator, post: post.comments,
    "total_views_count": lambda creator, post: insights.post(creator, post)["views"],
})  # fmt: skip
CHILD = Node("ShadowIGMedia", {
    "id": lambda creator, post, child_id: child_id,
    "media_type": lambda creator, post, child_id: "IMAGE",
    "media_url": lambda creator, post, child_id: f"{_IMAGES}/{post.shortcode}-{child_id}.jpg",
    "thumbnail_url": lambda creator, post, child_id: None,
    "permalink": lambda creator, post, child_id: None,
    "timestamp": lambda creator, post, child_id: time(post.published),
    "username": lambda creator, post, child_id: creator.handle,
    "owner": lambda creator, post, child_id: {"id": creator.profile_id},
})  # fmt: skip
STORY = Node("ShadowIGMedia", {
    "id": lambda creator, story: story.story_id,
    "ig_id": lambda creator, story: story.pk,
    "shortcode": lambda creator, story: story.shortcode,
    "caption": lambda creator, story: story.caption,
    "like_count": lambda creator, story: 0,
    "comments_count": lambda creator, story: 0,
    "media_type": lambda creator, story: story.kind.upper(),
    "media_product_type": lambda creator, story: "STORY",
    "media_url": lambda creator, story: f"{_IMAGES}/{story.shortcode}.{_ending(story)}",
    "thumbnail_url": lambda creator, story: f"{_IMAGES}/{story.shortcode}.jpg" if story.kind == "video" else None,
    "permalink": lambda creator, story: f"https://instagram.com/stories/{creator.handle}/{story.pk}",
    "timestamp": lambda creator, story: time(story.published),
    "username": lambda creator, story: creator.handle,
    "owner": lambda creator, story: {"id": creator.profile_id},
    "is_comment_enabled": lambda creator, story: None,
    "is_shared_to_feed": lambda creator, story: None,
    "alt_text": lambda creator, story: None,
    "collaborators": lambda creator, story: None,
    "children": lambda creator, story: None,
    **dict.fromkeys(
        ("saved_count", "shares_count", "reposts_count", "total_like_count", "total_comments_count"),
        lambda creator, story: None,
    ),
    "total_views_count": lambda creator, story: None,
})  # fmt: skip
COMMENT = Node("ShadowIGComment", {
    "id": lambda creator, post, comment: comment.comment_id,
    "text": lambda creator, post, comment: comment.text,
    "timestamp": lambda creator, post, comment: time(comment.published),
    "username": lambda creator, post, comment: comment.actor.handle,
    "from": lambda creator, post, comment: {"id": comment.actor.profile_id, "username": comment.actor.handle},
    "user": lambda creator, post, comment: _only_own(creator, comment.actor),
    "like_count": lambda creator, post, comment: comment.likes,
    "hidden": lambda creator, post, comment: False,
    "parent_id": lambda creator, post, comment: comment.parent_id,
    "media": lambda creator, post, comment: {
        "id": post.post_id, "media_product_type": "REELS" if post.kind == "reel" else "FEED"
    },
    "legacy_instagram_comment_id": lambda creator, post, comment: str(key_of(comment.comment_id) % 10**17),
}, "id,text,timestamp")  # fmt: skip


def _room(post: Post) -> str:
    return "reel" if post.kind == "reel" else "p"


def _file(post: Post) -> str:
    return f"{post.shortcode}.{'mp4' if post.kind == 'reel' else 'jpg'}"


def _ending(story: Story) -> str:
    return "mp4" if story.kind == "video" else "jpg"


def _only_own(creator: Creator, actor: Creator | Person) -> dict[str, str] | None:
    """The owner's comments alone tell their user."""
    return {"id": creator.profile_id} if actor == creator else None
