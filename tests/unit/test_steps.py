"""Days on which a figure began to mean something else: which two figures they part."""

import datetime as dt

import pytest

from gcc.platforms import PLATFORMS
from gcc.platforms.steps import STEPS, crossed


@pytest.mark.parametrize(
    ("metric", "first", "last", "steps"),
    [
        ("views", "2026-08-01", "2026-08-23", 0),
        ("views", "2026-08-23", "2026-08-24", 1),
        ("views", "2026-08-25", "2026-08-26", 1),  # some count so already
        ("views", "2026-08-23", "2026-08-27", 1),
        ("avg_views", "2026-08-27", "2026-09-30", 0),
        ("views", "2025-03-30", "2025-03-31", 1),
        ("total_views", "2025-03-01", "2026-11-28", 2),
        ("followers", "2025-03-01", "2026-11-28", 0),
    ],
)
def test_which_steps_part_two_figures(metric: str, first: str, last: str, steps: int) -> None:
    days = dt.date.fromisoformat(first), dt.date.fromisoformat(last)
    assert len(list(crossed("YOUTUBE", metric, *days))) == steps
    assert not list(crossed("INSTAGRAM", metric, *days))


def test_the_rows_are_of_platforms_and_in_order() -> None:
    for step in STEPS:
        assert step.platform in PLATFORMS
        assert step.since <= step.settled
        assert step.what
