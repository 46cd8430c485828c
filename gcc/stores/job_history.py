"""What became of one job, as its events tell: every change of its status, and what was asked outside for it.

In: a job as its row is. Out: two lists, oldest first, of what has been stored so far: events arrive seconds later than
they happen. Permanent: this process has not opened ClickHouse. Transient: that is away, or takes too long.
"""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import trio

from gcc import statements
from gcc.channels.jobs import JobDetail
from gcc.errors import Permanent, Transient
from gcc.stores.clickhouse import ClickHouse

SQL = statements.load("job_history", statements.SQL / "clickhouse" / "queries")
LOOK_S = 5.0
SKEW = dt.timedelta(hours=1)  # how far the clocks of processes may be apart
EARLIEST, LATEST = dt.datetime(1971, 1, 1, tzinfo=dt.UTC), dt.datetime(2299, 1, 1, tzinfo=dt.UTC)  # in ClickHouse
UUID_V7 = 7


@dataclass(frozen=True, slots=True)
class History:
    """`statuses`: seq, status, reason, retry_count, at. `requests`: source, method, uri, status, bytes, took_s, host,
    at."""

    statuses: list[dict[str, Any]]
    requests: list[dict[str, Any]]


class JobHistory:
    """`clickhouse`: None where no role of this process opens it."""

    def __init__(self, clickhouse: ClickHouse | None) -> None:
        self._clickhouse = clickhouse

    async def of(self, job: JobDetail) -> History:
        if self._clickhouse is None:
            raise Permanent("no role of this process opens ClickHouse, which has them; ask one with the role sinker")
        values = {
            "id": str(job.id),
            "platform": job.platform,
            "flow": job.flow,
            "since": _utc(_came(job)),
            "until": _utc(min(job.ended_at or LATEST, LATEST) + SKEW),
        }
        try:
            with trio.fail_after(LOOK_S):
                statuses = await self._clickhouse.rows(SQL["statuses"], values)
                requests = await self._clickhouse.rows(SQL["requests"], values)
        except trio.TooSlowError:
            raise Transient(f"ClickHouse did not tell of the job within {LOOK_S:g} s") from None
        return History(statuses, requests)


def _came(job: JobDetail) -> dt.datetime:
    """Not later than it was enqueued first: its id tells, also after a retry by hand, which counts as created anew."""
    if job.id.version != UUID_V7:
        return EARLIEST
    return max(EARLIEST, dt.datetime.fromtimestamp(min((job.id.int >> 80) / 1000, LATEST.timestamp()), dt.UTC) - SKEW)


def _utc(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S.%f}"
