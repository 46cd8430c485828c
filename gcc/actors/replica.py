"""The replica: what changes in tables of PostgreSQL comes to the tables in ClickHouse that follow them.

In: declared tables, the leader's term. Out: a row for each change, with _version (microseconds of updated_at) and
_deleted: ClickHouse keeps the newest of a key. How far each has come stands in PostgreSQL, fenced by the term.

A round reads all that changed since the last one, and OVERLAP_S before: pages in order of (updated_at, key), of at most
PAGE_ROWS and PAGE_BYTES, a frozen batch each, resent under the same token. No round begins later than the oldest open
transaction had begun, so that one which commits late is not missed. A table with a large backlog has PAGES in its turn,
then the others have theirs. One that lacks its index waits until that is made, which stops nobody. A row that
ClickHouse refuses is told, and left out; a table that takes none, or cannot be read, is told and tried again; the
others go on. What was deleted without a trace is found by gcc/actors/replica_repair.py.

Cancelled anywhere: rows that are sent again change nothing.
"""

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog
import trio

from gcc.actors import bugs
from gcc.actors.gates import ALWAYS_OPEN, Gate
from gcc.actors.leader import Leader
from gcc.actors.patience import Patience
from gcc.actors.replicated import SQL, FollowedRows, Horizon, Place, Position, ReplicaTables, ReplicatedTable
from gcc.clock import Clock
from gcc.errors import LeaseLost, Permanent, Transient
from gcc.supervisor.lifecycle import Actor, State, one_line

EVERY_S = 5.0
OVERLAP_S = 60.0
PAGE_ROWS, PAGE_BYTES = 10_000, 8 << 20
PAGES = 4  # of one table in its turn
SHARE = 4  # so many times as long as a round took it rests, where that is longer
TRIES, TRY_S = 3, 1.0
REFUSED_MAX = 100  # rows of a batch of which none was taken: that is no fault of theirs
TOLD_MAX = 20  # refused rows of a batch, by their keys
ALERT_S = 60.0

log = structlog.get_logger()


@dataclass
class _Progress:
    """Of one table, times in Trio's. The next round reads from `floor` on, and only what is newer than `seen`."""

    floor: dt.datetime | None = None
    seen: int | None = None
    place: Place | None = None
    round: Horizon | None = None
    round_began_s: float = 0.0
    whole_s: float | None = None  # when the last round that came to its end had begun
    moved: bool = False  # rows of this round were sent
    prepared: bool = False
    indexed: bool | None = None  # None: nobody has looked
    rows: int = 0
    refused: int = 0
    error: str | None = None
    late: bool = False

    def fail(self, line: str) -> None:
        """Its columns are asked for anew, and all that is since `floor` is read again."""
        self.error, self.prepared, self.seen = line, False, None


@dataclass
class _Batch:
    taken: int = 0
    refused: list[tuple[bytes, str]] = field(default_factory=list)  # with the reason


class Replica:
    """Runs while this process leads."""

    def __init__(
        self,
        tables: Sequence[ReplicatedTable],
        source: FollowedRows,
        replicas: ReplicaTables,
        leader: Leader,
        actor: Actor,
        clock: Clock,
        *,
        gate: Gate = ALWAYS_OPEN,
    ) -> None:
        self._tables = tables
        self._source = source
        self._replicas = replicas
        self._leader = leader
        self._actor = actor
        self._clock = clock
        self._gate = gate
        self._progress: dict[str, _Progress] = {}
        self._asked = trio.Event()
        self._turned = trio.Event()  # a turn of all tables has ended
        self._unindexed = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until cancelled; while another process leads it waits."""
        task_status.started()
        while True:
            self._actor.state, self._actor.lag_s = State.STANDBY, None
            self._progress, self._unindexed = {}, trio.Event()
            term = await self._leader.elected()
            async with trio.open_nursery() as nursery:

                async def stop_when_deposed(term: int = term, scope: trio.CancelScope = nursery.cancel_scope) -> None:
                    await self._leader.deposed(term)
                    scope.cancel()

                nursery.start_soon(stop_when_deposed)
                nursery.start_soon(self._make_indexes)
                try:
                    await self._reign(term)
                except LeaseLost as error:
                    self._actor.told(error)
                    await self._leader.deposed(term)
                nursery.cancel_scope.cancel()

    def overview(self) -> list[dict[str, Any]]:
        """A line a table, where this process leads: how old the oldest change may be that is not there yet, rows sent
        and refused since its start, why it is behind."""
        now = trio.current_time()
        return [
            {
                "name": name,
                "lag_s": None if progress.whole_s is None else round(now - progress.whole_s, 1),
                "rows": progress.rows,
                "refused": progress.refused,
                "error": progress.error,
            }
            for name, progress in self._progress.items()
        ]

    async def catch_up(self) -> None:
        """Return when all that had changed before is there. Give it a deadline: another process may lead."""
        asked_s = trio.current_time()
        while not self._progress or any((each.whole_s or -1.0) < asked_s for each in self._progress.values()):
            self._asked.set()
            await self._turned.wait()

    async def send(self, table: ReplicatedTable, lines: Sequence[bytes]) -> int:
        """Rows of `page`; how many of them were refused, and told. Transient: it takes none now."""
        batch = _Batch()
        await self._insert(table, lines, batch)
        for line, reason in batch.refused[:TOLD_MAX]:
            row = json.loads(line)
            key = {column: row.get(column) for column in table.key}
            log.warning("a row was refused", replica=table.name, key=key, reason=reason)
        if batch.refused:
            self._actor.erred(f"{table.name}: {len(batch.refused)} rows were refused: {batch.refused[-1][1]}")
        return len(batch.refused)

    async def prepare(self, table: ReplicatedTable) -> bool:
        """Ask for its columns; whether it has its index. Transient, Permanent: it cannot be followed now."""
        found = await self._replicas.rows(SQL["columns"], {"database": table.database, "table": table.table})
        if not found:
            raise Transient(f"{table.name} does not exist in ClickHouse; run the migrations")
        return await self._source.prepare(table, [row["name"] for row in found])

    async def _reign(self, term: int) -> None:
        patience = Patience(self._actor, self._clock.rng)
        while True:
            if not self._gate.is_open:
                self._actor.state = State.PAUSED
                await self._gate.opened()
            began = trio.current_time()
            try:
                if not self._progress:
                    found = await self._source.positions()
                    were = {table.name: found.get(table.name, Position()) for table in self._tables}
                    self._progress = {name: _Progress(floor=was.floor, place=was.place) for name, was in were.items()}
                more = await self._turn_of_all(term)
            except Transient as error:
                self._tell_lag()
                await patience.wait_after(error)
                continue
            patience.reset()
            self._actor.state = State.RUNNING
            took = trio.current_time() - began
            await self._rest(took if more else max(EVERY_S, SHARE * took))

    async def _make_indexes(self) -> None:
        """One after the other, for as long as this process leads."""
        while True:
            await self._unindexed.wait()
            self._unindexed = trio.Event()
            for table in self._tables:
                progress = self._progress[table.name]
                if progress.indexed is not False:
                    continue
                try:
                    await self._source.make_index(table)
                except (Transient, Permanent) as error:
                    progress.error = one_line(error)
                except Exception as error:
                    progress.error = bugs.told(self._actor, error, replica=table.name)
                else:
                    progress.indexed = True
                    self._asked.set()
            if any(progress.indexed is False for progress in self._progress.values()):
                self._unindexed.set()
                await trio.sleep(EVERY_S)

    async def _rest(self, rest_s: float) -> None:
        self._turned.set()
        self._turned = trio.Event()
        with trio.move_on_after(rest_s):
            await self._asked.wait()
        self._asked = trio.Event()

    async def _turn_of_all(self, term: int) -> bool:
        """A turn of each table; whether one of them has more. Transient: the database is away."""
        more = False
        horizon = await self._source.horizon()
        for table in self._tables:
            progress = self._progress[table.name]
            try:
                more |= await self._turn(table, progress, horizon, term)
            except LeaseLost:
                raise
            except (Transient, Permanent) as error:
                if (line := one_line(error)) != progress.error:  # in each round the same: it is told once
                    self._actor.erred(f"{table.name}: {line}")
                progress.fail(line)
            except Exception as error:
                if (line := one_line(error)) != progress.error:
                    bugs.told(self._actor, error, replica=table.name)
                progress.fail(line)
            else:
                progress.error = None if progress.indexed else progress.error or "its index is being made"
            self._tell_lag()
        return more

    async def _turn(self, table: ReplicatedTable, progress: _Progress, horizon: Horizon, term: int) -> bool:
        """Up to PAGES of a table; whether it has more."""
        if not progress.prepared:
            progress.indexed = await self.prepare(table)
            progress.prepared = True
        if not progress.indexed:
            self._unindexed.set()
            return False
        if progress.round is None and progress.floor and horizon.oldest < progress.floor:
            progress.floor, progress.seen, progress.place = horizon.oldest, None, None  # its clock was set back
        if progress.round is None:  # of a round that another process began, `floor` is known
            floor = progress.floor if progress.place is not None and progress.floor else horizon.oldest
            progress.round = Horizon(floor, horizon.xid)
            progress.round_began_s = trio.current_time()
        for _ in range(PAGES):
            after = progress.place or (progress.floor and progress.floor - dt.timedelta(seconds=OVERLAP_S))
            page = await self._source.page(table, after=after, seen=progress.seen, rows=PAGE_ROWS, size=PAGE_BYTES)
            if page.lines:
                progress.refused += await self.send(table, page.lines)
            progress.rows += page.rows
            self._actor.processed(page.rows)
            progress.moved |= page.rows > 0
            progress.place = page.last
            if not page.more:
                await self._end_round(table, progress, term)
                return False
            await self._source.move(table.name, Position(page.last, progress.round.oldest), term)
        return True

    async def _end_round(self, table: ReplicatedTable, progress: _Progress, term: int) -> None:
        assert progress.round is not None, "it has begun"
        if progress.moved or progress.floor is None:
            await self._source.move(table.name, Position(None, progress.round.oldest), term)
        progress.floor, progress.seen = progress.round.oldest, progress.round.xid
        progress.whole_s, progress.place, progress.round, progress.moved = progress.round_began_s, None, None, False

    async def _insert(self, table: ReplicatedTable, lines: Sequence[bytes], batch: _Batch) -> None:
        """In halves, until what is refused is alone."""
        try:
            await self._insert_frozen(table, b"\n".join(lines), len(lines))
            batch.taken += len(lines)
        except Permanent as error:
            if len(lines) > 1:
                half = len(lines) // 2
                await self._insert(table, lines[:half], batch)
                await self._insert(table, lines[half:], batch)
                return
            batch.refused.append((lines[0], one_line(error)))
            if len(batch.refused) > REFUSED_MAX and not batch.taken:
                raise Transient(f"it refuses whatever it is sent: {one_line(error)}") from error

    async def _insert_frozen(self, table: ReplicatedTable, body: bytes, rows: int) -> None:
        token, tries = str(self._clock.new_id()), 0
        self._actor.in_flight = rows
        try:
            while True:
                try:
                    return await self._replicas.insert_ndjson(table.name, body, token=token)
                except Transient:
                    tries += 1
                    if tries == TRIES:
                        raise
                    await trio.sleep(TRY_S * tries)
        finally:
            self._actor.in_flight = 0

    def _tell_lag(self) -> None:
        """The actor shows the longest; one that grew above ALERT_S is told once, and again when it is over."""
        now = trio.current_time()
        lags = {name: now - each.whole_s for name, each in self._progress.items() if each.whole_s is not None}
        self._actor.lag_s = max(lags.values(), default=None)
        for name, lag_s in lags.items():
            progress = self._progress[name]
            if (late := lag_s > ALERT_S) != progress.late:
                progress.late = late
                if late:
                    self._actor.told(f"{name} is {lag_s:.0f} s behind: {progress.error or 'it has much to read'}")
                    log.warning("a replica is behind", replica=name, lag_s=round(lag_s), error=progress.error)
                else:
                    log.info("a replica has caught up", replica=name)
