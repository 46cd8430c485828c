"""Ends a run that would not end by itself, and tells where every task of it stood.

A seed has so much time on the wall clock, so much virtual time, and so many turns of Trio's loop within a virtual
second: a run in which virtual time stands still (somebody retries without waiting) or in which all wait for each
other (the loop turns, and the clock has nowhere to leap to) is stopped by the latter, at the same step each time.
"""

import signal
import traceback
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from random import Random
from types import FrameType
from typing import TypeVar

import trio

T = TypeVar("T")

TURNS_MAX = 50_000  # 1,238 were the most of 40 seeds
STRIKE_S = 1.0  # after the polite stop, so often whatever runs is interrupted where it is
_HERE = Path(__file__).parents[2]


class Overrun(BaseException):
    """Passes through whatever catches `Exception`."""


class Watch(trio.abc.Instrument):
    """Of one run; `why` tells, with the stack of every task, why it was stopped. Only in a process's main thread."""

    def __init__(self, limit_s: float, virtual_s_max: float) -> None:
        self.why = ""
        self._limit_s = limit_s
        self._virtual_s_max = virtual_s_max
        self._second = -1
        self._turns = 0
        self._scope = trio.CancelScope()

    def over(self, program: Callable[[Random], Awaitable[T]]) -> Callable[[Random], Awaitable[T]]:
        """The program, watched. Raises Overrun when it was stopped."""

        async def watched(rng: Random) -> T:
            token = trio.lowlevel.current_trio_token()

            def strike(_signal: int, frame: FrameType | None) -> None:
                if self.why:
                    raise Overrun(self.why)  # the polite stop below has had its time
                token.run_sync_soon(self._scope.cancel)
                self.why = f"not done within {self._limit_s:g} s\n{stacks(frame)}"

            before = signal.signal(signal.SIGALRM, strike)
            signal.setitimer(signal.ITIMER_REAL, self._limit_s, STRIKE_S)
            trio.lowlevel.add_instrument(self)
            try:
                with self._scope:
                    return await program(rng)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0.0)
                signal.signal(signal.SIGALRM, before)
            raise Overrun(self.why)

        return watched

    def before_io_wait(self, timeout: float) -> None:
        """Once a turn of the loop."""
        now = trio.current_time()
        if int(now) != self._second:
            self._second, self._turns = int(now), 0
        self._turns += 1
        if self._turns > TURNS_MAX:
            self._stop(f"virtual time stands still: {TURNS_MAX} turns of the loop within a second")
        elif now > self._virtual_s_max:
            self._stop(f"not done within {self._virtual_s_max:g} s of virtual time")

    def _stop(self, why: str) -> None:
        if not self.why:
            self.why = f"{why}\n{stacks()}"
            self._scope.cancel()
            signal.setitimer(signal.ITIMER_REAL, STRIKE_S, STRIKE_S)


def stacks(running: FrameType | None = None) -> str:
    """Where each task stands, those that stand at the same place told once; and the code that was interrupted."""
    names: dict[str, list[str]] = defaultdict(list)  # of the tasks, by their stack
    for task in _tasks(trio.lowlevel.current_root_task()):
        frames = traceback.StackSummary.extract(task.iter_await_frames(), lookup_lines=False)
        names[_told(frames)].append(task.name.rpartition(".")[2])
    told = [f"{', '.join(dict.fromkeys(tasks))} ({len(tasks)}):{place}" for place, tasks in names.items()]
    if running is not None:
        told.append(f"running:{_told(traceback.extract_stack(running))}")
    return "\n".join(told)


def _told(frames: traceback.StackSummary) -> str:
    places = [(Path(frame.filename), frame) for frame in frames]
    ours = [f"\n    {path.relative_to(_HERE)}:{frame.lineno} {frame.name}" for path, frame in places if _is_ours(path)]
    return "".join(ours) or " in Trio itself"


def _is_ours(path: Path) -> bool:
    return path.is_relative_to(_HERE) and ".venv" not in path.parts


def _tasks(task: trio.lowlevel.Task | None) -> Iterator[trio.lowlevel.Task]:
    if task is not None:
        yield task
        for nursery in task.child_nurseries:
            for child in nursery.child_tasks:
                yield from _tasks(child)
