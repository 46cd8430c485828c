"""Housekeeping on a timer, as an actor and never as a job: rescues and expires jobs.

Each chore has its turn in every round, whatever became of the others. A lost store is waited for; a chore that raises
anything else is a bug: told, and tried again in the next round. Paused, it does nothing.
"""

import random
from collections.abc import Awaitable, Callable, Sequence

import trio

from gcc.actors import bugs
from gcc.actors.gates import ALWAYS_OPEN, Gate
from gcc.actors.patience import Patience
from gcc.errors import Transient
from gcc.supervisor.lifecycle import Actor, State


class Maintenance:
    def __init__(
        self,
        chores: Sequence[Callable[[], Awaitable[int]]],
        actor: Actor,
        rng: random.Random,
        *,
        every_s: float,
        gate: Gate = ALWAYS_OPEN,
    ) -> None:
        self._chores = chores
        self._actor = actor
        self._rng = rng
        self._every_s = every_s
        self._gate = gate

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until cancelled; the first round is at once, since a restart may find expired leases."""
        patience = Patience(self._actor, self._rng)
        self._actor.state = State.RUNNING
        task_status.started()
        while True:
            if not self._gate.is_open:
                self._actor.state = State.PAUSED
                await self._gate.opened()
                self._actor.state = State.RUNNING
            if (failure := await self._round()) is not None:
                await patience.wait_after(failure)
                continue
            patience.reset()
            await self._gate.while_open(self._sleep)

    async def _round(self) -> Transient | None:
        """Every chore once; answers why one of them could not be done now."""
        failure: Transient | None = None
        for chore in self._chores:
            try:
                self._actor.processed(await chore())
            except Transient as error:
                failure = error
            except Exception as error:
                bugs.told(self._actor, error, chore=getattr(chore, "__name__", repr(chore)))
        return failure

    async def _sleep(self) -> None:
        await trio.sleep(self._every_s)
