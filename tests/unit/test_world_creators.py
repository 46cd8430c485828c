"""The generated creators: the same in every process, of a believable shape, their figures hanging together."""

import datetime as dt
import math
import re
import statistics
import subprocess
import sys
from itertools import pairwise

import pytest

from gcc.world.chance import bell, mix, unit
from gcc.world.creators import TAIL_FOLLOWERS, TOP_FOLLOWERS, generate
from gcc.world.model import PAGE_POSTS, Cast, Platform
from gcc.world.timeline import spread

TODAY = dt.date(2026, 10, 30)
PLATFORMS: tuple[Platform, ...] = ("INSTAGRAM", "YOUTUBE")


@pytest.fixture(scope="module", params=PLATFORMS)
def cast(request: pytest.FixtureRequest) -> Cast:
    return Cast(request.param, generate(request.param, 1, 1000), TODAY)


MAKES_CREATORS = """
import datetime as dt, hashlib
from gcc.world.creators import generate
digest = hashlib.sha256()
for platform in ("INSTAGRAM", "YOUTUBE"):
    for creator in generate(platform, 7, 40):
        course = creator.course
        days = [course.day(dt.date(2026, 8, 1) + dt.timedelta(days=ahead)) for ahead in range(30)]
        digest.update(repr((creator, days, course.posts(dt.date(2026, 9, 1)))).encode())
print(digest.hexdigest())
"""
MAKES_A_CROWD = """
import datetime as dt, hashlib
from gcc.world import audience, comments, insights, stories, tagging
from gcc.world.creators import generate
from gcc.world.model import Cast
cast = Cast("INSTAGRAM", generate("INSTAGRAM", 7, 40, odd=5), dt.date(2026, 9, 1))
digest = hashlib.sha256()
for creator, _ in cast.ranked[::7]:
    post = cast.posts_of(creator)[0]
    digest.update(repr((
        [each.handle for each in audience.followers(cast, creator, 100, 150)],
        comments.threads(cast, creator, post, 0, 20),
        stories.stories(cast, creator), tagging.tagged(cast, creator), insights.post(creator, post),
        insights.demographics(cast, creator, "city"), insights.account(cast, creator, cast.today),
    )).encode())
print(digest.hexdigest())
"""


@pytest.mark.parametrize("program", [MAKES_CREATORS, MAKES_A_CROWD], ids=["creators", "crowd"])
def test_two_fresh_processes_make_the_same_world(program: str) -> None:
    prints = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(prints) == 1


def test_another_seed_makes_another_world() -> None:
    handles = [{creator.handle for creator in generate("INSTAGRAM", seed, 200)} for seed in (1, 2)]
    assert len(handles[0] & handles[1]) < 40


def test_followers_are_zipf(cast: Cast) -> None:
    sizes = [day.followers for _, day in cast.ranked]
    assert TOP_FOLLOWERS / 2 < sizes[0] < TOP_FOLLOWERS * 3
    assert TAIL_FOLLOWERS / 2 < statistics.median(sizes[-50:]) < TAIL_FOLLOWERS * 2
    ranks = [math.log(rank) for rank in range(1, 1001)]
    slope = statistics.linear_regression(ranks, [math.log(size) for size in sizes]).slope
    assert slope == pytest.approx(-1.2, abs=0.1)


def test_creators_look_like_people(cast: Cast) -> None:
    creators = [creator for creator, _ in cast.ranked]
    assert len({creator.profile_id for creator in creators}) == len({creator.handle for creator in creators}) == 1000
    handles, ids = (
        (r"[a-z0-9._]{3,30}", r"17841\d{12}")
        if cast.platform == "INSTAGRAM"
        else (r"[a-z0-9._-]{3,30}", r"UC[\w-]{22}")
    )
    for creator in creators:
        assert re.fullmatch(handles, creator.handle), creator.handle
        assert re.fullmatch(ids, creator.profile_id, re.ASCII), creator.profile_id
    assert len({creator.category for creator in creators}) >= 15
    assert {"Hindi", "English", "Tamil", "Telugu"} <= {creator.language for creator in creators}
    indian = sum(creator.country == "IN" for creator in creators)
    assert 700 < indian < 950


def test_engagement_falls_with_size(cast: Cast) -> None:
    rates = [day.engagement_rate or 0.0 for _, day in cast.ranked]
    big, small = statistics.median(rates[:100]), statistics.median(rates[-100:])
    assert small > 1.3 * big
    assert all(0.0001 < rate < 0.6 for rate in rates)


def test_a_past_day_is_the_same_whenever_it_is_asked_for(cast: Cast) -> None:
    later = Cast(cast.platform, generate(cast.platform, 1, 1000), TODAY + dt.timedelta(days=200))
    yesterday = TODAY - dt.timedelta(days=1)
    assert {c.handle: day for c, day in cast.on(yesterday)} == {c.handle: day for c, day in later.on(yesterday)}
    assert {c.handle: day for c, day in later.on(TODAY)} == {c.handle: day for c, day in cast.ranked}


def test_followers_grow_with_dips(cast: Cast) -> None:
    grown, dips = 0, 0
    for creator, day in cast.ranked[:200]:
        sizes = [past.followers for date in cast.dates(90) if (past := creator.course.day(date))]
        assert len(sizes) == 90
        assert max(abs(after / before - 1) for before, after in pairwise([*sizes, day.followers])) < 0.05
        grown += day.followers > sizes[0]
        dips += any(after < before for before, after in pairwise(sizes))
    assert grown > 120
    assert dips > 100


def test_averages_are_the_means_of_the_first_page(cast: Cast) -> None:
    page = PAGE_POSTS[cast.platform]
    for creator, day in cast.ranked[::37]:
        posts = cast.posts_of(creator)[:page]
        assert sum(post.likes for post in posts) / page == day.avg_likes
        assert sum(post.comments for post in posts) / page == day.avg_comments
        if cast.platform == "YOUTUBE":
            assert sum(post.views or 0 for post in posts) / page == day.avg_views
        else:
            assert day.avg_views is None
            assert all(post.views is None for post in posts)


def test_posts_are_listed_newest_first_and_were_published_before_today(cast: Cast) -> None:
    midnight = dt.datetime.combine(TODAY, dt.time(), dt.UTC)
    seen: set[str] = set()
    for creator, day in cast.ranked[::11]:
        posts = cast.posts_of(creator)
        assert 20 <= len(posts) <= 40
        assert all(newer.published > older.published for newer, older in pairwise(posts))
        assert posts[0].published < midnight - dt.timedelta(days=1)
        assert {name for post in posts for name in (post.post_id, post.shortcode)} == set(
            creator.course.post_names(TODAY)
        )
        assert cast.post(posts[-1].shortcode) == cast.post(posts[-1].post_id) == (creator, posts[-1])
        assert day.media_count is not None
        assert day.media_count >= len(posts)
        assert all(post.likes >= 0 and post.comments >= 0 for post in posts)
        assert not seen & {post.post_id for post in posts}
        seen |= {post.post_id for post in posts}


def test_a_new_post_counts_once_it_is_a_day_old(cast: Cast) -> None:
    creator, day = cast.ranked[3]
    newest = cast.posts_of(creator)[0].published.date()
    before, after = (creator.course.day(newest + dt.timedelta(days=days)) for days in (1, 2))
    assert before is not None
    assert after is not None
    assert after.media_count == day.media_count
    assert before.media_count != after.media_count


def test_views_are_never_taken_back() -> None:
    for creator in generate("YOUTUBE", 1, 50):
        views = [creator.course.day(TODAY - dt.timedelta(days=ago)).total_views for ago in range(90, -1, -1)]
        assert all(after >= before for before, after in pairwise(views))


@pytest.mark.parametrize("total", [0, 1, 7, 1000, 123_456_789])
def test_spread_sums_to_the_total(total: int) -> None:
    weights = [1.0 + unit(mix(total, number)) for number in range(30)]
    figures = spread(total, weights, 12)
    assert sum(figures[:12]) == total
    assert len(figures) == 30
    assert min(figures) >= 0
    assert sum(spread(total, weights[:3], 12)) == total * 3 // 12
    assert spread(total, [], 12) == []


def test_chance_is_spread_evenly() -> None:
    draws = [mix(5, number) for number in range(4000)]
    assert statistics.mean(map(unit, draws)) == pytest.approx(0.5, abs=0.02)
    assert statistics.stdev(map(bell, draws)) == pytest.approx(1.0, abs=0.04)
    assert len(set(draws)) == 4000
    assert mix(1, 2) != mix(2, 1)
