"""`check` on real stores: it finds what was lost and what was doubled, and counts nothing twice."""

import uuid
from dataclasses import replace
from typing import Annotated

import msgspec

from gcc.channels.deadletters import Burial
from gcc.channels.letters import LetterFilter
from gcc.channels.memory import Signal
from gcc.channels.message import Frame, frames
from gcc.clock import SystemClock
from gcc.metrics import Metrics
from gcc.pipelines.events.check import check
from gcc.pipelines.events.history import HistoryImport
from gcc.pipelines.events.schemas import ProfileLog
from gcc.pipelines.events.sinks import Sink
from gcc.pipelines.events.types import BINDINGS, PROFILE_LOG, TRACE_LOG, encode
from gcc.stores import outbox
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.letters import PostgresLetters
from gcc.stores.postgres import Pool
from gcc.stores.postgres_exchange import PostgresExchange
from tests.fakes.objects import MemoryObjects

CSV = "platform,profile_id,handle,timestamp,followers\n" + "".join(
    f"INSTAGRAM,{number},h{number},2026-01-{1 + number % 28:02},{number}\n" for number in range(1, 251)
)


class StrictLog(ProfileLog):
    """The cause of dead letters, until it is mended."""

    metrics: dict[str, Annotated[int, msgspec.Meta(multiple_of=2)]]


class Way:
    """The way of events on real stores, a step at a time."""

    def __init__(self, pool: Pool, clickhouse: ClickHouse) -> None:
        self.pool, self.clickhouse, self.clock = pool, clickhouse, SystemClock()
        objects = MemoryObjects()
        dead = StoredDeadLetters(pool, objects, self.clock)
        self.letters = PostgresLetters(pool, objects, Signal())
        self.exchange = PostgresExchange(pool, dead, Signal())
        self.sink = Sink(PROFILE_LOG, clickhouse, dead, Metrics())
        self.strict_sink = Sink(replace(PROFILE_LOG, schema=StrictLog), clickhouse, dead, Metrics())

    async def emit(self) -> None:
        await self.exchange.declare(BINDINGS)

        async def content():  # type: ignore[no-untyped-def]
            yield CSV.encode()

        await HistoryImport(self.pool, self.clock, Signal()).run("test", content())

    async def relay(self) -> None:
        while await self.exchange.relay():
            pass


async def test_every_place_on_the_way_is_counted_once(pool: Pool, clickhouse: ClickHouse) -> None:
    way = Way(pool, clickhouse)
    await way.emit()
    report = await check(pool, clickhouse)
    assert (report.events_emitted, report.outbox_pending, report.missing, report.settled) == (250, 250, 0, True)
    await way.relay()
    report = await check(pool, clickhouse)
    assert (report.queued, report.outbox_pending, report.in_flight, report.missing) == (250, 0, 0, 0)

    taken = await way.exchange.take(PROFILE_LOG.queue, frames_max=2)
    await way.sink.handle(taken)  # stored, not yet acknowledged: in both stores, and still one event each
    report = await check(pool, clickhouse)
    assert (report.events_stored, report.queued, report.in_flight, report.missing, report.doubled) == (
        200, 250, 200, 0, 0,
    )  # fmt: skip
    await way.exchange.acknowledge(taken)
    report = await check(pool, clickhouse)
    assert (report.events_stored, report.queued, report.missing) == (200, 50, 0)


async def test_a_lost_frame_is_missing(pool: Pool, clickhouse: ClickHouse) -> None:
    way = Way(pool, clickhouse)
    await way.emit()
    await way.relay()
    first, *_ = await way.exchange.take(PROFILE_LOG.queue, frames_max=1)
    await way.exchange.acknowledge([first])  # acknowledged before it was stored
    report = await check(pool, clickhouse)
    assert (report.missing, report.well) == (first.frame.events, False)


async def test_an_id_under_two_keys_is_doubled(pool: Pool, clickhouse: ClickHouse) -> None:
    event_id = str(uuid.uuid4())
    for handle, profile_id in (("a", "1"), ("b", "2")):
        event = ProfileLog(
            event_id=event_id, event_timestamp="2026-01-01 00:00:00.000000", source="s", platform="INSTAGRAM",
            profile_id=profile_id, handle=handle, metrics={}, dimensions={},
        )  # fmt: skip
        await clickhouse.insert_ndjson(PROFILE_LOG.table, encode(event), token=handle)
    report = await check(pool, clickhouse)
    assert (report.doubled, report.well) == (1, False)


async def test_dead_letters_are_accounted_for_and_traces_are_outside(pool: Pool, clickhouse: ClickHouse) -> None:
    way = Way(pool, clickhouse)
    await way.emit()
    await way.relay()
    for delivery in await way.exchange.take(PROFILE_LOG.queue, frames_max=10):
        frame = delivery.frame
        await way.exchange._dead_letters.bury([Burial(delivery.queue, frame, frame.body, frame.events, "test")])
        await way.exchange.acknowledge([delivery])
    async with pool.transaction() as conn:
        await outbox.put(conn, list(frames(TRACE_LOG.route, [b"{}"] * 3, way.clock.new_id)))
    report = await check(pool, clickhouse)
    assert (report.dead_lettered, report.missing, report.outbox_pending) == (250, 0, 0)


async def test_a_poison_event_that_is_mended_and_replayed_is_counted_once_at_each_step(
    pool: Pool, clickhouse: ClickHouse
) -> None:
    way = Way(pool, clickhouse)

    async def counted() -> tuple[int, int, int, int]:
        report = await check(pool, clickhouse)
        assert (report.missing, report.doubled, report.settled) == (0, 0, True)
        return report.events_stored, report.dead_lettered, report.outbox_pending, report.queued

    await way.emit()
    await way.relay()
    taken = await way.exchange.take(PROFILE_LOG.queue, frames_max=10)
    for _ in range(2):  # the process died before it acknowledged
        await way.strict_sink.handle(taken)
    await way.exchange.acknowledge(taken)
    assert await counted() == (125, 125, 0, 0)

    await way.letters.replay(LetterFilter(queue=PROFILE_LOG.queue), "ann")  # too early
    assert await counted() == (125, 0, 125, 0)
    await way.relay()
    assert await counted() == (125, 0, 0, 125)
    again = await way.exchange.take(PROFILE_LOG.queue, frames_max=10)
    await way.strict_sink.handle(again)
    await way.exchange.acknowledge(again)
    assert await counted() == (125, 125, 0, 0)

    await way.letters.replay(LetterFilter(reason="not of type profile_log"), "ann")
    await way.relay()
    mended = await way.exchange.take(PROFILE_LOG.queue, frames_max=10)
    await way.sink.handle(mended)
    assert await counted() == (250, 0, 0, 125), "stored, and not acknowledged yet"
    await way.exchange.acknowledge(mended)
    assert await counted() == (250, 0, 0, 0)
    assert (await way.letters.replay(LetterFilter(queue=PROFILE_LOG.queue), "ann")).letters == 0
    assert await counted() == (250, 0, 0, 0)


async def test_replayed_traces_are_outside_the_count(pool: Pool, clickhouse: ClickHouse) -> None:
    way = Way(pool, clickhouse)
    await way.emit()
    (trace,) = frames(TRACE_LOG.route, [b"{}"] * 3, way.clock.new_id)
    await way.exchange._dead_letters.bury([Burial(TRACE_LOG.queue, trace, trace.body, 3, "test")])
    await way.letters.replay(LetterFilter(queue=TRACE_LOG.queue), "ann")
    assert (await check(pool, clickhouse)).outbox_pending == 250


async def emitted_without_rows(pool: Pool, events: int) -> None:
    async with pool.connection() as conn:
        await conn.execute(
            "insert into import_ledger (id, name, events) values (gen_random_uuid(), 'test', %(events)s)",
            {"events": events},
        )


async def test_what_nobody_counted_hides_nothing_that_is_missing(pool: Pool, clickhouse: ClickHouse) -> None:
    """Garbage in the way of our events: refused, given up, without a queue, replayed, and stored once it is mended."""
    way = Way(pool, clickhouse)
    await emitted_without_rows(pool, 1000)
    await way.exchange.declare(BINDINGS)
    garbage = [b"", b"\xff", b"{}", b'{"origin":"beat"}', b'{"origin":["gcc"]}', b"[" * 1000]
    async with pool.transaction() as conn:
        await outbox.put(
            conn, [Frame(uuid.uuid4(), PROFILE_LOG.route, 1, body or b" ") for body in garbage for _ in range(50)]
        )
    await way.relay()
    for _ in range(2):  # the letters of the first round are replayed, and refused again
        while taken := await way.exchange.take(PROFILE_LOG.queue, frames_max=100):
            await way.sink.handle(taken)
            await way.exchange.acknowledge(taken)
        report = await check(pool, clickhouse)
        assert (report.missing, report.dead_lettered, report.settled) == (1000, 0, True)
        await way.letters.replay(LetterFilter(), "ann")
        report = await check(pool, clickhouse)
        assert (report.missing, report.dead_lettered, report.outbox_pending) == (1000, 0, 0)
        await way.relay()
        report = await check(pool, clickhouse)
        assert (report.missing, report.queued) == (1000, 0)


async def test_of_a_letter_only_our_own_events_are_counted(pool: Pool, clickhouse: ClickHouse) -> None:
    way = Way(pool, clickhouse)
    await way.emit()
    await way.relay()
    (delivery,) = await way.exchange.take(PROFILE_LOG.queue, frames_max=1)
    frame = delivery.frame
    await way.strict_sink.handle([replace(delivery, frame=replace(frame, events=102, body=frame.body + b"\n{}\n\xff"))])
    await way.exchange.acknowledge([delivery])
    report = await check(pool, clickhouse)
    assert (report.events_stored, report.dead_lettered, report.queued, report.missing) == (50, 50, 150, 0)
