"""What is usual of events at an hour, and which models are late."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from gcc.pipelines.analytics import freshness, models
from gcc.pipelines.analytics.volume import volume

HOUR = dt.datetime(2026, 11, 28, 9, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("today", "past", "ok"),
    [
        (1000, [1000] * 28, True),
        (1200, [1000] * 28, True),  # a MAD of 0 is taken for 5 %: 800 to 1,200
        (1201, [1000] * 28, False),
        (799, [1000] * 28, False),
        (0, [1000] * 28, False),  # nothing came
        (1400, [900, 1000, 1100] * 9, True),  # MAD 100: 600 to 1,400
        (1401, [900, 1000, 1100] * 9, False),
        (20, [0, 0, 1] * 9, True),  # at least 5 events are a MAD: up to 20
        (21, [0, 0, 1] * 9, False),
        (10**6, [1000] * 6, True),  # known for less than a week: nothing is usual
    ],
)
def test_usual_is_the_median_and_four_mad(today: int, past: list[int], ok: bool) -> None:
    events = {0: today, **{day: events for day, events in enumerate(past, start=1) if events}}
    if not past[-1]:
        events[len(past)] = 0
    assert volume("post_log_events", HOUR, events).ok is ok


def test_days_without_events_count_from_the_first_that_had_some() -> None:
    found = volume("x", HOUR, {0: 5, 10: 100})
    assert (found.low, found.high) == (0, 20)


class Built:
    """`since_s`: when the first model was built."""

    def __init__(self, since_s: float | None = 10**6, **age_s: float) -> None:
        self._age_s: dict[str, float | None] = {**age_s, "": since_s}

    async def rows(self, sql: str, params: Any = None) -> list[dict[str, Any]]:
        return [{"model": model, "age_s": age_s} for model, age_s in self._age_s.items()]

    async def command(self, sql: str, params: Any = None) -> None:
        raise AssertionError(sql)


async def test_a_model_is_late_by_the_strictest_promise_of_its_tags() -> None:
    tagged = {"a": {"core"}, "b": {"daily", "core"}, "c": {"daily"}, "d": {"core"}, "e": {"extra"}}
    [some] = [model for model in models.read(variables={"timezone": "UTC"}) if model.name == "mart_leaderboard"]
    graph = [replace(some, name=name, tags=frozenset(tags)) for name, tags in tagged.items()]
    found = await freshness.ages(Built(a=1200, b=1201, c=26 * 3600), graph)
    assert {age.model: (age.tag, age.ok) for age in found} == {
        "a": ("core", True),
        "b": ("core", False),
        "c": ("daily", True),
        "d": ("core", False),  # never built
    }
    assert freshness.told([age for age in found if not age.ok]) == "core: 2 older than 20 min (b, d)"
    view = replace(some, materialized="view")
    assert await freshness.ages(Built(), [view]) == []


@pytest.mark.parametrize(("since_s", "ok"), [(None, True), (1200, True), (1201, False)])
async def test_a_model_that_was_never_built_has_the_time_of_its_promise(since_s: float | None, ok: bool) -> None:
    [some] = [model for model in models.read(variables={"timezone": "UTC"}) if model.name == "mart_leaderboard"]
    [age] = await freshness.ages(Built(since_s), [some])
    assert (age.tag, age.age_s, age.ok) == ("core", None, ok)
    assert str(age) == f"never built in {since_s or 0:,} s, of 1,200 s"
