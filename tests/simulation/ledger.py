"""The checkers: they are told of every change as it is made, and keep books of their own.

- an event is stored or dead-lettered before its frame is acknowledged, and none is emitted twice;
- a job's lease passes on only when it has ended, and only its holder ends the attempt, once;
- no source is called more often than its limit allows;
- no token of an insert is used for other content, and no event is stored with two contents;
- buffers stay within their bounds.

A complaint does not stop the run; the first ones are kept.
"""

import datetime as dt
import hashlib
import uuid
from collections import Counter, defaultdict, deque
from typing import Any

import msgspec
import trio

from gcc.channels.deadletters import Burial
from gcc.channels.memory import Channels
from gcc.channels.message import Frame
from gcc.sources.limits import Limit
from gcc.stores.jobs import Crawl, Job, JobStatus
from tests.fakes.database import Database, QueueRow
from tests.fakes.event_store import Insert

COMPLAINTS_KEPT = 20


class _Event(msgspec.Struct):
    event_id: str


_decode = msgspec.json.Decoder(_Event).decode


def ids_of(body: bytes) -> list[str]:
    return [_decode(line).event_id for line in body.split(b"\n")]


class Ledger:
    """`trace` holds a line for each step if `tracing`; `digest()` is of all steps, whether kept or not."""

    def __init__(self, database: Database, *, tracing: bool = False) -> None:
        self.complaints: list[str] = []
        self.trace: list[str] | None = [] if tracing else None
        self.counts: Counter[str] = Counter()
        self.peak_in_flight = 0
        self._database = database
        self._steps = hashlib.sha256()
        self._where: dict[str, str] = {}  # event_id -> "emitted" | "stored" | "buried"
        self._holders: dict[uuid.UUID, tuple[int, dt.datetime]] = {}  # job -> attempt, end of its lease
        self._healthy = False
        self._claimed_in_health: set[uuid.UUID] = set()
        self._calls: dict[tuple[int, str], deque[float]] = defaultdict(deque)
        database.watchers.append(self.changed)

    def complain(self, text: str) -> None:
        self.counts["complaints"] += 1
        if len(self.complaints) < COMPLAINTS_KEPT:
            self.complaints.append(f"at {trio.current_time():.3f}: {text}")

    def say(self, line: str) -> None:
        line = f"{trio.current_time():.6f} {line}"
        self._steps.update(line.encode())
        if self.trace is not None:
            self.trace.append(line)

    def digest(self) -> str:
        return self._steps.hexdigest()

    # the database

    def changed(self, what: str, of: Any) -> None:
        """A watcher of the database and of the event store."""
        self.counts[what] += 1
        match of:
            case Frame():
                self._emitted(of)
            case QueueRow():
                self.say(f"{what} {of.id} {of.queue} {of.deliveries}")
                if what == "acknowledged":
                    self._acknowledged(of)
            case Insert():
                self._inserted(what, of)
            case Burial():
                self._buried(of)
            case (Job() as job, _) | (Job() as job):
                self.say(f"{what} {job.id} {job.attempt} {job.status}")
                self._moved(what, job, of)

    def _emitted(self, frame: Frame) -> None:
        ids = ids_of(frame.body)
        self.say(f"emitted {frame.id} {frame.route.key} {len(ids)}")
        if len(ids) != frame.events:
            self.complain(f"frame {frame.id} says {frame.events} events and holds {len(ids)}")
        for event_id in ids:
            if event_id in self._where:
                self.complain(f"event {event_id} was emitted twice")
            self._where[event_id] = "emitted"

    def _acknowledged(self, row: QueueRow) -> None:
        for event_id in ids_of(row.frame.body):
            if self._where.get(event_id) not in ("stored", "buried"):
                self.complain(f"event {event_id} of {row.queue} was acknowledged before it was stored")

    def _inserted(self, what: str, insert: Insert) -> None:
        self.say(f"{what} {insert.table} {len(insert.rows)} {insert.token[:16]}")
        if what == "dropped" and not insert.same_content:
            self.complain(f"token {insert.token[:16]} of {insert.table} was used again for other content")
        if what == "stored":
            for event_id in insert.rows:
                if event_id not in self._where:
                    self.complain(f"event {event_id} was stored and never emitted")
                self._where[event_id] = "stored"

    def _buried(self, letter: Burial) -> None:
        self.say(f"buried {letter.queue} {letter.events}")
        for event_id in ids_of(letter.body):
            self._where[event_id] = "buried"

    # jobs

    def _moved(self, what: str, job: Job, of: Any) -> None:
        now = self._database.clock.now()
        holder = self._holders.get(job.id)
        match what:
            case "claimed":
                if holder is not None:
                    self.complain(f"job {job.id} was claimed while attempt {holder[0]} had it")
                self._holders[job.id] = (job.attempt, self._lease_end(job, now))
                if self._healthy:
                    self._claimed_in_health.add(job.id)
                self.peak_in_flight = max(self.peak_in_flight, len(self._holders))
            case "extended":
                self._holders[job.id] = (job.attempt, self._lease_end(job, now))
            case "rescued":
                if holder is not None and holder[1] >= now:
                    self.complain(f"job {job.id} was rescued although attempt {holder[0]} has its lease")
                if job.id in self._claimed_in_health:
                    self.complain(f"job {job.id} lost its lease though its process lived and nothing failed")
                self._holders.pop(job.id, None)
            case "cancelled":
                self._holders.pop(job.id, None)
            case "completed" | "failed" | "released":
                if holder is None or holder[0] != job.attempt:
                    self.complain(f"job {job.id} was {what} by attempt {job.attempt}, which does not have it")
                if isinstance(of, tuple) and isinstance(of[1], Crawl) and job.status is not JobStatus.COMPLETE:
                    self.complain(f"job {job.id} is {job.status} after its completion")
                self._holders.pop(job.id, None)

    def _lease_end(self, job: Job, now: dt.datetime) -> dt.datetime:
        return self._database.jobs[job.id].lease_until or now

    def healed(self) -> None:
        """From now on nothing fails: no lease may be lost any more, but for those of attempts that are dead."""
        self.say("healed")
        self._healthy = True

    def cut_off(self) -> None:
        """The grace of a drain was over: what its processes still had is lost, rightly."""
        self._claimed_in_health.clear()

    def lease_was_ended(self, job_id: uuid.UUID) -> None:
        """A fault ended it."""
        if job_id in self._holders:
            attempt, _ = self._holders[job_id]
            self._holders[job_id] = (attempt, dt.datetime.min.replace(tzinfo=dt.UTC))

    # the outside, and buffers

    def called(self, process: int, source: str, limit: Limit) -> None:
        """Process `process` asks `source` now."""
        now, calls = trio.current_time(), self._calls[process, source]
        while calls and now - calls[0] >= limit.per_s - 1e-6:
            calls.popleft()
        calls.append(now)
        if len(calls) > limit.calls:
            self.complain(f"{len(calls)} calls of {source} within {limit.per_s:g} s; its limit is {limit.calls}")

    def look_at(self, channels: Channels) -> None:
        for use in channels.uses():
            if use.used > use.size:
                self.complain(f"channel {use.name} holds {use.used} of {use.size}")

    # the end

    def close(self) -> None:
        """Nothing is on its way any more: what was emitted is stored, and what was counted was emitted."""
        lost = [event_id for event_id, where in self._where.items() if where == "emitted"]
        if lost:
            self.complain(f"{len(lost)} events are nowhere, {lost[0]} is one")
        if buried := len(self._database.dead_letters):
            self.complain(f"{buried} healthy frames were dead-lettered")
        if self._holders:
            self.complain(f"{len(self._holders)} attempts never ended")
