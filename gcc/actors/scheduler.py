"""The scheduler: runs what is declared as schedules, by cron in UTC, while this process leads.

In: Schedules, a Leader, a drain stage. Out: their effects, and one row a run (ScheduleRuns): RUNNING,
then COMPLETE, FAILED or CANCELLED, with what it answered. `overview()` shows last and next runs. Trouble is told to
`trouble`, once until it is over: a failure, SKIPS_MAX due times in a row that found it running, PERIODS_MAX periods
without success.

A schedule never overlaps itself: a due time that comes while it runs is skipped, a trigger waits. While the
scheduler is paused due times are skipped, too; what runs goes on, and triggers still work. A transient failure is
tried again with backoff until the schedule's timeout; any other ends the run as FAILED, is told with its traceback
where it is a bug, and stays here: the next due time is a new chance. Runs are cancelled when the term is lost, when
the drain stage begins (the scheduler then finishes) and at the timeout. Runs of a leader that died are closed as
CANCELLED by the next one.
"""

import datetime as dt
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import trio
from cronsim import CronSim, CronSimError

from gcc.actors import bugs
from gcc.actors.gates import ALWAYS_OPEN, Gate
from gcc.actors.leader import Leader
from gcc.clock import Clock
from gcc.errors import ConfigError, GccError, LeaseLost, Permanent, Transient, there_are
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.drain import Stage, intake_open
from gcc.supervisor.lifecycle import Actor, State, one_line

SKIPS_MAX = 2
PERIODS_MAX = 3
WALL_CLOCK_S = 30.0
"""A long wait for a due time looks at the clock this often: the system may have slept, or been set."""
RECORD_S = 5.0

RunStatus = Literal["RUNNING", "COMPLETE", "FAILED", "CANCELLED"]


@dataclass(frozen=True)
class Schedule:
    """`run` does the work and returns the detail of its row (JSON). `catch_up`: "one" makes up, at the
    start, for due times missed while nobody led and for a run that was cut off; "none" waits for the next.
    Without a cron line it runs by trigger only. `was`: names that people may still use for it. `waits_for`: what is not
    there yet; until then it does nothing."""

    name: str
    cron: str | None
    run: Callable[[], Awaitable[Mapping[str, Any]]]
    timeout_s: float = 600.0
    catch_up: Literal["one", "none"] = "none"
    was: tuple[str, ...] = ()
    waits_for: str = ""

    def __post_init__(self) -> None:
        try:
            self.next_after(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        except (CronSimError, StopIteration) as error:
            raise ConfigError(
                f"analytics.schedules.{self.name}: {self.cron!r} is no cron line ({error});"
                " write minute hour day month weekday, or by hand"
            ) from None

    def next_after(self, at: dt.datetime) -> dt.datetime | None:
        """The first due time later than `at` (aware), in UTC; None without a cron line."""
        return next(CronSim(self.cron, at.astimezone(dt.UTC))) if self.cron else None


@dataclass
class ScheduleRun:
    """One run. `detail` is what the schedule answered, or {"error": why it did not}."""

    id: uuid.UUID
    schedule: str
    status: RunStatus
    started_at: dt.datetime
    ended_at: dt.datetime | None = None
    detail: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Trouble:
    """What somebody should know of a schedule. `kind`: FAILED, SKIPPED, NO_SUCCESS, or what its work has found."""

    kind: str
    schedule: str
    at: dt.datetime
    reason: str


Tell = Callable[[Trouble], Awaitable[None]]
"""Takes trouble on its way. Raises Transient: it was not taken."""


async def untold(trouble: Trouble) -> None:
    """Where nobody is to be told."""


class ScheduleRuns(Protocol):
    """Where runs are recorded. Raises Transient when that is away, LeaseLost when the term is over."""

    async def begin(self, run: ScheduleRun, term: int) -> None: ...
    async def end(self, run: ScheduleRun) -> None: ...
    async def close_stale(self, term: int, now: dt.datetime) -> int: ...
    async def last(self) -> dict[str, ScheduleRun]: ...
    async def past(self, schedule: str, limit: int) -> list[ScheduleRun]:
        """The newest runs of one, the newest first."""

    async def succeeded(self) -> dict[str, dt.datetime]:
        """When each schedule last began a run that became COMPLETE."""


@dataclass
class _Reign:
    """The time of one term: runs live in its nursery and end with it."""

    term: int
    nursery: trio.Nursery


class Scheduler:
    def __init__(
        self,
        schedules: Sequence[Schedule],
        runs: ScheduleRuns,
        leader: Leader,
        stage: Stage,
        actor: Actor,
        clock: Clock,
        *,
        backoff: Backoff = Backoff(1.0, 60.0),  # noqa: B008 (frozen)
        gate: Gate = ALWAYS_OPEN,
        trouble: Tell = untold,
    ) -> None:
        self._schedules = {schedule.name: schedule for schedule in schedules}
        if len(self._schedules) != len(schedules):
            raise ConfigError(f"schedule names must differ: {', '.join(sorted(s.name for s in schedules))}")
        self._now_called = now_called(schedules)
        self._runs = runs
        self._leader = leader
        self._stage = stage
        self._actor = actor
        self._clock = clock
        self._backoff = backoff
        self._gate = gate
        self._tell_trouble = trouble
        self._skips: dict[str, int] = {}  # due times in a row that found it running
        self._good: dict[str, dt.datetime] = {}  # when its last good run began; before the first, when we looked first
        self._told: set[tuple[str, str]] = set()  # kinds of trouble that last, by schedule
        self._busy = {name: trio.Lock() for name in self._schedules}
        self._last: dict[str, ScheduleRun] = {}
        self._due: dict[str, dt.datetime] = {}
        self._reign: _Reign | None = None
        self._reign_began = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run schedules whenever this process leads; finishes when the drain stage has begun."""
        with self._stage.member("scheduler"):
            task_status.started()
            with intake_open(self._stage):
                while True:
                    self._actor.state = State.STANDBY
                    await self._lead(await self._leader.elected())
        self._actor.state = State.FINISHED

    async def trigger(self, name: str, *, lead_s: float = 30.0) -> ScheduleRun:
        """Run a schedule now, after the run that is under way if there is one, and return the ended run.

        Raises Permanent for an unknown name and one that waits for what is not there yet, Transient when this process
        does not lead within `lead_s` or the platform drains. How the run ended is its status. Cancelled: the run itself
        goes on.
        """
        return await self.perform(self.named(name), lead_s=lead_s)

    async def perform(self, schedule: Schedule, *, lead_s: float = 30.0) -> ScheduleRun:
        """As `trigger`, of what is in no list: what people ask for. Its rows are there all the same, under its name."""
        self._busy.setdefault(schedule.name, trio.Lock())
        with trio.move_on_after(lead_s):
            with intake_open(self._stage):
                while self._reign is None:
                    await self._reign_began.wait()
        if self._reign is None or self._stage.begun.is_set():
            raise Transient(f"schedule {schedule.name} was not triggered: this process drains or does not lead")
        reign, ended = self._reign, trio.Event()
        run = self._new_run(schedule.name)

        async def execute() -> None:
            try:
                await self._execute(schedule, run, reign.term)
            finally:
                run.ended_at = run.ended_at or self._clock.now()  # cancelled while it waited for its turn
                ended.set()

        reign.nursery.start_soon(execute)
        await ended.wait()
        return run

    def prompt(self, name: str) -> bool:
        """Run a schedule soon, if this process leads, and do not wait for it; False: it does not. As `trigger` else."""
        schedule, reign = self.named(name), self._reign
        if reign is None or self._stage.begun.is_set():
            return False
        reign.nursery.start_soon(self._execute, schedule, self._new_run(schedule.name), reign.term)
        return True

    def named(self, name: str) -> Schedule:
        """The schedule that is called so, or was. Permanent: there is none, or it waits for what is not there yet."""
        name = self._now_called.get(name, name)
        if name not in self._schedules:
            raise Permanent(f"no schedule is called {name!r}; {there_are(self._schedules, name)}")
        if why := self._schedules[name].waits_for:
            raise Permanent(f"schedule {name} does nothing yet: it waits for {why}")
        return self._schedules[name]

    async def past(self, name: str, limit: int) -> list[dict[str, Any]]:
        """The newest runs of a schedule, see `shown`, by whichever process. Permanent: there is none of that name."""
        name = self._now_called.get(name, name)
        if name not in self._schedules:
            raise Permanent(f"no schedule is called {name!r}; {there_are(self._schedules, name)}")
        return [told for run in await self._runs.past(name, limit) if (told := shown(run))]

    def overview(self) -> list[dict[str, Any]]:
        """A line a schedule: name, cron, running, next_run (RFC 3339, None while not leading), last_run, how many due
        times in a row it missed since it was running, and what it waits for."""
        return [
            {
                "name": schedule.name,
                "cron": schedule.cron,
                "running": self._busy[schedule.name].locked(),
                "next_run": _rfc3339(self._due.get(schedule.name) if self._reign else None),
                "last_run": shown(self._last.get(schedule.name)),
                "skipped": self._skips.get(schedule.name, 0),
                "waits_for": schedule.waits_for or None,
            }
            for schedule in self._schedules.values()
        ]

    async def standing(self) -> list[dict[str, Any]]:
        """As `overview`; while another process leads, with the last runs that it has recorded. Raises Transient."""
        lines = self.overview()
        if self._reign:
            return lines
        last = {name: shown(run) for name, run in (await self._runs.last()).items()}
        return [
            line | {"last_run": (run := last.get(line["name"])), "running": bool(run and run["status"] == "RUNNING")}
            for line in lines
        ]

    async def _lead(self, term: int) -> None:
        """One term: take over what the last leader left, then keep every schedule until the term is over."""
        async with trio.open_nursery() as nursery:

            async def stop_when_deposed() -> None:
                await self._leader.deposed(term)
                nursery.cancel_scope.cancel()

            nursery.start_soon(stop_when_deposed)
            try:
                if await self._take_over(term):
                    self._reign = _Reign(term, nursery)
                    self._reign_began.set()
                    for schedule in self._schedules.values():
                        if not schedule.waits_for:
                            nursery.start_soon(self._keep, schedule, term, nursery)
                    while True:  # until the term is over or the drain cancels
                        self._actor.state = State.RUNNING if self._gate.is_open else State.PAUSED
                        await self._gate.changed.wait()
            finally:
                if self._reign is not None:
                    self._reign, self._reign_began = None, trio.Event()

    async def _take_over(self, term: int) -> bool:
        """Close runs of leaders that died and read the last runs; False when the term is over already."""
        failures = 0
        while self._leader.term == term:
            try:
                if stale := await self._runs.close_stale(term, self._clock.now()):
                    self._actor.erred(f"{stale} runs of a leader that went away were closed as CANCELLED")
                self._last = await self._runs.last()
                now = self._clock.now()
                stopped = now - max((min(run.started_at, now) for run in self._last.values()), default=now)
                good = {name: min(at, now - stopped) + stopped for name, at in (await self._runs.succeeded()).items()}
                self._good = dict.fromkeys(self._schedules, now) | good  # what nobody could run is no trouble
                self._skips, self._told = {}, set()
            except Transient as error:
                failures += 1
                self._actor.erred(error)
                await trio.sleep(self._backoff.delay_s(failures, self._clock.rng))
            else:
                return True
        return False

    async def _keep(self, schedule: Schedule, term: int, nursery: trio.Nursery) -> None:
        due = self._first_due(schedule)
        while due is not None:
            self._due[schedule.name] = due
            while (left_s := (due - self._clock.now()).total_seconds()) > 0:
                await trio.sleep(min(left_s, WALL_CLOCK_S))
                due = min(due, schedule.next_after(self._clock.now()) or due)  # later only if the clock was set back
                self._due[schedule.name] = due
            if not self._gate.is_open:
                self._good[schedule.name] = self._clock.now()  # what people want is no trouble
            elif self._busy[schedule.name].locked():
                self._skips[schedule.name] = self._skips.get(schedule.name, 0) + 1
                await self._look(schedule, due)
            else:
                self._skips[schedule.name] = 0
                await self._look(schedule, due)
                nursery.start_soon(self._execute, schedule, self._new_run(schedule.name), term)
            due = schedule.next_after(self._clock.now())

    async def _look(self, schedule: Schedule, due: dt.datetime) -> None:
        """At a due time: does it go as it should?"""
        if self._skips[schedule.name] == SKIPS_MAX:
            await self._tell(schedule, "SKIPPED", f"it still ran at {SKIPS_MAX} due times in a row")
        good = late = self._good[schedule.name] = min(self._good[schedule.name], due)
        for _ in range(PERIODS_MAX):
            late = schedule.next_after(late) or due
        if late < due:
            await self._tell(schedule, "NO_SUCCESS", f"no run since {good:%Y-%m-%d %H:%M}Z has succeeded")

    async def _tell(self, schedule: Schedule, kind: str, reason: str) -> None:
        if (kind, schedule.name) in self._told:
            return
        self._told.add((kind, schedule.name))
        try:
            with trio.fail_after(RECORD_S):
                await self._tell_trouble(Trouble(kind, schedule.name, self._clock.now(), reason))
        except (GccError, trio.TooSlowError) as error:
            self._told.discard((kind, schedule.name))
            self._actor.erred(f"{schedule.name}: nobody was told that {reason}: {one_line(error)}")

    def _first_due(self, schedule: Schedule) -> dt.datetime | None:
        now, last = self._clock.now(), self._last.get(schedule.name)
        if schedule.catch_up == "one" and last is not None:
            missed = schedule.next_after(min(last.started_at, now))  # a row may tell of any time, and calendars end
            if last.status == "CANCELLED" or (missed is not None and missed <= now):
                return now
        return schedule.next_after(now)

    def _new_run(self, name: str) -> ScheduleRun:
        return ScheduleRun(self._clock.new_id(), name, "RUNNING", self._clock.now())

    async def _execute(self, schedule: Schedule, run: ScheduleRun, term: int) -> None:
        """Run once and leave `run` ended, whatever happens."""
        run.status, run.detail = "CANCELLED", {"error": "cancelled"}  # unless something better follows
        async with self._busy[schedule.name]:
            self._last[schedule.name] = run
            self._actor.in_flight += 1
            run.started_at = self._clock.now()
            try:
                with bugs.parted(self._actor, schedule=schedule.name):
                    with trio.move_on_after(schedule.timeout_s) as limit:
                        await self._attempt(schedule, run, term)
                if limit.cancelled_caught:
                    self._fail(run, f"not done within {schedule.timeout_s:g} s; last error: {_error(run)}")
                    self._actor.erred(f"{schedule.name}: {_error(run)}")
            except LeaseLost as error:
                run.detail = {"error": one_line(error)}
            except GccError as error:
                self._actor.erred(f"{schedule.name}: {one_line(error)}")
                self._fail(run, one_line(error))
            except Exception as error:  # a schedule is like a message: its bug is its own, the others go on
                self._fail(run, bugs.told(self._actor, error, schedule=schedule.name))
            finally:
                self._actor.in_flight -= 1
                run.ended_at = self._clock.now()
                with trio.move_on_after(RECORD_S, shield=True):
                    await self._record_end(run)
        await self._after(schedule, run)

    async def _after(self, schedule: Schedule, run: ScheduleRun) -> None:
        if run.status == "COMPLETE":
            self._good[schedule.name] = run.started_at
            self._told -= {(kind, name) for kind, name in self._told if name == schedule.name}
        elif run.status == "FAILED":
            await self._tell(schedule, "FAILED", _error(run))

    async def _attempt(self, schedule: Schedule, run: ScheduleRun, term: int) -> None:
        """Try until it succeeds or fails for good; the caller's deadline bounds the tries."""
        failures, recorded = 0, False
        while True:
            try:
                if not recorded:
                    await self._runs.begin(run, term)
                    recorded = True
                run.detail = await schedule.run()
                run.status = "COMPLETE"
                self._actor.processed()
                return
            except Transient as error:
                failures += 1
                self._actor.erred(f"{schedule.name}: {one_line(error)}")
                run.detail = {"error": one_line(error)}
                await trio.sleep(error.retry_after_s or self._backoff.delay_s(failures, self._clock.rng))

    def _fail(self, run: ScheduleRun, error: str) -> None:
        run.status, run.detail = "FAILED", {"error": error}

    async def _record_end(self, run: ScheduleRun) -> None:
        """As far as it can be told: a detail that no store takes gives way to the reason."""
        for _ in range(2):
            try:
                await self._runs.end(run)
            except Transient as error:  # the row stays RUNNING until the next leader closes it
                self._actor.erred(error)
            except Exception as error:
                run.detail = {"error": bugs.told(self._actor, error, schedule=run.schedule)}
                continue
            return


def now_called(schedules: Sequence[Schedule]) -> dict[str, str]:
    """What schedules were called, where that means one of them alone."""
    names = [(was, schedule.name) for schedule in schedules for was in schedule.was]
    return {was: name for was, name in names if [each for each, _ in names].count(was) == 1}


def _error(run: ScheduleRun) -> str:
    return str((run.detail or {}).get("error", "none"))


def _rfc3339(at: dt.datetime | None) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def shown(run: ScheduleRun | None) -> dict[str, Any] | None:
    """A run as people see it: status, started_at, ended_at (RFC 3339) and detail."""
    if run is None:
        return None
    status = run.status if run.ended_at else "RUNNING"
    return {
        "status": status,
        "started_at": _rfc3339(run.started_at),
        "ended_at": _rfc3339(run.ended_at),
        "detail": run.detail,
    }
