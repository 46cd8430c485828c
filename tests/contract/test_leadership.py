"""Terms, and the runs that they fence: the fakes and PostgreSQL, the same tests. Then the Leader, on the fake."""

import datetime as dt
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest
import trio
from trio.testing import MockClock

from gcc.actors.leader import Leader, Leadership
from gcc.actors.scheduler import ScheduleRun, ScheduleRuns
from gcc.clock import SystemClock, VirtualClock
from gcc.errors import LeaseLost
from gcc.stores.leadership import PostgresLeadership, hold
from gcc.stores.postgres import Pool
from gcc.stores.schedule_runs import PostgresScheduleRuns
from gcc.supervisor.lifecycle import Board, State
from tests.fakes.leadership import FakeLeadership, FakeScheduleRuns

NOON = dt.datetime(2026, 3, 4, 12, 0, tzinfo=dt.UTC)


@dataclass
class Store:
    leadership: Leadership
    runs: ScheduleRuns
    run_out: Callable[[str], Awaitable[None]]  # the term's time passes, without a wait


@pytest.fixture(params=["fake", "postgres"])
def conninfo(request: pytest.FixtureRequest) -> str:
    """Of the real store. A server cannot be started inside of an async fixture."""
    return "" if request.param == "fake" else str(request.getfixturevalue("database"))


@pytest.fixture
async def store(conninfo: str) -> AsyncIterator[Store]:
    if not conninfo:
        fake = FakeLeadership()

        async def run_out_fake(name: str) -> None:
            fake.terms[name].until = trio.current_time()

        yield Store(fake, FakeScheduleRuns(fake, leader="x"), run_out_fake)
        return
    pool = Pool(conninfo, 4, name="test")

    async def run_out(name: str) -> None:
        async with pool.connection() as connection:
            await connection.execute("update leader set until = now() where name = %s", [name])

    yield Store(PostgresLeadership(pool), PostgresScheduleRuns(pool, leader="x"), run_out)
    await pool.aclose()


async def test_one_leads_and_renews_its_own_term(store: Store) -> None:
    assert await store.leadership.campaign("x", "a", ttl_s=60) == 1
    assert await store.leadership.campaign("x", "b", ttl_s=60) is None
    assert await store.leadership.campaign("x", "a", ttl_s=60) == 1
    assert await store.leadership.campaign("y", "b", ttl_s=60) == 1  # another name is another matter


async def test_the_terms_of_a_dead_predecessor_are_ended_and_grow(pool: Pool) -> None:
    leadership = PostgresLeadership(pool)
    assert await leadership.campaign("x", "dead", ttl_s=60) == 1
    await leadership.end_terms()
    with pytest.raises(LeaseLost):
        async with pool.transaction() as connection:
            await hold(connection, "x", 1)
    assert await leadership.campaign("x", "alive", ttl_s=60) == 2


async def test_a_term_that_ran_out_goes_to_whoever_comes_first_and_grows(store: Store) -> None:
    await store.leadership.campaign("x", "a", ttl_s=60)
    await store.run_out("x")
    assert await store.leadership.campaign("x", "b", ttl_s=60) == 2
    assert await store.leadership.campaign("x", "a", ttl_s=60) is None
    await store.run_out("x")
    assert await store.leadership.campaign("x", "b", ttl_s=60) == 3  # also for the one who had it


async def test_resigning_ends_the_own_term_only(store: Store) -> None:
    await store.leadership.campaign("x", "a", ttl_s=60)
    await store.leadership.resign("x", "b", 1)
    await store.leadership.resign("x", "a", 7)
    assert await store.leadership.campaign("x", "b", ttl_s=60) is None
    await store.leadership.resign("x", "a", 1)
    assert await store.leadership.campaign("x", "b", ttl_s=60) == 2
    await store.leadership.resign("x", "a", 1)  # late: changes nothing
    assert await store.leadership.campaign("x", "a", ttl_s=60) is None


async def test_of_many_candidates_at_once_one_is_elected(store: Store) -> None:
    """Often, since where two inserts meet is a matter of microseconds: a row of a name, then a term of the row."""
    for name in map(str, range(50)):
        for term in (1, 2):
            terms: list[int | None] = []

            async def campaign(holder: str, name: str = name, terms: list[int | None] = terms) -> None:
                terms.append(await store.leadership.campaign(name, holder, ttl_s=60))

            async with trio.open_nursery() as nursery:
                for number in range(8):
                    nursery.start_soon(campaign, f"holder {number}")
            assert sorted(terms, key=str) == [term] + [None] * 7
            await store.run_out(name)


def a_run(schedule: str = "models", at: dt.datetime = NOON) -> ScheduleRun:
    return ScheduleRun(SystemClock().new_id(), schedule, "RUNNING", at)


async def test_runs_are_recorded_and_the_last_ones_found(store: Store) -> None:
    await store.leadership.campaign("x", "a", ttl_s=60)
    older, newer, other = a_run(), a_run(at=NOON + dt.timedelta(hours=1)), a_run("sync")
    for run in (newer, older, other):
        await store.runs.begin(run, 1)
        run.status, run.ended_at, run.detail = "COMPLETE", NOON + dt.timedelta(hours=2), {"rows": 7}
    await store.runs.end(older)
    await store.runs.end(newer)
    found = await store.runs.last()
    assert found == {"models": newer, "sync": ScheduleRun(other.id, "sync", "RUNNING", NOON)}
    assert await store.runs.past("models", 9) == [newer, older]
    assert await store.runs.past("models", 1) == [newer]
    assert await store.runs.past("unknown", 9) == []


async def test_a_run_that_is_begun_again_after_a_lost_answer_is_the_same_run(store: Store) -> None:
    await store.leadership.campaign("x", "a", ttl_s=60)
    run, ended = a_run(), a_run("sync")
    for _ in range(2):
        await store.runs.begin(run, 1)
        await store.runs.begin(ended, 1)
    assert await store.runs.last() == {"models": run, "sync": ended}
    ended.status, ended.ended_at, ended.detail = "COMPLETE", NOON, {"rows": 7}
    await store.runs.end(ended)
    with pytest.raises(LeaseLost):
        await store.runs.begin(ended, 1)
    assert (await store.runs.last())["sync"] == ended


async def test_a_run_that_was_closed_meanwhile_does_not_begin_again(store: Store) -> None:
    await store.leadership.campaign("x", "a", ttl_s=60)
    run = a_run()
    await store.runs.begin(run, 1)
    await store.run_out("x")
    assert await store.leadership.campaign("x", "a", ttl_s=60) == 2
    assert await store.runs.close_stale(2, NOON) == 1
    with pytest.raises(LeaseLost):
        await store.runs.begin(run, 2)
    assert (await store.runs.last())["models"].status == "CANCELLED"


async def test_a_run_needs_the_term(store: Store) -> None:
    await store.leadership.campaign("x", "a", ttl_s=60)
    with pytest.raises(LeaseLost):
        await store.runs.begin(a_run(), 2)
    await store.run_out("x")
    with pytest.raises(LeaseLost):
        await store.runs.begin(a_run(), 1)
    assert await store.runs.last() == {}


async def test_a_new_leader_closes_what_the_old_one_left_running(store: Store) -> None:
    await store.leadership.campaign("x", "a", ttl_s=60)
    run = a_run()
    await store.runs.begin(run, 1)
    await store.run_out("x")
    assert await store.leadership.campaign("x", "b", ttl_s=60) == 2
    assert await store.runs.close_stale(1, NOON) == 0  # the old leader may not
    assert await store.runs.close_stale(2, NOON) == 1
    run.status, run.ended_at, run.detail = "COMPLETE", NOON, {}
    await store.runs.end(run)  # the old leader comes back: too late
    closed = (await store.runs.last())["models"]
    assert (closed.status, closed.ended_at, closed.detail) == ("CANCELLED", NOON, {"error": "its leader went away"})
    assert await store.runs.close_stale(2, NOON) == 0


async def test_a_held_term_cannot_change_hands_before_the_commit(pool: Pool) -> None:
    leadership = PostgresLeadership(pool)
    await leadership.campaign("x", "a", ttl_s=60)
    with pytest.raises(LeaseLost):
        async with pool.transaction() as connection:
            await hold(connection, "x", 2)
    order: list[object] = []

    async def succeed() -> None:
        order.append(await leadership.campaign("x", "b", ttl_s=60))

    async with trio.open_nursery() as nursery:
        async with pool.transaction() as connection, pool.connection() as beside:
            await hold(connection, "x", 1)
            await beside.execute("update leader set until = now() - interval '1 s'")  # its time runs out here
            nursery.start_soon(succeed)
            await _somebody_waits_for_a_lock(pool)
            order.append("committed")
    assert order == ["committed", 2]


async def test_a_leader_renews_while_a_transaction_holds_its_term_and_others_do_not_wait(pool: Pool) -> None:
    leadership = PostgresLeadership(pool)
    await leadership.campaign("x", "a", ttl_s=1)
    async with pool.transaction() as connection, pool.connection() as beside:
        await hold(connection, "x", 1)
        with trio.fail_after(10):
            assert await leadership.campaign("x", "a", ttl_s=60) == 1
            assert await leadership.campaign("x", "b", ttl_s=60) is None
        left = await beside.execute("select until > now() + interval '50 s' from leader where name = 'x'")
        assert await left.fetchone() == (True,)
        await hold(connection, "x", 1)
    assert await leadership.campaign("x", "b", ttl_s=60) is None


async def _somebody_waits_for_a_lock(pool: Pool) -> None:
    with trio.fail_after(10):
        async with pool.connection() as connection:
            waiting = "select count(*) from pg_locks where not granted"
            while (await (await connection.execute(waiting)).fetchone()) == (0,):
                await trio.lowlevel.checkpoint()


# The Leader: virtual time.


def make(leadership: FakeLeadership, name: str = "p") -> Leader:
    clock = VirtualClock(seed=ord(name))
    return Leader("x", leadership, Board(clock.now).actor(name), clock, ttl_s=15, margin_s=3)


async def test_a_leader_renews_for_as_long_as_it_runs(autojump_clock: MockClock) -> None:
    leader = make(FakeLeadership())
    async with trio.open_nursery() as nursery:
        await nursery.start(leader.run)
        assert leader.term == 1
        for _ in range(100):
            await trio.sleep(1.7)
            assert leader.term == 1
        nursery.cancel_scope.cancel()
    assert leader.term is None


async def test_a_successor_of_one_that_resigned_need_not_wait_for_the_ttl(autojump_clock: MockClock) -> None:
    leadership = FakeLeadership()
    first, second = make(leadership, "a"), make(leadership, "b")
    async with trio.open_nursery() as nursery:
        ended = trio.CancelScope()

        async def run_first(*, task_status: trio.TaskStatus[None]) -> None:
            with ended:
                await first.run(task_status=task_status)

        await nursery.start(run_first)
        await nursery.start(second.run)
        await trio.sleep(60)
        assert (first.term, second.term) == (1, None)
        ended.cancel()
        began = trio.current_time()
        assert await second.elected() == 2
        assert trio.current_time() - began <= 5
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("fault", ["away", "silent"])
async def test_trust_ends_before_the_term_does_when_the_store_does_not_answer(
    autojump_clock: MockClock, fault: str
) -> None:
    leadership = FakeLeadership()
    leader = make(leadership)
    async with trio.open_nursery() as nursery:
        await nursery.start(leader.run)
        await trio.sleep(31)
        setattr(leadership, fault, True)
        await leader.deposed(1)
        assert leader.term is None
        assert leadership.holds("x", 1)  # nobody else can have begun yet
        await trio.sleep(60)
        assert leader.term is None
        setattr(leadership, fault, False)
        assert await leader.elected() == 2
        nursery.cancel_scope.cancel()


async def test_a_leader_starts_when_the_store_answers_and_shows_its_errors(autojump_clock: MockClock) -> None:
    leadership = FakeLeadership()
    leadership.away = True
    clock = VirtualClock(seed=1)
    actor = Board(clock.now).actor("leader")
    leader = Leader("x", leadership, actor, clock)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leader.run)
        await trio.sleep(20)
        assert actor.state is State.BACKOFF
        assert actor.last_error == "Transient: the store is away"
        leadership.away = False
        assert await leader.elected() == 1
        assert actor.state is State.RUNNING
        leadership.away = True  # resigning fails: it still ends
        nursery.cancel_scope.cancel()


async def test_two_never_lead_at_once_whatever_fails(autojump_clock: MockClock) -> None:
    leadership = FakeLeadership()
    leaders = [make(leadership, name) for name in "abc"]
    rng = VirtualClock(seed=3).rng
    led: set[int] = set()
    async with trio.open_nursery() as nursery:
        for leader in leaders:
            nursery.start_soon(leader.run)
        for _ in range(600):
            leadership.away, leadership.silent = rng.random() < 0.3, rng.random() < 0.3
            await trio.sleep(rng.random() * 5)
            terms = [leader.term for leader in leaders if leader.term is not None]
            assert len(terms) <= 1
            assert all(leadership.holds("x", term) for term in terms)
            led.update(terms)
        nursery.cancel_scope.cancel()
    assert len(led) > 5  # it did change hands


async def test_a_lost_answer_is_a_transient_error_not_a_hang(autojump_clock: MockClock) -> None:
    leadership = FakeLeadership()
    clock = VirtualClock(seed=1)
    actor = Board(clock.now).actor("leader")
    leader = Leader("x", leadership, actor, clock, ttl_s=15)
    leadership.silent = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leader.run)
        await trio.sleep(6)
        assert "no answer to the campaign for x within 5 s" in str(actor.last_error)
        leadership.silent = False
        assert await leader.elected() == 1
        nursery.cancel_scope.cancel()
