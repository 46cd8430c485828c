"""Windows of calls in Redis, which several processes fill together: at most so many calls in ANY `per_s` seconds.

In: who wants how many. Out: a block of them, taken at once by Redis's own clock, and what is left beside it. A block is
a twentieth of what is left at most, or one call: so near the end of a window every call is asked for, and each process
knows what is left. Times are kept call by call, a list each caller, which expires by itself.

Transient: nobody counts now. That is so while Redis is away, and for a window after it was started, as it may have
forgotten calls; then it is not asked before that is over. One that does not answer within PATIENCE_S is away as well.
"""

from typing import NamedTuple

import trio

from gcc.errors import Transient
from gcc.stores.redis import LOST_S, Redis, Script

PATIENCE_S = 0.5
"""Of a request: less than Redis itself gets (gcc/stores/redis.py), as somebody waits."""

TAKE = Script("""
-- KEYS[1]: when each call of a window was taken, oldest first. ARGV: its calls, its length, calls wanted.
-- Times are in microseconds. Answers {calls taken, calls left, time until there is one more}; {-1, 0, time} where this
-- Redis is too young for that time.
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local window, calls, per, wanted = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local function text(number) return string.format('%.0f', number) end
local function at(place) return tonumber(redis.call('LINDEX', window, place) or nil) end

local up = (redis.call('INFO', 'server'):match('uptime_in_seconds:(%d+)') - 1) * 1000000 -- it may be that much less
if up < per then return {-1, 0, per - up} end

local newest = at(-1)
if newest and newest > now then -- the clock was set back: as if all had been taken just now
    for place = 0, redis.call('LLEN', window) - 1 do redis.call('LSET', window, place, text(now)) end
end
local oldest = at(0)
while oldest and oldest <= now - per do
    redis.call('LPOP', window)
    oldest = at(0)
end
local used = redis.call('LLEN', window)
local free = math.max(0, calls - used)
local taken = math.min(wanted, free, math.max(1, math.floor(free / 20)))
for _ = 1, taken do redis.call('RPUSH', window, text(now)) end
if taken > 0 then redis.call('PEXPIRE', window, text(math.ceil(per / 1000) + 1)) end
local leaves = at(math.max(0, used + taken - calls)) or now -- of a plan that ended there may be more calls than may be
return {taken, free - taken, leaves + per - now}
""")


class Taken(NamedTuple):
    calls: int  # 0: none was left
    left: int  # beside them
    more_in_s: float  # until there is one more


class CallWindows:
    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._asked_from = -float("inf")
        self._why = ""

    async def take(self, window: str, calls: int, per_s: float, wanted: int) -> Taken:
        """Up to `wanted` of the `calls` of a window. Transient, at once while nobody counts; cancelled: they may be
        taken."""
        now = trio.current_time()
        if now < self._asked_from:
            raise Transient(self._why, retry_after_s=self._asked_from - now)
        with trio.move_on_after(PATIENCE_S):
            arguments = [calls, round(per_s * 1e6), wanted]
            taken, left, more_us = await self._redis.run(TAKE, [f"gcc:calls:{window}"], arguments)
            if taken < 0:
                raise self._away(more_us / 1e6, "was started a moment ago and may have forgotten calls")
            return Taken(taken, left, more_us / 1e6)
        raise self._away(LOST_S, f"does not answer within {PATIENCE_S:g} s")

    def _away(self, wait_s: float, why: str) -> Transient:
        self._asked_from, self._why = trio.current_time() + wait_s, f"{self._redis.place} {why}"
        return Transient(self._why, retry_after_s=wait_s)
