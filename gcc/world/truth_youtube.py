"""What a perfect crawl of YouTube would find, flow by flow: the world's own view, not an API's.

Of a channel: /truth/YOUTUBE/{handle or id}/videos; of another name: /truth/YOUTUBE/playlist/{id}. Each is (how many
there are, those from `start` to before `stop`). Names are those of the stored rows.
"""

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from gcc.world import comments, truth, youtube_figures, youtube_model, youtube_talk
from gcc.world.answer import written
from gcc.world.comments import Comment
from gcc.world.model import PAGE_POSTS, Cast, Creator, Post
from gcc.world.youtube_owners import OWNERS

T = TypeVar("T")
Json = dict[str, Any]
Part = tuple[int, list[Json]]
_REPORT_DAYS = 90


def profile(cast: Cast, creator: Creator) -> Json:
    """The row as the platform shows it, which is all of it unless the channel is an odd one."""
    told = truth.profile(cast, creator)
    if creator.state == "public":
        return told
    closed = {} if youtube_model.takes_comments(creator) else {"comments": None}
    recent = youtube_model.uploads(cast, creator)[: PAGE_POSTS["YOUTUBE"]]
    posts = [truth.post_row(creator, post) | closed for post in recent]
    hidden = dict.fromkeys(("followers", "subscribers")) if youtube_model.hides_subscribers(creator) else {}
    averages = {f"avg_{name}": _mean([post[name] for post in posts]) for name in ("likes", "comments", "views")}
    followers = None if hidden else told["followers"]
    likes, said = averages["avg_likes"], averages["avg_comments"]
    rate = None if followers is None or likes is None or said is None else (likes + said) / followers
    known = averages | {"engagement_rate": rate} | hidden
    return told | known | {"metrics": told["metrics"] | known, "posts": posts}


def about(cast: Cast, creator: Creator) -> Json:
    """Whose it is, and what the platform hides of it."""
    return {
        "profile_id": creator.profile_id,
        "handle": creator.handle,
        "state": creator.state,
        "terminated": creator.state == "gone",
        "hides_subscribers": youtube_model.hides_subscribers(creator),
        "takes_comments": youtube_model.takes_comments(creator),
        "tells_subscriptions": youtube_model.tells_subscriptions(creator),
        "has_owner_token": cast.slot(creator) < OWNERS,
    }


def _videos(cast: Cast, creator: Creator, start: int, stop: int) -> Part:
    return _part(youtube_model.uploads(cast, creator), start, stop, lambda post: _video(creator, post))


def _shorts(cast: Cast, creator: Creator, start: int, stop: int) -> Part:
    posts = [post for post in youtube_model.uploads(cast, creator) if post.kind == "short"]
    return _part(posts, start, stop, lambda post: _video(creator, post))


def _playlists(cast: Cast, creator: Creator, start: int, stop: int) -> Part:
    return _part(youtube_model.playlists(cast, creator), start, stop, lambda each: {
        "playlist_id": each.playlist_id, "title": each.title, "videos": len(each.rows),
    })  # fmt: skip


def _activities(cast: Cast, creator: Creator, start: int, stop: int) -> Part:
    return _part(youtube_model.activities(cast, creator), start, stop, lambda each: {
        "activity_id": each.activity_id, "type": each.kind, "publish_time": written(each.published),
        "video_id": each.post.post_id, "playlist_id": each.playlist_id,
    })  # fmt: skip


def _subscriptions(cast: Cast, creator: Creator, start: int, stop: int) -> Part:
    """None where the channel keeps them to itself."""
    found = youtube_model.subscriptions(cast, creator) if youtube_model.tells_subscriptions(creator) else []
    return _part(found, start, stop, lambda each: {
        "channel_id": each.channel.profile_id, "handle": each.channel.handle, "title": each.channel.full_name,
        "since": written(each.since),
    })  # fmt: skip


def _daily(cast: Cast, creator: Creator, start: int, stop: int) -> Part:
    """The newest first, of the last _REPORT_DAYS."""
    end = cast.today
    rows = list(youtube_figures.days(cast, creator, end - dt.timedelta(days=_REPORT_DAYS), end))[::-1]
    return _part(rows, start, stop, lambda row: {"day": row[0].isoformat(), **row[1]})


def _monthly(cast: Cast, creator: Creator, start: int, stop: int) -> Part:
    """The newest first, of the last year's whole months."""
    this = cast.today.replace(day=1)
    begin = this.replace(year=this.year - 1)
    rows = list(youtube_figures.months(cast, creator, begin, this - dt.timedelta(days=1)).items())[::-1]
    return _part(rows, start, stop, lambda row: {"month": row[0], **row[1]})


def _demographics(cast: Cast, creator: Creator, start: int, stop: int) -> Part:
    rows = list(youtube_figures.viewers(creator).items())
    return _part(rows, start, stop, lambda row: {
        "age": row[0][0], "gender": row[0][1], "viewer_percentage": row[1],
    })  # fmt: skip


def _geography(cast: Cast, creator: Creator, start: int, stop: int) -> Part:
    end = cast.today
    rows = list(youtube_figures.countries(cast, creator, end - dt.timedelta(days=_REPORT_DAYS), end).items())
    return _part(rows, start, stop, lambda row: {"country": row[0], **row[1]})


def _playlist(cast: Cast, name: str, start: int, stop: int) -> Part | None:
    """Its rows; of what has become private only the id."""
    found = youtube_model.playlist(cast, name)
    if found is None:
        return None
    return _part(found.rows, start, stop, lambda row: (
        {"post_id": row.video_id, "private": True}
        if row.creator is None or row.post is None
        else _video(row.creator, row.post) | {"private": False}
    ))  # fmt: skip


def _of_video(cast: Cast, name: str, start: int, stop: int) -> Part | None:
    found = youtube_model.video(cast, name)
    return None if found is None else _part([found], start, stop, lambda pair: _video(*pair))


def _comments(cast: Cast, name: str, start: int, stop: int) -> Part | None:
    """Threads with all their replies, the newest thread first; counted are the threads."""
    found = youtube_model.video(cast, name)
    if found is None:
        return None
    creator, post = found
    total = comments.thread_count(post) if youtube_model.takes_comments(creator) else 0
    threads = comments.threads(cast, creator, post, start, min(stop, total)) if total else []
    return total, [
        _comment(each)
        | {"replies": [_comment(reply) for reply in comments.replies(cast, creator, post, each, 0, each.replies)]}
        for each in threads
    ]


def _search(cast: Cast, name: str, start: int, stop: int) -> Part:
    return _part(youtube_model.search(cast, name), start, stop, lambda pair: (
        {"channel_id": pair[0].profile_id} if pair[1] is None else _video(pair[0], pair[1])
    ))  # fmt: skip


def _chart(cast: Cast, name: str, start: int, stop: int) -> Part | None:
    """By "CATEGORY,REGION" as "10,IN"."""
    category, _, region = name.partition(",")
    if category not in youtube_model.CHARTED:
        return None
    found = youtube_model.chart(cast, category, region.upper() or "US")
    return _part(found, start, stop, lambda pair: _video(*pair))


OF_ACCOUNT: Mapping[str, Callable[[Cast, Creator, int, int], Part]] = {
    "videos": _videos,
    "shorts": _shorts,
    "playlists": _playlists,
    "activities": _activities,
    "subscriptions": _subscriptions,
    "daily": _daily,
    "monthly": _monthly,
    "demographics": _demographics,
    "geography": _geography,
}
OF_NAME: Mapping[str, Callable[[Cast, str, int, int], Part | None]] = {
    "video": _of_video,
    "playlist": _playlist,
    "comments": _comments,
    "search": _search,
    "chart": _chart,
}


def _part(found: Sequence[T], start: int, stop: int, shown: Callable[[T], Json]) -> Part:
    return len(found), [shown(each) for each in found[start:stop]]


def _video(creator: Creator, post: Post) -> Json:
    return {
        "post_id": post.post_id,
        "channel_id": creator.profile_id,
        "post_type": post.kind,
        "title": post.title,
        "category_id": post.category_id,
        "air": youtube_model.air(creator, post),
        "duration_s": post.duration_s,
        "publish_time": written(post.published),
        "views": post.views,
        "likes": post.likes if creator.shows_likes else None,
        "comments": post.comments if youtube_model.takes_comments(creator) else None,
    }


def _comment(shown: Comment) -> Json:
    return {
        "comment_id": youtube_talk.comment_id(shown),
        "channel_id": youtube_talk.channel_id(shown.actor),
        "handle": shown.actor.handle,
        "text": shown.text,
        "likes": shown.likes,
        "publish_time": written(shown.published),
    }


def _mean(figures: list[int | None]) -> float | None:
    known = [figure for figure in figures if figure is not None]
    return sum(known) / len(known) if known else None
