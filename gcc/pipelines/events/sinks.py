"""The sinker's handler: lines of one event type into its table, refused ones into the dead letters.

In: deliveries of one queue. Each line is read (see reading.py), in most cases passed through byte for byte. A batch
that the store refuses is halved until its poison is alone, and the rest is stored. App events that are refused become
rows of error_event instead of dead letters.
An insert's token is the hash of its bytes: the same part resent is dropped by the store, and rows are idempotent by
event_id when redelivery has regrouped them. All of it may be cut short and done again.
"""

import hashlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import trio

from gcc.channels.deadletters import Burial, DeadLetters
from gcc.channels.message import Delivery
from gcc.errors import Permanent
from gcc.metrics import Metrics
from gcc.pipelines.events.reading import LineReader, error_line
from gcc.pipelines.events.types import EventType

REFUSALS_MAX = 500
"""Refused inserts of one batch, about 2 log2(rows) for each poison row; then what is refused is buried as it is, so
that a table that takes nothing does not cost an insert for every row."""


class EventStore(Protocol):
    async def insert_ndjson(self, table: str, body: bytes, *, token: str) -> None:
        """Append rows; the same token with the same bytes is stored once. Transient | Permanent."""


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of a frame; `line` is what is stored, or as it came where it is refused."""

    delivery: Delivery
    number: int
    line: bytes


_Refused = list[tuple[_Row, str]]  # with the reason


class Sink:
    """Stores one event type; see `gcc.actors.consumer.Handler`.

    `also(lines)` is told of what the table has, before it is acknowledged, and again if that is cut short.
    """

    def __init__(
        self,
        event_type: EventType,
        store: EventStore,
        dead_letters: DeadLetters,
        metrics: Metrics,
        *,
        also: Callable[[Sequence[bytes]], Awaitable[None]] | None = None,
    ) -> None:
        self._type = event_type
        self._store = store
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._also = also
        self._reader = LineReader(event_type)

    async def handle(self, batch: Sequence[Delivery]) -> int:
        rows: list[_Row] = []
        refused: _Refused = []
        for delivery in batch:
            self._sift(delivery, rows, refused)
        stored = await self._insert_halving(rows, refused)
        if self._also and stored:
            await self._also([row.line for row in stored])
        if self._type.errors_to:
            refused = await self._insert_errors(self._type.errors_to, refused)
        await self._bury(refused)
        return len(stored)

    def _sift(self, delivery: Delivery, rows: list[_Row], refused: _Refused) -> None:
        for number, line in enumerate(delivery.frame.body.split(b"\n")):
            if not line.strip():
                continue
            try:
                rows.append(_Row(delivery, number, self._reader.read(line, delivery.frame, number)))
            except ValueError as error:
                refused.append((_Row(delivery, number, line), f"not of type {self._type.name}: {error}"))

    async def _insert_halving(self, rows: list[_Row], refused: _Refused) -> list[_Row]:
        """Insert `rows`, apart from those that the store refuses; answers which it has."""
        stored: list[_Row] = []
        refusals = 0
        parts = [rows] if rows else []
        while parts:
            part = parts.pop()
            try:
                await self._insert(self._type.table, [row.line for row in part])
                stored += part
            except Permanent as error:
                refusals += 1
                if len(part) == 1 or refusals > REFUSALS_MAX:
                    refused += [(row, str(error)) for row in part]
                else:
                    half = len(part) // 2
                    parts += [part[half:], part[:half]]
        return stored

    async def _insert(self, table: str, lines: list[bytes]) -> None:
        body = b"\n".join(lines)
        began = trio.current_time()
        await self._store.insert_ndjson(table, body, token=hashlib.sha256(body).hexdigest())
        self._metrics.flush_seconds.labels(table).observe(trio.current_time() - began)
        self._metrics.stored_events.labels(table).inc(len(lines))

    async def _insert_errors(self, table: str, refused: _Refused) -> _Refused:
        """Tell of each in the table of errors; answers what even that did not take."""
        if not refused:
            return []
        lines = [error_line(row.line, why, self._type, row.delivery.frame, row.number) for row, why in refused]
        try:
            await self._insert(table, lines)
        except Permanent:
            return refused
        return []

    async def _bury(self, refused: _Refused) -> None:
        """A letter for each delivery and reason: the same ones when it is done again."""
        letters: dict[tuple[int, str], list[_Row]] = defaultdict(list)
        for row, reason in refused:
            letters[row.delivery.id, reason].append(row)
        burials = [
            Burial(
                rows[0].delivery.queue,
                rows[0].delivery.frame,
                body=b"\n".join(row.line for row in rows),
                events=len(rows),
                reason=reason,
            )
            for (_, reason), rows in letters.items()
        ]
        await self._dead_letters.bury(burials)
        for burial in burials:
            self._metrics.dead_letters.labels(burial.queue).inc(burial.events)
