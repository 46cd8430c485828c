"""What a crawl derives of a profile is what the mart says of the same posts: rule 2.1, twice."""

import datetime as dt
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from gcc.actors.transformer import Transformer
from gcc.clock import SystemClock
from gcc.pipelines.analytics import models
from gcc.sources.instagram import graph_parse
from gcc.sources.instagram_web import parse
from gcc.sources.snapshot import Metrics, PostSnapshot, ProfileSnapshot, derive
from gcc.stores.clickhouse import ClickHouse
from gcc.supervisor.lifecycle import Board
from tests.recorded import FOLDER, recorded

AVERAGES = ("avg_likes", "avg_comments", "avg_views", "engagement_rate")
NOW = SystemClock().now()


def made(platform: str, posts: Sequence[tuple[float, str | None, Metrics]], followers: int | None) -> ProfileSnapshot:
    """`posts`: (age in hours, type, metrics)."""
    shown = [
        PostSnapshot(
            platform, "graphapi", NOW, f"{number:03}", "", "", "x", NOW - dt.timedelta(hours=hours), metrics,
            {"post_type": kind},
        )
        for number, (hours, kind, metrics) in enumerate(posts)
    ]  # fmt: skip
    return ProfileSnapshot(platform, "graphapi", NOW, "", "x", {"followers": followers}, {}, shown)


def shifted(profile: ProfileSnapshot) -> ProfileSnapshot:
    """As if its newest post were two days old."""
    newest = max((post.publish_time for post in profile.posts if post.publish_time), default=NOW)
    later = NOW - dt.timedelta(days=2) - newest
    posts = [replace(post, publish_time=post.publish_time and post.publish_time + later) for post in profile.posts]
    return replace(profile, posts=posts)


def told(likes: int | None, comments: int | None = 10, **more: int | None) -> Metrics:
    return {"likes": likes, "comments": comments, **more}


MADE: Mapping[str, ProfileSnapshot] = {
    "plain": made("INSTAGRAM", [(48, "image", told(n * 100, n * 10)) for n in (1, 2, 3)], 10_000),
    "hidden": made("INSTAGRAM", [(48, "image", told(likes)) for likes in (100, None, 300, None, 200)], 10_000),
    "hidden by 0": made("INSTAGRAM", [(48, "image", told(likes)) for likes in (0, 5, 300, 7)], 10_000),
    "none beside few": made("INSTAGRAM", [(48, "image", told(likes, 9)) for likes in (0, 5, 300)], 10_000),
    "two known": made("INSTAGRAM", [(48, "image", told(likes)) for likes in (None, 5, 300)], 10_000),
    "no followers": made("INSTAGRAM", [(48, "image", told(5))] * 3, 0),
    "followers unknown": made("INSTAGRAM", [(48, "image", told(5))] * 3, None),
    "one time": made("INSTAGRAM", [(48, "image", told(n)) for n in range(20)], 100),
    "pinned": made("INSTAGRAM", [(900, "image", told(10**6))] + [(30 + n, "image", told(n)) for n in range(12)], 100),
    "ages": made("INSTAGRAM", [(h, "image", told(int(h))) for h in (1, 23, 25, 100, 180 * 24 - 1, 180 * 24 + 1)], 100),
    "kinds": made("INSTAGRAM", [
        (48, "reels", told(1, views=10)), (48, "reels", told(1, plays=20)), (48, "video", told(1, views=30, plays=5)),
        (48, "image", told(1, views=99)), (48, "carousel_album", told(1, plays=99)), (48, "story", told(99, views=99)),
        (48, None, told(1, views=40)),
    ], 100),
    "videos": made("YOUTUBE", [(30 + n, "short" if n % 2 else "video", told(n, 0, views=n * 7)) for n in range(20)], 9),
}  # fmt: skip

PARSED: Mapping[str, Callable[[], ProfileSnapshot]] = {
    "web": lambda: parse.profile(recorded("instagram_web/profile.json"), "web", NOW, "x"),
    "web, otherwise": lambda: parse.profile(recorded("instagram_web/profile-alternative.json"), "web", NOW, "x"),
    "graph": lambda: graph_parse.profile(recorded("instagram_graph_api/base/discovery_medias_p1.json"), "x", NOW),
    "graph, fields": lambda: graph_parse.profile(
        recorded("instagram_graph_api/instagram/apidata/discovery/user_fields.json"), "x", NOW
    ),
}


def fixtures() -> dict[str, ProfileSnapshot]:
    """Under their names as ids of profiles."""
    known = dict(MADE) | ({name: shifted(parsed()) for name, parsed in PARSED.items()} if FOLDER.is_dir() else {})
    return {
        name: replace(
            profile,
            profile_id=name,
            posts=[replace(post, profile_id=name, shortcode=f"{name} {post.post_id}") for post in profile.posts],
        )
        for name, profile in known.items()
    }


def event(snapshot: ProfileSnapshot | PostSnapshot, **more: Any) -> dict[str, Any]:
    return {
        "event_id": str(uuid.uuid4()),
        "v": 1,
        "platform": snapshot.platform,
        "profile_id": snapshot.profile_id,
        "handle": snapshot.handle,
        "event_timestamp": f"{snapshot.at:%Y-%m-%d %H:%M:%S.%f}",
        "metrics": snapshot.metrics,
        "dimensions": snapshot.dimensions,
        **more,
    }


def lines(events: Sequence[dict[str, Any]]) -> bytes:
    return "\n".join(map(json.dumps, events)).encode()


async def test_the_crawl_and_the_mart_agree_on_every_fixture(clickhouse: ClickHouse) -> None:
    known = fixtures()
    derived = {name: derive(profile) for name, profile in known.items()}
    profiles = [event(profile) for profile in known.values()]  # without what was derived: the mart has its own
    posts = [
        event(
            post,
            shortcode=post.shortcode,
            post_id=post.post_id,
            publish_time=post.publish_time and f"{post.publish_time:%Y-%m-%d %H:%M:%S.%f}",
        )
        for profile in known.values()
        for post in profile.posts
    ]
    await clickhouse.insert_ndjson("_e.profile_log_events", lines(profiles), token="profiles")
    await clickhouse.insert_ndjson("_e.post_log_events", lines(posts), token="posts")
    clock = SystemClock()
    graph = models.read(variables={"timezone": "Asia/Kolkata"})
    transformer = Transformer(clickhouse, graph, Board(clock.now).actor("x"), clock, zone="Asia/Kolkata")
    assert [run for run in await transformer.run_models() if not run.ok] == []
    rows = {
        row["id"]: row
        for row in await clickhouse.rows(
            f"select profile_id as id, {', '.join(AVERAGES)} from dbt.mart_insta_recent_stats"  # noqa: S608
            f" union all select channel_id as id, {', '.join(AVERAGES)} from dbt.mart_youtube_recent_stats"
        )
    }
    for name, profile in derived.items():
        said = rows.get(name, dict.fromkeys(AVERAGES))
        assert [said[each] for each in AVERAGES] == pytest.approx([profile.metrics[each] for each in AVERAGES]), name
    assert sum(profile.metrics["engagement_rate"] is not None for profile in derived.values()) >= 7
