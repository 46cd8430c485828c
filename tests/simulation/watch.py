"""Ends a run that would not end by itself, and tells where every task of it stood.

A seed has so much time, so much virtual time, and so many turns of Trio's loop within a virtual second: a run in
which virtual time stands still (somebody retries without waiting) or in which all wait for each other (the loop turns,
and the clock has nowhere to leap to) is stopped by the latter, at the same step each time.
"""

import signal
import traceback
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import FrameType
from typing import TypeVar

import trio

from tests.simulation.seeded import run

T = TypeVar("T")

TURNS_MAX = 50_000  # 1,238 were the most of 40 seeds
AGAIN_S = 5.0
WALL_TIMES = 10
_HERE = Path(__file__).parents[2]


class Overrun(BaseException):
    """Passes through whatever catches `Exception`."""


class Watch(trio.abc.Instrument):
    """Of one run; `why` tells, with the stack of every task, why it was stopped. Only in a process's main thread.

    `limit_s` is processor time, which a busy machine does not stretch; of real time it may take WALL_TIMES as much.
    """

    def __init__(self, limit_s: float, virtual_s_max: float) -> None:
        self.why = ""
        self._limit_s = limit_s
        self._virtual_s_max = virtual_s_max
        self._second = -1
        self._turns = 0
        self._scope = trio.CancelScope()

    def run(self, program: Callable[[Random], Awaitable[T]], seed: int) -> T:
        """The program, watched; see seeded.run. Raises Overrun, or what becomes of one, when it was stopped."""

        async def watched(rng: Random) -> T:
            trio.lowlevel.add_instrument(self)
            with self._scope:
                return await program(rng)
            raise Overrun(self.why)

        def strike(_signal: int, running: FrameType | None) -> None:
            if self.why:
                raise Overrun(self.why)  # right here: it has had AGAIN_S to end politely
            self.why = f"not done within {self._limit_s:g} s\n{stacks(running)}"
            trio.lowlevel.current_trio_token().run_sync_soon(self._scope.cancel)
            signal.setitimer(signal.ITIMER_REAL, AGAIN_S, AGAIN_S)

        with _alarmed(strike, self._limit_s):
            return run(watched, seed)

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


@contextmanager
def _alarmed(strike: Callable[[int, FrameType | None], None], limit_s: float) -> Iterator[None]:
    """Not before: each signal costs Trio's loop a turn, and a seed would have other steps each time."""
    before = {number: signal.signal(number, strike) for number in (signal.SIGPROF, signal.SIGALRM)}
    signal.setitimer(signal.ITIMER_PROF, limit_s)
    signal.setitimer(signal.ITIMER_REAL, limit_s * WALL_TIMES)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        for number, handler in before.items():
            signal.signal(number, handler)


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
