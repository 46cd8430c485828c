"""Dead letters as people meet them, on PostgreSQL (table `dead_letter`) and the object store.

A letter's outbox row and its `replayed_at` are one statement, so whoever asks, how often and how many at once: a letter
is replayed once. Bodies are read before, outside of any transaction, those together that stand together in an object;
one that cannot be read is told of and passed over.
"""

import datetime as dt
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any

from psycopg.rows import class_row

from gcc import statements
from gcc.channels.deadletters import Document, decoded
from gcc.channels.letters import RECENT_LETTERS, Letter, LetterFilter, LetterGroup, Replayed, Waiting
from gcc.channels.memory import Signal
from gcc.channels.message import Frame
from gcc.channels.objects import Objects
from gcc.errors import Permanent, Transient
from gcc.stores.postgres import Pool

SQL = statements.load("deadletters")
PAGE_LETTERS = 100
BATCH_BYTES = 4 << 20  # what one transaction puts into the outbox, and what is held in memory
OLDEST, NEWEST = "created_at, id", "created_at desc, id desc"


class PostgresLetters:
    """See `gcc.channels.letters.Letters`. `outbox_written` wakes this process's relay after each batch."""

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
