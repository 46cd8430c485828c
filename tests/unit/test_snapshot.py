"""What is derived from a crawl: averages over the newest posts, and the engagement rate, by rule 2.1 of the models."""

import datetime as dt
import tomllib
from typing import Any

import pytest

from gcc.pipelines.analytics import models
from gcc.sources import snapshot
from gcc.sources.snapshot import Metrics, PostSnapshot, ProfileSnapshot, derive

AT = dt.datetime(2026, 10, 30, tzinfo=dt.UTC)


def post(number: int, metrics: Metrics, *, hours: float = 48, kind: str | None = "image") -> PostSnapshot:
    return PostSnapshot(
        "INSTAGRAM", "graphapi", AT, f"{number:02}", str(number), "1", "x", AT - dt.timedelta(hours=hours),
        metrics, {"post_type": kind},
    )  # fmt: skip


def profile(followers: int | None, *posts: Metrics, kind: str | None = "image") -> ProfileSnapshot:
    return of([post(number, metrics, kind=kind) for number, metrics in enumerate(posts)], followers)


def of(posts: list[PostSnapshot], followers: int | None = 10_000, platform: str = "INSTAGRAM") -> ProfileSnapshot:
    return ProfileSnapshot(platform, "graphapi", AT, "1", "x", {"followers": followers}, {}, posts)


def averages(given: ProfileSnapshot) -> tuple[Any, ...]:
    metrics = derive(given).metrics
    return tuple(metrics[name] for name in ("avg_likes", "avg_comments", "avg_views", "engagement_rate"))


def told(likes: int | None, comments: int | None = 10) -> Metrics:
    return {"likes": likes, "comments": comments}


def test_averages_and_rate() -> None:
    given = profile(10_000, told(100, 10), told(200, 20), told(300, 30))
    derived = derive(given)
    assert derived.metrics == {
        "followers": 10_000,
        "avg_likes": 200.0,
        "avg_comments": 20.0,
        "avg_views": None,
        "engagement_rate": pytest.approx(0.022),
    }
    assert given.metrics == {"followers": 10_000}
    assert derive(derived) == derived


def test_who_hides_likes_counts_for_comments_only() -> None:
    given = profile(10_000, told(100), told(None), told(300), told(None), told(200))
    assert averages(given) == (200, 10, None, pytest.approx(0.021))
    assert averages(profile(10_000, told(None), told(None), told(300))) == (None, 10, None, None)


def test_no_likes_beside_many_comments_are_hidden_ones() -> None:
    assert averages(profile(10, told(0, 9), told(3, 9), told(6, 9)))[0] == 3
    assert averages(profile(10, told(0, 10), told(3, 9), told(6, 9)))[0] is None


@pytest.mark.parametrize(
    "given",
    [
        profile(None, *[told(1)] * 3),
        profile(0, *[told(1)] * 3),
        profile(10, *[told(None)] * 3),
        profile(10, *[told(1, None)] * 3),
        profile(10),
        profile(10, told(1), told(1)),
    ],
)
def test_a_rate_that_cannot_be_told_is_none(given: ProfileSnapshot) -> None:
    assert averages(given)[3] is None


def test_the_newest_count_of_posts_of_one_time_the_greater_ids() -> None:
    assert averages(of([post(1, told(1_000_000)), *(post(number, told(100)) for number in range(2, 14))]))[0] == 100
    pinned = [
        post(50, told(1_000_000), hours=1000),
        *(post(number, told(100), hours=30 + number) for number in range(12)),
    ]
    assert averages(of(pinned))[0] == 100
    assert averages(of(pinned, platform="YOUTUBE"))[0] > 100  # of fifteen


def test_fresh_and_old_posts_stories_and_those_of_no_known_time_do_not_count() -> None:
    day, old = [post(number, told(1), hours=24) for number in range(3)], 180 * 24
    assert averages(of(day))[0] == 1
    others = [
        post(4, told(99), hours=23.99), post(5, told(99), hours=old + 0.01), post(6, told(99), kind="story"),
        PostSnapshot("INSTAGRAM", "graphapi", AT, "7", "7", "1", "x", None, told(99), {}),
    ]  # fmt: skip
    assert averages(of([*day, *others]))[0] == 1
    assert averages(of([post(number, told(1), hours=old + 1) for number in range(3)])) == (None,) * 4


def test_views_and_plays_are_one_number_and_pictures_have_none() -> None:
    seen: list[Metrics] = [{"views": 1000, "plays": 5}, {"plays": 3000}, {"views": None, "plays": 2000}]
    assert averages(profile(10, *seen, kind="reels"))[2] == 2000
    assert averages(profile(10, *seen, kind=None))[2] == 2000
    assert averages(profile(10, *seen, kind="carousel"))[2] is None


def test_the_rule_is_that_of_the_models() -> None:
    told = tomllib.loads((models.MODELS / "vars.toml").read_text())
    assert {"INSTAGRAM": told["recent_n"], "YOUTUBE": told["recent_n_youtube"]} == snapshot.RECENT_N
    for name in ("recent_days", "min_age_h", "min_posts", "hidden_likes_comments"):
        assert getattr(snapshot, name.upper()) == told[name]
