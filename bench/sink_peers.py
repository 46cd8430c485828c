"""The peers of the sink's bench: RabbitMQ to embedded ClickHouse with clickhouse-connect, as most would write it.

They check every event with `json.loads`, pass its bytes on as JSONEachRow, 10,000 rows at a time, and acknowledge what
was inserted. That is generous to them: nothing is validated, retried, de-duplicated or dead-lettered.
"""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import trio

from bench.rounds import Figures, give_up
from gcc.statements import SQL
from gcc.stores import clickhouse_clients
from gcc.stores.clickhouse import ClickHouse

try:
    import aio_pika
    import pika
    from aio_pika.abc import AbstractIncomingMessage
except ImportError as missing:
    give_up(f"{missing.name} is not installed; pip install -c constraints.txt -e '.[bench]'")

BATCH_ROWS = 10_000
BATCH_AGE_S = 5.0
PREFETCH_ROWS = 2 * BATCH_ROWS
THREADS = 2  # of pika, each with a connection and a client
SETTINGS = {"input_format_json_read_objects_as_strings": 1, "date_time_input_format": "best_effort"}
QUERY_S_MAX = 60.0


class Table:
    """Inserts into one table of a fresh store; a client for each thread."""

    def __init__(self, folder: Path, table: str) -> None:
        self._table = table
        self.clients = clickhouse_clients.Opener(folder, query_s_max=QUERY_S_MAX).open({"writers": THREADS})["writers"]
        trio.run(_migrate, folder)

    def insert(self, client: int, bodies: Sequence[bytes]) -> None:
        block = b"\n".join(bodies)
        self.clients[client].raw_insert(self._table, insert_block=block, fmt="JSONEachRow", settings=SETTINGS)

    def close(self) -> None:
        """The engine writes to its folder until the last client is closed."""
        for client in self.clients:
            client.close()


async def _migrate(folder: Path) -> None:
    store = ClickHouse(folder, writers=1, readers=1, query_s_max=QUERY_S_MAX, fsync=False)
    await store.open()
    await store.migrate(SQL / "clickhouse")
    await store.aclose()


def rows_of(body: bytes) -> int:
    lines = body.split(b"\n")
    for line in lines:
        json.loads(line)
    return len(lines)


class Progress:
    """Stored and acknowledged events; a run ends with the last one, or when its time is over."""

    def __init__(self, count: int, seconds: float) -> None:
        self.stored = 0
        self._count = count
        self._began, self._cpu_s = time.perf_counter(), time.process_time()
        self._until = self._began + seconds

    @property
    def over(self) -> bool:
        return self.stored >= self._count or time.perf_counter() >= self._until

    def figures(self) -> Figures:
        took_s = time.perf_counter() - self._began
        cpu_s = time.process_time() - self._cpu_s
        return {"stored_per_s": self.stored / took_s, "cpu_us_per_event": cpu_s * 1e6 / max(1, self.stored)}


def aio_pika_sink(url: str, queue: str, table: Table, prefetch: int, count: int, seconds: float) -> Figures:
    async def run() -> Figures:
        async with await aio_pika.connect_robust(url) as connection:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=prefetch)
            arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
            progress = Progress(count, seconds)
            await (await channel.get_queue(queue)).consume(arrived.put)
            while not progress.over:
                batch: list[AbstractIncomingMessage] = []
                rows = 0
                due = time.perf_counter() + BATCH_AGE_S
                while rows < min(BATCH_ROWS, count - progress.stored) and time.perf_counter() < due:
                    try:
                        batch.append(
                            await asyncio.wait_for(arrived.get(), 0.1) if arrived.empty() else arrived.get_nowait()
                        )
                    except TimeoutError:
                        continue
                    rows += rows_of(batch[-1].body)
                if batch:
                    await asyncio.to_thread(table.insert, 0, [message.body for message in batch])
                    await batch[-1].ack(multiple=True)
                    progress.stored += rows
            return progress.figures()

    return asyncio.run(run())


def pika_sink(url: str, queue: str, table: Table, prefetch: int, count: int, seconds: float) -> Figures:
    progress = Progress(count, seconds)
    lock = threading.Lock()

    def work(client: int) -> None:
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            channel = connection.channel()
            channel.basic_qos(prefetch_count=prefetch)
            batch: list[bytes] = []
            rows = tag = 0
            due = 0.0
            for method, _, body in channel.consume(queue, inactivity_timeout=0.1):
                if method is not None:
                    due = due if batch else time.perf_counter() + BATCH_AGE_S
                    batch.append(body)
                    rows += rows_of(body)
                    tag = method.delivery_tag
                if batch and (method is None or rows >= BATCH_ROWS or time.perf_counter() >= due):
                    table.insert(client, batch)
                    channel.basic_ack(tag, multiple=True)
                    with lock:
                        progress.stored += rows
                    batch, rows = [], 0
                if progress.over:
                    return

    threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return progress.figures()


SINKS: dict[str, Callable[[str, str, Table, int, int, float], Figures]] = {"aio-pika": aio_pika_sink, "pika": pika_sink}
