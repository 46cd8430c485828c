"""The relay's side of the exchange on RabbitMQ: what the broker refuses or does not confirm holds nobody else up.

And a consumer's, where a broker must be made slow.
"""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
import trio
from trio.testing import MockClock

from gcc.channels.memory import Signal
from gcc.channels.message import Binding, Frame, Route
from gcc.channels.outbox import OutboxRow
from gcc.errors import Transient
from gcc.stores.rabbitmq_exchange import RabbitMQExchange
from gcc.stores.rabbitmq_relay import POLL_S, RELAY_BYTES_MAX, RELAY_FRAMES_MAX, SETTLE_S, TOGETHER_S, TOLD_S
from gcc.stores.rabbitmq_topology import Topology
from tests.fakes.broker import FakeBroker, FakeChannel, FakeConsumer, Faults
from tests.fakes.event_store import FakeDeadLetters
from tests.fakes.leadership import FakeLeadership
from tests.fakes.outbox import FakeOutbox
from tests.unit.test_actors import Bench

A, B, OTHER = Route("beat.dx", "a"), Route("beat.dx", "b"), Route("other.dx", "other")
NOWHERE = Route("beat.dx", "nowhere")
BINDINGS = [Binding(A, "a_q"), Binding(B, "b_q"), Binding(OTHER, "other_q")]


class Letters(FakeDeadLetters):
    """`away`: nothing can be kept. `takes_s`: how long it takes."""

    away, takes_s = False, 0.0

    async def bury_outbox(
        self, refused: Sequence[tuple[OutboxRow, str]], leader: tuple[str, int] | None = None
    ) -> None:
        await trio.sleep(self.takes_s)
        if self.away:
            raise Transient("the store is away")
        await super().bury_outbox(refused, leader)


class Relaying:
    def __init__(self) -> None:
        self.bench, self.leadership = Bench(), FakeLeadership()
        self.faults = Faults(random.Random(1))
        self.broker = FakeBroker(self.faults)
        self.term = self.lives = 0
        self.letters = Letters(self.bench.connection, None, self.leadership)
        self.exchange = RabbitMQExchange(
            "amqp://broker", FakeOutbox(self.bench.connection, self.leadership, "relay"),
            self.letters, self.bench.clock, Signal(), Topology({"beat.dx": "direct"}),
            held_bytes_max=1 << 20, connect=self.broker.connect,
        )  # fmt: skip

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        stands = trio.Event()
        self.term = await self.leadership.campaign("relay", "test", ttl_s=1e9) or 0
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.exchange.connected, stands.set)
            await stands.wait()
            await self.exchange.declare(BINDINGS)
            yield
            nursery.cancel_scope.cancel()

    async def reconnecting(self) -> None:
        """As the connection's actor does it."""
        self.term = await self.leadership.campaign("relay", "test", ttl_s=1e9) or 0
        while True:
            self.lives += 1
            with suppress(Transient):
                await self.exchange.connected(lambda: None)
            await trio.sleep(0.1)

    def write(self, route: Route, count: int, body: bytes = b"{}") -> None:
        self.bench.database.emit([Frame(self.bench.clock.new_id(), route, 1, body) for _ in range(count)])

    def bodies(self, queue: str) -> list[bytes]:
        return [stored.message.body for stored in self.broker.queues[queue].ready]

    def buried(self) -> int:
        return len(self.bench.database.dead_letters)

    def reasons(self) -> list[str]:
        return [letter.reason for letter in self.bench.database.dead_letters.values()]

    async def relay(self) -> int:
        return await self.exchange.relay(self.term)

    def left(self) -> list[str]:
        return [row.frame.route.key for row in self.bench.database.outbox]

    def queued(self, queue: str) -> int:
        return len(self.broker.queues[queue].ready)

    async def all_relayed(self, within_s: float = 60) -> None:
        """Until the outbox is empty, as the relay's actor does it."""
        with trio.fail_after(within_s):
            while self.left():
                try:
                    await self.relay()
                except Transient as error:
                    await trio.sleep(max(0.1, error.retry_after_s or 0))


async def test_a_queue_that_confirms_nothing_does_not_hold_up_the_others(autojump_clock: MockClock) -> None:
    relaying = Relaying()
    async with relaying.connected():
        relaying.faults.mute.add("a_q")
        relaying.write(A, 2)
        relaying.write(B, 3)
        began = trio.current_time()
        assert await relaying.relay() == 3
        assert trio.current_time() - began == TOGETHER_S
        assert (relaying.left(), relaying.queued("b_q")) == (["a", "a"], 3)
        relaying.write(B, 4)
        assert await relaying.relay() == 4, "its route is under way"
        with pytest.raises(Transient, match=r"has not confirmed 2 messages, one of Route.*'a'"):
            await relaying.relay()
        assert trio.current_time() - began == SETTLE_S
        relaying.write(B, 4)
        assert await relaying.relay() == 4, "its route rests"
        began = trio.current_time()
        with pytest.raises(Transient, match="has not confirmed 2 messages, one of") as told:
            await relaying.relay()
        assert trio.current_time() - began <= TOLD_S + SETTLE_S and told.value.retry_after_s == 0


async def test_what_comes_while_one_route_waits_or_rests_is_relayed_within_a_second(autojump_clock: MockClock) -> None:
    relaying = Relaying()
    async with relaying.connected():
        relaying.faults.mute.add("a_q")
        relaying.write(A, 2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(relaying.all_relayed, 1000)
            for _ in range(200):  # seconds: through two rests at least
                relaying.write(B, 1)
                await trio.sleep(1.3)
                assert relaying.left() == ["a", "a"]
            relaying.faults.heal()
        assert (relaying.queued("a_q"), relaying.queued("b_q")) == (2, 200)


async def test_its_messages_are_published_again_until_they_are_confirmed(autojump_clock: MockClock) -> None:
    relaying = Relaying()
    async with relaying.connected():
        relaying.faults.mute.add("a_q")
        relaying.write(A, RELAY_FRAMES_MAX + 10)  # as many as one relay takes, and more
        relaying.write(B, 1)
        assert await relaying.relay() == 1, "those behind them are not starved"
        with pytest.raises(Transient, match="has not confirmed 250 messages, one of"):
            await relaying.relay()
        relaying.faults.heal()
        await relaying.all_relayed(within_s=15)
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


async def test_what_is_confirmed_leaves_the_outbox_before_anything_is_buried(autojump_clock: MockClock) -> None:
    relaying = Relaying()
    async with relaying.connected():
        relaying.letters.away = True
        relaying.write(NOWHERE, RELAY_FRAMES_MAX)
        relaying.write(A, 3)
        assert await relaying.relay() == 3, "what cannot be buried neither fills the page nor holds up others"
        with pytest.raises(
            Transient, match=r"did not take 250 messages, which cannot be buried now .the store is away"
        ):
            await relaying.relay()
        assert (relaying.queued("a_q"), len(relaying.left())) == (3, RELAY_FRAMES_MAX)
        published = relaying.broker.published
        with trio.move_on_after(600):
            await relaying.all_relayed(1000)
        tries = (relaying.broker.published - published) / RELAY_FRAMES_MAX / 2  # twice: it was declared again
        assert tries <= 600 / 30 + 5, "it rests longer and longer"
        relaying.letters.away = False
        await relaying.all_relayed()
        assert relaying.buried() == RELAY_FRAMES_MAX and relaying.queued("a_q") == 3


async def test_dead_letters_that_take_long_hold_up_nobody(autojump_clock: MockClock) -> None:
    relaying = Relaying()
    async with relaying.connected():
        relaying.letters.takes_s = 50
        relaying.write(NOWHERE, 1)
        relaying.write(A, 3)
        began = trio.current_time()
        assert await relaying.relay() == 3
        relaying.write(B, 3)
        assert await relaying.relay() == 3
        assert trio.current_time() - began < 1
        assert await relaying.relay() == 1
        assert relaying.buried() == 1


async def test_who_leads_no_longer_buries_nothing_that_his_follower_publishes(autojump_clock: MockClock) -> None:
    relaying = Relaying()
    async with relaying.connected():
        relaying.letters.takes_s = 5
        relaying.write(NOWHERE, 3)
        with trio.move_on_after(1):  # returned by the broker, the letters are being written
            await relaying.relay()
        await relaying.leadership.resign("relay", "test", relaying.term)
        await relaying.leadership.campaign("relay", "follower", ttl_s=1e9)
        with pytest.raises(Transient, match=r"cannot be buried now .term 1 of leader 'relay' is over"):
            await relaying.relay()
        assert (relaying.buried(), len(relaying.left())) == (0, 3)


@pytest.mark.parametrize("gone", ["exchange", "queue", "binding"])
async def test_what_is_deleted_at_run_time_is_declared_again(autojump_clock: MockClock, gone: str) -> None:
    relaying = Relaying()
    async with relaying.connected():
        relaying.write(A, 2)
        relaying.write(OTHER, 1)
        assert await relaying.relay() == 3
        match gone:
            case "exchange":
                relaying.broker.delete_exchange("beat.dx")
            case "queue":
                relaying.broker.delete_queue("a_q")
            case _:
                relaying.broker.unbind("a_q", "beat.dx", "a")
        for route in (A, B, OTHER):
            relaying.write(route, 5)
        assert await relaying.relay() == 15
        assert (relaying.queued("a_q"), relaying.queued("b_q")) == (5 if gone == "queue" else 7, 5)
        assert (relaying.queued("other_q"), relaying.buried()) == (6, 0)


async def test_what_cannot_be_declared_again_rests_and_is_not_buried(autojump_clock: MockClock) -> None:
    relaying = Relaying()
    async with relaying.connected():
        relaying.broker.delete_queue("a_q")
        relaying.faults.undeclarable.add("a_q")
        relaying.write(A, 2)
        relaying.write(B, 2)
        assert await relaying.relay() == 2
        with pytest.raises(Transient, match=r"refuses queue 'a_q': 406 .*limit"):
            await relaying.relay()
        relaying.faults.heal()
        await relaying.all_relayed()
        assert (relaying.queued("a_q"), relaying.buried()) == (2, 0)


async def test_a_channel_that_one_message_closes_costs_that_message_alone(autojump_clock: MockClock) -> None:
    relaying = Relaying()
    async with relaying.connected():
        relaying.faults.message_bytes_max = 1000
        relaying.write(A, 100)
        relaying.write(A, 1, b"x" * 1001)
        relaying.write(A, 50)
        relaying.write(B, 3)
        await relaying.all_relayed()
        assert set(relaying.bodies("a_q")) == {b"{}"} and relaying.queued("a_q") >= 150  # some twice
        assert relaying.queued("b_q") == 3
        assert relaying.reasons() == ["it cannot be published: 406 message size 1001 is larger than configured 1000"]


async def test_what_amqp_cannot_carry_is_buried(autojump_clock: MockClock) -> None:
    relaying = Relaying()
    async with relaying.connected():
        relaying.write(Route("beat.dx", "k" * 256), 2)
        relaying.write(Route("x" * 256, "k"), 1)
        relaying.write(A, 3)
        await relaying.all_relayed()
        assert relaying.queued("a_q") == 3
        assert len(relaying.reasons()) == 3 and all("allows 255" in reason for reason in relaying.reasons())


@pytest.mark.parametrize("code", [403, 404, 405, 541, None])
async def test_a_channel_that_closes_at_each_publication_lets_its_route_rest(
    autojump_clock: MockClock, code: int | None
) -> None:
    relaying = Relaying()
    async with relaying.connected():
        relaying.faults.closing["other.dx"] = code
        relaying.write(OTHER, 2)
        relaying.write(A, 2)
        assert await relaying.relay() == 2
        if code != 404:
            with pytest.raises(Transient, match=r"answers .*simulated, one of"):
                await relaying.relay()
        relaying.faults.heal()
        relaying.write(B, 2)
        await relaying.all_relayed()
        assert (relaying.queued("b_q"), relaying.queued("other_q") + relaying.buried()) == (2, 2)


async def test_a_message_that_costs_the_connection_lets_its_route_rest(autojump_clock: MockClock) -> None:
    relaying = Relaying()
    relaying.faults.poisonous.add("other.dx")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(relaying.reconnecting)
        await trio.sleep(1)
        await relaying.exchange.declare(BINDINGS)
        relaying.write(OTHER, 2)
        relaying.write(A, 2)
        nursery.start_soon(relaying.all_relayed, 1000)
        await trio.sleep(10)
        assert relaying.left() == ["other"] * 2
        for _ in range(100):
            relaying.write(B, 1)
            await trio.sleep(3)
        assert relaying.left().count("b") <= 2 and relaying.lives < 40
        relaying.faults.heal()
        await trio.sleep(200)
        assert (relaying.left(), relaying.queued("other_q")) == ([], 2)
        nursery.cancel_scope.cancel()


async def test_a_page_is_bound_by_its_bytes(autojump_clock: MockClock) -> None:
    relaying = Relaying()
    async with relaying.connected():
        large = b"x" * (RELAY_BYTES_MAX // 4)
        relaying.write(A, 10, large)
        relaying.write(B, 1, large * 6)
        assert [await relaying.relay() for _ in range(4)] == [4, 4, 2, 1]
        relaying.faults.mute.add("a_q")
        relaying.write(A, 3, large)
        relaying.write(B, 3, large)
        assert await relaying.relay() == 1, "what is under way counts"


async def test_a_relay_that_is_cancelled_publishes_nothing_twice_that_was_confirmed(
    autojump_clock: MockClock,
) -> None:
    relaying = Relaying()
    async with relaying.connected():
        relaying.faults.mute.add("a_q")
        relaying.write(A, 2)
        relaying.write(B, 3)
        with trio.move_on_after(TOGETHER_S / 2):
            await relaying.relay()
        assert await relaying.relay() == 3
        assert relaying.queued("b_q") == 3


async def test_who_does_not_wait_for_a_slow_consumer_to_begin_leaves_no_channel_open(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    relaying = Relaying()
    consume = FakeChannel.consume

    async def slow(channel: FakeChannel, queue: str, *, prefetch: int) -> FakeConsumer:
        await trio.sleep(2 * POLL_S)
        return await consume(channel, queue, prefetch=prefetch)

    async with relaying.connected():
        monkeypatch.setattr(FakeChannel, "consume", slow)
        before = relaying.broker.channels()
        for _ in range(3):
            await relaying.exchange.wait("a_q")
        assert relaying.broker.channels() == before
