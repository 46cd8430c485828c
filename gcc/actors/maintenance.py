"""Housekeeping on a timer, as an actor and never as a job: rescues and expires jobs.

A lost store is waited for; the next round does what this one could not. Paused, it does nothing.
"""

import random
from collections.abc import Awaitable, Callable, Sequence

import trio

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
            try:
                for chore in self._chores:
                    self._actor.processed(await chore())
            except Transient as error:
                await patience.wait_after(error)
                continue
            patience.reset()
            await self._gate.while_open(self._rest)

    async def _rest(self) -> None:
        await trio.sleep(self._every_s)
