"""A consumer whose store is away, that is paused, or that is cancelled: it holds nothing back and loses nothing."""

import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
import structlog.testing
import trio
import trio.testing

from gcc.actors.consumer import ATTEMPTS_MAX, HOLD_S, PROBE_FRAMES, Consumer
from gcc.actors.gates import Gate
from gcc.channels.batch import BYTES_MAX, BatchLimits
from gcc.channels.deadletters import Burial
from gcc.channels.message import Binding, Delivery, Frame
from gcc.errors import Transient
from gcc.supervisor.lifecycle import Actor, State, Stuck
from gcc.supervisor.watchdog import Watchdog
from tests.unit.test_actors import ROUTE, Bench, publish

LEASE_S = 60.0


class Store:
    """The handler: away, slow or well, as the test says. Remembers what was stored, and how often it was asked."""

    def __init__(self) -> None:
        self.away = False
        self.takes_s = 0.0
        self.takes_max = 10_000  # messages at once
        self.asked = 0
        self.stored: list[int] = []
        self.sizes: list[int] = []

    async def handle(self, batch: Sequence[Delivery]) -> int:
        self.asked += 1
        await trio.sleep(self.takes_s)
        if self.away or len(batch) > self.takes_max:
            raise Transient("the store is away")
        self.stored += [delivery.id for delivery in batch]
        self.sizes.append(len(batch))
        return sum(delivery.frame.events for delivery in batch)


class World(Bench):
    def __init__(self) -> None:
        super().__init__()
        self.store = Store()
        self.gate = Gate()
        self.actor: Actor = self.board.actor("sinker")

    def consumer(self, **more: float) -> Consumer:
        return Consumer(
            "q", self.exchange, self.store, self.letters, limits=BatchLimits(rows=100, age_s=5.0, rows_max=500),
            channels=self.channels, actor=self.actor, stage=self.drain.stage("sinkers"), metrics=self.metrics,
            rng=self.clock.rng, gate=self.gate, **more,
        )  # fmt: skip

    @asynccontextmanager
    async def consuming(self) -> AsyncIterator[None]:
        await self.exchange.declare([Binding(ROUTE, "q")])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.drain.run)
            await nursery.start(self.consumer().run)
            yield
            nursery.cancel_scope.cancel()

    def leased(self) -> int:
        now = self.clock.now()
        return sum(bool(row.lease_until and row.lease_until > now) for row in self.database.queues.values())

    def held(self) -> list[int]:
        return [use.used for use in self.channels.uses() if use.name == "q"]

    async def until(self, condition: Callable[[], bool], within_s: float = 60) -> None:
        with trio.fail_after(within_s):
            while not condition():  # noqa: ASYNC110 - virtual time
                await trio.sleep(0.05)

    async def drained_within(self, seconds: float) -> None:
        began = trio.current_time()
        self.drain.request("test")
        await self.until(lambda: self.actor.state is State.FINISHED)
        assert trio.current_time() - began <= seconds


async def test_an_open_breaker_gives_back_all_that_is_held_and_takes_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world = World()
    world.store.away = True
    async with world.consuming():
        await publish(world, 150)  # three batches: two of them wait in the channel while the first is tried
        await world.until(lambda: world.actor.breaker == "open")
        await trio.sleep(0.1)
        assert (world.leased(), world.held(), world.actor.in_flight) == (0, [0], 0)
        assert (world.store.asked, world.actor.state) == (ATTEMPTS_MAX, State.BACKOFF)
        assert world.actor.last_error == "Transient: the store is away"
        await publish(world, 10)
        await trio.sleep(0.1)
        assert world.leased() == 0, "nothing is taken"
        world.store.away = False
        await world.until(lambda: not world.database.queues)
    assert (world.actor.breaker, world.actor.state) == ("closed", State.RUNNING)
    assert sorted(world.store.stored) == list(range(1, 161)), "each once"
    assert world.store.sizes[0] == PROBE_FRAMES < max(world.store.sizes), "first a little"


async def test_a_store_that_never_gets_a_full_batch_done_gets_on_with_smaller_ones(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world = World()
    world.store.takes_max = 8 * PROBE_FRAMES
    async with world.consuming():
        for _ in range(8):
            await publish(world, 500, events=1)
        await world.until(lambda: not world.database.queues, within_s=3600)
    assert sorted(world.store.stored) == list(range(1, 4001)), "each once"
    assert max(world.store.sizes) == world.store.takes_max


async def test_a_batch_is_bounded_in_bytes(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    async with world.consuming():
        await world.exchange.declare([Binding(ROUTE, "q")])
        await publish(world, 12, body=b"x" * (BYTES_MAX // 3 + 1))
        await world.until(lambda: not world.database.queues)
    assert world.store.sizes == [3, 3, 3, 3]


async def test_batches_their_fill_and_their_retries_are_counted(autojump_clock: trio.testing.MockClock) -> None:
    world = World()

    def value(name: str) -> float | None:
        return world.metrics.registry.get_sample_value(name, {"queue": "q"})

    async with world.consuming():
        await publish(world, 10)  # a batch of 100 events, at once
        await world.until(lambda: not world.database.queues)
        world.store.away = True
        await publish(world, 3)  # one of 30, when it is due; its first try fails
        await world.until(lambda: world.store.asked == 2)
        world.store.away = False
        await world.until(lambda: not world.database.queues)
    assert (value("gcc_sinker_batch_events_count"), value("gcc_sinker_batch_events_sum")) == (2, 130)
    assert value("gcc_sinker_retries_total") == 1


async def test_a_half_open_breaker_tries_once_each_time_for_as_long_as_it_takes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world = World()
    world.store.away = True
    async with world.consuming():
        await publish(world, 3)
        await trio.sleep(2 * 3600)
        tries = world.store.asked - ATTEMPTS_MAX
        assert 2 * 120 < tries < 2 * 240 + 20, "every 15 to 30 s"
        assert world.actor.breaker == "open"
        world.store.away = False
        began = trio.current_time()
        await world.until(lambda: not world.database.queues)
        assert trio.current_time() - began <= 30
    assert world.actor.restarts == 0


@pytest.mark.parametrize("paused", [False, True])
async def test_drain_does_not_wait_for_an_open_breaker_or_a_pause(
    autojump_clock: trio.testing.MockClock, paused: bool
) -> None:
    world = World()
    world.store.away = True
    async with world.consuming():
        await publish(world, 150)
        await trio.sleep(120)  # the breaker is open for 15 s and more by now
        if paused:
            world.gate.turn(is_open=False)
        await world.until(lambda: world.actor.state is (State.PAUSED if paused else State.BACKOFF))
        await world.drained_within(0.1)
    assert (world.leased(), len(world.database.queues)) == (0, 150)


async def test_drain_while_the_store_fails_ends_with_the_breaker(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    world.store.away = True
    async with world.consuming():
        await publish(world, 150)
        await world.until(lambda: world.store.asked == 1)
        await world.drained_within(5)
    assert (world.leased(), len(world.database.queues), world.actor.breaker) == (0, 150, "closed")


async def test_a_pause_stops_taking_and_flushes_what_is_held(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    world.store.takes_s = 1.0
    async with world.consuming():
        await publish(world, 5)
        await trio.sleep(1)  # in the batch, which is not due
        world.gate.turn(is_open=False)
        began = trio.current_time()
        await world.until(lambda: world.actor.state is State.PAUSED)
        assert trio.current_time() - began < 1.1
        assert (len(world.store.stored), len(world.database.queues)) == (5, 0)
        await publish(world, 5)
        await trio.sleep(3600)
        assert (len(world.store.stored), world.leased(), world.actor.state) == (5, 0, State.PAUSED)
        world.gate.turn(is_open=True)
        await world.until(lambda: len(world.store.stored) == 10, within_s=10)
        assert world.actor.state is State.RUNNING


async def test_a_paused_consumer_s_drain_ends_at_once(autojump_clock: trio.testing.MockClock) -> None:
    world = World()
    world.gate.turn(is_open=False)
    async with world.consuming():
        await publish(world, 5)
        await world.until(lambda: world.actor.state is State.PAUSED)
        await world.drained_within(0.1)
    assert (world.leased(), len(world.database.queues)) == (0, 5)


async def test_a_store_that_hangs_is_given_up_well_before_the_leases_end(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world = World()
    world.store.takes_s = math.inf
    async with world.consuming():
        await publish(world, 150)
        await world.until(lambda: world.store.asked == 1)
        began = trio.current_time()
        await world.until(lambda: world.actor.breaker == "open")
        assert trio.current_time() - began <= HOLD_S + 0.1 < LEASE_S / 2
        assert world.leased() == 0
        assert max(row.deliveries for row in world.database.queues.values()) == 1, "no lease ran out"
        world.store.takes_s = 0.0
        await world.until(lambda: not world.database.queues)
    assert sorted(world.store.stored) == list(range(1, 151))


async def test_what_is_stored_is_acknowledged_when_the_exchange_is_back_and_not_stored_again(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world = World()
    acknowledge = world.exchange.acknowledge
    back_at = 12.0

    async def away_for_a_while(deliveries: Sequence[Delivery]) -> None:
        if trio.current_time() < back_at:
            raise Transient("the exchange is away")
        await acknowledge(deliveries)

    world.exchange.acknowledge = away_for_a_while  # type: ignore[method-assign]
    async with world.consuming():
        await publish(world, 5)
        await trio.sleep(6)
        assert (len(world.store.stored), len(world.database.queues)) == (5, 5)
        assert (world.actor.state, world.actor.breaker) == (State.BACKOFF, "closed"), "the store is well"
        await world.until(lambda: not world.database.queues)
        assert (world.actor.state, world.actor.done) == (State.RUNNING, 50)
    assert len(world.store.stored) == 5


async def test_an_exchange_that_is_lost_while_it_is_waited_for_is_waited_for_in_view(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world = World()
    take, away = world.exchange.take, trio.Event()

    async def lost(queue: str) -> None:
        await away.wait()
        raise Transient("the broker is lost")

    async def take_unless_away(queue: str, *, frames_max: int) -> list[Delivery]:
        if away.is_set():
            raise Transient("the broker is away")
        return await take(queue, frames_max=frames_max)

    world.exchange.wait, world.exchange.take = lost, take_unless_away  # type: ignore[method-assign]
    async with world.consuming():
        await trio.sleep(1)
        away.set()
        await trio.sleep(600)
        assert (world.actor.state, world.actor.last_error) == (State.BACKOFF, "Transient: the broker is away")
        away = trio.Event()
        await publish(world, 5)
        await world.until(lambda: not world.database.queues)
        assert world.actor.state is State.RUNNING


async def test_an_exchange_that_stays_away_makes_frames_come_again_after_their_leases(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world = World()

    async def away() -> None:
        await trio.lowlevel.checkpoint()
        raise Transient("the database is away")

    async with world.consuming():
        await publish(world, 5)
        await trio.sleep(1)
        world.connection.before, steady = away, world.connection.before
        await trio.sleep(60)
        assert (world.actor.state, world.actor.in_flight, world.held()) == (State.BACKOFF, 0, [0])
        assert (world.actor.breaker, len(world.database.queues)) == ("closed", 5)
        await trio.sleep(3600)
        world.connection.before = steady
        await world.until(lambda: not world.database.queues)
        assert world.actor.state is State.RUNNING
    assert set(world.store.stored) == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("away", [False, True])
async def test_cancelled_anywhere_nothing_is_lost_and_nothing_acknowledged_unstored(
    autojump_clock: trio.testing.MockClock, away: bool
) -> None:
    """The process dies at many moments: whatever was not stored is still in the queue."""
    for number in range(60):
        world = World()
        world.store.away, world.store.takes_s = away, 0.3
        with trio.move_on_after(0.05 + number * 0.15):
            async with world.consuming():
                await publish(world, 60)
                await trio.sleep_forever()
        assert set(world.store.stored) | set(world.database.queues) == set(range(1, 61)), f"killed at {number}"


async def test_a_full_channel_never_loses_sight_of_a_frame(autojump_clock: trio.testing.MockClock) -> None:
    """More than channel and batch can hold, by a slow store: all is stored once, no lease runs out."""
    world = World()
    world.store.takes_s = 2.0
    async with world.consuming():
        await publish(world, 500)
        await publish(world, 500)
        await world.until(lambda: not world.database.queues, within_s=120)
        assert max(world.held()) <= 200
    assert sorted(world.store.stored) == list(range(1, 1001))


async def test_a_consumer_that_stands_still_with_work_in_hand_is_stuck_and_one_that_waits_is_not(
    autojump_clock: trio.testing.MockClock,
) -> None:
    world = World()

    async def deaf(batch: Sequence[Delivery]) -> int:
        with trio.CancelScope(shield=True):  # so that not even HOLD_S helps
            await trio.sleep(900)
        return 0

    async with trio.open_nursery() as nursery:
        await nursery.start(Watchdog(world.board).run)
        async with world.consuming():
            await trio.sleep(3600)
            assert not world.actor.stuck, "an empty queue is no work"
        world.store.handle = deaf  # type: ignore[method-assign]
        world.drain.stage("sinkers").begun = trio.Event()
        await publish(world, 5)
        with pytest.raises(Stuck):
            await world.consumer(stuck_after_s=300.0).run()
        nursery.cancel_scope.cancel()
    assert "deaf" in (world.actor.last_stack or "")


class Bug(Exception):
    """What no contract names."""


@pytest.mark.parametrize("poison", [{1}, {7}, {150}, {1, 2, 3, 75, 150}, set(range(1, 151))], ids=len)
async def test_deliveries_on_which_the_handler_raises_are_buried_alone(
    autojump_clock: trio.testing.MockClock, poison: set[int]
) -> None:
    world = World()
    store = world.store.handle

    async def handle(batch: Sequence[Delivery]) -> int:
        for delivery in batch:
            if delivery.id in poison:
                raise Bug(f"cannot bear it \0 {delivery.id % 2}")
        return await store(batch)

    world.store.handle = handle  # type: ignore[method-assign]
    with structlog.testing.capture_logs() as logs:
        async with world.consuming():
            await publish(world, 150)
            await world.until(lambda: not world.database.queues)
            assert world.actor.state is State.RUNNING
    assert sorted(world.store.stored) == sorted(set(range(1, 151)) - poison), "each of the others, once"
    letters = world.database.dead_letters.values()
    assert [letter.events for letter in letters] == [10] * len(poison)
    assert {letter.reason.split("\ufffd")[0] for letter in letters} == {"BUG: Bug: cannot bear it "}
    told = [log["exc_info"] for log in logs if log["event"] == "bug"]
    assert 1 <= len(told) <= min(len(poison), 2 * 150 // 10), "once a batch for each reason, however many"
    assert (world.actor.bugs, world.actor.restarts, world.actor.breaker) == (len(told), 0, "closed")
    assert world.metrics.dead_letters.labels("q")._value.get() == 10 * len(poison)


@pytest.mark.parametrize("poison", [{1}, {40}, {64}, {3, 4, 50}, set(range(1, 65))], ids=len)
async def test_a_slow_handler_that_raises_on_some_gets_on(
    autojump_clock: trio.testing.MockClock, poison: set[int]
) -> None:
    """To find the one among 64 takes longer than a batch is held."""
    world = World()
    world.store.takes_s = 3.0
    store = world.store.handle

    async def handle(batch: Sequence[Delivery]) -> int:
        if any(delivery.id in poison for delivery in batch):
            await trio.sleep(world.store.takes_s)
            raise Bug("cannot bear it")
        return await store(batch)

    world.store.handle = handle  # type: ignore[method-assign]
    with structlog.testing.capture_logs():
        async with world.consuming():
            await publish(world, 64)
            await world.until(lambda: not world.database.queues, within_s=3600)
    assert sorted(world.store.stored) == sorted(set(range(1, 65)) - poison), "each of the others, once"
    assert len(world.database.dead_letters) == len(poison)


async def test_a_buried_delivery_counts_as_what_it_is(autojump_clock: trio.testing.MockClock) -> None:
    """As ours, or as another producer's: `check` must miss nothing, and must not be blinded."""
    world = World()

    async def handle(batch: Sequence[Delivery]) -> int:
        raise Bug("always")

    world.store.handle = handle  # type: ignore[method-assign]
    with structlog.testing.capture_logs():
        async with world.consuming():
            world.database.emit(Frame(world.clock.new_id(), ROUTE, 1, b"{}", counted=each) for each in (None, 0))
            await world.exchange.relay()
            await world.until(lambda: not world.database.queues)
    assert {letter.counted for letter in world.database.dead_letters.values()} == {None, 0}


@pytest.mark.parametrize("trouble", [Transient("the object store is away"), Bug("cannot even be buried")], ids=repr)
async def test_what_can_be_neither_handled_nor_buried_waits(
    autojump_clock: trio.testing.MockClock, trouble: Exception
) -> None:
    world = World()
    bury, troubled = world.letters.bury, True

    async def handle(batch: Sequence[Delivery]) -> int:
        raise Bug("always")

    async def bury_later(burials: Sequence[Burial]) -> None:
        if troubled:
            raise trouble
        await bury(burials)

    world.store.handle, world.letters.bury = handle, bury_later  # type: ignore[method-assign]
    async with world.consuming():
        await publish(world, 5)
        await world.until(lambda: world.actor.breaker == "open")
        assert len(world.database.queues) == 5
        troubled = False
        await world.until(lambda: not world.database.queues)
    assert (len(world.database.dead_letters), world.actor.restarts) == (5, 0)


async def test_a_bug_of_a_handler_that_is_cut_off_does_not_end_the_consumer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """HOLD_S cancels it, and what its tasks raise on the way out comes along with the cancellation."""
    world = World()
    store = world.store.handle
    first = True

    async def raises_when_cancelled() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise Bug("while cancelled")

    async def handle(batch: Sequence[Delivery]) -> int:
        nonlocal first
        if first:
            first = False
            async with trio.open_nursery() as nursery:
                nursery.start_soon(raises_when_cancelled)
                nursery.start_soon(trio.sleep_forever)
        return await store(batch)

    world.store.handle = handle  # type: ignore[method-assign]
    async with world.consuming():
        await publish(world, 5)
        await world.until(lambda: not world.database.queues, within_s=120)
    assert (sorted(world.store.stored), world.actor.bugs) == ([1, 2, 3, 4, 5], 1)
    assert not world.database.dead_letters


async def test_a_bug_of_the_loop_itself_leaves_the_consumer(autojump_clock: trio.testing.MockClock) -> None:
    world = World()

    async def broken(deliveries: Sequence[Delivery]) -> None:
        raise Bug("no handler is to blame")

    world.exchange.acknowledge = broken  # type: ignore[method-assign]
    with trio.testing.RaisesGroup(trio.testing.Matcher(Bug), allow_unwrapped=False, flatten_subgroups=True):
        async with world.consuming():
            await publish(world, 1)
            await trio.sleep(10)
