"""Dead letters as people meet them, in memory; passes tests/contract/test_letters.py like the real ones."""

import datetime as dt
import uuid
from collections.abc import Iterable
from dataclasses import replace

from gcc.channels.deadletters import Document, document
from gcc.channels.letters import RECENT_LETTERS, Letter, LetterFilter, LetterGroup, Replayed, Waiting
from gcc.channels.memory import Signal
from gcc.errors import Permanent
from tests.fakes.database import Connection


class FakeLetters:
    """`lost` are those whose object is gone."""

    def __init__(self, connection: Connection, outbox_written: Signal) -> None:
        self._connection = connection
        self._database = connection.database
        self._outbox_written = outbox_written
        self.lost: set[uuid.UUID] = set()

    async def waiting(self, wanted: LetterFilter) -> Waiting:
        return await self._connection.read(lambda: _summed(self._matching(wanted)))

    async def recent(self) -> Waiting:
        return await self._connection.read(lambda: _summed(self._matching(LetterFilter())[-RECENT_LETTERS:]))

    async def find(self, wanted: LetterFilter) -> list[Letter]:
        newest = await self._connection.read(lambda: self._matching(replace(wanted, limit=None))[::-1])
        return newest[: wanted.limit]

    async def read(self, letter_id: uuid.UUID) -> tuple[Letter, Document | None, str]:
        letter = await self._connection.read(lambda: self._database.letters.get(letter_id))
        if letter is None:
            raise Permanent(f"there is no dead letter {letter_id}")
        try:
            return letter, self._document(letter), ""
        except Permanent as error:
            return letter, None, str(error)

    async def replay(self, wanted: LetterFilter, who: str) -> Replayed:
        done = Replayed()
        for letter in await self._connection.read(lambda: self._matching(wanted)):
            await self._replay(letter, who, done)
        return done

    async def _replay(self, letter: Letter, who: str, done: Replayed) -> None:
        try:
            body = self._document(letter).content
        except Permanent as error:
            done.add_unreadable(letter, error)
            return

        def change() -> bool:
            if self._database.letters[letter.id].replayed_at is not None:
                return False
            replayed = replace(letter, replayed_at=self._database.clock.now(), replayed_by=who)
            self._database.letters[letter.id] = replayed
            self._database.tell("replayed", replayed)
            self._database.emit([letter.again(body)])
            return True

        if await self._connection.commit(change):
            done.letters += 1
            done.events += letter.events
        self._outbox_written.set()

    def _matching(self, wanted: LetterFilter) -> list[Letter]:
        """The oldest first."""
        found = [letter for letter in self._database.letters.values() if _matches(letter, wanted)]
        return sorted(found, key=lambda letter: (letter.at, letter.id))[: wanted.limit]

    def _document(self, letter: Letter) -> Document:
        if letter.id in self.lost:
            raise Permanent(f"object {letter.object_key} does not exist")
        return document(self._database.dead_letters[letter.id], letter.at)


def _matches(letter: Letter, wanted: LetterFilter) -> bool:
    return (
        letter.replayed_at is None
        and wanted.queue in (None, letter.queue)
        and (wanted.reason or "").lower() in letter.reason.lower()
        and letter.at >= (wanted.since or dt.datetime.min.replace(tzinfo=dt.UTC))
        and (wanted.ids is None or letter.id in wanted.ids)
    )


def _summed(letters: Iterable[Letter]) -> Waiting:
    groups: dict[tuple[str, str], LetterGroup] = {}
    for letter in letters:
        key = letter.queue, letter.reason[:200]
        group = groups.get(key) or LetterGroup(*key, 0, 0, letter.at)
        groups[key] = replace(
            group, letters=group.letters + 1, events=group.events + letter.events, newest=max(group.newest, letter.at)
        )
    newest = sorted(groups.values(), key=lambda group: group.newest, reverse=True)
    return Waiting(sum(group.letters for group in newest), sum(group.events for group in newest), tuple(newest[:50]))
