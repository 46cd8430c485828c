"""How fast events get from RabbitMQ into ClickHouse: `python -m bench.sink`. Our sinker beside aio-pika and pika.

A private broker, an embedded ClickHouse, profile_log events of some 500 bytes. `single` and `framed` drain a filled
queue (plain JSON messages; frames of 100), timed from the first take until all is stored and acknowledged, with the
CPU of the process for each event, the engine's included, and the peak of its resident memory. `steady` is the p99 of
the time from publishing to stored while STEADY_PER_S single events a second come. `end to end` begins with the
producer: committed to the outbox, relayed, stored, acknowledged, through RabbitMQ and through PostgreSQL queues.
Each party is a process; `--seconds` bounds each of its cases.
"""

import argparse
import datetime as dt
import gc
import json
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import trio

from bench.backbone import Backbone, backbone
from bench.load import FRAMED, KINDS, SINGLE, Events, fill, publish_steadily
from bench.rounds import OURS, Figures, broker, medians, party, rounded, rounds_for, table
from bench.sink_peers import PREFETCH_ROWS, SINKS, Table
from gcc.actors.consumer import Consumer
from gcc.channels.batch import BatchLimits
from gcc.channels.deadletters import DeadLetters
from gcc.channels.exchange import Exchange
from gcc.channels.memory import Channels
from gcc.channels.message import FRAME_EVENTS_MAX, Delivery
from gcc.clock import SystemClock
from gcc.config import Settings
from gcc.metrics import Metrics
from gcc.pipelines.events.sinks import Sink
from gcc.pipelines.events.types import PROFILE_LOG
from gcc.statements import SQL
from gcc.stores.clickhouse import ClickHouse
from gcc.supervisor.drain import Stage
from gcc.supervisor.lifecycle import Board
from tests.services.rabbitmq import RabbitMQNode

FILLED_PER_S = {SINGLE: 20_000, FRAMED: 1_000}
"""Messages that wait, for each second that a party has to drain them."""
STEADY_PER_S = 5_000
SAMPLED = 20  # of so many events of an insert one is looked at
END_TO_END = {"end to end rabbitmq": "rabbitmq", "end to end postgres": "postgres"}
CASES = (SINGLE, FRAMED, "steady", *END_TO_END)
PEER_CASES = (SINGLE, FRAMED)
SETTLE_S = 1.0


class Watched:
    """The exchange between broker and consumer, with what the bench asks of it: when it began, how much is done."""

    def __init__(self, exchange: Exchange, count: int) -> None:
        self._exchange = exchange
        self._count = count
        self.began_at = 0.0
        self.cpu_s = 0.0
        self.acknowledged = 0
        self.done = trio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._exchange, name)

    async def take(self, queue: str, *, frames_max: int) -> list[Delivery]:
        deliveries = await self._exchange.take(queue, frames_max=frames_max)
        if deliveries and not self.began_at:
            self.began_at, self.cpu_s = time.perf_counter(), time.process_time()
        return deliveries

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        await self._exchange.acknowledge(deliveries)
        self.acknowledged += sum(delivery.frame.events for delivery in deliveries)
        if self.acknowledged >= self._count:
            self.done.set()

    def figures(self) -> Figures:
        took_s, cpu_s = time.perf_counter() - self.began_at, time.process_time() - self.cpu_s
        return {
            "stored_per_s": self.acknowledged / took_s,
            "cpu_us_per_event": cpu_s * 1e6 / max(1, self.acknowledged),
            "rss_mb": peak_mb(),
        }


class Timed:
    """The store, with the ages of some of the events when they are stored."""

    def __init__(self, store: ClickHouse) -> None:
        self._store = store
        self.ages_s: list[float] = []

    async def insert_ndjson(self, table: str, body: bytes, *, token: str) -> None:
        await self._store.insert_ndjson(table, body, token=token)
        now = dt.datetime.now(dt.UTC)
        for line in body.split(b"\n")[::SAMPLED]:
            at = dt.datetime.fromisoformat(json.loads(line)["event_timestamp"]).replace(tzinfo=dt.UTC)
            self.ages_s.append((now - at).total_seconds())


def peak_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


@asynccontextmanager
async def event_store(folder: Path) -> AsyncIterator[ClickHouse]:
    """Migrated and warm: the engine's first insert takes a second or two."""
    chosen = Settings().clickhouse
    store = ClickHouse(
        folder, writers=chosen.writers, readers=chosen.readers, query_s_max=chosen.query_s_max, fsync=chosen.fsync
    )
    await store.open()
    await store.migrate(SQL / "clickhouse")
    await store.insert_ndjson(PROFILE_LOG.table, Events(seed=0).lines(1)[0], token="warm")
    yield store
    await store.aclose()


async def ours(case: str, url: str, count: int, seconds: float) -> Figures:
    """Store `count` events, or what can be stored in `seconds`."""
    amqp_url = None if END_TO_END.get(case) == "postgres" else url
    with tempfile.TemporaryDirectory(prefix="gcc-bench-") as name:
        folder = Path(name)
        async with event_store(folder / "clickhouse") as store, backbone(folder, amqp_url) as parts:
            timed = Timed(store)
            exchange = Watched(parts.exchange, count)
            await exchange.declare(PROFILE_LOG.bindings)
            sink = Sink(PROFILE_LOG, timed if case == "steady" else store, parts.letters, Metrics())
            with trio.move_on_after(seconds):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(sinker(exchange, sink, parts.letters).run)
                    if case in END_TO_END:
                        nursery.start_soon(parts.relay)
                        nursery.start_soon(produce, parts, exchange, count)
                    await exchange.done.wait()
                    nursery.cancel_scope.cancel()
            figures = exchange.figures()
            await check(store, exchange)
    if case == "steady":
        del figures["stored_per_s"]  # what came, and the wait for the age of the last batch
        figures["p99_s"] = statistics.quantiles(timed.ages_s, n=100)[98]
    return figures


async def produce(parts: Backbone, exchange: Watched, count: int) -> None:
    exchange.began_at, exchange.cpu_s = time.perf_counter(), time.process_time()
    frames = count // FRAME_EVENTS_MAX
    await parts.produce(PROFILE_LOG.route, frames, lambda: exchange.acknowledged // FRAME_EVENTS_MAX)


def sinker(exchange: Watched, sink: Sink, letters: DeadLetters) -> Consumer:
    """As gcc/pipelines/events/pipeline.py makes it."""
    chosen = Settings().sinker
    clock = SystemClock()
    return Consumer(
        PROFILE_LOG.queue,
        exchange,
        sink,
        letters,
        limits=BatchLimits(chosen.batch_rows, chosen.batch_age_s, chosen.batch_rows_max),
        channels=Channels(),
        actor=Board(clock.now).actor("sinker"),
        stage=Stage("sinkers"),
        metrics=Metrics(),
        rng=clock.rng,
    )


async def check(store: ClickHouse, exchange: Watched) -> None:
    """A figure of events that are not there would be worth nothing."""
    (row,) = await store.rows(f"select uniqExact(event_id) as events from {PROFILE_LOG.table}")  # noqa: S608
    if row["events"] < exchange.acknowledged + 1:
        raise AssertionError(f"{exchange.acknowledged:,} events acknowledged, {row['events'] - 1:,} stored")


def peer(name: str, case: str, url: str, count: int, seconds: float) -> Figures:
    with tempfile.TemporaryDirectory(prefix="gcc-bench-") as folder:
        with closing(Table(Path(folder), PROFILE_LOG.table)) as store:
            prefetch = PREFETCH_ROWS // KINDS[case]
            return {**SINKS[name](url, PROFILE_LOG.queue, store, prefetch, count, seconds), "rss_mb": peak_mb()}


async def measured(node: RabbitMQNode, name: str, case: str, seconds: float) -> Figures:
    """One party's case, on a vhost of its own."""
    url = node.vhosts.add()
    queue = PROFILE_LOG.queue
    if case == "steady":
        count = int(STEADY_PER_S * seconds / 2)  # comes in half of the time
        await fill(url, SINGLE, queue, 0)
    elif case in END_TO_END:
        count = FILLED_PER_S[FRAMED] * KINDS[FRAMED] * int(seconds)
    else:
        waiting = int(FILLED_PER_S[case] * seconds)
        count = waiting * KINDS[case]
        await fill(url, case, queue, waiting)
    await trio.sleep(SETTLE_S)
    async with trio.open_nursery() as nursery:
        if case == "steady":
            nursery.start_soon(publish_steadily, url, queue, count, STEADY_PER_S)
        figures = await party("bench.sink", name, case, url, str(count), str(seconds), within_s=seconds)
    return {f"{case} {figure}": value for figure, value in figures.items()}


async def bench(seconds: float, rounds: int) -> dict[str, Figures]:
    """The medians of each party."""
    found: dict[str, list[Figures]] = defaultdict(list)
    for number in range(rounds):
        for name in (OURS, *SINKS):
            print(f"round {number + 1} of {rounds}: {name}", file=sys.stderr)
            async with broker() as node:
                parts = [await measured(node, name, case, seconds) for case in (CASES if name == OURS else PEER_CASES)]
            found[name].append({figure: value for part in parts for figure, value in part.items()})
    return {name: medians(figures) for name, figures in found.items()}


def summary(result: dict[str, Figures]) -> dict[str, Any]:
    """The object of the last line."""

    def drained(figures: Figures) -> dict[str, float]:
        return {f"stored_per_s_{case}": figures[f"{case} stored_per_s"] for case in PEER_CASES} | {
            f"cpu_us_per_event_{case}": figures[f"{case} cpu_us_per_event"] for case in PEER_CASES
        }

    figures = result[OURS]
    return {
        **drained(figures),
        "cpu_us_per_event": figures["framed cpu_us_per_event"],
        "rss_mb": figures["framed rss_mb"],
        "p99_s": figures["steady p99_s"],
        "end_to_end_per_s": {name: figures[f"{case} stored_per_s"] for case, name in END_TO_END.items()},
        "peers": {name: drained(result[name]) for name in SINKS},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10, help="of each case at most")
    parser.add_argument("--rounds", type=int, help="5, or 1 when a case has less than 10 seconds")
    parser.add_argument("--party", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.party:
        name, case, url, count, bound = arguments.party
        if name == OURS:
            gc.freeze()  # as `run` does
            figures = trio.run(ours, case, url, int(count), float(bound))
        else:
            figures = peer(name, case, url, int(count), float(bound))
        print(json.dumps(figures))
        return
    result = trio.run(bench, arguments.seconds, arguments.rounds or rounds_for(arguments.seconds))
    print(table(result, list(result[OURS])))
    print(json.dumps(rounded(summary(result))))


if __name__ == "__main__":
    main()
