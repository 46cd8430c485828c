"""The scheduler in virtual time: due times, overlap, catch-up, retries, terms, drain."""

import datetime as dt
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Literal

import pytest
import structlog.testing
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from gcc.actors.gates import Gate
from gcc.actors.leader import Leader
from gcc.actors.scheduler import Schedule, Scheduler, ScheduleRun, Trouble
from gcc.clock import VirtualClock
from gcc.config import load
from gcc.errors import ConfigError, LeaseLost, Permanent, Transient
from gcc.pipelines.timetable import overridden
from gcc.stores.odd_values import FIRST, LAST
from gcc.supervisor.drain import Drain
from gcc.supervisor.lifecycle import Board, State
from tests.fakes.leadership import FakeLeadership, FakeScheduleRuns

EPOCH = dt.datetime(2026, 1, 1, 0, 7, tzinfo=dt.UTC)
MINUTE = 60.0


class Work:
    """What a schedule runs: notes when it began and ended, in seconds after the epoch."""

    def __init__(self, *, lasts_s: float = 0.0, fails: list[Exception] | None = None) -> None:
        self.lasts_s = lasts_s
        self.fails = fails or []
        self.began: list[float] = []
        self.ended: list[float] = []
        self.cancelled = 0

    async def __call__(self) -> Mapping[str, Any]:
        self.began.append(trio.current_time())
        try:
            await trio.sleep(self.lasts_s)
        except trio.Cancelled:
            self.cancelled += 1
            raise
        if self.fails:
            raise self.fails.pop(0)
        self.ended.append(trio.current_time())
        return {"rows": len(self.ended)}


class Platform:
    """A scheduler with what it stands on."""

    def __init__(self, leadership: FakeLeadership, runs: FakeScheduleRuns, *schedules: Schedule, seed: int) -> None:
        self.clock = VirtualClock(seed, EPOCH)
        self.board = Board(self.clock.now)
        self.drain = Drain(["intake", "rest"], 20.0)
        self.leader = Leader("x", leadership, self.board.actor("leader"), self.clock)
        self.actor = self.board.actor("scheduler")
        self.gate = Gate()
        self.troubles: list[Trouble] = []
        self.deaf = False
        self.scheduler = Scheduler(
            schedules,
            runs,
            self.leader,
            self.drain.stage("intake"),
            self.actor,
            self.clock,
            gate=self.gate,
            trouble=self.tell,
        )

    async def tell(self, trouble: Trouble) -> None:
        if self.deaf:
            raise Transient("nobody listens")
        self.troubles.append(trouble)

    @property
    def told(self) -> list[tuple[str, float]]:
        """Kinds of trouble, and when they were told, in seconds after the epoch."""
        return [(trouble.kind, (trouble.at - EPOCH).total_seconds()) for trouble in self.troubles]

    async def start(self, nursery: trio.Nursery) -> None:
        await nursery.start(self.leader.run)
        await nursery.start(self.scheduler.run)
        await wait_all_tasks_blocked()  # it has taken over

    def line(self, name: str) -> dict[str, Any]:
        return {line["name"]: line for line in self.scheduler.overview()}[name]


class World:
    def __init__(self) -> None:
        self.leadership = FakeLeadership()
        self.runs = FakeScheduleRuns(self.leadership, leader="x")
        self.nursery: trio.Nursery
        self.seeds = iter(range(100))

    async def start(self, *schedules: Schedule) -> Platform:
        platform = self.make(*schedules)
        await platform.start(self.nursery)
        return platform

    def make(self, *schedules: Schedule) -> Platform:
        return Platform(self.leadership, self.runs, *schedules, seed=next(self.seeds))

    def statuses(self) -> list[str]:
        return [run.status for run in sorted(self.runs.rows.values(), key=lambda run: run.started_at)]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    async with trio.open_nursery() as nursery:
        world.nursery = nursery
        yield world
        nursery.cancel_scope.cancel()


def at(run: dict[str, Any] | None, key: str) -> Any:
    assert run is not None
    return run[key]


async def test_it_runs_at_its_due_times_and_is_recorded(autojump_clock: MockClock, world: World) -> None:
    work = Work(lasts_s=5)
    platform = await world.start(Schedule("models", "*/15 * * * *", work))
    assert platform.line("models")["next_run"] == "2026-01-01T00:15:00Z"
    assert platform.line("models")["last_run"] is None
    await trio.sleep(40 * MINUTE)
    assert work.began == [8 * MINUTE, 23 * MINUTE, 38 * MINUTE]
    assert world.statuses() == ["COMPLETE"] * 3
    line = platform.line("models")
    assert line["next_run"] == "2026-01-01T01:00:00Z"
    assert at(line["last_run"], "detail") == {"rows": 3}
    assert at(line["last_run"], "started_at") == "2026-01-01T00:45:00Z"
    assert at(line["last_run"], "ended_at") == "2026-01-01T00:45:05Z"
    assert platform.actor.done == 3
    past = await platform.scheduler.past("models", 2)
    assert [(run["started_at"], run["detail"]) for run in past] == [
        ("2026-01-01T00:45:00Z", {"rows": 3}), ("2026-01-01T00:30:00Z", {"rows": 2}),
    ]  # fmt: skip
    with pytest.raises(Permanent, match="no schedule is called 'x'; there are models"):
        await platform.scheduler.past("x", 2)


async def test_a_due_time_during_a_run_is_skipped(autojump_clock: MockClock, world: World) -> None:
    work, other = Work(lasts_s=2.5 * MINUTE), Work()
    platform = await world.start(Schedule("slow", "* * * * *", work), Schedule("other", "* * * * *", other))
    await trio.sleep(3.2 * MINUTE)
    assert work.began == [60]
    assert platform.line("slow")["running"]
    assert at(platform.line("slow")["last_run"], "status") == "RUNNING"
    assert other.began == [60, 120, 180]  # one actor runs all of them, side by side
    await trio.sleep(MINUTE)
    assert work.began == [60, 240]


async def test_while_paused_due_times_are_skipped_and_triggers_still_work(
    autojump_clock: MockClock, world: World
) -> None:
    work = Work(lasts_s=30)
    platform = await world.start(Schedule("models", "* * * * *", work))
    await trio.sleep(70)
    platform.gate.turn(is_open=False)
    await wait_all_tasks_blocked()
    assert platform.actor.state is State.PAUSED
    await trio.sleep(4 * MINUTE)
    assert (work.began, work.ended) == ([60], [90]), "what ran when the pause came went on"
    assert (await platform.scheduler.trigger("models")).status == "COMPLETE"
    platform.gate.turn(is_open=True)
    await wait_all_tasks_blocked()
    assert platform.actor.state is State.RUNNING
    await trio.sleep(MINUTE)
    assert work.began == [60, 310, 360]


async def test_a_trigger_runs_at_once_waits_its_turn_and_keeps_cron_from_overlapping(
    autojump_clock: MockClock, world: World
) -> None:
    work = Work(lasts_s=90)
    platform = await world.start(Schedule("models", "*/15 * * * *", work), Schedule("by_hand", None, work))
    await trio.sleep(7.5 * MINUTE)
    ended: list[ScheduleRun] = []

    async def trigger() -> None:
        ended.append(await platform.scheduler.trigger("models"))

    world.nursery.start_soon(trigger)
    world.nursery.start_soon(trigger)
    await trio.sleep(20 * MINUTE)
    assert work.began == [450, 540, 23 * MINUTE]  # the due time at 8 min was skipped
    assert [(run.status, run.detail) for run in ended] == [("COMPLETE", {"rows": 1}), ("COMPLETE", {"rows": 2})]
    assert platform.line("by_hand")["next_run"] is None
    assert (await platform.scheduler.trigger("by_hand")).status == "COMPLETE"
    with pytest.raises(Permanent, match="by_hand"):
        await platform.scheduler.trigger("unknown")


async def test_transient_failures_are_tried_again_within_the_timeout(autojump_clock: MockClock, world: World) -> None:
    work = Work(fails=[Transient("away"), Transient("limited", retry_after_s=50)])
    platform = await world.start(Schedule("models", "*/15 * * * *", work, timeout_s=120))
    run = await platform.scheduler.trigger("models")
    assert (run.status, run.detail) == ("COMPLETE", {"rows": 1})
    first, second, third = work.began
    assert 0.5 <= second - first <= 1
    assert third - second == 50
    work.fails = [Transient(f"away {number}") for number in range(100)]
    began = trio.current_time()
    run = await platform.scheduler.trigger("models")
    assert run.status == "FAILED"
    assert "not done within 120 s; last error: Transient: away" in str(run.detail)
    assert trio.current_time() - began == pytest.approx(120)
    assert world.statuses() == ["COMPLETE", "FAILED"]  # one row a run, not a try


@pytest.mark.parametrize("error", [Permanent("bad rows"), ZeroDivisionError("a bug")])
async def test_other_failures_end_the_run_and_stay_inside(
    autojump_clock: MockClock, world: World, error: Exception
) -> None:
    work = Work(fails=[error])
    platform = await world.start(Schedule("models", "*/15 * * * *", work))
    await trio.sleep(25 * MINUTE)
    assert world.statuses() == ["FAILED", "COMPLETE"]
    first = min(world.runs.rows.values(), key=lambda run: run.started_at)
    assert first.detail == {"error": f"{type(error).__name__}: {error}"}
    assert platform.actor.failed == 1
    assert [entry["actor"] for entry in platform.board.errors] == ["scheduler"]


async def test_a_run_is_cancelled_at_its_timeout(autojump_clock: MockClock, world: World) -> None:
    work = Work(lasts_s=1000)
    platform = await world.start(Schedule("models", None, work, timeout_s=30))
    run = await platform.scheduler.trigger("models")
    assert (run.status, work.cancelled, trio.current_time()) == ("FAILED", 1, 30)


async def test_drain_cancels_what_runs_and_the_scheduler_finishes(autojump_clock: MockClock, world: World) -> None:
    work = Work(lasts_s=1000)
    platform = await world.start(Schedule("models", "*/15 * * * *", work))
    triggered: list[ScheduleRun] = []

    async def trigger() -> None:
        triggered.append(await platform.scheduler.trigger("models"))

    world.nursery.start_soon(trigger)
    world.nursery.start_soon(trigger)  # waits for the first
    await trio.sleep(60)
    platform.drain.request("test")
    reports = await platform.drain.run()
    assert reports[0].waited_for == ["scheduler"]
    assert reports[0].waited_s == 0
    assert work.cancelled == 1
    assert world.statuses() == ["CANCELLED"]
    assert [(run.status, run.ended_at is not None) for run in triggered] == [("CANCELLED", True)] * 2
    assert platform.actor.state is State.FINISHED
    with pytest.raises(Transient, match="drains"):
        await platform.scheduler.trigger("models")
    assert trio.current_time() == 60


async def test_a_trigger_that_waits_for_a_leader_is_released_by_the_drain(
    autojump_clock: MockClock, world: World
) -> None:
    await world.leadership.campaign("x", "somebody else", ttl_s=10_000)
    platform = await world.start(Schedule("models", "* * * * *", Work()))
    world.nursery.start_soon(platform.drain.run)

    async def drain_soon() -> None:
        await trio.sleep(3)
        platform.drain.request("test")

    world.nursery.start_soon(drain_soon)
    with pytest.raises(Transient, match="does not lead"):
        await platform.scheduler.trigger("models")
    assert trio.current_time() == 3


async def test_only_the_leader_runs_and_a_successor_goes_on(autojump_clock: MockClock, world: World) -> None:
    works = [Work(lasts_s=1000), Work(lasts_s=10)]
    first, second = [
        world.make(Schedule("models", "*/15 * * * *", work, catch_up="one", timeout_s=5000)) for work in works
    ]
    crash = trio.CancelScope()

    async def run_first(*, task_status: trio.TaskStatus[None]) -> None:
        with crash:
            async with trio.open_nursery() as nursery:
                await first.start(nursery)
                task_status.started()

    await world.nursery.start(run_first)
    await second.start(world.nursery)
    await trio.sleep(9 * MINUTE)
    assert (len(works[0].began), works[1].began) == (1, [])
    assert second.line("models")["next_run"] is None
    assert await first.scheduler.standing() == first.scheduler.overview()
    (line,) = await second.scheduler.standing()
    assert line["running"] and at(line["last_run"], "status") == "RUNNING", "as the leader has recorded it"
    world.runs.away = world.leadership.away = True  # it dies without a word
    crash.cancel()
    await wait_all_tasks_blocked()
    world.runs.away = world.leadership.away = False
    assert world.statuses() == ["RUNNING"]
    await trio.sleep(MINUTE)
    assert works[1].began  # what was cut off is made up at once, not at the next due time
    assert world.statuses() == ["CANCELLED", "COMPLETE"]
    assert "its leader went away" in str(next(iter(world.runs.rows.values())).detail)


async def test_a_leader_that_loses_its_term_stops_what_it_runs(autojump_clock: MockClock, world: World) -> None:
    work = Work(lasts_s=100)
    platform = await world.start(Schedule("models", None, work))
    triggered: list[ScheduleRun] = []

    async def trigger() -> None:
        triggered.append(await platform.scheduler.trigger("models"))

    world.nursery.start_soon(trigger)
    await trio.sleep(10)
    world.leadership.away = True
    await trio.sleep(15)
    assert work.cancelled == 1
    assert triggered[0].status == "CANCELLED"
    world.leadership.away = False
    await platform.leader.elected()
    work.lasts_s = 1
    assert (await platform.scheduler.trigger("models")).status == "COMPLETE"


async def test_a_lost_lease_is_no_failure(autojump_clock: MockClock, world: World) -> None:
    work = Work(fails=[LeaseLost("the term is over")])
    platform = await world.start(Schedule("models", None, work))
    assert (await platform.scheduler.trigger("models")).status == "CANCELLED"
    assert platform.actor.failed == 0


@pytest.mark.parametrize(
    ("catch_up", "last", "expected"),
    [
        ("one", ("COMPLETE", -60), [0]),  # due times were missed: made up once
        ("none", ("COMPLETE", -60), []),
        ("one", ("CANCELLED", -1), [0]),  # it was cut off
        ("one", ("COMPLETE", -2), []),  # nothing was missed
        ("one", None, []),  # it never ran: its first due time, or a trigger, is its start
    ],
)
async def test_catching_up(
    autojump_clock: MockClock,
    world: World,
    catch_up: Literal["one", "none"],
    last: tuple[Literal["COMPLETE", "CANCELLED"], int] | None,
    expected: list[float],
) -> None:
    work = Work()
    if last:
        started_at = EPOCH + dt.timedelta(minutes=last[1])
        run = ScheduleRun(VirtualClock(99).new_id(), "models", last[0], started_at, started_at, {})
        world.runs.rows[run.id] = run
    await world.start(Schedule("models", "*/15 * * * *", work, catch_up=catch_up))
    await trio.sleep(5 * MINUTE)
    assert work.began == expected


@pytest.mark.parametrize(("at", "expected"), [(FIRST, [0]), (LAST, [])])
async def test_a_last_run_of_any_time_stops_no_schedule(
    autojump_clock: MockClock, world: World, at: dt.datetime, expected: list[float]
) -> None:
    """As infinity is read: there is no first of the month after the last one."""
    run = ScheduleRun(VirtualClock(99).new_id(), "models", "COMPLETE", at, at, {})
    world.runs.rows[run.id] = run
    work = Work()
    await world.start(Schedule("models", "0 4 1 * *", work, catch_up="one"))
    await trio.sleep(5 * MINUTE)
    assert work.began == expected


async def test_the_database_may_be_away_at_any_time(autojump_clock: MockClock, world: World) -> None:
    world.runs.away = True
    work = Work()
    platform = await world.start(Schedule("models", "*/15 * * * *", work))
    await trio.sleep(9 * MINUTE)
    assert work.began == []
    world.runs.away = False
    await trio.sleep(15 * MINUTE)
    assert world.statuses() == ["COMPLETE"]
    world.runs.away = True
    await trio.sleep(15 * MINUTE + 1)  # it must be able to say that it runs before it runs
    assert len(work.began) == 1
    world.runs.away = False
    await trio.sleep(2 * MINUTE)
    assert world.statuses() == ["COMPLETE", "COMPLETE"]
    assert "away" in str(platform.actor.last_error)


@pytest.mark.parametrize("cron", ["every day", "61 * * * *", "* * * *", "0 0 30 2 *"])
def test_a_bad_cron_line_names_its_key(cron: str) -> None:
    with pytest.raises(ConfigError, match=r"analytics\.schedules\.models"):
        Schedule("models", cron, Work())


def test_settings_replace_cron_lines_by_name() -> None:
    declared = [Schedule("models", "*/15 * * * *", Work()), Schedule("all", None, Work())]
    settings = load(None, overrides=["analytics.schedules.all=0 3 * * *"], environ={})
    rows = overridden(declared, settings.analytics.schedules)
    assert [(row.name, row.cron) for row in rows] == [("models", "*/15 * * * *"), ("all", "0 3 * * *")]
    with pytest.raises(ConfigError, match=r"analytics.schedules.modles: no such schedule; there are all, models"):
        overridden(declared, {"modles": "* * * * *"})


def test_names_differ() -> None:
    make: Callable[[], Schedule] = lambda: Schedule("models", None, Work())  # noqa: E731
    with pytest.raises(ConfigError, match="must differ"):
        World().make(make(), make())


class Bug(Exception):
    """What no contract names."""


async def test_a_bug_of_a_schedule_is_its_own_and_told_with_its_traceback(
    autojump_clock: MockClock, world: World
) -> None:
    broken, well = Work(fails=[Bug("half \ud83d \0") for _ in range(9)]), Work()
    with structlog.testing.capture_logs() as logs:
        platform = await world.start(Schedule("a", "*/15 * * * *", broken), Schedule("b", "*/15 * * * *", well))
        await trio.sleep(40 * MINUTE)
    assert (len(broken.began), len(well.ended)) == (3, 3), "due again, and no neighbour of its"
    assert at(platform.line("a")["last_run"], "detail") == {"error": "Bug: half ? \ufffd"}
    assert at(platform.line("a")["last_run"], "status") == "FAILED"
    assert [(log["event"], log["schedule"]) for log in logs] == [("bug", "a")] * 3
    assert (platform.actor.bugs, platform.actor.failed, platform.actor.restarts) == (3, 3, 0)


async def test_a_bug_of_a_schedule_that_is_cut_off_does_not_end_the_scheduler(
    autojump_clock: MockClock, world: World
) -> None:
    """The term is lost, or the time is over: what it raises on its way out comes along with the cancellation."""

    async def raises_when_cancelled() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise Bug("while cancelled")

    async def run() -> Mapping[str, Any]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(raises_when_cancelled)
            nursery.start_soon(trio.sleep_forever)
        return {}

    platform = await world.start(Schedule("models", "*/15 * * * *", run, timeout_s=3 * MINUTE))
    await trio.sleep(12 * MINUTE)
    assert (world.statuses(), platform.actor.bugs) == (["FAILED"], 1)
    await trio.sleep(12 * MINUTE)
    platform.drain.request("test")
    with trio.fail_after(30):
        await platform.drain.run()
        await wait_all_tasks_blocked()
    assert (platform.actor.state, platform.actor.bugs) == (State.FINISHED, 2)


@pytest.mark.parametrize("status", ["COMPLETE", "FAILED"])
async def test_a_detail_that_cannot_be_stored_gives_way_to_the_reason(
    autojump_clock: MockClock, world: World, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    end = world.runs.end

    async def picky(run: ScheduleRun) -> None:
        if "odd" in str(run.detail):
            raise ValueError("a NUL")
        await end(run)

    async def work() -> Mapping[str, Any]:
        if status == "FAILED":
            raise Permanent("odd")
        return {"odd": 1}

    monkeypatch.setattr(world.runs, "end", picky)
    platform = await world.start(Schedule("models", "*/15 * * * *", work))
    await trio.sleep(10 * MINUTE)
    assert world.statuses() == [status]
    assert at(platform.line("models")["last_run"], "detail") == {"error": "ValueError: a NUL"}


async def test_a_failure_is_told_once_until_it_is_over(autojump_clock: MockClock, world: World) -> None:
    work = Work(fails=[Permanent("bad rows"), Permanent("bad rows")])
    platform = await world.start(Schedule("models", "*/15 * * * *", work))
    await trio.sleep(40 * MINUTE)  # fails twice, then succeeds
    assert platform.told == [("FAILED", 8 * MINUTE)]
    assert platform.troubles[0].reason == "Permanent: bad rows"
    work.fails = [Permanent("bad rows")]
    await trio.sleep(15 * MINUTE)
    assert platform.told[1:] == [("FAILED", 53 * MINUTE)], "it is another one"


async def test_trouble_that_nobody_took_is_told_again(autojump_clock: MockClock, world: World) -> None:
    platform = await world.start(Schedule("models", "*/15 * * * *", Work(fails=[Permanent("bad")] * 2)))
    platform.deaf = True
    await trio.sleep(10 * MINUTE)
    assert "nobody was told that Permanent: bad" in str(platform.actor.last_error)
    platform.deaf = False
    await trio.sleep(15 * MINUTE)
    assert platform.told == [("FAILED", 23 * MINUTE)]


async def test_two_due_times_in_a_row_that_were_skipped_are_told(autojump_clock: MockClock, world: World) -> None:
    work = Work(lasts_s=3.5 * MINUTE)
    platform = await world.start(Schedule("slow", "* * * * *", work))
    await trio.sleep(2.5 * MINUTE)
    assert (platform.line("slow")["skipped"], platform.told) == (1, [])
    await trio.sleep(2.4 * MINUTE)
    assert platform.line("slow")["skipped"] == 3
    assert platform.told == [("SKIPPED", 180), ("NO_SUCCESS", 240)]
    await trio.sleep(MINUTE)
    assert (work.began, platform.line("slow")["skipped"]) == ([60, 300], 0)


async def test_three_periods_without_success_are_told_and_a_pause_is_none(
    autojump_clock: MockClock, world: World
) -> None:
    work = Work(fails=[Permanent("bad")] * 100)
    platform = await world.start(Schedule("models", "*/15 * * * *", work))
    await trio.sleep(70 * MINUTE)  # due at 8, 23, 38, 53, 68
    assert platform.told == [("FAILED", 8 * MINUTE), ("NO_SUCCESS", 53 * MINUTE)]
    work.fails = []
    await trio.sleep(15 * MINUTE)
    platform.gate.turn(is_open=False)
    await trio.sleep(120 * MINUTE)
    platform.gate.turn(is_open=True)
    await trio.sleep(20 * MINUTE)
    assert len(platform.told) == 2


async def test_what_waits_does_nothing_and_says_so(autojump_clock: MockClock, world: World) -> None:
    work = Work()
    platform = await world.start(Schedule("backup", "* * * * *", work, catch_up="one", waits_for="backups"))
    await trio.sleep(10 * MINUTE)
    line = platform.line("backup")
    assert (work.began, line["next_run"], line["waits_for"], platform.told) == ([], None, "backups", [])
    with pytest.raises(Permanent, match="backup does nothing yet: it waits for backups"):
        await platform.scheduler.trigger("backup")


async def test_a_prompt_runs_soon_where_we_lead(autojump_clock: MockClock, world: World) -> None:
    work = Work(lasts_s=5)
    platform = world.make(Schedule("models", None, work))
    assert not platform.scheduler.prompt("models")
    await platform.start(world.nursery)
    assert platform.scheduler.prompt("models")
    await trio.sleep(10)
    assert (work.ended, world.statuses()) == ([5], ["COMPLETE"])


async def test_names_of_before_are_understood_where_they_mean_one(autojump_clock: MockClock, world: World) -> None:
    works = [Work(), Work(), Work()]
    platform = await world.start(
        Schedule("dbt_core", None, works[0], was=("core_models",)),
        *(Schedule(name, None, work, was=("stale",)) for name, work in zip(("a", "b"), works[1:], strict=True)),
    )
    assert (await platform.scheduler.trigger("core_models")).schedule == "dbt_core"
    with pytest.raises(Permanent, match="no schedule is called 'stale'"):
        await platform.scheduler.trigger("stale")


async def test_a_clock_that_was_ahead_for_a_while_stops_no_schedule(autojump_clock: MockClock, world: World) -> None:
    """A machine may wake up in another year, until it asks for the time."""
    work = Work()
    platform = world.make(Schedule("models", "*/15 * * * *", work))
    platform.clock.epoch = EPOCH + dt.timedelta(days=365)
    await platform.start(world.nursery)
    await trio.sleep(10 * MINUTE)  # it ran once, and is due again in that year
    platform.clock.epoch = EPOCH
    work.fails = [Permanent("bad")] * 100
    await trio.sleep(20 * MINUTE)
    assert work.began == [8 * MINUTE, 23 * MINUTE]
    await trio.sleep(60 * MINUTE)
    assert [kind for kind, _ in platform.told] == ["FAILED", "NO_SUCCESS"]


async def test_what_nobody_could_run_while_the_platform_was_stopped_is_no_trouble(
    autojump_clock: MockClock, world: World
) -> None:
    """It is told once it has had its chances."""
    good, bad, ids = Work(), Work(fails=[Permanent("bad")] * 100), VirtualClock(99)
    schedules = [
        Schedule("models", "*/15 * * * *", good, catch_up="one"),
        Schedule("daily", "0 0 * * *", good, catch_up="one"),
        Schedule("bad", "*/15 * * * *", bad),
    ]
    for schedule, days in zip(schedules, (5, 6, 5), strict=True):
        at = EPOCH - dt.timedelta(days=days)
        run = ScheduleRun(ids.new_id(), schedule.name, "COMPLETE", at, at, {})
        world.runs.rows[run.id] = run
    platform = await world.start(*schedules)
    await trio.sleep(MINUTE)
    assert (len(good.began), platform.told) == (2, [])
    await trio.sleep(60 * MINUTE)
    assert [kind for kind, _ in platform.told] == ["FAILED", "NO_SUCCESS"]
