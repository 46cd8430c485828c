"""Whether as many events of each type arrive as is usual at that hour: a look for a schedule and for people.

In: the event tables. Out: for each, the events that arrived in the last whole hour, and between which numbers they
usually are: median -+ 4 MAD (median absolute deviation) of the same hour of the 28 days before. A type that is known
for less than a week has no usual yet. The store away is Transient.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from gcc import statements
from gcc.actors.warehouse import Queries

_SQL = statements.load("watching", statements.SQL / "clickhouse" / "queries")

DAYS = 28
DAYS_MIN = 7
WIDTH = 4.0  # in MAD
SHARE_MIN, EVENTS_MIN = 0.05, 5.0
"""A MAD is taken for at least this share of the median, and so many events: numbers that hardly move would make every
one an alarm. Chosen."""


@dataclass(frozen=True)
class Volume:
    """Events of one table in the hour that began at `hour`. `low`, `high`: None while nothing is usual yet."""

    table: str
    hour: dt.datetime
    events: int
    low: float | None
    high: float | None

    @property
    def ok(self) -> bool:
        return self.low is None or self.high is None or self.low <= self.events <= self.high

    def __str__(self) -> str:
        usual = "" if self.low is None or self.high is None else f", usually {self.low:,.0f} to {self.high:,.0f}"
        return f"{self.events:,} events in the hour from {self.hour:%H:%M}Z{usual}"


async def volumes(queries: Queries, now: dt.datetime) -> list[Volume]:
    """Of every event table. Two at once would not be faster: each reads one column of four weeks."""
    hour = now.astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0) - dt.timedelta(hours=1)
    found = []
    for row in await queries.rows(_SQL["event_tables"]):
        table = row["event_table"]
        statement = _SQL["events_of_hour"].format(table=table)
        days = await queries.rows(statement, {"hour": hour.strftime("%Y-%m-%d %H:%M:%S"), "days": DAYS})
        found.append(volume(table, hour, {int(day["days_ago"]): int(day["events"]) for day in days}))
    return found


def volume(table: str, hour: dt.datetime, events: Mapping[int, int]) -> Volume:
    """`events` by days ago, 0 is the hour in question; a day that is not there had none, from the first that is on."""
    known = max(events, default=0)
    if known < DAYS_MIN:
        return Volume(table, hour, events.get(0, 0), None, None)
    past = [events.get(day, 0) for day in range(1, known + 1)]
    middle = median(past)
    mad = max(median(abs(each - middle) for each in past), SHARE_MIN * middle, EVENTS_MIN)
    return Volume(table, hour, events.get(0, 0), max(middle - WIDTH * mad, 0.0), middle + WIDTH * mad)
