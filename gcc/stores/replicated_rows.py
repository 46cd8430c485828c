"""The rows that replicas follow, in PostgreSQL: pages of what changed, hashes of all, and how far each replica came.

In: declared tables (gcc/pipelines/analytics/replicas.py). Out: rows as lines of JSON that ClickHouse takes as they are.
A page is read in one statement, cancelled with its caller. Raises Transient where the database is away, Permanent where
a table has not the columns that are declared.
"""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence

from psycopg import sql

from gcc import statements
from gcc.actors.replicated import Horizon, Page, Place, Position, ReplicatedTable
from gcc.errors import Permanent
from gcc.stores.leadership import hold
from gcc.stores.postgres import Pool

SQL = statements.load("replica")
KEYS_AT_ONCE = 1000
PURGE_ROWS = 1000

_VERSION = "(extract(epoch from it.updated_at) * 1000000)::bigint"
_IN_JSON = ("json", "jsonb")


class PostgresRows:
    """See `gcc.actors.replicated.FollowedRows` and `gcc.actors.replica_repair.AllRows`. `leader`: whose term fences."""

    def __init__(self, pool: Pool, *, leader: str) -> None:
        self._pool = pool
        self._leader = leader
        self._lines: dict[str, str] = {}  # replica -> the expression that makes lines of a row

    async def positions(self) -> Mapping[str, Position]:
        async with self._pool.connection() as connection:
            rows = await (await connection.execute(SQL["positions"])).fetchall()
        return {name: Position(at and (at, key), floor) for name, at, key, floor in rows}

    async def move(self, name: str, position: Position, term: int) -> None:
        at, key = position.place or (None, None)
        async with self._pool.transaction() as connection:
            await hold(connection, self._leader, term)
            values = {"name": name, "updated_at": at, "key": key and list(key), "floor": position.floor}
            await connection.execute(SQL["move"], values)

    async def prepare(self, table: ReplicatedTable, columns: Sequence[str]) -> bool:
        async with self._pool.connection() as connection:
            found = await (await connection.execute(SQL["columns"], {"source": f'"{table.source}"'})).fetchall()
            self._lines[table.name] = _lines(table, columns, dict(found))
            index = await (await connection.execute(SQL["index"], {"index": f'"{_index(table)}"'})).fetchone()
        return bool(index and index[0])

    async def make_index(self, table: ReplicatedTable) -> None:
        names = {
            "index": sql.Identifier(_index(table)),
            "source": sql.Identifier(table.source),
            "key": sql.SQL(", ").join(map(sql.Identifier, table.key)),
        }
        async with self._pool.connection() as connection:
            await connection.execute(sql.SQL(SQL["drop_index"]).format(**names))  # of a try that was cut short
            await connection.execute(sql.SQL(SQL["create_index"]).format(**names))

    async def horizon(self) -> Horizon:
        async with self._pool.connection() as connection:
            ((oldest, xid),) = await (await connection.execute(SQL["horizon"])).fetchall()
        return Horizon(oldest, xid)

    async def page(
        self, table: ReplicatedTable, *, after: Place | dt.datetime | None, seen: int | None, rows: int, size: int
    ) -> Page:
        values: dict[str, object] = {"seen": seen}
        begins = "true"
        if isinstance(after, tuple):
            begins = SQL["after_key"].replace("{key_values}", ", ".join(f"%(key_{n})s" for n in range(len(table.key))))
            values |= {"updated_at": after[0], **{f"key_{n}": part for n, part in enumerate(after[1])}}
        elif after is not None:
            begins, values["since"] = SQL["since"], after
        statement = (
            SQL["page"]
            .replace("{after}", begins)
            .replace("{unseen}", SQL["unseen"] if seen is not None else "true")
            .replace("{limit}", str(rows))
            .replace("{bytes}", str(size))
        )
        async with self._pool.connection() as connection:
            found = await (await connection.execute(self._filled(statement, table), values)).fetchall()
        lines = [line for *_, text, _ in found if text for line in text.encode().split(b"\n")]
        if not found:
            return Page([], 0, None, more=False)
        at, key, _, page_rows = found[-1]
        return Page(lines, len(found), (at, key), more=len(found) < page_rows or page_rows == rows)

    async def lines_of(self, table: ReplicatedTable, keys: Sequence[str]) -> list[bytes]:
        """The rows that have these keys (as one text each), at most KEYS_AT_ONCE of them."""
        parts = list(zip(*(_parts(table, key) for key in keys), strict=True))
        values = {f"key_{n}": list(part) for n, part in enumerate(parts)}
        async with self._pool.connection() as connection:
            found = await (await connection.execute(self._filled(SQL["of_keys"], table), values)).fetchall()
        return [line for (text,) in found if text for line in text.encode().split(b"\n")]

    async def buckets(self, table: ReplicatedTable) -> dict[int, tuple[int, int]]:
        """Bucket -> how many rows, and the sum of their hashes."""
        async with self._pool.connection() as connection:
            found = await (await connection.execute(self._filled(SQL["buckets"], table))).fetchall()
        return {bucket: (count, int(hashes)) for bucket, count, hashes in found}

    async def versions(self, table: ReplicatedTable, buckets: Collection[int]) -> dict[str, int]:
        """Key as one text -> version, of these buckets."""
        async with self._pool.connection() as connection:
            statement = self._filled(SQL["versions"], table)
            return dict(await (await connection.execute(statement, {"buckets": list(buckets)})).fetchall())

    async def purge(self, table: ReplicatedTable, days: int) -> int:
        """Delete what people deleted longer ago; how many rows."""
        statement, gone, batch = self._filled(SQL["purge"], table), 0, PURGE_ROWS
        while batch == PURGE_ROWS:
            async with self._pool.connection() as connection:
                batch = (
                    await connection.execute(statement.replace("{limit}", str(PURGE_ROWS)), {"days": days})
                ).rowcount
            gone += batch
        return gone

    def _filled(self, statement: str, table: ReplicatedTable) -> str:
        columns = [f'it."{column}"' for column in table.key]
        texts = [f"{column}::text" for column in columns]
        arrays = [f"%(key_{n})s::{kind}[]" for n, kind in enumerate(table.key.values())]
        for name, text in {
            "lines": self._lines.get(table.name, "null"),
            "source": f'"{table.source}"',
            "where": table.where,
            "alive": "it.deleted_at is null" if table.soft else "true",
            "key_texts": ", ".join(texts),
            "key_text": texts[0] if len(texts) == 1 else f"concat_ws(e'\\x1f', {', '.join(texts)})",
            "key_arrays": ", ".join(arrays),
            "key": ", ".join(columns),
            "version": _VERSION,
        }.items():
            statement = statement.replace("{" + name + "}", text)
        return statement


def _parts(table: ReplicatedTable, key: str) -> list[str]:
    """Of a key as one text: the last one may hold what stands between them, since it is a platform's own words."""
    return key.split("\x1f", len(table.key) - 1)


def _index(table: ReplicatedTable) -> str:
    """By this name migrations make those of new tables."""
    return f"{table.source}_updated_at"


def _lines(table: ReplicatedTable, columns: Sequence[str], types: Mapping[str, str]) -> str:
    """The expression that makes lines of JSON of a row `it`. Permanent: a column is nowhere."""
    derived = {
        **table.derived,
        "_version": _VERSION,
        "_deleted": "(it.deleted_at is not null)::int" if table.soft else "0",
    }
    made = []
    for column in columns:
        if column in derived:
            made.append(f'{derived[column]} as "{column}"')
        elif column not in types:
            raise Permanent(f"{table.name} has a column {column}, which {table.source} has not")
        else:  # JSON stays text
            made.append(f'it."{column}"{"::text" if types[column] in _IN_JSON else ""} as "{column}"')
    each = f"select {', '.join(made)} {table.more}"
    return f"(select string_agg(row_to_json(line)::text, e'\\n') from ({each}) as line)"  # noqa: S608
