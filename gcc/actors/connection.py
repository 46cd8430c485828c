"""Keeps something connected: one life of a connection after the other, with backoff between, for as long as it takes.

In: `connect(stands, troubled)`, one life: it calls `stands()` when the connection stands, `troubled(why)` while it
stands but the other side does not do all that it should (None: it does again), and raises Transient when it is lost.
Out: a line on the board, and one in the log when it goes and when it is back. Those who use the connection find out by
themselves that it is away.
"""

import random
from collections.abc import Awaitable, Callable

import structlog
import trio

from gcc.actors.patience import Patience
from gcc.errors import Transient
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.lifecycle import Actor, State, one_line

BACKOFF = Backoff(first_s=0.1, max_s=5.0)

log = structlog.get_logger()
Troubled = Callable[[str | None], None]
Connect = Callable[[Callable[[], None], Troubled], Awaitable[None]]


class Connection:
    def __init__(self, connect: Connect, actor: Actor, rng: random.Random) -> None:
        self._connect = connect
        self._actor = actor
        self._rng = rng

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until cancelled; started() when it stands for the first time. What is not Transient leaves as it is."""
        patience = Patience(self._actor, self._rng, BACKOFF)
        lost_at: float | None = None

        def stands() -> None:
            nonlocal task_status, lost_at
            if lost_at is not None:
                log.info("back", part=self._actor.name, after_s=round(trio.current_time() - lost_at, 1))
                lost_at = None
            patience.reset()
            self._actor.state = State.RUNNING
            self._actor.processed()
            task_status.started()
            task_status = trio.TASK_STATUS_IGNORED  # once is enough

        def troubled(why: str | None) -> None:
            self._actor.state = State.RUNNING if why is None else State.BACKOFF
            if why is not None:
                self._actor.erred(why)

        while True:
            try:
                await self._connect(stands, troubled)
            except Transient as error:
                if lost_at is None:
                    log.warning("away", part=self._actor.name, error=one_line(error))
                    lost_at = trio.current_time()
                await patience.wait_after(error)
