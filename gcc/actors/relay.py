"""Empties the outbox into the exchange, batch after batch.

In: committed outbox rows. Out: frames in queues. A lost store is waited for with backoff. At drain it
goes on until the outbox is empty, then finishes: what was committed is handed on before the process ends.
Paused, it leaves the outbox as it is, at drain too.
"""

import random

import trio

from gcc.actors.gates import ALWAYS_OPEN, Gate
from gcc.actors.leader import Leader
from gcc.actors.patience import Patience
from gcc.channels.exchange import Exchange
from gcc.errors import Transient
from gcc.metrics import Metrics
from gcc.supervisor.drain import Stage, take_until
from gcc.supervisor.lifecycle import Actor, State

LOOK_S = 1.0


class Relay:
    def __init__(
        self,
        exchange: Exchange,
        actor: Actor,
        stage: Stage,
        metrics: Metrics,
        rng: random.Random,
        *,
        gate: Gate = ALWAYS_OPEN,
        leader: Leader | None = None,
        stuck_after_s: float = 300.0,
    ) -> None:
        """`gate` closed is a pause. `leader`: only while it leads, where the exchange wants one relay at a time.
        `stuck_after_s`: see `Actor.watched`; a relaying that does not end is stuck."""
        self._exchange = exchange
        self._actor = actor
        self._stage = stage
        self._metrics = metrics
        self._gate = gate
        self._leader = leader
        self._stuck_after_s = stuck_after_s
        self._relaying = False
        self._patience = Patience(actor, rng)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until the stage has begun and the outbox is empty, or the relay is paused, or another process leads."""
        with (
            self._stage.member(self._actor.name),
            self._actor.watched(lambda: self._relaying, self._stuck_after_s),
        ):
            task_status.started()
            self._actor.state = State.RUNNING
            while True:
                await self._gate.passed(self._stage, self._actor)
                if not self._gate.is_open:
                    return
                last_look = self._stage.begun.is_set()
                try:
                    if (term := await self._term()) is None:
                        return
                    moved = await self._relay(term)
                except Transient as error:
                    if error.retry_after_s is not None:  # some routes rest: those of others may have something by then
                        self._patience.reset()
                    await self._patience.wait_after(error)
                    continue
                self._patience.reset()
                if moved:
                    self._actor.processed(moved)
                    self._metrics.relayed_frames.inc(moved)
                elif last_look:  # it was asked after the stage began: nothing can have been missed
                    return
                else:
                    await take_until(self._stage, lambda: self._gate.while_open(self._exchange.wait_outbox))

    async def _term(self) -> int | None:
        """The term under which to relay; None when the stage has begun, another process leads, and nothing is left or
        it is at work: what others go on writing is no reason to stay."""
        if self._leader is None:
            return 0
        seen = None
        while (term := self._leader.term) is None:
            self._actor.state = State.STANDBY
            if not self._stage.begun.is_set():
                await take_until(self._stage, self._leader.elected)
            elif (oldest := await self._exchange.pending()) is not None and seen in (None, oldest):
                seen = oldest  # the leader's to relay; ours, if that has gone
                with trio.move_on_after(LOOK_S):
                    await self._leader.elected()
            else:
                return None
            self._actor.state = State.RUNNING
        return term

    async def _relay(self, term: int) -> int:
        self._relaying = True
        try:
            return await self._exchange.relay(term)
        finally:
            self._relaying = False
            self._actor.beat()
