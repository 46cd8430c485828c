"""What a replica follows: tables as they are declared, and the port by which their rows are read.

gcc/actors/replica.py reads what changes, gcc/actors/replica_repair.py compares all of it.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gcc import statements

SQL = statements.load("replica", statements.SQL / "clickhouse" / "queries")


@dataclass(frozen=True)
class ReplicatedTable:
    """`name` in ClickHouse, with its database, follows `source` in PostgreSQL; see gcc/pipelines/analytics/replicas.py.

    `key`: the source's natural key, column -> type; the replica's sort key begins with it. `derived`: column of the
    replica -> expression over the source's row `it`. `left_out`: columns of the source that are not read. `where`:
    which rows. `more`: a FROM that makes several rows of one, and `more_key` by what these differ. `platform`: of
    which platform all rows are. `soft`: it has deleted_at. `kept`: what is deleted there stays, since other rows refer
    to it.
    """

    name: str
    source: str
    key: Mapping[str, str]
    derived: Mapping[str, str] = field(default_factory=dict)
    left_out: Sequence[str] = ()
    where: str = "true"
    more: str = ""
    more_key: Sequence[str] = ()
    platform: str = ""
    soft: bool = False
    kept: bool = False

    @property
    def database(self) -> str:
        return self.name.partition(".")[0]

    @property
    def table(self) -> str:
        return self.name.partition(".")[2]

    @property
    def key_text(self) -> str:
        """The key as one text in ClickHouse's words, as the store makes it in PostgreSQL's."""
        parts = [f"toString({column})" for column in self.key]
        return parts[0] if len(parts) == 1 else f"arrayStringConcat([{', '.join(parts)}], '\\x1f')"


Place = tuple[dt.datetime, Sequence[str]]
"""A row's updated_at and key, as text."""


@dataclass(frozen=True, slots=True)
class Horizon:
    """`oldest`: no open transaction began before. `xid`: none that has written has an id before; 32 bits."""

    oldest: dt.datetime
    xid: int


@dataclass(frozen=True, slots=True)
class Page:
    """`lines`: of each row of the source one or more, JSON; `last`: its last row; `more`: others follow it."""

    lines: Sequence[bytes]
    rows: int
    last: Place | None
    more: bool


@dataclass(frozen=True, slots=True)
class Position:
    """How far a replica came. `place`: within a round that was cut short; `floor`: from when on the next one reads."""

    place: Place | None = None
    floor: dt.datetime | None = None


class ReplicaTables(Protocol):
    """The replicas' own tables. Transient: they are away. Permanent: they refuse what they are asked, or a row."""

    async def rows(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The result of a SELECT."""

    async def insert_ndjson(self, table: str, body: bytes, *, token: str) -> None:
        """Append `body`, one JSON object a line; the same token with the same bytes is stored once."""


class FollowedRows(Protocol):
    """The tables that are followed. Transient: the database is away. Permanent: a table cannot be read so."""

    async def positions(self) -> Mapping[str, Position]:
        """By the replica's name."""

    async def move(self, name: str, position: Position, term: int) -> None:
        """LeaseLost: the term is over."""

    async def prepare(self, table: ReplicatedTable, columns: Sequence[str]) -> bool:
        """Before its first page: `columns` are the replica's. Whether it has the index by which it is read."""

    async def make_index(self, table: ReplicatedTable) -> None:
        """While others write; as long as that takes, and transactions are open that began before."""

    async def horizon(self) -> Horizon: ...

    async def page(
        self, table: ReplicatedTable, *, after: Place | dt.datetime | None, seen: int | None, rows: int, size: int
    ) -> Page:
        """At most `rows`, and about `size` bytes, later than `after`, that transactions since `seen` have written."""
