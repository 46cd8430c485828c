"""What a perfect crawl of each Instagram flow would store, a part of a list at a time; names are those of the rows.

Accounts go by the Graph API's ids, posts by Instagram's own; `ig_id` and `fbid` are the other ones.

Two tables: what is asked of an account, and what of a name (a post's shortcode or id, a tag). Each gives all that
there is as (how many, a part of them).
"""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from gcc.world import audience, comments, graph_insights, ids, insights, stories, tagging
from gcc.world.answer import written
from gcc.world.comments import Comment
from gcc.world.crowd import Person
from gcc.world.graph_tokens import login_of
from gcc.world.instagram_shapes import pk_of
from gcc.world.model import Cast, Creator, Post
from gcc.world.truth import post_row

Part = tuple[int, list[dict[str, Any]]]
DAYS = 30
THREADS_MAX = 1000  # of comments at once, each with its replies


def followers(cast: Cast, creator: Creator, start: int, stop: int) -> Part:
    found = audience.followers(cast, creator, start, stop)
    return cast.today_of(creator).followers, [_relation(person, creator, creator) | _seen(person) for person in found]


def judged(cast: Cast, creator: Creator, start: int, stop: int) -> Part:
    """The followers, and what each of them is: planted as a fake of a kind, or genuine ("")."""
    found = audience.followers(cast, creator, start, stop)
    return cast.today_of(creator).followers, [
        {"profile_id": person.profile_id, "handle": person.handle, "fake": person.fake, "kind": person.kind}
        for person in found
    ]


def following(cast: Cast, creator: Creator, start: int, stop: int) -> Part:
    found = audience.following(cast, creator, start, stop)
    return cast.today_of(creator).following or 0, [
        _relation(creator, person, creator) | _seen(person) for person in found
    ]


def posts(cast: Cast, creator: Creator, start: int, stop: int) -> Part:
    """All that can be listed; none of a private account."""
    found = cast.posts_of(creator) if creator.shows_posts else []
    return len(found), [_post(creator, post) for post in found[start:stop]]


def tagged(cast: Cast, creator: Creator, start: int, stop: int) -> Part:
    found = tagging.tagged(cast, creator)
    return len(found), [_post(other, post) for other, post in found[start:stop]]


def story_posts(cast: Cast, creator: Creator, start: int, stop: int) -> Part:
    """Stories, with the insights that their owner sees."""
    found = stories.stories(cast, creator) if creator.shows_posts else []
    return len(found), [
        {
            "post_id": story.pk,
            "fbid": story.story_id,
            "shortcode": story.shortcode,
            "profile_id": creator.profile_id,
            "handle": creator.handle,
            "post_type": "story",
            "caption": story.caption,
            "publish_time": written(story.published),
            "insights": graph_insights.story_figures(cast, creator, story),
        }
        for story in found[start:stop]
    ]


def account_insights(cast: Cast, creator: Creator, start: int, stop: int) -> Part:
    """The days of the account, the newest first, who the followers are, and by which login the owner lets us ask."""
    days = [cast.today - dt.timedelta(days=ago) for ago in range(1, DAYS + 1)]
    return len(days), [
        {"date": day.isoformat(), "metrics": insights.account(cast, creator, day)} for day in days[start:stop]
    ]


def post_insights(cast: Cast, creator: Creator, start: int, stop: int) -> Part:
    """What the owner sees of each post; None of one from before the account was a business one."""
    since = graph_insights.business_since(cast, creator)
    found = cast.posts_of(creator)
    return len(found), [
        {
            "post_id": post.pk,
            "fbid": post.post_id,
            "shortcode": post.shortcode,
            "insights": insights.post(creator, post) if post.published >= since else None,
        }
        for post in found[start:stop]
    ]


OF_ACCOUNT: Mapping[str, Callable[[Cast, Creator, int, int], Part]] = {
    "followers": followers,
    "judged": judged,
    "following": following,
    "posts": posts,
    "tagged": tagged,
    "stories": story_posts,
    "insights": account_insights,
    "post_insights": post_insights,
}


def about(cast: Cast, creator: Creator) -> dict[str, Any]:
    """What stands beside every list of an account: who it is, its state, who its followers are."""
    return {
        "profile_id": creator.profile_id,
        "ig_id": creator.pk,
        "handle": creator.handle,
        "former_handles": creator.former_handles,
        "state": creator.state,
        "fake_share": audience.fake_share(creator),
        "owner_login": login_of(cast, creator),
        **{f"audience_{part}": insights.demographics(cast, creator, part) for part in insights.BREAKDOWNS},
    }


def comments_of(cast: Cast, name: str, start: int, stop: int) -> Part | None:
    """Threads from `start`, the newest first, each with its replies after it. The total counts the replies, too."""
    found = _named(cast, name)
    if found is None:
        return None
    creator, post = found
    rows = []
    for thread in comments.threads(cast, creator, post, start, min(stop, start + THREADS_MAX)):
        rows.append(_comment(creator, post, thread))
        replies = comments.replies(cast, creator, post, thread, 0, thread.replies)
        rows += [_comment(creator, post, reply) for reply in replies]
    return post.comments, rows


def likes_of(cast: Cast, name: str, start: int, stop: int) -> Part | None:
    found = _named(cast, name)
    if found is None:
        return None
    creator, post = found
    return post.likes, [
        {
            "activity_id": f"{post.pk}:{person.profile_id}",
            "activity_type": "like",
            **_under(creator, post),
            "actor_profile_id": person.profile_id,
            "actor_handle": person.handle,
        }
        for person in audience.likers(cast, creator, post, start, stop)
    ]


def post_of(cast: Cast, name: str, start: int, stop: int) -> Part | None:
    found = _named(cast, name)
    return None if found is None or not found[0].shows_posts else (1, [_post(*found)][start:stop])


def hashtag_of(cast: Cast, name: str, start: int, stop: int) -> Part | None:
    found = tagging.hashtag(cast, name)
    return (len(found), [_post(*pair) for pair in found[start:stop]]) if found else None


OF_NAME: Mapping[str, Callable[[Cast, str, int, int], Part | None]] = {
    "comments": comments_of,
    "likes": likes_of,
    "posts": post_of,
    "hashtags": hashtag_of,
}
"""None: there is no such thing."""


def _named(cast: Cast, name: str) -> tuple[Creator, Post] | None:
    """The post with this shortcode, or with this id of any kind."""
    return cast.post(name) or cast.post(ids.shortcode(name))


def _relation(source: Creator | Person, target: Creator | Person, of: Creator) -> dict[str, Any]:
    """Whose list it is goes by its own id, those on it by the one that the list tells."""
    return {
        "relationship_type": "follows",
        "source_profile_id": source.profile_id if source is of else pk_of(source),
        "source_handle": source.handle,
        "target_profile_id": target.profile_id if target is of else pk_of(target),
        "target_handle": target.handle,
    }


def _seen(person: Creator | Person) -> dict[str, Any]:
    """What a list tells of the account in it."""
    if isinstance(person, Creator):
        return {"full_name": person.full_name, "is_private": person.state == "private", "is_verified": False}
    return {"full_name": person.full_name, "is_private": person.private, "is_verified": person.verified}


def _post(creator: Creator, post: Post) -> dict[str, Any]:
    shown = post_row(creator, post)
    return {**shown, "profile_id": creator.profile_id, "handle": creator.handle, "caption": post.title}


def _under(creator: Creator, post: Post) -> dict[str, Any]:
    return {"post_id": post.pk, "shortcode": post.shortcode, "profile_id": creator.profile_id}


def _comment(creator: Creator, post: Post, comment: Comment) -> dict[str, Any]:
    return {
        "activity_id": comment.comment_id,
        "activity_type": "comment",
        **_under(creator, post),
        "actor_profile_id": comment.actor.profile_id,
        "actor_handle": comment.actor.handle,
        "text": comment.text,
        "parent_id": comment.parent_id,
        "likes": comment.likes,
        "replies": comment.replies,
        "publish_time": written(comment.published),
    }
