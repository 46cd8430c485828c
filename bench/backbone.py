"""The real parts that the benches of the backbone drive: an embedded database, its outbox, an exchange."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from bench.load import Events
from gcc.channels.exchange import Exchange
from gcc.channels.memory import Signal
from gcc.channels.message import Route
from gcc.clock import SystemClock
from gcc.config import Settings
from gcc.pipelines.events.routes import EXCHANGES
from gcc.statements import SQL
from gcc.stores import outbox
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.embedded_postgres import EmbeddedPostgres
from gcc.stores.folder_objects import FolderObjects
from gcc.stores.leadership import PostgresLeadership
from gcc.stores.migrations import migrate_postgres
from gcc.stores.outbox import PostgresOutbox
from gcc.stores.postgres import Pool
from gcc.stores.postgres_exchange import PostgresExchange
from gcc.stores.rabbitmq_exchange import RabbitMQExchange
from gcc.stores.rabbitmq_topology import Topology

LEADER = "relay"
COMMITTED_AT_ONCE = 10  # frames in a transaction of the producer
OUTBOX_FRAMES_MAX = 1000  # a producer waits while so many frames are on their way


class Backbone:
    """One process's exchange, and a producer that fills its outbox. `term` is that of its relay."""

    def __init__(self, pool: Pool, exchange: Exchange, letters: StoredDeadLetters, written: Signal, term: int) -> None:
        self.exchange = exchange
        self.letters = letters
        self.term = term
        self._pool = pool
        self._written = written

    async def relay(self) -> None:
        while True:
            if not await self.exchange.relay(self.term):
                await self.exchange.wait_outbox()

    async def produce(self, route: Route, frames: int, done: Callable[[], int]) -> None:
        """Commit so many frames, never more than OUTBOX_FRAMES_MAX ahead of those that are `done`."""
        events = Events()
        for committed in range(0, frames, COMMITTED_AT_ONCE):
            while committed - done() > OUTBOX_FRAMES_MAX:  # noqa: ASYNC110 (nobody tells)
                await trio.sleep(0.005)
            async with self._pool.transaction() as conn:
                await outbox.put(conn, [events.frame(route) for _ in range(COMMITTED_AT_ONCE)])
            self._written.set()


@asynccontextmanager
async def backbone(folder: Path, amqp_url: str | None) -> AsyncIterator[Backbone]:
    """On RabbitMQ when there is a URL, else on the queues of the database, which is made in `folder`, with fsync."""
    clock, written = SystemClock(), Signal()
    database = EmbeddedPostgres(folder, fsync=True)
    async with trio.open_nursery() as nursery:
        await nursery.start(database.run)
        await migrate_postgres(database.conninfo, SQL / "postgres")
        pool = Pool(database.conninfo, 6, name="bench")
        letters = StoredDeadLetters(pool, FolderObjects(folder / "objects"), clock)
        held_bytes_max = Settings().exchange.held_bytes_max
        term = 0
        exchange: Exchange
        if amqp_url is None:
            exchange = PostgresExchange(pool, letters, written, held_bytes_max=held_bytes_max)
        else:
            rows = PostgresOutbox(pool, LEADER)
            exchange = RabbitMQExchange(
                amqp_url, rows, letters, clock, written, Topology(EXCHANGES), held_bytes_max=held_bytes_max
            )
            term = await PostgresLeadership(pool).campaign(LEADER, "bench", ttl_s=3600) or 0
            stands = trio.Event()
            nursery.start_soon(exchange.connected, stands.set)
            await stands.wait()
        yield Backbone(pool, exchange, letters, written, term)
        nursery.cancel_scope.cancel()
        await pool.aclose()
