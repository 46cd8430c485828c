"""Who waits for limits in this process, and in which order: higher priority first, then each flow in its turn, then by
arrival.

In: what a caller takes of each limit at once, and `ask`, which grants all of it or tells which limits lack room, and
until when. Out: leave, or what lacked room when the caller's time was up. A caller stands in the line of each limit
that it was found to lack, and what those before it take is kept for them: so nobody is overtaken for ever where one
limit or the other is always full, and nobody waits behind one who lacks another limit only. The first who lacks a limit
watches the clock for it. Flows have turns by units: one with many callers gets no more than one with a few.
"""

import bisect
import itertools
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field

import trio

URGENT = 100
"""The priority of those whom a person waits for."""
Lacking = Mapping[str, float]
"""The limits without room, and when there may be some, on Trio's clock. Empty: all was granted."""
Ask = Callable[[Mapping[str, int]], Awaitable[Lacking]]
"""Of how many units others are ahead, by limit (those with none are missing)."""


@dataclass(order=True, slots=True)
class _Waiter:
    rank: tuple[int, float, int]  # (-priority, turn, arrival)
    units: Mapping[str, int] = field(compare=False)
    lacks: Collection[str] = field(default=(), compare=False)
    lines: set[str] = field(default_factory=set, compare=False)
    woken: trio.Event = field(default_factory=trio.Event, compare=False)


@dataclass(slots=True)
class _Round:
    """How far the flows are that wait for the same first limit with the same priority."""

    begun: float = 0.0
    ends: dict[str, float] = field(default_factory=dict)  # of each flow's last one
    waiting: int = 0


class Turns:
    def __init__(self) -> None:
        self._lines: dict[str, list[_Waiter]] = {}  # sorted; together as many as there are callers, who are bounded
        self._rounds: dict[tuple[str, int], _Round] = {}
        self._arrivals = itertools.count()

    def waiting(self, limit: str) -> int:
        return len(self._lines.get(limit, ()))

    def changed(self) -> None:
        """The limits may have room sooner than was told: whoever watches the clock asks again."""
        for limit in self._lines:
            self._wake(limit)

    async def take(
        self,
        units: Mapping[str, int],
        ask: Ask,
        *,
        priority: int,
        flow: str,
        deadline: float,
        hurried: Collection[str] = (),
    ) -> Lacking:
        """Empty once `ask` granted it; otherwise what lacks room, as soon as it is known that there is none before
        `deadline`, or that nothing but some of `hurried` lacks any now."""
        key = next(iter(units)), -priority
        turn = self._rounds.get(key, _Round())
        starts = max(turn.begun, turn.ends.get(flow, 0.0))
        waiter = _Waiter((-priority, starts, next(self._arrivals)), units)
        lacking = await ask(self._ahead(waiter))
        if not lacking:
            return lacking
        turn = self._rounds.setdefault(key, turn)
        turn.ends[flow] = starts + sum(units.values())
        turn.waiting += 1
        try:
            lacking = await self._wait(waiter, lacking, ask, deadline, hurried)
        finally:
            turn.waiting -= 1
            if not turn.waiting:
                self._rounds.pop(key, None)
        turn.begun = max(turn.begun, starts)
        return lacking

    async def _wait(
        self, waiter: _Waiter, lacking: Lacking, ask: Ask, deadline: float, hurried: Collection[str]
    ) -> Lacking:
        try:
            while True:
                now = trio.current_time()
                if max(lacking.values()) > deadline or now >= deadline or lacking.keys() <= set(hurried):
                    return lacking
                self._stand(waiter, lacking.keys())
                await self._turn(waiter, lacking, deadline)
                lacking = await ask(self._ahead(waiter))
                if not lacking:
                    return lacking
        finally:
            for limit in waiter.lines:
                line = self._lines[limit]
                del line[bisect.bisect_left(line, waiter)]
                if not line:
                    del self._lines[limit]
                self._wake(limit)

    async def _turn(self, waiter: _Waiter, lacking: Lacking, deadline: float) -> None:
        """Until one of the limits that it is the first to lack may have room, or its time is up."""
        while True:
            waiter.woken = trio.Event()
            with trio.move_on_at(min([deadline, *(lacking[limit] for limit in self._watched(waiter))])) as turn:
                await waiter.woken.wait()
            if turn.cancelled_caught or self._watched(waiter):
                return

    def _ahead(self, waiter: _Waiter) -> dict[str, int]:
        ahead = {}
        for limit in waiter.units:
            if line := self._lines.get(limit):
                before = itertools.islice(line, bisect.bisect_left(line, waiter))
                ahead[limit] = sum(other.units[limit] for other in before)
        return ahead

    def _stand(self, waiter: _Waiter, lacks: Collection[str]) -> None:
        """Join the lines of what it lacks, and see to it that one watches the clock for each limit."""
        had = [limit for limit in waiter.lacks if limit not in lacks]
        joined = [limit for limit in lacks if limit not in waiter.lines]
        waiter.lacks = frozenset(lacks)
        for limit in joined:
            bisect.insort(self._lines.setdefault(limit, []), waiter)
            waiter.lines.add(limit)
            self._wake(limit, after=waiter)  # it stops watching the clock
        for limit in had:
            self._wake(limit)

    def _wake(self, limit: str, after: _Waiter | None = None) -> None:
        line = self._lines.get(limit, ())
        first = 0 if after is None else bisect.bisect(line, after)
        for waiter in itertools.islice(line, first, None):
            if limit in waiter.lacks:
                waiter.woken.set()
                return

    def _watched(self, waiter: _Waiter) -> list[str]:
        """The limits that it lacks before everybody else."""
        return [
            limit
            for limit in waiter.lacks
            if waiter is next(other for other in self._lines[limit] if limit in other.lacks)
        ]
