"""The recorded world: every table of ../shared/data is read, what is refused is known, and it is served."""

import datetime as dt
import json
from functools import partial
from itertools import pairwise

import httpx
import pytest
import trio

from gcc.clock import VirtualClock
from gcc.config import World as Settings
from gcc.world import graph, youtube
from gcc.world.model import PAGE_POSTS
from gcc.world.recorded import Recorded, read_casts
from gcc.world.server import serve_world
from tests.certificates import PLAIN
from tests.recorded import FOLDER, needs_recorded

TODAY = dt.date(2026, 10, 30)
MONTHS = [dt.date(2022, month, 1) for month in (6, 9, 11, 12)]
pytestmark = needs_recorded


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    return read_casts(FOLDER, 1, TODAY)


def test_every_record_of_every_table_is_accounted_for(recorded: Recorded) -> None:
    counts = {each.table: (each.records, each.doubled, len(each.refused)) for each in recorded.readings}
    assert counts == {
        "instagram_2022-06": (1022, 31, 27),
        "instagram_2022-09": (1050, 58, 9),
        "instagram_2022-11": (1000, 2, 0),
        "instagram_2022-12": (1000, 7, 2),
        "instagram_undated": (1000, 0, 3),
        "youtube_2022-06": (1021, 21, 1),
        "youtube_2022-09": (1047, 47, 1),
        "youtube_2022-11": (1000, 1, 1),
        "youtube_2022-12": (1003, 3, 1),
        "youtube_undated": (1000, 1, 1),
        "top_insta_influencers_data": (199, 0, 1),
        "global_youtube_2023": (995, 0, 99),
        "INvideos_stats": (37352, 20529, 518),
    }
    for each in recorded.readings:
        if each.rows:
            assert each.records == len(each.rows) + each.doubled + len(each.refused)
    assert len(recorded.report()) == 13


def test_the_months_are_the_history(recorded: Recorded) -> None:
    instagram, youtube_cast = recorded.casts["INSTAGRAM"], recorded.casts["YOUTUBE"]
    assert instagram.dates(90) == youtube_cast.dates(90) == MONTHS
    assert [sum(1 for _ in instagram.on(date)) for date in MONTHS] == [964, 983, 998, 991]
    assert [sum(1 for _ in youtube_cast.on(date)) for date in MONTHS] == [999, 999, 998, 999]
    assert sum(1 for _ in instagram.on(dt.date(2022, 7, 1))) == 0
    assert (len(instagram.ranked), len(youtube_cast.ranked)) == (1475, 1398)
    assert recorded.channels_with_videos == 131


def test_figures_are_those_of_the_tables(recorded: Recorded) -> None:
    cast = recorded.casts["INSTAGRAM"]
    creator = cast.by_handle("leomessi")
    assert creator is not None
    followers = [day.followers for date in MONTHS if (day := creator.course.day(date))]
    assert followers[1:] == [358_600_000, 357_800_000, 409_800_000]
    today = cast.today_of(creator)
    assert today.followers == 409_800_000
    assert today.engagement_rate == pytest.approx(23.4e6 / 409.8e6, rel=1e-6)
    assert (creator.full_name, creator.category, creator.country) == ("Leo Messi", "Sports with a ball", "AR")
    newest = creator.course.day(MONTHS[-1])
    assert newest is not None
    assert newest.engagement_rate == pytest.approx(23.4e6 / 409.8e6)
    assert newest.avg_likes is newest.following is None  # no table tells


def test_a_channel_is_one_through_renames_and_swapped_columns(recorded: Recorded) -> None:
    cast = recorded.casts["YOUTUBE"]
    creator = cast.by_handle("mrbeast")
    assert creator is not None
    assert cast.by_handle("mrbeast6000") is None  # an older handle of the same channel
    followers = [day.followers for date in MONTHS if (day := creator.course.day(date))]
    assert len(followers) == 4
    assert all(after > before for before, after in pairwise(followers))
    assert cast.today_of(creator).followers == 166_000_000
    assert cast.today_of(creator).total_views == 28_368_841_870
    series = cast.by_handle("tseries")
    assert series is not None
    assert (series.full_name, series.country, series.joined) == ("T-Series", "IN", dt.date(2006, 3, 13))


def test_recorded_videos_are_served_with_their_categories(recorded: Recorded) -> None:
    cast = recorded.casts["YOUTUBE"]
    series = cast.by_handle("tseries")
    assert series is not None
    posts = cast.posts_of(series)
    assert {post.published.year for post in posts} == {2018}
    assert {post.category_id for post in posts} == {"10"}
    assert any(post.title for post in posts)
    assert cast.post(posts[0].post_id) == (series, posts[0])
    assert sum(post.views or 0 for post in posts[:15]) / 15 == cast.today_of(series).avg_views


@pytest.mark.parametrize("platform", ["INSTAGRAM", "YOUTUBE"])
def test_averages_of_today_are_means_of_the_first_page(recorded: Recorded, platform: str) -> None:
    cast = recorded.casts["INSTAGRAM" if platform == "INSTAGRAM" else "YOUTUBE"]
    for creator, day in cast.ranked:
        posts = cast.posts_of(creator)[: PAGE_POSTS[cast.platform]]
        if posts:
            assert sum(post.likes for post in posts) / len(posts) == day.avg_likes
            assert sum(post.comments for post in posts) / len(posts) == day.avg_comments
        else:
            assert day.avg_likes is day.engagement_rate is None
        assert all(post.likes >= 0 and post.comments >= 0 and (post.views or 0) >= 0 for post in posts)


async def test_it_is_served_like_a_generated_one() -> None:
    draining = trio.Event()
    settings = Settings(enabled=True, port=0, recorded=FOLDER, calls_per_s=1000.0)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(partial(serve_world, settings, VirtualClock(1), draining=draining))
            async with httpx.AsyncClient(base_url=url, timeout=30, verify=PLAIN) as client:
                fields = "business_discovery.username(leomessi){followers_count,media.limit(12){like_count}}"
                query = {"fields": fields, "access_token": graph.TOKENS[0]}
                found = (await client.get("/graph/v25.0/1", params=query)).json()["business_discovery"]
                assert found["followers_count"] == 409_800_000
                assert len(found["media"]["data"]) == 12
                query = {"part": "statistics", "forHandle": "@MrBeast", "key": youtube.KEYS[0]}
                (item,) = (await client.get("/youtube/v3/channels", params=query)).json()["items"]
                assert item["statistics"]["subscriberCount"] == "166000000"
                true = (await client.get("/truth/youtube/mrbeast")).json()
                assert [day["date"] for day in true["history"]] == [date.isoformat() for date in MONTHS]
                lines = (await client.get("/history/instagram", params={"days": 90})).text.splitlines()
            draining.set()
    assert len(lines) == 964 + 983 + 998 + 991
    assert json.loads(lines[0])["timestamp"] == "2022-06-01T00:00:00Z"
