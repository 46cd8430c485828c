"""The exchange port: one suite for PostgreSQL queues, for RabbitMQ, and for the fakes that simulations use.

"rabbitmq" is the real exchange on a real broker, "quorum" the same with replicated queues (of one replica here),
"broker" that exchange on the fake one, which holds that to this.
"""

import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import trio
import trio.testing
from pamqp import commands

from gcc.channels.exchange import Exchange
from gcc.channels.memory import Signal
from gcc.channels.message import FRAME_BYTES_MAX, Binding, Delivery, Frame, Route
from gcc.clock import SystemClock
from gcc.errors import Transient
from gcc.stores import outbox, rabbitmq
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.leadership import PostgresLeadership
from gcc.stores.outbox import PostgresOutbox
from gcc.stores.postgres import Pool
from gcc.stores.postgres_exchange import PostgresExchange
from gcc.stores.rabbitmq_exchange import RabbitMQExchange
from gcc.stores.rabbitmq_messages import FOREIGN
from gcc.stores.rabbitmq_topology import QUORUM, Topology
from tests.fakes.broker import BENT_TIMES, FakeBroker, bent
from tests.fakes.database import Connection, Database
from tests.fakes.exchange import FakeExchange
from tests.fakes.objects import MemoryObjects

A, B = Route("beat.dx", "a"), Route("beat.dx", "b")
TOPIC = "grpc_event.tx"
LEADER = "relay"
HELD_BYTES_MAX = 256 << 20
WITHIN_S = 20.0
REAL = ("rabbitmq", "quorum")


@dataclass
class Broker:
    """`term` is that of the relay. `end_leases`: whatever is leased is ready again, and the leases are void."""

    exchange: Exchange
    other: Exchange  # another process's
    publish: Callable[[list[Frame]], Awaitable[None]]
    dead_events: Callable[[], Awaitable[int]]
    end_leases: Callable[[], Awaitable[None]]
    term: int = 0
    fake: FakeBroker | None = None
    url: str = ""
    keeps_places: bool = True  # what comes back is where it was; a quorum queue has it where it came back

    def again(self, frames: list[Frame]) -> list[Frame]:
        """Frames that came back, as far as their order is a promise."""
        return frames if self.keeps_places else sorted(frames, key=lambda each: each.id)

    async def taken(self, queue: str, count: int, exchange: Exchange | None = None) -> list[Delivery]:
        """So many frames, as soon as they come."""
        exchange = exchange or self.exchange
        deliveries: list[Delivery] = []
        with trio.fail_after(WITHIN_S):
            while len(deliveries) < count:
                deliveries += await exchange.take(queue, frames_max=count - len(deliveries))
                if len(deliveries) < count:
                    await exchange.wait(queue)
        return deliveries

    async def delete(self, exchange: str = "", queue: str = "", binding: Binding | None = None) -> None:
        """As an operator does it."""
        if self.fake:
            if exchange:
                self.fake.delete_exchange(exchange)
            if queue:
                self.fake.delete_queue(queue)
            if binding:
                self.fake.unbind(binding.queue, binding.route.exchange, binding.route.key)
            return
        async with rabbitmq.connect(self.url) as connection:
            channel = await connection.open_channel()
            if exchange:
                await channel._ask(commands.Exchange.Delete(exchange=exchange), commands.Exchange.DeleteOk)
            if queue:
                await channel.delete_queue(queue)
            if binding:
                unbind = commands.Queue.Unbind(
                    queue=binding.queue, exchange=binding.route.exchange, routing_key=binding.route.key
                )
                await channel._ask(unbind, commands.Queue.UnbindOk)

    async def relayed(self, frames: list[Frame]) -> None:
        await self.publish(frames)
        while await self.exchange.relay(self.term):
            pass


@pytest.fixture(params=["fake", "postgres", "broker", "rabbitmq", "quorum"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def url(kind: str, request: pytest.FixtureRequest) -> str:
    """Only for the real broker is one started."""
    return str(request.getfixturevalue("rabbitmq")) if kind in REAL else "amqp://nobody@127.0.0.1:1"


@pytest.fixture
async def broker(kind: str, url: str, pool: Pool) -> AsyncIterator[Broker]:
    clock, written = SystemClock(), Signal()
    if kind == "fake":
        yield _fake(clock, written)
        return
    letters = StoredDeadLetters(pool, MemoryObjects(), clock)

    async def commit(frames: list[Frame]) -> None:
        async with pool.transaction() as conn:
            await outbox.put(conn, frames)
        written.set()

    async def dead() -> int:
        async with pool.connection() as conn:
            ((events,),) = await (await conn.execute("select coalesce(sum(events), 0) from dead_letter")).fetchall()
        return int(events)

    if kind == "postgres":
        real = PostgresExchange(pool, letters, written)
        yield Broker(real, PostgresExchange(pool, letters, Signal()), commit, dead, real.end_leases)
        return
    fake = FakeBroker() if kind == "broker" else None
    connect = {"connect": fake.connect} if fake else {}
    arguments = QUORUM if kind == "quorum" else {}
    topology = Topology({"beat.dx": "direct", TOPIC: "topic"}, arguments)

    def exchange(signal: Signal) -> RabbitMQExchange:
        rows = PostgresOutbox(pool, LEADER)
        return RabbitMQExchange(
            url, rows, letters, clock, signal, topology, held_bytes_max=HELD_BYTES_MAX, **connect
        )  # fmt: skip

    one, other = exchange(written), exchange(Signal())
    term = await PostgresLeadership(pool).campaign(LEADER, "test", ttl_s=600)
    assert term is not None

    async def end_leases() -> None:
        for queue in {depth.queue for depth in await one.depths()}:
            await one.rest(queue)

    async with AsyncExitStack() as stack:
        nursery = await stack.enter_async_context(trio.open_nursery())
        for each in (one, other):
            await _standing(nursery, each)
        yield Broker(one, other, commit, dead, end_leases, term, fake, url, keeps_places=kind != "quorum")
        nursery.cancel_scope.cancel()


async def _standing(nursery: trio.Nursery, exchange: RabbitMQExchange) -> None:
    stands = trio.Event()
    nursery.start_soon(exchange.connected, stands.set)
    with trio.fail_after(WITHIN_S):
        await stands.wait()


def _fake(clock: SystemClock, written: Signal) -> Broker:
    database = Database(clock)

    async def keep(frames: list[Frame]) -> None:
        database.emit(frames)
        written.set()

    async def buried() -> int:
        return sum(letter.events for letter in database.dead_letters.values())

    fake = FakeExchange(Connection(database), written)
    return Broker(fake, FakeExchange(Connection(database), Signal()), keep, buried, fake.end_leases)


def frame(route: Route = A, body: bytes = b"{}", events: int = 1) -> Frame:
    return Frame(uuid.uuid4(), route, events, body)


def frames_of(deliveries: list[Delivery]) -> list[Frame]:
    return [delivery.frame for delivery in deliveries]


def keys(deliveries: list[Delivery]) -> list[str]:
    """Sorted: frames keep their order within one route."""
    return sorted(delivery.frame.route.key for delivery in deliveries)


async def depth_of(broker: Broker, queue: str) -> tuple[int, int]:
    """(events, those in flight)"""
    (depth,) = [depth for depth in await broker.exchange.depths() if depth.queue == queue]
    return depth.events, depth.in_flight


async def until_depth(broker: Broker, queue: str, expected: tuple[int, int]) -> None:
    """A broker counts what it is told a moment later."""
    with trio.fail_after(WITHIN_S):
        while (found := await depth_of(broker, queue)) != expected:  # noqa: ASYNC110 (nobody tells)
            await trio.sleep(0.01)
    assert found == expected


async def test_a_frame_reaches_every_bound_queue_unchanged_and_in_order(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one"), Binding(A, "two"), Binding(B, "other")])
    sent = [frame(body=f'{{"n": {number}}}'.encode()) for number in range(5)]
    await broker.relayed(sent)
    for queue in ("one", "two"):
        assert frames_of(await broker.taken(queue, 5)) == sent
    assert [(depth.queue, depth.events, depth.in_flight) for depth in await broker.exchange.depths()] == [
        ("one", 5, 5),
        ("other", 0, 0),
        ("two", 5, 5),
    ]


async def test_a_frame_of_many_events_keeps_their_number(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one")])
    await broker.relayed([frame(body=b'{"n": 1}\n{"n": 2}', events=2)])
    (delivery,) = await broker.taken("one", 1)
    assert (delivery.frame.events, delivery.frame.body) == (2, b'{"n": 1}\n{"n": 2}')
    assert 0 <= delivery.age_s < WITHIN_S


async def test_a_frame_keeps_how_many_of_its_events_were_counted(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one")])
    sent = [Frame(uuid.uuid4(), A, 2, b"{}\n{}", counted=counted) for counted in (None, 0, 1, 2)]
    await broker.relayed(sent)
    assert frames_of(await broker.taken("one", 4)) == sent


async def test_frames_are_pending_until_they_are_relayed(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one")])
    assert not await broker.exchange.pending()
    await broker.publish([frame()])
    assert await broker.exchange.pending()
    await broker.relayed([])
    assert not await broker.exchange.pending()


async def test_an_empty_queue_gives_none_at_once(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one")])
    assert await broker.exchange.take("one", frames_max=1) == []


async def test_declaring_again_changes_nothing(broker: Broker) -> None:
    for _ in range(2):
        await broker.exchange.declare([Binding(A, "one")])
    await broker.relayed([frame()])
    assert len(await broker.taken("one", 1)) == 1
    assert await depth_of(broker, "one") == (1, 1)


async def test_a_frame_without_a_binding_is_dead_lettered_not_dropped(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one")])
    nowhere = Route("no_such_exchange.dx", "a")
    await broker.relayed([frame(B, events=3), frame(nowhere, events=5), frame(A)])
    assert await broker.dead_events() == 8
    assert len(await broker.taken("one", 1)) == 1


async def test_exchange_nothing_leads_to_the_queue_that_the_key_names_and_to_no_other(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one"), Binding(B, "one"), Binding(A, "two"), Binding(B, "a")])
    back = frame(Route("", "one"), events=2)
    await broker.relayed([back, frame(Route("", "nowhere"), events=3), frame(Route("", "a"), events=5)])
    assert frames_of(await broker.taken("one", 1)) == [back]
    assert [each.events for each in frames_of(await broker.taken("a", 1))] == [5]
    assert [await broker.exchange.take(queue, frames_max=10) for queue in ("one", "two", "a")] == [[], [], []]
    assert await broker.dead_events() == 3


async def test_acknowledged_frames_are_gone_and_others_come_back_when_the_lease_ends(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one")])
    await broker.relayed([frame(), frame(), frame()])
    first, second, third = await broker.taken("one", 3)
    await broker.exchange.acknowledge([first])
    await broker.end_leases()
    again = await broker.taken("one", 2)
    assert broker.again(frames_of(again)) == broker.again(frames_of([second, third]))
    assert [delivery.deliveries for delivery in again] == [2, 2]


async def test_frames_may_be_acknowledged_in_any_order(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one")])
    await broker.relayed([frame() for _ in range(6)])
    taken = await broker.taken("one", 6)
    await broker.exchange.acknowledge([taken[4], taken[2], taken[1]])
    await broker.exchange.acknowledge([taken[0]])
    await until_depth(broker, "one", (2, 2))
    await broker.end_leases()
    assert broker.again(frames_of(await broker.taken("one", 2))) == broker.again([taken[3].frame, taken[5].frame])


async def test_an_acknowledgement_of_a_passed_lease_is_skipped(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one")])
    await broker.relayed([frame()])
    (old,) = await broker.taken("one", 1)
    await broker.end_leases()
    (current,) = await broker.taken("one", 1)
    await broker.exchange.acknowledge([old])
    await broker.exchange.give_back([old])
    assert await depth_of(broker, "one") == (1, 1)
    await broker.exchange.acknowledge([current])
    await until_depth(broker, "one", (0, 0))


async def test_giving_back_makes_a_frame_ready_at_once(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one")])
    await broker.relayed([frame()])
    taken = await broker.taken("one", 1)
    await broker.exchange.give_back(taken)
    assert frames_of(await broker.taken("one", 1)) == frames_of(taken)


async def test_who_rests_leaves_all_that_it_has_to_others(broker: Broker) -> None:
    await broker.other.declare([Binding(A, "one")])
    await broker.exchange.declare([Binding(A, "one")])
    sent = [frame() for _ in range(5)]
    await broker.relayed(sent)
    taken = await broker.taken("one", 2)
    await broker.exchange.acknowledge(taken[:1])
    await broker.exchange.give_back(taken[1:])
    await broker.exchange.rest("one")
    assert broker.again(frames_of(await broker.taken("one", 4, broker.other))) == broker.again(sent[1:])
    await broker.exchange.rest("one")
    assert await broker.exchange.take("one", frames_max=9) == []


async def test_competing_consumers_share_a_queue_without_doubles(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one")])
    await broker.other.declare([Binding(A, "one")])
    taken: Counter[Frame] = Counter()

    async def consume(exchange: Exchange) -> None:
        while taken.total() < 60:
            deliveries = await exchange.take("one", frames_max=4)
            taken.update(delivery.frame.id for delivery in deliveries)
            await exchange.acknowledge(deliveries)
            if not deliveries and taken.total() < 60:
                with trio.move_on_after(0.05):
                    await exchange.wait("one")

    with trio.fail_after(WITHIN_S):
        async with trio.open_nursery() as nursery:
            for exchange in (broker.exchange, broker.other):
                nursery.start_soon(consume, exchange)
            await broker.relayed([frame() for _ in range(60)])
    assert len(taken) == 60
    assert set(taken.values()) == {1}
    await until_depth(broker, "one", (0, 0))


async def test_a_live_lease_is_never_handed_out_again(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one")])
    sent = [frame() for _ in range(5)]
    await broker.relayed(sent)
    taken = [await broker.taken("one", count) for count in (2, 2, 1)]
    assert [delivery.frame for deliveries in taken for delivery in deliveries] == sent
    await broker.relayed([frame(events=7)])
    assert [delivery.frame.events for delivery in await broker.taken("one", 1)] == [7]
    assert await broker.exchange.take("one", frames_max=9) == []
    await broker.exchange.give_back(taken[1])
    assert frames_of(await broker.taken("one", 2)) == sent[2:4]


@pytest.mark.parametrize(
    ("pattern", "hits", "misses"),
    [
        ("#", ["", "LaunchEvent", "a.b.c"], []),
        ("a.*", ["a.b"], ["a", "a.b.c", "b.a"]),
        ("*.b.#", ["a.b", "a.b.c.d"], ["b", "a.c.b"]),
        ("a.#.c", ["a.c", "a.b.c", "a.b.b.c"], ["a.b", "x.a.c"]),
        ("LaunchEvent", ["LaunchEvent"], ["Launch", "LaunchEvent.x", "launchevent"]),
    ],
)
async def test_a_topic_takes_the_keys_that_its_pattern_matches(
    broker: Broker, pattern: str, hits: list[str], misses: list[str]
) -> None:
    await broker.exchange.declare([Binding(Route(TOPIC, pattern), "matched"), Binding(Route(TOPIC, "#"), "all")])
    sent = [frame(Route(TOPIC, key)) for key in [*hits, *misses]]
    await broker.relayed(sent)
    assert keys(await broker.taken("all", len(sent))) == sorted([*hits, *misses])
    assert keys(await broker.taken("matched", len(hits))) == sorted(hits)
    assert await broker.exchange.take("matched", frames_max=9) == []


async def test_a_frame_goes_once_into_a_queue_that_two_patterns_lead_to(broker: Broker) -> None:
    await broker.exchange.declare([Binding(Route(TOPIC, key), "clicks") for key in ("CtaClicked", "*", "#")])
    await broker.relayed([frame(Route(TOPIC, "CtaClicked")), frame(Route(TOPIC, "Other"))])
    assert keys(await broker.taken("clicks", 2)) == ["CtaClicked", "Other"]
    assert await depth_of(broker, "clicks") == (2, 2)


async def test_a_relay_wakes_a_consumer_that_waits(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one")])
    got: list[int] = []

    async def consume() -> None:
        while not (taken := await broker.exchange.take("one", frames_max=1)):
            await broker.exchange.wait("one")
        got.extend(delivery.frame.events for delivery in taken)

    with trio.fail_after(WITHIN_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(consume)
            await trio.testing.wait_all_tasks_blocked()
            await broker.relayed([frame(events=7)])
    assert got == [7]


async def test_a_producer_wakes_the_relay(broker: Broker) -> None:
    with trio.fail_after(WITHIN_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(broker.exchange.wait_outbox)
            await trio.testing.wait_all_tasks_blocked()
            await broker.publish([frame()])


async def test_a_cancelled_wait_loses_nothing(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one")])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(broker.exchange.wait, "one")
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    sent = [frame()]
    await broker.relayed(sent)
    assert frames_of(await broker.taken("one", 1)) == sent


ON_A_BROKER = pytest.mark.parametrize("kind", ["broker", "rabbitmq", "quorum"], indirect=True)


@ON_A_BROKER
@pytest.mark.parametrize("gone", [{"exchange": "beat.dx"}, {"queue": "one"}, {"binding": Binding(A, "one")}], ids=list)
async def test_what_is_deleted_at_run_time_is_declared_again(broker: Broker, gone: Any) -> None:
    await broker.exchange.declare([Binding(A, "one"), Binding(B, "two"), Binding(Route(TOPIC, "#"), "three")])
    some = [frame(route) for route in (A, B, Route(TOPIC, "x")) for _ in range(3)]
    await broker.relayed(some)
    for queue in ("one", "two", "three"):
        await broker.exchange.acknowledge(await broker.taken(queue, 3))
        await broker.exchange.rest(queue)
    await broker.delete(**gone)
    again = [frame(each.route) for each in some]
    await broker.relayed(again)
    assert await broker.dead_events() == 0
    for queue, sent in zip(("one", "two", "three"), (again[:3], again[3:6], again[6:]), strict=True):
        assert {each.id for each in frames_of(await broker.taken(queue, 3))} == {each.id for each in sent}


@ON_A_BROKER
async def test_a_queue_that_is_deleted_while_it_is_consumed_is_consumed_again(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one"), Binding(B, "two")])
    await broker.relayed([frame(A), frame(B)])
    taken = await broker.taken("one", 1)
    await broker.taken("two", 1)
    await broker.delete(queue="one")
    with pytest.raises(Transient, match=r"its queue is gone|the queue is gone"), trio.fail_after(WITHIN_S):
        while True:
            await broker.exchange.wait("one")
    await broker.exchange.acknowledge(taken)  # of a channel that is closed: passed over
    await broker.exchange.give_back(taken)
    with pytest.raises(Transient, match=r"NOT_FOUND|no queue"):
        await broker.exchange.take("one", frames_max=1)
    sent = [frame(A), frame(B)]
    await broker.relayed(sent)
    assert frames_of([*await broker.taken("one", 1), *await broker.taken("two", 1)]) == sent


@ON_A_BROKER
async def test_what_was_held_of_a_queue_that_is_deleted_goes_with_it(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one")])
    await broker.relayed([frame(A), frame(A)])
    await broker.taken("one", 2)
    await broker.delete(queue="one")
    await broker.other.declare([Binding(A, "one")])
    await broker.exchange.rest("one")
    await broker.relayed([sent := frame(A)])
    assert frames_of(await broker.taken("one", 1, broker.other)) == [sent]
    assert await broker.other.take("one", frames_max=9) == []


@ON_A_BROKER
async def test_depths_of_a_queue_that_was_deleted_bring_it_back(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one"), Binding(B, "two")])
    await broker.delete(queue="one")
    assert [depth.queue for depth in await broker.exchange.depths()] == ["one", "two"]
    await broker.relayed([frame(A)])
    await until_depth(broker, "one", (1, 0))


@ON_A_BROKER
async def test_what_amqp_cannot_carry_is_dead_lettered(broker: Broker) -> None:
    await broker.exchange.declare([Binding(A, "one")])
    bad = [Route("beat.dx", "k" * 256), Route("x" * 256, "k"), Route("no such\nexchange", "k"), Route("", "q" * 256)]
    await broker.relayed([*(frame(route) for route in bad), frame(A)])
    assert len(await broker.taken("one", 1)) == 1
    assert await broker.dead_events() == len(bad)


@ON_A_BROKER
async def test_a_property_that_cannot_be_read_costs_itself_alone(broker: Broker) -> None:
    """Two messages of the same words are two, as their ids say."""
    await broker.exchange.declare([Binding(A, "one")])
    ids = [f"message {number}" for number in range(2 * len(BENT_TIMES))]
    properties = [
        bent(rabbitmq.Properties(message_id=id), BENT_TIMES[number // 2], in_headers=number % 2 == 0)
        for number, id in enumerate(ids)
    ]
    messages = [rabbitmq.Message(A.exchange, A.key, b"{}", each) for each in properties]
    if broker.fake:
        for message in messages:
            broker.fake.store(message, broker.fake.route(message))
    else:
        async with rabbitmq.connect(broker.url) as connection:
            channel = await connection.open_channel()
            await channel.select_confirms()
            assert await channel.publish(messages) == rabbitmq.Outcome()
    taken = await broker.taken("one", len(ids))
    assert {delivery.frame.id for delivery in taken} == {uuid.uuid5(FOREIGN, f"one:id {id}") for id in ids}


async def test_what_the_database_holds_is_taken_only_as_far_as_a_process_may_hold_it(pool: Pool) -> None:
    letters = StoredDeadLetters(pool, MemoryObjects(), SystemClock())
    exchange = PostgresExchange(pool, letters, Signal(), held_bytes_max=2 * FRAME_BYTES_MAX)
    await exchange.declare([Binding(A, "one"), Binding(B, "two")])
    async with pool.transaction() as conn:
        await outbox.put(conn, [frame(route, b"x" * FRAME_BYTES_MAX) for route in (A, A, A, B)])
    await exchange.relay()
    taken = await exchange.take("one", frames_max=9)
    assert len(taken) == 2
    assert await exchange.take("two", frames_max=9) == [], "the bound is that of the process"
    await exchange.acknowledge(taken[:1])
    await exchange.give_back(taken[1:])
    assert len(await exchange.take("one", frames_max=1)) == len(await exchange.take("two", frames_max=1)) == 1


async def test_large_frames_are_taken_only_as_far_as_a_process_may_hold_them(pool: Pool) -> None:
    size = 8 * FRAME_BYTES_MAX
    exchange = PostgresExchange(
        pool, StoredDeadLetters(pool, MemoryObjects(), SystemClock()), Signal(), held_bytes_max=4 * size
    )
    await exchange.declare([Binding(A, "one"), Binding(B, "two")])
    async with pool.transaction() as conn:
        await outbox.put(conn, [frame(route, bytes(size)) for route in (A, B) for _ in range(9)])
    await exchange.relay()
    taken: dict[str, list[Delivery]] = {}

    async def take(queue: str) -> None:
        taken[queue] = await exchange.take(queue, frames_max=200)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take, "one")
        nursery.start_soon(take, "two")
    first, second = sorted(taken, key=lambda queue: -len(taken[queue]))
    assert (len(taken[first]), len(taken[second])) == (4, 0), "the bound is that of the process, at once or not"
    await exchange.acknowledge(taken[first])
    with trio.fail_after(2):  # not the poll
        await exchange.wait(second)
    assert len(await exchange.take(second, frames_max=3)) == 1, "small in bytes, and one in any case"
    assert len(await exchange.take(second, frames_max=200)) == 3
