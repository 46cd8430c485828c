"""Pauses and levels: what people's overrides do to running actors, under a virtual clock."""

import datetime as dt
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gcc.actors.controls import Action
from gcc.actors.gates import READ_EVERY_S, Gate, Gates, Level
from gcc.actors.maintenance import Maintenance
from gcc.actors.relay import Relay
from gcc.channels.jobs import Crawl, Job, JobStatus
from gcc.channels.message import Binding, Frame
from gcc.clock import VirtualClock
from gcc.errors import Transient
from gcc.metrics import Metrics
from gcc.supervisor.drain import Stage
from gcc.supervisor.lifecycle import Board, State, Stuck
from gcc.supervisor.watchdog import Watchdog
from tests.fakes.controls import FakeControls
from tests.unit.test_actors import FLOW, ROUTE, Bench, done


class People:
    """Overrides as people set them, and the gates that follow them."""

    def __init__(self) -> None:
        self.clock = VirtualClock(seed=1)
        self.board = Board(self.clock.now)
        self.controls = FakeControls()
        self.gates = Gates(self.controls, self.board.actor("controls"), self.clock)
        self.controls.told = self.gates.woken

    async def set(self, name: str, value: object) -> None:
        at = self.clock.now() + dt.timedelta(seconds=len(self.controls.log))
        action = Action(self.clock.new_id(), at, "me", "test", "set", name)
        await self.controls.write(name, value, action)

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            await nursery.start(self.gates.run)
            yield
            nursery.cancel_scope.cancel()


# Gates


async def test_gates_and_levels_follow_the_overrides(autojump_clock: MockClock) -> None:
    people = People()
    await people.set("pause:a", True)
    await people.set("concurrency:flow", 7)
    a, b, flow = people.gates.gate("a"), people.gates.gate("b"), people.gates.concurrency("flow", 3)
    async with people.followed():
        assert (a.is_open, b.is_open, flow.value, people.gates.gate("a") is a) == (False, True, 7, True)
        assert people.gates.paused() == ["a"] and people.gates.levels() == {"flow": {"now": 7, "default": 3}}
        assert [action.target for action in people.gates.actions] == ["concurrency:flow", "pause:a"]
        later = people.gates.concurrency("later", 5)
        await people.set("pause:a", None)
        await people.set("concurrency:flow", None)
        await people.set("concurrency:later", 9)
        await wait_all_tasks_blocked()
        assert (a.is_open, flow.value, later.value, people.gates.paused()) == (True, 3, 9, [])


async def test_an_actor_that_comes_later_finds_its_pause(autojump_clock: MockClock) -> None:
    people = People()
    await people.set("pause:late", True)
    await people.set("concurrency:late", 2)
    async with people.followed():
        assert not people.gates.gate("late").is_open
        assert people.gates.concurrency("late", 8).value == 2
        assert people.gates.concurrency("late", 9).default == 9


@pytest.mark.parametrize("value", [0, 1001, "8", None, True, 2.5])
async def test_a_level_that_makes_no_sense_is_not_followed(autojump_clock: MockClock, value: object) -> None:
    people = People()
    people.controls.overrides["concurrency:flow"] = value
    async with people.followed():
        assert people.gates.concurrency("flow", 3).value == 3


async def test_a_change_whose_notification_was_lost_is_found(autojump_clock: MockClock) -> None:
    people = People()
    gate = people.gates.gate("a")
    people.controls.told = lambda _: None
    async with people.followed():
        await people.set("pause:a", True)
        await trio.sleep(READ_EVERY_S - 1)
        assert gate.is_open
        await trio.sleep(2)
        assert not gate.is_open


async def test_a_lost_store_keeps_the_last_known_overrides(autojump_clock: MockClock) -> None:
    people = People()
    gate, actor = people.gates.gate("a"), people.board.actor("controls")
    there = people.controls.before

    async def away() -> None:
        raise Transient("PostgreSQL is away")

    async with people.followed():
        await people.set("pause:a", True)
        await wait_all_tasks_blocked()
        people.controls.before = away
        people.controls.overrides.clear()
        await trio.sleep(3600)
        assert not gate.is_open
        assert (actor.state, actor.last_error) == (State.BACKOFF, "Transient: PostgreSQL is away")
        people.controls.before = there
        await trio.sleep(15)
        assert gate.is_open and actor.state is State.RUNNING


async def test_it_has_not_started_before_it_knows(autojump_clock: MockClock) -> None:
    people = People()
    await people.set("pause:a", True)
    there = people.controls.before

    async def away() -> None:
        raise Transient("away")

    async def back() -> None:
        await trio.sleep(100)
        people.controls.before = there

    people.controls.before = away
    async with trio.open_nursery() as nursery:
        nursery.start_soon(back)
        async with people.followed():
            assert trio.current_time() >= 100 and not people.gates.gate("a").is_open


async def test_what_a_closing_gate_interrupts_is_none_and_what_was_taken_is_kept(autojump_clock: MockClock) -> None:
    gate = Gate()

    async def work() -> str:
        await trio.sleep(10)
        gate.turn(is_open=False)  # in the tick of its return
        return "taken"

    async def fail() -> None:
        await trio.sleep(1)
        raise Transient("x")

    assert await gate.while_open(work) == "taken"
    assert await gate.while_open(work) is None
    gate.turn(is_open=True)
    with pytest.raises(Transient):
        await gate.while_open(fail)
    async with trio.open_nursery() as nursery:

        async def close() -> None:
            await trio.sleep(3)
            gate.turn(is_open=False)

        nursery.start_soon(close)
        assert await gate.while_open(trio.sleep_forever) is None
    assert trio.current_time() == 10 + 1 + 3


# The scraper


@asynccontextmanager
async def scraping(bench: Bench, gate: Gate, level: Level, *, lasts_s: float = 10.0) -> AsyncIterator[None]:
    """A scraper whose jobs last `lasts_s`."""

    async def work(job: Job) -> Crawl:
        await trio.sleep(lasts_s)
        return done()

    async with bench.scraping(work, concurrency=level, gate=gate):
        await trio.sleep(1)
        yield


def count(bench: Bench, status: JobStatus) -> int:
    return bench.statuses().count(status)


async def test_a_paused_scraper_finishes_what_it_has_begun(autojump_clock: MockClock) -> None:
    bench, gate, actor = Bench(), Gate(), None
    actor = bench.board.actor("scraper")
    await bench.enqueue(20)
    async with scraping(bench, gate, Level(2)):
        assert count(bench, JobStatus.PROCESSING) == 2
        gate.turn(is_open=False)
        await wait_all_tasks_blocked()
        assert (count(bench, JobStatus.PROCESSING), actor.state, actor.in_flight) == (2, State.PAUSED, 2)
        await trio.sleep(1000)
        assert (count(bench, JobStatus.COMPLETE), count(bench, JobStatus.PENDING)) == (2, 18)
        gate.turn(is_open=True)
        await trio.sleep(95)
        assert (count(bench, JobStatus.COMPLETE), actor.state) == (20, State.RUNNING)
    assert all(row.job.retry_count == 0 for row in bench.database.jobs.values())


async def test_a_scraper_that_waits_for_work_is_paused_at_once_and_woken_by_nothing(autojump_clock: MockClock) -> None:
    bench, gate = Bench(), Gate()
    async with scraping(bench, gate, Level(2)):
        gate.turn(is_open=False)
        await wait_all_tasks_blocked()
        assert bench.board.actor("scraper").state is State.PAUSED
        await bench.enqueue(3)
        await trio.sleep(100)
        assert bench.statuses() == [JobStatus.PENDING] * 3


async def test_a_drain_ends_a_pause_at_once(autojump_clock: MockClock) -> None:
    bench, gate = Bench(), Gate()
    gate.turn(is_open=False)
    await bench.enqueue(5)
    async with scraping(bench, gate, Level(2)):
        assert bench.board.actor("scraper").state is State.PAUSED
        began = trio.current_time()
        await bench.drained()
        assert trio.current_time() - began <= 1
        assert bench.board.actor("scraper").state is State.FINISHED
    assert bench.statuses() == [JobStatus.PENDING] * 5


async def test_concurrency_follows_its_level_up_and_down(autojump_clock: MockClock) -> None:
    bench, level = Bench(), Level(2)
    actor = bench.board.actor("scraper")

    def use() -> tuple[int, int]:
        (line,) = bench.channels.uses()
        return line.used, line.size

    await bench.enqueue(300)
    async with scraping(bench, Gate(), level):
        assert (actor.in_flight, use()) == (2, (2, 2))
        level.turn(8)
        await trio.sleep(1)
        assert (actor.in_flight, use()) == (8, (8, 8)), "more begin at once"
        level.turn(1)
        await wait_all_tasks_blocked()
        assert (actor.in_flight, use()) == (8, (8, 8)), "those in hand are finished"
        await bench.enqueue(1)
        assert count(bench, JobStatus.PROCESSING) == 8, "and nothing is claimed beside them"
        await trio.sleep(10)
        assert actor.in_flight == 1
        completed = count(bench, JobStatus.COMPLETE)
        await trio.sleep(100)
        assert count(bench, JobStatus.COMPLETE) == completed + 10
        level.turn(300)
        await trio.sleep(25)
        assert count(bench, JobStatus.COMPLETE) == 301


async def test_a_level_that_is_lowered_while_nothing_runs_holds_for_what_comes(autojump_clock: MockClock) -> None:
    bench, level = Bench(), Level(50)
    async with scraping(bench, Gate(), level):
        level.turn(3)
        await bench.enqueue(9)
        await trio.sleep(6)
        assert bench.board.actor("scraper").in_flight == 3
        await bench.drained()
    assert (count(bench, JobStatus.COMPLETE), count(bench, JobStatus.PENDING)) == (3, 6)


async def test_what_a_claim_brings_while_its_flow_is_paused_goes_back(autojump_clock: MockClock) -> None:
    bench, gate, begun = Bench(), Gate(), 0

    async def slow() -> None:
        await trio.sleep(2)

    async def work(job: Job) -> Crawl:
        nonlocal begun
        begun += 1
        return done()

    await bench.enqueue(2)
    bench.connection.after = slow
    async with bench.scraping(work, gate=gate):
        await trio.sleep(1)  # committed, and not yet told
        gate.turn(is_open=False)
        await trio.sleep(10)
        assert (begun, bench.statuses()) == (0, [JobStatus.PENDING] * 2)
        gate.turn(is_open=True)
        await trio.sleep(10)
    assert bench.statuses() == [JobStatus.COMPLETE] * 2


async def test_an_attempt_that_never_ends_is_found_stuck(autojump_clock: MockClock) -> None:
    bench = Bench()
    await bench.enqueue(1)
    with pytest.raises(ExceptionGroup) as ended:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Watchdog(bench.board).run)
            async with scraping(bench, Gate(), Level(2), lasts_s=1e9):
                await trio.sleep(590)
                assert not bench.board.actor("scraper").stuck
                await trio.sleep(100)
    assert ended.group_contains(Stuck)
    assert "trio.sleep" in (bench.board.actor("scraper").last_stack or "")


async def test_a_scraper_whose_jobs_wait_for_a_store_or_end_is_not_stuck(autojump_clock: MockClock) -> None:
    bench, level = Bench(), Level(1)

    async def away() -> None:
        raise Transient("away")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(Watchdog(bench.board).run)
        async with scraping(bench, Gate(), level, lasts_s=500):
            await bench.enqueue(3)
            await trio.sleep(10)
            bench.connection.before = away
            await trio.sleep(3600)
            assert bench.board.actor("scraper").in_flight == 1
        nursery.cancel_scope.cancel()


# The others


async def test_a_paused_relay_leaves_the_outbox_as_it_is_even_at_drain(autojump_clock: MockClock) -> None:
    bench, gate, stage = Bench(), Gate(), Stage("relay")
    actor = bench.board.actor("relay")
    await bench.exchange.declare([Binding(ROUTE, "q")])
    relay = Relay(bench.exchange, actor, stage, Metrics(), bench.clock.rng, gate=gate)

    def write() -> None:
        bench.database.emit([Frame(bench.clock.new_id(), ROUTE, 1, b"{}")])
        bench.written.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(relay.run)
        write()
        await trio.sleep(1)
        assert len(bench.database.queues) == 1
        gate.turn(is_open=False)
        await wait_all_tasks_blocked()
        assert actor.state is State.PAUSED
        write()
        await trio.sleep(100)
        assert len(bench.database.outbox) == 1
        gate.turn(is_open=True)
        await trio.sleep(1)
        assert (len(bench.database.outbox), len(bench.database.queues), actor.state) == (0, 2, State.RUNNING)
        gate.turn(is_open=False)
        await wait_all_tasks_blocked()
        write()
        stage.begin()
    assert len(bench.database.outbox) == 1


async def test_paused_maintenance_does_no_chores(autojump_clock: MockClock) -> None:
    bench, gate = Bench(), Gate()
    actor = bench.board.actor("maintenance")
    rounds: list[float] = []

    async def chore() -> int:
        rounds.append(trio.current_time())
        return 1

    async with trio.open_nursery() as nursery:
        await nursery.start(Maintenance([chore], actor, bench.clock.rng, every_s=30, gate=gate).run)
        await trio.sleep(40)
        gate.turn(is_open=False)
        await wait_all_tasks_blocked()
        assert actor.state is State.PAUSED
        await trio.sleep(100)
        assert rounds == [0, 30]
        gate.turn(is_open=True)
        await trio.sleep(31)
        assert (rounds, actor.state) == ([0, 30, 140, 170], State.RUNNING)
        nursery.cancel_scope.cancel()


async def test_rows_that_cannot_be_read_change_nothing_and_are_told(autojump_clock: MockClock) -> None:
    bench = Bench()
    controls = FakeControls()
    gates = Gates(controls, bench.board.actor("controls"), bench.clock)
    gate, level = gates.gate("sinker"), gates.concurrency(FLOW, 7)
    read = controls.read
    odd: list[object] = [True, None, -1, 10**400, 1e400, "5", [5], {"a": 5}, 0, 1001, 5.0]

    async def unreadable() -> None:
        raise ValueError("Exceeds the limit (4300 digits) for integer string conversion")

    async with trio.open_nursery() as nursery:
        controls.overrides["pause:sinker"] = True
        await nursery.start(gates.run)
        assert not gate.is_open
        for value in odd:
            controls.overrides[f"concurrency:{FLOW}"] = value
            await trio.sleep(READ_EVERY_S + 1)
            assert level.value == 7
        controls.read = unreadable  # type: ignore[assignment,method-assign]
        await trio.sleep(READ_EVERY_S + 1)
        assert (gate.is_open, bench.board.actor("controls").bugs) == (False, 1)
        controls.read = read  # type: ignore[method-assign]
        del controls.overrides["pause:sinker"]
        await trio.sleep(READ_EVERY_S + 1)
        assert gate.is_open
        nursery.cancel_scope.cancel()
