"""The sync: carries marts from ClickHouse into PostgreSQL tables, through the object store, without downtime.

In: declared tables, their marts as the transformer left them, the leader's term. Out: the live tables
replaced whole, a snapshot row each, an exported file that is removed again.

Export as lines that COPY takes -> fresh table with the live one's types -> indexes, guards -> swap in one
transaction, fenced by the term. A failed check, a lost lock or term, and cancellation leave the live
table as it was; what was prepared is dropped by the next run, and so is the replaced table, which
queries may still read. Cleaning up is nobody's failure: what it cannot remove is told, and left.

A mart that was not built since the last swap, or that was left behind by what it reads, leaves the table "unchanged";
one that is not there yet, or empty like its table, is "nothing yet". What a guard refuses may be accepted by a person,
once. A table of more than `delta_rows` rows whose mart tells `built_at` gets what was built since then alone, written
over what is there in one transaction. What is no more goes from such a table by months: see `sync_months`.
"""

import datetime as dt
import uuid
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Protocol

import trio

from gcc import statements
from gcc.actors.leader import Leader
from gcc.actors.modelled import Model
from gcc.actors.warehouse import Warehouse
from gcc.channels.objects import Objects
from gcc.clock import Clock
from gcc.errors import GccError, Permanent, Transient, there_are
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.lifecycle import Actor, State, one_line

SWAPS_MAX = 8
"""Tries of one swap, each at most 2 s for its lock: long readers delay it, they do not stop it."""
REMOVE_S = 5.0
CLOCKS_APART = dt.timedelta(minutes=1)
"""ClickHouse's and ours may be."""

NULLS_MORE_MAX = 0.10
"""So much more of a column may be unknown than of the live one."""
FEW_ROWS = 20
"""Of fewer the share of what is unknown tells nothing."""

_SQL = statements.load("sync", statements.SQL / "clickhouse" / "queries")
_FOLDER = "data-pipeline/tmp"
_AND = "; "  # between the reasons of one refusal
_CLICKHOUSE_TIME = "%Y-%m-%d %H:%M:%S.%f"


Outcome = Literal["swapped", "upserted", "replaced", "unchanged", "nothing yet"]


class SyncRefused(Permanent):
    """A guard keeps the live table; `sync accept TABLE` lets the next run through."""


@dataclass(frozen=True)
class SyncedTable:
    """A PostgreSQL table and the mart that fills it: the mart has (at least) the table's columns.

    Fewer rows than `rows_kept_min` of what the live table holds are refused as a mistake upstream, and so is a column
    of which more than `nulls_max` is unknown. `select`: the statement that reads the mart, if it is not all of it.
    `delta_rows`: see above; such a table has a day of each row in its column `day`.
    """

    table: str
    mart: str
    rows_kept_min: float = 0.5
    nulls_max: Mapping[str, float] = field(default_factory=dict)
    select: str = ""
    delta_rows: int | None = None
    day: str = ""


@dataclass(frozen=True)
class SyncResult:
    """`rows`: that were exported, or stand where nothing changed; `why` tells then why not."""

    table: str
    rows: int
    seconds: float
    snapshot_id: uuid.UUID | None
    outcome: Outcome = "swapped"
    why: str = ""

    def as_dict(self) -> dict[str, Any]:
        detail = {"table": self.table, "outcome": self.outcome, "rows": self.rows, "seconds": round(self.seconds, 3)}
        snapshot = {"snapshot_id": str(self.snapshot_id)} if self.snapshot_id else {}
        return {**detail, **snapshot, **({"why": self.why} if self.why else {})}


@dataclass(frozen=True)
class Snapshot:
    """One run of a sync: what `sync_snapshot` says of the live table. `as_of` is when the export began, `built_at` when
    the build of what it read did."""

    table: str
    id: uuid.UUID
    rows: int
    as_of: dt.datetime
    built_at: dt.datetime | None = None


@dataclass(frozen=True)
class Counted:
    """Rows of a table, and in how many of them each column is null."""

    rows: int
    nulls: Mapping[str, int]

    def share(self, column: str) -> float:
        return self.nulls.get(column, 0) / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class Standing:
    """A synced table as people see it. `refused`: why the last run was, until one is swapped; by whom it was let."""

    table: str
    rows: int | None = None  # None: never synced
    as_of: dt.datetime | None = None
    built_at: dt.datetime | None = None
    refused: str | None = None
    refused_at: dt.datetime | None = None
    accepted_by: str | None = None


@dataclass(frozen=True)
class Month:
    """`first`: its first day; `day`: the column that tells of which day a row is."""

    day: str
    first: dt.date


class Tables(Protocol):
    """The tables that are replaced whole: a fresh one is filled beside the live one, checked, then swapped in.

    Permanent: the rows do not fit (types, checks, doubled keys). Transient: the database is away, or a lock was not
    given within 2 s. The live table is then as it was, also where it is cancelled.
    """

    async def columns(self, table: str) -> Mapping[str, str]:
        """The live table's columns and their types. Permanent when there is no such table."""

    async def clear(self, table: str) -> None:
        """Drop the table that the last run replaced, and a fresh one that it left. Transient: somebody reads it still;
        the next swap drops it."""

    async def fill(self, table: str, columns: Sequence[str], lines: AsyncIterable[bytes], run_id: uuid.UUID) -> None:
        """Make the fresh table of `lines` (a row each, its fields these columns, as COPY takes them; in chunks of any
        size) and index it. Nobody reads it yet. It is that of `run_id`: a process that does not know yet that another
        one leads may fill it anew."""

    async def counts(self, table: str, month: Month | None = None) -> tuple[Counted, Counted]:
        """Of the fresh table, and of the live one, or of one month of it."""

    async def months(self, table: str, day: str) -> dict[dt.date, int]:
        """How many rows the live table has of each month, by its first day."""

    async def size(self, table: str) -> int:
        """About how many rows the live table has."""

    async def standing(self) -> dict[str, Standing]:
        """What is known of each table that was synced or refused."""

    async def refuse(self, table: str, why: str, now: dt.datetime) -> None:
        """Keep why it was not swapped, for people. One that was accepted has to be so anew."""

    async def accept(self, table: str, who: str, now: dt.datetime) -> None:
        """Let the next run of a refused table through. Permanent: none was refused."""

    async def upsert(self, snapshot: Snapshot, columns: Sequence[str], lines: AsyncIterable[bytes], term: int) -> None:
        """Write `lines` over the live rows with the same keys and record the snapshot, at once; else as `swap`.
        Permanent: there were not as many as the snapshot says."""

    async def replace_month(self, snapshot: Snapshot, month: Month, term: int) -> None:
        """Make the live table's month that of the fresh table and record the snapshot, at once; else as `swap`."""

    async def swap(self, snapshot: Snapshot, term: int) -> None:
        """Put the fresh table in the live one's place and record the snapshot, in one transaction.

        Raises LeaseLost when the term is over, Transient as above, and where the fresh table is another run's: then
        nothing has happened, or all of it; calling it again is safe.
        """


async def _anyhow(mart: str) -> None:
    """Where nobody looks at marts."""


class Sync:
    """One run a table at a time; a second caller waits. `require_well(mart)` raises Permanent for one that is wrong."""

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
        models: Sequence[Model] = (),
        backoff: Backoff = Backoff(0.2, 2.0),  # noqa: B008 (frozen)
        require_well: Callable[[str], Awaitable[None]] = _anyhow,
    ) -> None:
        """`models`: how marts are built of each other."""
        self._models = {model.name: model for model in models}
        self._warehouse = warehouse
        self._objects = objects
        self._tables = tables
        self._declared = {declared.table: declared for declared in declarations}
        self._leader = leader
        self._actor = actor
        self._clock = clock
        self._backoff = backoff
        self._require_well = require_well
        self._busy = {table: trio.Lock() for table in self._declared}
        actor.state = State.WAITING

    @property
    def tables(self) -> Sequence[str]:
        return list(self._declared)

    def mart(self, table: str) -> str:
        """What fills it. Permanent: it is not declared."""
        return self._known(table).mart

    async def overview(self) -> list[dict[str, Any]]:
        """A line a table: its mart, its guards, rows, as_of, and what was refused. Transient: the database is away."""
        standing = await self._tables.standing()
        lines = []
        for declared in self._declared.values():
            one = standing.get(declared.table) or Standing(declared.table)
            guards = {"rows_kept_min": declared.rows_kept_min, "nulls_max": dict(declared.nulls_max)}
            line = {"table": declared.table, "mart": declared.mart, **asdict(one), **guards}
            lines.append({name: _rfc3339(at) if isinstance(at, dt.datetime) else at for name, at in line.items()})
        return lines

    async def accept(self, table: str, who: str) -> None:
        """Let what a guard refused through at the next run, once. Permanent: nothing was refused, or no such table."""
        self._known(table)
        await self._tables.accept(table, who, self._clock.now())

    def _known(self, table: str) -> SyncedTable:
        if table not in self._declared:
            raise Permanent(f"table {table!r} is not declared; {there_are(self._declared, table)}")
        return self._declared[table]

    async def sync(self, table: str) -> SyncResult:
        """Replace one table by its mart's rows of now.

        Raises Permanent for a table that is not declared and for rows that fail a check (SyncRefused: one that people
        may overrule), Transient for a store that is away, locks that were not given and a process that does not lead,
        LeaseLost when the term ended meanwhile.
        """
        async with self._turn(table) as declared:
            return await self._replace(declared)

    async def sync_months(self, table: str, open_from: dt.date) -> SyncResult:
        """Have the months of a large table say what the mart says: those from this first day of a month on, and older
        ones with another number of rows. Each in one transaction: what is no more goes, which deltas leave there. Of a
        smaller table nothing is to be done: it is swapped whole. Raises as `sync` does; months before stay replaced.
        """
        async with self._turn(table) as declared:
            return await self._replace_months(declared, open_from)

    async def settle(self) -> None:
        """Wait until all runs that are under way have ended, and drop what they have replaced or left. Raises as
        `Tables.clear`."""
        for table, busy in self._busy.items():
            async with busy:
                await self._tables.clear(table)

    @asynccontextmanager
    async def _turn(self, table: str) -> AsyncIterator[SyncedTable]:
        """One run of a table at a time. Raises Permanent for a table that is not declared."""
        declared = self._known(table)
        async with self._busy[table]:
            self._actor.in_flight += 1
            self._actor.state = State.RUNNING
            try:
                yield declared
                self._actor.processed()
            except Exception as error:
                self._actor.erred(error)
                raise
            finally:
                self._actor.in_flight -= 1
                if not self._actor.in_flight:
                    self._actor.state = State.WAITING

    def _term(self, table: str) -> int:
        if self._leader.term is None:
            raise Transient(f"{table} was not synced: this process does not lead")
        return self._leader.term

    async def _replace_months(self, declared: SyncedTable, open_from: dt.date) -> SyncResult:
        began, as_of, table = trio.current_time(), self._clock.now(), declared.table
        term = self._term(table)
        types, last = await self._types(declared), (await self._tables.standing()).get(table) or Standing(table)
        large = last.built_at and "built_at" in types and declared.day and await self._is_large(declared)
        why = self._behind(declared.mart, await self._built()) if large else "it is swapped whole"
        if why:
            return SyncResult(table, last.rows or 0, 0.0, None, "unchanged", why)
        await self._require_well(declared.mart)
        wanted = await self._tables.columns(table)
        source = self._select(declared, wanted, types)
        counted = _SQL["months"].format(day=declared.day, source=self._source(declared))
        mart = {row["first"]: int(row["rows"]) for row in await self._warehouse.rows(counted)}
        live = await self._tables.months(table, declared.day)
        met = _shrunk(declared, sum(mart.values()), sum(live.values()))
        await self._guard(declared, met, last)
        await self._sweep(table)
        done = 0
        for first in sorted(mart.keys() | live.keys()):
            if first < open_from and mart.get(first) == live.get(first):
                continue
            month, run_id = Month(declared.day, first), self._clock.new_id()
            snapshot = Snapshot(table, run_id, 0, as_of, last.built_at)  # of other months newer rows may wait
            of_month = f"{source} where toStartOfMonth({declared.day}) = toDate('{first}')"
            async with self._staged(of_month, run_id, table) as (rows, chunks):
                await self._tables.fill(table, list(wanted), chunks, run_id)
            fresh, there = await self._tables.counts(table, month)
            _require_all(table, rows, fresh.rows)
            met += [f"{why}, in {first:%Y-%m}" for why in _unknown(declared, fresh, there)]
            await self._guard(declared, met, last)
            await self._tables.replace_month(replace(snapshot, rows=rows), month, term)
            done += rows
        return SyncResult(table, done, trio.current_time() - began, None, "replaced")

    async def _guard(self, declared: SyncedTable, met: Sequence[str], last: Standing) -> None:
        """SyncRefused: of the reasons to keep the live table that a run has met there is one that nobody has let
        through: who accepts one has not seen the others."""
        accepted = (last.refused or "").split(_AND) if last.accepted_by else []
        if not {*met} <= {*accepted}:
            why = _AND.join(met)
            await self._tables.refuse(declared.table, why, self._clock.now())
            raise SyncRefused(
                f"{why}; look at dbt.{declared.mart}, or let it through: sync accept {declared.table} --why WHY"
            )

    async def _replace(self, declared: SyncedTable) -> SyncResult:
        began, as_of, table = trio.current_time(), self._clock.now(), declared.table
        term = self._term(table)
        wanted = await self._tables.columns(table)
        last = (await self._tables.standing()).get(table) or Standing(table)
        types = await self._types(declared)
        if not types and last.rows is None and not await self._tables.size(table):
            return SyncResult(table, 0, 0.0, None, "nothing yet", f"dbt.{declared.mart} is not built yet")
        if missing := [name for name in wanted if name not in types]:
            raise Permanent(f"dbt.{declared.mart} has no {', '.join(missing)}, which {table} needs")
        built = await self._built()
        built_at = self._built_at(declared.mart, built)
        if last.built_at and last.built_at > as_of + CLOCKS_APART:  # it has been set back since
            last = replace(last, built_at=None)
        why = self._behind(declared.mart, built) or _nothing_new(declared.mart, built_at, last.built_at)
        if why:
            return SyncResult(table, last.rows or 0, 0.0, None, "unchanged", why)
        await self._require_well(declared.mart)
        run_id = self._clock.new_id()
        select = self._select(declared, wanted, types)
        snapshot = Snapshot(table, run_id, 0, as_of, built_at)
        await self._sweep(table)
        if last.built_at and "built_at" in types and await self._is_large(declared):
            newer = await self._built_since(declared.mart, last.built_at)
            async with self._staged(f"{select} where built_at >= {newer}", run_id, table) as (rows, chunks):
                if rows:
                    await self._tables.upsert(replace(snapshot, rows=rows), list(wanted), chunks, term)
            return SyncResult(table, rows, trio.current_time() - began, run_id if rows else None, "upserted")
        async with self._staged(select, run_id, table) as (rows, chunks):
            await self._tables.fill(table, list(wanted), chunks, run_id)
        fresh, live = await self._tables.counts(table)
        if not fresh.rows and not live.rows and not rows:
            return SyncResult(
                table, 0, trio.current_time() - began, None, "nothing yet", f"dbt.{declared.mart} is empty"
            )
        _require_all(table, rows, fresh.rows)
        met = [*_shrunk(declared, fresh.rows, live.rows), *_unknown(declared, fresh, live)]
        await self._guard(declared, met, last)
        await self._swap(replace(snapshot, rows=rows), term)
        return SyncResult(table, rows, trio.current_time() - began, run_id)

    @asynccontextmanager
    async def _staged(
        self, select: str, run_id: uuid.UUID, table: str
    ) -> AsyncIterator[tuple[int, AsyncGenerator[bytes, None]]]:
        """The rows of a SELECT in the object store: how many, and their lines. They are removed at the end."""
        key, count = f"{_FOLDER}/{table}-{run_id}.tsv", _RowCount()
        try:
            async with aclosing(self._warehouse.stream(select)) as stream:
                await self._objects.put(key, count.counted(stream))
            async with aclosing(self._objects.get(key)) as chunks:
                yield count.count, chunks
        finally:
            with trio.move_on_after(REMOVE_S, shield=True), self._told():
                await self._objects.delete(key)

    async def _is_large(self, declared: SyncedTable) -> bool:
        return declared.delta_rows is not None and await self._tables.size(declared.table) > declared.delta_rows

    async def _types(self, declared: SyncedTable) -> dict[str, str]:
        """The mart's columns; none: it is not there."""
        found = await self._warehouse.rows(_SQL["mart_columns"], {"mart": declared.mart})
        if found and declared.select:
            found = await self._warehouse.rows(_SQL["describe"].format(select=_SQL[declared.select]))
        return {row["name"]: row["type"] for row in found}

    def _select(self, declared: SyncedTable, wanted: Mapping[str, str], types: Mapping[str, str]) -> str:
        columns = ", ".join(f"{_exported(name, types[name], into)} as {name}" for name, into in wanted.items())
        return _SQL["export"].format(columns=columns, source=self._source(declared))

    def _source(self, declared: SyncedTable) -> str:
        return f"({_SQL[declared.select]})" if declared.select else f"dbt.{declared.mart}"

    async def _built(self) -> dict[str, dt.datetime]:
        """When the last good build of each model began, by ClickHouse's clock."""
        if not self._models or not await self._warehouse.rows(_SQL["mart_columns"], {"mart": "model_run"}):
            return {}
        return {row["model"]: row["at"] for row in await self._warehouse.rows(_SQL["built"])}

    async def _built_since(self, name: str, taken: dt.datetime) -> str:
        """When the first build began after that which was taken, as SQL."""
        names = {"names": sorted(self._tables_behind(name)), "after": f"{taken.astimezone(dt.UTC):{_CLICKHOUSE_TIME}}"}
        [row] = await self._warehouse.rows(_SQL["first_since"], names)
        return f"toDateTime64('{row['at']:{_CLICKHOUSE_TIME}}', 6, 'UTC')"

    def _tables_behind(self, name: str) -> set[str]:
        """The models that hold what this one tells: itself, but of a view what it reads."""
        model = self._models.get(name)
        if model is None or model.materialized != "view":
            return {name}
        return {each for parent in model.parents for each in self._tables_behind(parent)}

    def _built_at(self, name: str, built: Mapping[str, dt.datetime]) -> dt.datetime | None:
        """Of a view that of the newest table behind it. None: nobody knows."""
        model = self._models.get(name)
        if model is not None and model.materialized == "view":
            return max((at for parent in model.parents if (at := self._built_at(parent, built))), default=None)
        return built.get(name)

    def _behind(self, name: str, built: Mapping[str, dt.datetime]) -> str:
        """Why the mart is not to be taken now: a run that built what it reads has not built it, or not yet.

        Only models that are built in the same runs as the mart are looked at: those of other tags are newer often.
        """
        model = self._models.get(name)
        if model is None or (own := self._built_at(name, built)) is None:
            return ""
        for parent in map(self._models.get, model.parents):
            at = self._built_at(parent.name, built) if parent is not None and model.tags & parent.tags else None
            if parent is not None and at is not None and at > own:
                return f"dbt.{name} is older than dbt.{parent.name}, which it reads"
        return ""

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
    """Counts the lines of a stream that passes by. It has no line feed but the one that ends a row."""

    def __init__(self) -> None:
        self.count = 0

    async def counted(self, chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
        async for chunk in chunks:
            self.count += chunk.count(b"\n")
            yield chunk


def _require_all(table: str, exported: int, arrived: int) -> None:
    if exported != arrived:
        raise Permanent(not_all(table, exported, arrived))


def not_all(table: str, exported: int, arrived: int) -> str:
    return f"{table}: {exported} rows were exported, {arrived} arrived"


def _nothing_new(mart: str, built_at: dt.datetime | None, taken: dt.datetime | None) -> str:
    if built_at is None or taken is None or built_at > taken:
        return ""
    return f"dbt.{mart} was not built since"


def _shrunk(declared: SyncedTable, fresh: int, live: int) -> list[str]:
    """Why a guard keeps the live table, by rows; none: it does not."""
    if fresh >= live * declared.rows_kept_min:
        return []
    return [f"{declared.table} would shrink from {live} to {fresh} rows"]


def _unknown(declared: SyncedTable, fresh: Counted, live: Counted) -> list[str]:
    """Why a guard keeps the live table, by what is unknown; none: it does not."""
    found = []
    for column in fresh.nulls:
        share, most = fresh.share(column), declared.nulls_max.get(column, 1.0)
        if live.rows >= FEW_ROWS <= fresh.rows:
            most = min(most, live.share(column) + NULLS_MORE_MAX)
        if share > most:
            found.append(
                f"{declared.table}.{column} would be unknown in {share:.0%} of the rows, of {most:.0%} at most"
            )
    return found


def _exported(name: str, kind: str, into: str) -> str:
    """A column as PostgreSQL's type takes it as text. What is no number is unknown."""
    if kind.startswith("Map(") or into in ("json", "jsonb"):
        return f"toJSONString({_cleaned(name, kind)})"
    if kind.startswith("Array("):
        quoted = r"""concat('"', replaceAll(replaceAll(toString(each), '\\', '\\\\'), '"', '\\"'), '"')"""
        each = f"arrayMap(each -> ifNull({quoted}, 'NULL'), {_cleaned(name, kind)})"
        return f"concat('{{', arrayStringConcat({each}, ','), '}}')"
    return f"if(isFinite({name}), {name}, null)" if "Float" in kind else _cleaned(name, kind)


def _cleaned(name: str, kind: str) -> str:
    """PostgreSQL's text is UTF-8 without NUL."""
    clean = "toValidUTF8(replaceAll({0}, '\\0', ''))".format
    if "String" not in kind:
        return name
    if kind.startswith("Array("):
        return f"arrayMap(each -> {clean('each')}, {name})"
    if kind.startswith("Map("):
        parts = zip(("key", "value"), kind.removeprefix("Map(").split(", ", 1), strict=True)
        key, value = (clean(part) if "String" in of else part for part, of in parts)
        return f"mapApply((key, value) -> ({key}, {value}), {name})"
    return clean(name)


def _rfc3339(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
