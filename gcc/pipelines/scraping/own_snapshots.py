"""Our own snapshots in the place of a source: how a channel's figures changed from one to the next.

What its owner would be told is not in them (who gained and who left), so the columns are others, and the answer says
so. Across a day on which views began to mean something else they have no difference. They are read from the synced
table, which is as old as the last sync; whether figures may be computed at all is a setting of their source.
"""

import datetime as dt
from itertools import pairwise
from typing import Any, Literal

import msgspec

from gcc.clock import Clock
from gcc.platforms import YOUTUBE
from gcc.platforms.steps import crossed
from gcc.sources.chain import Visit
from gcc.sources.snapshot import Found, Sheet
from gcc.sources.verdicts import NeedsOwner
from gcc.stores import profiles_read
from gcc.stores.postgres import Pool
from gcc.supervisor.lifecycle import one_line

NAME = "snapshots"
DAYS = 28
_COLUMNS = {"views": "views", "subscribers": "followers", "uploads": "media_count"}
"""Column -> the metric of the series."""
_BUCKETS: dict[str, Literal["day", "month"]] = {"daily": "day", "monthly": "month"}
_BEFORE = dt.timedelta(days=31)  # how far back the snapshot may be that the first one differs from


class OwnSnapshots:
    """Answers as the clients of sources do, of channels that were crawled on two days at least."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def report(
        self, kind: str, channel_id: str, start: dt.date | None, end: dt.date | None, visit: Visit
    ) -> Found[Sheet]:
        """A row for each day or month with a snapshot: the change since the one before, which `since` names.

        Raises NeedsOwner where there are no two to compare, Transient when the store is lost.
        """
        bucket, last = _BUCKETS[kind], end or self._clock.now().date()
        first = start or last - (dt.timedelta(days=DAYS) if bucket == "day" else _BEFORE)
        series = {
            column: await self._series(channel_id, metric, first - _BEFORE, last, bucket)
            for column, metric in _COLUMNS.items()
        }
        days = sorted({day for each in series.values() for day in each})
        rows = [
            [day.isoformat(), before.isoformat(), *(_change(column, series[column], before, day) for column in series)]
            for before, day in pairwise(days)
            if first <= day
        ]
        if not rows:
            raise NeedsOwner(f"{NAME}: no two snapshots of {channel_id} to compare from {first} to {last}")
        reason = f"the differences of our own snapshots, as {_why(visit)}"
        return Found(Sheet([bucket, "since", *series], rows), reason)

    async def _series(
        self, channel_id: str, metric: str, first: dt.date, last: dt.date, bucket: Literal["day", "month"]
    ) -> dict[dt.date, Any]:
        points, _ = await profiles_read.synced_series(self._pool, YOUTUBE.name, channel_id, metric, first, last, bucket)
        return {dt.date.fromisoformat(point["date"]): point["value"] for point in msgspec.json.decode(points)}


def _why(visit: Visit) -> str:
    """What became of the source that stands before this one."""
    if not visit.passed:
        return "the source of its owner's reports is switched off"
    failure = visit.passed[-1]
    if isinstance(failure, NeedsOwner):
        return "its owner gave no token"
    return f"its owner's report could not be had now ({one_line(str(failure))})"


def _change(column: str, values: dict[dt.date, Any], before: dt.date, day: dt.date) -> int | None:
    if before not in values or day not in values or any(crossed(YOUTUBE.name, column, before, day)):
        return None
    return int(values[day] - values[before])
