"""The sinker's handler: lines of one event type into its table, refused ones into the dead letters.

In: deliveries of one queue. Each line is read (see reading.py), in most cases passed through byte for byte. What holds
no line at all is refused, too. App events that are refused become rows of error_event instead of dead letters.

A batch that the store refuses is first asked about: a table that takes not even a blank event of its type (a column
lacks, or has another type) takes nothing, and that is Transient, so that the queue keeps its backlog. Else it is the
rows: they are written in our own words, and halved until the poison is alone, and the rest is stored. So are rows of
too many months or too many values for one insert, in order of time. What becomes of each row then is remembered until
its batch is done: one that is cut short goes on where it was. An event too long to be decoded is refused unread.
An insert's token is the hash of its bytes: the same part resent is dropped by the store, and rows are idempotent by
event_id when redelivery has regrouped them. All of it may be cut short and done again.
"""

import datetime as dt
import hashlib
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple, Protocol

import msgspec
import trio

from gcc.channels.batch import BYTES_MAX
from gcc.channels.deadletters import Burial, DeadLetters
from gcc.channels.message import EVENT_BYTES_MAX, Delivery, Frame
from gcc.errors import Permanent, TooMuch, Transient
from gcc.metrics import Metrics
from gcc.pipelines.events.reading import LineReader, blank, counted, error_line, fault, lines
from gcc.pipelines.events.types import ERROR_EVENT, EventType
from gcc.supervisor.lifecycle import one_line

OUTCOMES_MAX = 20_000  # rows: no fewer than the largest batch has
YIELD_BYTES = 256 * 1024  # a millisecond's reading
Also = Callable[[Sequence[bytes]], Awaitable[Mapping[int, str]]]
"""Is told of lines that are stored; answers, by position, which of them it could not take and why."""


NO_FIELD = "no_table_has_this_field"


class EventStore(Protocol):
    async def insert_ndjson(self, table: str, body: bytes, *, token: str) -> None:
        """Append rows; the same token with the same bytes is stored once. Transient | Permanent.

        Permanent stores nothing; it names the field that a row has and the table has not. TooMuch: send it in parts.
        """


class _Row(NamedTuple):
    """A line of a frame: as it came, and as it is stored."""

    delivery: Delivery
    number: int
    given: bytes
    line: bytes = b""


_Refused = list[tuple[_Row, str]]  # with the reason


def _parts(rows: list[_Row]) -> Iterator[list[_Row]]:
    """In order, each of no more bytes than one insert has, and of one row at least."""
    first = size = 0
    for at, row in enumerate(rows):
        if size and size + len(row.line) > BYTES_MAX:
            yield rows[first:at]
            first, size = at, 0
        size += len(row.line)
    if rows:
        yield rows[first:]


class _Place(msgspec.Struct):
    event_timestamp: str = ""
    flow: str = ""


def _partition(row: _Row) -> tuple[str, str]:
    """Rows of one partition of their table are neighbours in this order."""
    place = msgspec.json.decode(row.line, type=_Place)
    return place.event_timestamp[: len("2026-01-01")], place.flow


def _key(table: str, row: _Row) -> bytes:
    return hashlib.sha256(table.encode() + b" " + row.line).digest()


class Sink:
    """Stores one event type; see `gcc.actors.consumer.Handler`.

    `now`: see LineReader. `also(lines)` is told of what the table has, before it is acknowledged, and again if that is
    cut short.
    """

    def __init__(
        self,
        event_type: EventType,
        store: EventStore,
        dead_letters: DeadLetters,
        metrics: Metrics,
        *,
        also: Also | None = None,
        now: Callable[[], dt.datetime] | None = None,
    ) -> None:
        self._type = event_type
        self._store = store
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._also = also
        self._reader = LineReader(event_type, now)
        self._blanks = {event_type.table: blank(event_type), ERROR_EVENT.table: blank(ERROR_EVENT)}
        self._outcomes: OrderedDict[bytes, str | None] = OrderedDict()  # of rows of batches that were cut short
        self._asked_for: list[bytes] = []  # ... by this batch
        self._unyielded = 0  # bytes read since others were let run

    async def handle(self, batch: Sequence[Delivery]) -> int:
        rows: list[_Row] = []
        refused: _Refused = []
        self._asked_for.clear()
        for delivery in {each.id: each for each in batch}.values():  # one whose lease ended here may have come again
            await self._sift(delivery, rows, refused)
        stored = await self._store_rows(rows, refused)
        if self._also and stored:
            refused += [(stored[at], why) for at, why in (await self._also([row.line for row in stored])).items()]
        if self._type.errors_to:
            refused = await self._insert_errors(self._type.errors_to, refused)
        await self._bury(refused)
        for key in self._asked_for:
            self._outcomes.pop(key, None)
        return len(stored)

    async def _sift(self, delivery: Delivery, rows: list[_Row], refused: _Refused) -> None:
        """A frame of nothing, or of more lines than it has events, is refused as it is, not line by line.

        Blank lines between events are passed over.
        """
        body, events = delivery.frame.body, delivery.frame.events
        if body.count(b"\n") < events:
            found = [(number, line) for number, line in enumerate(body.split(b"\n")) if line.strip()]
        else:
            found = list(islice(lines(body), events + 1))
        if len(found) > events:
            why = f"not of type {self._type.name}: it has more lines than events ({events})"
            if events == 1 and len(body) <= EVENT_BYTES_MAX:
                why += f"; as one: {fault(body)}"
            refused.append((_Row(delivery, 0, body), why))
            return
        given = ((delivery, number, line) for number, line in found)
        await self._read(self._reader.read, given, rows, refused)
        if not found:
            what = "blank" if body else "empty"
            refused.append((_Row(delivery, 0, body), f"not of type {self._type.name}: it is {what}"))

    async def _read(
        self,
        read: Callable[[bytes, Frame, int], bytes],
        given_lines: Iterable[tuple[Delivery, int, bytes]],
        rows: list[_Row],
        refused: _Refused,
    ) -> None:
        for delivery, number, given in given_lines:
            self._unyielded += len(given)
            if self._unyielded > YIELD_BYTES:
                await trio.lowlevel.checkpoint()
                self._unyielded = 0
            try:
                if len(given) > EVENT_BYTES_MAX:
                    raise ValueError(f"it has {len(given):,} bytes, and an event at most {EVENT_BYTES_MAX:,}")
                rows.append(_Row(delivery, number, given, read(given, delivery.frame, number)))
            except ValueError as error:
                why = one_line(f"not of type {self._type.name}: {error}")
                refused.append((_Row(delivery, number, given), why))

    async def _store_rows(self, rows: list[_Row], refused: _Refused) -> list[_Row]:
        """Insert `rows`, apart from those that the store refuses; answers which it has."""
        stored: list[_Row] = []
        for part in _parts(rows):
            stored += await self._store_part(part, refused)
        return stored

    async def _store_part(self, rows: list[_Row], refused: _Refused) -> list[_Row]:
        try:
            await self._insert(self._type.table, [row.line for row in rows])
        except Permanent as error:
            if asked := not isinstance(error, TooMuch):
                await self._must_take_blank(self._type.table, str(error))
            in_our_words: list[_Row] = []
            await self._read(self._reader.rewritten, [row[:3] for row in rows], in_our_words, refused)
            return await self._insert_halving(self._type.table, in_our_words, refused, asked=asked)
        return rows

    async def _must_take_blank(self, table: str, refusal: str) -> None:
        if not await self._takes_blank(table):
            self._outcomes.clear()
            raise Transient(f"{table} takes nothing, not even a blank event: {refusal}")

    async def _takes_blank(self, table: str) -> bool:
        """Nothing is stored: a second row, with a field that no table has, is what must be refused."""
        body = self._blanks[table] + b'\n{"%s":0}' % NO_FIELD.encode()
        try:
            await self._store.insert_ndjson(table, body, token=NO_FIELD)
        except Permanent as error:
            return NO_FIELD in str(error)
        return True

    async def _insert_halving(
        self, table: str, rows: list[_Row], refused: _Refused, *, asked: bool = False
    ) -> list[_Row]:
        """Insert `rows`, apart from those that the table refuses; answers which it has. `asked`: it takes a blank one.

        Transient: it takes nothing.
        """
        stored: list[_Row] = []
        fresh: list[_Row] = []
        for row in rows:
            key = _key(table, row)
            self._asked_for.append(key)
            if key not in self._outcomes:
                fresh.append(row)
            elif (why := self._outcomes[key]) is None:
                stored.append(row)
            else:
                refused.append((row, why))
        poison: _Refused = []
        parts = [fresh] if fresh else []
        while parts:
            part = parts.pop()
            try:
                await self._insert(table, [row.line for row in part])
            except Permanent as error:
                if not asked and not isinstance(error, TooMuch):
                    await self._must_take_blank(table, str(error))
                    asked = True
                if len(part) == 1:
                    poison.append((part[0], str(error)))
                    self._remember(table, part, str(error))
                    continue
                if isinstance(error, TooMuch):
                    part = sorted(part, key=_partition)
                half = len(part) // 2
                parts += [part[half:], part[:half]]
            else:
                stored += part
                self._remember(table, part, None)
        if poison:  # the table may have changed meanwhile
            await self._must_take_blank(table, poison[-1][1])
        refused += poison
        return stored

    def _remember(self, table: str, rows: Iterable[_Row], outcome: str | None) -> None:
        """They are stored (None), or refused for that reason."""
        self._outcomes.update((_key(table, row), outcome) for row in rows)
        while len(self._outcomes) > OUTCOMES_MAX:
            self._outcomes.popitem(last=False)

    async def _insert(self, table: str, lines: list[bytes]) -> None:
        body = b"\n".join(lines)
        began = trio.current_time()
        await self._store.insert_ndjson(table, body, token=hashlib.sha256(body).hexdigest())
        self._metrics.flush_seconds.labels(table).observe(trio.current_time() - began)
        self._metrics.stored_events.labels(table).inc(len(lines))

    async def _insert_errors(self, table: str, refused: _Refused) -> _Refused:
        """Tell of each in the table of errors; answers what even that did not take."""
        too_long = [each for each in refused if len(each[0].given) > EVENT_BYTES_MAX]
        told = [each for each in refused if len(each[0].given) <= EVENT_BYTES_MAX]
        rows = [
            row._replace(number=number, line=error_line(row.given, why, self._type, row.delivery.frame, row.number))
            for number, (row, why) in enumerate(told)
        ]
        not_taken: _Refused = []
        await self._insert_halving(table, rows, not_taken)
        return [*too_long, *(told[row.number] for row, _ in not_taken)]

    async def _bury(self, refused: _Refused) -> None:
        """A letter for each delivery and reason: the same ones when it is done again."""
        letters: dict[tuple[int, str], list[_Row]] = defaultdict(list)
        for row, reason in refused:
            letters[row.delivery.id, reason].append(row)
        burials = [_burial(rows, reason) for (_, reason), rows in letters.items()]
        await self._dead_letters.bury(burials)
        for burial in burials:
            self._metrics.dead_letters.labels(burial.queue).inc(burial.events)


def _burial(rows: Sequence[_Row], reason: str) -> Burial:
    """Of rows of one delivery."""
    delivery, body = rows[0].delivery, b"\n".join(row.given for row in rows)
    return Burial(delivery.queue, delivery.frame, body, len(rows), reason, counted(delivery.frame, body))
