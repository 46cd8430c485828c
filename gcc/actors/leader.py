"""The leader: holds the term of one name for this process, or waits for the chance to.

In: a Leadership (the store of terms) and Trio's clock. Out: `term`, which others read and fence their
writes with, and `elected()` / `deposed()` to wait for a change.

The store decides by its own clock; here a term is trusted only until (when the attempt began) + ttl -
margin by Trio's clock, so this process stops before anybody else can start. A store that is away is
tried again; meanwhile the trust runs out by itself. Cancelled: resigns (bounded), so that a successor
need not wait.
"""

from typing import Protocol

import trio

from gcc.clock import Clock
from gcc.errors import Transient
from gcc.supervisor.lifecycle import Actor, State

RESIGN_S = 2.0


class Leadership(Protocol):
    """The store of terms. Raises Transient when it is away."""

    async def campaign(self, name: str, holder: str, *, ttl_s: float) -> int | None:
        """Become the leader of `name`, or stay it, for `ttl_s` from now; None while another one is."""

    async def resign(self, name: str, holder: str, term: int) -> None:
        """End the term now. Nothing happens if it is over already."""


class Leader:
    """One candidate. `ttl_s` is how long a crashed leader keeps others waiting."""

    def __init__(
        self,
        name: str,
        leadership: Leadership,
        actor: Actor,
        clock: Clock,
        *,
        ttl_s: float = 15.0,
        margin_s: float = 3.0,
    ) -> None:
        if not 0 < margin_s < ttl_s * 2 / 3:
            raise ValueError(f"margin_s {margin_s} must leave room for a renewal within ttl_s {ttl_s}")
        self.name = name
        self._leadership = leadership
        self._actor = actor
        self._clock = clock
        self._holder = ""
        self._ttl_s = ttl_s
        self._margin_s = margin_s
        self._term: int | None = None
        self._trusted_until = -float("inf")
        self._changed = trio.Event()

    @property
    def term(self) -> int | None:
        """The term that this process holds, None when it does not lead (any more)."""
        return self._term if trio.current_time() < self._trusted_until else None

    async def elected(self) -> int:
        """Wait until this process leads, for as long as that takes, and return its term."""
        while (term := self.term) is None:
            await self._changed.wait()
        return term

    async def deposed(self, term: int) -> None:
        """Wait until `term` is over, be it lost, given up or not renewed in time."""
        while self.term == term:
            with trio.move_on_at(self._trusted_until):
                await self._changed.wait()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Campaign and renew every ttl/3, until cancelled. Started after the first answer of the store."""
        self._holder = str(self._clock.new_id())
        started = False
        try:
            while True:
                try:
                    await self._campaign()
                except Transient as error:
                    self._actor.erred(error)
                    self._actor.state = State.BACKOFF
                else:
                    self._actor.state = State.STANDBY if self.term is None else State.RUNNING
                    if not started:
                        task_status.started()
                        started = True
                await trio.sleep(self._clock.jitter(self._ttl_s / 3, spread=0.2))
        finally:
            await self._resign()

    async def _campaign(self) -> None:
        began = trio.current_time()
        with trio.move_on_after(self._ttl_s / 3) as patience:
            self._accept(await self._leadership.campaign(self.name, self._holder, ttl_s=self._ttl_s), began)
        if patience.cancelled_caught:
            raise Transient(f"no answer to the campaign for {self.name} within {self._ttl_s / 3:g} s")

    def _accept(self, term: int | None, began: float) -> None:
        self._term = term
        self._trusted_until = -float("inf") if term is None else began + self._ttl_s - self._margin_s
        self._actor.processed()
        self._changed.set()
        self._changed = trio.Event()

    async def _resign(self) -> None:
        term, self._term = self._term, None
        self._changed.set()
        self._changed = trio.Event()
        if term is not None:
            with trio.move_on_after(RESIGN_S, shield=True):
                try:
                    await self._leadership.resign(self.name, self._holder, term)
                except Transient as error:
                    self._actor.erred(error)  # the term runs out by itself
