"""The exchange port: one suite for PostgreSQL queues and for the fake that simulations use."""

import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
import trio
import trio.testing

from gcc.channels.deadletters import StoredDeadLetters
from gcc.channels.exchange import Exchange
from gcc.channels.memory import Signal
from gcc.channels.message import Binding, Frame, Route
from gcc.channels.postgres_exchange import PostgresExchange
from gcc.clock import SystemClock
from gcc.stores import outbox
from gcc.stores.postgres import Pool
from tests.fakes.database import Connection, Database
from tests.fakes.exchange import FakeExchange
from tests.fakes.objects import MemoryObjects

A, B = Route("beat.dx", "a"), Route("beat.dx", "b")


@dataclass
class Broker:
    exchange: Exchange
    publish: Callable[[list[Frame]], Awaitable[None]]
    dead_events: Callable[[], Awaitable[int]]
    end_leases: Callable[[], Awaitable[None]]


@pytest.fixture(params=["fake", "postgres"])
async def broker(request: pytest.FixtureRequest, pool: Pool) -> Broker:
    clock, written = SystemClock(), Signal()
    if request.param == "fake":
        database = Database(clock)

        async def keep(frames: list[Frame]) -> None:
            database.emit(frames)
            written.set()

        async def buried() -> int:
            return sum(letter.events for letter in database.dead_letters.values())

        fake = FakeExchange(Connection(database), written)
        return Broker(fake, keep, buried, fake.end_leases)
    real = PostgresExchange(pool, StoredDeadLetters(pool, MemoryObjects(), clock), written)

    async def commit(frames: list[Frame]) -> None:
        async with pool.transaction() as conn:
            await outbox.put(conn, frames)
        written.set()

    async def dead() -> int:
        async with pool.connection() as conn:
            ((events,),) = await (await conn.execute("select coalesce(sum(events), 0) from dead_letter")).fetchall()
        return int(events)

    return Broker(real, commit, dead, real.end_leases)


def frame(route: Route = A, body: bytes = b"{}", events: int = 1) -> Frame:
    return Frame(uuid.uuid4(), route, events, body)


async def relayed(broker: Broker, frames: list[Frame]) -> None:
    await broker.publish(frames)
    while await broker.exchange.relay():
        pass


async def test_a_frame_reaches_every_bound_queue_unchanged_and_in_order(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one"), Binding(A, "two"), Binding(B, "other")])
    sent = [frame(body=f'{{"n": {number}}}'.encode(), events=number + 1) for number in range(5)]
    await relayed(broker, sent)
    for queue in ("one", "two"):
        assert [delivery.frame for delivery in await broker.exchange.take(queue, frames_max=10)] == sent
    assert [(depth.queue, depth.events, depth.in_flight) for depth in await broker.exchange.depths()] == [
        ("one", 15, 15),
        ("other", 0, 0),
        ("two", 15, 15),
    ]


async def test_an_empty_queue_gives_none_at_once(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one")])
    assert await broker.exchange.take("one", frames_max=1) == []


async def test_declaring_again_changes_nothing(broker: Broker) -> None:
    for _ in range(2):
        await broker.exchange.declare([Binding(A, "one")])
    await relayed(broker, [frame()])
    assert len(await broker.exchange.take("one", frames_max=10)) == 1


async def test_a_frame_without_a_binding_is_dead_lettered_not_dropped(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one")])
    await relayed(broker, [frame(B, events=3), frame(A)])
    assert await broker.dead_events() == 3
    assert len(await broker.exchange.take("one", frames_max=10)) == 1


async def test_acknowledged_frames_are_gone_and_others_come_back_when_the_lease_ends(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one")])
    await relayed(broker, [frame(), frame(), frame()])
    first, second, third = await broker.exchange.take("one", frames_max=10)
    await broker.exchange.acknowledge([first])
    await broker.end_leases()
    again = await broker.exchange.take("one", frames_max=10)
    assert [(delivery.id, delivery.deliveries) for delivery in again] == [(second.id, 2), (third.id, 2)]


async def test_an_acknowledgement_of_a_passed_lease_is_skipped(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one")])
    await relayed(broker, [frame()])
    (old,) = await broker.exchange.take("one", frames_max=1)
    await broker.end_leases()
    (current,) = await broker.exchange.take("one", frames_max=1)
    await broker.exchange.acknowledge([old])
    await broker.exchange.give_back([old])
    ((_, events, in_flight),) = [(d.queue, d.events, d.in_flight) for d in await broker.exchange.depths()]
    assert (events, in_flight) == (1, 1)
    await broker.exchange.acknowledge([current])
    assert (await broker.exchange.depths())[0].events == 0


async def test_giving_back_makes_a_frame_ready_at_once(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one")])
    await relayed(broker, [frame()])
    taken = await broker.exchange.take("one", frames_max=1)
    await broker.exchange.give_back(taken)
    assert [d.id for d in await broker.exchange.take("one", frames_max=1)] == [taken[0].id]


async def test_competing_consumers_share_a_queue_without_doubles(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one")])
    await relayed(broker, [frame() for _ in range(60)])
    taken: Counter[int] = Counter()

    async def consume() -> None:
        for _ in range(3):
            deliveries = await broker.exchange.take("one", frames_max=4)
            taken.update(delivery.id for delivery in deliveries)
            await broker.exchange.acknowledge(deliveries)

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(consume)
    assert len(taken) == 60
    assert set(taken.values()) == {1}


async def test_a_live_lease_is_never_handed_out_again(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one")])
    await relayed(broker, [frame() for _ in range(5)])
    taken = [await broker.exchange.take("one", frames_max=2) for _ in range(3)]
    ids = [delivery.id for deliveries in taken for delivery in deliveries]
    assert ids == sorted(set(ids))
    assert len(ids) == 5
    await relayed(broker, [frame(events=7)])
    assert [delivery.frame.events for delivery in await broker.exchange.take("one", frames_max=9)] == [7]
    await broker.exchange.give_back(taken[1])
    assert [delivery.id for delivery in await broker.exchange.take("one", frames_max=9)] == ids[2:4]


async def test_a_relay_wakes_a_consumer_that_waits(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one")])
    got: list[int] = []

    async def consume() -> None:
        while not (taken := await broker.exchange.take("one", frames_max=1)):
            await broker.exchange.wait("one")
        got.extend(delivery.frame.events for delivery in taken)

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(consume)
            await trio.testing.wait_all_tasks_blocked()
            await relayed(broker, [frame(events=7)])
    assert got == [7]


async def test_a_producer_wakes_the_relay(broker: Broker) -> None:
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(broker.exchange.wait_outbox)
            await trio.testing.wait_all_tasks_blocked()
            await broker.publish([frame()])


async def test_a_cancelled_wait_leases_nothing(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one")])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(broker.exchange.wait, "one")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    await relayed(broker, [frame()])
    ((events, in_flight),) = [(depth.events, depth.in_flight) for depth in await broker.exchange.depths()]
    assert (events, in_flight) == (1, 0)
