"""How an actor waits for a dependency that is gone: visible, with growing delays, for as long as it takes."""

import random

import trio

from gcc.errors import Transient
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.lifecycle import Actor, State

BACKOFF = Backoff(first_s=0.1, max_s=15.0)


class Patience:
    """Counts consecutive failures of one actor's loop; `wait_after` shows the error and sleeps.

    From the first failure until `reset` the actor's state is BACKOFF: call it when the dependency has
    answered, and when what waited is given up.
    """

    def __init__(self, actor: Actor, rng: random.Random, backoff: Backoff = BACKOFF) -> None:
        self._actor = actor
        self._rng = rng
        self._backoff = backoff
        self.failures = 0

    async def wait_after(self, error: Transient) -> None:
        """Sleep, longer with each failure in a row, at least as long as the error asks for."""
        self.failures += 1
        self._actor.erred(error)
        self._actor.state = State.BACKOFF
        await trio.sleep(max(self._backoff.delay_s(self.failures, self._rng), error.retry_after_s or 0.0))

    def reset(self) -> None:
        """The dependency answered: the row of failures has ended."""
        if self.failures:
            self.failures = 0
            self._actor.state = State.RUNNING
