"""The scorer alone, as processes run it, on a real RabbitMQ and PostgreSQL; and a process of it that kills itself where
a test says: `python -m tests.integration.scoring_child AMQP_URL CONNINFO scored|committed`.
"""

import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import trio

from gcc.channels.memory import Signal
from gcc.channels.message import Frame
from gcc.channels.outbox import Emit
from gcc.clock import SystemClock
from gcc.config import Settings
from gcc.errors import Transient
from gcc.pipelines.declared import Context, Parts
from gcc.pipelines.scoring.pipeline import ScoringPipeline
from gcc.pipelines.scoring.scorer import score_batch
from gcc.pipelines.scoring.workers import Score, open_workers
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.outbox import PostgresOutbox, emitter
from gcc.stores.postgres import Pool
from gcc.stores.rabbitmq_exchange import RabbitMQExchange
from gcc.stores.rabbitmq_topology import Topology
from gcc.supervisor.drain import Drain
from tests.contexts import context, partly
from tests.fakes.erasures import NobodyErased
from tests.fakes.objects import MemoryObjects

GRACE_S = 20.0


@asynccontextmanager
async def exchange_at(url: str, pool: Pool) -> AsyncIterator[RabbitMQExchange]:
    """With the connections of a process, which are made again when they are lost."""
    clock = SystemClock()
    letters = StoredDeadLetters(pool, MemoryObjects(), clock)
    exchange = RabbitMQExchange(
        url, PostgresOutbox(pool, "relay"), letters, clock, Signal(), Topology({}, {}), held_bytes_max=256 << 20
    )
    stands = trio.Event()

    async def connected() -> None:
        while True:
            try:
                await exchange.connected(stands.set)
            except Transient:
                await trio.sleep(0.2)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(connected)
        with trio.fail_after(60):
            await stands.wait()
        yield exchange
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def scoring(
    url: str, pool: Pool, *, score: Score = score_batch, slow_s: float = 15.0, emit: Emit | None = None
) -> AsyncIterator[Context]:
    """It scores within the block, by one worker, and is cancelled at its end. `context.drain` drains it before."""
    async with exchange_at(url, pool) as exchange:
        parts = partly(
            Parts,
            exchange=exchange,
            dead_letters=StoredDeadLetters(pool, MemoryObjects(), SystemClock()),
            erasures=NobodyErased(),
            emit=emit or emitter(pool, Signal()),
            scorers=partial(open_workers, 1, idle_s=60, slow_s=slow_s, score=score),
            broker=exchange.connected,
        )
        made = context(Settings(), Drain(("intake",), GRACE_S), parts)
        async with trio.open_nursery() as nursery:
            await nursery.start(ScoringPipeline(made).run)
            yield made
            nursery.cancel_scope.cancel()


def killing(pool: Pool, point: str) -> Emit:
    """Of this process, when a batch is scored, before or after its answers are committed."""
    commit = emitter(pool, Signal())

    async def emit(frames: Sequence[Frame]) -> None:
        if point == "committed":
            await commit(frames)
        os.kill(os.getpid(), signal.SIGKILL)

    return emit


async def run(url: str, conninfo: str, point: str) -> None:
    pool = Pool(conninfo, 4, name="child")
    async with scoring(url, pool, emit=killing(pool, point)):
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(run, *sys.argv[1:])
