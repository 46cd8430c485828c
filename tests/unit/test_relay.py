"""A relay at its drain: it ends when nothing is left, whoever relays, and not before."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gcc.actors.leader import Leader
from gcc.actors.relay import Relay
from gcc.channels.message import Binding, Frame
from gcc.errors import Transient
from gcc.supervisor.drain import Stage
from tests.fakes.leadership import FakeLeadership
from tests.unit.test_actors import ROUTE, Bench


class Two:
    """A relay and, maybe, another process that leads."""

    def __init__(self) -> None:
        self.bench, self.stage, self.leadership = Bench(), Stage("relay"), FakeLeadership()
        self.ended = False

    def write(self) -> None:
        self.bench.database.emit([Frame(self.bench.clock.new_id(), ROUTE, 1, b"{}")])
        self.bench.written.set()

    @property
    def left(self) -> int:
        return len(self.bench.database.outbox)

    @asynccontextmanager
    async def relaying(self) -> AsyncIterator[None]:
        bench = self.bench
        await bench.exchange.declare([Binding(ROUTE, "q")])
        leader = Leader("relay", self.leadership, bench.board.actor("leader"), bench.clock)
        relay = Relay(
            bench.exchange, bench.board.actor("relay"), self.stage, bench.metrics, bench.clock.rng, leader=leader
        )

        async def run() -> None:
            await relay.run()
            self.ended = True

        async with trio.open_nursery() as nursery:
            await nursery.start(leader.run)
            nursery.start_soon(run)
            await wait_all_tasks_blocked()
            yield
            nursery.cancel_scope.cancel()


async def test_what_another_leader_left_behind_is_relayed_before_the_end(autojump_clock: MockClock) -> None:
    two = Two()
    term = await two.leadership.campaign("relay", "other", ttl_s=60)
    assert term is not None
    async with two.relaying():
        two.write()
        two.stage.begin()
        await trio.sleep(30)
        assert (two.left, two.ended) == (1, False), "the other one's to relay"
        await two.leadership.resign("relay", "other", term)
        with trio.fail_after(30):
            while not two.ended:  # noqa: ASYNC110 - virtual time
                await trio.sleep(0.1)
    assert two.left == 0


async def test_a_relay_that_does_not_lead_ends_when_nothing_is_left(autojump_clock: MockClock) -> None:
    two = Two()
    await two.leadership.campaign("relay", "other", ttl_s=600)
    async with two.relaying():
        two.write()
        two.stage.begin()
        await trio.sleep(10)
        assert not two.ended
        two.bench.database.outbox.clear()  # by the other one
        await trio.sleep(3)
        assert two.ended


async def test_a_relay_that_does_not_lead_ends_when_it_sees_the_leader_at_work(autojump_clock: MockClock) -> None:
    """Crawls of other processes go on: an outbox that is never empty kept it for the whole grace."""
    two = Two()
    await two.leadership.campaign("relay", "other", ttl_s=600)
    async with two.relaying():
        two.write()
        two.stage.begin()
        await trio.sleep(10)
        assert not two.ended, "nobody is seen at work"
        two.write()
        two.bench.database.outbox.popleft()  # by the other one
        await trio.sleep(3)
        assert (two.left, two.ended) == (1, True)


async def test_frames_whose_route_rests_are_waited_for(autojump_clock: MockClock) -> None:
    two = Two()
    relay, refusals = two.bench.exchange.relay, 3

    async def refusing(term: int = 0) -> int:
        nonlocal refusals
        if two.left and refusals:
            refusals -= 1
            raise Transient("the broker refused messages", retry_after_s=5)
        return await relay(term)

    two.bench.exchange.relay = refusing  # type: ignore[method-assign]
    async with two.relaying():
        two.write()
        two.stage.begin()
        await trio.sleep(12)
        assert (two.left, two.ended) == (1, False)
        await trio.sleep(10)
        assert (two.left, two.ended) == (0, True)
