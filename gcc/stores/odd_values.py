"""What PostgreSQL can hold and Python cannot, read as the nearest value: a row that cannot be read would stop its
neighbours.

In: a column of a row, as the server sends it. Out: moments within FIRST and LAST, where infinity and all years of other
calendars end; of JSON None, as if nothing were known, where Python cannot hold it. Nothing is raised.
"""

import datetime as dt
import re
import struct
from itertools import accumulate
from typing import Any, Final

import msgspec
import psycopg
from psycopg.abc import AdaptContext, Buffer, Loader
from psycopg.adapt import AdaptersMap
from psycopg.adapt import Loader as BaseLoader
from psycopg.pq import Format

FIRST: Final = dt.datetime(1, 1, 2, tzinfo=dt.UTC)
LAST: Final = dt.datetime(9999, 12, 30, tzinfo=dt.UTC)
"""A day within Python's bounds: each has its wall time in every time zone."""
LEVELS_MAX: Final = 100
"""Deeper JSON than that cannot safely be written again, far down in a task."""

_EPOCH: Final = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
_FIRST_US, _LAST_US = ((moment - _EPOCH) // dt.timedelta(microseconds=1) for moment in (FIRST, LAST))
_EPOCH_DAY, _FIRST_DAY, _LAST_DAY = (moment.toordinal() for moment in (_EPOCH, FIRST, LAST))
_INT4: Final = struct.Struct("!i").unpack
_INT8: Final = struct.Struct("!q").unpack
_TIMESTAMPTZ, _DATE, _JSON, _JSONB = (
    psycopg.adapters.types[name].oid for name in ("timestamptz", "date", "json", "jsonb")
)
_TEXTS = re.compile(rb'"(?:[^"\\]|\\.)*"')
_BRACKETS = re.compile(rb"[\[\]{}]")


def register(adapters: AdaptersMap) -> None:
    """Let a connection read so."""
    adapters.register_loader(_TIMESTAMPTZ, _Moment)
    adapters.register_loader(_TIMESTAMPTZ, _MomentBinary)
    adapters.register_loader(_DATE, _Day)
    adapters.register_loader(_DATE, _DayBinary)
    for oid, loader in ((_JSON, _Json), (_JSONB, _Json)):
        for base in (loader, type(f"{loader.__name__}Binary", (loader,), {"format": Format.BINARY})):
            adapters.register_loader(oid, base)


class _Tolerant(BaseLoader):
    """psycopg's own loader of the type, and what stands for a value that it does not take."""

    def __init__(self, oid: int, context: AdaptContext | None = None) -> None:
        super().__init__(oid, context)
        known = psycopg.adapters.get_loader(oid, self.format)
        assert known is not None  # psycopg has one of every type above
        self._known: Loader = known(oid, context)


class _Moment(_Tolerant):
    def load(self, data: Buffer) -> dt.datetime:
        try:
            read: dt.datetime = self._known.load(data)
            return min(max(read, FIRST), LAST)
        except (psycopg.DataError, ArithmeticError, ValueError):
            return FIRST if _is_past(bytes(data)) else LAST


class _MomentBinary(BaseLoader):
    """Of microseconds since 2000, in UTC whatever the session's zone: rows for answers are read so."""

    format = Format.BINARY

    def load(self, data: Buffer) -> dt.datetime:
        (us,) = _INT8(data)
        if _FIRST_US <= us <= _LAST_US:
            return _EPOCH + dt.timedelta(0, 0, us)
        return FIRST if us < 0 else LAST


class _Day(_Tolerant):
    def load(self, data: Buffer) -> dt.date:
        try:
            read: dt.date = self._known.load(data)
            return min(max(read, FIRST.date()), LAST.date())
        except (psycopg.DataError, ArithmeticError, ValueError):
            return (FIRST if _is_past(bytes(data)) else LAST).date()


class _DayBinary(BaseLoader):
    """Of days since 2000."""

    format = Format.BINARY

    def load(self, data: Buffer) -> dt.date:
        (days,) = _INT4(data)
        return dt.date.fromordinal(min(max(days + _EPOCH_DAY, _FIRST_DAY), _LAST_DAY))


def _is_past(data: bytes) -> bool:
    """Whether what is beyond Python's years is before them: -infinity, and years of BC."""
    return data.startswith(b"-") or data.endswith(b"BC")


class _Json(BaseLoader):
    def load(self, data: Buffer) -> Any:
        text = bytes(data).removeprefix(b"\x01")  # the version of a binary jsonb, which no JSON begins with
        try:
            return None if _levels(text) > LEVELS_MAX else msgspec.json.decode(text)  # a tenth of the cost of json's
        except (ValueError, RecursionError):  # a number of thousands of digits
            return None


def _levels(data: bytes) -> int:
    if data.count(b"[") + data.count(b"{") <= LEVELS_MAX:
        return 0
    brackets = _BRACKETS.findall(_TEXTS.sub(b"", data))
    return max(accumulate(1 if bracket in b"[{" else -1 for bracket in brackets), default=0)
