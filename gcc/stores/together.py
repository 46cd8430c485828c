"""What tasks have to commit at the same moment goes in one transaction, at a fraction of the cost of one each.

Nobody waits for others to come: who finds no transaction under way makes one for all who wait, and who comes meanwhile
waits for the next. What cannot be committed together is committed in halves, so that nobody's error is another's.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, TypeVar

import trio

from gcc.errors import Transient

ITEMS_MAX = 100

Item = TypeVar("Item")


@dataclass(eq=False, slots=True)
class _Waiting(Generic[Item]):
    item: Item
    turn: trio.Event = field(default_factory=trio.Event)  # it has ended, or may commit the next
    error: Exception | None = None


class Together(Generic[Item]):
    """`commit_all` commits items in one transaction and answers of each None, or why it was left out."""

    def __init__(
        self,
        commit_all: Callable[[Sequence[Item]], Awaitable[Sequence[Exception | None]]],
        *,
        weight: Callable[[Item], int],
        weight_max: int,
    ) -> None:
        """At most ITEMS_MAX items and `weight_max` in one transaction; a heavier one goes alone."""
        self._commit_all = commit_all
        self._weight = weight
        self._weight_max = weight_max
        self._waiting: dict[_Waiting[Item], None] = {}  # those that have not ended, in order
        self._under_way = False

    async def commit(self, item: Item) -> None:
        """Raises why it was left out, or what `commit_all` raises for it alone; Transient is everybody's.

        Cancelled: it may be committed or not, as at any commit; the others' are.
        """
        mine = _Waiting(item)
        self._waiting[mine] = None
        try:
            while mine in self._waiting:
                if self._under_way:
                    mine.turn = trio.Event()
                    await mine.turn.wait()
                else:
                    await self._commit_next()
        finally:
            self._waiting.pop(mine, None)
            self._wake_next()
        if mine.error:
            raise mine.error.with_traceback(None)  # Transient is the same for each: others' frames tell nothing

    async def _commit_next(self) -> None:
        self._under_way = True
        try:
            await self._settle(self._next())
        finally:
            self._under_way = False

    def _wake_next(self) -> None:
        """Whoever leaves does it, cancelled or not: what has not ended is another's to commit."""
        if self._waiting and not self._under_way:
            next(iter(self._waiting)).turn.set()

    def _next(self) -> list[_Waiting[Item]]:
        batch: list[_Waiting[Item]] = []
        weight = 0
        for waiting in islice(self._waiting, ITEMS_MAX):
            weight += self._weight(waiting.item)
            if batch and weight > self._weight_max:
                break
            batch.append(waiting)
        return batch

    async def _settle(self, batch: Sequence[_Waiting[Item]]) -> None:
        try:
            errors = await self._commit_all([waiting.item for waiting in batch])
        except Exception as error:
            if len(batch) > 1 and not isinstance(error, Transient):
                half = len(batch) // 2
                await self._settle(batch[:half])
                await self._settle(batch[half:])
                return
            errors = [error] * len(batch)
        for waiting, told in zip(batch, errors, strict=True):
            waiting.error = told
            self._waiting.pop(waiting, None)  # it may have been cancelled
            waiting.turn.set()
