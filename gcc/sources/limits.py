"""How often each source may be called: at most `calls` in ANY `per_s` seconds, for the whole platform.

A sliding window, not a token bucket: a bucket lets through up to twice the limit around a refill, which
the other side answers with 429s that take credentials out. Bursts up to `calls` are allowed, not spread
out: a person who waits for a profile is served at once, and the window is kept all the same.

Callers wait by priority (higher first), then in order of arrival. Who cannot be served in the time they
have is refused at once, with the seconds to come back after.
"""

import bisect
import itertools
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import trio

from gcc.errors import ConfigError, Transient


class LimitRefused(Transient):
    """Our own limit says no. Nothing was asked outside, so it costs no attempt: come back `retry_after_s` later."""

    code = "LIMITED"


class LimitsAway(LimitRefused):
    """Nobody knows what our limit says: where it is kept cannot be asked."""

    code = "LIMITS_AWAY"


@dataclass(frozen=True, slots=True)
class Limit:
    calls: int
    per_s: float

    def __post_init__(self) -> None:
        if self.calls < 1 or not self.per_s > 0:
            raise ValueError(f"a limit needs at least 1 call and more than 0 s, got {self}")


@dataclass(frozen=True, slots=True)
class LimitUse:
    """How full a limit's window is now, and how many wait for it."""

    name: str
    used: int
    calls: int
    per_s: float
    waiting: int


class Limiter(Protocol):
    async def take(self, name: str, *, priority: int = 0, wait_s_max: float) -> None:
        """Return when one call of `name` may be made now; it is then spent, whatever comes of it.

        Raises LimitRefused when that takes longer than `wait_s_max` (0: now or never), as soon as it is
        known, or when nobody knows. Cancelled while waiting: nothing is spent, or where the limits are kept
        elsewhere one call at most, and the place goes to the next.
        """

    def away(self) -> str | None:
        """Why the limits cannot be asked now, where they are kept elsewhere and that is lost; None: they can."""

    def usage(self) -> list[LimitUse]:
        """One entry for each limit, ordered by name."""


class InProcessLimiter:
    """The limiter of a platform that is one process; several share theirs in Redis (gcc/stores/limits.py)."""

    def __init__(self, limits: Mapping[str, Limit]) -> None:
        self._lanes = {name: _Lane(name, limit) for name, limit in sorted(limits.items())}

    async def take(self, name: str, *, priority: int = 0, wait_s_max: float) -> None:
        lane = self._lanes.get(name)
        if lane is None:
            raise ConfigError(f"no limit is set for source {name!r}; add sources.{name}.calls and per_s")
        # Before the grant a cancellation is welcome, after it would waste the call.
        await trio.lowlevel.checkpoint_if_cancelled()
        if not lane.grant_now():
            await lane.wait(priority, wait_s_max)
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()

    def away(self) -> str | None:
        return None

    def usage(self) -> list[LimitUse]:
        return [lane.use() for lane in self._lanes.values()]


@dataclass(order=True, slots=True)
class _Waiter:
    rank: tuple[int, int]  # (-priority, arrival)
    woken: trio.Event = field(default_factory=trio.Event, compare=False)


class _Lane:
    """One limit: the times of the calls in the window, and who waits. Only the first waiter watches the clock."""

    def __init__(self, name: str, limit: Limit) -> None:
        self.name = name
        self.limit = limit
        self._granted: deque[float] = deque(maxlen=limit.calls)  # the latest `calls` calls, oldest first
        self._waiters: list[_Waiter] = []  # sorted; as many as there are callers, who are bounded
        self._arrivals = itertools.count()

    def grant_now(self) -> bool:
        """Spend a call if nobody waits and the window has room."""
        return not self._waiters and self._grant()

    async def wait(self, priority: int, wait_s_max: float) -> None:
        now = trio.current_time()
        deadline = now + wait_s_max
        waiter = _Waiter((-priority, next(self._arrivals)))
        ahead = bisect.bisect(self._waiters, waiter)
        if self._free_at(ahead, now) > deadline:
            raise self._refusal(ahead)
        self._waiters.insert(ahead, waiter)
        if ahead == 0 and len(self._waiters) > 1:
            self._waiters[1].woken.set()  # no longer first: it stops watching the clock
        try:
            while not (self._waiters[0] is waiter and self._grant()):
                now = trio.current_time()
                if now >= deadline:  # overtaken by higher priorities
                    raise self._refusal(bisect.bisect_left(self._waiters, waiter))
                waiter.woken = trio.Event()
                turn_at = self._free_at(0, now) if self._waiters[0] is waiter else deadline
                with trio.move_on_at(min(turn_at, deadline)):
                    await waiter.woken.wait()
        finally:
            del self._waiters[bisect.bisect_left(self._waiters, waiter)]
            if self._waiters:
                self._waiters[0].woken.set()

    def use(self) -> LimitUse:
        now = trio.current_time()
        used = sum(at + self.limit.per_s > now for at in self._granted)
        return LimitUse(self.name, used, self.limit.calls, self.limit.per_s, len(self._waiters))

    def _grant(self) -> bool:
        now = trio.current_time()
        if self._free_at(0, now) > now:
            return False
        self._granted.append(now)
        return True

    def _free_at(self, ahead: int, now: float) -> float:
        """When there is room for one more after `ahead` others, if each takes its turn at once; now, if there is."""
        if len(self._granted) < self.limit.calls:
            return now  # and nobody waits: waiting begins when the window is full
        rounds, place = divmod(ahead, self.limit.calls)
        return max(now, self._granted[place] + self.limit.per_s) + rounds * self.limit.per_s

    def _refusal(self, ahead: int) -> LimitRefused:
        now = trio.current_time()
        limit = f"{self.limit.calls} calls per {self.limit.per_s:g} s"
        return LimitRefused(
            f"{self.name}: our limit of {limit} is used up", retry_after_s=self._free_at(ahead, now) - now
        )
