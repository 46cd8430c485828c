"""Terms and schedule runs in memory, on Trio's clock. They pass the contract tests of the real ones."""

import datetime as dt
import uuid
from dataclasses import dataclass, replace

import trio

from gcc.actors.scheduler import ScheduleRun
from gcc.errors import LeaseLost, Transient


@dataclass
class _Term:
    holder: str
    term: int
    until: float


class FakeLeadership:
    """`away` makes every call fail as Transient, `silent` makes it never answer."""

    def __init__(self) -> None:
        self.terms: dict[str, _Term] = {}
        self.away = False
        self.silent = False

    async def campaign(self, name: str, holder: str, *, ttl_s: float) -> int | None:
        await self._answers()
        now = trio.current_time()
        held = self.terms.get(name)
        if held is None:
            held = self.terms[name] = _Term(holder, 1, now)
        elif held.until > now and held.holder != holder:
            return None
        elif held.until <= now or held.holder != holder:
            held.term += 1
        held.holder, held.until = holder, now + ttl_s
        return held.term

    async def resign(self, name: str, holder: str, term: int) -> None:
        await self._answers()
        held = self.terms.get(name)
        if held and (held.holder, held.term) == (holder, term):
            held.until = min(held.until, trio.current_time())

    def holds(self, name: str, term: int) -> bool:
        held = self.terms.get(name)
        return held is not None and held.term == term and held.until > trio.current_time()

    async def _answers(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.silent:
            await trio.sleep_forever()
        if self.away:
            raise Transient("the store is away")


class FakeScheduleRuns:
    def __init__(self, leadership: FakeLeadership, *, leader: str) -> None:
        self.rows: dict[uuid.UUID, ScheduleRun] = {}
        self.away = False
        self._leadership = leadership
        self._leader = leader

    async def begin(self, run: ScheduleRun, term: int) -> None:
        await self._answers()
        if not self._leadership.holds(self._leader, term):
            raise LeaseLost("the term is over")
        if run.id in self.rows and self.rows[run.id].status != "RUNNING":
            raise LeaseLost("somebody has closed it")
        self.rows[run.id] = replace(run, status="RUNNING", ended_at=None, detail=None)

    async def end(self, run: ScheduleRun) -> None:
        await self._answers()
        if run.id in self.rows and self.rows[run.id].status == "RUNNING":
            self.rows[run.id] = replace(run, detail=dict(run.detail or {}))

    async def close_stale(self, term: int, now: dt.datetime) -> int:
        await self._answers()
        stale = [run for run in self.rows.values() if run.status == "RUNNING"]
        if not self._leadership.holds(self._leader, term):
            return 0
        for run in stale:
            run.status, run.ended_at, run.detail = "CANCELLED", now, {"error": "its leader went away"}
        return len(stale)

    async def last(self) -> dict[str, ScheduleRun]:
        await self._answers()
        by_start = sorted(self.rows.values(), key=lambda run: run.started_at)
        return {run.schedule: replace(run) for run in by_start}

    async def past(self, schedule: str, limit: int) -> list[ScheduleRun]:
        await self._answers()
        by_start = sorted(self.rows.values(), key=lambda run: (run.started_at, run.id), reverse=True)
        return [replace(run) for run in by_start if run.schedule == schedule][:limit]

    async def succeeded(self) -> dict[str, dt.datetime]:
        await self._answers()
        good = sorted((run for run in self.rows.values() if run.status == "COMPLETE"), key=lambda run: run.started_at)
        return {run.schedule: run.started_at for run in good}

    async def _answers(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.away:
            raise Transient("the store is away")
