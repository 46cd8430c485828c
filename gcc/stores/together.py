"""What tasks have to commit at the same moment goes in one transaction, at a fraction of the cost of one each.

Nobody waits for others to come: who finds no transaction under way makes one for all who wait, and who comes meanwhile
waits for the next. What cannot be committed together is committed in halves, so that nobody's error is another's.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

import trio

from gcc.errors import Transient

ITEMS_MAX = 100

Item = TypeVar("Item")


@dataclass(eq=False, slots=True)
class _Waiting(Generic[Item]):
    item: Item
    ended: bool = False
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
        self._waiting: list[_Waiting[Item]] = []
        self._under_way = False
        self._turns = trio.lowlevel.ParkingLot()

    async def commit(self, item: Item) -> None:
        """Raises why it was left out, or what `commit_all` raises for it alone; Transient is everybody's.

        Cancelled: it may be committed or not, as at any commit; the others' are.
        """
        mine = _Waiting(item)
        self._waiting.append(mine)
        try:
            while not mine.ended:
                if self._under_way:
                    await self._turns.park()
                else:
                    await self._commit_next()
        finally:
            self._waiting.remove(mine)
        if mine.error:
            raise mine.error.with_traceback(None)  # Transient is the same for each: others' frames tell nothing

    async def _commit_next(self) -> None:
        self._under_way = True
        try:
            await self._settle(self._next())
        finally:  # cancelled, too: what has not ended is another's to commit
            self._under_way = False
            self._turns.unpark_all()

    def _next(self) -> list[_Waiting[Item]]:
        batch: list[_Waiting[Item]] = []
        weight = 0
        unended = (waiting for waiting in self._waiting if not waiting.ended)  # the others are yet to wake up
        for waiting in islice(unended, ITEMS_MAX):
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
            waiting.ended, waiting.error = True, told
