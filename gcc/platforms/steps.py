"""Where a figure began to mean something else: rows that series, growth and ranks read before they compare. Pure data.

A difference across such a day says nothing of the profile: it is the platform that counts otherwise.
"""

import datetime as dt
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """From `since` on (UTC) `metrics` of `platform` count otherwise, for all from `settled` on; between the two some
    do. Of a profile those of its posts count, too: its figures are theirs together."""

    platform: str
    metrics: Collection[str]
    since: dt.date
    settled: dt.date
    what: str


STEPS: Sequence[Step] = (
    Step(
        "YOUTUBE",
        frozenset({"views", "avg_views", "total_views"}),
        dt.date(2025, 3, 31),
        dt.date(2025, 3, 31),
        "a view of a short counts from its first frame, repeats too; what counted before is engagedViews",
    ),
    Step(
        "YOUTUBE",
        frozenset({"views", "avg_views", "total_views"}),
        dt.date(2026, 8, 24),
        dt.date(2026, 8, 27),
        "a view of any video counts from its first frame; what counted before is engagedViews",
    ),
)


def crossed(platform: str, metric: str, first: dt.date, last: dt.date) -> Iterator[Step]:
    """The steps between a figure of day `first` and one of day `last`: these two do not compare."""
    for step in STEPS:
        counts = step.platform == platform and metric in step.metrics
        if counts and first < step.settled and last >= step.since:
            yield step
