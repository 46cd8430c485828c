"""The relay's side of the exchange on RabbitMQ: what the broker refuses or does not confirm holds nobody else up."""

import random
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from gcc.channels.memory import Signal
from gcc.channels.message import Binding, Frame, Route
from gcc.channels.rabbitmq_exchange import RELAY_FRAMES_MAX, SETTLE_S, RabbitMQExchange, Topology
from gcc.errors import Transient
from tests.fakes.broker import FakeBroker, Faults
from tests.fakes.event_store import FakeDeadLetters
from tests.fakes.leadership import FakeLeadership
from tests.fakes.outbox import FakeOutbox
from tests.unit.test_actors import Bench

A, B = Route("beat.dx", "a"), Route("beat.dx", "b")


class Relaying:
    def __init__(self) -> None:
        self.bench, self.leadership = Bench(), FakeLeadership()
        self.faults = Faults(random.Random(1))
        self.broker = FakeBroker(self.faults)
        self.term = 0
        self.exchange = RabbitMQExchange(
            "amqp://broker", FakeOutbox(self.bench.connection, self.leadership, "relay"),
            FakeDeadLetters(self.bench.connection), self.bench.clock, Signal(), Topology({"beat.dx": "direct"}),
            held_bytes_max=1 << 20, connect=self.broker.connect,
        )  # fmt: skip

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        stands = trio.Event()
        self.term = await self.leadership.campaign("relay", "test", ttl_s=1e9) or 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.exchange.connected, stands.set)
            await stands.wait()
            await self.exchange.declare([Binding(A, "a_q"), Binding(B, "b_q")])
            yield
            nursery.cancel_scope.cancel()

    def write(self, route: Route, count: int) -> None:
        self.bench.database.emit([Frame(self.bench.clock.new_id(), route, 1, b"{}") for _ in range(count)])

    async def relay(self) -> int:
        return await self.exchange.relay(self.term)

    def left(self) -> list[str]:
        return [row.frame.route.key for row in self.bench.database.outbox]

    def queued(self, queue: str) -> int:
        return len(self.broker.queues[queue].ready)


async def test_a_queue_that_confirms_nothing_does_not_hold_up_the_others(autojump_clock: MockClock) -> None:
    relaying = Relaying()
    async with relaying.connected():
        relaying.faults.mute.add("a_q")
        relaying.write(A, 2)
        relaying.write(B, 3)
        began = trio.current_time()
        assert await relaying.relay() == 3
        assert trio.current_time() - began == SETTLE_S
        assert (relaying.left(), relaying.queued("b_q")) == (["a", "a"], 3)
        relaying.write(B, 4)
        began = trio.current_time()
        assert await relaying.relay() == 4, "its route rests, on a channel with all of its window"
        assert trio.current_time() == began
        with pytest.raises(Transient, match="did not take messages of") as told:
            await relaying.relay()
        assert 0 < (told.value.retry_after_s or 0) <= 1, "others may have something sooner than it"


async def test_its_messages_are_published_again_until_they_are_confirmed(autojump_clock: MockClock) -> None:
    relaying = Relaying()
    async with relaying.connected():
        relaying.faults.mute.add("a_q")
        relaying.write(A, RELAY_FRAMES_MAX + 10)  # as many as one relay takes, and more
        relaying.write(B, 1)
        with pytest.raises(Transient, match="has not confirmed 250 messages, one of"):
            await relaying.relay()
        assert await relaying.relay() == 1, "those behind them are not starved"
        relaying.faults.heal()
        began, moved = trio.current_time(), deque[int]()
        while relaying.left():
            try:
                moved.append(await relaying.relay())
            except Transient as error:
                await trio.sleep(error.retry_after_s or 0)
        assert sum(moved) == RELAY_FRAMES_MAX + 10 and trio.current_time() - began <= 15
        assert relaying.queued("a_q") == RELAY_FRAMES_MAX + 10


async def test_a_refused_message_stays_and_its_route_rests_a_little(autojump_clock: MockClock) -> None:
    relaying = Relaying()
    async with relaying.connected():
        relaying.faults.refuse = 1.0
        relaying.write(A, 2)
        with pytest.raises(Transient, match="refused 2 messages, one of"):
            await relaying.relay()
        relaying.faults.refuse = 0.0
        relaying.write(B, 1)
        assert await relaying.relay() == 1
        await trio.sleep(1)
        assert await relaying.relay() == 2
        assert relaying.left() == []
