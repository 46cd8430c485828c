"""The Data API's resources: an item of each kind, with the parts that are asked for. Counts are texts."""

import datetime as dt
import html
from collections.abc import Collection
from typing import Any

from gcc.world import names, youtube_model, youtube_talk
from gcc.world.answer import written
from gcc.world.chance import key_of, letters, mix
from gcc.world.comments import Comment
from gcc.world.crowd import Person
from gcc.world.model import Cast, Creator, Post
from gcc.world.youtube_model import Activity, Playlist, Row, Subscription

Json = dict[str, Any]
Parts = Collection[str]
_THUMBNAILS = (("default", 120, 90), ("medium", 320, 180), ("high", 480, 360))
_BIG_THUMBNAILS = (*_THUMBNAILS, ("standard", 640, 480), ("maxres", 1280, 720), ("fhd", 1920, 1080))
_PRIVATE = {"title": "Private video", "description": "This video is private.", "thumbnails": {}}
CATEGORIES = {
    "1": "Film & Animation", "2": "Autos & Vehicles", "10": "Music", "15": "Pets & Animals", "17": "Sports",
    "19": "Travel & Events", "20": "Gaming", "22": "People & Blogs", "23": "Comedy", "24": "Entertainment",
    "25": "News & Politics", "26": "Howto & Style", "27": "Education", "28": "Science & Technology", "30": "Movies",
}  # fmt: skip


def head(what: str, identity: Any, version: int) -> Json:
    """Kind, etag and, where it has one, id."""
    etag = letters(mix(key_of(str(identity or what)), version), mix(version, key_of(what)))
    start: Json = {"kind": f"youtube#{what}", "etag": etag}
    return start if identity is None else start | {"id": identity}


def of(what: str, identity: Any, version: int, parts: Parts, shown: Json) -> Json:
    """An item with those parts of `shown` that are asked for."""
    return head(what, identity, version) | {name: part for name, part in shown.items() if name in parts}


def channel(cast: Cast, creator: Creator, parts: Parts) -> Json:
    day = cast.today_of(creator)
    item = head("channel", creator.profile_id, day.followers)
    if "snippet" in parts:
        item["snippet"] = {
            "title": creator.full_name,
            "description": creator.bio,
            "customUrl": "@" + creator.handle,
            "publishedAt": f"{creator.joined.isoformat()}T09:30:00Z",
            "thumbnails": _faces(creator.profile_id),
            "localized": {"title": creator.full_name, "description": creator.bio},
        }
        if creator.country and creator.tells_country:
            item["snippet"]["country"] = creator.country
    if "contentDetails" in parts:
        item["contentDetails"] = {"relatedPlaylists": {"likes": "", "uploads": "UU" + creator.key}}
    if "statistics" in parts:
        hidden = youtube_model.hides_subscribers(creator)
        item["statistics"] = {
            "viewCount": str(day.total_views or 0),
            "subscriberCount": "0" if hidden else str(day.followers),
            "hiddenSubscriberCount": hidden,
            "videoCount": str(day.media_count or 0),
        }
    if "status" in parts:
        item["status"] = {"privacyStatus": "public", "isLinked": True, "longUploadsStatus": "longUploadsUnspecified"}
    if "brandingSettings" in parts:
        item["brandingSettings"] = {"channel": {"title": creator.full_name, "description": creator.bio}}
    if "topicDetails" in parts:
        item["topicDetails"] = {"topicIds": [], "topicCategories": []}
    return item


def playlist(shown: Playlist, parts: Parts) -> Json:
    return of("playlist", shown.playlist_id, len(shown.rows), parts, {
        "snippet": {
            "publishedAt": written(shown.published),
            "channelId": shown.creator.profile_id,
            "title": shown.title,
            "description": "",
            "thumbnails": _thumbnails(shown.rows[0].video_id, _THUMBNAILS),
            "channelTitle": shown.creator.full_name,
            "localized": {"title": shown.title, "description": ""},
        },
        "status": {"privacyStatus": "public"},
        "contentDetails": {"itemCount": len(shown.rows)},
    })  # fmt: skip


def playlist_item(shown: Playlist, position: int, row: Row, parts: Parts) -> Json:
    identity = letters(key_of(shown.playlist_id), key_of(row.video_id))
    post, owner = row.post, row.creator
    listed = shown.published if post is None or not shown.playlist_id.startswith("UU") else post.published
    snippet = {
        "publishedAt": written(listed),
        "channelId": shown.creator.profile_id,
        "title": post.title if post else _PRIVATE["title"],
        "description": post.description if post else _PRIVATE["description"],
        "thumbnails": _thumbnails(row.video_id, _THUMBNAILS) if post else {},
        "channelTitle": shown.creator.full_name,
        "playlistId": shown.playlist_id,
        "position": position,
        "resourceId": {"kind": "youtube#video", "videoId": row.video_id},
    }
    if owner is not None:
        snippet |= {"videoOwnerChannelTitle": owner.full_name, "videoOwnerChannelId": owner.profile_id}
    return of("playlistItem", identity, position, parts, {
        "snippet": snippet,
        "contentDetails": {"videoId": row.video_id} | ({"videoPublishedAt": written(post.published)} if post else {}),
        "status": {"privacyStatus": "public" if post else "private"},
    })  # fmt: skip


def video(creator: Creator, post: Post, parts: Parts) -> Json:
    item = head("video", post.post_id, post.likes)
    air = youtube_model.air(creator, post)
    if "snippet" in parts:
        item["snippet"] = {
            "publishedAt": written(post.published),
            "channelId": creator.profile_id,
            "title": post.title,
            "description": post.description,
            "thumbnails": _thumbnails(post.post_id, _THUMBNAILS if post.kind == "short" else _BIG_THUMBNAILS),
            "channelTitle": creator.full_name,
            "tags": list(post.tags),
            "categoryId": post.category_id,
            "liveBroadcastContent": air,
            "localized": {"title": post.title, "description": post.description},
        }
        if creator.language in names.LANGUAGE_CODES:
            item["snippet"]["defaultAudioLanguage"] = names.LANGUAGE_CODES[creator.language]
    if "contentDetails" in parts:
        item["contentDetails"] = {
            "duration": "P0D" if air == "live" else duration(post.duration_s), "dimension": "2d", "definition": "hd",
            "caption": "false", "licensedContent": True, "contentRating": {}, "projection": "rectangular",
        }  # fmt: skip
    if "statistics" in parts:
        item["statistics"] = _statistics(creator, post)
    if "status" in parts:
        item["status"] = {
            "uploadStatus": "uploaded" if air == "upcoming" else "processed", "privacyStatus": "public",
            "license": "youtube", "embeddable": True, "publicStatsViewable": True, "madeForKids": False,
        }  # fmt: skip
    if "liveStreamingDetails" in parts and air != "none":
        begins = written(post.published + dt.timedelta(hours=12 if air == "upcoming" else 1))
        item["liveStreamingDetails"] = {"scheduledStartTime": begins}
        if air == "live":
            item["liveStreamingDetails"] |= {"actualStartTime": begins, "concurrentViewers": str(post.views or 0)}
    if "topicDetails" in parts:
        item["topicDetails"] = {"topicCategories": []}
    return item


def stats(creator: Creator, post: Post, parts: Parts) -> Json:
    """Of videos:batchGetStats."""
    return of("videoStats", post.post_id, post.likes, parts, {
        "snippet": {"publishTime": written(post.published)},
        "statistics": _statistics(creator, post),
        "contentDetails": {"duration": duration(post.duration_s)},
    })  # fmt: skip


def thread(creator: Creator, post: Post, shown: Comment, replies: list[Comment], parts: Parts) -> Json:
    first = comment(creator, post, shown, ("snippet",))
    item = of("commentThread", first["id"], shown.likes, parts, {
        "snippet": {
            "channelId": creator.profile_id,
            "videoId": post.post_id,
            "topLevelComment": first,
            "canReply": True,
            "totalReplyCount": shown.replies,
            "isPublic": True,
        },
    })  # fmt: skip
    if "replies" in parts and replies:
        item["replies"] = {"comments": [comment(creator, post, each, ("snippet",)) for each in replies]}
    return item


def comment(creator: Creator, post: Post, shown: Comment, parts: Parts) -> Json:
    author = youtube_talk.channel_id(shown.actor)
    identity = youtube_talk.comment_id(shown)
    snippet = {
        "channelId": creator.profile_id,
        "videoId": post.post_id,
        "textDisplay": html.escape(shown.text),
        "textOriginal": shown.text,
        "authorDisplayName": youtube_talk.handle(shown.actor),
        "authorProfileImageUrl": f"https://images.example/youtube/{author}/s48.jpg",
        "authorChannelUrl": f"http://www.youtube.example/{youtube_talk.handle(shown.actor)}",
        "authorChannelId": {"value": author},
        "canRate": True,
        "viewerRating": "none",
        "likeCount": shown.likes,
        "publishedAt": written(shown.published),
        "updatedAt": written(shown.published),
    }
    if shown.parent_id is not None:
        snippet["parentId"] = identity.partition(".")[0]
    if isinstance(shown.actor, Person) and shown.actor.fake:
        del snippet["authorChannelId"]  # accounts that are gone leave their words behind
    return of("comment", identity, shown.likes, parts, {"snippet": snippet})


def activity(creator: Creator, shown: Activity, parts: Parts) -> Json:
    target = {"kind": "youtube#video", "videoId": shown.post.post_id}
    details: Json = {"upload": {"videoId": shown.post.post_id}}
    if shown.playlist_id is not None:
        identity = letters(key_of(shown.playlist_id), key_of(shown.post.post_id))
        details = {"playlistItem": {"resourceId": target, "playlistId": shown.playlist_id, "playlistItemId": identity}}
    return of("activity", shown.activity_id, 1, parts, {
        "snippet": {
            "publishedAt": written(shown.published),
            "channelId": creator.profile_id,
            "title": shown.post.title,
            "description": shown.post.description,
            "thumbnails": _thumbnails(shown.post.post_id, _THUMBNAILS),
            "channelTitle": creator.full_name,
            "type": shown.kind,
        },
        "contentDetails": details,
    })  # fmt: skip


def subscription(cast: Cast, creator: Creator, shown: Subscription, parts: Parts) -> Json:
    other = shown.channel
    return of("subscription", shown.subscription_id, 1, parts, {
        "snippet": {
            "publishedAt": written(shown.since),
            "title": other.full_name,
            "description": other.bio,
            "resourceId": {"kind": "youtube#channel", "channelId": other.profile_id},
            "channelId": creator.profile_id,
            "thumbnails": _faces(other.profile_id),
        },
        "contentDetails": {
            "totalItemCount": cast.today_of(other).media_count or 0, "newItemCount": 0, "activityType": "all",
        },
    })  # fmt: skip


def found(creator: Creator, post: Post | None) -> Json:
    """Of a search: a video, or the channel. Its text is escaped and cut, as the real one's is."""
    if post is None:
        identity = {"kind": "youtube#channel", "channelId": creator.profile_id}
        published = f"{creator.joined.isoformat()}T09:30:00Z"
        title, text, pictures, air = creator.full_name, creator.bio, _faces(creator.profile_id), "none"
    else:
        identity = {"kind": "youtube#video", "videoId": post.post_id}
        published, title, text = written(post.published), post.title, post.description
        pictures, air = _thumbnails(post.post_id, _THUMBNAILS), youtube_model.air(creator, post)
    return head("searchResult", None, key_of(str(identity))) | {
        "id": identity,
        "snippet": {
            "publishedAt": published,
            "channelId": creator.profile_id,
            "title": html.escape(title),
            "description": html.escape(text if len(text) < 100 else f"{text[:97]} ..."),
            "thumbnails": pictures,
            "channelTitle": creator.full_name,
            "liveBroadcastContent": air,
            "publishTime": published,
        },
    }


def category(identity: str) -> Json:
    snippet = {"title": CATEGORIES[identity], "assignable": identity != "30", "channelId": "UC" + letters(1, 2)}
    return head("videoCategory", identity, 1) | {"snippet": snippet}


def duration(seconds: int) -> str:
    """ISO 8601 as YouTube writes it: PT21M7S, PT1H2S, PT45S."""
    hours, rest = divmod(seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    parts = ((hours, "H"), (minutes, "M"), (seconds, "S"))
    return "PT" + ("".join(f"{number}{unit}" for number, unit in parts if number) or "0S")


def _statistics(creator: Creator, post: Post) -> Json:
    counts = {"viewCount": str(post.views or 0)}
    if creator.shows_likes:
        counts["likeCount"] = str(post.likes)
    counts["favoriteCount"] = "0"
    if youtube_model.takes_comments(creator):
        counts["commentCount"] = str(post.comments)
    return counts


def _thumbnails(video_id: str, sizes: tuple[tuple[str, int, int], ...]) -> Json:
    return {
        name: {"url": f"https://images.example/youtube/{video_id}/{name}.jpg", "width": width, "height": height}
        for name, width, height in sizes
    }


def _faces(channel_id: str) -> Json:
    return {
        name: {"url": f"https://images.example/youtube/{channel_id}/s{size}.jpg", "width": size, "height": size}
        for name, size in (("default", 88), ("medium", 240), ("high", 800))
    }
