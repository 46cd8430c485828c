"""Limits in Redis: at most `calls` units in ANY `per_s` seconds, for any number of processes together.

In: what `take` takes of a stack of limits. Out: leave to call, or LimitRefused. One script decides on the whole stack,
by Redis's own clock, and keeps what is spent in the windows: a list for each limit, which expires by itself. A granted
take whose answer is lost, or whose caller was cancelled, is spent. Within a process callers wait in turn, and only the
first ones ask; between processes whoever comes first is served. What narrows a limit lies beside its window, for all
processes.

A unit counts from its grant, in a window that is longer by SLACK. Where its call was on its way for longer than that,
a second script moves it to when it arrived: as it is sent, or as its answer tells. In windows of a second that may be
every call of a slow source; in those of a minute it is none.

Redis lost: nobody may call. `take` raises LimitsAway, which costs a job no attempt, and `away` tells.
Redis started again, with less memory of the calls than we have: for a whole window (at most FORGOTTEN_S) it grants
nothing. A longer window is kept through a restart only by a Redis that stores to disk (appendonly yes), and no window
by one that evicts keys; `doctor` looks for both.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import trio

from gcc.errors import Transient
from gcc.sources.calls import Call, Floor
from gcc.sources.days import Days
from gcc.sources.limits import AnyLimit, Lane, LimitRefused, LimitsAway, Narrowing, StackedLimiter, Take, narrowed
from gcc.sources.turns import Lacking
from gcc.sources.window import way_s
from gcc.stores.redis import LOST_S, Redis, Script

FORGOTTEN_S = 60.0
SLACK = 0.06
"""How long a call may be on its way, as a share of the window, before its units are moved: it costs as much rate."""

TAKE = Script("""
-- KEYS: of each limit its window, oldest first, as "when:units:units ever spent in it", and what narrows it.
-- ARGV: of each limit its calls, window, units wanted, units of those before, the window that a start closes.
-- Times are in microseconds. Answers {granted 0 or 1, times until there is room, units in the windows, now, what
-- narrows, times for which it does}; see window.py, which counts in the same way.
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local up = (redis.call('INFO', 'server'):match('uptime_in_seconds:(%d+)') - 1) * 1000000 -- it may be that much less
local function text(number) return string.format('%.0f', number) end

local function entry(window, place)
    local found = redis.call('LINDEX', window, place)
    if not found then return nil end
    local at, units, total = found:match('(%d+):(%d+):(%d+)')
    return {at = tonumber(at), units = tonumber(units), total = tonumber(total)}
end

local function add(window, units, total, per)
    redis.call('RPUSH', window, text(now) .. ':' .. text(units) .. ':' .. text(total))
    redis.call('PEXPIRE', window, text(math.floor(per / 1000) + 2)) -- in milliseconds, and never a moment too early
end

local granted, waits, useds, narrowings, lefts, windows = 1, {}, {}, {}, {}, {}
for number = 1, #KEYS / 2 do
    local window, narrows = KEYS[2 * number - 1], KEYS[2 * number]
    local function given(place) return tonumber(ARGV[5 * (number - 1) + place]) end
    local calls, per, units, ahead, closes = given(1), given(2), given(3), given(4), given(5)
    local wait, share = 0, 1
    local narrowing = redis.call('GET', narrows)
    narrowings[number], lefts[number] = narrowing or '', 0
    if narrowing then
        share = tonumber(narrowing:match('^[^:]*'))
        lefts[number] = redis.call('PTTL', narrows) * 1000
        if share <= 0 or units > math.max(1, calls * share + 1e-9) then
            wait = lefts[number] + 1000
        elseif calls * share + 1e-9 >= 1 then -- see limits.paced
            calls = math.floor(calls * share + 1e-9)
        else
            calls, per = 1, per / (calls * share)
        end
    end

    local last, oldest = entry(window, -1), entry(window, 0)
    if last and last.at > now then -- the clock was set back: as if all had been spent just now
        local used = last.total - oldest.total + oldest.units
        redis.call('DEL', window)
        add(window, used, used, per)
        oldest = entry(window, 0)
        last = oldest
    end
    while oldest and now - oldest.at >= per do
        redis.call('LPOP', window)
        oldest = entry(window, 0)
    end
    local before = oldest and oldest.total - oldest.units or 0
    local used = oldest and last.total - before or 0

    local most = math.max(calls, units)
    local over = used + ahead + units - most
    if over > 0 then
        local excess = math.max(0, used - most)
        local rounds, place = math.floor((over - excess - 1) / most), (over - excess - 1) % most + excess
        local freed = now
        if place < used then -- when the unit at this place was spent
            local low, high = 0, redis.call('LLEN', window) - 1
            while low < high do
                local middle = math.floor((low + high) / 2)
                if entry(window, middle).total - before > place then high = middle else low = middle + 1 end
            end
            freed = entry(window, low).at
        end
        wait = math.max(wait, freed + (rounds + 1) * per - now)
    end
    if up < closes then wait = math.max(wait, closes - up) end
    if wait > 0 then granted = 0 end
    waits[number], useds[number] = math.ceil(wait), used
    windows[number] = {window, units, oldest and last.total or 0, per}
end

if granted == 1 then
    for number, spent in ipairs(windows) do
        useds[number] = useds[number] + spent[2]
        add(spent[1], spent[2], spent[3] + spent[2], spent[4])
    end
end
return {granted, waits, useds, now, narrowings, lefts}
""")

MOVE = Script("""
-- KEYS: the windows. ARGV: how long ago the call arrived; then of each window when it was spent there, units, window.
-- Answers when it arrived, and of each window 1 where it held it still: now as if it had been spent when it arrived.
local now = redis.call('TIME')
local to = now[1] * 1000000 + now[2] - ARGV[1]
local function text(number) return string.format('%.0f', number) end
local answer = {to}
for number, window in ipairs(KEYS) do
    local at, wanted, per = ARGV[3 * number - 1], ARGV[3 * number], tonumber(ARGV[3 * number + 1])
    local later, found, total = {}, false, 0
    while not found do -- from the end: few came since
        local entry = redis.call('LINDEX', window, -1)
        if not entry then break end
        local when, units, ever = entry:match('(%d+):(%d+):(%d+)')
        if tonumber(when) < tonumber(at) then break end
        redis.call('RPOP', window)
        total, found = ever - units, when == at and units == wanted
        if not found then table.insert(later, 1, {tonumber(when), tonumber(units)}) end
    end
    answer[number + 1] = found and 1 or 0
    if found then
        local place = 1
        while later[place] and later[place][1] <= to do place = place + 1 end
        table.insert(later, place, {to, tonumber(wanted)})
    end
    for _, entry in ipairs(later) do
        total = total + entry[2]
        redis.call('RPUSH', window, text(entry[1]) .. ':' .. text(entry[2]) .. ':' .. text(total))
    end
    if #later > 0 then redis.call('PEXPIRE', window, text(math.floor(per / 1000) + 2)) end
end
return answer
""")

NARROW = Script("""
-- KEYS[1]: what narrows a limit, as "share:why". ARGV: share, why, for how many milliseconds.
local share, left = tonumber(ARGV[1]), tonumber(ARGV[3])
local old = redis.call('GET', KEYS[1])
if old and tonumber(old:match('^[^:]*')) <= 0 then -- nothing opens what is closed before its time
    if share > 0 or redis.call('PTTL', KEYS[1]) >= left then return 0 end
end
if share >= 1 then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[1] .. ':' .. ARGV[2], 'PX', left) end
return 1
""")


@dataclass(slots=True)
class RedisLane(Lane):
    """As Redis told it this process last."""

    told: int = 0
    told_at: float = -float("inf")

    def used(self) -> int:
        return self.told if trio.current_time() < self.told_at + self.limit.per_s else 0


class MovedCall(Call):
    """`spent`: when each was, on our clock and, in microseconds, on Redis's."""

    def __init__(self, limiter: "RedisLimiter", spent: dict[Take, tuple[float, int]], floor: Floor) -> None:
        super().__init__(floor)
        self._limiter = limiter
        self._spent = spent

    async def sending(self) -> None:
        now = trio.current_time()
        await self._limiter.move(self._spent, now, now, again=True)
        await super().sending()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.sent_at is not None:
            came_at = trio.current_time() if self.came_at is None else self.came_at
            with suppress(LimitRefused):  # lost: what it spent ends by itself
                await self._limiter.move(self._spent, self.sent_at, came_at, again=False)


class RedisLimiter(StackedLimiter[RedisLane]):
    """See `gcc.sources.limits.Limiter`. All processes must be told the same limits; who waits is known here alone."""

    def __init__(self, redis: Redis, limits: Mapping[str, AnyLimit], days: Days | None = None) -> None:
        super().__init__(limits, days, RedisLane)
        self._redis = redis
        self._granted_us = 0

    def away(self) -> str | None:
        return self._redis.lost

    async def _ask(self, takes: Sequence[Take], ahead: Mapping[str, int]) -> Lacking:
        keys: list[str] = []
        arguments: list[int] = []
        for take in takes:
            limit = self._window_of(take).limit
            per_s = limit.per_s * (1 + SLACK)
            keys += [_key(take.name), _key(take.name) + ":narrowed"]
            closes_s = min(per_s, FORGOTTEN_S)
            arguments += [limit.calls, _us(per_s), take.units, ahead.get(take.name, 0), _us(closes_s)]
        asked_at = trio.current_time()
        granted, waits_us, used, now_us, narrowings, left_us = await self._run(takes[0].name, TAKE, keys, arguments)
        now = trio.current_time()
        for take, told, narrowing, left in zip(takes, used, narrowings, left_us, strict=True):
            lane = self._window_of(take)
            lane.told, lane.told_at = told, now
            share, _, why = narrowing.decode(errors="replace").partition(":")
            lane.narrowing = Narrowing(float(share), now + left / 1e6, why) if share else None
        if granted:
            self._granted_at, self._granted_us = asked_at, now_us  # at the soonest
            return {}
        return {take.name: now + wait / 1e6 for take, wait in zip(takes, waits_us, strict=True) if wait > 0}

    def _call(self, takes: Sequence[Take], floor: Floor) -> Call:
        return MovedCall(self, dict.fromkeys(takes, (self._granted_at, self._granted_us)), floor)

    async def move(self, spent: dict[Take, tuple[float, int]], sent_at: float, came_at: float, *, again: bool) -> None:
        """Let those that are late count from when the call was sent or came, whichever a window reckons with.

        Those that have left their window meanwhile are taken `again`, or not at all. LimitRefused: they cannot.
        """
        late: dict[Take, float] = {}
        for take, (at, _) in spent.items():
            per_s = self._window_of(take).limit.per_s
            if (to := min(came_at, sent_at + way_s(per_s))) > at + SLACK * per_s:
                late[take] = to
        if not late:
            return
        to = max(late.values())
        arguments = [_us(trio.current_time() - to)]
        for take in late:
            arguments += [spent[take][1], take.units, _us(self._window_of(take).limit.per_s * (1 + SLACK))]
        keys = [_key(take.name) for take in late]
        to_us, *held = await self._run(next(iter(late)).name, MOVE, keys, arguments)
        spent |= {take: (to, to_us) for take, was in zip(late, held, strict=True) if was}
        gone = [take for take, was in zip(late, held, strict=True) if not was]
        if again and gone:
            self._refuse_larger(gone)
            if lacking := await self._ask(gone, {}):
                last = max(lacking, key=lambda name: lacking[name])
                raise self._lane(next(take for take in gone if take.name == last)).refusal(lacking[last])
            spent |= dict.fromkeys(gone, (self._granted_at, self._granted_us))

    async def _narrow(self, lane: RedisLane, new: Narrowing) -> None:
        left_ms = max(1, round((new.until - trio.current_time()) * 1000))
        await self._run(lane.name, NARROW, [_key(lane.name) + ":narrowed"], [new.share, new.why, left_ms])
        lane.narrowing = narrowed(lane.narrowing, new)

    async def _run(self, name: str, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        try:
            return await self._redis.run(script, keys, arguments)
        except Transient as lost:
            raise LimitsAway(f"{name}: our limits are away: {lost}", retry_after_s=LOST_S) from lost


def _key(name: str) -> str:
    """The braces: on a cluster all limits lie together, as one script touches several."""
    return f"gcc:{{limit}}:{name}"


def _us(seconds: float) -> int:
    return round(seconds * 1e6)
