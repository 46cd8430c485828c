"""Dead letters as people meet them: counted, listed, looked at, and sent again to the queue they came from.

In: a filter of what waits. Out: outbox rows, one for each letter, which the relay carries on like any other. A letter
is replayed once, whoever asks, how often and how many at once. What is refused again is a new letter, since it is a new
frame.
"""

import datetime as dt
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gcc.channels.deadletters import UNROUTABLE, Document
from gcc.channels.message import Frame, Route

RECENT_LETTERS = 10_000  # as many `recent` looks at, so that its cost has a bound
UNREADABLE_TOLD = 20


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
