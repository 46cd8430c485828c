"""The outbox: frames committed together with the state they describe; a relay carries them on.

`Outbox` is what a relay needs that hands frames to somebody else's broker: read, publish, remove.
"""

import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from gcc.channels.message import Frame, Route

Emit = Callable[[Sequence[Frame]], Awaitable[None]]
"""Commits frames to the outbox, all or none, with nothing beside them. Transient: perhaps they are committed."""


@dataclass(frozen=True, slots=True)
class OutboxRow:
    id: int
    frame: Frame
    created_at: dt.datetime


class Outbox(Protocol):
    @property
    def leader(self) -> str:
        """Whose terms the relay's are."""

    async def oldest(self, frames_max: int, bytes_max: int, *, without: Sequence[Route]) -> list[OutboxRow]:
        """Committed rows by id, none of these routes, as many as fit both bounds, or one. They stay where they are."""

    async def remove(self, ids: Sequence[int], *, term: int) -> None:
        """Remove rows that have been handed on. LeaseLost: the relay's term is over, and they stay."""
