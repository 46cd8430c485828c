"""What is derived from a crawl: averages over what is shown, and the engagement rate."""

import datetime as dt

import pytest

from gcc.sources.snapshot import Metrics, PostSnapshot, ProfileSnapshot, derive

AT = dt.datetime(2026, 10, 30, tzinfo=dt.UTC)


def profile(followers: int | None, *posts: Metrics) -> ProfileSnapshot:
    shown = [
        PostSnapshot("INSTAGRAM", "graphapi", AT, str(number), str(number), "1", "x", None, metrics, {})
        for number, metrics in enumerate(posts)
    ]
    return ProfileSnapshot("INSTAGRAM", "graphapi", AT, "1", "x", {"followers": followers}, {}, shown)


def test_averages_and_rate() -> None:
    given = profile(1000, {"likes": 10, "comments": 1, "views": 50}, {"likes": 30, "comments": 2, "views": 150})
    derived = derive(given)
    assert derived.metrics == {
        "followers": 1000,
        "avg_likes": 20.0,
        "avg_comments": 1.5,
        "avg_views": 100.0,
        "engagement_rate": pytest.approx(0.0215),
    }
    assert given.metrics == {"followers": 1000}
    assert derive(derived) == derived


def test_hidden_is_skipped_and_zero_counts() -> None:
    metrics = derive(profile(10, {"likes": None, "comments": 0}, {"likes": 6, "comments": 4}, {"comments": 2})).metrics
    assert (metrics["avg_likes"], metrics["avg_comments"], metrics["avg_views"]) == (6.0, 2.0, None)
    assert metrics["engagement_rate"] == pytest.approx(0.8)


@pytest.mark.parametrize(
    "given",
    [
        profile(None, {"likes": 1, "comments": 1}),
        profile(0, {"likes": 1, "comments": 1}),
        profile(10, {"likes": None, "comments": 1}),
        profile(10, {"likes": 1, "comments": None}),
        profile(10),
    ],
)
def test_a_rate_that_cannot_be_told_is_none(given: ProfileSnapshot) -> None:
    assert derive(given).metrics["engagement_rate"] is None
