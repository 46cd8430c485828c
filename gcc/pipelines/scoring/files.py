"""Files of followers, read some rows at a time and from anywhere: NDJSON, a JSON array, CSV and Parquet.

A file of any size takes the memory of one piece. Each piece tells where the next begins, so that reading goes on there
after an interruption. Nothing in a file ends the reading: what is no row is passed on as the reason why.
"""

import csv
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, Protocol

from gcc import formulas
from gcc.errors import ConfigError
from gcc.pipelines.events import history_text
from gcc.pipelines.scoring.rows import GIVEN, HANDLE, NAME, Row

Kind = Literal["ndjson", "array", "csv", "parquet"]
SUFFIXES: dict[str, Kind] = {
    ".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "array", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet",
}  # fmt: skip
"""Of .json the first character tells: [ an array, else objects line by line."""
PIECE_ROWS, PIECE_BYTES = 2_000, 1 << 20
ROW_BYTES_MAX = 1 << 20
BATCH_BYTES = 16 << 20  # of Parquet, decoded, by what the file tells of itself
RECORD_LINES_MAX = 8
"""Of one record of CSV, whose quotes may hold line breaks; a quote that is open for longer was never meant as one."""
_READ_BYTES = 1 << 18
_BLANK = b" \t\r\n"
TOO_LONG = f"it is longer than {ROW_BYTES_MAX:,} bytes"


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


def kind_of(file: Path) -> Kind:
    """By its suffix, and its first character. ConfigError: by neither."""
    kind = SUFFIXES.get(file.suffix.lower())
    if kind is None:
        raise ConfigError(f"{file.name} must end in one of {', '.join(SUFFIXES)}")
    if file.suffix.lower() == ".json" and file.is_file():
        with file.open("rb") as opened:
            return "array" if opened.read(_READ_BYTES).lstrip(b"\xef\xbb\xbf" + _BLANK)[:1] == b"[" else "ndjson"
    return kind


def open_source(file: Path) -> Source:
    """ConfigError: it cannot be read, or has no follower in its columns."""
    try:
        if not file.is_file():
            raise ConfigError(f"{file} is no file that can be read twice" if file.exists() else f"there is no {file}")
        with file.open("rb") as opened:
            start = opened.read(history_text.OPENING_BYTES)
            if start.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise ConfigError(f"{file} is UTF-16; save it as UTF-8")
            if what := history_text.no_text(start) if kind_of(file) != "parquet" else None:
                raise ConfigError(f"{file} {what}")
        sources: dict[Kind, Callable[[Path], Source]] = {
            "ndjson": Lines, "array": Array, "csv": Table, "parquet": Parquet,
        }  # fmt: skip
        return sources[kind_of(file)](file)
    except OSError as error:
        raise ConfigError(f"file {file} cannot be read: {error.strerror}") from None


class Lines:
    """JSON, an object a line."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.total = file.stat().st_size

    def pieces(self, at: Position) -> Iterator[Piece]:
        with self.file.open("rb") as opened:
            yield from _pieces(self._rows(opened, at), at)

    def _rows(self, opened: BinaryIO, at: Position) -> Iterator[tuple[Row, Position]]:
        for line, text, after in _lines(opened, at):
            if isinstance(text, str) or text.strip(_BLANK):
                yield Row(line, text), after


def _pieces(rows: Iterator[tuple[Row, Position]], at: Position) -> Iterator[Piece]:
    """By number, and by size: some rows have a megabyte."""
    found: list[Row] = []
    for row, after in rows:
        found.append(row)
        if len(found) == PIECE_ROWS or after.offset - at.offset >= PIECE_BYTES:
            yield Piece(found, after)
            found, at = [], after
    if found:
        yield Piece(found, after)


def _lines(opened: BinaryIO, at: Position) -> Iterator[tuple[int, bytes | str, Position]]:
    """(number, a line or why it is none, where the next begins)"""
    offset, number = at
    opened.seek(offset)
    while text := opened.readline(ROW_BYTES_MAX):
        given: bytes | str = text
        offset += len(text)
        while not text.endswith(b"\n") and (text := opened.readline(ROW_BYTES_MAX)):
            given = TOO_LONG
            offset += len(text)
        if number == 1 and isinstance(given, bytes):
            given = given.removeprefix(b"\xef\xbb\xbf")
        yield number, given, Position(offset, number + 1)
        number += 1


class Table(Lines):
    """CSV with a header; its fields are parted by commas, semicolons or tabs, as the header's are.

    A quoted field may go on over a few lines. A quote that closes nowhere near, as an inch sign, costs its line alone.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        with file.open("rb") as opened:
            _, first, self.start = next(_lines(opened, Position()), (1, b"", Position()))
        header = first.decode("utf-8", "replace").rstrip("\r\n") if isinstance(first, bytes) else ""
        if "\r" in header:
            raise ConfigError(f"{file} ends its lines with CR alone; save it with LF or CRLF")
        self.delimiter = max(",;\t", key=header.count)
        self.names = [name.strip().lower() for name in next(csv.reader([header], delimiter=self.delimiter), [])]
        refuse_columns(file, self.names)

    def pieces(self, at: Position) -> Iterator[Piece]:
        return super().pieces(max(at, self.start))

    def _rows(self, opened: BinaryIO, at: Position) -> Iterator[tuple[Row, Position]]:
        lines = _lines(opened, at)
        ahead: deque[tuple[int, bytes | str, Position]] = deque()
        while ahead or (ahead := deque(islice(lines, 1))):
            given, taken = self._record(ahead, lines)
            line, after = ahead[0][0], ahead[taken - 1][2]
            for _ in range(taken):
                ahead.popleft()
            if given is not None:
                yield Row(line, given), after

    def _record(
        self, ahead: deque[tuple[int, bytes | str, Position]], lines: Iterator[tuple[int, bytes | str, Position]]
    ) -> tuple[dict[str, str] | str | None, int]:
        """(the first row, or why it is none, or None of an empty line; how many lines of `ahead` it is)"""
        text, taken = "", 0
        while taken < RECORD_LINES_MAX:
            if taken == len(ahead):
                ahead.extend(islice(lines, 1))
            if taken == len(ahead):
                break
            given = ahead[taken][1]
            if isinstance(given, str):
                break
            try:
                text += given.decode()
            except UnicodeDecodeError:
                break
            taken += 1
            if '"' not in text:
                return self._row(text.rstrip("\r\n").split(self.delimiter)), taken
            try:
                return self._row(next(csv.reader([text], delimiter=self.delimiter, strict=True))), taken
            except csv.Error as error:
                if "unexpected end" not in str(error):
                    return self._literally(ahead[0][1]), 1
        first = ahead[0][1]
        if isinstance(first, str):
            return first, 1
        return self._literally(first), 1

    def _literally(self, line: bytes | str) -> dict[str, str] | str | None:
        """Of a line that is no CSV: its quotes taken as they are, if its fields are as many as the header's."""
        assert isinstance(line, bytes)
        try:
            fields = line.decode().rstrip("\r\n").split(self.delimiter)
        except UnicodeDecodeError:
            return f"it {history_text.likely(line.decode(errors='surrogateescape'))}"
        return self._row(fields) if len(fields) == len(self.names) else "a quote in it is never closed"

    def _row(self, fields: list[str]) -> dict[str, str] | str | None:
        if len(fields) > len(self.names) and any(fields[len(self.names) :]):
            return f"it has {len(fields)} fields, and the header {len(self.names)}"
        return (
            {name: formulas.given(field) for name, field in zip(self.names, fields, strict=False) if name in GIVEN}
            if any(fields)
            else None
        )


def refuse_columns(file: Path, names: Sequence[str]) -> None:
    """ConfigError: they name no follower, or one thing twice."""
    if twice := [name for name in names if name in GIVEN and names.count(name) > 1]:
        raise ConfigError(f"{file} has the column {twice[0]} twice")
    if not (set(names) & set(HANDLE) and set(names) & set(NAME)):
        told = ", ".join(names)[:200] or "nothing"
        raise ConfigError(f"{file} needs the columns follower_handle and follower_full_name; it has {told}")


class Array:
    """A JSON array, element by element. What is cut off, or never closed, costs itself alone."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.total = file.stat().st_size

    def pieces(self, at: Position) -> Iterator[Piece]:
        if at.offset <= self.total:
            with self.file.open("rb") as opened:
                yield from _pieces(self._rows(opened, at), at)

    def _rows(self, opened: BinaryIO, at: Position) -> Iterator[tuple[Row, Position]]:
        window = _Window(opened, at)
        if not at.offset:
            while b"[" not in window.held and window.more():
                pass
            window.pass_to(window.held.index(b"[") + 1)
        while first := window.first():
            if first == b"]":
                return
            line, end = window.line, _element_end(window.held, window.begin)
            if end is None and len(window.held) - window.begin < ROW_BYTES_MAX and window.more():
                continue
            given: bytes | str = window.held[window.begin : end] if end else UNCLOSED
            if end:
                window.pass_to(end)
            else:
                window.pass_to_next()
            if not end and window.at.offset == self.total:
                yield Row(line, given), self._behind(window)
                return
            yield Row(line, given), window.at
        yield Row(window.line, "the list ends without a ]"), self._behind(window)

    def _behind(self, window: "_Window") -> Position:
        """Where nothing is read any more: at the end itself the ] might be missed again."""
        return Position(self.total + 1, window.line)


UNCLOSED = f"it is never closed, or longer than {ROW_BYTES_MAX:,} bytes"
_BETWEEN = re.compile(rb"[\s,]*")
_NEXT = re.compile(rb"[\n,][ \t\r\n]{0,60}\{")  # what looks like the begin of an element
_NEXT_BYTES_MAX = 62
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+("?)|([{\[])|([}\]])', re.DOTALL)
_ATOM = re.compile(rb"[^,\]\s{]+(?=[,\]\s{])")
_BROKEN = 0


class _Window:
    """A part of a file, and in it `begin`, where reading is. What is found there is the same wherever it was cut."""

    def __init__(self, opened: BinaryIO, at: Position) -> None:
        opened.seek(at.offset)
        self._opened = opened
        self._base, self.line = at
        self.held, self.begin = b"", 0

    @property
    def at(self) -> Position:
        return Position(self._base + self.begin, self.line)

    def more(self) -> bool:
        """Hold more of the file, and no more what was passed. False: it ends."""
        read = self._opened.read(_READ_BYTES)
        self._base += self.begin
        self.held, self.begin = self.held[self.begin :] + read, 0
        return bool(read)

    def pass_to(self, end: int) -> None:
        self.line += self.held.count(b"\n", self.begin, end)
        self.begin = end

    def first(self) -> bytes:
        """Pass what parts elements; the first byte of the next; b"": there is none."""
        while True:
            between = _BETWEEN.match(self.held, self.begin)
            assert between
            self.pass_to(between.end())
            if self.begin < len(self.held):
                return self.held[self.begin : self.begin + 1]
            if not self.more():
                return b""

    def pass_to_next(self) -> None:
        """To what looks like the begin of another element, or to the end."""
        self.pass_to(self.begin + 1)
        while not (found := _NEXT.search(self.held, self.begin)):
            self.pass_to(max(self.begin, len(self.held) - _NEXT_BYTES_MAX))
            if not self.more():
                self.pass_to(len(self.held))
                return
        self.pass_to(found.end() - 1)


def _element_end(held: bytes, begin: int) -> int | None:
    """Where the element ends that begins there; None: not in what is held; _BROKEN: nowhere."""
    last = begin + ROW_BYTES_MAX
    if held[begin] not in b'{["':
        atom = _ATOM.match(held, begin, last)
        return atom.end() if atom else None
    waits = b""  # for these to be closed
    for token in _TOKEN.finditer(held, begin, last):
        closed, opens, closes = token.groups()
        if closed == b"":
            return None
        if opens:
            waits += opens
        elif closes:
            if waits[-1:] + closes not in (b"{}", b"[]"):
                return _BROKEN
            waits = waits[:-1]
        if not waits:
            return token.end()
    return None


class Parquet:
    """Texts are read as places in a dictionary: one of a megabyte may stand in many rows."""

    def __init__(self, file: Path) -> None:
        import pyarrow
        from pyarrow import parquet  # 60 MB that other files do not need

        try:
            schema = parquet.read_schema(file)
            refuse_columns(file, schema.names)
            self._columns = [name for name in schema.names if name in GIVEN]
            texts = [name for name in self._columns if str(schema.field(name).type).endswith(("string", "binary"))]
            self._opened = parquet.ParquetFile(
                file,
                read_dictionary=texts,
                buffer_size=_READ_BYTES,
                pre_buffer=False,  # not a row group at once
            )
        except pyarrow.ArrowInvalid as error:
            raise ConfigError(f"{file} is no Parquet: {error}") from None
        metadata = self._opened.metadata
        self.total = metadata.num_rows
        groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
        fit = [BATCH_BYTES * each.num_rows // max(each.total_byte_size, 1) for each in groups if each.num_rows]
        self._rows_at_once = max(1, min([*fit, PIECE_ROWS]))

    def pieces(self, at: Position) -> Iterator[Piece]:
        for first, batch in self._batches(at):
            sizes = _sizes(batch)
            begin = size = 0
            for end, more in enumerate(sizes, 1):
                size += more
                if size >= PIECE_BYTES or end == len(sizes):
                    rows = _rows_of(
                        batch.slice(begin, end - begin), first + begin + 1, is_last_long=more > ROW_BYTES_MAX
                    )
                    yield Piece(rows, Position(first + end, first + end + 1))
                    begin, size = end, 0

    def _batches(self, at: Position) -> Iterator[tuple[int, Any]]:
        """From there on, each with how many rows are before it."""
        skipped, first = 0, 0
        metadata = self._opened.metadata
        while first < metadata.num_row_groups and skipped + metadata.row_group(first).num_rows <= at.offset:
            skipped += metadata.row_group(first).num_rows
            first += 1
        groups = list(range(first, metadata.num_row_groups))
        if not groups:
            return
        for batch in self._opened.iter_batches(
            self._rows_at_once, row_groups=groups, columns=self._columns, use_threads=False
        ):
            passed = min(max(0, at.offset - skipped), len(batch))
            yield skipped + passed, batch.slice(passed)
            skipped += len(batch)


def _sizes(batch: Any) -> list[int]:
    """How many bytes the texts of each row have."""
    from pyarrow import compute

    lengths = [
        compute.binary_length(column.dictionary).take(column.indices).fill_null(0).to_pylist()
        for column in batch.columns
        if hasattr(column, "dictionary")
    ]
    return [sum(each) for each in zip(*lengths, strict=True)] if lengths else [0] * len(batch)


def _rows_of(batch: Any, line: int, *, is_last_long: bool) -> list[Row]:
    """Rows of a batch, of which the first stands in `line`."""
    given = batch.slice(0, len(batch) - is_last_long)
    plain = {
        name: column.dictionary_decode() if hasattr(column, "dictionary") else column
        for name, column in zip(given.schema.names, given.columns, strict=True)
    }
    rows: list[Any] = type(batch).from_pydict(plain).to_pylist()
    return [Row(number, row) for number, row in enumerate([*rows, *[TOO_LONG] * is_last_long], line)]
