"""Answers of the YouTube Data API v3 about who does what: comments, subscriptions, what channels do. Pure.

See data_parse.py of what is absent or odd. Each function reads one item of a list; one without what makes it one (its
id, whose it is) is OddAnswer naming the path.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Any

from gcc.platforms import YOUTUBE
from gcc.sources.fields import ID_CHARS_MAX, Fields
from gcc.sources.snapshot import Activity, ChannelActivity, Person, PostSnapshot, Relation
from gcc.sources.youtube.data_parse import figures, iso, known, snake, thumbnail

_OF_THREAD = {"totalReplyCount": "replies"}


def thread(item: Fields, at: dt.datetime, channel_id: str = "") -> list[Activity]:
    """A comment under a video, then the replies to it that are shown. `channel_id`: whose video it is."""
    snippet = item.object("snippet")
    first = comment(
        snippet.object("topLevelComment", needed=True),
        at,
        post_id=snippet.text("videoId", chars_max=ID_CHARS_MAX) or "",
        channel_id=channel_id or snippet.text("channelId", chars_max=ID_CHARS_MAX) or "",
    )
    first.metrics["replies"] = figures(snippet, _OF_THREAD)["replies"]
    return [
        first,
        *item.object("replies").each(
            "comments",
            lambda reply: comment(reply, at, first.post_id, first.profile_id, parent_id=first.activity_id),
        ),
    ]


def comment(item: Fields, at: dt.datetime, post_id: str = "", channel_id: str = "", parent_id: str = "") -> Activity:
    """A comment or a reply; whose post and which comment it is under is told by it, or by who asked for it."""
    snippet = item.object("snippet")
    author = snippet.object("authorChannelId")
    name = snippet.text("authorDisplayName")
    video_id = snippet.text("videoId", chars_max=ID_CHARS_MAX) or post_id
    return Activity(
        platform=YOUTUBE.name,
        source=item.source,
        at=at,
        activity_id=item.identity("id"),
        kind="comment",
        post_id=video_id,
        shortcode=video_id,
        profile_id=channel_id or snippet.text("channelId", chars_max=ID_CHARS_MAX) or "",
        actor=Person(
            author.text("value", chars_max=ID_CHARS_MAX) or "",
            handle=name.removeprefix("@") if name and name.startswith("@") else "",
            dimensions=known(full_name=name, profile_pic_url=snippet.text("authorProfileImageUrl")),
        ),
        publish_time=snippet.time("publishedAt"),
        metrics=figures(snippet, {"likeCount": "likes"}),
        dimensions=known(
            text=snippet.text("textOriginal") or snippet.text("textDisplay"),
            parent_id=snippet.text("parentId", chars_max=ID_CHARS_MAX) or parent_id,
            moderation=snippet.text("moderationStatus"),
        ),
    )


def subscription(item: Fields, at: dt.datetime) -> Relation:
    """Who subscribes to whom. Of the side that the question was not about more is told: its title and picture."""
    snippet, subscriber = item.object("snippet"), item.object("subscriberSnippet")
    by = subscriber if "channelId" in subscriber else snippet
    details = item.object("contentDetails")
    return Relation(
        platform=YOUTUBE.name,
        source=item.source,
        at=at,
        person=Person(by.identity("channelId"), dimensions=_shown(subscriber)),
        target=Person(
            snippet.object("resourceId", needed=True).identity("channelId"),
            metrics=figures(details, {"totalItemCount": "uploads"}) if "totalItemCount" in details else {},
            dimensions=known(
                **_shown(snippet),
                subscribed_at=iso(snippet.time("publishedAt")),
                activity_type=details.text("activityType"),
            ),
        ),
        kind="subscribes",
    )


def activity(item: Fields, at: dt.datetime) -> ChannelActivity:
    """What a channel did: `kind` in small letters, with what it was done to as dimensions."""
    snippet = item.object("snippet")
    kind = snippet.text("type", chars_max=ID_CHARS_MAX) or ""
    return ChannelActivity(
        platform=YOUTUBE.name,
        source=item.source,
        at=at,
        activity_id=item.identity("id"),
        kind=snake(kind),
        channel_id=snippet.identity("channelId"),
        publish_time=snippet.time("publishedAt"),
        metrics={},
        dimensions={
            **dict(_done_to(item.object("contentDetails").object(kind))),
            **known(
                title=snippet.text("title"),
                description=snippet.text("description"),
                thumbnail_url=thumbnail(snippet),
                channel_title=snippet.text("channelTitle"),
                group_id=snippet.text("groupId"),
            ),
        },
    )


def upload(post: PostSnapshot) -> ChannelActivity:
    """That it was uploaded, as it would be told of its channel."""
    return ChannelActivity(
        platform=post.platform,
        source=post.source,
        at=post.at,
        activity_id=f"upload:{post.post_id}",
        kind="upload",
        channel_id=post.profile_id,
        publish_time=post.publish_time,
        metrics={},
        dimensions=known(video_id=post.post_id, title=post.dimensions["title"]),
    )


def _done_to(details: Fields) -> Iterator[tuple[str, Any]]:
    """video_id, playlist_id, channel_id, ...: what stands in the details of its kind, or in their resourceId."""
    for prefix, place in (
        ("seed_", details.object("seedResourceId")),
        ("", details),
        ("", details.object("resourceId")),
    ):
        for name in place.names():
            if name.endswith("Id") and name not in ("resourceId", "seedResourceId"):
                yield prefix + snake(name), place.text(name, chars_max=ID_CHARS_MAX)
    if "reason" in details:
        yield "reason", details.text("reason")


def _shown(snippet: Fields) -> dict[str, Any]:
    return known(
        full_name=snippet.text("title"),
        description=snippet.text("description"),
        profile_pic_url=thumbnail(snippet),
    )
