"""Tables of PostgreSQL that are replaced whole: a fresh one is filled beside the live one, checked, then swapped in.

In: lines as COPY takes them, whose fields are columns of the live table. Out: a live table of the same name, columns,
constraints and index names, with the views that look at it, all that people gave it (grants, policies, triggers,
foreign keys, comments, options), and its row in `sync_snapshot`. A reader finds the old table or the new one, never
none and never half of one; the old one stays as `NAME__old` for those who still read it.

Raises Permanent where the rows do not fit (types, checks, doubled keys) or something is built on the live table that
cannot follow, Transient where the database is
away or a lock was not given within 2 s; the live table is then as it was. Cancelled: the same.
"""

import datetime as dt
import re
import uuid
from collections.abc import AsyncIterable, Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from gcc import statements
from gcc.actors.sync import Counted, Month, Snapshot, Standing, not_all
from gcc.errors import Permanent, Transient
from gcc.stores.leadership import hold
from gcc.stores.postgres import Connection, Pool

_SQL = statements.load("sync")
_INDEX = re.compile(r"CREATE (UNIQUE )?INDEX \S+ ON \S+ (USING .*)", re.DOTALL)
_KINDS = {"p": "primary key", "u": "unique"}
_NAME_BYTES_MAX = 63
NOTHING = sql.SQL("")
REFUSALS = (
    psycopg.IntegrityError,
    psycopg.DataError,
    psycopg.NotSupportedError,
    psycopg.errors.CardinalityViolation,  # a key twice among what is written over
    psycopg.errors.ProgramLimitExceeded,  # a text that no index holds
)


class SyncedTables:
    """See `gcc.actors.sync.Tables`."""

    def __init__(self, pool: Pool, *, leader: str) -> None:
        """`leader` is the name whose term fences a swap."""
        self._pool = pool
        self._leader = leader

    async def columns(self, table: str) -> dict[str, str]:
        async with self._pool.connection() as connection:
            cursor = await connection.execute(_SQL["columns"], {"table": table})
            types: dict[str, str] = dict(await cursor.fetchall())
        if not types:
            raise Permanent(f"table {table} does not exist; run the migrations")
        return types

    async def clear(self, table: str) -> None:
        async with self._pool.transaction() as connection:
            await connection.execute(_SQL["lock_timeout"])
            await _drop_old(connection, table)
            await connection.execute(_statement("drop", table=_spare(table, "new")))

    async def fill(self, table: str, columns: Sequence[str], lines: AsyncIterable[bytes], run_id: uuid.UUID) -> None:
        """The transaction waits for `lines`; it locks the fresh table alone. Whose that is stands in its comment, which
        comes last."""
        new = _spare(table, "new")
        async with self._pool.transaction() as connection:
            with _refused(table):
                await connection.execute(_statement("drop", table=new))  # of a run that was cut short
                await connection.execute(_statement("create", new=new, live=table))
                await _copy(connection, _columned("copy_fresh", columns, new=new), lines)
        async with self._pool.connection() as connection:
            with _refused(table):
                for index, definition, kind in await self._indexes(connection, table):
                    await _build_index(connection, new, index, definition, kind)
            await connection.execute(_statement("analyze", new=new))
            await connection.execute(sql.SQL(_SQL["mark"]).format(new=sql.Identifier(new), run_id=str(run_id)))

    async def _take(self, connection: Connection, table: str, run_id: uuid.UUID) -> None:
        """The fresh table is nobody else's until the transaction ends. Transient: it is another run's."""
        new = _spare(table, "new")
        await connection.execute(_statement("lock", live=new))
        ((mark,),) = await (await connection.execute(_SQL["marked"], {"new": new})).fetchall()
        if mark != str(run_id):
            raise Transient(f"{table} was filled anew by another process meanwhile; it is synced again")

    async def upsert(self, snapshot: Snapshot, columns: Sequence[str], lines: AsyncIterable[bytes], term: int) -> None:
        table = snapshot.table
        async with self._pool.transaction() as connection:
            with _refused(table):
                keys = await _keys(connection, table)
                await connection.execute(_columned("create_changed", columns, live=table))
                await _copy(connection, _columned("copy_changed", columns), lines)
                changes = _changes(columns, keys)
                cursor = await connection.execute(
                    _columned("upsert_changed", columns, keys=keys, changes=changes, live=table)
                )
                ((written, fresh),) = await cursor.fetchall()
            if written != snapshot.rows:
                raise Permanent(not_all(table, snapshot.rows, written))
            await hold(connection, self._leader, term)
            await self._record(connection, snapshot, term, more=int(fresh))

    async def replace_month(self, snapshot: Snapshot, month: Month, term: int) -> None:
        table, columns, first = snapshot.table, list(await self.columns(snapshot.table)), {"first": month.first}
        async with self._pool.transaction() as connection:
            await self._take(connection, table, snapshot.id)
            keys, new = await _keys(connection, table), _spare(table, "new")
            names = {"day": sql.Identifier(month.day), "live": sql.Identifier(table), "new": sql.Identifier(new)}
            lists = {
                "columns": _listed(columns),
                "keys": _listed(keys),
                "changes": _changes(columns, keys),
                "live_keys": _listed(keys, "live"),
                "fresh_keys": _listed(keys, "fresh"),
                "live_columns": _listed(columns, "live"),
                "fresh_columns": _listed(columns, "excluded"),
            }
            with _refused(table):
                gone = await connection.execute(sql.SQL(_SQL["delete_gone"]).format(**names, **lists), first)
                cursor = await connection.execute(sql.SQL(_SQL["write_changed"]).format(**names, **lists))
                ((added,),) = await cursor.fetchall()
            await connection.execute(_statement("drop", table=new))
            await hold(connection, self._leader, term)
            await self._record(connection, snapshot, term, more=int(added) - gone.rowcount)

    async def counts(self, table: str, month: Month | None = None) -> tuple[Counted, Counted]:
        columns = list(await self.columns(table))
        async with self._pool.connection() as connection:
            return (
                await _counted(connection, _spare(table, "new"), columns),
                await _counted(connection, table, columns, month),
            )

    async def months(self, table: str, day: str) -> dict[dt.date, int]:
        statement = sql.SQL(_SQL["months"]).format(day=sql.Identifier(day), live=sql.Identifier(table))
        async with self._pool.connection() as connection:
            return dict(await (await connection.execute(statement)).fetchall())

    async def size(self, table: str) -> int:
        async with self._pool.connection() as connection:
            ((rows,),) = await (await connection.execute(_statement("size", live=table), {"table": table})).fetchall()
        return int(rows)

    async def standing(self) -> dict[str, Standing]:
        async with self._pool.connection() as connection:
            cursor = connection.cursor(row_factory=class_row(Standing))
            await cursor.execute(_SQL["standing"])
            return {row.table: row for row in await cursor.fetchall()}

    async def refuse(self, table: str, why: str, now: dt.datetime) -> None:
        async with self._pool.connection() as connection:
            await connection.execute(_SQL["refuse"], {"table": table, "why": why, "now": now})

    async def accept(self, table: str, who: str, now: dt.datetime) -> None:
        async with self._pool.connection() as connection:
            done = await connection.execute(_SQL["accept"], {"table": table, "who": who, "now": now})
        if not done.rowcount:
            raise Permanent(f"nothing of {table} was refused: there is nothing to accept")

    async def swap(self, snapshot: Snapshot, term: int) -> None:
        table = snapshot.table
        async with self._pool.transaction() as connection:
            done = await connection.execute(_SQL["swapped"], {"table": table, "snapshot_id": snapshot.id})
            if await done.fetchone():
                return  # the last try's answer was lost after its commit
            await connection.execute(_SQL["lock_timeout"])
            await _drop_old(connection, table)  # if it could not be cleared
            await _require_movable(connection, table)
            views = await (await connection.execute(_SQL["views"], {"table": table})).fetchall()
            with _refused(table):
                for schema, view, _, _ in views:  # and with each its table: in the order in which readers lock them
                    await connection.execute(sql.SQL(_SQL["lock"]).format(live=sql.Identifier(schema, view)))
                await connection.execute(_statement("lock", live=table))
                await self._take(connection, table, snapshot.id)
                await hold(connection, self._leader, term)
                belongings = await self._belongings(connection, table)
                await self._rename(connection, table, _spare(table, "old"), to_old=True)
                await self._rename(connection, _spare(table, "new"), table, to_old=False)
                for statement in belongings:
                    await connection.execute(statement)
                for view in views:
                    await connection.execute(_view(*view))
            await self._record(connection, snapshot, term)

    async def _belongings(self, connection: Connection, table: str) -> list[sql.SQL]:
        """What gives the fresh table all that the live one was given."""
        names = {"table": table, "new": _spare(table, "new")}
        given = await (await connection.execute(_SQL["belongings"], names)).fetchall()
        return [sql.SQL(statement) for (statement,) in given]  # as the server wrote it

    async def _record(self, connection: Connection, snapshot: Snapshot, term: int, *, more: int | None = None) -> None:
        """`more`: so many rows than before, where not all of them are in the snapshot."""
        values = {
            "table": snapshot.table,
            "snapshot_id": snapshot.id,
            "term": term,
            "rows": snapshot.rows,
            "more": more,
            "as_of": snapshot.as_of,
            "built_at": snapshot.built_at,
        }
        await connection.execute(_SQL["record_snapshot"], values)
        await connection.execute(_SQL["done"], {"table": snapshot.table})

    async def _indexes(self, connection: Connection, table: str) -> list[tuple[str, str, str]]:
        return await (await connection.execute(_SQL["indexes"], {"table": table})).fetchall()

    async def _rename(self, connection: Connection, table: str, name: str, *, to_old: bool) -> None:
        """A table and its indexes; the constraints of its indexes follow."""
        for index, _, _ in await self._indexes(connection, table):
            new_name = _spare(index, "old") if to_old else index.removesuffix("__new")
            await connection.execute(_statement("rename_index", index=index, new_name=new_name))
        await connection.execute(_statement("rename_table", table=table, new_name=name))


async def _copy(connection: Connection, statement: sql.Composed, lines: AsyncIterable[bytes]) -> None:
    async with connection.cursor() as cursor, cursor.copy(statement) as copy:
        async for chunk in lines:
            await copy.write(chunk)


async def _keys(connection: Connection, table: str) -> list[str]:
    rows = await (await connection.execute(_SQL["key"], {"table": table})).fetchall()
    if not rows:
        raise Permanent(f"{table} has no primary key: rows cannot be written over")
    return [name for (name,) in rows]


async def _counted(connection: Connection, table: str, columns: Sequence[str], month: Month | None = None) -> Counted:
    known = sql.SQL(", ").join(sql.SQL("count({})").format(sql.Identifier(name)) for name in columns)
    names = {"known": known, "table": sql.Identifier(table)}
    if month:
        statement = sql.SQL(_SQL["counted_of_month"]).format(**names, day=sql.Identifier(month.day))
        cursor = await connection.execute(statement, {"first": month.first})
    else:
        cursor = await connection.execute(sql.SQL(_SQL["counted"]).format(**names))
    ((rows, *counts),) = await cursor.fetchall()
    return Counted(int(rows), {name: int(rows) - int(count) for name, count in zip(columns, counts, strict=True)})


async def _drop_old(connection: Connection, table: str) -> None:
    old = _spare(table, "old")
    try:
        await connection.execute(_statement("drop", table=old))
    except psycopg.errors.DependentObjectsStillExist as error:
        raise Permanent(f"{old} cannot be dropped: {error.diag.message_detail}; drop that first") from error


async def _require_movable(connection: Connection, table: str) -> None:
    stays = await (await connection.execute(_SQL["left_behind"], {"table": table})).fetchall()
    if stays:
        named = ", ".join(name for (name,) in stays)
        raise Permanent(
            f"{table} is not swapped: {named} would stay with the table that is replaced; drop it"
            " (a view follows, if it is owned by the platform's role)"
        )


async def _build_index(connection: Connection, new: str, index: str, definition: str, kind: str) -> None:
    parts = _INDEX.fullmatch(definition)
    if parts is None:
        raise Permanent(f"index {index} cannot be rebuilt from {definition!r}")
    name = _spare(index, "new")
    unique, using = sql.SQL("unique" if parts[1] else ""), sql.SQL(parts[2])  # as the server wrote it
    await connection.execute(
        sql.SQL(_SQL["create_index"]).format(
            unique=unique, index=sql.Identifier(name), new=sql.Identifier(new), using=using
        )
    )
    if kind:
        await connection.execute(
            sql.SQL(_SQL["add_constraint"]).format(
                new=sql.Identifier(new), index=sql.Identifier(name), kind=sql.SQL(_KINDS[kind])
            )
        )


def _view(schema: str, view: str, options: str, definition: str) -> sql.Composed:
    """It looks at the fresh table. Options and definition are as the server wrote them."""
    return sql.SQL(_SQL["view"]).format(
        view=sql.Identifier(schema, view),
        options=sql.SQL(f"with ({options})" if options else ""),
        definition=sql.SQL(definition.rstrip().removesuffix(";")),
    )


def _statement(name: str, **identifiers: str) -> sql.Composed:
    text = sql.SQL(_SQL[name])
    return text.format(**{key: sql.Identifier(value) for key, value in identifiers.items()})


def _listed(columns: Sequence[str], of: str = "") -> sql.Composed:
    """Columns, `of` a table, with commas between them."""
    return sql.SQL(", ").join(sql.Identifier(of, name) if of else sql.Identifier(name) for name in columns)


def _changes(columns: Sequence[str], keys: list[str]) -> sql.Composed:
    """What an upsert writes over."""
    return sql.SQL(", ").join(
        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in columns if name not in keys
    )


def _columned(
    name: str,
    columns: Sequence[str],
    *,
    keys: list[str] | None = None,
    changes: sql.Composable = NOTHING,
    **tables: str,
) -> sql.Composed:
    """A statement that names the columns."""
    return sql.SQL(_SQL[name]).format(
        columns=_listed(columns),
        keys=_listed(keys or []),
        changes=changes,
        **{key: sql.Identifier(value) for key, value in tables.items()},
    )


def _spare(name: str, suffix: str) -> str:
    spare = f"{name}__{suffix}"
    if len(spare.encode()) > _NAME_BYTES_MAX:
        raise Permanent(f"{spare!r} is longer than PostgreSQL's {_NAME_BYTES_MAX} bytes; shorten {name!r}")
    return spare


@contextmanager
def _refused(table: str) -> Iterator[None]:
    """What PostgreSQL says against the rows leaves the block as Permanent."""
    try:
        yield
    except REFUSALS as error:
        detail = error.diag.message_detail or ""
        reason = f"{error.diag.message_primary or error} {detail}".rstrip()
        raise Permanent(f"rows for {table} were refused: {reason}") from error
