"""Limits in Redis: at most `calls` in ANY `per_s` seconds, for any number of processes together.

In: calls of `take`. Out: leave to call, or LimitRefused. One script decides, by Redis's own clock, and keeps the times
of the calls in the window: a list for each limit, which expires by itself. A granted call whose answer is lost, or
whose caller was cancelled, is spent. Within a process callers wait by priority, then in order of arrival, and only the
first one asks; between processes whoever comes first is served.

Redis lost: nobody may call. `take` raises LimitsAway, which costs a job no attempt, and `away` tells.
Redis started again, with less memory of the calls than we have: for a whole window (at most FORGOTTEN_S) it grants
nothing. A longer window is kept through a restart only by a Redis that stores to disk (appendonly yes), and no window
by one that evicts keys; `doctor` looks for both.
"""

import bisect
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field

import trio

from gcc.errors import ConfigError, Transient
from gcc.sources.limits import Limit, LimitRefused, LimitsAway, LimitUse
from gcc.stores.redis import LOST_S, Redis, Script

FORGOTTEN_S = 60.0

TAKE = Script("""
-- KEYS[1]: the times of the calls in the window, oldest first. Times are in microseconds.
-- ARGV: calls, window, how many are served before, the window that a start closes.
-- Answers {granted 0 or 1, time until there is room, calls in the window, now}.
local window, now = KEYS[1], redis.call('TIME')
now = now[1] * 1000000 + now[2]
local calls, per, ahead, closes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local function text(number) return string.format('%.0f', number) end
local expiry = text(math.floor(per / 1000) + 2) -- in milliseconds, and never a moment too early

local last = redis.call('LINDEX', window, -1)
if last and tonumber(last) > now then -- the clock was set back: as if all had been made just now
    local used = redis.call('LLEN', window)
    redis.call('DEL', window)
    for _ = 1, used do redis.call('RPUSH', window, text(now)) end
    redis.call('PEXPIRE', window, expiry)
end
local oldest = redis.call('LINDEX', window, 0)
while oldest and now - oldest >= per do
    redis.call('LPOP', window)
    oldest = redis.call('LINDEX', window, 0)
end

-- The one after those ahead comes `calls` places after a call that is made already, or after one of theirs.
local wait = math.floor(ahead / calls) * per
local before = redis.call('LINDEX', window, ahead % calls - calls)
if before then wait = wait + before + per - now end
local up = redis.call('INFO', 'server'):match('uptime_in_seconds:(%d+)') * 1000000
if up < closes then wait = math.max(wait, closes - up) end

local granted = 0
if wait <= 0 and ahead == 0 then
    granted = 1
    redis.call('RPUSH', window, text(now))
    redis.call('PEXPIRE', window, expiry)
end
return {granted, wait, redis.call('LLEN', window), now}
""")


class RedisLimiter:
    """See `gcc.sources.limits.Limiter`. All processes must be told the same limits."""

    def __init__(self, redis: Redis, limits: Mapping[str, Limit]) -> None:
        self._redis = redis
        self._lanes = {name: _Lane(redis, name, limit) for name, limit in sorted(limits.items())}

    async def take(self, name: str, *, priority: int = 0, wait_s_max: float) -> None:
        lane = self._lanes.get(name)
        if lane is None:
            raise ConfigError(f"no limit is set for source {name!r}; add sources.{name}.calls and per_s")
        await lane.take(priority, wait_s_max)

    def away(self) -> str | None:
        return self._redis.lost

    def usage(self) -> list[LimitUse]:
        """As Redis told this process last; who waits is counted in this process alone."""
        return [lane.use() for lane in self._lanes.values()]


@dataclass(order=True, slots=True)
class _Waiter:
    rank: tuple[int, int]  # (-priority, arrival)
    woken: trio.Event = field(default_factory=trio.Event, compare=False)


class _Lane:
    """One limit, and who waits for it in this process. Only the first of them asks again."""

    def __init__(self, redis: Redis, name: str, limit: Limit) -> None:
        self._redis = redis
        self.name = name
        self.limit = limit
        self._key = f"gcc:limit:{{{name}}}"  # the braces: on a cluster a limit's keys lie together
        self._waiters: list[_Waiter] = []  # sorted; as many as there are callers, who are bounded
        self._arrivals = itertools.count()
        self._used = 0
        self._used_at = -float("inf")  # when Redis told that

    async def take(self, priority: int, wait_s_max: float) -> None:
        deadline = trio.current_time() + wait_s_max
        waiter = _Waiter((-priority, next(self._arrivals)))
        wait_s = await self._ask(bisect.bisect(self._waiters, waiter))
        if wait_s is not None:
            await self._wait(waiter, trio.current_time() + wait_s, deadline)

    async def _wait(self, waiter: _Waiter, turn_at: float, deadline: float) -> None:
        """Until it is granted. `turn_at` is the earliest time for that, as far as Redis knows."""
        ahead = bisect.bisect(self._waiters, waiter)
        if turn_at > deadline:
            raise self._refusal(turn_at)
        self._waiters.insert(ahead, waiter)
        if ahead == 0 and len(self._waiters) > 1:
            self._waiters[1].woken.set()  # no longer first: it stops watching the clock
        try:
            while True:
                waiter.woken = trio.Event()
                first = self._waiters[0] is waiter
                with trio.move_on_at(turn_at if first else deadline) as turn:
                    await waiter.woken.wait()
                ahead = bisect.bisect_left(self._waiters, waiter)
                if not (turn.cancelled_caught or (ahead == 0 and not first)):
                    continue  # somebody else is first now
                wait_s = await self._ask(ahead)
                if wait_s is None:
                    return
                turn_at = trio.current_time() + wait_s
                if turn_at > deadline:  # overtaken: by higher priorities, or by other processes
                    raise self._refusal(turn_at)
        finally:
            del self._waiters[bisect.bisect_left(self._waiters, waiter)]
            if self._waiters:
                self._waiters[0].woken.set()

    async def _ask(self, ahead: int) -> float | None:
        """None: granted, which needs `ahead` 0. Else the seconds until there may be room. LimitsAway: it is lost."""
        calls, per_us = self.limit.calls, round(self.limit.per_s * 1e6)
        closes_us = round(min(self.limit.per_s, FORGOTTEN_S) * 1e6)
        try:
            granted, wait_us, used, _ = await self._redis.run(TAKE, [self._key], [calls, per_us, ahead, closes_us])
        except Transient as lost:
            raise LimitsAway(f"{self.name}: our limits are away: {lost}", retry_after_s=LOST_S) from lost
        self._used, self._used_at = used, trio.current_time()
        return None if granted else wait_us / 1e6

    def _refusal(self, turn_at: float) -> LimitRefused:
        limit = f"{self.limit.calls} calls per {self.limit.per_s:g} s"
        return LimitRefused(
            f"{self.name}: our limit of {limit} is used up",
            retry_after_s=max(0.0, turn_at - trio.current_time()),
        )

    def use(self) -> LimitUse:
        fresh = trio.current_time() < self._used_at + self.limit.per_s
        used = self._used if fresh else 0
        return LimitUse(self.name, used, self.limit.calls, self.limit.per_s, len(self._waiters))
