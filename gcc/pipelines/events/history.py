"""Imports of past snapshots as ordinary events: CSV with a header, or NDJSON, line by line.

In: rows of platform, profile_id, handle, timestamp, metric columns and `dimensions.*`. Out: profile_log
events with past timestamps, through the outbox like any other. Ids are derived from (source, platform,
profile_id, timestamp, kind), so a second import of the same rows adds nothing. A malformed row is
reported with its line and field, and the others are imported. Current state is never touched.
A batch is one transaction; what was imported before a failure stays, and running again goes on from there.
"""

import csv
import datetime as dt
import hashlib
import math
import uuid
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from gcc.channels.memory import Signal
from gcc.channels.message import frames
from gcc.clock import Clock
from gcc.pipelines.events.schemas import ProfileLog
from gcc.pipelines.events.types import PROFILE_LOG, encode, timestamp
from gcc.stores import outbox, statements
from gcc.stores.postgres import Pool

SQL = statements.load("history")
NAMESPACE = uuid.UUID("6f1c0b1e-8f0e-5d2c-9a55-1d4e5b7a9c11")
BATCH_ROWS = 2000
LINE_BYTES_MAX = 1 << 20
REJECTED_SHOWN_MAX = 1000
PLATFORMS = ("INSTAGRAM", "YOUTUBE")
SOURCE = "import"
_OWN_FIELDS = frozenset({"platform", "profile_id", "handle", "timestamp", "source"})


@dataclass(slots=True)
class ImportReport:
    """`rejected` holds at most REJECTED_SHOWN_MAX entries; `rejected_total` counts them all."""

    rows: int = 0
    imported: int = 0
    duplicates: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)
    rejected_total: int = 0

    def reject(self, line: int, name: str, reason: str) -> None:
        self.rejected_total += 1
        if len(self.rejected) < REJECTED_SHOWN_MAX:
            self.rejected.append({"line": line, "field": name, "reason": reason})


class Malformed(Exception):
    """A row that is not a snapshot: which field, and why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.field = name
        self.reason = reason


class Snapshot(NamedTuple):
    event_id: str
    platform: str
    profile_id: str
    handle: str
    line: bytes


class HistoryImport:
    def __init__(self, pool: Pool, clock: Clock, outbox_written: Signal) -> None:
        self._pool = pool
        self._clock = clock
        self._outbox_written = outbox_written

    async def run(self, name: str, chunks: AsyncIterable[bytes]) -> ImportReport:
        """Import a file's bytes. Cancelled or failed (Transient): whole batches are in, the rest is not."""
        report = ImportReport()
        rows = Rows(report)
        batch: list[Snapshot] = []
        async for chunk in chunks:
            self._add(rows.feed(chunk), batch, report)
            if rows.given_up:
                break
            if len(batch) >= BATCH_ROWS:
                await self._commit(name, batch, report)
                batch = []
        self._add(rows.end(), batch, report)
        await self._commit(name, batch, report)
        return report

    def _add(self, rows: Iterable[tuple[int, Mapping[str, Any]]], batch: list[Snapshot], report: ImportReport) -> None:
        for number, row in rows:
            report.rows += 1
            try:
                batch.append(snapshot(row))
            except Malformed as error:
                report.reject(number, error.field, error.reason)

    async def _commit(self, name: str, batch: list[Snapshot], report: ImportReport) -> None:
        unique = sorted({row.event_id: row for row in batch}.values())
        if not unique:
            return
        async with self._pool.transaction() as conn:
            # A literal: psycopg would dump the ids one by one, which costs more than the insert.
            ids = "{" + ",".join(row.event_id for row in unique) + "}"
            cursor = await conn.execute(SQL["remember_snapshots"], {"ids": ids})
            new = {event_id for (event_id,) in await cursor.fetchall()}
            packed = frames(PROFILE_LOG.route, _new_lines(batch, new), self._clock.new_id)
            await outbox.put(conn, list(packed))
            if new:
                ledger = {"id": self._clock.new_id(), "name": name, "events": len(new)}
                await conn.execute(SQL["ledger"], ledger)
            await conn.execute(
                SQL["track_imported"],
                {
                    "platforms": [row.platform for row in unique],
                    "profile_ids": [row.profile_id for row in unique],
                    "handles": [row.handle for row in unique],
                },
            )
        self._outbox_written.set()
        report.imported += len(new)
        report.duplicates += len(batch) - len(new)


def _new_lines(batch: list[Snapshot], new: set[str]) -> list[bytes]:
    """The lines whose id is new, each id once, in the file's order."""
    lines = {row.event_id: row.line for row in batch if row.event_id in new}
    return list(lines.values())


def snapshot(row: Mapping[str, Any]) -> Snapshot:
    """A row as an event, or Malformed."""
    platform = _text(row, "platform").upper()
    if platform not in PLATFORMS:
        raise Malformed("platform", f"{platform!r} is not one of {', '.join(PLATFORMS)}")
    profile_id = _text(row, "profile_id")
    handle = _text(row, "handle").removeprefix("@")
    at, at_text = _time(_text(row, "timestamp"))
    metrics: dict[str, int | float | None] = {}
    dimensions: dict[str, Any] = {}
    for name, value in row.items():
        if value is None or value == "" or name in _OWN_FIELDS:
            continue
        if name.startswith("dimensions."):
            dimensions[name[len("dimensions.") :]] = value
        else:
            metrics[name] = value if type(value) is int else _number(name, value)
    if not metrics:
        raise Malformed("metrics", "no metric column has a value")
    source = str(row.get("source") or SOURCE)
    key = "\x1f".join((source, platform, profile_id, at.isoformat(), "profile_log"))
    event_id = derived_id(key)
    event = ProfileLog(
        event_id=event_id,
        event_timestamp=at_text,
        origin=SOURCE,
        source=source,
        platform=platform,
        profile_id=profile_id,
        handle=handle,
        metrics=metrics,
        dimensions={**dimensions, "handle": handle},
    )
    return Snapshot(event_id, platform, profile_id, handle, encode(event))


def derived_id(key: str) -> str:
    """uuid.uuid5(NAMESPACE, key) as text; ten times as fast, and an import makes millions."""
    digest = hashlib.sha1(NAMESPACE.bytes + key.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    if value is None or not str(value).strip():
        raise Malformed(name, "is missing")
    return str(value).strip()


def _number(name: str, value: Any) -> int | float:
    if isinstance(value, bool):
        raise Malformed(name, f"{value!r} is not a number")
    if isinstance(value, int):
        return value
    try:
        number = value if isinstance(value, float) else float(str(value).strip())
    except ValueError:
        raise Malformed(name, f"{value!r} is not a number") from None
    if not math.isfinite(number):
        raise Malformed(name, f"{value!r} is not finite")
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


@lru_cache(maxsize=256)  # a day's snapshots share their time
def _time(text: str) -> tuple[dt.datetime, str]:
    """The time in UTC, and as events carry it."""
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise Malformed("timestamp", f"{text!r} is neither RFC 3339 nor a date") from None
    at = at if at.tzinfo else at.replace(tzinfo=dt.UTC)
    try:
        at = at.astimezone(dt.UTC)
    except OverflowError:
        raise Malformed("timestamp", f"{text!r} is out of range") from None
    if not 2000 <= at.year <= 2100:
        raise Malformed("timestamp", f"{text!r} is not between 2000 and 2100")
    return at, timestamp(at)


class Rows:
    """Bytes in, rows out: tells CSV from NDJSON by the first character, reports what is no row."""

    def __init__(self, report: ImportReport) -> None:
        self.given_up = False  # nothing after this point can be read
        self._report = report
        self._header: list[str] | None = None
        self._rest = b""
        self._pending = ""  # a record whose quotes are still open
        self._pending_from = 1
        self._number = 1

    def feed(self, chunk: bytes) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """(line number where it begins, row) of every record that `chunk` completes."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            yield from self._line(line)
        if len(self._rest) > LINE_BYTES_MAX:
            self._reject(self._number, f"is longer than {LINE_BYTES_MAX} bytes; the import ends here")
            self.given_up = True

    def end(self) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """What stands after the last line break."""
        last, self._rest = self._rest, b""
        yield from self._line(last)
        if self._pending:
            yield from self._record(self._pending_from, self._pending)

    def _line(self, line: bytes) -> Iterator[tuple[int, Mapping[str, Any]]]:
        text = line.decode("utf-8-sig" if self._number == 1 else "utf-8", "replace").rstrip("\r")
        text = f"{self._pending}\n{text}" if self._pending else text
        number, self._number = self._pending_from, self._number + 1
        open_quotes = not text.startswith("{") and text.count('"') % 2 and len(text) < LINE_BYTES_MAX
        self._pending = text if open_quotes else ""
        if not open_quotes:
            self._pending_from = self._number
            if text.strip() and not self.given_up:
                yield from self._record(number, text)

    def _record(self, number: int, text: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
        if number == 1 and not text.lstrip().startswith("{"):
            self._read_header(text)
        elif self._header is not None:
            cells = next(csv.reader([text]), [])
            if len(cells) == len(self._header):
                yield number, dict(zip(self._header, cells, strict=True))
            else:
                self._reject(number, f"has {len(cells)} cells where the header has {len(self._header)}")
        else:
            try:
                yield number, msgspec.json.decode(text, type=dict[str, Any])
            except msgspec.MsgspecError as error:
                self._reject(number, f"is not a JSON object: {error}")

    def _read_header(self, text: str) -> None:
        self._header = [name.strip() for name in next(csv.reader([text]))]
        missing = [name for name in ("platform", "profile_id", "handle", "timestamp") if name not in self._header]
        if missing:
            self._report.reject(1, missing[0], "is not in the CSV header; nothing was imported")
            self.given_up = True

    def _reject(self, number: int, reason: str) -> None:
        self._report.rows += 1
        self._report.reject(number, "(row)", reason)
