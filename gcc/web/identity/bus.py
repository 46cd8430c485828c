"""What processes tell each other of sessions, users, keys and contracts that are no more as they were.

In: notifications of PostgreSQL, each sent as its change is committed, and our own ticks. Out: whether what was read at
some time may still be believed. Silence is the danger, as it looks like "nothing has changed": only while this process
hears its own ticks, sent within SILENCE_S, is anything believed; after a silence all that was read before it is
forgotten. So an ended session lives nowhere longer than SILENCE_S, whatever is cut.
"""

import secrets
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress

import trio

from gcc.errors import Transient
from gcc.stores import unit
from gcc.stores.postgres import Pool
from gcc.stores.postgres_identity import INVALIDATE_CHANNEL, Told

TICK_S, SILENCE_S = 0.25, 1.0
SETTLED_S = SILENCE_S + 0.1
"""Nobody believes anything for so long without having heard."""
TICK_WAIT_S = 5.0
REMEMBERED = 10_000
"""So many changes; what was read before those that are forgotten is not believed."""

NEVER = -1, -float("inf")


class Bus:
    def __init__(
        self, pool: Pool, *, time: Callable[[], float] = trio.current_time, remembered: int = REMEMBERED
    ) -> None:
        self._pool = pool
        self._time = time
        self._remembered = remembered
        self._tick = f"tick {secrets.token_hex(8)}"
        self._ticks = 0
        self._sent: OrderedDict[str, float] = OrderedDict()  # our ticks that were not heard yet -> when
        self._sure_at = -float("inf")  # all that was told by then has been heard
        self.count = 0
        """Grows with all that is heard. Note it before reading something, and ask `stands` with it later."""
        self._floor, self._floor_at = NEVER  # of what was forgotten here: how the count stood, and when that was
        self._changed: OrderedDict[str, tuple[int, float]] = OrderedDict()  # what -> the count when told last, and when

    def trusted(self) -> bool:
        """Whether silence means that nothing has changed."""
        return self._time() - self._sure_at < SILENCE_S

    def stands(self, since: int, about: Collection[str]) -> bool:
        """Whether nothing was heard `about` these ("session ID") since the count was that."""
        return since >= self._floor and all(self._changed.get(each, NEVER)[0] <= since for each in about)

    def settled(self, about: Collection[str]) -> bool:
        """Whether every other process has heard by now what was told last `about` these: an answer of one that was
        asked since may be believed."""
        sure = self._time() - SETTLED_S
        return self._floor_at <= sure and all(self._changed.get(each, NEVER)[1] <= sure for each in about)

    async def said(self, told: Iterable[Told]) -> None:
        """We end these ourselves: once that is committed, nobody here may be served by them until the others hear."""

        async def forget() -> None:
            for kind, each in told:
                self._change(f"{kind} {each}")

        await unit.after_commit(forget, perhaps=True)

    def heard(self, payload: str) -> None:
        """A notification; "" after those before it may have been lost."""
        if payload == "":
            self._forget_all()
        elif not payload.startswith("tick "):
            self._change(payload)
        elif (sent_at := self._sent.pop(payload, None)) is not None:
            if not self.trusted():
                self._forget_all()
            self._sure_at = max(self._sure_at, sent_at)

    def _change(self, what: str) -> None:
        self.count += 1
        self._changed[what] = self.count, self._time()
        self._changed.move_to_end(what)
        if len(self._changed) > self._remembered:
            _, (self._floor, self._floor_at) = self._changed.popitem(last=False)

    def _forget_all(self) -> None:
        self.count += 1
        self._floor, self._floor_at = self.count, self._time()
        self._changed.clear()

    async def tick(self) -> None:
        """Send one, and note when. Raises Transient."""
        self._ticks += 1
        mark = f"{self._tick} {self._ticks}"
        self._sent[mark] = self._time()
        if len(self._sent) > TICK_WAIT_S / TICK_S:
            self._sent.popitem(last=False)
        async with self._pool.connection() as conn:
            await conn.execute("select pg_notify(%s, %s)", [INVALIDATE_CHANNEL, mark])

    async def run(self) -> None:
        """Tick until cancelled; while the database is away nothing is heard, and nothing believed."""
        while True:
            with trio.move_on_after(TICK_WAIT_S):
                with suppress(Transient):  # the notifications' own line on the board tells of it
                    await self.tick()
            await trio.sleep(TICK_S)
