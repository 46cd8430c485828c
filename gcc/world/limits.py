"""What the outside APIs allow: calls per second (a token bucket) and units per key and day. Pure.

Time is an argument, in seconds of any steady clock; a refusal is a value and takes nothing.
"""

import datetime as dt
import zoneinfo
from dataclasses import dataclass, field

_PACIFIC = zoneinfo.ZoneInfo("America/Los_Angeles")  # where YouTube's day begins


@dataclass
class Bucket:
    """A token bucket: `per_s` calls a second, and half a second's worth of them at once."""

    per_s: float
    _level: float = field(init=False)
    _filled_at_s: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._level = self.burst

    @property
    def burst(self) -> float:
        return max(self.per_s * 0.5, 1.0)

    def take(self, now_s: float) -> float:
        """0.0 and one call is taken; or the seconds until there is one, and nothing is."""
        if self._filled_at_s is not None:
            self._level = min(self.burst, self._level + (now_s - self._filled_at_s) * self.per_s)
        self._filled_at_s = now_s
        if self._level >= 1.0:
            self._level -= 1.0
            return 0.0
        return (1.0 - self._level) / self.per_s


@dataclass
class Quota:
    """Units per key and day; a day begins at midnight in California."""

    units_per_day: int
    _day: dt.date | None = None
    _used: dict[str, int] = field(default_factory=dict)

    def take(self, key: str, now: dt.datetime, units: int = 1) -> bool:
        """All of these units of `key`, if it has so many left."""
        day = now.astimezone(_PACIFIC).date()
        if day != self._day:
            self._day, self._used = day, {}
        used = self._used.get(key, 0)
        if used + units > self.units_per_day:
            return False
        self._used[key] = used + units
        return True
