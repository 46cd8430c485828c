"""The processes that score, behind a limit: `Scorers` is what the rest knows of them.

In: slices of followers, or of a file of them. Out: what the scorer makes of each. A process is started when one is
needed and none is idle, and ends when it was idle for long, or when this process does. One that ends over its slice, or
is ended because it took too long, is WorkerDied: nothing of the slice is known, and nothing else is lost.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Protocol, TypeVar

import trio
import trio_parallel

from gcc.errors import Transient
from gcc.pipelines.scoring.record import Follower, Scored
from gcc.pipelines.scoring.scorer import score_batch

HARMLESS = Follower("asha_rao", "Asha Rao")
CLOSE_S = 5.0  # for idle ones to end; then they are killed

Made = TypeVar("Made")
Score = Callable[[Sequence[Follower]], list[Scored]]
"""Of a module that a worker can import."""


class WorkerDied(Exception):
    """The process that scored ended, was killed, or took too long (`slow`)."""

    def __init__(self, why: str, *, slow: bool = False) -> None:
        super().__init__(why)
        self.slow = slow


class Scorers(Protocol):
    async def score(self, followers: Sequence[Follower]) -> list[Scored]:
        """In their order. WorkerDied: no answer is known. Transient: the machine starts no process now. Cancelled: the
        process that scores them is ended."""

    async def trouble(self) -> str | None:
        """Why not even a harmless follower is scored; None: it is, so that what happened was for those who were."""


class Workers:
    """See Scorers. `processes`: at once; a slice waits for its turn."""

    def __init__(self, context: trio_parallel.WorkerContext, processes: int, slow_s: float, score: Score) -> None:
        self._context = context
        self._score = score
        self._slow_s = slow_s
        self.limiter = trio.CapacityLimiter(processes)
        self._asking = trio.Lock()

    async def score(self, followers: Sequence[Follower]) -> list[Scored]:
        return await self.run(self._score, followers)

    async def trouble(self) -> str | None:
        try:
            async with self._asking:  # beside what has work, and what waits for its turn
                await self._run(self._score, [HARMLESS])
        except Exception as error:
            return str(error) or repr(error)
        return None

    async def run(self, work: Callable[..., Made], *given: object) -> Made:
        """What `work` makes in a process, which must be able to import it. WorkerDied, Transient, cancelled: as
        `score`."""
        async with self.limiter:
            return await self._run(work, *given)

    async def _run(self, work: Callable[..., Made], *given: object) -> Made:
        with trio.move_on_after(self._slow_s):
            try:
                made: Made = await self._context.run_sync(
                    work, *given, kill_on_cancel=True, limiter=trio.CapacityLimiter(1)
                )
                return made
            except OSError as error:  # of starting it: of `work` nobody has heard
                raise Transient(f"no process that scores can be started: {error}") from error
            except trio_parallel.BrokenWorkerError as error:
                code = getattr(error.args[-1], "exitcode", None)
                raise WorkerDied(f"the process that scored ended (exit code {code})") from error
        raise WorkerDied(f"no answer within {self._slow_s:g} s", slow=True)


@asynccontextmanager
async def open_workers(
    processes: int, *, idle_s: float, slow_s: float, score: Score = score_batch
) -> AsyncIterator[Workers]:
    """Starts none yet. At the end all have ended; one that was killed while it was idle is no trouble, and hides none:
    what the body raises is raised."""
    raised: BaseException | None = None
    with suppress(trio_parallel.BrokenWorkerError):
        async with trio_parallel.open_worker_context(idle_timeout=idle_s, grace_period=CLOSE_S) as context:
            try:
                yield Workers(context, processes, slow_s, score)
            except BaseException as error:
                raised = error
                raise
    if raised is not None:
        raise raised
