"""What simulations rely on beyond the ports' contracts: indexes that agree with the rows, faults, killed processes."""

import random
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing

from gcc.channels.deadletters import Burial
from gcc.channels.exchange import QueueDepth
from gcc.channels.jobs import FINAL, Crawl, Failure, Job, JobStatus, NewJob, Room
from gcc.channels.memory import Signal
from gcc.channels.message import Binding, Delivery, Frame, Route, frames
from gcc.clock import VirtualClock
from gcc.errors import LeaseLost, Transient
from tests.fakes.database import Connection, Database, JobRow
from tests.fakes.event_store import FakeDeadLetters, FakeEventStore
from tests.fakes.exchange import LEASE_S, FakeExchange, Faults
from tests.fakes.jobs import FakeJobs
from tests.fakes.pile import Pile

ROUTE = Route("beat.dx", "a")
ALL = 10_000


def status_frames(jobs: Sequence[Job], reason: str | None) -> list[Frame]:
    return list(frames(ROUTE, [b"{}"] * len(jobs), uuid.uuid4))


class Bench:
    def __init__(self, faults: Faults | None = None) -> None:
        self.database = Database(VirtualClock(seed=1))
        self.told: list[tuple[str, Any]] = []
        self.database.watchers.append(lambda what, of: self.told.append((what, of)))
        self.connection = Connection(self.database)
        self.jobs = FakeJobs(self.connection, status_frames, lease_s=30, lost_max=3, outbox_written=Signal())
        self.exchange = FakeExchange(self.connection, Signal(), poll_s=30, faults=faults)

    async def queued(self, count: int) -> None:
        await self.exchange.declare([Binding(ROUTE, "q")])
        self.database.emit(Frame(uuid.UUID(int=number), ROUTE, 1, b"{}") for number in range(count))
        await self.exchange.relay()

    async def take(self) -> list[Delivery]:
        """At least one."""
        while not (taken := await self.exchange.take("q", frames_max=10)):
            await self.exchange.wait("q")
        return taken


def test_a_pile_gives_what_sorting_gives() -> None:
    rng, pile, model = random.Random(7), Pile[int](), dict[int, tuple[int, int]]()
    for step in range(5000):
        item = rng.randrange(200)
        match rng.randrange(4):
            case 0 | 1:
                key = rng.randrange(50)
                pile.put(item, key)
                model[item] = (key, step)
            case 2:
                pile.remove(item)
                model.pop(item, None)
            case _ if model:
                first = min(model, key=lambda item: model[item])
                assert pile.least() == (model[first][0], first)
                assert pile.pop() == first
                del model[first]
        assert len(pile) == len(model)
    in_order = sorted(model, key=lambda item: model[item])
    bound = model[in_order[len(in_order) // 2]][0]
    wanted = [item for item in in_order if model[item][0] <= bound]
    assert len(wanted) > 5
    assert pile.pop_while(lambda key: key <= bound) == wanted


async def test_every_call_on_jobs_answers_what_a_look_at_all_rows_would(
    autojump_clock: trio.testing.MockClock,
) -> None:
    rng, bench = random.Random(3), Bench()
    held: list[Job] = []
    moved: Counter[str] = Counter()

    def due(flow: str, limit: int) -> list[uuid.UUID]:
        """Every tenth that is claimed is that which is due the longest, the others are the most urgent."""
        now, claimed = bench.database.clock.now(), moved[f"claimed of {flow}"]
        rows = [row for row in rows_of(JobStatus.PENDING) if row.due_at <= now < row.job.expires_at]
        by_age = sorted((row for row in rows if row.job.flow == flow), key=lambda row: (row.due_at, row.job.id))
        oldest = by_age[: sum(number % 10 == 0 for number in range(claimed + 1, claimed + limit + 1))]
        rest = sorted((row for row in by_age if row not in oldest), key=lambda row: -row.job.priority)
        return [row.job.id for row in (*oldest, *rest)][:limit]

    def rows_of(status: JobStatus) -> list[JobRow]:
        return [row for row in bench.database.jobs.values() if row.job.status is status]

    async def act() -> None:
        now = bench.database.clock.now()
        match rng.randrange(9):
            case 0 | 1:
                key, ttl_s = f"k{rng.randrange(60)}", rng.choice([5.0, 60.0, 600.0])
                new = NewJob(rng.choice("ab"), "P", {}, rng.choice([key, None]), rng.randrange(3), ttl_s)
                was = [row.job.id for row in bench.database.jobs.values() if row.job.status not in FINAL]
                (answer,) = await bench.jobs.enqueue([new])
                assert answer.inserted == (answer.id not in was)
            case 2 | 3:
                flow, limit = rng.choice("ab"), rng.randrange(1, 6)
                expected = due(flow, limit)
                claimed = await bench.jobs.claim({flow: Room(limit)})
                assert [job.id for job in claimed] == expected
                held.extend(claimed)
                moved[f"claimed of {flow}"] += len(claimed)
            case 4:
                lost = [row for row in rows_of(JobStatus.PROCESSING) if row.lease_until and row.lease_until < now]
                assert await bench.jobs.rescue() == len(lost)
                moved["rescued"] += len(lost)
            case 5:
                old = [row for row in rows_of(JobStatus.PENDING) if row.job.expires_at < now]
                assert await bench.jobs.expire() == len(old)
                moved["expired"] += len(old)
            case 6:
                await bench.jobs.extend(held[::2])
            case _ if held:
                job = held.pop(rng.randrange(len(held)))
                try:
                    await end(job)
                except LeaseLost:
                    assert bench.database.jobs[job.id].job.attempt > job.attempt or job.id not in {
                        row.job.id for row in rows_of(JobStatus.PROCESSING)
                    }
                    moved["lease lost"] += 1

    async def end(job: Job) -> None:
        match rng.randrange(3):
            case 0:
                await bench.jobs.complete(job, Crawl("s", (), [], 2))
            case 1:
                await bench.jobs.fail(job, Failure("X", "x", rng.choice([None, 10.0])))
            case 2:
                await bench.jobs.release([job], after_s=rng.choice([0.0, 20.0]))

    for _ in range(3000):
        await act()
        await trio.sleep(rng.choice([0.0, 0.5, 2.0]))
        assert bench.database.unfinished == {
            row.key: row for row in bench.database.jobs.values() if row.job.status not in FINAL
        }
    assert min(moved.values()) > 10, moved
    assert set(moved) == {"claimed of a", "claimed of b", "rescued", "expired", "lease lost"}
    assert bench.database.events == sum(row.events for row in bench.database.jobs.values())


async def test_depths_are_those_of_the_rows(autojump_clock: trio.testing.MockClock) -> None:
    rng = random.Random(5)
    bench = Bench(Faults(rng, duplicate=0.1, reorder=0.3, delay=0.2, delay_s_max=30))
    await bench.exchange.declare([Binding(ROUTE, "q")])
    held: list[list[Delivery]] = []
    for _ in range(2000):
        await trio.sleep(rng.choice([0.0, 0.3, 10.0]))
        match rng.randrange(4):
            case 0:
                bench.database.emit([Frame(uuid.UUID(int=rng.getrandbits(128)), ROUTE, rng.randrange(1, 5), b"{}")])
                await trio.sleep(rng.choice([0.0, 1.0]))
                await bench.exchange.relay()
            case 1:
                if taken := await bench.exchange.take("q", frames_max=rng.randrange(1, 6)):
                    held.append(taken)
            case 2 if held:
                await bench.exchange.acknowledge(held.pop(rng.randrange(len(held))))
            case 3 if held:
                await bench.exchange.give_back(held.pop(rng.randrange(len(held))))
        now, rows = bench.database.clock.now(), bench.database.queues.values()
        (depth,) = await bench.exchange.depths()
        assert depth == QueueDepth(
            "q",
            sum(row.frame.events for row in rows),
            sum(row.frame.events for row in rows if row.lease_until and row.lease_until >= now),
            max(((now - row.created_at).total_seconds() for row in rows), default=0.0),
        )
    happened = Counter(what for what, _ in bench.told)
    assert min(happened[what] for what in ("taken", "duplicated", "acknowledged", "given back")) > 15


async def test_a_killed_process_changes_nothing_any_more(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    await bench.jobs.enqueue([NewJob("f", "P", {})])
    (job,) = await bench.jobs.claim({"f": Room(1)})
    bench.connection.kill()
    with trio.CancelScope(shield=True):
        for write in (
            bench.jobs.release([job]),
            bench.exchange.relay(),
            FakeDeadLetters(bench.connection).bury([Burial("q", Frame(job.id, ROUTE, 1, b""), b"", 1, "")]),
        ):
            with pytest.raises(Transient, match="killed"):
                await write
    reborn = FakeJobs(Connection(bench.database), status_frames, lease_s=30, lost_max=3, outbox_written=Signal())
    assert (len(bench.database.outbox), bench.database.dead_letters) == (2, {})
    await trio.sleep(31)
    assert await reborn.rescue() == 1


async def test_watchers_are_told_of_each_step_while_it_is_made() -> None:
    bench = Bench()
    await bench.exchange.declare([Binding(ROUTE, "q")])
    await bench.jobs.enqueue([NewJob("f", "P", {}), NewJob("f", "P", {})])
    done, again = await bench.jobs.claim({"f": Room(9)})
    await bench.jobs.complete(done, Crawl("s", (), [Frame(uuid.UUID(int=1), Route("x", "unbound"), 1, b"")], 1))
    await bench.jobs.fail(again, Failure("X", "x", None))
    await bench.exchange.relay()
    taken = await bench.take()
    await bench.exchange.acknowledge(taken[:1])
    await bench.exchange.acknowledge(taken[:1])
    assert [what for what, _ in bench.told] == [
        *("enqueued", "enqueued", "emitted"),
        *("claimed", "claimed", "emitted"),
        *("completed", "emitted", "emitted"),
        *("failed", "emitted"),
        *("relayed", "relayed", "buried", "relayed", "relayed"),
        *("taken", "acknowledged"),
    ]
    (letter,) = [of for what, of in bench.told if what == "buried"]
    assert isinstance(letter, Burial)
    assert letter.frame.id == uuid.UUID(int=1)

    def object_to(what: str, of: Any) -> None:
        raise AssertionError(what)

    bench.database.watchers.append(object_to)
    with pytest.raises(AssertionError, match="enqueued"):
        await bench.jobs.enqueue([NewJob("f", "P", {})])


async def test_a_duplicate_takes_the_acknowledgement_from_the_first_holder(
    autojump_clock: trio.testing.MockClock,
) -> None:
    faults = Faults(random.Random(1))
    bench = Bench(faults)
    await bench.queued(1)
    (first,) = await bench.take()
    faults.duplicate = 1.0
    (second,) = await bench.take()
    assert (second.id, second.deliveries) == (first.id, 2)
    await bench.exchange.acknowledge([first])
    assert len(bench.database.queues) == 1
    await bench.exchange.acknowledge([second])
    assert not bench.database.queues


async def test_reordered_takes_lose_nothing(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(Faults(random.Random(1), reorder=1.0))
    await bench.queued(60)
    ids = [delivery.id for _ in range(6) for delivery in await bench.take()]
    assert ids != sorted(ids)
    assert sorted(ids) == list(range(1, 61))


async def test_delayed_frames_are_ready_within_their_time(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(Faults(random.Random(1), delay=0.5, delay_s_max=20))
    await bench.queued(60)
    at_once = await bench.exchange.take("q", frames_max=ALL)
    assert 10 < len(at_once) < 50
    assert [depth.in_flight for depth in await bench.exchange.depths()] == [len(at_once)]
    await bench.exchange.wait("q")  # told at the relay
    await bench.exchange.wait("q")
    later = await bench.exchange.take("q", frames_max=ALL)
    assert len(at_once) + len(later) == 60
    assert trio.current_time() == 30, "found by the poll: nobody is woken for them"
    assert later[0].age_s == 30


async def test_a_lost_wake_up_is_made_good_by_the_poll(autojump_clock: trio.testing.MockClock) -> None:
    faults = Faults(random.Random(1), lose_wakeup=1.0)
    bench = Bench(faults)

    async def taken_after_s() -> float:
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bench.take)
            await trio.sleep(1)
            await bench.queued(1)
        return trio.current_time() - began

    assert await taken_after_s() == 30
    faults.lose_wakeup = 0.0
    assert await taken_after_s() == 1


async def test_a_lease_that_ended_is_taken_again(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    await bench.queued(1)
    await bench.take()
    (again,) = await bench.take()
    assert LEASE_S < trio.current_time() <= LEASE_S + 30
    assert again.deliveries == 2


async def test_the_event_store_tells_what_its_tokens_dropped() -> None:
    store, told = FakeEventStore({"t"}, keep_lines=False), list[tuple[str, str, bool]]()
    store.watchers.append(lambda what, of: told.append((what, *of.rows, of.same_content)))
    for event_id, token in (("a", "1"), ("a", "1"), ("b", "1"), ("b", "2")):
        await store.insert_ndjson("t", b'{"event_id": "%s", "x": [1]}' % event_id.encode(), token=token)
    assert told == [
        ("stored", "a", True),
        ("dropped", "a", True),
        ("dropped", "b", False),
        ("stored", "b", True),
    ]
    assert store.tables["t"] == {"a": b"", "b": b""}
