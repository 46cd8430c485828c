"""Dead letters as people meet them: counted, listed, looked at, and sent again to the queue they came from.

In: a filter of what waits. Out: outbox rows, one for each letter, which the relay carries on like any other;
the letter and its row are one statement, so whoever asks, how often and how many at once: a letter is replayed
once. What is refused again is a new letter, since it is a new frame. Bodies are read before, outside of any
transaction, those together that stand together in an object; one that cannot be read is told of and passed over.
"""

import datetime as dt
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from psycopg.rows import class_row

from gcc import statements
from gcc.channels.deadletters import UNROUTABLE, Document, decoded
from gcc.channels.memory import Signal
from gcc.channels.message import Frame, Route
from gcc.errors import Permanent, Transient
from gcc.stores.folder_objects import Objects
from gcc.stores.postgres import Pool

SQL = statements.load("deadletters")
PAGE_LETTERS = 100
BATCH_BYTES = 4 << 20  # what one transaction puts into the outbox, and what is held in memory
RECENT_LETTERS = 10_000  # as many `recent` looks at, so that its cost has a bound
UNREADABLE_TOLD = 20
OLDEST, NEWEST = "created_at, id", "created_at desc, id desc"


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Which of the waiting letters are meant: all that is given must hold, None holds for every letter.

    `reason`: a part of it, in upper or lower case. `since`: buried then or later. `limit`: at most so many, the
    oldest first (`find`: newest first).
    """

    queue: str | None = None
    reason: str | None = None
    since: dt.datetime | None = None
    ids: Sequence[uuid.UUID] | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter without its body."""

    id: uuid.UUID
    at: dt.datetime
    queue: str
    exchange: str
    routing_key: str
    frame_id: uuid.UUID
    events: int
    reason: str
    object_key: str
    object_start: int = 0
    object_bytes: int | None = None
    replayed_at: dt.datetime | None = None
    replayed_by: str | None = None

    @property
    def end(self) -> int | None:
        """Where it ends in its object; None: with it."""
        return None if self.object_bytes is None else self.object_start + self.object_bytes

    def again(self, body: bytes) -> Frame:
        """The frame that brings it back: to its queue alone, not to all that its route reaches.

        What no queue was bound to goes the way it was meant to go.
        """
        route = Route(self.exchange, self.routing_key) if self.queue == UNROUTABLE else Route("", self.queue)
        return Frame(uuid.uuid5(self.id, "replay"), route, max(self.events, 1), body)  # a row may say anything


@dataclass(frozen=True, slots=True)
class LetterGroup:
    """Waiting letters of one queue and one reason (its first 200 characters)."""

    queue: str
    reason: str
    letters: int
    events: int
    newest: dt.datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many wait in all, and the 50 groups with the newest letters, the newest first."""

    letters: int = 0
    events: int = 0
    groups: tuple[LetterGroup, ...] = ()


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A letter whose body could not be had, and why."""

    id: uuid.UUID
    reason: str


@dataclass(slots=True)
class Replayed:
    """What a replay did; of the unreadable letters the first 20 are told."""

    letters: int = 0
    events: int = 0
    unreadable: int = 0
    errors: list[Unreadable] = field(default_factory=list)

    def add_unreadable(self, letter: Letter, error: Exception) -> None:
        self.unreadable += 1
        if len(self.errors) < UNREADABLE_TOLD:
            self.errors.append(Unreadable(letter.id, str(error)))


class Letters(Protocol):
    async def waiting(self, wanted: LetterFilter) -> Waiting:
        """How many match."""

    async def recent(self) -> Waiting:
        """What waits, of the newest RECENT_LETTERS: cheap, whatever there is."""

    async def find(self, wanted: LetterFilter) -> list[Letter]:
        """Those that match, newest first."""

    async def read(self, letter_id: uuid.UUID) -> tuple[Letter, Document | None, str]:
        """A letter, waiting or replayed, and its document, or why that cannot be had. Permanent: no such letter."""

    async def replay(self, wanted: LetterFilter, who: str) -> Replayed:
        """Send again what matches and was buried before now, in batches, each a transaction.

        Transient, or a cancellation, in the middle leaves some of it done; asking again does the rest.
        """


class PostgresLetters:
    """See `Letters`. `outbox_written` wakes this process's relay after each batch."""

    def __init__(self, pool: Pool, objects: Objects, outbox_written: Signal) -> None:
        self._pool = pool
        self._objects = objects
        self._outbox_written = outbox_written

    async def waiting(self, wanted: LetterFilter) -> Waiting:
        return await self._waiting(wanted, OLDEST)

    async def recent(self) -> Waiting:
        return await self._waiting(LetterFilter(limit=RECENT_LETTERS), NEWEST)

    async def _waiting(self, wanted: LetterFilter, order: str) -> Waiting:
        statement = _filled("waiting", wanted.limit).replace("{order}", order)
        async with self._pool.connection() as conn:
            rows = await (await conn.execute(statement, _arguments(wanted))).fetchall()
        if not rows:
            return Waiting()
        *_, letters, events = rows[0]
        return Waiting(letters, events, tuple(LetterGroup(*row[:5]) for row in rows))

    async def find(self, wanted: LetterFilter) -> list[Letter]:
        return await self._letters(_filled("find", wanted.limit), _arguments(wanted))

    async def read(self, letter_id: uuid.UUID) -> tuple[Letter, Document | None, str]:
        found = await self._letters(SQL["one"], {"id": letter_id})
        if not found:
            raise Permanent(f"there is no dead letter {letter_id}")
        try:
            return found[0], _own(found[0], *await self._documents(found)), ""
        except (Permanent, Transient) as error:
            return found[0], None, str(error)

    async def replay(self, wanted: LetterFilter, who: str) -> Replayed:
        done = Replayed()
        after_at, after_id = dt.datetime.min.replace(tzinfo=dt.UTC), uuid.UUID(int=0)
        async with self._pool.connection() as conn:
            ((until,),) = await (await conn.execute(SQL["began"])).fetchall()
        left = wanted.limit
        while left is None or left > 0:
            statement = _filled("pick", PAGE_LETTERS if left is None else min(left, PAGE_LETTERS))
            place = {"after_at": after_at, "after_id": after_id, "until": until}
            page = await self._letters(statement, _arguments(wanted) | place)
            if not page:
                break
            await self._replay_page(page, who, done)
            after_at, after_id = page[-1].at, page[-1].id
            left = None if left is None else left - len(page)
        return done

    async def _replay_page(self, page: Sequence[Letter], who: str, done: Replayed) -> None:
        batch: list[tuple[Letter, Frame]] = []
        size = 0
        for run in _runs(page):
            for letter, found in zip(run, await self._documents(run), strict=True):
                try:
                    body = _own(letter, found).content
                except (Permanent, Transient) as error:
                    done.add_unreadable(letter, error)
                    continue
                batch.append((letter, letter.again(body)))
                size += len(body)
                if size >= BATCH_BYTES:
                    await self._put(batch, who, done)
                    batch, size = [], 0
        await self._put(batch, who, done)

    async def _put(self, batch: Sequence[tuple[Letter, Frame]], who: str, done: Replayed) -> None:
        if not batch:
            return
        arguments = {
            "who": who,
            "ids": [letter.id for letter, _ in batch],
            "frame_ids": [frame.id for _, frame in batch],
            "exchanges": [frame.route.exchange for _, frame in batch],
            "keys": [frame.route.key for _, frame in batch],
            "events": [frame.events for _, frame in batch],
            "bodies": [frame.body for _, frame in batch],
        }
        async with self._pool.connection() as conn:
            ((letters, events),) = await (await conn.execute(SQL["replay"], arguments)).fetchall()
        self._outbox_written.set()
        done.letters += letters
        done.events += events

    async def _documents(self, run: Sequence[Letter]) -> list[bytes | Exception]:
        """What their object holds in their places, in one read; or why it cannot be had."""
        first, last = run[0], run[-1]
        size = None if last.end is None else last.end - first.object_start
        try:
            data = await self._objects.read(first.object_key, first.object_start, size)
        except (Permanent, Transient) as error:
            return [error] * len(run)
        ends = [(letter, None if letter.end is None else letter.end - first.object_start) for letter in run]
        return [data[letter.object_start - first.object_start : end] for letter, end in ends]

    async def _letters(self, statement: str, arguments: dict[str, Any]) -> list[Letter]:
        async with self._pool.connection() as conn, conn.cursor(row_factory=class_row(Letter)) as cursor:
            await cursor.execute(statement, arguments)
            return await cursor.fetchall()


def _filled(statement: str, limit: int | None) -> str:
    """The limit is a literal: as a parameter it costs a generic plan."""
    filled = SQL[statement].replace("{matching}", SQL["matching"])
    return filled.replace("{limit}", "all" if limit is None else str(int(limit)))


def _runs(page: Iterable[Letter]) -> Iterator[list[Letter]]:
    """Letters in their order, those together that one read brings: of one object, not too far apart.

    So they stand when they were buried together.
    """
    run: list[Letter] = []
    for letter in page:
        if run and not _reach(run, letter):
            yield run
            run = []
        run.append(letter)
    if run:
        yield run


def _reach(run: Sequence[Letter], letter: Letter) -> bool:
    first, last = run[0], run[-1]
    return (
        letter.object_key == last.object_key
        and last.end is not None
        and letter.end is not None
        and last.end <= letter.object_start
        and letter.end - first.object_start <= BATCH_BYTES
    )


def _own(letter: Letter, found: bytes | Exception) -> Document:
    """Permanent | Transient: it cannot be had, or is another letter's."""
    if isinstance(found, Exception):
        raise found
    own = decoded(found)
    if own.id != letter.id:
        raise Permanent(f"object {letter.object_key} holds dead letter {own.id}")
    return own


def _arguments(wanted: LetterFilter) -> dict[str, Any]:
    ids = None if wanted.ids is None else list(wanted.ids)
    return {name: value for name, value in asdict(replace(wanted, ids=ids)).items() if name != "limit"}
