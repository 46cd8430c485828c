"""Empties the outbox into the exchange, batch after batch.

In: committed outbox rows. Out: frames in queues. A lost store is waited for with backoff. At drain it
goes on until the outbox is empty, then finishes: what was committed is handed on before the process ends.
"""

import random

import trio

from gcc.actors.patience import Patience
from gcc.channels.exchange import Exchange
from gcc.errors import Transient
from gcc.metrics import Metrics
from gcc.supervisor.drain import Stage, take_until
from gcc.supervisor.lifecycle import Actor, State


class Relay:
    def __init__(self, exchange: Exchange, actor: Actor, stage: Stage, metrics: Metrics, rng: random.Random) -> None:
        self._exchange = exchange
        self._actor = actor
        self._stage = stage
        self._metrics = metrics
        self._patience = Patience(actor, rng)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until the stage has begun and the outbox is empty."""
        with self._stage.member(self._actor.name):
            task_status.started()
            self._actor.state = State.RUNNING
            while True:
                last_look = self._stage.begun.is_set()
                try:
                    moved = await self._exchange.relay()
                except Transient as error:
                    await self._patience.wait_after(error)
                    continue
                self._patience.reset()
                if moved:
                    self._actor.processed(moved)
                    self._metrics.relayed_frames.inc(moved)
                elif last_look:  # it was asked after the stage began: nothing can have been missed
                    return
                else:
                    await take_until(self._stage, self._exchange.wait_outbox)
