"""Tables as crawls write them: declared once, so that a new kind of row needs no statement of its own. Pure.

A row maps columns to values. A column that it lacks is None, and None is unknown. What becomes of a row whose key is
there already, `Table.merged` tells; gcc/stores/upserts.py has PostgreSQL do the same.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, Any]
Types = Mapping[str, str]
"""Column -> its type, as PostgreSQL calls it."""


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """`key` is the natural key; the other groups differ in what a later row with the same key does to them.

    `first`: nothing; they stay as the first row had them. `latest`: they are replaced, by None too. `known`: they are
    replaced, unless the later row does not know them. `newer` is the column of key or `latest` that tells whether a
    row is later: one with less in it changes nothing. Without it every row is later than what is there. `stamp`:
    the column that is set to the database's time with every change.
    """

    name: str
    key: Types
    first: Types = field(default_factory=dict)
    latest: Types = field(default_factory=dict)
    known: Types = field(default_factory=dict)
    newer: str | None = None
    stamp: str | None = None
    columns: Types = field(init=False)

    def __post_init__(self) -> None:
        """ValueError: it is no table."""
        groups = (self.key, self.first, self.latest, self.known)
        columns = {name: kind for group in groups for name, kind in group.items()}
        if not self.key or len(columns) != sum(map(len, groups)) or self.stamp in columns:
            raise ValueError(f"table {self.name}: it needs a key, and each column stands in one group")
        if self.newer is not None and self.newer not in self.latest:
            raise ValueError(f"table {self.name}: newer column {self.newer} is none of the latest ones")
        object.__setattr__(self, "columns", columns)

    def merged(self, old: Row | None, new: Row) -> Row:
        """What stands where `new` was written over `old`."""
        if old is None:
            return new
        if self.newer is not None and new[self.newer] < old[self.newer]:
            return old
        first = {name: old.get(name) for name in self.first}
        known = {name: old.get(name) for name in self.known if new.get(name) is None}
        return {**new, **first, **known}

    def key_of(self, row: Row) -> tuple[Any, ...]:
        """ValueError: the row is none of this table."""
        if not row.keys() <= self.columns.keys():
            unknown = sorted(row.keys() - self.columns.keys())[0]
            raise ValueError(f"table {self.name} has no column {unknown!r}; it has {', '.join(self.columns)}")
        for name in (*self.key, self.newer):
            if name is not None and row.get(name) is None:
                raise ValueError(f"table {self.name}: a row without {name}; it has {', '.join(row)}")
        return tuple(row[name] for name in self.key)


@dataclass(frozen=True, slots=True)
class Upsert:
    """Rows to insert, or to write over those with the same keys; in the order in which they came to be."""

    table: Table
    rows: Sequence[Row]


def ordered(writes: Iterable[Upsert]) -> Iterator[tuple[Table, list[Row]]]:
    """The rows by table, in order of its name, and by key, each key once: written so, no two crawls lock each other.

    Raises ValueError where a row is none of its table's, TypeError where its key compares with none.
    """
    found: dict[str, tuple[Table, dict[tuple[Any, ...], Row]]] = {}
    for upsert in writes:
        table, rows = found.setdefault(upsert.table.name, (upsert.table, {}))
        for row in upsert.rows:
            key = table.key_of(row)
            rows[key] = table.merged(rows.get(key), row)
    for name in sorted(found):
        table, rows = found[name]
        yield table, [rows[key] for key in sorted(rows)]
