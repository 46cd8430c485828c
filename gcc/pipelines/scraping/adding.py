"""Jobs that people add by hand: the rows of a CSV file, whose header names params of one flow.

In: the file's bytes, UTF-8, in any chunks; a row is a line, its cells parted by commas. Out: PENDING jobs, a batch a
transaction, and a report. A cell that begins with [ or { is JSON, any other is text, which the flow's params read as
their type wants; an empty one is not given. A row that is no job costs no other: rows = added + known + rejected.
"""

import codecs
import csv
import hashlib
import json
from collections.abc import AsyncIterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pydantic
import trio

from gcc.channels.jobs import URGENT, Jobs, NewJob
from gcc.errors import Permanent, Transient
from gcc.pipelines.events.history_rows import ROW_CHARS_MAX, Splitter
from gcc.pipelines.scraping.flow import Flow, wrong
from gcc.pipelines.scraping.table import refresh_key

BATCH_ROWS = 500
REJECTED_SHOWN_MAX = 1000
REASON_CHARS_MAX = 300
KEY_CHARS_MAX = 500
PRIORITY_MAX = URGENT - 1
"""People ask for priorities from minus that to that: a claim looks at each priority that there is."""
TTL_S, TTL_S_MAX = 86_400, 366 * 86_400
PIECE_BYTES = 16 * 1024


@dataclass(slots=True)
class AddReport:
    """Counts of rows. `known`: an unfinished job has their key. `rejected` holds at most REJECTED_SHOWN_MAX of them.

    `job`: the id of the last row's job, added or known; of a dry run there is none.
    """

    rows: int = 0
    added: int = 0
    known: int = 0
    rejected: list[dict[str, Any]] = field(default_factory=list)
    rejected_total: int = 0
    job: str | None = None

    def reject(self, line: int, name: str, reason: str) -> None:
        self.rejected_total += 1
        if len(self.rejected) < REJECTED_SHOWN_MAX:
            self.rejected.append({"line": line, "field": name[:100], "reason": reason[:REASON_CHARS_MAX]})


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for every job of a file: see `NewJob`. `key`: of a single job; None: each has that of its params."""

    priority: int = 0
    ttl_s: int = TTL_S
    key: str | None = None

    def check(self) -> None:
        """Permanent: no job can have them."""
        if not -PRIORITY_MAX <= self.priority <= PRIORITY_MAX:
            raise Permanent(f"priority is a whole number from -{PRIORITY_MAX} to {PRIORITY_MAX}, not {self.priority}")
        if not 1 <= self.ttl_s <= TTL_S_MAX:
            raise Permanent(f"ttl_s is from 1 to {TTL_S_MAX} seconds, not {self.ttl_s}")
        if self.key is not None and not 0 < len(self.key) <= KEY_CHARS_MAX:
            raise Permanent(f"key has from 1 to {KEY_CHARS_MAX} characters")


class Malformed(Exception):
    """A row that is no job: the field, and why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.field = name
        self.reason = reason


async def add(
    jobs: Jobs, flow: Flow, chunks: AsyncIterable[bytes], terms: Terms, *, dry_run: bool = False
) -> AddReport:
    """Add a job for each row. `dry_run`: only tell what would be added; a key that the file has twice, more than a
    batch apart, counts as two new ones then.

    Permanent: the terms are none. Transient: tells how far it came; run again, it adds what lacks.
    Cancelled: whole batches are in, the rest is not.
    """
    terms.check()
    report, table = AddReport(), Table()
    batch: list[NewJob] = []

    async def commit() -> None:
        wanted = {job.key or "": job for job in reversed(batch)}  # the first of each key
        if dry_run:
            new = len(wanted) - len(await jobs.unfinished(list(wanted)))
        else:
            enqueued = dict(zip(wanted, await jobs.enqueue(list(wanted.values())), strict=True))
            new = sum(job.inserted for job in enqueued.values())
            report.job = str(enqueued[batch[-1].key or ""].id)
        report.added += new
        report.known += len(batch) - new
        batch.clear()

    async def read(text: str, *, last: bool = False) -> None:
        for line, row in table.rows(text, last=last):
            report.rows += 1
            try:
                if isinstance(row, Malformed):
                    raise row
                if terms.key is not None and report.rows > 1:
                    raise Malformed("(row)", "one key is for one job")
                batch.append(new_job(flow, row, terms))
            except Malformed as error:
                report.reject(line, error.field, error.reason)
            if len(batch) == BATCH_ROWS:
                await commit()
        await trio.lowlevel.checkpoint()

    decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
    try:
        async for chunk in chunks:
            for begin in range(0, len(chunk), PIECE_BYTES):
                await read(decoder.decode(chunk[begin : begin + PIECE_BYTES]))
        await read(decoder.decode(b"", True), last=True)
        if batch:
            await commit()
    except Transient as error:
        told = f"{error}; {report.added:,} jobs are added, run it again to go on"
        raise Transient(told, retry_after_s=error.retry_after_s) from error
    return report


class Table:
    """CSV's text, in any pieces, as its rows: the number of each one's line, and its cells by the header's names."""

    def __init__(self) -> None:
        self._splitter = Splitter()
        self._number = 0
        self._header: list[str] | Malformed | None = None

    def rows(self, text: str, *, last: bool) -> Iterator[tuple[int, Mapping[str, str] | Malformed]]:
        """The rows that `text` completes; with `last` also what has no end. Of a bad header no row is any."""
        for line in self._splitter.split(text, last=last):
            self._number += 1
            if not line.strip():
                continue
            cells = _cells(line)
            if self._header is None:
                self._header = _header(cells)
                if isinstance(self._header, Malformed):
                    yield self._number, self._header
            elif not isinstance(self._header, Malformed):
                yield self._number, _row(self._header, cells)


def _cells(line: str) -> list[str] | Malformed:
    if len(line) > ROW_CHARS_MAX:
        return Malformed("(row)", f"is longer than {ROW_CHARS_MAX:,} characters")
    if "\0" in line or "\ufffd" in line:
        return Malformed("(row)", "has a NUL, or bytes that are no UTF-8")
    try:
        return [cell.strip() for cell in next(csv.reader([line.rstrip("\r\n")], skipinitialspace=True, strict=True))]
    except (csv.Error, StopIteration) as error:
        return Malformed("(row)", f"is no CSV row: {error}")


def _header(cells: list[str] | Malformed) -> list[str] | Malformed:
    if isinstance(cells, Malformed):
        return Malformed("(header)", f"{cells.reason}; nothing is added")
    if not all(cells) or len(set(cells)) < len(cells):
        return Malformed("(header)", "has a column without a name, or a name twice; nothing is added")
    return cells


def _row(header: list[str], cells: list[str] | Malformed) -> Mapping[str, str] | Malformed:
    if isinstance(cells, Malformed):
        return cells
    if len(cells) != len(header):
        return Malformed("(row)", f"has {len(cells)} cells where the header has {len(header)}")
    return {name: cell for name, cell in zip(header, cells, strict=True) if cell}


def new_job(flow: Flow, cells: Mapping[str, str], terms: Terms) -> NewJob:
    """The job of one row. Malformed names the first param that is none."""
    given = {name: _value(name, cell) for name, cell in cells.items()}
    try:
        params = flow.params.model_validate(given).model_dump(mode="json", exclude_unset=True)
        storable = b"\\u0000" not in msgspec.json.encode(params)
    except pydantic.ValidationError as error:
        where, told = wrong(error)
        raise Malformed(where or "(row)", told) from None
    except (ValueError, RecursionError) as error:
        raise Malformed("(row)", f"cannot be kept: {error}") from None
    if not storable:
        raise Malformed("(row)", "cannot be kept: it has a NUL")
    key = terms.key or key_of(flow, params)
    return NewJob(flow.name, flow.platform, params, key=key, priority=terms.priority, ttl_s=terms.ttl_s)


def key_of(flow: Flow, params: Mapping[str, Any]) -> str:
    """One unfinished job for the same work: that of a refresh is the one that all producers share."""
    if flow.refreshes:
        return refresh_key(flow.refreshes, params["handle"])
    written = json.dumps(params, sort_keys=True, separators=(",", ":"))
    key = f"{flow.name}:{written}"
    return key if len(key) <= KEY_CHARS_MAX else f"{flow.name}:sha256:{hashlib.sha256(written.encode()).hexdigest()}"


def _value(name: str, cell: str) -> Any:
    if not cell.startswith(("[", "{")):
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError) as error:
        raise Malformed(name, f"begins as JSON and is none: {error}") from None
