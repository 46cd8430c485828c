"""Who goes first on the loop of this process: what somebody waits for, before what nobody does.

A lookup takes some fifty turns of the loop, and a turn lasts as long as all that is ready in it: beside hundreds of
batch jobs it would wait for their parsing and their commits, turn by turn. So these step aside, each between two of its
steps, while a step of a lookup is under way; after it they go on one by one, not all in one turn.
"""

import trio

from gcc.sources.turns import URGENT

HELD_S_MAX = 0.1  # by one step, however long it lasts: batch work goes on, whoever is slow


class Precedence:
    def __init__(self) -> None:
        self._first: dict[trio.lowlevel.Task, float] = {}  # whose steps go first, and until when at most
        self._aside: dict[trio.Event, None] = {}  # in the order of coming: a seed replays it

    def step(self, priority: int) -> "_Step":
        """One step of work of this priority: an urgent one goes first, HELD_S_MAX at most; another one steps aside
        before it begins, HELD_S_MAX at most. Cancelled while it does: it has not begun.

        A step within a longer one of the same task, as a request is one, has that begin anew at its end.
        """
        return _Step(self, is_urgent=priority >= URGENT)

    def _begin(self, task: trio.lowlevel.Task) -> bool:
        """Whether it is within a longer one."""
        within = task in self._first
        self._first[task] = trio.current_time() + HELD_S_MAX
        return within

    def _end(self, task: trio.lowlevel.Task, within: bool) -> None:
        if within:
            self._first[task] = trio.current_time() + HELD_S_MAX
        else:
            del self._first[task]
        self._next()

    async def _give_way(self) -> None:
        if (until := max(self._first.values(), default=0.0)) <= trio.current_time():
            return
        turn = trio.Event()
        self._aside[turn] = None
        try:
            with trio.move_on_at(until):
                await turn.wait()
        finally:
            del self._aside[turn]
            self._next()

    def _next(self) -> None:
        if self._aside and max(self._first.values(), default=0.0) <= trio.current_time():
            next(iter(self._aside)).set()


class _Step:
    """A class, as each request is one, and a generator costs it three times as much."""

    __slots__ = ("_is_urgent", "_precedence", "_task", "_within")

    def __init__(self, precedence: Precedence, *, is_urgent: bool) -> None:
        self._precedence, self._is_urgent = precedence, is_urgent

    async def __aenter__(self) -> None:
        if self._is_urgent:
            self._task = trio.lowlevel.current_task()
            self._within = self._precedence._begin(self._task)
        else:
            await self._precedence._give_way()

    async def __aexit__(self, *exc: object) -> None:
        if self._is_urgent:
            self._precedence._end(self._task, self._within)
