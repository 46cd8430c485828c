"""A perfect crawl: what /truth and /history tell of the world's creators, as rows of the event tables and the replicas.

`Account` is all that /truth tells of one creator; `rules` computes from these alone. Written are two snapshots of each
day's profile and of each post, the older one with other figures: only the last known may count. Odd things that sources
tell are put in, the same for the same seed: a false 0, hidden likes as 0, counts of -1, days without a snapshot.
"""

import datetime as dt
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gcc.world import audience, comments, insights, truth, youtube_model
from gcc.world.chance import key_of, mix
from gcc.world.creators import generate
from gcc.world.model import Cast, Creator, Platform, Post
from gcc.world.planted import persons

TODAY = dt.date(2026, 11, 28)
NOW = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC)
CRAWLED = NOW - dt.timedelta(hours=1)
DAYS = 90
Row = dict[str, Any]


@dataclass
class Account:
    """`days`: metrics by the time of their snapshot, in order. `posts`: figures as they were told last."""

    platform: Platform
    profile_id: str
    handle: str
    full_name: str
    bio: str
    website: str | None
    category: str | None
    language: str | None
    country: str | None
    days: list[tuple[dt.datetime, Row]]
    posts: list[Row]
    planted: Row
    followers: list[Row]  # some, each with what a perfect scorer makes of it
    comments: list[Row]


def accounts(count: int, seed: int = 1) -> list[Account]:
    """`count` creators of each platform, and some odd ones."""
    odd = 6
    both = persons(generate("INSTAGRAM", seed, count, odd), generate("YOUTUBE", seed, count, odd), seed)
    casts = [Cast(platform, creators, TODAY) for platform, creators in zip(("INSTAGRAM", "YOUTUBE"), both, strict=True)]
    return [_account(cast, creator) for cast in casts for creator, _ in cast.ranked]


def _account(cast: Cast, creator: Creator) -> Account:
    told = truth.profile(cast, creator)
    days = [(_midnight(row.pop("date")), row) for row in told["history"]]
    chance = key_of(creator.profile_id)
    days = [each for each in days if mix(chance, each[0].toordinal()) % 23]  # days that nobody crawled
    if chance % 5 == 0:
        days.insert(-3, (days[-4][0] + dt.timedelta(hours=3), {**days[-4][1], "followers": 0}))
    days.append((CRAWLED, told["metrics"]))
    shown = cast.posts_of(creator) if creator.shows_posts else []
    return Account(
        platform=cast.platform,
        profile_id=creator.profile_id,
        handle=creator.handle,
        full_name=creator.full_name,
        bio=creator.bio,
        website=creator.website,
        category=creator.category,
        language=creator.language,
        country=creator.country,
        days=days,
        posts=[_post(creator, post, truth.post_row(creator, post)) for post in shown],
        planted=told["planted"],
        followers=_followers(cast, creator) if cast.platform == "INSTAGRAM" else [],
        comments=_comments(cast, creator, shown[:4]) if chance % 3 == 0 else [],
    )


def _followers(cast: Cast, creator: Creator) -> list[Row]:
    """A hundred of them are enough for a share, or not."""
    count = 40 + mix(key_of(creator.profile_id), 6) % 160
    scored = audience.followers(cast, creator, 0, count) if creator.shows_posts else []
    return [
        {"id": each.profile_id, "handle": each.handle, "score": 1.0 if each.fake else 0.33 if each.private else 0.0}
        for each in scored
    ]


def _comments(cast: Cast, creator: Creator, posts: Sequence[Post]) -> list[Row]:
    """Threads of the newest posts."""
    if cast.platform == "YOUTUBE" and not youtube_model.takes_comments(creator):
        return []
    return [
        {"id": each.comment_id, "shortcode": post.shortcode, "author": each.actor.profile_id, "text": each.text,
         "published": each.published}
        for post in posts
        for each in comments.threads(cast, creator, post, 0, min(25, comments.thread_count(post)))
    ]  # fmt: skip


def _post(creator: Creator, post: Post, told: Row) -> Row:
    row = {
        **told,
        "title": post.title,
        "description": post.description,
        "duration_s": post.duration_s,
        "told_likes": told["likes"],
    }
    draw = mix(key_of(post.shortcode), 5)
    if creator.platform == "INSTAGRAM":
        seen = insights.post(creator, post) if draw % 3 else {}
        row |= {"plays": seen.get("views"), **{name: seen.get(name) for name in ("reach", "saved", "shares")}}
    if draw % 31 == 0 and (row["comments"] or 0) >= 10:
        row |= {"likes": None, "told_likes": 0}
    elif draw % 31 == 1:
        row |= {"likes": None, "told_likes": -1}
    return row


def _midnight(date: str) -> dt.datetime:
    return dt.datetime.combine(dt.date.fromisoformat(date), dt.time(), dt.UTC)


def written(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


SCRAPED = {"source": "graphapi", "scraped_at": written(CRAWLED), "updated_at": written(CRAWLED), "_version": 1}


def tables(found: Sequence[Account]) -> dict[str, list[Row]]:
    """What a platform would have stored, by table."""
    rows: dict[str, list[Row]] = {}
    for account in found:
        for table, row in _rows(account):
            rows.setdefault(table, []).append(row)
    return rows


def _rows(account: Account) -> Iterator[tuple[str, Row]]:
    base = {"platform": account.platform, "profile_id": account.profile_id, "handle": account.handle}
    dimensions = {
        "handle": account.handle, "full_name": account.full_name, "bio": account.bio, "website": account.website,
        "category": account.category, "language": account.language, "country": account.country,
    }  # fmt: skip
    for at, metrics in account.days:
        for when, values in ((at - dt.timedelta(minutes=7), _other(metrics)), (at, metrics)):
            event = {**base, "event_timestamp": written(when), "metrics": values, "dimensions": dimensions}
            yield "_e.profile_log_events", _event(event)
    yield from _post_rows(account, base)
    yield from _crowd_rows(account, base)
    state = {**SCRAPED, "id": str(uuid.uuid5(uuid.NAMESPACE_OID, account.profile_id)), "handle": account.handle}
    if account.platform == "YOUTUBE":
        told = {"channel_id": account.profile_id, "title": account.full_name, "description": account.bio}
        yield "beat_replica.youtube_account", {**state, **told}
    else:
        told = {"profile_id": account.profile_id, "full_name": account.full_name, "bio": account.bio}
        yield "beat_replica.instagram_account", {**state, **told}


def _post_rows(account: Account, base: Row) -> Iterator[tuple[str, Row]]:
    youtube = account.platform == "YOUTUBE"
    for post in account.posts:
        metrics = {name: post.get(name) for name in ("comments", "views", "plays", "reach", "saved", "shares")}
        metrics |= {"likes": post["told_likes"]}
        kind = {"post_type": post["post_type"]}
        texts = {"title": post["title"], "description": post["description"]} if youtube else {"caption": post["title"]}
        length = {"duration_s": post["duration_s"]} if youtube else {}
        published = {"publish_time": written(dt.datetime.fromisoformat(post["publish_time"]))}
        named = {"shortcode": post["shortcode"], "post_id": post["post_id"], **published}
        for when, values in ((CRAWLED - dt.timedelta(days=1), _other(metrics)), (CRAWLED, metrics)):
            told = {"metrics": values, "dimensions": {**kind, **texts, **length}}
            yield "_e.post_log_events", _event({**base, **named, "event_timestamp": written(when), **told})
        if youtube:
            ids = {"video_id": post["post_id"], "channel_id": account.profile_id}
            yield "beat_replica.youtube_post_simple", {**SCRAPED, **ids, **kind, **texts, **published}
        else:
            ids = {**named, "profile_id": account.profile_id}
            yield "beat_replica.instagram_post_simple", {**SCRAPED, **ids, **kind, **texts}


def _crowd_rows(account: Account, base: Row) -> Iterator[tuple[str, Row]]:
    for follower in account.followers:
        named = {
            "follower_profile_id": follower["id"],
            "follower_handle": follower["handle"],
            "scorer_version": "perfect",
        }
        for when, score in ((CRAWLED - dt.timedelta(days=1), 0.0), (CRAWLED, follower["score"])):
            row = _event({**base, **named, "event_timestamp": written(when), "score": score})
            del row["source"]
            yield "_e.creator_follower_score", row
    for comment in account.comments:
        told = {"activity_id": comment["id"], "text": comment["text"], "actor_handle": comment["author"]}
        under = {"platform": account.platform, "profile_id": account.profile_id, "shortcode": comment["shortcode"]}
        said = {"activity_type": "comment", "actor_profile_id": comment["author"], "metrics": {}, "dimensions": told}
        at = {"publish_time": written(comment["published"]), "event_timestamp": written(CRAWLED)}
        yield "_e.post_activity_log_events", _event({**under, **said, **at})


def _other(metrics: Mapping[str, Any]) -> Row:
    """What was told before: less, of what is known."""
    return {name: _less(value) for name, value in metrics.items()}


def _less(value: float | None) -> float | None:
    return value * 0.9 if isinstance(value, float) else None if value is None else value * 9 // 10


def _event(row: Row) -> Row:
    """The same snapshot is the same event."""
    return {
        "event_id": str(uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(row, sort_keys=True))),
        "v": 1, "origin": "gcc", "origin_id": "1", "source": "graphapi", **row,
    }  # fmt: skip
