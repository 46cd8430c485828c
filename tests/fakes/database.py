"""What a database remembers, in memory (`Database`), and one process's way to it (`Connection`).

The database outlives the processes that use it, like the real one. A change is made between two checkpoints, so
it is whole or it is not; a connection may break before the change (nothing happened) or after it (it happened,
the caller is not told). Beside the rows it keeps indexes, so that no call looks at rows it has no business with:
`place`, `lease` and the methods of `Line` keep them right: nothing else sets a status, due_at or lease_until.

Watchers are told of each change while it is made; one that raises does so out of the very step that was wrong:

    enqueued        Job             a new row
    raised          Job             an unfinished job was wanted again, more urgently
    claimed         Job             its new attempt has the lease
    completed       (Job, Crawl)
    failed          (Job, Failure)  PENDING again or FAILED
    released        Job             given back by its holder
    extended        Job             its holder prolonged the lease
    rescued         Job             its lease ended: PENDING again or FAILED
    expired         Job
    retried         Job             by hand: PENDING again
    cancelled       Job             by hand
    emitted         Frame           into the outbox
    relayed         QueueRow        into a queue (out of the outbox: told once for each bound queue)
    taken           list[QueueRow]  leased to one consumer by one take
    duplicated      QueueRow        a fault: ready again although its lease lives; told before `taken`
    acknowledged    QueueRow        gone
    given back      QueueRow        ready again
    buried          Burial          a new letter; of queue "unroutable": its frame has left the outbox
    replayed        Letter          its frame was emitted again, to its queue

Jobs are told of as they are after the change. Calls that change nothing (a lease that is over, a burial done
again) are not told of. FakeEventStore has watchers of its own.
"""

import datetime as dt
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import psycopg
import trio
from psycopg.errors import ReadOnlySqlTransaction

from gcc.channels.deadletters import Burial, letter_id
from gcc.channels.jobs import FINAL, Job, JobStatus
from gcc.channels.letters import Letter
from gcc.channels.message import Frame, Route
from gcc.channels.referrals import Referral
from gcc.clock import Clock
from gcc.errors import Transient
from gcc.stores.postgres import transient
from gcc.tables import Row
from tests.fakes.pile import Pile

T = TypeVar("T")
PLACE = "simulated postgres"
Watcher = Callable[[str, Any], None]


async def steady() -> None:
    """A connection that never breaks."""
    await trio.lowlevel.checkpoint()


@dataclass(eq=False, slots=True)
class JobRow:
    job: Job
    key: str
    due_at: dt.datetime
    lease_until: dt.datetime | None = None
    data: dict[str, Any] | None = None
    events: int = 0
    lost: int = 0  # times its lease ended without a word


class OutboxRow(NamedTuple):
    frame: Frame
    created_at: dt.datetime


@dataclass(eq=False, slots=True)
class QueueRow:
    """`created_at` is when the frame was committed to the outbox; `lease_until` None: nobody has it."""

    id: int
    queue: str
    frame: Frame
    created_at: dt.datetime
    lease_until: dt.datetime | None = None
    deliveries: int = 0


class Line:
    """The index of one queue: its rows by what comes next for them, and its depth in events."""

    def __init__(self) -> None:
        self.ready: Pile[QueueRow] = Pile()  # by id
        self.leased: Pile[QueueRow] = Pile()  # by lease_until
        self.delayed: Pile[QueueRow] = Pile()  # by when they get ready
        self.all: Pile[QueueRow] = Pile()  # by created_at
        self.events = 0
        self.held = 0  # the part of `events` that is leased

    def add(self, row: QueueRow, ready_at: dt.datetime | None = None) -> None:
        self.all.put(row, row.created_at)
        self.events += row.frame.events
        if ready_at is None:
            self.ready.put(row, row.id)
        else:
            self.delayed.put(row, ready_at)

    def lease(self, row: QueueRow, until: dt.datetime) -> None:
        """Only of a ready row."""
        self.ready.remove(row)
        self.leased.put(row, until)
        row.lease_until = until
        row.deliveries += 1
        self.held += row.frame.events

    def end_lease(self, row: QueueRow) -> None:
        if row.lease_until is not None:
            row.lease_until = None
            self.held -= row.frame.events
            self.leased.remove(row)
            self.ready.put(row, row.id)

    def remove(self, row: QueueRow) -> None:
        self.end_lease(row)
        self.ready.remove(row)
        self.all.remove(row)
        self.events -= row.frame.events

    def ripen(self, now: dt.datetime) -> None:
        """Make ready what was leased or delayed until before `now`."""
        for row in self.leased.pop_while(lambda until: until < now):
            self.end_lease(row)
        for row in self.delayed.pop_while(lambda ready_at: ready_at < now):
            self.ready.put(row, row.id)


@dataclass
class Database:
    """All rows, finished jobs until they are pruned, and their indexes. `clock` is the database's: leases go by it."""

    clock: Clock
    watchers: list[Watcher] = field(default_factory=list)
    jobs: dict[uuid.UUID, JobRow] = field(default_factory=dict)
    events: int = 0  # the sum of `events` of all jobs, of those that were pruned, too
    pruned: Counter[str] = field(default_factory=Counter)  # status -> jobs
    tables: defaultdict[str, dict[tuple[Any, ...], Row]] = field(default_factory=lambda: defaultdict(dict))
    outbox: deque[OutboxRow] = field(default_factory=deque)
    routes: dict[Route, list[str]] = field(default_factory=dict)  # the queues bound to it, ordered
    queues: dict[int, QueueRow] = field(default_factory=dict)
    dead_letters: dict[uuid.UUID, Burial] = field(default_factory=dict)
    letters: dict[uuid.UUID, Letter] = field(default_factory=dict)  # the same, as people see them
    referrals: dict[str, Referral] = field(default_factory=dict)  # by event_id
    sequence: int = 0

    # indexes
    unfinished: dict[str, JobRow] = field(default_factory=dict)  # by key; empty: every job has ended
    due: defaultdict[str, Pile[JobRow]] = field(default_factory=lambda: defaultdict(Pile))  # of a flow, by urgency
    later: defaultdict[str, Pile[JobRow]] = field(default_factory=lambda: defaultdict(Pile))  # of a flow, by due_at
    leased: Pile[JobRow] = field(default_factory=Pile)  # by lease_until
    expiring: Pile[JobRow] = field(default_factory=Pile)  # PENDING ones by expires_at
    lines: defaultdict[str, Line] = field(default_factory=lambda: defaultdict(Line))  # of a queue

    def tell(self, what: str, of: Any) -> None:
        for watcher in self.watchers:
            watcher(what, of)

    def place(self, row: JobRow) -> None:
        """Put a job where its status says; to be called after a change of its status, due_at or priority."""
        job = row.job
        for pile in (self.due[job.flow], self.later[job.flow], self.leased, self.expiring):
            pile.remove(row)
        if job.status is JobStatus.PENDING:
            self.later[job.flow].put(row, row.due_at)
            self.expiring.put(row, job.expires_at)
        elif job.status is JobStatus.PROCESSING:
            self.leased.put(row, row.lease_until)
        if job.status in FINAL:
            self.unfinished.pop(row.key, None)
        else:
            self.unfinished[row.key] = row

    def prune(self, row: JobRow) -> None:
        """Delete a job that has ended; its counts stay."""
        assert row.job.status in FINAL
        del self.jobs[row.job.id]
        self.pruned[row.job.status.value] += 1

    def lease(self, row: JobRow, until: dt.datetime) -> None:
        """Only of a PROCESSING row: another end of its lease."""
        row.lease_until = until
        self.leased.put(row, until)

    def due_now(self, flow: str) -> Pile[JobRow]:
        """The PENDING jobs of `flow` that are due, most urgent first; some may be past their expiry."""
        due, now = self.due[flow], self.clock.now()
        for row in self.later[flow].pop_while(lambda due_at: due_at <= now):
            due.put(row, (-row.job.priority, row.due_at, row.job.id.int))  # a UUID compares slowly
        return due

    def emit(self, frames: Iterable[Frame]) -> None:
        """Put frames into the outbox, as part of the change that is being made."""
        now = self.clock.now()
        for frame in frames:
            self.outbox.append(OutboxRow(frame, now))
            self.tell("emitted", frame)

    def queue(self, frame: Frame, queue: str, created_at: dt.datetime, ready_at: dt.datetime | None = None) -> None:
        """Put a frame into a queue; `ready_at`: not before."""
        self.sequence += 1
        row = QueueRow(self.sequence, queue, frame, created_at)
        self.queues[row.id] = row
        self.lines[queue].add(row, ready_at)
        self.tell("relayed", row)

    def queues_of(self, route: Route) -> Sequence[str]:
        """Where frames of `route` go: exchange '' leads to the queue that the key names."""
        if route.exchange == "":
            return [route.key] if any(route.key in queues for queues in self.routes.values()) else ()
        found = {
            queue
            for binding, queues in self.routes.items()
            if binding.exchange == route.exchange and matches(binding.key, route.key)
            for queue in queues
        }
        return sorted(found)

    def bury(self, letter: Burial) -> None:
        """Keep a dead letter, once."""
        key = letter_id(letter.queue, letter.frame.id, letter.body)
        if key not in self.dead_letters:
            self.dead_letters[key] = letter
            route = letter.frame.route
            self.letters[key] = Letter(
                key, self.clock.now(), letter.queue, route.exchange, route.key, letter.frame.id, letter.events,
                letter.reason, str(key),
            )  # fmt: skip
            self.tell("buried", letter)


class Connection:
    """One process's way to the database; `before` and `after` may sleep, and raise what psycopg raises.

    That becomes ours as in a real pool. `read_only` True: the database is a standby by now, and takes no change.
    """

    def __init__(
        self,
        database: Database,
        before: Callable[[], Awaitable[None]] = steady,
        after: Callable[[], Awaitable[None]] = steady,
        read_only: Callable[[], bool] = lambda: False,
    ) -> None:
        self.database = database
        self.before = before
        self.after = after
        self.read_only = read_only
        self._killed = False

    async def commit(self, change: Callable[[], T]) -> T:
        """Run `change` at once, with the network's two chances to fail around it."""
        try:
            await self._reach()
            if self.read_only():
                raise ReadOnlySqlTransaction("cannot execute UPDATE in a read-only transaction")
            result = change()
            await self.after()
        except psycopg.Error:
            with transient(PLACE):
                raise
        return result

    async def read(self, look: Callable[[], T]) -> T:
        """What `look` finds, with the same chances to fail; a standby answers, too."""
        try:
            await self._reach()
            result = look()
            await self.after()
        except psycopg.Error:
            with transient(PLACE):
                raise
        return result

    async def _reach(self) -> None:
        await self.before()
        if self._killed:
            raise Transient("the process was killed: it reaches the database no more")

    def kill(self) -> None:
        """The process is dead: whatever its tasks still try, shielded or not, changes nothing."""
        self._killed = True


@lru_cache
def matches(pattern: str, key: str) -> bool:
    """AMQP's topics: '*' is one word, '#' any number of them."""

    def match(words: list[str], key_words: list[str]) -> bool:
        if not words:
            return not key_words
        if words[0] == "#":
            return any(match(words[1:], key_words[skip:]) for skip in range(len(key_words) + 1))
        return bool(key_words) and words[0] in ("*", key_words[0]) and match(words[1:], key_words[1:])

    return pattern == key or match(pattern.split("."), key.split(".") if key else [])
