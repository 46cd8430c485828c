"""The unit of work: all that one task asks of a pool within a block is one transaction.

In: a pool. `begun` opens no connection yet: the first store that asks for one does, so what is slow and needs none (a
password's hash, somebody else's server) is done first and holds nothing. From then on the pool gives this task that
connection, in the transaction, whoever asks; a store's own transaction is a savepoint of it. Out: at the end of the
block everything is committed, by any exception nothing. What others are told of, they are told `after_commit`.

A unit is one task's. Tasks that it starts have connections of their own, as two cannot talk on one at once.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

import structlog
import trio

if TYPE_CHECKING:
    from gcc.stores.postgres import Connection, Pool

TELLING_S = 2.0
"""How long each telling may take, whoever has stopped waiting: what others are told of has been committed."""

Act = Callable[[], Awaitable[None]]

log = structlog.get_logger()
_begun: "ContextVar[Unit | None]" = ContextVar("unit of work", default=None)


class Unit:
    def __init__(self, pool: "Pool", partner_id: int | None) -> None:
        self.pool = pool
        self.partner_id = partner_id
        self.task = trio.lowlevel.current_task()
        self.ending = AsyncExitStack()
        self.acts: list[tuple[Act, bool]] = []
        self._connection: Connection | None = None

    async def connection(self) -> "Connection":
        """In its transaction. Raises as Pool.connection does."""
        if self._connection is None:
            self._connection = await self.ending.enter_async_context(self.pool.own_transaction(self.partner_id))
        return self._connection


def of(pool: "Pool") -> Unit | None:
    """What this task has begun there."""
    unit = current()
    return unit if unit is not None and unit.pool is pool else None


def current() -> Unit | None:
    unit = _begun.get()  # a task inherits that of the task which started it
    return unit if unit is not None and unit.task is trio.lowlevel.current_task() else None


@asynccontextmanager
async def begun(pool: "Pool", partner_id: int | None = None) -> AsyncIterator[None]:
    """Of the partner, as Pool.tenant is, if one is given. Raises as Pool.transaction does: where the connection is lost
    while it commits only the database knows."""
    assert current() is None, "a task has one unit of work at a time"
    unit = Unit(pool, partner_id)
    before = _begun.set(unit)
    is_written, is_committed = False, False
    try:
        async with unit.ending:
            yield
            is_written = True
        is_committed = True
    finally:
        _begun.reset(before)
        for act, perhaps in unit.acts if is_written else ():
            if is_committed or perhaps:
                await _do(act)


async def _do(act: Act) -> None:
    with trio.move_on_after(TELLING_S, shield=True):
        try:
            await act()
        except Exception:
            log.exception("others were not told of what was committed")


async def after_commit(act: Act, *, perhaps: bool = False) -> None:
    """Do it once what this task writes is committed, and never if it is not; at once where no unit was begun.

    `perhaps`: also where only the database knows whether it is, as the connection was lost, or the task cancelled,
    while it committed. What is forgotten in vain is only read again.
    """
    unit = current()
    if unit is None:
        await act()
    else:
        unit.acts.append((act, perhaps))
