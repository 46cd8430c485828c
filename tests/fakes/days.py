"""Days in memory, by the clock of a test; shared by the limiters of all processes that it plays."""

import datetime as dt
from zoneinfo import ZoneInfo

import trio

from gcc.clock import Clock
from gcc.sources.days import Block


class FakeDays:
    """See `gcc.sources.days.Days`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.reserved: dict[str, tuple[dt.date, int]] = {}

    async def reserve(self, name: str, *, units: int, calls: int, zone: str) -> Block:
        await trio.lowlevel.checkpoint()
        now = self._clock.now()
        today = now.astimezone(ZoneInfo(zone)).date()
        day, before = self.reserved.get(name, (today, 0))
        if day < today:
            day, before = today, 0
        granted = min(units, max(0, calls - before))
        self.reserved[name] = day, before + granted
        begun_s = (now - _midnight(day, zone)).total_seconds()
        return Block(granted, before + granted, begun_s, (_midnight(day + dt.timedelta(1), zone) - now).total_seconds())


def _midnight(day: dt.date, zone: str) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), ZoneInfo(zone)).astimezone(dt.UTC)
