"""A history file's bytes as rows: CSV with a header, or NDJSON (told by the first character), in any chunks.

Lines end with LF, CRLF or CR, mixed as they come. In CSV a cell that begins with a quote goes on to the quote before
the next comma or line end, over line ends too, with "" for a quote in it; in any other cell quotes are ordinary
characters. A quoted cell spans at most QUOTED_LINES_MAX lines and a row ROW_CHARS_MAX characters; it never reaches
over a line that begins like a row itself. What is quoted otherwise is read literally if it stands on one line, else
that line is refused; either way reading goes on at the next line. So the work a line is bounded (a quote that opened
ends at the next odd one, where the next search begins) and a bad row costs no other.

What cannot be a row comes out as the Malformed that tells why; `given_up` says that the rest cannot be read at all.
"""

import codecs
import csv
import io
import json
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import msgspec

from gcc.pipelines.events import history_text
from gcc.pipelines.events.history_snapshot import PLATFORMS, Malformed, shown
from gcc.sources.handles import is_id

PIECE_BYTES = 16 * 1024
PIECE_RECORDS = 200
"""Read without a pause: some milliseconds' work, whatever is in it."""
ROW_CHARS_MAX = 128 * 1024  # csv.field_size_limit is the same
QUOTED_LINES_MAX = 1000
NEEDED = ("platform", "profile_id", "handle", "timestamp")

Record = str | list[str] | Malformed  # a JSON object, cells
Records = list[tuple[int, Record]]

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Rows:
    """`feed` and `end` give records with the numbers of their first lines; `row` makes one a row.

    `encoding`: None: what the file tells. Permanent: there is no such encoding.
    """

    def __init__(self, encoding: str | None = None) -> None:
        self.given_up = False
        if encoding is not None:
            history_text.check(encoding)
        self._encoding = encoding
        self._decoder: codecs.IncrementalDecoder | None = None
        self._opening = b""  # until it is known what they open
        self._is_at_mark = True  # a byte order mark may come
        self._splitter = Splitter()
        self._lines: deque[str] = deque()
        self._number = 1  # of the first of them
        self._header: list[str] | None = None
        self._is_json = False

    def feed(self, chunk: bytes) -> Iterator[Records]:
        """The records that `chunk` completes, a piece after the other."""
        return self._pieces(chunk, last=False)

    def end(self) -> Iterator[Records]:
        """What stands after the last line's end."""
        return self._pieces(b"", last=True)

    def row(self, record: Record) -> Mapping[str, Any]:
        """A record as a row. Malformed: it is none."""
        if isinstance(record, Malformed):
            raise record
        return _from_json(record) if isinstance(record, str) else self._from_cells(record)

    def _pieces(self, chunk: bytes, *, last: bool) -> Iterator[Records]:
        if self._decoder is None:
            chunk = self._opening = self._opening + chunk
            if len(chunk) < history_text.OPENING_BYTES and not last:
                return
            self._encoding = history_text.encoding_of(chunk, self._encoding)
            self._decoder = history_text.decoder(self._encoding)
            if what := history_text.no_text(chunk):
                self.given_up = True
                yield [(1, Malformed("(file)", f"{what}; nothing was imported"))]
        for start in range(0, len(chunk) or 1, PIECE_BYTES):
            if self.given_up:
                return
            end = start + PIECE_BYTES
            yield from self._read(chunk[start:end], last=last and end >= len(chunk))

    def _read(self, piece: bytes, *, last: bool) -> Iterator[Records]:
        assert self._decoder is not None
        text = self._decoder.decode(piece, last)
        if text and self._is_at_mark:
            text, self._is_at_mark = text.removeprefix("\ufeff"), False
        lines = self._splitter.split(text, last=last)
        self._lines.extend(lines)
        found: Records = []
        while self._lines and (lines or last) and not self.given_up:
            number = self._number
            record, taken = self._next(last=last)
            if not taken:
                break
            for _ in range(taken):
                self._lines.popleft()
            self._number += taken
            if record is not None:
                found.append((number, record))
            if len(found) == PIECE_RECORDS:
                yield found
                found = []
        yield found

    def _next(self, *, last: bool) -> tuple[Record | None, int]:
        """The first record and how many lines it is; no record: a blank line; no line: its end is not here yet."""
        line = self._lines[0]
        if not line.strip():
            return None, 1
        if not (self._is_json or self._header):
            self._is_json = line.lstrip().startswith("{")
        if self._is_json or len(line) > ROW_CHARS_MAX:
            record: Record = self._fault(line) or line
            taken = 1
        else:
            record, taken = self._cells(last=last)
            text = line if taken == 1 else "".join(islice(self._lines, taken))
            record = self._fault(text) or record
        if taken and not (self._is_json or self._header):
            return self._begin(record), taken
        return record, taken

    def _cells(self, *, last: bool) -> tuple[list[str] | Malformed, int]:
        """The cells of the first row, and how many lines it is (0: its end is not here yet)."""
        first = self._lines[0]
        if '"' not in first:
            return first.rstrip("\r\n").split(","), 1
        taken = chars = 0
        waits = False

        def quoted() -> Iterator[str]:
            nonlocal taken, chars, waits
            for line in self._lines:
                if taken and (taken == QUOTED_LINES_MAX or chars + len(line) > ROW_CHARS_MAX or self._begins_row(line)):
                    break
                taken += 1
                chars += len(line)
                yield line
            else:
                waits = not last
            taken = 0  # the quote is still open

        try:
            return next(csv.reader(quoted(), strict=True)), taken
        except csv.Error:
            if waits:
                return [], 0
            if taken == 1:  # it closed, and more came before the comma
                return first.rstrip("\r\n").split(","), 1
            return Malformed("(row)", "has a cell that begins with a quote and does not end with one"), 1

    def _begins_row(self, line: str) -> bool:
        """Whether a line inside quotes looks like a row, so that the quote before it was none."""
        if self._header is None or line.count(",") < len(self._header) - 1:
            return False
        cells = line.split(",")
        platform, profile_id = (cells[self._header.index(name)].strip(' "\r\n') for name in NEEDED[:2])
        return platform.upper() in PLATFORMS and is_id(platform.upper(), profile_id)

    def _fault(self, text: str) -> Malformed | None:
        """What makes the text of a row unusable before it is looked into."""
        if len(text) > ROW_CHARS_MAX:
            return Malformed("(row)", f"is longer than {ROW_CHARS_MAX:,} characters")
        if history_text.unreadable(text):
            is_utf_8 = self._encoding == history_text.DEFAULT
            return Malformed("(row)", history_text.likely(text) if is_utf_8 else f"is not {self._encoding}")
        return None

    def _begin(self, record: Record) -> Malformed | None:
        """Take the first record for the header of CSV; or why it cannot be one, which ends the file."""
        header = [name.strip() for name in record] if isinstance(record, list) else []
        fault = record if isinstance(record, Malformed) else _header_fault(header)
        if fault is None:
            self._header = header
            return None
        self.given_up = True
        return Malformed(fault.field, f"{fault.reason}; nothing was imported")

    def _from_cells(self, cells: list[str]) -> Mapping[str, Any]:
        assert self._header is not None
        if len(cells) != len(self._header):
            raise Malformed("(row)", f"has {len(cells)} cells where the header has {len(self._header)}")
        if "" in self._header:
            for column, (name, cell) in enumerate(zip(self._header, cells, strict=True), 1):
                if not name and cell.strip():
                    raise Malformed(f"column {column}", f"has the value {shown(cell)}, and no name in the header")
        row = dict(zip(self._header, cells, strict=True))
        row.pop("", None)
        return row


class Splitter:
    """Text, in any pieces, as lines with their ends. Of a line that is too long for a row only so much is kept."""

    def __init__(self) -> None:
        self._parts: list[str] = []  # of the last line, which has no end yet
        self._chars = 0  # in them
        self._return = ""  # a CR whose LF may follow

    def split(self, text: str, *, last: bool) -> list[str]:
        """The lines that `text` completes; with `last` also what has no end."""
        text, self._return = self._return + text, ""
        if text.endswith("\r") and not last:
            text, self._return = text[:-1], "\r"
        lines = list(io.StringIO(text, newline=""))  # which ends lines at LF, CRLF and CR, and keeps them
        rest = lines.pop() if lines and lines[-1][-1] not in "\r\n" else ""
        if lines and self._parts:
            lines[0] = self._joined() + lines[0]
        if rest and self._chars <= ROW_CHARS_MAX:
            self._parts.append(rest[: ROW_CHARS_MAX + 1 - self._chars])
            self._chars += len(self._parts[-1])
        if last and self._parts:
            lines.append(self._joined())
        return lines

    def _joined(self) -> str:
        line = "".join(self._parts)
        self._parts, self._chars = [], 0
        return line


def _header_fault(names: list[str]) -> Malformed | None:
    if names[0].startswith("["):
        return Malformed("(file)", "is a JSON list; write one object a line")
    columns: dict[str, int] = {}
    for column, name in enumerate(names, 1):
        if name and (other := columns.setdefault(name.casefold(), column)) != column:
            told = f"stands in the header twice, as column {other} ({shown(names[other - 1])}) and column {column}"
            return Malformed(name, told)
    missing = next((name for name in NEEDED if name not in names), None)
    return Malformed(missing, "is not in the CSV header") if missing else None


def _from_json(text: str) -> dict[str, Any]:
    try:
        row = _decode(text)
        twice = None if text.count('":') == len(row) else _twice(text)
    except msgspec.MsgspecError as error:
        raise Malformed("(row)", f"is not a JSON object: {error}") from None
    except RecursionError:
        raise Malformed("(row)", "is nested too deeply") from None
    if twice is not None:
        raise Malformed(twice, "stands twice in the object")
    return row


def _twice(text: str) -> str | None:
    """A name that an object of this JSON has twice: decoders take the last one and say nothing."""
    found: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                found.append(name)
            seen.add(name)

    json.loads(text, object_pairs_hook=look)
    return found[0] if found else None
