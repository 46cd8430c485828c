"""Ids that jobs ask for at the same time, asked for in one call: the API takes up to 50, and a call costs the same.

A batch is asked for by whoever began it, once it is full or a moment has passed; until the request is built, which is
after the limit has let it through, others may still join. Who is cancelled takes nobody with him: the next one in line
asks for all. What the call fails with is told to each; its trace stands with the one that asked.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import trio

from gcc.errors import GccError
from gcc.sources.chain import Visit
from gcc.sources.fields import Fields

IDS_MAX = 50
GATHER_S = 0.02  # answers that begin other questions come one after the other; nobody notices it


@dataclass(frozen=True, slots=True)
class Answered:
    """The items of a list by their ids. `odd` tells of those without a readable id: what is missing may be one."""

    items: Mapping[str, Fields]
    odd: Sequence[str] = ()


Ask = Callable[["Batch", Visit], Awaitable[Answered]]
"""Makes one call for a batch, and closes it when the request is built."""


class Batch:
    """Ids that are asked for together; `first` names it, `close` tells all of them: from then on no more may join."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._ids: dict[str, None] = {}
        self._full = trio.Event()
        self._turn = trio.Lock()
        self._answer: Answered | GccError | None = None
        self.closed = False

    @property
    def first(self) -> str:
        return next(iter(self._ids))

    def takes(self, ids: Sequence[str]) -> bool:
        """Whether they fit in; one that has no room for some is full for all."""
        joined = {**self._ids, **dict.fromkeys(ids)}
        if self.closed or len(joined) > IDS_MAX:
            self._full.set()
            return False
        self._ids = joined
        if len(joined) == IDS_MAX:
            self._full.set()
        return True

    async def answer(self, visit: Visit) -> Answered:
        """What the call answered; the first in line makes it."""
        async with self._turn:
            if self._answer is None:
                with trio.move_on_after(GATHER_S):
                    await self._full.wait()
                try:
                    self._answer = await self._ask(self, visit)
                except GccError as error:
                    self._answer = error
                finally:
                    self.closed = True
        if isinstance(self._answer, GccError):
            raise self._answer.with_traceback(None)  # the same for each: frames of the others tell nothing
        return self._answer

    def close(self) -> Sequence[str]:
        self.closed = True
        return list(self._ids)


class Batching:
    """What asks for things of one kind by id: jobs of the same priority share calls."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._open: dict[int, Batch] = {}  # by priority: nobody waits in a line of lower priority than his own

    async def fetch(self, ids: Iterable[str], visit: Visit) -> Answered:
        """The items of `ids` that there are. Raises what the call raises. Cancelled: others get their items."""
        wanted = list(dict.fromkeys(ids))
        found: dict[str, Fields] = {}
        odd: list[str] = []
        for start in range(0, len(wanted), IDS_MAX):
            part = wanted[start : start + IDS_MAX]
            answered = await self._ask_for(part, visit)
            found.update((each, answered.items[each]) for each in part if each in answered.items)
            odd += answered.odd
        return Answered(found, odd)

    async def _ask_for(self, ids: Sequence[str], visit: Visit) -> Answered:
        batch = self._open.get(visit.priority)
        if batch is None or not batch.takes(ids):
            batch = self._open[visit.priority] = Batch(self._ask)
            batch.takes(ids)
        try:
            return await batch.answer(visit)
        finally:
            if self._open.get(visit.priority) is batch and batch.closed:
                del self._open[visit.priority]
