"""Files of followers, read some rows at a time and from anywhere: a JSON object a line, CSV; the rest of JSON (arrays)
and Parquet (parquets) are opened here, too.

A file of any size takes the memory of one piece. Each piece tells where the next begins, so that reading goes on there
after an interruption. Nothing in a file ends the reading: what is no row is passed on as the reason why.
"""

import csv
import re
from collections import Counter, deque
from collections.abc import Iterator
from itertools import dropwhile, islice
from pathlib import Path
from typing import BinaryIO, Literal

from gcc import formulas
from gcc.errors import ConfigError
from gcc.pipelines.events import history_text
from gcc.pipelines.scoring import pieces as bounds
from gcc.pipelines.scoring.arrays import Array, keys, opening
from gcc.pipelines.scoring.parquets import Parquet
from gcc.pipelines.scoring.pieces import BLANK, MARK, ROW_BYTES_MAX, TOO_LONG, Own, Piece, Position, Source, own_of
from gcc.pipelines.scoring.rows import Row, known_as, refuse_columns

Kind = Literal["ndjson", "array", "csv", "tsv", "parquet"]
SUFFIXES: dict[str, Kind] = {
    ".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "array", ".csv": "csv", ".tsv": "tsv", ".parquet": "parquet",
}  # fmt: skip
"""What a result is; of what is read, JSON tells by its first characters what it is."""
ELSE = {
    ".gz": "unpack it first: gunzip --keep",
    ".zst": "unpack it first: unzstd",
    ".xz": "unpack it first: unxz --keep",
    ".bz2": "unpack it first: bunzip2 --keep",
    ".zip": "unpack it first: unzip",
    ".xlsx": "save it as CSV UTF-8",
    ".xls": "save it as CSV UTF-8",
    ".html": "it is for people; ask for JSON",
    ".txt": "if it has a header and columns, name it .csv, and .ndjson if it has objects",
}
RECORD_LINES_MAX = 8
"""Of one record of CSV, whose quotes may hold line breaks; a quote that is open for longer was never meant as one."""
_SEPARATOR = re.compile(rb'"?sep=(.)"?\s*')
"""The first line of what Excel writes where it is asked to."""


def kind_of(file: Path, way_out: str | None = None) -> Kind:
    """By its suffix. ConfigError: that says nothing."""
    kind = SUFFIXES.get(file.suffix.lower())
    if kind is None:
        raise ConfigError(f"{file} must end in one of {', '.join(SUFFIXES)}{f'; {way_out}' if way_out else ''}")
    return kind


def kind_of_result(file: Path, out: Path) -> Kind:
    """By its suffix; .json is an array, unless it is made of a .json that has objects one after another."""
    kind = kind_of(out)
    is_like = kind == "array" and file.suffix.lower() == ".json" and file.is_file()
    return "ndjson" if is_like and opening(file).form in ("lines", "objects") else kind


def open_source(file: Path) -> Source:
    """ConfigError: it cannot be read, or has no follower in its columns."""
    try:
        if not file.is_file():
            what = "is a folder" if file.is_dir() else "is no file that can be read twice"
            raise ConfigError(f"{file} {what}" if file.exists() else f"there is no {file}")
        kind = kind_of(file, ELSE.get(file.suffix.lower()))
        with file.open("rb") as opened:
            start = opened.read(history_text.OPENING_BYTES)
        if kind == "parquet":
            return Parquet(file)
        if packed := history_text.no_text(start):
            raise ConfigError(f"{file} {packed}")
        if start.startswith((b"\xff\xfe", b"\xfe\xff")) or 0 in start[:2]:
            raise ConfigError(f"{file} is UTF-16; save it as UTF-8 (iconv -f UTF-16 -t UTF-8)")
        if kind in ("csv", "tsv"):
            return Table(file)
        return Lines(file) if opening(file).form == "lines" else Array(file)
    except OSError as error:
        raise ConfigError(f"file {file} cannot be read: {error.strerror}") from None


class Lines:
    """JSON, an object a line."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.total = file.stat().st_size

    def pieces(self, at: Position) -> Iterator[Piece]:
        with self.file.open("rb") as opened:
            yield from bounds.pieces(self._rows(opened, at), at)

    def own(self) -> Own:
        return keys(self)

    def _rows(self, opened: BinaryIO, at: Position) -> Iterator[tuple[Row, Position]]:
        for line, text, after in _lines(opened, at):
            if isinstance(text, str) or text.strip(BLANK):
                yield Row(line, text), after


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
            given = given.removeprefix(MARK)
        yield number, given, Position(offset, number + 1)
        number += 1


class Table(Lines):
    """CSV with a header; its fields are parted by commas, semicolons, tabs or bars, as the header's are.

    A quoted field may go on over a few lines. A quote that closes nowhere near, as an inch sign, costs its line alone.
    """

    def __init__(self, file: Path) -> None:
        super().__init__(file)
        nothing = 1, b"", Position()
        with file.open("rb") as opened:
            lines = dropwhile(lambda line: line[1].strip() in (b"", ""), _lines(opened, Position()))
            _, first, self.start = next(lines, nothing)
            if told := _SEPARATOR.fullmatch(first) if isinstance(first, bytes) else None:
                _, first, self.start = next(lines, nothing)
        header = first.decode("utf-8", "replace").rstrip("\r\n") if isinstance(first, bytes) else ""
        if "\r" in header:
            raise ConfigError(f"{file} ends its lines with CR alone; save it with LF or CRLF")
        self.delimiter = told[1].decode("latin-1") if told else max(",;\t|", key=header.count)
        fields = [name.strip() for name in next(csv.reader([header], delimiter=self.delimiter), [])]
        refuse_columns(file, fields)
        self._header = fields
        names = _told_apart(fields)
        self._own = own_of(filter(None, names))
        self.names = [name if name in self._own or known_as(name) else "" for name in names]  # "": is left out

    def own(self) -> Own:
        return self._own

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
            what = history_text.likely(line.decode(errors="surrogateescape")).partition(": ")[0]
            return f"it {what}; save the file as UTF-8, or turn it by iconv"
        return self._row(fields) if len(fields) == len(self.names) else "a quote in it is never closed"

    def _row(self, fields: list[str]) -> dict[str, str] | str | None:
        if fields[0].strip() == self._header[0] and [field.strip() for field in fields] == self._header:
            return None  # of another file that was put behind the first
        if len(fields) > len(self.names) and any(fields[len(self.names) :]):
            return f"it has {len(fields)} fields, and the header {len(self.names)}"
        return (
            {name: formulas.given(field) for name, field in zip(self.names, fields, strict=False) if name}
            if any(fields)
            else None
        )


def _told_apart(names: list[str]) -> list[str]:
    """The second `note` is `note.1`, as pandas has it."""
    seen, apart = Counter[str](), []
    for name in names:
        apart.append(f"{name}.{seen[name]}" if name and seen[name] else name)
        seen[name] += 1
    return apart
