"""Imports of past snapshots as ordinary events: a file's rows (history_rows), each a snapshot (history_snapshot).

In: the bytes of a CSV or NDJSON file. Out: profile_log events with past timestamps, through the outbox like any other.
Ids are derived, so a second import of the same rows adds nothing. A row that is none is reported with its line, field
and reason, whatever is wrong with it, and the others are imported: rows = imported + duplicates + rejected. Current
state is never touched. A batch is one transaction; what was imported before a failure stays, and running again goes on
from there. Memory is bounded whatever the file, and other tasks run every few milliseconds.
"""

import datetime as dt
from collections.abc import AsyncIterable
from dataclasses import dataclass, field
from typing import Any

import structlog
import trio

from gcc import statements
from gcc.channels.memory import Signal
from gcc.channels.message import frames
from gcc.clock import Clock
from gcc.errors import Transient
from gcc.pipelines.events.history_rows import Record, Records, Rows
from gcc.pipelines.events.history_snapshot import (
    DIMENSION,
    METRICS,
    OWN_FIELDS,
    Malformed,
    Snapshot,
    shown,
    snapshot,
)
from gcc.pipelines.events.types import PROFILE_LOG
from gcc.stores import outbox
from gcc.stores.postgres import Pool

SQL = statements.load("history")
BATCH_ROWS = 2000
BATCH_BYTES = 8 << 20
COMMIT_S = 60.0  # a batch takes some 50 ms
REJECTED_SHOWN_MAX = 1000
REASON_CHARS_MAX = 300
FIELD_CHARS_MAX = 100
SPREADSHEET_DIGITS = 15  # more it does not keep of a number
AHEAD = dt.timedelta(days=1)  # somewhere it is tomorrow already, and a date alone is a midnight in UTC
CHANCE_TIMES = 3.0
IDS_LOOKED_AT_MAX = 10_000  # as many tell
UNKNOWN_SHOWN_MAX = 10
KNOWN = OWN_FIELDS | METRICS.keys()

log = structlog.get_logger()


@dataclass(slots=True)
class ImportReport:
    """`rejected` holds at most REJECTED_SHOWN_MAX entries; `rejected_total` counts them all.

    `warnings`: what is odd about the rows that were imported.
    """

    rows: int = 0
    imported: int = 0
    duplicates: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)
    rejected_total: int = 0
    warnings: list[str] = field(default_factory=list)

    def reject(self, line: int, name: str, reason: str) -> None:
        self.rejected_total += 1
        if len(self.rejected) < REJECTED_SHOWN_MAX:
            entry = {"line": line, "field": name[:FIELD_CHARS_MAX], "reason": reason[:REASON_CHARS_MAX]}
            self.rejected.append(entry)


class HistoryImport:
    def __init__(self, pool: Pool, clock: Clock, outbox_written: Signal) -> None:
        self._pool = pool
        self._clock = clock
        self._outbox_written = outbox_written

    async def run(self, name: str, chunks: AsyncIterable[bytes], *, encoding: str | None = None) -> ImportReport:
        """Import a file's bytes. Permanent: nothing can be read in this `encoding`.

        Cancelled or failed (Transient, which tells how far it came): whole batches are in, the rest is not.
        """
        rows = Rows(encoding)
        report = ImportReport()
        batch = Batch(rows, report, self._clock.now() + AHEAD)
        try:
            async for chunk in chunks:
                for records in rows.feed(chunk):
                    await self._take(name, records, batch)
                if rows.given_up:
                    break
            for records in rows.end():
                await self._take(name, records, batch)
            await self._commit(name, batch.taken(), report)
            batch.warn()
        except Transient as error:
            told = f"{error}; {report.imported + report.duplicates:,} snapshots are in, run it again to go on"
            raise Transient(told, retry_after_s=error.retry_after_s) from error
        return report

    async def _take(self, name: str, records: Records, batch: "Batch") -> None:
        for number, record in records:
            batch.read(number, record)
            if batch.is_full:
                await self._commit(name, batch.taken(), batch.report)
        await trio.lowlevel.checkpoint()

    async def _commit(self, name: str, batch: list[Snapshot], report: ImportReport) -> None:
        unique = sorted({row.event_id: row for row in reversed(batch)}.values())  # the first of each
        if not unique:
            return
        with trio.move_on_after(COMMIT_S) as patience:
            new = await self._store(name, batch, unique)
        if patience.cancelled_caught:
            raise Transient(f"a batch was not committed within {COMMIT_S:g} s")
        self._outbox_written.set()
        report.imported += len(new)
        report.duplicates += len(batch) - len(new)

    async def _store(self, name: str, batch: list[Snapshot], unique: list[Snapshot]) -> set[str]:
        """Commit a batch; the ids that were new."""
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
        return new


class Batch:
    """Snapshots that wait for their commit; what is none is rejected in the report."""

    def __init__(self, rows: Rows, report: ImportReport, latest: dt.datetime) -> None:
        """`latest`: see `snapshot`."""
        self.report = report
        self._latest = latest
        self._rows = rows
        self._snapshots: list[Snapshot] = []
        self._bytes = 0
        self._lines: dict[str, bytes] = {}
        self._differing = 0
        self._unknown: set[str] = set()
        self._bug_told = False
        self._rounded = RoundedIds()

    @property
    def is_full(self) -> bool:
        return len(self._snapshots) >= BATCH_ROWS or self._bytes >= BATCH_BYTES

    def read(self, number: int, record: Record) -> None:
        self.report.rows += 1
        try:
            row = self._rows.row(record)
            found = snapshot(row, self._latest)
        except Malformed as error:
            self.report.reject(number, error.field, error.reason)
        except Exception as error:  # a bug, which is this row's alone
            if not self._bug_told:
                log.exception("import row", line=number)
            self._bug_told = True
            self.report.reject(number, "(row)", f"could not be read: {type(error).__name__}: {error}")
        else:
            self._snapshots.append(found)
            if len(self._unknown) < UNKNOWN_SHOWN_MAX and (more := row.keys() - KNOWN):
                has_value = (name for name in more if row[name] not in (None, ""))
                self._unknown.update(name for name in has_value if not name.startswith(DIMENSION))
            self._bytes += len(found.line)
            if self._lines.setdefault(found.event_id, found.line) != found.line:
                self._differing += 1
            if len(found.profile_id) > SPREADSHEET_DIGITS and found.platform == "INSTAGRAM":
                self._rounded.look(number, found.profile_id)

    def warn(self) -> None:
        """Tell in the report what only all rows together show."""
        if told := self._rounded.warning():
            self.report.warnings.append(told)
        if self._differing:
            told = "tell of a profile and time what a row shortly before them tells otherwise: the first is kept"
            self.report.warnings.append(f"{self._differing:,} rows {told}")
        if self._unknown:
            names = ", ".join(map(shown, sorted(self._unknown)[:UNKNOWN_SHOWN_MAX]))
            told = "is no metric that anything here reads: it is kept with the events; is it misspelt?"
            self.report.warnings.append(f"{names} {told}")

    def taken(self) -> list[Snapshot]:
        snapshots, self._snapshots, self._bytes, self._lines = self._snapshots, [], 0, {}
        return snapshots


class RoundedIds:
    """Ids that a spreadsheet may have rounded: it keeps 15 digits, and writes zeros for the rest.

    No row is refused for it: of true ids of 16 digits one in ten ends so, of 17 one in a hundred, and nobody could
    import those. But chance is known: when there are far more of them than it explains, the report warns, so that
    somebody looks before two creators stay one.
    """

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._expected = 0.0
        self._rounded = 0
        self._first = ""

    def look(self, number: int, profile_id: str) -> None:
        if profile_id in self._seen or len(self._seen) == IDS_LOOKED_AT_MAX:
            return
        self._seen.add(profile_id)
        rest = profile_id[SPREADSHEET_DIGITS:]
        self._expected += 0.1 ** len(rest)
        if not rest.strip("0"):
            self._rounded += 1
            self._first = self._first or f"{profile_id} in line {number:,}"

    def warning(self) -> str | None:
        if self._rounded <= CHANCE_TIMES * self._expected:
            return None
        return (
            f"{self._rounded:,} of {len(self._seen):,} long ids have nothing but zeros after {SPREADSHEET_DIGITS}"
            f" digits (the first: {self._first}): they look rounded by a spreadsheet, which can make two creators one;"
            " compare them with the original, and export ids as text"
        )


def _new_lines(batch: list[Snapshot], new: set[str]) -> list[bytes]:
    """The lines whose id is new, each id once, in the file's order."""
    lines: dict[str, bytes] = {}
    for row in batch:
        if row.event_id in new:
            lines.setdefault(row.event_id, row.line)
    return list(lines.values())
