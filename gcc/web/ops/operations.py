"""What people do to a running platform: pause, resume, change concurrency, add, retry and cancel jobs, replay, drain.

In: words of people. Out: overrides (which every process follows), moved jobs, replayed dead letters, a drain of this
process; and a row of the action log for each, with who and why. Permanent: it makes no sense, and the text says
what does. Transient: the database is away; what needs it was not done, or (retry, cancel, replay) not to its end.
"""

import uuid
from collections.abc import AsyncIterable, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import trio

from gcc.actors.controls import CONCURRENCY, LIMIT, PAUSE, Action, Controls
from gcc.actors.gates import Gates
from gcc.actors.scheduler import Scheduler, shown
from gcc.actors.sync import Sync
from gcc.channels.deadletters import UNROUTABLE, Document
from gcc.channels.jobs import CANCELLABLE, RETRYABLE, FoundJob, JobDetail, JobFilter, Jobs, JobStatus
from gcc.channels.letters import Letter, LetterFilter, Letters, Replayed, Waiting
from gcc.clock import Clock
from gcc.errors import Permanent, Transient, there_are
from gcc.pipelines.events.history import ImportReport
from gcc.pipelines.events.history_form import Form
from gcc.pipelines.events.pipeline import CONSUMERS
from gcc.pipelines.roles import Roles
from gcc.pipelines.scraping.adding import AddReport, Terms, add
from gcc.pipelines.scraping.flow import Flow
from gcc.pipelines.scraping.limiting import SetLimit, configured, meant
from gcc.pipelines.timetable import (
    ASSETS,
    BESIDE,
    MODEL_RUNS,
    OPERATIONAL,
    PRODUCERS_OF_INSTAGRAM,
    PRODUCERS_OF_YOUTUBE,
    ROWS,
    SCHEDULER,
    SYNCS,
    does,
)
from gcc.sources.limits import AnyLimit
from gcc.stores.erasures import Erased, PostgresErasures

COUNTED_MAX = 10_000  # of jobs that match: to count all costs the more the longer we run
RECORD_S = 2.0  # a drain does not wait longer for its row in the action log
KINDS = {
    row.name: kind
    for kind, rows in (
        ("Models", MODEL_RUNS),
        ("Producers of Instagram", PRODUCERS_OF_INSTAGRAM),
        ("Producers of YouTube", PRODUCERS_OF_YOUTUBE),
        ("Syncs", SYNCS),
        ("Media", ASSETS),
        ("Upkeep", OPERATIONAL),
        ("Beside them", BESIDE),
    )
    for row in rows
}
"""What kind of schedule each is, in words for people."""
DOES = {row.name: does(row) for row in ROWS}
SYNCED_BY = {row.what: row.name for row in SYNCS if row.kind == "sync"}
"""Synced table -> its schedule."""


@dataclass(frozen=True, slots=True)
class By:
    """Who does it, and why."""

    who: str
    why: str


class Operations:
    """`flows` are known ones; `pausable`: what people may name -> the actor that is paused. `schedulers`, `syncs`: none
    without the role analytics. `limits` as configured. `import_history(name, chunks, form, dry_run)`;
    `imported()` is told when one brought something."""

    def __init__(
        self,
        controls: Controls,
        jobs: Jobs,
        letters: Letters,
        gates: Gates,
        clock: Clock,
        *,
        roles: Roles,
        flows: Mapping[str, Flow],
        pausable: Mapping[str, str],
        schedulers: Sequence[Scheduler] = (),
        syncs: Sequence[Sync] = (),
        import_history: Callable[[str, AsyncIterable[bytes], Form, bool], Awaitable[ImportReport]] | None = None,
        limits: Mapping[str, AnyLimit] | None = None,
        erasures: PostgresErasures | None = None,
        imported: Callable[[], None] = lambda: None,
    ) -> None:
        self._controls = controls
        self._jobs = jobs
        self._letters = letters
        self._gates = gates
        self._clock = clock
        self.roles = roles
        self._flows = flows
        self._pausable = pausable
        self._schedulers = schedulers
        self._syncs = syncs
        self._import_history = import_history
        self._limits = limits or {}
        self._erasures = erasures
        self._imported = imported

    async def pause(self, what: str, by: By) -> str:
        """Let a flow, a queue's consumers or an actor take no new work, in every process; the actor's name."""
        actor = self._pausable.get(what)
        if actor is None:
            if what in KINDS:
                alone = f"alone by the setting analytics.schedules.{what} = 'by hand'"
                raise Permanent(f"schedule {what!r} is paused with all others: schedules pause --why WHY; {alone}")
            raise Permanent(f"there is no {what!r} to pause; {there_are(self._pausable, what)}")
        await self._override(PAUSE + actor, True, self._action("pause", actor, by))
        return actor

    async def resume(self, what: str, by: By) -> str:
        """End a pause, or (`what` is a role) let what was drained work again; the name of what goes on."""
        if what in self.roles.known:
            self.roles.resume(what)
            await self._note(self._action("resume", f"role {what}", by))
            return what
        paused = self._gates.paused()
        actor = self._pausable.get(what, what)
        if actor not in (*self._pausable.values(), *paused):
            there_is = f"paused: {', '.join(paused) or 'nothing'}; roles: {', '.join(self.roles.known)}"
            raise Permanent(f"there is no {what!r} to resume; {there_is}")
        await self._override(PAUSE + actor, None, self._action("resume", actor, by))
        return actor

    async def concurrency(self, flow: str, value: int | None, by: By) -> None:
        """How many jobs of `flow` run at once in each process; None: as configured."""
        if flow not in self._flows:
            raise Permanent(f"there is no flow {flow!r}; {there_are(self._flows, flow)}")
        action = self._action("concurrency", f"{flow} {value or 'default'}", by, detail={"value": value})
        await self._override(CONCURRENCY + flow, value, action)

    async def limit(self, name: str, calls: int | None, per_s: float | None, by: By) -> None:
        """How much a limit allows, in all processes at once, or a limit of one credential or app; None: as configured.

        Permanent: see `limiting.meant`.
        """
        if calls is None and per_s is None:
            value, words = None, "default"
            if LIMIT + name not in self._gates.overrides:  # else it is of another version, say, and has to go
                configured(name, self._limits)
        else:
            limit = meant(name, calls, per_s, self._limits)
            at = self._clock.now().isoformat(timespec="seconds")
            value, words = SetLimit(limit, by.who, by.why, at).value(), str(limit)
        action = self._action("limit", f"{name} {words}", by, detail=value)
        await self._override(LIMIT + name, value, action)

    async def would_move(self, verb: Literal["retry", "cancel"], wanted: JobFilter) -> int:
        """How many jobs match; a retry may move fewer, since it takes one job of each key."""
        await self._refuse_unknown(wanted)
        return await self._jobs.count(wanted, _movable(verb, wanted))

    async def move(self, verb: Literal["retry", "cancel"], wanted: JobFilter, by: By) -> int:
        """Retry or cancel the jobs that match; how many. The action's row is there before, and counts them after."""
        _movable(verb, wanted)
        await self._refuse_unknown(wanted)
        action = self._filtered(verb, "jobs", wanted, by)
        await self._controls.record(action)
        moved = await (self._jobs.retry(wanted) if verb == "retry" else self._jobs.cancel(wanted))
        await self._note(replace(action, things=moved))
        return moved

    async def add_jobs(
        self, flow: str, name: str, chunks: AsyncIterable[bytes], terms: Terms, dry_run: bool, by: By
    ) -> AddReport:
        """Add a job of `flow` for each row of a file; see `adding.add`. It is logged as `move` is."""
        if (row := self._flows.get(flow)) is None:
            raise Permanent(f"there is no flow {flow!r}; {there_are(self._flows, flow)}")
        if dry_run:
            return await add(self._jobs, row, chunks, terms, dry_run=True)
        terms.check()
        given = {"file": name, **{key: value for key, value in asdict(terms).items() if value is not None}}
        action = self._action("add", f"jobs flow={flow}", by, detail=given)
        await self._controls.record(action)
        report = await add(self._jobs, row, chunks, terms)
        counts = {"rows": report.rows, "known": report.known, "rejected": report.rejected_total}
        await self._note(replace(action, things=report.added, detail=given | counts))
        return report

    async def find(
        self, wanted: JobFilter, *, text: str | None = None, before: uuid.UUID | None = None
    ) -> tuple[list[FoundJob], dict[str, Any]]:
        """The newest jobs that match, at most `wanted.limit`, below the id `before`; and what there is beside them.

        `older`: read on below that id, if there may be more. `total`: how many match in all, COUNTED_MAX at most (there
        are more then); None with a text, which is looked for in a part of them.
        """
        await self._refuse_unknown(wanted)
        if text is not None:
            found, older = await self._jobs.search(wanted, text, before=before)
            return found, {"older": older, "total": None}
        found = await self._jobs.find(wanted, before=before)
        total = await self._jobs.count(replace(wanted, limit=COUNTED_MAX))
        return found, {"older": found[-1].id if len(found) == wanted.limit else None, "total": total}

    async def look(self, job_id: uuid.UUID) -> JobDetail:
        """One job, whole. Permanent: there is none of this id."""
        if (job := await self._jobs.look(job_id)) is None:
            raise Permanent(f"there is no job {job_id}")
        return job

    async def _refuse_unknown(self, wanted: JobFilter) -> None:
        """Of a flow that nobody knows here there may be jobs all the same: another version's."""
        if wanted.flow is None or wanted.flow in self._flows:
            return
        if not await self._jobs.count(JobFilter(flow=wanted.flow, limit=1)):
            raise Permanent(f"there is no flow {wanted.flow!r}, nor a job of it; {there_are(self._flows, wanted.flow)}")

    async def _refuse_unknown_queue(self, wanted: LetterFilter) -> None:
        known = wanted.queue is None or wanted.queue in CONSUMERS or wanted.queue == UNROUTABLE
        if not known and not (await self._letters.waiting(LetterFilter(queue=wanted.queue, limit=1))).letters:
            raise Permanent(f"no dead letter waits for a queue {wanted.queue!r}, and there is none of that name")

    async def find_letters(self, wanted: LetterFilter) -> tuple[list[Letter], Waiting]:
        """The newest dead letters that match, at most `wanted.limit`, and how many match in all."""
        await self._refuse_unknown_queue(wanted)
        return await self._letters.find(wanted), await self._letters.waiting(replace(wanted, limit=None))

    async def letter(self, letter_id: uuid.UUID) -> tuple[Letter, Document | None, str]:
        """See `Letters.read`."""
        return await self._letters.read(letter_id)

    async def would_replay(self, wanted: LetterFilter) -> Waiting:
        """How many a replay would send again."""
        _meant(wanted)
        await self._refuse_unknown_queue(wanted)
        return await self._letters.waiting(wanted)

    async def replay(self, wanted: LetterFilter, by: By) -> Replayed:
        """Send the letters that match to their queues again. Its row in the action log is as that of `move`."""
        _meant(wanted)
        await self._refuse_unknown_queue(wanted)
        action = self._filtered("replay", "dead letters", wanted, by)
        await self._controls.record(action)
        done = await self._letters.replay(wanted, by.who)
        counts = {"events": done.events, "unreadable": done.unreadable}
        await self._note(replace(action, things=done.letters, detail={**(action.detail or {}), **counts}))
        return done

    async def schedules(self) -> list[dict[str, Any]]:
        """A line a schedule, see `Scheduler.standing`, its `kind`, what it `does`, and whether all are `paused`; none
        without the role analytics."""
        lines = [line for scheduler in self._schedulers for line in await scheduler.standing()]
        is_paused = SCHEDULER in self._gates.paused()
        return [
            line | {"kind": KINDS.get(line["name"], "Others"), "does": DOES.get(line["name"]), "paused": is_paused}
            for line in lines
        ]

    async def past_runs(self, name: str, limit: int) -> list[dict[str, Any]]:
        """The newest runs of a schedule, see `Scheduler.past`."""
        return await self._scheduler().past(name, limit)

    def _scheduler(self) -> Scheduler:
        if not self._schedulers:
            raise Permanent("this process has no schedules: it lacks the role analytics")
        return self._schedulers[-1]

    async def run_schedule(self, name: str, by: By) -> dict[str, Any]:
        """Run a schedule now; the ended run. See `Scheduler.trigger`. Cancelled: the run goes on."""
        scheduler = self._scheduler()
        scheduler.named(name)
        await self._controls.record(self._action("run", f"schedule {name}", by))
        return {"name": name, **(shown(await scheduler.trigger(name)) or {})}

    async def synced(self) -> list[dict[str, Any]]:
        """A line a table, see `Sync.overview`, and the name of its `schedule`; none without the role analytics."""
        lines = [line for sync in self._syncs for line in await sync.overview()]
        return [line | {"schedule": SYNCED_BY.get(line["table"])} for line in lines]

    async def run_sync(self, table: str, by: By) -> dict[str, Any]:
        """Run the schedule that syncs this table; see `run_schedule`."""
        if table not in SYNCED_BY:
            raise Permanent(f"there is no synced table {table!r}; {there_are(SYNCED_BY, table)}")
        return {"table": table, **await self.run_schedule(SYNCED_BY[table], by)}

    async def accept_sync(self, table: str, by: By) -> dict[str, Any]:
        """Let the next run of a table through that a guard refused, and run it. Permanent: nothing was refused."""
        if not self._syncs:
            raise Permanent("this process syncs nothing: it lacks the role analytics")
        (sync,) = self._syncs
        await sync.accept(table, by.who)
        await self._note(self._action("accept", f"sync {table}", by))
        return await self.run_sync(table, by)

    async def noted(self, verb: str, target: str, by: By) -> None:
        """A row of the action log, for what is done next by somebody else."""
        await self._controls.record(self._action(verb, target, by))

    async def import_history(
        self, name: str, chunks: AsyncIterable[bytes], form: Form, dry_run: bool, by: By
    ) -> ImportReport:
        """Import a file of past snapshots; see `HistoryImport.run`. Its row in the action log is as that of `move`."""
        if self._import_history is None:
            raise Permanent("this process imports nothing")
        if dry_run:
            return await self._import_history(name, chunks, form, dry_run)
        given = {key: value for key, value in asdict(form).items() if value is not None}
        action = self._action("import", f"history {name}", by, detail=given)
        await self._controls.record(action)
        report = await self._import_history(name, chunks, form, dry_run)
        counts = {"rows": report.rows, "followed": report.followed, "rejected": report.rejected_total}
        await self._note(replace(action, things=report.imported, detail=given | counts))
        if report.imported:
            self._imported()
        return report

    async def erase(self, platform: str, profile: str, by: By) -> str:
        """Have a profile forgotten, which begins within minutes; its id. See `PostgresErasures.erase`."""
        if self._erasures is None:
            raise Permanent("this process forgets nobody")
        profile_id = await self._erasures.erase(platform.upper(), profile, who=by.who, why=by.why)
        await self._note(self._action("erase", f"{platform.upper()} {profile_id}", by))
        return profile_id

    async def erasures(self) -> list[Erased]:
        """Who is forgotten, or is to be, the newest first."""
        return await self._erasures.listed() if self._erasures else []

    async def actions(self, limit: int) -> list[Action]:
        """The action log, newest first."""
        return await self._controls.actions(limit)

    async def drain(self, role: str | None, by: By) -> None:
        """Ask the process, or one role of it, to finish. It does so also while the database is away."""
        self.roles.request_drain(role, f"asked for by {by.who}" + (f": {by.why}" if by.why else ""))
        await self._note(self._action("drain", f"role {role}" if role else "process", by))

    def _filtered(self, verb: str, what: str, wanted: JobFilter | LetterFilter, by: By) -> Action:
        """An action on what matches a filter, which its target has in words."""
        given = {name: value for name, value in asdict(wanted).items() if value is not None}
        words = [f"{name}={value}" for name, value in given.items() if name != "ids"]
        if wanted.ids is not None:
            words.append(f"{len(wanted.ids)} ids")
        return self._action(verb, " ".join([what, *words]), by, detail={"filter": _plain(given)})

    def _action(self, verb: str, target: str, by: By, detail: dict[str, Any] | None = None) -> Action:
        return Action(self._clock.new_id(), self._clock.now(), by.who, by.why, verb, target, detail=detail)

    async def _override(self, name: str, value: Any | None, action: Action) -> None:
        await self._controls.write(name, value, action)
        self._gates.woken()

    async def _note(self, action: Action) -> None:
        """Record what was done already; if the database is away, without."""
        with trio.move_on_after(RECORD_S):
            try:
                await self._controls.record(action)
            except Transient:
                return


def _movable(verb: str, wanted: JobFilter) -> Collection[JobStatus]:
    among = RETRYABLE if verb == "retry" else CANCELLABLE
    if not wanted.statuses(among):
        raise Permanent(f"{verb} is for jobs that are {', '.join(sorted(among))}, not {wanted.status}")
    if wanted == JobFilter(limit=wanted.limit):
        raise Permanent(f"{verb} of all jobs is not meant: name a flow, a status, a code, a key, ids or since")
    return among


def _meant(wanted: LetterFilter) -> None:
    if wanted == LetterFilter(limit=wanted.limit):
        raise Permanent("replay of all dead letters is not meant: name a queue, a reason, ids or since")


def _plain(value: Any) -> Any:
    """As JSON knows it."""
    match value:
        case dict():
            return {name: _plain(part) for name, part in value.items()}
        case list() | tuple():
            return [_plain(part) for part in value]
        case int() | None:
            return value
        case _:
            return str(value)
