"""The checkers: they are told of every change as it is made, and keep books of their own.

- an event is stored or dead-lettered before its frame is acknowledged, and none is emitted twice;
- a job's lease passes on only when it has ended, and only its holder ends the attempt, once;
- what others send is stored or refused line by line: no event for its neighbours, no garbage unseen, none twice;
- good events do not wait for bad ones; none is dead-lettered; none is published again and again;
- each question to the scorer has its answers, each the same however often it is emitted (followers.py);
- a job that stumbles over a bug ends as that, after all its attempts, and no other does;
- no token of an insert is used for other content, and no event is stored with two contents;
- a sheet is stored, at least its header, before its job is told to be over;
- buffers stay within their bounds.

A complaint does not stop the run; the first ones are kept.
"""

import datetime as dt
import hashlib
import uuid
from collections import Counter, defaultdict
from typing import Any

import msgspec
import trio

from gcc.channels.deadletters import Burial
from gcc.channels.jobs import Crawl, Failure, Job, JobStatus
from gcc.channels.memory import Channels
from gcc.channels.message import Frame
from gcc.pipelines.events.check import QUEUES
from gcc.pipelines.events.routes import ACCESS_TOKEN_EXPIRED, CREATOR_OUT
from gcc.pipelines.events.types import ERROR_TABLE
from gcc.pipelines.scraping.table import FLOWS
from gcc.pipelines.scraping.yields import EXPORT
from tests.fakes.database import Database, QueueRow
from tests.fakes.event_store import Insert
from tests.fakes.objects import MemoryObjects
from tests.simulation.examples import ends_as
from tests.simulation.followers import QUEUE as FOLLOWERS
from tests.simulation.followers import Followers
from tests.simulation.poison import Foreign
from tests.simulation.world import ATTEMPTS_MAX

COMPLAINTS_KEPT = 20
HELD_UP_S = 300.0  # in the outbox, and from a queue to its acknowledgement, where nothing fails
PUBLISHED_MAX = 10  # in place of the once that is usual; 5 were the most of 34 seeds
CALM_S = 60.0  # longer than any attempt that began before all was well
ANSWER_S = 15.0  # so long a source is waited for


class _Event(msgspec.Struct):
    event_id: str


_decode = msgspec.json.Decoder(_Event).decode


def ids_of(body: bytes) -> list[str]:
    return [_decode(line).event_id for line in body.split(b"\n")]


class Ledger:
    """`trace` holds a line for each step if `tracing`; `digest()` is of all steps, whether kept or not."""

    def __init__(
        self, database: Database, objects: MemoryObjects, *, alone: bool = False, tracing: bool = False
    ) -> None:
        self.complaints: list[str] = []
        self.trace: list[str] | None = [] if tracing else None
        self.counts: Counter[str] = Counter()
        self.peak_in_flight = 0
        self._database = database
        self._objects = objects
        self._alone = alone  # those who scrape are switched off
        self._steps = hashlib.sha256()
        self._where: dict[str, str] = {}  # event_id -> "emitted" | "stored" | "buried"
        self._holders: dict[uuid.UUID, tuple[int, dt.datetime]] = {}  # job -> attempt, end of its lease
        self._healthy = False
        self._healed_at = float("inf")
        self._claimed_in_health: set[uuid.UUID] = set()
        self._foreign: dict[tuple[str, uuid.UUID], Foreign] = {}  # by queue and frame
        self._refused: dict[tuple[str, uuid.UUID], set[bytes]] = defaultdict(set)  # lines of those
        self._errors: dict[str, tuple[str, uuid.UUID, bytes]] = {}  # rows of error_event that are due: of which line
        self._excused: set[tuple[str, uuid.UUID]] = set()  # foreign ones in queues that were deleted, or that met a Bug
        self._spent: set[str] = set()  # events of ours in such, of counted types
        self._queued_at: dict[tuple[str, uuid.UUID], float] = {}
        self._last_queued_at: dict[str, float] = {}  # by queue
        self._published: Counter[uuid.UUID] = Counter()
        self.forgive_publishing = False
        self.followers = Followers(self._where, self.complain)
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
                match what:
                    case "acknowledged":
                        self._acknowledged(of)
                    case "relayed" | "queued":
                        self._queued(of)
                    case "deleted":
                        self._deleted(of)
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
        for event_id, line in zip(ids, frame.body.split(b"\n"), strict=True):
            if frame.route == CREATOR_OUT:
                self.followers.emitted(event_id, line)
                continue
            if event_id in self._where:
                self.complain(f"event {event_id} was emitted twice")
            self._where[event_id] = "emitted"

    def _queued(self, row: QueueRow) -> None:
        self._queued_at[row.queue, row.frame.id] = self._last_queued_at[row.queue] = trio.current_time()
        by_us = row.frame.counted != 0  # others may say the same as often as they like
        self._published[row.frame.id] += by_us and not self.forgive_publishing
        if self._published[row.frame.id] == PUBLISHED_MAX:
            self.complain(f"frame {row.frame.id} was published {PUBLISHED_MAX} times")

    def _deleted(self, row: QueueRow) -> None:
        """With its queue, by people: nobody else is to blame."""
        self._spend(row.queue, row.frame, row.frame.body, "deleted")

    def _spend(self, queue: str, frame: Frame, body: bytes, what: str) -> None:
        """Of the events in `body`, those that are not stored will not be, and of garbage nothing is expected."""
        of = (queue, frame.id)
        if foreign := self._foreign.get(of):
            self._excused.add(of)
        for event_id in foreign.good if foreign else ids_of(body):
            if self._where[event_id] == "emitted":
                self._where[event_id] = what
                if not foreign and queue in QUEUES:
                    self._spent.add(event_id)

    def _acknowledged(self, row: QueueRow) -> None:
        since = max(self._healed_at, self._queued_at[row.queue, row.frame.id])
        if (waited_s := trio.current_time() - since) > HELD_UP_S:
            self.complain(f"frame {row.frame.id} was {waited_s:.0f} s in {row.queue} though nothing failed")
        if row.queue == FOLLOWERS:
            self.followers.acknowledged(row.frame)
            return
        if foreign := self._foreign.get((row.queue, row.frame.id)):
            self._refusals_done(foreign)
            return
        for event_id in ids_of(row.frame.body):
            if self._where.get(event_id) not in ("stored", "buried"):
                self.complain(f"event {event_id} of {row.queue} was acknowledged before it was stored")

    def _inserted(self, what: str, insert: Insert) -> None:
        self.say(f"{what} {insert.table} {len(insert.rows)} {insert.token[:16]}")
        if what == "dropped" and not insert.same_content:
            self.complain(f"token {insert.token[:16]} of {insert.table} was used again for other content")
        if what == "stored":
            for event_id in insert.rows:
                if insert.table == ERROR_TABLE and event_id in self._errors:
                    queue, frame_id, line = self._errors[event_id]
                    self._refused[queue, frame_id].add(line)
                    continue
                if event_id not in self._where:
                    self.complain(f"event {event_id} was stored and never emitted")
                self._where[event_id] = "stored"

    def _buried(self, letter: Burial) -> None:
        self.say(f"buried {letter.queue} {letter.events} {letter.reason}")
        if letter.frame.route == ACCESS_TOKEN_EXPIRED:  # who listens to it is outside of all this
            self._where.update(dict.fromkeys(ids_of(letter.body), "buried"))
            return
        if letter.queue == FOLLOWERS:
            self.followers.buried(letter)
            return
        if not letter.reason:
            self.complain(f"a letter of frame {letter.frame.id} has no reason")
        of = (letter.queue, letter.frame.id)
        if (foreign := self._foreign.get(of)) is None or "Bug: simulated" in letter.reason:
            if "Bug: simulated" not in letter.reason:
                self.complain(f"a healthy frame of {letter.queue} was dead-lettered: {letter.reason}")
            self._spend(letter.queue, letter.frame, letter.body, "buried")
            return
        for line in [letter.body] if letter.body in foreign.bad else letter.body.split(b"\n"):
            if line not in foreign.bad:
                self.complain(f"a good event of {of} was dead-lettered: {line[:80]!r}: {letter.reason}")
            if line in self._refused[of] and of not in self._excused:
                self.complain(f"a line of {of} was dead-lettered twice: {line[:80]!r}: {letter.reason}")
            self._refused[of].add(line)

    # what others send

    def expect(self, foreign: Foreign) -> None:
        """It is about to be sent."""
        of = (foreign.queue, foreign.frame.id)
        self.say(f"foreign {of} {len(foreign.good)} {len(foreign.bad)}")
        self._foreign[of] = foreign
        self._where.update(dict.fromkeys(foreign.good, "emitted"))
        self._errors.update({event_id: (*of, line) for event_id, line in foreign.errors.items()})

    def foreign_events(self) -> set[str]:
        """The ids of all good ones."""
        return {event_id for foreign in self._foreign.values() for event_id in foreign.good}

    def spent_events(self) -> int:
        """How many of ours people have thrown away, or a simulated bug."""
        return sum(self._where[event_id] != "stored" for event_id in self._spent)

    def _refusals_done(self, foreign: Foreign) -> None:
        of = (foreign.queue, foreign.frame.id)
        if of in self._excused:
            return
        if left := foreign.bad - self._refused[of]:
            self.complain(f"{len(left)} lines of {of} vanished, one is {min(left)[:80]!r}")
        if left := [event_id for event_id in foreign.good if self._where[event_id] != "stored"]:
            self.complain(f"{len(left)} good events of {of} vanished, one is {min(left)}")

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
                self._sheet_is_there(job, of)
                match of:
                    case (_, Crawl()) if job.status is not JobStatus.COMPLETE or self._ends_as(job):
                        self.complain(f"job {job.id} of {job.flow} {job.params} is {job.status} after its completion")
                    case (_, Failure() as failure) if job.status is JobStatus.FAILED:
                        self._given_up(job, failure)
                self._holders.pop(job.id, None)

    def _sheet_is_there(self, job: Job, of: Any) -> None:
        """A flow that stores one has done so when the job is told to be over, even if nobody may show what is in it."""
        header = FLOWS[job.flow].header
        match of:
            case (_, Crawl()) | (_, Failure(code="NOT_VISIBLE" | "NEEDS_OWNER" | "SOURCE_NOT_ENABLED")) if header:
                stored = self._objects.held(EXPORT.format(job=job.id)) or b""
                if not stored.startswith(",".join(header).encode()):
                    self.complain(f"job {job.id} of {job.flow} is {job.status}, its sheet begins with {stored[:80]!r}")

    def _given_up(self, job: Job, failure: Failure) -> None:
        """A bug, or a source that fails, costs its own job ATTEMPTS_MAX attempts; and nobody else's any."""
        expected = self._ends_as(job)
        told = f"job {job.id} of {job.flow} {job.params} ended with {failure.code} ({failure.reason})"
        # Who was asked before healing, and does not answer, is waited for until after it.
        healthy = self._healthy and trio.current_time() > self._healed_at + ANSWER_S
        troubled = not healthy and (failure.code == "SOURCE_FAILED" or "simulated" in failure.reason)
        troubled |= not healthy and failure.code == "CREDENTIAL_DEAD"  # it was not renewed in time
        if failure.code != expected and not troubled:
            self.complain(f"{told} instead of {expected or 'COMPLETE'}")
        if failure.code in ("BUG", "SOURCE_FAILED") and job.retry_count != ATTEMPTS_MAX:
            self.complain(f"{told} after {job.retry_count} failures")

    def _ends_as(self, job: Job) -> str:
        return ends_as(job, alone=self._alone)

    def _lease_end(self, job: Job, now: dt.datetime) -> dt.datetime:
        return self._database.jobs[job.id].lease_until or now

    def healed(self) -> None:
        """From now on nothing fails: no lease may be lost any more, but for those of attempts that are dead."""
        self.say("healed")
        self._healthy = True
        self._healed_at = trio.current_time()

    def queued_since_healed(self, queue: str) -> bool:
        """Whether a frame came into it that its consumer could try."""
        return self._last_queued_at.get(queue, 0.0) > self._healed_at

    def cut_off(self) -> None:
        """The grace of a drain was over: what its processes still had is lost, rightly."""
        self._claimed_in_health.clear()

    def lease_was_ended(self, job_id: uuid.UUID) -> None:
        """A fault ended it."""
        if job_id in self._holders:
            attempt, _ = self._holders[job_id]
            self._holders[job_id] = (attempt, dt.datetime.min.replace(tzinfo=dt.UTC))

    # buffers

    @property
    def is_calm(self) -> bool:
        """Nothing has failed for a while."""
        return self._healthy and trio.current_time() > self._healed_at + CALM_S

    def look_at(self, channels: Channels) -> None:
        for use in channels.uses():
            if use.used > use.size:
                self.complain(f"channel {use.name} holds {use.used} of {use.size}")

    def look_at_outbox(self) -> None:
        """Where nothing fails."""
        if outbox := self._database.outbox:
            age_s = (self._database.clock.now() - outbox[0].created_at).total_seconds()
            waited_s = min(age_s, trio.current_time() - self._healed_at)
            if waited_s > HELD_UP_S:
                self.complain(f"frame {outbox[0].frame.id} was {waited_s:.0f} s in the outbox though nothing failed")

    # the end

    def close(self) -> None:
        """Nothing is on its way any more: what was emitted is stored, and what was counted was emitted."""
        lost = [event_id for event_id, where in self._where.items() if where == "emitted"]
        if lost:
            self.complain(f"{len(lost)} events are nowhere, {lost[0]} is one")
        for foreign in self._foreign.values():
            self._refusals_done(foreign)
        self.followers.close()
        if self._holders:
            self.complain(f"{len(self._holders)} attempts never ended")
