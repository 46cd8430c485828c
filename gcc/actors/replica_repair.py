"""The repair of replicas: what stands in ClickHouse is compared with PostgreSQL, and mended where it differs.

In: the declared tables. Out: a replica has what its source has: rows that it lacks, or has older, are read again; of
those that were deleted without a trace the key stays, with _deleted. And what has been deleted for KEPT_DAYS goes for
good, on both sides.

Both sides count the rows of each of 256 buckets of keys, and sum up their hashes; only of buckets that differ are keys
and versions read, KEYS_MAX at once. What changes meanwhile differs, and is found to be right then. Cancelled, or cut
short: what was mended stays mended.
"""

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Protocol

import trio

from gcc.actors.leader import Leader
from gcc.actors.replica import Replica
from gcc.actors.replicated import SQL, ReplicatedTable
from gcc.actors.warehouse import Queries
from gcc.clock import Clock
from gcc.errors import GccError, LeaseLost, Transient
from gcc.supervisor.lifecycle import one_line

BUCKETS = 256
KEYS_MAX = 100_000  # of one side, in memory
KEYS_AT_ONCE = 1000
KEPT_DAYS = 30
CATCH_UP_S = 120.0

Buckets = Mapping[int, tuple[int, int]]
"""Bucket -> how many rows, and the sum of their hashes."""


class AllRows(Protocol):
    """All rows of the sources, those deleted softly apart. Transient: the database is away."""

    async def buckets(self, table: ReplicatedTable) -> Buckets: ...

    async def versions(self, table: ReplicatedTable, buckets: Collection[int]) -> Mapping[str, int]:
        """Key, as one text, -> version."""

    async def lines_of(self, table: ReplicatedTable, keys: Sequence[str]) -> list[bytes]:
        """The rows of these keys, as lines of JSON."""

    async def purge(self, table: ReplicatedTable, days: int) -> int:
        """Delete what people deleted longer ago; how many rows."""


class ReplicaRepair:
    """A round is `await repair()`; see Schedule.

    Raises LeaseLost when another process leads, Transient when tables could not be looked at; the others were.
    """

    def __init__(
        self,
        tables: Sequence[ReplicatedTable],
        source: AllRows,
        queries: Queries,
        replica: Replica,
        leader: Leader,
        clock: Clock,
    ) -> None:
        self._tables = tables
        self._source = source
        self._queries = queries
        self._replica = replica
        self._leader = leader
        self._clock = clock

    async def __call__(self) -> dict[str, Any]:
        """Answers what was mended, by replica and kind: read (again), buried, set back, purged."""
        with trio.move_on_after(CATCH_UP_S):  # else much of what is new differs
            await self._replica.catch_up()
        mended: dict[str, Counter[str]] = {}
        failures: list[str] = []
        for table in self._tables:
            if self._leader.term is None:
                raise LeaseLost(f"this process does not lead {self._leader.name!r}")
            done = mended[table.name] = Counter[str]()
            try:
                await self._repair(table, done)
                await self._purge(table, done)
            except LeaseLost:
                raise
            except GccError as error:
                failures.append(f"{table.name}: {one_line(error)}")
        if failures:
            raise Transient("; ".join(failures))
        return {"replicas": len(mended), "mended": {name: dict(done) for name, done in mended.items() if done}}

    async def _repair(self, table: ReplicatedTable, done: Counter[str]) -> None:
        await self._replica.prepare(table)
        theirs = {
            row["bucket"]: (row["total"], row["hashes"]) for row in await self._queries.rows(_filled("buckets", table))
        }
        ours = await self._source.buckets(table)
        for buckets in _groups(ours, theirs):
            await self._mend(table, buckets, done)

    async def _mend(self, table: ReplicatedTable, buckets: Sequence[int], done: Counter[str]) -> None:
        """ClickHouse is asked first: what it has then and PostgreSQL has not later was deleted."""
        found = await self._queries.rows(_filled("versions", table), {"buckets": list(buckets)})
        theirs = {row["key"]: row["version"] for row in found}
        ours = await self._source.versions(table, buckets)
        gone = [key for key in theirs if key not in ours]
        lacks = [key for key, version in ours.items() if theirs.get(key) != version]
        for keys in _chunks(gone):
            await self._queries.command(_filled("bury", table), {"keys": keys})
        if gone:
            await self._queries.command(_filled("sweep", table))
        for keys in _chunks(lacks):
            done["set_back"] += await self._set_back(table, {key: ours[key] for key in keys})
            if lines := await self._source.lines_of(table, keys):
                done["refused"] += await self._replica.send(table, lines)
        done += Counter(buried=len(gone), read=len(lacks))  # drops what is 0

    async def _set_back(self, table: ReplicatedTable, ours: Mapping[str, int]) -> int:
        """Forget those that ClickHouse has newer, alive or not: PostgreSQL was restored. How many."""
        found = await self._queries.rows(_filled("newest", table), {"keys": list(ours)})
        newer = [row["key"] for row in found if row["version"] > ours[row["key"]]]
        if newer:
            whose = f"{table.key_text} in {{keys:Array(String)}}"
            await self._queries.command(_filled("forget", table).replace("{whose}", whose), {"keys": newer})
        return len(newer)

    async def _purge(self, table: ReplicatedTable, done: Counter[str]) -> None:
        if table.soft and not table.kept and (rows := await self._source.purge(table, KEPT_DAYS)):
            done["purged_rows"] = rows
        before = {"before": int((self._clock.now() - dt.timedelta(days=KEPT_DAYS)).timestamp() * 1_000_000)}
        ((buried,),) = [row.values() for row in await self._queries.rows(_filled("buried", table), before)]
        if buried:
            await self._queries.command(_filled("purge", table), before)
            done["purged"] = buried


def _groups(ours: Buckets, theirs: Buckets) -> Iterator[list[int]]:
    """The buckets that differ, so many at once as have KEYS_MAX rows on the side with more; one at least."""
    group: list[int] = []
    rows = 0
    for bucket in range(BUCKETS):
        mine, other = ours.get(bucket, (0, 0)), theirs.get(bucket, (0, 0))
        if mine == other:
            continue
        size = max(mine[0], other[0])
        if group and rows + size > KEYS_MAX:
            yield group
            group, rows = [], 0
        group.append(bucket)
        rows += size
    if group:
        yield group


def _chunks(keys: Sequence[str]) -> Iterator[list[str]]:
    for begin in range(0, len(keys), KEYS_AT_ONCE):
        yield list(keys[begin : begin + KEYS_AT_ONCE])


def _filled(statement: str, table: ReplicatedTable) -> str:
    sort_key = ", ".join((*table.key, *table.more_key))
    return (
        SQL[statement]
        .replace("{table}", table.name)
        .replace("{key_text}", table.key_text)
        .replace("{sort_key}", sort_key)
    )
