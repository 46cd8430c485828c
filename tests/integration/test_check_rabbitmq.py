"""`check` where a real RabbitMQ has the queues, and several processes hold what it does not show."""

import argparse
import json
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
import trio

from gcc.channels.exchange import Held, QueueLook
from gcc.channels.letters import LetterFilter
from gcc.channels.memory import Signal
from gcc.channels.message import Delivery
from gcc.cli import check as verb
from gcc.clock import SystemClock
from gcc.errors import Transient
from gcc.metrics import Metrics
from gcc.pipelines.events import check as checking
from gcc.pipelines.events import stillness
from gcc.pipelines.events.check import QUEUES, CheckReport, check
from gcc.pipelines.events.history import HistoryImport
from gcc.pipelines.events.routes import EXCHANGES
from gcc.pipelines.events.sinks import Sink
from gcc.pipelines.events.stillness import Stillness, Telling
from gcc.pipelines.events.types import PROFILE_LOG, encode
from gcc.stores import holdings
from gcc.stores import rabbitmq as amqp
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.holdings import tell
from gcc.stores.leadership import PostgresLeadership
from gcc.stores.letters import PostgresLetters
from gcc.stores.outbox import PostgresOutbox
from gcc.stores.postgres import Pool
from gcc.stores.rabbitmq_exchange import RabbitMQExchange
from gcc.stores.rabbitmq_topology import Topology
from tests.fakes.objects import MemoryObjects
from tests.integration.test_check import CSV, emitted_without_rows

QUEUE = PROFILE_LOG.queue
BINDINGS = [binding for event_type in checking.COUNTED for binding in event_type.bindings]
WITHIN_S = 30.0


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stillness, "TELL_S", 0.1)
    monkeypatch.setattr(stillness, "TWO_BEATS_S", 3.0)
    monkeypatch.setattr(stillness, "LOOK_S", 0.05)
    monkeypatch.setattr(checking, "AGAIN_S", 0.1)
    monkeypatch.setattr(holdings, "ALIVE_S", 2.0)


@dataclass
class Process:
    """One of several; it tells as long as `telling` lets it."""

    exchange: RabbitMQExchange
    sink: Sink
    telling: Telling
    tells: bool = True

    async def take(self, frames: int) -> list[Delivery]:
        taken: list[Delivery] = []
        with trio.fail_after(WITHIN_S):
            while len(taken) < frames:
                taken += await self.exchange.take(QUEUE, frames_max=frames - len(taken))
                if len(taken) < frames:
                    await self.exchange.wait(QUEUE)
        return taken

    async def tell(self) -> None:
        while True:
            if self.tells:
                await self.telling()
            await trio.sleep(stillness.TELL_S)


@dataclass
class Platform:
    pool: Pool
    clickhouse: ClickHouse
    processes: list[Process]
    term: int
    letters: PostgresLetters

    async def check(self) -> CheckReport:
        return await check(self.pool, self.clickhouse, self.processes[0].exchange)

    async def work_off(self, messages: int) -> None:
        """By the first process."""
        process = self.processes[0]
        while messages > 0:
            taken = await process.take(1)
            taken += await process.exchange.take(QUEUE, frames_max=messages)
            await process.sink.handle(taken)
            await process.exchange.acknowledge(taken)
            messages -= len(taken)

    async def relayed(self) -> None:
        while await self.processes[0].exchange.relay(self.term):
            pass


@asynccontextmanager
async def running(
    url: str, pool: Pool, clickhouse: ClickHouse, count: int, *, relayed: bool = True
) -> AsyncIterator[Platform]:
    """So many processes, which consume, and 250 events for them: frames of 100, 100 and 50, in turns."""
    clock = SystemClock()
    objects = MemoryObjects()
    letters = StoredDeadLetters(pool, objects, clock)
    term = await PostgresLeadership(pool).campaign("relay", "test", ttl_s=600)
    platform = Platform(pool, clickhouse, [], term or 0, PostgresLetters(pool, objects, Signal()))
    async with trio.open_nursery() as nursery:
        for _ in range(count):
            exchange = RabbitMQExchange(
                url, PostgresOutbox(pool, "relay"), letters, clock, Signal(), Topology(EXCHANGES),
                held_bytes_max=256 << 20,
            )  # fmt: skip
            stands = trio.Event()
            nursery.start_soon(exchange.connected, stands.set)
            with trio.fail_after(WITHIN_S):
                await stands.wait()
            await exchange.declare(BINDINGS)
            process = Process(
                exchange,
                Sink(PROFILE_LOG, clickhouse, letters, Metrics()),
                Telling(pool, exchange, clock, sorted(QUEUES)),
            )
            nursery.start_soon(process.tell)
            platform.processes.append(process)
        await HistoryImport(pool, clock, Signal()).run("test", _content())
        for process in platform.processes:
            assert await process.exchange.take(QUEUE, frames_max=1) == []
        if relayed:
            await platform.relayed()
        yield platform
        nursery.cancel_scope.cancel()


async def _content() -> AsyncIterator[bytes]:
    yield CSV.encode()


def without_a_line(delivery: Delivery) -> Delivery:
    return replace(delivery, frame=replace(delivery.frame, body=delivery.frame.body.partition(b"\n")[2]))


@pytest.mark.parametrize("lost", [0, 1])
async def test_one_event_that_one_of_three_processes_loses_is_missing(
    rabbitmq: str, pool: Pool, clickhouse: ClickHouse, lost: int
) -> None:
    async with running(rabbitmq, pool, clickhouse, 3) as platform:
        held = [(process, await process.take(1)) for process in platform.processes]
        report = await platform.check()
        assert (report.missing, report.settled, report.queued, report.well) == (0, False, 250, False)
        assert report.waits_for == [f"3 messages of queue {QUEUE} that are in work"]
        for process, taken in held:
            loses = lost and process is platform.processes[-1]
            await process.sink.handle([without_a_line(each) for each in taken] if loses else taken)
            report = await platform.check()
            assert (report.missing, report.settled) == (0, False)
            await process.exchange.acknowledge(taken)
        report = await platform.check()
        assert (report.missing, report.doubled, report.queued, report.waits_for) == (lost, 0, 0, [])
        assert (report.events_stored, report.settled, report.well) == (250 - lost, True, not lost)


async def test_what_waits_in_the_queue_hides_no_more_than_it_can_hold(
    rabbitmq: str, pool: Pool, clickhouse: ClickHouse
) -> None:
    async with running(rabbitmq, pool, clickhouse, 1) as platform:
        (process,) = platform.processes
        taken = await process.take(3)
        await process.exchange.acknowledge(taken[:1])  # lost
        await process.exchange.rest(QUEUE)
        report = await platform.check()
        assert (report.missing, report.queued, report.settled, report.well) == (50, 200, False, False)
        assert report.waits_for == [f"2 messages that are ready in queue {QUEUE}"]
        again = await process.take(2)
        await process.sink.handle(again)
        await process.exchange.acknowledge(again)
        report = await platform.check()
        assert (report.missing, report.settled) == (taken[0].frame.events, True)


async def test_a_process_that_does_not_tell_is_waited_for_until_the_broker_has_lost_it(
    rabbitmq: str, pool: Pool, clickhouse: ClickHouse
) -> None:
    async with running(rabbitmq, pool, clickhouse, 2) as platform:
        one, silent = platform.processes
        silent.tells = False
        report = await platform.check()
        assert (report.missing, report.settled) == (0, False)
        taken = [*await one.take(1), *await silent.take(1)]
        for delivery in taken:  # one by one: the ids of two processes may be the same
            await one.sink.handle([delivery])
        await trio.sleep(2 * holdings.ALIVE_S)
        report = await platform.check()
        assert f"1 consumers of queue {QUEUE}, which do not tell what they hold" in report.waits_for
        await silent.exchange.rest(QUEUE)
        for delivery in await one.take(2):
            await one.sink.handle([delivery])
            await one.exchange.acknowledge([delivery])
        await one.exchange.acknowledge(taken)
        report = await platform.check()
        assert (report.events_stored, report.missing, report.settled, report.waits_for) == (250, 0, True, [])


async def test_frames_that_are_stored_and_still_in_the_outbox_are_counted_once(
    rabbitmq: str, pool: Pool, clickhouse: ClickHouse
) -> None:
    """The relay died before it removed them; and one of their events is lost."""
    async with running(rabbitmq, pool, clickhouse, 1, relayed=False) as platform:
        (process,) = platform.processes
        report = await platform.check()
        assert (report.outbox_pending, report.missing, report.settled) == (250, 0, True)
        with pytest.raises(Transient, match="another process relays now"):
            await process.exchange.relay(-1)
        taken = await process.take(3)
        await process.sink.handle([without_a_line(taken[0]), *taken[1:]])
        await process.exchange.acknowledge(taken)
        report = await platform.check()
        assert (report.events_stored, report.outbox_pending, report.missing, report.settled) == (249, 250, 0, True)
        await platform.relayed()
        await process.exchange.acknowledge(await process.take(3))  # by one who trusts that it has stored them
        report = await platform.check()
        assert (report.events_stored, report.outbox_pending, report.missing, report.settled) == (249, 0, 1, True)


async def test_what_others_publish_on_our_routes_never_counts_for_ours(
    rabbitmq: str, pool: Pool, clickhouse: ClickHouse
) -> None:
    """1,000 emissions without rows; malformed messages of others, good ones, and good ones that say they are ours."""
    async with running(rabbitmq, pool, clickhouse, 1) as platform:
        await platform.work_off(3)
        await emitted_without_rows(pool, 1000)
        given = {
            "event_timestamp": "2026-01-01 00:00:00.000000", "source": "s", "platform": "INSTAGRAM", "handle": "h",
            "metrics": {}, "dimensions": {}, "v": 1, "origin_id": "",
        }  # fmt: skip
        good = [
            encode({**given, "event_id": str(uuid.uuid4()), "origin": origin, "profile_id": str(number)})
            for origin in ("", "gcc", "import", "beat")
            for number in range(40)
        ]
        bad = [b"{}", b"", b"\xff", b'{"origin": "gcc"}', b'{"origin": "import", "event_id": "x"}'] * 60
        async with amqp.connect(rabbitmq) as connection, connection.channel() as channel:
            await channel.select_confirms()
            route = PROFILE_LOG.route
            await channel.publish([amqp.Message(route.exchange, route.key, body) for body in (*good, *bad)])
        distinct_bad = 5  # equal bodies without an id are one message
        await platform.work_off(len(good) + len(bad))
        for _ in range(2):
            report = await platform.check()
            assert (report.missing, report.dead_lettered, report.outbox_pending) == (1000, 0, 0), report
            assert (report.events_stored, report.doubled, report.settled) == (250, 0, True)
            assert (await platform.letters.replay(LetterFilter(), "ann")).letters == distinct_bad
            report = await platform.check()
            assert (report.missing, report.dead_lettered, report.outbox_pending) == (1000, 0, 0), report
            await platform.relayed()
            await platform.work_off(distinct_bad)
        (row,) = await clickhouse.rows("select count() as rows from _e.profile_log_events final where origin = ''")
        assert row["rows"] == 120, "they are stored, as what they are"


class Scripted:
    """A broker whose queues are empty when they are looked at; `then` happens before."""

    def __init__(self, consumers: int, then: Callable[[], Any]) -> None:
        self._consumers = consumers
        self._then = then

    async def look(self, queues: Sequence[str]) -> list[QueueLook]:
        await self._then()
        return [QueueLook(queue, 0, self._consumers, 10_000) for queue in queues]


async def seen(pool: Pool, then: Callable[[], Any], later: Callable[[], Any]) -> list[str]:
    """What a look at queue "q" waits for; `later` is done again and again after it."""
    look = Stillness(pool, Scripted(2, then), ["q"])
    await look.begin()
    async with trio.open_nursery() as nursery:

        async def tell_on() -> None:
            while True:
                await later()
                await trio.sleep(0.05)

        nursery.start_soon(tell_on)
        await look.end()
        nursery.cancel_scope.cancel()
    return look.waits_for


async def test_a_message_that_goes_from_hand_to_hand_between_the_rows_is_seen(pool: Pool) -> None:
    a, b = uuid.uuid4(), uuid.uuid4()

    async def told(a_messages: int, a_received: int, b_messages: int, b_received: int) -> None:
        await tell(pool, a, [Held("q", 1, a_messages, a_received)])
        await tell(pool, b, [Held("q", 1, b_messages, b_received)])

    async def nothing() -> None: ...

    await told(0, 7, 0, 3)
    assert await seen(pool, nothing, lambda: told(0, 7, 0, 3)) == []
    assert await seen(pool, nothing, lambda: told(0, 8, 0, 3)) == ["messages of queue q, which come and go"]
    await told(0, 7, 0, 3)
    assert await seen(pool, nothing, lambda: told(0, 7, 1, 4)) == ["messages of queue q, which come and go"]
    await told(0, 7, 1, 3)
    assert await seen(pool, nothing, lambda: told(0, 7, 0, 3)) == ["1 messages of queue q that are in work"]
    await told(0, 7, 0, 3)
    assert await seen(pool, nothing, nothing) == ["a process that does not tell what it holds"]


async def test_a_message_that_comes_after_the_look_and_is_taken_by_nobody_is_seen(pool: Pool) -> None:
    """While the store is read, say: out of another queue, which somebody empties into this one."""
    process = uuid.uuid4()
    looks = iter([QueueLook("q", 0, 1, 10_000), QueueLook("q", 3, 1, 10_000)])

    class Filling:
        async def look(self, queues: Sequence[str]) -> list[QueueLook]:
            return [next(looks)]

    await tell(pool, process, [Held("q", 1, 0, 7)])
    look = Stillness(pool, Filling(), ["q"])
    await look.begin()
    assert look.waits_for == []
    async with trio.open_nursery() as nursery:

        async def tell_on() -> None:
            while True:
                await tell(pool, process, [Held("q", 1, 0, 7)])
                await trio.sleep(0.05)

        nursery.start_soon(tell_on)
        await look.end()
        nursery.cancel_scope.cancel()
    assert look.waits_for == ["3 messages that are ready in queue q"]


async def test_what_is_told_of_a_time_before_the_look_is_not_believed(pool: Pool) -> None:
    """One row may be on its way to the database while the broker is asked."""
    process = uuid.uuid4()
    await tell(pool, process, [Held("q", 2, 0, 7)])

    async def one_more() -> None:
        await tell(pool, process, [Held("q", 2, 0, 7)])

    look = Stillness(pool, Scripted(2, one_more), ["q"])
    await look.begin()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(look.end)
        await trio.sleep(0.3)
        await one_more()
        await trio.sleep(0.3)
        assert nursery.child_tasks, "its values may be older than the look"
        await tell(pool, process, [Held("q", 2, 1, 8)])
    assert look.waits_for == ["messages of queue q, which come and go"]


@pytest.mark.parametrize(
    ("missing", "doubled", "settled", "waits_for", "code"),
    [
        (0, 0, True, [], 0),
        (1, 0, True, [], 1),
        (0, 1, True, [], 1),
        (0, 0, False, ["3 messages"], 1),
        (0, 0, False, [], 0),  # the queues are in the database: events move, and none is hidden
    ],
)
def test_the_verb_ends_well_only_if_nothing_can_be_hidden(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    missing: int, doubled: int, settled: bool, waits_for: list[str], code: int,
) -> None:  # fmt: skip
    counts = dict.fromkeys(verb.LABELS, 0) | {"missing": missing, "doubled": doubled}
    report = {**counts, "settled": settled, "waits_for": waits_for}

    class Running:
        def ask(self, *_: str) -> dict[str, Any]:
            return {"data": report}

    monkeypatch.setattr(verb, "find", lambda _: Running())
    for as_json in (False, True):
        assert verb.main(argparse.Namespace(json=as_json, parity=False)) == code
        told = capsys.readouterr().out
        if as_json:
            assert json.loads(told) == report
        else:
            assert ("MISSING is a lower bound" in told) == (not settled)
            assert all(f"it waits for {what}" in told for what in waits_for)
