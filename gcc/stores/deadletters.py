"""Dead letters in the object store under dlq/{date}/, and in PostgreSQL's table `dead_letter`."""

import datetime as dt
import itertools
import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import trio

from gcc import statements
from gcc.channels.deadletters import Burial, Packed, document, letter_id, packed, unroutable
from gcc.channels.objects import Objects
from gcc.channels.outbox import OutboxRow
from gcc.clock import Clock
from gcc.errors import Permanent, Transient
from gcc.stores.leadership import hold
from gcc.stores.postgres import Pool
from gcc.supervisor.lifecycle import storable

SQL = statements.load("deadletters")


class StoredDeadLetters:
    """See `gcc.channels.deadletters.DeadLetters` and `OutboxDeadLetters`."""

    def __init__(self, pool: Pool, objects: Objects, clock: Clock) -> None:
        self._pool = pool
        self._objects = objects
        self._clock = clock

    async def bury(self, burials: Sequence[Burial]) -> None:
        if not burials:
            return
        at = self._clock.now().replace(microsecond=0)  # so that a line is as long whenever it is written
        wanted: dict[uuid.UUID, Burial] = {}
        for burial in burials:
            wanted.setdefault(letter_id(storable(burial.queue), burial.frame.id, burial.body), burial)
            await trio.lowlevel.checkpoint()  # bodies may be many and large
        missing = sorted(wanted.keys() - await self._kept(wanted))
        for pack in packed(document(wanted[id], at) for id in missing):
            await self._put_rows("bury", await self._put(pack, at), pack)

    async def bury_outbox(
        self, refused: Sequence[tuple[OutboxRow, str]], leader: tuple[str, int] | None = None
    ) -> None:
        at = self._clock.now().replace(microsecond=0)
        for pack in packed(document(unroutable(row.frame, reason), at) for row, reason in refused):
            ids = [row.id for row, _ in refused[: len(pack.letters)]]
            refused = refused[len(ids) :]
            await self._put_rows("bury_outbox", await self._put(pack, at), pack, leader, outbox_ids=ids)

    async def _kept(self, ids: Iterable[uuid.UUID]) -> set[uuid.UUID]:
        async with self._pool.connection() as conn:
            rows = await (await conn.execute(SQL["kept"], {"ids": list(ids)})).fetchall()
        return {id for (id,) in rows}

    async def _put(self, pack: Packed, at: dt.datetime) -> str:
        """The key of their object, which exists now."""
        key = f"dlq/{at:%Y-%m-%d}/{pack.name}.ndjson"
        try:
            await self._objects.put(key, b"".join(pack.lines))
        except Permanent as error:  # says nothing about the letters: they wait until the store is mended
            raise Transient(f"dead letters cannot be kept: {error}") from error
        return key

    async def _put_rows(
        self, statement: str, key: str, pack: Packed, leader: tuple[str, int] | None = None, **more: Any
    ) -> None:
        letters, sizes = pack.letters, [len(line) for line in pack.lines]
        arguments = {
            "ids": [letter.id for letter in letters],
            "queues": [letter.queue for letter in letters],
            "exchanges": [letter.exchange for letter in letters],
            "keys": [letter.routing_key for letter in letters],
            "frame_ids": [letter.frame_id for letter in letters],
            "events": [letter.events for letter in letters],
            "counted": [letter.counted for letter in letters],
            "reasons": [letter.reason for letter in letters],
            "object_key": key,
            "starts": list(itertools.accumulate(sizes[:-1], initial=0)),
            "sizes": sizes,
        }
        async with self._pool.transaction() as conn:
            if leader:
                await hold(conn, *leader)
            await conn.execute(SQL[statement], arguments | more)
