"""JSON that is not a follower a line: a list, a list within an object ({"data": [...]}), and objects one after another.

Each is read element by element, in the memory of one, and from behind any of them. `opening` tells which a file is.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple

from gcc.pipelines.scoring import pieces as bounds
from gcc.pipelines.scoring.pieces import BLANK, MARK, ROW_BYTES_MAX, Own, Piece, Position
from gcc.pipelines.scoring.rows import Row, keys_of

OPENING_BYTES = 1 << 18
_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_WRAPPED = re.compile(  # a list of objects behind a name, and before it nothing but plain values
    rb"\{(?:\s*+%b\s*+:\s*+(?:%b|[-+.\w]++)\s*+,)*+\s*+%b\s*+:\s*+(\[)\s*+\{" % ((_STRING,) * 3), re.DOTALL
)


class Opening(NamedTuple):
    """What a file is, and where its [, or its first object, stands."""

    form: Literal["lines", "list", "wrapped list", "objects"]
    begin: Position


def opening(file: Path) -> Opening:
    """By what it begins with. Objects are lines where the first line is one, or is none at all."""
    with file.open("rb") as opened:
        start = opened.read(OPENING_BYTES)
    text = start.removeprefix(MARK).lstrip(BLANK)
    begin = _position(start, len(start) - len(text))
    if text[:1] == b"[":
        return Opening("list", begin)
    first, _, rest = text.partition(b"\n")
    if text[:1] != b"{" or (_objects(first) == 1 and rest.strip(BLANK)):
        return Opening("lines", begin)
    if wrapped := _WRAPPED.match(text):
        return Opening("wrapped list", _position(start, len(start) - len(text) + wrapped.start(1)))
    is_open = first.rstrip(BLANK)[-1:] in (b"{", b"[", b",")
    return Opening("objects" if is_open or _objects(first) > 1 else "lines", begin)


def _position(start: bytes, offset: int) -> Position:
    return Position(offset, 1 + start.count(b"\n", 0, offset))


def _objects(line: bytes) -> int:
    """0: it begins with none that is whole; 1: it is one; 2: another follows."""
    text = line.decode("utf-8", "replace").rstrip()
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return 0
    rest = text[end:].lstrip()
    return 1 if not rest else 2 if rest[0] in "{," else 0


def keys(source: "bounds.Source") -> Own:
    """Of the first piece."""
    first = next(source.pieces(Position()), Piece([], Position()))
    return bounds.own_of(iter(dict.fromkeys(key for row in first.rows for key in keys_of(row.given))))


class Array:
    """Element by element. What is cut off, or never closed, costs itself alone; lists may follow each other."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.total = file.stat().st_size
        self._form, begin = opening(file)
        self._begin = begin if self._form == "objects" else Position(begin.offset + 1, begin.line)

    def own(self) -> Own:
        return keys(self)

    def pieces(self, at: Position) -> Iterator[Piece]:
        if at.offset <= self.total:
            with self.file.open("rb") as opened:
                yield from bounds.pieces(self._rows(opened, max(at, self._begin)), at)

    def _rows(self, opened: BinaryIO, at: Position) -> Iterator[tuple[Row, Position]]:
        window = _Window(opened, at)
        while first := window.first():
            if first == b"]" and self._form != "objects":
                if self._is_another_list(window):
                    continue
                if window.first():
                    yield Row(window.line, "it stands behind the list, and is not read"), self._behind(window)
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
        if self._form != "objects":
            yield Row(window.line, "the list ends without a ]"), self._behind(window)

    def _is_another_list(self, window: "_Window") -> bool:
        """Pass the end of one, and what wraps it; and the begin of another, if there is one."""
        window.pass_to(window.begin + 1)
        if window.first() == b"}" and self._form == "wrapped list":
            window.pass_to(window.begin + 1)
        if window.first() != b"[":
            return False
        window.pass_to(window.begin + 1)
        return True

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
        read = self._opened.read(bounds.READ_BYTES)
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
