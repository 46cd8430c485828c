"""The exchange on a real RabbitMQ that an operator or another producer treats badly: each pays for itself alone."""

import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import trio

from gcc.channels.memory import Signal
from gcc.channels.message import Binding, Delivery, Frame, Route
from gcc.clock import SystemClock
from gcc.errors import Transient
from gcc.stores import outbox
from gcc.stores import rabbitmq as amqp
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.leadership import PostgresLeadership
from gcc.stores.outbox import PostgresOutbox
from gcc.stores.postgres import Pool
from gcc.stores.rabbitmq_exchange import RabbitMQExchange
from gcc.stores.rabbitmq_topology import QUORUM, Topology
from tests.fakes.objects import MemoryObjects
from tests.services.rabbitmq import RabbitMQNode

A, B = Route("beat.dx", "a"), Route("coffee.dx", "b")
BINDINGS = [Binding(A, "a_q"), Binding(B, "b_q")]
WITHIN_S = 60.0


@dataclass
class Platform:
    pool: Pool
    exchange: RabbitMQExchange
    url: str
    term: int

    async def commit(self, *frames: Frame) -> None:
        async with self.pool.transaction() as conn:
            await outbox.put(conn, list(frames))

    async def all_relayed(self) -> None:
        with trio.fail_after(WITHIN_S):
            while await self.exchange.pending():
                try:
                    await self.exchange.relay(self.term)
                except Transient as error:
                    await trio.sleep(max(0.1, error.retry_after_s or 0))

    async def taken(self, queue: str, count: int) -> list[Delivery]:
        taken: list[Delivery] = []
        with trio.fail_after(WITHIN_S):
            while len(taken) < count:
                try:
                    taken += await self.exchange.take(queue, frames_max=count)
                    await self.exchange.wait(queue)
                except Transient:
                    await trio.sleep(0.1)
        return taken

    async def reasons(self) -> list[str]:
        async with self.pool.connection() as conn:
            return [reason for (reason,) in await (await conn.execute("select reason from dead_letter")).fetchall()]

    async def publish(self, *messages: amqp.Message) -> None:
        """As another producer does."""
        async with amqp.connect(self.url) as connection:
            channel = await connection.open_channel()
            await channel.select_confirms()
            outcome = await channel.publish(messages)
            assert not outcome.nacked and not outcome.returned


@asynccontextmanager
async def standing(
    url: str, pool: Pool, arguments: Mapping[str, Any] | None = None, held_bytes_max: int = 256 << 20
) -> AsyncIterator[Platform]:
    """With the connections of a process, which are made again when they are lost."""
    clock = SystemClock()
    exchange = RabbitMQExchange(
        url, PostgresOutbox(pool, "relay"), StoredDeadLetters(pool, MemoryObjects(), clock), clock, Signal(),
        Topology({}, arguments or {}), held_bytes_max=held_bytes_max,
    )  # fmt: skip
    term = await PostgresLeadership(pool).campaign("relay", "test", ttl_s=600)
    assert term is not None
    stands = trio.Event()

    async def connected() -> None:
        while True:
            try:
                await exchange.connected(stands.set)
            except Transient:
                await trio.sleep(0.2)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(connected)
        with trio.fail_after(WITHIN_S):
            await stands.wait()
        await exchange.declare(BINDINGS)
        yield Platform(pool, exchange, url, term)
        nursery.cancel_scope.cancel()


def frame(route: Route, body: bytes = b"{}") -> Frame:
    return Frame(uuid.uuid4(), route, 1, body)


async def test_a_message_that_is_too_large_for_the_broker_costs_itself_alone(
    rabbitmq: str, rabbitmq_node: RabbitMQNode, pool: Pool
) -> None:
    await rabbitmq_node.control("eval", "application:set_env(rabbit, max_message_size, 1000).")
    try:
        async with standing(rabbitmq, pool) as platform:
            sent = [frame(A, b"x" * (1001 if number == 17 else 10)) for number in range(40)]
            await platform.commit(*sent, frame(B))
            await platform.all_relayed()
            got: set[uuid.UUID] = set()
            while len(got) < 39:  # some come twice
                got |= {each.frame.id for each in await platform.taken("a_q", 1)}
            assert got == {each.id for each in sent if len(each.body) == 10}
            assert len(await platform.taken("b_q", 1)) == 1
            (reason,) = await platform.reasons()
            assert "cannot be published" in reason and "message size 1001" in reason
    finally:
        await rabbitmq_node.control("eval", "application:unset_env(rabbit, max_message_size).")


async def test_what_others_publish_ends_nothing(rabbitmq: str, pool: Pool) -> None:
    """No body, a body of 100 MB, names and properties that are no UTF-8."""
    async with standing(rabbitmq, pool) as platform:
        await platform.exchange.declare([Binding(Route("amq.topic", "#"), "a_q")])
        await platform.publish(*(amqp.Message("amq.topic", "k", body) for body in (b"", b"{" + b"x" * 100_000_000)))
        async with _channel(rabbitmq) as channel:
            publish = b"\x00\x3c\x00\x28\x00\x00\x09amq.topic\x02\xff\xfe\x00"
            header = b"\x00\x3c\x00\x00" + (2).to_bytes(8, "big") + b"\x80\x80\x01\xff\x01\xfe"
            for kind, payload in ((1, publish), (2, header), (3, b"{}")):
                size = len(payload).to_bytes(4, "big")
                channel._connection.append(bytes((kind, 0, channel.number)) + size + payload + b"\xce")
            await channel.declare_queue("a_q", passive=True)  # by now the message is there
        taken = await platform.taken("a_q", 3)
        assert [len(each.frame.body) for each in taken] == [0, 100_000_001, 2]
        assert taken[-1].frame.route.key == "\\xff\\xfe"
        await platform.exchange.acknowledge(taken)
        await platform.commit(frame(A))
        await platform.all_relayed()
        assert len(await platform.taken("a_q", 1)) == 1


async def test_an_exchange_that_may_not_be_written_to_holds_up_its_own_routes(
    rabbitmq: str, rabbitmq_node: RabbitMQNode, pool: Pool
) -> None:
    async with standing(rabbitmq, pool) as platform:
        with _management(rabbitmq, rabbitmq_node) as permit:
            permit(write="^(?!coffee).*")
            await platform.commit(*(frame(route) for route in (B, A, B, A)))
            assert await _moved(platform) == 2
            with pytest.raises(Transient, match="answers 403 ACCESS_REFUSED"):
                await platform.exchange.relay(platform.term)
            await platform.commit(frame(A))
            assert await _moved(platform) == 1
            permit(write=".*")
        await platform.all_relayed()
        assert len(await platform.taken("b_q", 2)) == 2
        assert await platform.reasons() == []


async def test_a_queue_of_another_type_and_one_that_cannot_be_made_cost_themselves(
    rabbitmq: str, rabbitmq_node: RabbitMQNode, pool: Pool
) -> None:
    async with _channel(rabbitmq) as channel:
        await channel.declare_queue("a_q", arguments={"x-max-priority": 3})
        await channel.declare_exchange("beat.dx", "topic")
    with _management(rabbitmq, rabbitmq_node) as permit:
        permit(limit={"max-queues": 1})
        async with standing(rabbitmq, pool) as platform:
            await platform.commit(frame(B), frame(A))
            assert await _moved(platform) == 1
            assert len(await platform.taken("a_q", 1)) == 1
            assert [depth.queue for depth in await platform.exchange.depths()] == ["a_q", "b_q"]
            with pytest.raises(Transient, match="refuses queue 'b_q'"):
                await platform.exchange.relay(platform.term)
            permit(limit={"max-queues": -1})
            await platform.all_relayed()
            assert len(await platform.taken("b_q", 1)) == 1
            assert await platform.reasons() == []


async def test_replicated_queues_keep_what_is_handed_out_however_often(
    rabbitmq: str, rabbitmq_node: RabbitMQNode, pool: Pool
) -> None:
    """RabbitMQ 4 drops it after 20 times unless the queue's own limit says otherwise."""
    async with standing(rabbitmq, pool, QUORUM) as platform:
        await platform.commit(frame(A))
        await platform.all_relayed()
        for _ in range(25):
            assert len(await platform.taken("a_q", 1)) == 1
            await platform.exchange.rest("a_q")
        assert len(await platform.taken("a_q", 1)) == 1
    vhost = rabbitmq.rpartition("/")[2]
    async with httpx.AsyncClient(base_url=rabbitmq_node.http_url, trust_env=False) as http:
        assert (await http.get(f"/api/queues/{vhost}/a_q")).json()["arguments"] == QUORUM


async def test_a_channel_that_the_broker_closes_costs_what_it_held_once_more_and_no_other_queue(
    rabbitmq: str, pool: Pool
) -> None:
    """As after 30 minutes without an acknowledgement: what was held comes again, and old tags are void."""
    async with standing(rabbitmq, pool) as platform:
        await platform.commit(frame(A, b"1"), frame(A, b"2"), frame(B, b"3"))
        await platform.all_relayed()
        held, other = await platform.taken("a_q", 2), await platform.taken("b_q", 1)
        link = platform.exchange._link
        assert link is not None
        channel = link.intakes["a_q"].channel
        channel.ack(10_000)  # a tag that it never gave: 406
        with trio.fail_after(WITHIN_S):
            with pytest.raises(amqp.ChannelClosed, match="406"):
                await channel.settled()
            await platform.exchange.acknowledge([*held, *other])
            again = await platform.taken("a_q", 2)
            assert sorted(each.frame.body for each in again) == [b"1", b"2"]
            assert {each.deliveries for each in again} == {2}
            assert not {each.id for each in again} & {each.id for each in held}
            await platform.exchange.acknowledge(held)
            (depth,) = [depth for depth in await platform.exchange.depths() if depth.queue == "a_q"]
            assert depth.in_flight == 2, "an old tag says nothing about a new delivery"
            await platform.exchange.acknowledge(again)
            while any(look.ready for look in await platform.exchange.look(["a_q", "b_q"])):
                await platform.exchange.wait("a_q")
        assert platform.exchange._link is link, "the connections stand"
        assert [(depth.events, depth.in_flight) for depth in await platform.exchange.depths()] == [(0, 0), (0, 0)]


async def test_a_limit_of_connections_is_waited_for_at_the_start(
    rabbitmq: str, rabbitmq_node: RabbitMQNode, pool: Pool
) -> None:
    with _management(rabbitmq, rabbitmq_node) as permit:
        permit(limit={"max-connections": 0})
        async with trio.open_nursery() as nursery:

            async def lift() -> None:
                await trio.sleep(1)
                permit(limit={"max-connections": -1})

            nursery.start_soon(lift)
            async with standing(rabbitmq, pool) as platform:
                await platform.commit(frame(A))
                await platform.all_relayed()


async def _moved(platform: Platform) -> int:
    with trio.fail_after(WITHIN_S):
        while True:
            try:
                return await platform.exchange.relay(platform.term)
            except Transient:
                await trio.sleep(0.05)


@asynccontextmanager
async def _channel(url: str) -> AsyncIterator[amqp.Channel]:
    async with amqp.connect(url) as connection, connection.channel() as channel:
        yield channel


@contextmanager
def _management(url: str, node: RabbitMQNode) -> Iterator[Callable[..., None]]:
    """What an operator does at the console of the test's vhost; undone with it."""
    vhost = url.rpartition("/")[2]
    http = node.vhosts._http

    def permit(write: str = "", limit: dict[str, int] | None = None) -> None:
        if write:
            path, rights = f"/api/permissions/{vhost}/gcc", {"configure": ".*", "write": write, "read": ".*"}
            http.put(path, json=rights).raise_for_status()
        for name, value in (limit or {}).items():
            http.put(f"/api/vhost-limits/{vhost}/{name}", json={"value": value}).raise_for_status()

    yield permit


async def test_a_queue_that_rests_while_it_has_all_that_may_be_held_costs_no_other_queue_anything(
    rabbitmq: str, pool: Pool
) -> None:
    bound, count = 1 << 20, 2_000
    async with standing(rabbitmq, pool, held_bytes_max=bound) as platform:
        link = platform.exchange._connection()
        await platform.publish(*[amqp.Message("", "a_q", bytes(10_000))] * count)
        await platform.publish(*[amqp.Message("", "b_q", b"{}")] * 5)
        taken = await platform.taken("a_q", 10)
        with trio.fail_after(WITHIN_S):
            while link.consuming.held_bytes <= bound:  # noqa: ASYNC110
                await trio.sleep(0.01)
        with trio.fail_after(4):  # less than an answer is waited for
            await platform.exchange.give_back(taken)
            await platform.exchange.rest("a_q")
        assert link.consuming.held_bytes == 0
        assert len(await platform.taken("b_q", 5)) == 5
        assert (link.consuming.closed, platform.exchange._connection()) == (None, link)
        (look,) = await platform.exchange.look(["a_q"])
        assert (look.ready, look.consumers) == (count, 0)
