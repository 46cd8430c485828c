"""A history file's bytes as rows: CSV with a header, or NDJSON (told by the first character), in any chunks.

Lines end with LF, CRLF or CR, mixed as they come. Of CSV, the header tells what parts the cells: comma, semicolon, TAB
or |. Cells are trimmed; a row without any is none. A cell that begins with a quote goes on to the quote before the
next comma or line end, over line ends too, with "" for a quote in it; in any other cell quotes are ordinary
characters. A quoted cell spans at most QUOTED_LINES_MAX lines and a row ROW_CHARS_MAX characters; it never reaches
over a line that begins like a row itself. What is quoted otherwise is read literally if it stands on one line, else
that line is refused; either way reading goes on at the next line. So the work a line is bounded (a quote that opened
ends at the next odd one, where the next search begins) and a bad row costs no other.

Names of columns and fields are folded: in small letters, without spaces around them, those within them as "_". What
cannot be a row comes out as the Malformed that tells why; `given_up` says that the rest cannot be read at all.
"""

import codecs
import csv
import io
import json
import re
from collections import deque
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

import msgspec

from gcc.pipelines.events import history_text
from gcc.pipelines.events.history_snapshot import ALL, METRICS, Known, Malformed, shown

PIECE_BYTES = 16 * 1024
PIECE_RECORDS = 200
"""Read without a pause: some milliseconds' work, whatever is in it."""
ROW_CHARS_MAX = 128 * 1024  # csv.field_size_limit is the same
QUOTED_LINES_MAX = 1000
NAMES = ("platform", "profile_id", "handle", "timestamp")
NEEDED = ("platform", "handle")  # and a time, where there is something to tell of it
DELIMITERS = ",;\t|"
_EXCEL = re.compile(r'"?sep=.?"?\s*', re.IGNORECASE)  # Excel's own first line, of which the header tells more
_WANTED = "one JSON object a line is wanted"
_UNSEEN = " \t\r\n\u00a0\u00ad\u200b\u200c\u200d\u200e\u200f\u2060\ufeff"
_NAME_AND_COLON = re.compile(r'"\s*:')
_OVER_LINES = f"{_WANTED}; this looks like one pretty-printed over several lines"

Record = str | list[str] | Malformed  # a JSON object, cells
Records = list[tuple[int, Record]]

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Rows:
    """`feed` and `end` give records with the numbers of their first lines; `row` makes one a row.

    `encoding`: None: what the file tells. Permanent: there is no such encoding.
    """

    def __init__(self, encoding: str | None = None, platforms: Known = ALL) -> None:
        self.given_up = False
        self._platforms = {platform.name: platform for platform in platforms}
        self._line_ends = re.compile(  # of other kinds, or written out before what begins the next row
            rf"[\v\f\x1c-\x1e\x85\u2028\u2029]|\\[nr](?={'|'.join(self._platforms)})", re.IGNORECASE
        )
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
        self._nameless: list[int] = []  # columns of the header, from 0
        self._delimiter = ","
        self._dialect = _dialect(",")
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
            if what := history_text.no_text(chunk) or history_text.other_mark(chunk, self._encoding):
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
        if self._is_at_mark:  # programs that append to one another write it twice
            text = text.lstrip("\ufeff")
            self._is_at_mark = not text
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
        """The first record and how many lines it is; no record: nothing in it; no line: its end is not here yet."""
        line = self._lines[0]
        if line.isspace():
            return None, 1
        if not (self._is_json or self._header):
            return self._first(line, last=last)
        if self._is_json or len(line) > ROW_CHARS_MAX:
            return self._fault(line) or line, 1
        return self._row(last=last)

    def _first(self, line: str, *, last: bool) -> tuple[Record | None, int]:
        """The first line with anything in it: NDJSON's first record, or the header of CSV, or why neither."""
        taken = 1
        if _EXCEL.fullmatch(line):
            return None, taken
        if (opening := line.strip()).startswith("{") and opening != "{":
            self._is_json = True
            return self._next(last=last)
        if opening[0] in "{[" or len(line) > ROW_CHARS_MAX:
            record: Record | None = _no_json_lines(opening) or self._fault(line)
        else:
            self._delimiter = max(DELIMITERS, key=lambda each: sum(map(NAMES.__contains__, _names(line, each))))
            self._dialect = _dialect(self._delimiter)
            record, taken = self._row(last=last)
        return (None if record is None else self._begin(record)), taken

    def _row(self, *, last: bool) -> tuple[list[str] | Malformed | None, int]:
        cells, taken = self._cells(last=last)
        if fault := self._fault(self._lines[0] if taken == 1 else "".join(islice(self._lines, taken))):
            return fault, taken
        if isinstance(cells, Malformed) or any(map(str.strip, cells)):
            return cells, taken
        return None, taken

    def _cells(self, *, last: bool) -> tuple[list[str] | Malformed, int]:
        """The cells of the first row, and how many lines it is (0: its end is not here yet)."""
        first = self._lines[0]
        if '"' not in first:
            return first.split(self._delimiter), 1
        try:  # most quotes close on their line
            return next(csv.reader((first,), self._dialect)), 1
        except csv.Error:
            pass
        taken = chars = 0
        waits, row_inside = False, ""

        def quoted() -> Iterator[str]:
            nonlocal taken, chars, waits, row_inside
            for line in self._lines:
                if taken and (taken == QUOTED_LINES_MAX or chars + len(line) > ROW_CHARS_MAX):
                    break
                if taken and self._begins_row(line):
                    row_inside = f": line {self._number + taken} begins like a row, and was read as one"
                    break
                taken += 1
                chars += len(line)
                yield line
            else:
                waits = not last
            taken = 0  # the quote is still open

        try:
            return next(csv.reader(quoted(), self._dialect)), taken
        except csv.Error:
            if waits:
                return [], 0
            if taken == 1:  # it closed, and more came before the comma
                return first.split(self._delimiter), 1
            told = f"has a cell that begins with a quote and does not end with one{row_inside}"
            return Malformed("(row)", told), 1

    def _begins_row(self, line: str) -> bool:
        """Whether a line inside quotes looks like a row, so that the quote before it was none."""
        if self._header is None or line.count(self._delimiter) < len(self._header) - 1:
            return False
        cells = [cell.strip(' "\r\n') for cell in line.split(self._delimiter)]
        platform = self._platforms.get(cells[self._header.index("platform")].upper())
        profile_id = cells[self._header.index("profile_id")] if "profile_id" in self._header else None
        return platform is not None and (profile_id is None or platform.is_id(profile_id))

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
        names = [name.strip() for name in record] if isinstance(record, list) else []
        fault = record if isinstance(record, Malformed) else _header_fault(names, self._line_ends)
        if fault is None:
            self._header = [folded(name) for name in names]
            self._nameless = [column for column, name in enumerate(names) if not name]
            return None
        self.given_up = True
        return Malformed(fault.field, f"{fault.reason}; nothing was imported")

    def _from_cells(self, cells: list[str]) -> Mapping[str, Any]:
        assert self._header is not None
        width = len(self._header)
        if len(cells) != width and (len(cells) < width or any(map(str.strip, cells[width:]))):
            raise Malformed("(row)", f"has {len(cells)} cells where the header has {width}")
        row = dict(zip(self._header, map(str.strip, cells), strict=False))  # more than that are empty
        for column in self._nameless:
            if cell := cells[column].strip():
                raise Malformed(f"column {column + 1}", f"has the value {shown(cell)}, and no name in the header")
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


@lru_cache(maxsize=256)  # rows have the same names
def folded(name: str) -> str:
    """A column's or field's name as it is looked up."""
    return ".".join("_".join(part.strip(_UNSEEN).split()) for part in name.casefold().split("."))


def _dialect(delimiter: str) -> Any:
    """Made once: a reader is made for every line with quotes."""
    return csv.reader((), delimiter=delimiter, skipinitialspace=True, strict=True).dialect


def _names(line: str, delimiter: str) -> list[str]:
    """The names in a header, if this parts them; roughly."""
    return [folded(name.strip('" \t\r\n')) for name in line.split(delimiter)]


def _no_json_lines(opening: str) -> Malformed | None:
    """Why a file that begins so is no NDJSON, though it is JSON."""
    if opening.startswith("["):
        return Malformed("(file)", "is a JSON list; write one object a line")
    return Malformed("(file)", _OVER_LINES) if opening == "{" else None


def _header_fault(names: list[str], line_ends: re.Pattern[str]) -> Malformed | None:
    columns: dict[str, int] = {}
    for column, name in enumerate(names, 1):
        if name and (other := columns.setdefault(folded(name), column)) != column:
            told = f"stands in the header twice, as column {other} ({shown(names[other - 1])}) and column {column}"
            return Malformed(name, f"{told} ({shown(name)})")
        if line_ends.search(name):
            return Malformed(
                "(file)", f"has a name in its header with another line end than LF, CRLF and CR: {shown(name)}"
            )
    needed = (*NEEDED, "timestamp") if METRICS.keys() & columns.keys() else NEEDED
    missing = next((name for name in needed if name not in columns), None)
    begins = ", ".join(map(shown, names[:3]))
    return Malformed(missing, f"is not in the CSV header, which begins with {begins}") if missing else None


def _from_json(text: str) -> dict[str, Any]:
    try:
        row = _decode(text)
        twice = None if len(_NAME_AND_COLON.findall(text)) == len(row) else _twice(text)
    except msgspec.MsgspecError as error:
        raise Malformed("(row)", _no_object(text, str(error))) from None
    except RecursionError:
        raise Malformed("(row)", "is nested too deeply") from None
    if twice is not None:
        raise Malformed(twice, "stands twice in the object")
    found = {folded(name): value for name, value in row.items()}
    if len(found) < len(row):
        raise _alike(row)
    if (nameless := found.pop("", None)) not in (None, ""):
        raise Malformed("(row)", f"has the value {shown(nameless)} without a name")
    return found


def _alike(row: Mapping[str, Any]) -> Malformed:
    seen: dict[str, str] = {}
    one, other = next((one, name) for name in row if (one := seen.setdefault(folded(name), name)) != name)
    return Malformed(other, f"stands twice in the object, as {shown(one)} and as {shown(other)}")


def _no_object(text: str, error: str) -> str:
    """What is wrong with a line that is no JSON object. Raises RecursionError."""
    if not text.lstrip().startswith("{"):
        return f"is not a JSON object; {_WANTED} (not one over several lines, nor a list)"
    constants: list[str] = []
    try:
        found = json.loads(text, parse_constant=constants.append)
    except json.JSONDecodeError as fault:
        if fault.msg.startswith("Unterminated") or fault.pos >= len(text.rstrip()):
            return f"ends before its object does: it was cut, or {_OVER_LINES}"
        if fault.msg.startswith("Extra data"):
            return f"goes on after its object; {_WANTED}"
        return f"is not a JSON object: {error}"
    except ValueError:  # a number of thousands of digits
        return f"is not a JSON object: {error}"
    if constants:
        return f"holds {constants[0]}, which JSON has not: write null, or leave the field out"
    if history_text.unreadable(json.dumps(found, ensure_ascii=False)):
        return "holds half a character (one \\ud800 to \\udfff without the other): write all of it, or leave it out"
    return f"is not a JSON object: {error}"


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
