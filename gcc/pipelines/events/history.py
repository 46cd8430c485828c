"""Imports of past snapshots as ordinary events: a file's rows (history_rows), each a snapshot (history_snapshot).

In: the bytes of a CSV or NDJSON file. Out: profile_log events with past timestamps, through the outbox like any other.
Ids are derived, so a second import of the same rows adds nothing. A row that is none is reported with its line, field
and reason, whatever is wrong with it, and the others are imported: rows = imported + duplicates + followed + rejected.
A row without an id is that of the profile which was crawled under its handle; where none was, that handle is `followed`
(crawled, which finds the id), and the row is imported once the file is imported again. Current state is never
touched. A batch is one transaction; what was imported before a failure stays, and running again goes on
from there. Memory is bounded whatever the file, and other tasks run every few milliseconds.
"""

import datetime as dt
from collections.abc import AsyncIterable, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import structlog
import trio

from gcc import statements
from gcc.channels.memory import Signal
from gcc.channels.message import frames
from gcc.clock import Clock
from gcc.errors import Transient
from gcc.pipelines.events.audit import Audit, unaudited
from gcc.pipelines.events.history_form import AS_IT_TELLS, Form
from gcc.pipelines.events.history_rows import Record, Records, Rows
from gcc.pipelines.events.history_snapshot import (
    ALL,
    DIMENSION,
    DIMENSIONS,
    METRICS,
    OWN_FIELDS,
    ByHandle,
    Known,
    Malformed,
    Snapshot,
    is_text,
    shown,
    snapshot,
)
from gcc.pipelines.events.types import PROFILE_LOG
from gcc.stores import outbox, profiles_read, upserts
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
KNOWN = OWN_FIELDS | METRICS.keys() | DIMENSIONS
FIELDS_MAX = 1000 + len(KNOWN)
"""Names of fields in a file; in further ones, which nobody knows, text is refused."""

Handles = Collection[tuple[str, str]]
"""(platform, handle)"""

log = structlog.get_logger()


@dataclass(slots=True)
class ImportReport:
    """Counts of rows. `rejected` holds at most REJECTED_SHOWN_MAX of them, each with its first fault, others `also`.

    `warnings`: what is odd about the rows that were imported.
    """

    rows: int = 0
    imported: int = 0
    duplicates: int = 0
    followed: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)
    rejected_total: int = 0
    warnings: list[str] = field(default_factory=list)

    def reject(self, line: int, name: str, reason: str, others: Sequence[tuple[str, str]] = ()) -> None:
        """A row, and what is wrong with it: a field and the reason, and what else there is."""
        self.rejected_total += 1
        if len(self.rejected) == REJECTED_SHOWN_MAX:
            return
        first, *also = (
            {"field": name[:FIELD_CHARS_MAX], "reason": reason[:REASON_CHARS_MAX]}
            for name, reason in ((name, reason), *others)
        )
        self.rejected.append({"line": line, **first, **({"also": also} if also else {})})


class HistoryImport:
    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        outbox_written: Signal,
        platforms: Known = ALL,
        audit: Audit = unaudited,
    ) -> None:
        """`platforms`: rows of others are none."""
        self._pool = pool
        self._platforms = platforms
        self._clock = clock
        self._outbox_written = outbox_written
        self._audit = audit

    async def run(
        self,
        name: str,
        chunks: AsyncIterable[bytes],
        form: Form = AS_IT_TELLS,
        *,
        follow: Callable[[Handles], Awaitable[None]] | None = None,
        dry_run: bool = False,
    ) -> ImportReport:
        """Import a file's bytes. Permanent: nothing can be read in this `form`.

        `follow` has profiles crawled of which nothing but the handle is known. `dry_run`: only tell what would be done;
        a snapshot that the file has twice, more than a batch apart, counts as two new ones then.
        Cancelled or failed (Transient, which tells how far it came): whole batches are in, the rest is not.
        """
        form.check()
        rows = Rows(form.encoding, self._platforms)
        report = ImportReport()
        batch = Batch(rows, report, self._clock.now() + AHEAD, form, self._platforms)
        commit = partial(self._commit, name, batch, None if dry_run else follow, dry_run=dry_run)
        try:
            async for chunk in chunks:
                for records in rows.feed(chunk):
                    await self._read(records, batch, commit)
                if rows.given_up:
                    break
            for records in rows.end():
                await self._read(records, batch, commit)
            await commit()
            batch.warn()
        except Transient as error:
            told = f"{error}; {report.imported + report.duplicates:,} snapshots are in, run it again to go on"
            raise Transient(told, retry_after_s=error.retry_after_s) from error
        return report

    async def _read(self, records: Records, batch: "Batch", commit: Callable[[], Awaitable[None]]) -> None:
        for number, record in records:
            batch.read(number, record)
            if batch.is_full:
                await commit()
        await trio.lowlevel.checkpoint()

    async def _commit(
        self, name: str, batch: "Batch", follow: Callable[[Handles], Awaitable[None]] | None, *, dry_run: bool
    ) -> None:
        snapshots, by_handle = batch.taken()
        if not (snapshots or by_handle):
            return
        with trio.move_on_after(COMMIT_S) as patience:
            handles = await self._identify(by_handle, batch, snapshots) if by_handle else []
            unique = sorted({row.event_id: row for row in reversed(snapshots)}.values())  # the first of each
            new = await (self._known(unique) if dry_run else self._store(name, snapshots, unique)) if unique else set()
            if handles and follow is not None:
                await follow(handles)
        if patience.cancelled_caught:
            raise Transient(f"a batch was not committed within {COMMIT_S:g} s")
        batch.report.imported += len(new)
        batch.report.duplicates += len(snapshots) - len(new)

    async def _identify(self, rows: list[ByHandle], batch: "Batch", snapshots: list[Snapshot]) -> Handles:
        """Add the snapshots of those whose ids are known; the handles of the others."""
        asked = sorted({(row.platform, row.handle) for row in rows})
        async with self._pool.connection() as conn:
            cursor = await conn.execute(
                SQL["ids_of_handles"].replace("{named}", profiles_read.named(self._platforms)),
                {"platforms": [platform for platform, _ in asked], "handles": [handle for _, handle in asked]},
            )
            ids = {(platform, handle): profile_id for platform, handle, profile_id in await cursor.fetchall()}
        for row in rows:
            profile_id = ids.get((row.platform, row.handle))
            if profile_id is not None and row.snapshot is not None:
                snapshots.append(row.snapshot(profile_id))
            else:
                batch.report.followed += 1
                batch.waiting += row.snapshot is not None
        return [each for each in asked if each not in ids]

    async def _known(self, unique: list[Snapshot]) -> set[str]:
        """The ids that would be new."""
        async with self._pool.connection() as conn:
            cursor = await conn.execute(SQL["new_snapshots"], {"ids": _ids(unique)})
            return {event_id for (event_id,) in await cursor.fetchall()}

    async def _store(self, name: str, batch: list[Snapshot], unique: list[Snapshot]) -> set[str]:
        """Commit a batch; the ids that were new."""
        async with self._pool.transaction() as conn:
            cursor = await conn.execute(SQL["remember_snapshots"], {"ids": _ids(unique)})
            new = {event_id for (event_id,) in await cursor.fetchall()}
            packed = list(frames(PROFILE_LOG.route, _new_lines(batch, new), self._clock.new_id))
            await outbox.put(conn, packed)
            await upserts.write(conn, self._audit(packed))
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
        return new


class Batch:
    """Snapshots that wait for their commit; what is none is rejected in the report."""

    def __init__(
        self,
        rows: Rows,
        report: ImportReport,
        latest: dt.datetime,
        form: Form = AS_IT_TELLS,
        platforms: Known = ALL,
    ) -> None:
        """`latest`: see `snapshot`."""
        self.report = report
        self.waiting = 0  # rows with figures whose profile's id nobody knows yet
        self._latest = latest
        self._form = form
        self._platforms = platforms
        self._rows = rows
        self._snapshots: list[Snapshot] = []
        self._by_handle: list[ByHandle] = []
        self._bytes = 0
        self._lines: dict[str, bytes] = {}
        self._differing = 0
        self._unknown: dict[str, str] = {}  # fields that nobody knows, and what is kept of them
        self._texts: set[str] = set()
        self._met = set(KNOWN)  # no need to look again
        self._bug_told = False
        self._rounded = RoundedIds()

    @property
    def is_full(self) -> bool:
        return len(self._snapshots) + len(self._by_handle) >= BATCH_ROWS or self._bytes >= BATCH_BYTES

    def read(self, number: int, record: Record) -> None:
        self.report.rows += 1
        try:
            row = self._rows.row(record)
            if not row.keys() <= self._met:
                self._meet(number, row, row.keys() - self._met)
            found = snapshot(row, self._latest, self._form, self._texts, self._platforms)
        except Malformed as error:
            self.report.reject(number, error.field, error.reason, error.faults[1:])
        except Exception as error:  # a bug, which is this row's alone
            if not self._bug_told:
                log.exception("import row", line=number)
            self._bug_told = True
            self.report.reject(number, "(row)", f"could not be read: {type(error).__name__}: {error}")
        else:
            if isinstance(found, ByHandle):
                self._by_handle.append(found)
                self._bytes += found.bytes
            else:
                self._keep(number, found)

    def _keep(self, number: int, found: Snapshot) -> None:
        self._snapshots.append(found)
        self._bytes += len(found.line)
        if self._lines.setdefault(found.event_id, found.line) != found.line:
            self._differing += 1
        if len(found.profile_id) > SPREADSHEET_DIGITS and found.profile_id.isdigit():
            self._rounded.look(number, found.profile_id)

    def _meet(self, number: int, row: Mapping[str, Any], names: Collection[str]) -> None:
        """Fields that nobody knows: the first value of each decides whether they are of numbers or of text."""
        for name in names:
            value = row[name]
            if value in (None, "") or len(self._met) == FIELDS_MAX:
                continue
            self._met.add(name)
            if name.startswith(DIMENSION):
                continue
            self._unknown[name] = "as a metric"
            if is_text(value, self._form):
                self._texts.add(name)
                self._unknown[name] = f"as text (line {number:,} has {shown(value)})"

    def warn(self) -> None:
        """Tell in the report what only all rows together show."""
        if told := self._rounded.warning():
            self.report.warnings.append(told)
        if self._differing:
            told = "tell of a profile and time what a row shortly before them tells otherwise: the first is kept"
            self.report.warnings.append(f"{self._differing:,} rows {told}")
        for name, kept in sorted(self._unknown.items())[:UNKNOWN_SHOWN_MAX]:
            told = f"is no column that anything here reads: it is kept with the events, {kept}; is it misspelt?"
            self.report.warnings.append(f"{shown(name)} {told}")
        if self.waiting:
            told = "rows have figures, and a handle of which no id is known yet: they are not imported before their"
            self.report.warnings.append(f"{self.waiting:,} {told} profiles are crawled; import the file again then")

    def taken(self) -> tuple[list[Snapshot], list[ByHandle]]:
        """Both are the caller's from now on."""
        snapshots, by_handle = self._snapshots, self._by_handle
        self._snapshots, self._by_handle, self._bytes, self._lines = [], [], 0, {}
        return snapshots, by_handle


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


def _ids(rows: list[Snapshot]) -> str:
    """A literal: psycopg would dump the ids one by one, which costs more than the insert."""
    return "{" + ",".join(row.event_id for row in rows) + "}"


def _new_lines(batch: list[Snapshot], new: set[str]) -> list[bytes]:
    """The lines whose id is new, each id once, in the file's order."""
    lines: dict[str, bytes] = {}
    for row in batch:
        if row.event_id in new:
            lines.setdefault(row.event_id, row.line)
    return list(lines.values())
