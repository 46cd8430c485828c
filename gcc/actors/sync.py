"""The sync: carries marts from ClickHouse into PostgreSQL tables, through the object store, without downtime.

In: declared tables, their marts as the transformer left them, the leader's term. Out: the live tables
replaced whole, a snapshot row each, an exported file that is removed again.

Export as JSON lines -> fresh table with the live one's types -> indexes, checks -> swap in one
transaction, fenced by the term. A failed check, a lost lock or term, and cancellation leave the live
table as it was; what was prepared is dropped by the next run, and so is the replaced table, which
queries may still read. Cleaning up is nobody's failure: what it cannot remove is told, and left.
"""

import datetime as dt
import uuid
from collections.abc import AsyncGenerator, AsyncIterable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Protocol, cast

import trio

from gcc import statements
from gcc.actors.leader import Leader
from gcc.actors.warehouse import Warehouse
from gcc.channels.objects import Objects
from gcc.clock import Clock
from gcc.errors import GccError, Permanent, Transient
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.lifecycle import Actor, State, one_line

SWAPS_MAX = 8
"""Tries of one swap, each at most 2 s for its lock: long readers delay it, they do not stop it."""
REMOVE_S = 5.0

_SQL = statements.load("sync", statements.SQL / "clickhouse" / "queries")
_FOLDER = "data-pipeline/tmp"


@dataclass(frozen=True)
class SyncedTable:
    """A PostgreSQL table and the mart that fills it: the mart has (at least) the table's columns.

    Fewer rows than `rows_kept_min` of what the live table holds are refused as a mistake upstream.
    """

    table: str
    mart: str
    rows_kept_min: float = 0.5


@dataclass(frozen=True)
class SyncResult:
    table: str
    rows: int
    seconds: float
    snapshot_id: uuid.UUID


@dataclass(frozen=True)
class Snapshot:
    """One run of a sync: what `sync_snapshot` says of the live table. `as_of` is when the export began."""

    table: str
    id: uuid.UUID
    rows: int
    as_of: dt.datetime


class Tables(Protocol):
    """The tables that are replaced whole: a fresh one is filled beside the live one, checked, then swapped in.

    Permanent: the rows do not fit (types, checks, doubled keys). Transient: the database is away, or a lock was not
    given within 2 s. The live table is then as it was, also where it is cancelled.
    """

    async def columns(self, table: str) -> list[str]:
        """The live table's columns. Permanent when there is no such table."""

    async def clear(self, table: str) -> None:
        """Drop the table that the last run replaced. Transient: somebody reads it still; the next swap drops it."""

    async def fill(self, table: str, lines: AsyncIterable[bytes]) -> None:
        """Make the fresh table of `lines` (NDJSON in chunks of any size) and index it. Nobody reads it yet."""

    async def counts(self, table: str) -> tuple[int, int]:
        """Rows of the fresh table, and of the live one."""

    async def swap(self, snapshot: Snapshot, term: int) -> None:
        """Put the fresh table in the live one's place and record the snapshot, in one transaction.

        Raises LeaseLost when the term is over, Transient as above: then nothing has happened, or all of it;
        calling it again is safe.
        """


class Sync:
    """One run a table at a time; a second caller waits."""

    def __init__(
        self,
        warehouse: Warehouse,
        objects: Objects,
        tables: Tables,
        declarations: Sequence[SyncedTable],
        leader: Leader,
        actor: Actor,
        clock: Clock,
        *,
        backoff: Backoff = Backoff(0.2, 2.0),  # noqa: B008 (frozen)
    ) -> None:
        self._warehouse = warehouse
        self._objects = objects
        self._tables = tables
        self._declared = {declared.table: declared for declared in declarations}
        self._leader = leader
        self._actor = actor
        self._clock = clock
        self._backoff = backoff
        self._busy = {table: trio.Lock() for table in self._declared}
        actor.state = State.WAITING

    async def sync(self, table: str) -> SyncResult:
        """Replace one table by its mart's rows of now.

        Raises Permanent for a table that is not declared and for rows that fail a check, Transient for a
        store that is away, locks that were not given and a process that does not lead, LeaseLost when
        the term ended meanwhile.
        """
        if table not in self._declared:
            raise Permanent(f"table {table!r} is not declared; there are {', '.join(self._declared)}")
        async with self._busy[table]:
            self._actor.in_flight += 1
            self._actor.state = State.RUNNING
            try:
                result = await self._replace(self._declared[table])
                self._actor.processed()
            except Exception as error:
                self._actor.erred(error)
                raise
            finally:
                self._actor.in_flight -= 1
                if not self._actor.in_flight:
                    self._actor.state = State.WAITING
        return result

    async def _replace(self, declared: SyncedTable) -> SyncResult:
        began, as_of, table = trio.current_time(), self._clock.now(), declared.table
        term = self._leader.term
        if term is None:
            raise Transient(f"{table} was not synced: this process does not lead")
        run_id = self._clock.new_id()
        key = f"{_FOLDER}/{table}-{run_id}.ndjson"
        await self._sweep(table)
        try:
            exported = await self._export(declared, key)
            async with aclosing(cast("AsyncGenerator[bytes, None]", self._objects.get(key))) as chunks:
                await self._tables.fill(table, chunks)
        finally:
            with trio.move_on_after(REMOVE_S, shield=True), self._told():
                await self._objects.delete(key)
        await self._check(declared, exported)
        await self._swap(Snapshot(table, run_id, exported, as_of), term)
        return SyncResult(table, exported, trio.current_time() - began, run_id)

    async def _sweep(self, table: str) -> None:
        """Remove what earlier runs left, as far as that can be done now; the next run tries again."""
        with self._told():
            await self._tables.clear(table)
        with self._told():
            for left_behind in await self._objects.keys(f"{_FOLDER}/{table}-"):
                await self._objects.delete(left_behind)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """For cleaning up: its failure is shown, and changes nothing for the sync."""
        try:
            yield
        except GccError as error:
            self._actor.erred(f"cleaning up: {one_line(error)}")

    async def _export(self, declared: SyncedTable, key: str) -> int:
        """Write the mart's rows to `key`; returns how many they are."""
        wanted = await self._tables.columns(declared.table)
        found = await self._warehouse.rows(_SQL["mart_columns"], {"mart": declared.mart})
        types = {row["name"]: row["type"] for row in found}
        if missing := [name for name in wanted if name not in types]:
            raise Permanent(f"dbt.{declared.mart} has no {', '.join(missing)}, which {declared.table} needs")
        columns = ", ".join(_exported(name, types[name]) for name in wanted)
        rows = _RowCount()
        select = _SQL["export"].format(columns=columns, mart=declared.mart)
        async with aclosing(self._warehouse.stream(select)) as stream:
            await self._objects.put(key, rows.counted(stream))
        return rows.count

    async def _check(self, declared: SyncedTable, exported: int) -> None:
        fresh, live = await self._tables.counts(declared.table)
        if fresh != exported:
            raise Permanent(f"{declared.table}: {exported} rows were exported, {fresh} arrived")
        if fresh < live * declared.rows_kept_min:
            raise Permanent(
                f"{declared.table} would shrink from {live} to {fresh} rows; look at dbt.{declared.mart}, or delete"
                f" rows from {declared.table} if that is right"
            )

    async def _swap(self, snapshot: Snapshot, term: int) -> None:
        failures = 0
        while True:
            try:
                return await self._tables.swap(snapshot, term)
            except Transient:
                failures += 1
                if failures == SWAPS_MAX:
                    raise
                await trio.sleep(self._backoff.delay_s(failures, self._clock.rng))


class _RowCount:
    """Counts the lines of a stream that passes by. JSON text has no line feed but the one that ends a row."""

    def __init__(self) -> None:
        self.count = 0

    async def counted(self, chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
        async for chunk in chunks:
            self.count += chunk.count(b"\n")
            yield chunk


def _exported(name: str, kind: str) -> str:
    """A column as PostgreSQL can take it: its text is UTF-8 without NUL."""
    return f"toValidUTF8(replaceAll({name}, '\\0', '')) as {name}" if "String" in kind else name
