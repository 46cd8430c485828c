"""ClickHouse's event tables as the migrations make them, without the engine: lines are read as strictly as by it.

In: what a sinker inserts. Out: what is refused and why, and how many rows each table has. tests/integration/
test_fuzzed_stores.py holds it to the engine: what is taken here is taken there, with the same values, and nothing that
is refused here is taken there as something else.
"""

import datetime as dt
import json
import re
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from gcc.errors import Permanent, Transient
from gcc.statements import SQL

LIST = re.compile(r"create table if not exists `_e`\.(\w+) \{on_cluster\} \((.*?)\n\)", re.DOTALL)
COLUMN = re.compile(r"^    (\w+) (.+?)(?: (default|codec|materialized)\b.*)?,?(?:\s*--.*)?$", re.MULTILINE)
ALTER = re.compile(r"alter table `_e`\.(\w+) \{on_cluster\}(.*?);", re.DOTALL)
CHANGED = re.compile(
    r"(?:modify|add) column (?:if not exists )?(\w+) (.+?)(?: (default|codec|materialized|after)\b.*)?,?(?:\s*--.*)?$",
    re.MULTILINE,
)
RENAMED = re.compile(r"rename column (?:if exists )?(\w+) to (\w+)")
TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)[ T](\d\d):(\d\d):(\d\d)(?:\.(\d+))?")
UUID = re.compile(r"[0-9a-fA-F]{8}(-?)[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{4}\1[0-9a-fA-F]{12}")
TEXTS = frozenset({"String", "LowCardinality(String)", "Nullable(String)"})  # of whatever value, as JSON writes it
HALF, HALF_ESCAPED = re.compile("[\ud800-\udfff]"), re.compile(rb"\\u[dD]")
YEARS = range(1970, 2200)
DEPTH_MAX = 3000
WINDOW_INSERTS = 1000


@cache
def columns_of_tables() -> dict[str, dict[str, str]]:
    """{"_e.table": {column: type}} of the columns that an insert may name."""
    tables = {}
    for path in sorted((SQL / "clickhouse").glob("*.sql")):
        for name, body in LIST.findall(path.read_text()):
            found = COLUMN.findall(body.replace("\n     ", " "))  # a column may go over two lines
            tables[f"_e.{name}"] = {column: kind for column, kind, how in found if how != "materialized"}
        for name, body in ALTER.findall(path.read_text()):
            columns = tables[f"_e.{name}"]
            columns |= {column: kind for column, kind, how in CHANGED.findall(body) if how != "materialized"}
            columns |= {new: columns.pop(old) for old, new in RENAMED.findall(body)}
    return tables


class Whole(int):
    """A whole number as it was written: `-0` has a sign."""

    negative = False


class StrictTables:
    """See `gcc.pipelines.events.sinks.EventStore`."""

    def __init__(self, told: Callable[[str, list[dict[str, Any]]], None] = lambda table, rows: None) -> None:
        """`told(table, rows)` is called with what is stored."""
        self.columns = columns_of_tables()
        self._told = told
        self.ids: dict[str, set[str]] = {table: set() for table in self.columns}
        self.inserted: Counter[str] = Counter()  # rows, those sent again among them
        self.refusals: Counter[str] = Counter()  # inserts that were refused
        self._tokens: dict[str, bytes] = {}

    async def insert_ndjson(self, table: str, body: bytes, *, token: str) -> None:
        if table not in self.columns:
            raise Transient(f"table {table} does not exist")
        try:
            rows = [self.row(table, line) for line in body.split(b"\n") if line.strip()]
        except (ValueError, RecursionError) as error:
            self.refusals[table] += 1
            raise Permanent(f"{table}: {error}") from error
        if token in self._tokens:
            assert self._tokens[token] == body, "a token names frozen content"
            return
        self._tokens[token] = body
        if len(self._tokens) > WINDOW_INSERTS:
            del self._tokens[next(iter(self._tokens))]
        self.ids[table].update(str(uuid.UUID(row["event_id"])) for row in rows)
        self.inserted[table] += len(rows)
        self._told(table, rows)

    def row(self, table: str, line: bytes) -> dict[str, Any]:
        """The values of a line by column. ValueError: ClickHouse would refuse it, or read it as something else."""
        columns = self.columns[table]
        pairs = _decoded(line)
        row = dict(pairs)
        for name in row:
            if name not in columns:
                raise ValueError(f"Unknown field found while parsing JSONEachRow format: {name}")
        if len(row) != len(pairs):
            raise ValueError(
                f"Duplicate field found while parsing JSONEachRow format: {sorted(name for name, _ in pairs)}"
            )
        for name, value in row.items():
            if columns[name] not in TEXTS and not _fits(value, columns[name]):
                raise ValueError(f"Cannot parse {columns[name]}: {name}: {value!r:.100}")
        return row


def _fits(value: Any, kind: str) -> bool:
    if kind.startswith("Nullable("):
        return value is None or _fits(value, kind.removeprefix("Nullable(").removesuffix(")"))
    if kind == "UUID":
        return isinstance(value, str) and UUID.fullmatch(value) is not None
    if kind.startswith("DateTime64"):
        return isinstance(value, str) and _is_time(value)
    if kind == "Bool":
        return isinstance(value, bool)
    if kind == "Float64":
        return isinstance(value, Whole | float) and abs(value) <= sys.float_info.max
    return isinstance(value, Whole) and _in_range(value, kind)


def _in_range(value: Whole, kind: str) -> bool:
    bits = int(kind.partition("Int")[2])
    if kind.startswith("U"):
        return not value.negative and value < 2**bits
    return -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)


def _is_time(text: str) -> bool:
    if not (found := TIME.fullmatch(text)):
        return False
    try:
        return dt.datetime(*map(int, found.groups()[:6])).year in YEARS  # noqa: DTZ001
    except ValueError:
        return False


def _decoded(line: bytes) -> list[tuple[str, Any]]:
    """Names and values of an object, in order; names may come twice inside of values. ValueError: it is none."""
    with _deep():
        found = _decode(line.decode().strip(" \t\r"))
    if not isinstance(found, _Object):
        raise ValueError("no object")
    if HALF_ESCAPED.search(line) and HALF.search(json.dumps(found, ensure_ascii=False)):
        raise ValueError("half of a character")
    return found.pairs


class _Object(list[Any]):
    """An object as a list, so that it can be dumped whatever its names."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.pairs = pairs


def _whole(text: str) -> Whole:
    whole = Whole(text)
    whole.negative = text.startswith("-")
    return whole


def _constant(text: str) -> Mapping[str, Any]:
    raise ValueError(f"{text} is no JSON")


_decode = json.JSONDecoder(object_pairs_hook=_Object, parse_int=_whole, parse_constant=_constant).decode


@contextmanager
def _deep() -> Iterator[None]:
    """Python's reader of JSON descends by calls; ClickHouse keeps nested values as text, however deep."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, DEPTH_MAX))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
