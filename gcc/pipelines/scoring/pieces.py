"""What files of followers are read in: pieces of some rows, each with where the next begins; and their bounds."""

import re
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple, Protocol

from gcc.pipelines.scoring.rows import COLUMNS, Row

PIECE_ROWS, PIECE_BYTES = 2_000, 1 << 20
ROW_BYTES_MAX = 1 << 20
READ_BYTES = 1 << 18
OWN_MAX, OWN_CHARS_MAX = 200, 100
"""Columns that are a table's own, and characters of their names: JSON repeats these with each row, however short."""
BLANK = b" \t\r\n"
HALF = re.compile("[\ud800-\udfff]")
"""Of a character, which no table can hold."""
MARK = b"\xef\xbb\xbf"
"""Of UTF-8, before the first character."""
TOO_LONG = f"it is longer than {ROW_BYTES_MAX:,} bytes"

Own = Mapping[str, Literal["text", "int", "float", "bool"]]
"""Columns that the file has and an answer has not, as they are spelled there; in Parquet they are of these kinds."""


class Position(NamedTuple):
    """Of what is read next: bytes from the start (of Parquet rows), and the number of the line or row."""

    offset: int = 0
    line: int = 1


class Piece(NamedTuple):
    rows: list[Row]
    after: Position


class Source(Protocol):
    total: int
    """About what `Position.offset` is at the end."""

    def pieces(self, at: Position) -> Iterator[Piece]:
        """All rows from there on."""

    def own(self) -> Own:
        """OWN_MAX at most, the same however often it is asked; of JSON the keys of the first piece."""


def pieces(rows: Iterator[tuple[Row, Position]], at: Position) -> Iterator[Piece]:
    """By number, and by size: some rows have a megabyte."""
    found: list[Row] = []
    for row, after in rows:
        found.append(row)
        if len(found) == PIECE_ROWS or after.offset - at.offset >= PIECE_BYTES:
            yield Piece(found, after)
            found, at = [], after
    if found:
        yield Piece(found, after)


def own_of(names: Iterator[str]) -> Own:
    """Texts of these names, but for those that an answer has itself."""
    found: dict[str, Literal["text", "int", "float", "bool"]] = {}
    for name in names:
        if name not in COLUMNS and len(found) < OWN_MAX and len(name) <= OWN_CHARS_MAX and not HALF.search(name):
            found[name] = "text"
    return found
