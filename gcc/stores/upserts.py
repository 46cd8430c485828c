"""Rows into declared tables (gcc/tables.py), inside the caller's transaction: one statement a table.

It is composed once, so that psycopg prepares it and the server keeps its plan. Rows are locked in order of table and
key, whatever the order in which they are given.
"""

import datetime as dt
import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import psycopg
from psycopg import sql

from gcc import statements, tables
from gcc.stores.postgres import Connection
from gcc.tables import Row, Table, Upsert

SQL = statements.load("upserts")
BATCH_ROWS = 500
SHOWN_CHARS_MAX = 60
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")  # in JSON


async def write(conn: Connection, writes: Iterable[Upsert]) -> None:
    """Insert the rows, or write them over older ones with the same keys.

    ValueError names the table, and where it is known the column, of a value that PostgreSQL does not take;
    psycopg.IntegrityError the constraint that a row would break. Then the caller's transaction is void.
    """
    for table, rows in tables.ordered(writes):
        statement = _statement(table)
        for begin in range(0, len(rows), BATCH_ROWS):
            encoded = _encoded(table, rows[begin : begin + BATCH_ROWS])
            try:
                await conn.execute(statement, {"rows": encoded})
            except psycopg.DataError as error:
                raise ValueError(f"table {table.name}: {str(error).partition(chr(10))[0]}") from error


@lru_cache(maxsize=256)  # as many tables as are ever declared
def _statement(table: Table) -> bytes:
    def name(*parts: str) -> sql.Identifier:
        return sql.Identifier(
            *(part.replace("%", "%%") for part in parts)
        )  # psycopg looks for parameters in names, too

    changes = {
        column: sql.SQL("coalesce(excluded.{0}, old.{0})" if column in table.known else "excluded.{0}").format(
            name(column)
        )
        for column in (*table.latest, *table.known)
    }
    columns = sql.SQL(", ")
    settings = [sql.SQL("{} = {}").format(name(column), value) for column, value in changes.items()]
    if table.stamp is not None:
        settings.append(sql.SQL("{} = now()").format(name(table.stamp)))
    change = "keep" if not changes else "replace_different" if table.newer is None else "replace"
    composed = sql.SQL(SQL["upsert"]).format(
        table=name(table.name),
        columns=columns.join(map(name, table.columns)),
        typed=columns.join(
            sql.SQL("{} {}").format(name(column), sql.SQL(kind)) for column, kind in table.columns.items()
        ),
        key=columns.join(map(name, table.key)),
        change=sql.SQL(SQL[change]).format(
            changes=columns.join(settings),
            newer=name(table.newer or ""),
            old=columns.join(name("old", column) for column in changes),
            values=columns.join(changes.values()),
        ),
    )
    return composed.as_bytes()


def _encoded(table: Table, rows: Sequence[Row]) -> str:
    try:
        return _json(rows)
    except (TypeError, ValueError, RecursionError) as error:
        for row in rows:
            for column, value in row.items():
                _refuse(table, column, value)
        raise ValueError(f"table {table.name}: {error}") from error


def _refuse(table: Table, column: str, value: Any) -> None:
    try:
        _json(value)
    except (TypeError, ValueError, RecursionError) as error:
        shown = repr(value[:SHOWN_CHARS_MAX]) if isinstance(value, str) else f"this {type(value).__name__}"
        raise ValueError(f"table {table.name}: {column} cannot be {shown}: {error}") from error


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
    if "\\u0000" in text and _NUL.search(text):
        raise ValueError("PostgreSQL keeps no NUL character")
    text.encode()  # halves of characters are refused
    return text


def _plain(value: Any) -> Any:
    """What JSON has no form for, in the words in which PostgreSQL reads it."""
    match value:
        case Mapping():
            return dict(value)
        case dt.date() | dt.time() | uuid.UUID() | Decimal():
            return str(value)
        case bytes():
            return f"\\x{value.hex()}"
        case _:
            raise TypeError(f"{type(value).__name__} is no value of a column")
