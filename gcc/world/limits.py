"""What the outside APIs allow, and how much of it was ever taken: a rate, quotas of a day, windows. Pure.

Time is an argument, in seconds of any steady clock; a refusal is a value and takes nothing.
"""

import datetime as dt
import zoneinfo
from collections import deque
from dataclasses import dataclass, field
from typing import Annotated, Literal

import msgspec

_PACIFIC = zoneinfo.ZoneInfo("America/Los_Angeles")  # where YouTube's day begins
Each = Literal["source", "token", "app"]


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
    used: dict[str, int] = field(default_factory=dict)
    """Of this day, by key."""
    _day: dt.date | None = None

    def take(self, key: str, now: dt.datetime, units: int = 1) -> bool:
        """All of these units of `key`, if it has so many left."""
        day = now.astimezone(_PACIFIC).date()
        if day != self._day:
            self._day, self.used = day, {}
        used = self.used.get(key, 0)
        if used + units > self.units_per_day:
            return False
        self.used[key] = used + units
        return True


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A limit as it is declared: so many units in any window of `per_s`, of the calls of a bucket ("": of all)."""

    source: str
    calls: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    per_s: Annotated[float, msgspec.Meta(gt=0, le=604_800)]
    each: Each = "source"
    bucket: str = ""
    enforced: bool = False
    """Whether more are refused; else they are only counted."""


@dataclass(frozen=True, slots=True)
class Used:
    """How full a limit is, for the usage headers of an API."""

    rule: Rule
    units: int
    reset_s: float

    @property
    def share(self) -> float:
        return self.units / self.rule.calls


class Window:
    """The units of the last `per_s`, and the most that any window of this length ever held.

    A window takes in its end and not its beginning, so calls exactly `per_s` apart share none. It remembers four
    times the calls of its limit; where more come, what it tells is far over the limit, yet less than the truth.
    """

    def __init__(self, rule: Rule) -> None:
        self.peak = 0
        self.total = 0
        self._rule = rule
        self._held = 0
        self._calls: deque[tuple[float, int]] = deque()  # (when, units)
        self._calls_max = 4 * rule.calls + 100

    def take(self, now_s: float, units: int) -> None:
        """A call came, whether it is refused or not."""
        self._forget(now_s)
        if len(self._calls) >= self._calls_max:
            self._held -= self._calls.popleft()[1]
        self._calls.append((now_s, units))
        self._held += units
        self.total += units
        self.peak = max(self.peak, self._held)

    def wait_s(self, now_s: float, units: int) -> float:
        """Until so many more units fit in; 0.0 when they do now."""
        self._forget(now_s)
        over = self._held + units - self._rule.calls
        if over <= 0:
            return 0.0
        for at_s, taken in self._calls:
            over -= taken
            if over <= 0:
                return at_s + self._rule.per_s - now_s
        return self._rule.per_s

    def used(self, now_s: float) -> Used:
        self._forget(now_s)
        reset_s = self._calls[0][0] + self._rule.per_s - now_s if self._calls else 0.0
        return Used(self._rule, self._held, reset_s)

    def _forget(self, now_s: float) -> None:
        begin_s = now_s - self._rule.per_s
        while self._calls and self._calls[0][0] <= begin_s:
            self._held -= self._calls.popleft()[1]
