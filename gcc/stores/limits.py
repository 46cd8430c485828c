"""Limits in Redis: at most `calls` units in ANY `per_s` seconds, for any number of processes together.

In: what `take` takes of a stack of limits. Out: leave to call, or LimitRefused. One script decides on the whole stack,
by Redis's own clock, and keeps what is spent in the windows: a list for each limit, which expires by itself. A granted
take whose answer is lost, or whose caller was cancelled, is spent. Within a process callers wait in turn, and only the
first ones ask; between processes whoever comes first is served. What narrows a limit lies beside its window, for all
processes.

A unit counts from when its call can last have arrived, `late_s` after its grant, whoever dies or is not answered. A
second script moves it: to later, where the call is sent so late that this is too soon; and back to when it arrived, as
its answer tells. In windows of a second that is every call; in those of a minute it is none, at the cost of SLACK.

Redis lost: nobody may call. `take` raises LimitsAway, which costs a job no attempt, and `away` tells.
Redis started again, with less memory of the calls than we have: for a whole window (at most FORGOTTEN_S), and as long
as a call may have been on its way, it grants nothing. A longer window is kept through a restart only by a Redis that
stores to disk (appendonly yes), and no window by one that evicts keys; `doctor` looks for both.
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
"""How much later than they arrived units may count for good, as a share of the window: it costs as much rate."""
SENT_S = 0.02


def late_s(per_s: float) -> float:
    """How long after its grant a call may arrive. All of it but `way_s` is for the time until it is sent, SENT_S at
    least."""
    return max(SLACK * per_s, way_s(per_s) + max(SENT_S, SLACK / 2 * per_s))


TAKE = Script("""
-- KEYS: of each limit its window, oldest first, as "when:units:units ever spent in it", and what narrows it.
-- ARGV: of each limit its calls, window, units wanted, units of those before, the window that a start closes, how late
-- a call may arrive.
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

local function add(window, units, total, per, late)
    redis.call('RPUSH', window, text(now + late) .. ':' .. text(units) .. ':' .. text(total))
    redis.call('PEXPIRE', window, text(math.floor((per + late) / 1000) + 2)) -- in milliseconds
end

local granted, waits, useds, narrowings, lefts, windows = 1, {}, {}, {}, {}, {}
for number = 1, #KEYS / 2 do
    local window, narrows = KEYS[2 * number - 1], KEYS[2 * number]
    local function given(place) return tonumber(ARGV[6 * (number - 1) + place]) end
    local calls, per, units, ahead, closes, late = given(1), given(2), given(3), given(4), given(5), given(6)
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
    if last and last.at > now + late + per then -- the clock was set back: as if all had been spent just now
        local used = last.total - oldest.total + oldest.units
        redis.call('DEL', window)
        add(window, used, used, per, 0)
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
        local leaves = now + per
        if place < used then -- when the unit at this place does, or may at the soonest
            local low, high = 0, redis.call('LLEN', window) - 1
            while low < high do
                local middle = math.floor((low + high) / 2)
                if entry(window, middle).total - before > place then high = middle else low = middle + 1 end
            end
            local at = entry(window, low).at
            leaves = at + per
            if at > now and leaves - late > now then leaves = leaves - late end
        end
        wait = math.max(wait, leaves + rounds * per - now)
    end
    if up < closes then wait = math.max(wait, closes - up) end
    if wait > 0 then granted = 0 end
    waits[number], useds[number] = math.ceil(wait), used
    windows[number] = {window, units, oldest and last.total or 0, per, late}
end

if granted == 1 then
    for number, spent in ipairs(windows) do
        useds[number] = useds[number] + spent[2]
        add(spent[1], spent[2], spent[3] + spent[2], spent[4], spent[5])
    end
end
return {granted, waits, useds, now, narrowings, lefts}
""")

MOVE = Script("""
-- KEYS: the windows. ARGV: of each when the call was spent there, its units, the window, when it arrives from now on.
-- Answers of each window when that is, 0 where it was not held any more: now as if it had been spent then.
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
local function text(number) return string.format('%.0f', number) end
local answer = {}
for number, window in ipairs(KEYS) do
    local function given(place) return tonumber(ARGV[4 * (number - 1) + place]) end
    local at, wanted, per, to = given(1), given(2), given(3), now + given(4)
    local left = redis.call('PTTL', window) -- a narrowed limit keeps it for longer
    local later, found, total = {}, false, 0 -- the latest first
    while true do -- from the end: few came since
        local entry = redis.call('LINDEX', window, -1)
        if not entry then break end
        local when, units, ever = entry:match('(%d+):(%d+):(%d+)')
        when, units = tonumber(when), tonumber(units)
        if when < at and (not found or when <= to) then break end
        redis.call('RPOP', window)
        total = ever - units
        if not found and when == at and units == wanted then
            found = true
        else
            table.insert(later, {when, units})
        end
    end
    answer[number] = found and to or 0
    if found then
        local place = 1
        while later[place] and later[place][1] > to do place = place + 1 end
        table.insert(later, place, {to, wanted})
    end
    for place = #later, 1, -1 do
        total = total + later[place][2]
        redis.call('RPUSH', window, text(later[place][1]) .. ':' .. text(later[place][2]) .. ':' .. text(total))
    end
    if #later > 0 then
        redis.call('PEXPIRE', window, text(math.max(left, math.floor((later[1][1] - now + per) / 1000) + 2)))
    end
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
    """`spent`: since when each counts, on our clock and, in microseconds, on Redis's."""

    def __init__(self, limiter: "RedisLimiter", spent: dict[Take, tuple[float, int]], floor: Floor) -> None:
        super().__init__(floor)
        self._limiter = limiter
        self._spent = spent

    async def sending(self) -> None:
        await self._limiter.postpone(self._spent)
        await super().sending()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(LimitRefused):  # lost: what it spent ends by itself
            await self._limiter.advance(self._spent, trio.current_time() if self.came_at is None else self.came_at)


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
            keys += [_key(take.name), _key(take.name) + ":narrowed"]
            closes_s = min(limit.per_s, FORGOTTEN_S)
            arguments += [limit.calls, _us(limit.per_s), take.units, ahead.get(take.name, 0)]
            arguments += [_us(closes_s + late_s(closes_s)), _us(late_s(limit.per_s))]
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
        return MovedCall(self, self._spent(takes), floor)

    def _spent(self, takes: Sequence[Take]) -> dict[Take, tuple[float, int]]:
        """What was granted last."""
        late = {take: late_s(self._per_s(take)) for take in takes}
        return {take: (self._granted_at + after_s, self._granted_us + _us(after_s)) for take, after_s in late.items()}

    async def postpone(self, spent: dict[Take, tuple[float, int]]) -> None:
        """A call is sent now: what counts too soon for that counts later.

        Those that have left their window meanwhile are taken again. LimitRefused: they cannot.
        """
        took_s = 0.0
        while late := [take for take, (at, _) in spent.items() if at < trio.current_time() + way_s(self._per_s(take))]:
            now = trio.current_time()
            per_s = {take: self._per_s(take) for take in late}
            to = {take: now + late_s(per_s[take]) + min(2 * took_s, per_s[take]) for take in late}
            gone, took_s = await self._move(spent, to), trio.current_time() - now
            self._refuse_larger(gone)
            if gone and (lacking := await self._ask(gone, {})):
                last = max(lacking, key=lambda name: lacking[name])
                raise self._lane(next(take for take in gone if take.name == last)).refusal(lacking[last])
            spent |= self._spent(gone)

    async def advance(self, spent: dict[Take, tuple[float, int]], came_at: float) -> None:
        """A call had come by then: what counts much later than that counts from then on. LimitRefused: it may not."""
        early = [take for take, (at, _) in spent.items() if at - came_at > SLACK * self._per_s(take)]
        await self._move(spent, dict.fromkeys(early, came_at))

    async def _move(self, spent: dict[Take, tuple[float, int]], to: Mapping[Take, float]) -> list[Take]:
        """Those that had left their window, and were not moved."""
        if not to:
            return []
        now, arguments = trio.current_time(), list[int]()
        for take, at in to.items():
            arguments += [spent[take][1], take.units, _us(self._per_s(take)), _us(at - now)]
        moved = await self._run(next(iter(to)).name, MOVE, [_key(take.name) for take in to], arguments)
        spent |= {take: (to[take], at_us) for take, at_us in zip(to, moved, strict=True) if at_us}
        return [take for take, at_us in zip(to, moved, strict=True) if not at_us]

    def _per_s(self, take: Take) -> float:
        return self._window_of(take).limit.per_s

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
