"""The exchange on PostgreSQL tables: publishing is the producer's commit, relaying is one statement.

A queue row is leased (`lease_until`, decided by the database's clock), handed out, and deleted when
acknowledged; `deliveries` fences the acknowledgement of a lease that passed on. Consumers in this
process are woken directly, others by NOTIFY gcc_queue, all by a poll at last.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import trio
from psycopg.errors import InvalidRegularExpression

from gcc import statements
from gcc.channels.exchange import QueueDepth
from gcc.channels.memory import Signal
from gcc.channels.message import FRAME_BYTES_MAX, Binding, Delivery, Frame, Route
from gcc.errors import Transient
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.outbox import outbox_rows
from gcc.stores.postgres import Pool

SQL = statements.load("exchange")
QUEUE_CHANNEL = "gcc_queue"  # NOTIFY; the payload is the queue
LEASE_S = 60.0  # longer than a batch is old plus the slowest insert; a later ack of a passed lease is skipped
HELD_BYTES_MAX = 256 << 20
BURIED_BYTES_MAX = 16 << 20  # read at once
BURIALS_REST_S = 15.0  # after one that failed
OUTBOX_POLL_S = 1.0  # producers of other processes wake nobody
KEY_CHARS_MAX = 255  # of a routing key in AMQP; a longer one's pattern may be more than the server compiles
QUEUE_POLL_S = 5.0  # fallback when a wake-up was missed, for each of many queues


class PostgresExchange:
    """See `gcc.channels.exchange.Exchange`. `outbox_written` is set by this process's producers.

    While this process holds `held_bytes_max` unacknowledged, nothing is taken; one large frame may go over it.
    """

    def __init__(
        self,
        pool: Pool,
        dead_letters: StoredDeadLetters,
        outbox_written: Signal,
        *,
        held_bytes_max: int = HELD_BYTES_MAX,
    ) -> None:
        self._pool = pool
        self._held_bytes_max = held_bytes_max
        self._held: dict[tuple[int, int], tuple[int, float]] = {}  # (id, delivery) -> bytes, end of its lease
        self._held_bytes = 0
        self._without_room: dict[str, None] = {}  # queues of which something would have been taken, in order
        self._dead_letters = dead_letters
        self._outbox_written = outbox_written
        self._wakeups: dict[str, Signal] = defaultdict(Signal)
        self._burials_trouble = ""
        self._burials_rest_until = -math.inf

    def woken(self, queue: str) -> None:
        """Frames arrived in `queue` (NOTIFY gcc_queue); '' means in any."""
        for known, signal in self._wakeups.items():  # a NOTIFY may name anything: what nobody waits for is not kept
            if queue in ("", known):
                signal.set()

    async def declare(self, bindings: Sequence[Binding]) -> None:
        ordered = sorted(bindings, key=lambda binding: (binding.route.exchange, binding.route.key, binding.queue))
        async with self._pool.connection() as conn:
            await conn.execute(
                SQL["declare"],
                {
                    "exchanges": [binding.route.exchange for binding in ordered],
                    "keys": [binding.route.key for binding in ordered],
                    "queues": [binding.queue for binding in ordered],
                    "patterns": [pattern(binding.route.key) for binding in ordered],
                },
            )

    async def relay(self, term: int = 0) -> int:
        return await self._move() or await self._bury_unroutable()

    async def _move(self) -> int:
        """What has queues, into them; answers how many frames."""
        try:
            async with self._pool.connection() as conn:
                row = await (await conn.execute(SQL["relay"])).fetchone()
        except InvalidRegularExpression as error:
            await self._mend_patterns()
            raise Transient(f"a binding's pattern is none, so all were written again: {error}") from error
        assert row is not None  # an aggregate always answers
        moved, queues, _ = row
        for queue in queues or ():
            self.woken(queue)
        return int(moved)

    async def _mend_patterns(self) -> None:
        async with self._pool.connection() as conn:
            keys = [key for (key,) in await (await conn.execute(SQL["routing_keys"])).fetchall()]
            patterns = [pattern(key) if len(key) <= KEY_CHARS_MAX else "^$" for key in keys]
            await conn.execute(SQL["mend_patterns"], {"keys": keys, "patterns": patterns})

    async def _bury_unroutable(self) -> int:
        """What has no queue, into the object store, which may be slow or away: what has queues goes on meanwhile."""
        if trio.current_time() < self._burials_rest_until:
            raise Transient(self._burials_trouble, retry_after_s=OUTBOX_POLL_S)
        statement = SQL["unroutable"].replace("{bytes_max}", str(BURIED_BYTES_MAX))
        async with self._pool.connection() as conn:
            rows = outbox_rows(await (await conn.execute(statement, binary=True)).fetchall())
        if not rows:
            return 0
        done = len(rows)
        ended = trio.Event()

        async def bury() -> None:
            try:
                await self._dead_letters.bury_outbox([(row, "") for row in rows])
                self._burials_trouble = ""
            except Transient as error:
                self._burials_trouble = f"{len(rows)} frames without a queue could not be buried: {error}"
                self._burials_rest_until = trio.current_time() + BURIALS_REST_S
            ended.set()
            self._outbox_written.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(bury)
            while not ended.is_set():
                await self.wait_outbox()
                with suppress(Transient):  # whoever relays next meets it, too
                    done += await self._move()
        if self._burials_trouble:
            raise Transient(self._burials_trouble, retry_after_s=OUTBOX_POLL_S)
        return done

    async def pending(self) -> int | None:
        async with self._pool.connection() as conn:
            row = await (await conn.execute(SQL["pending"])).fetchone()
        return row[0] if row else None

    async def wait_outbox(self) -> None:
        await self._outbox_written.wait(OUTBOX_POLL_S)

    async def take(self, queue: str, *, frames_max: int) -> list[Delivery]:
        self._wakeups[queue]  # known from here on
        bytes_max = min(frames_max * FRAME_BYTES_MAX, self._room())
        if bytes_max < FRAME_BYTES_MAX:
            self._without_room[queue] = None
            await trio.lowlevel.checkpoint()
            return []
        statement = SQL["take"].replace("{limit}", str(frames_max)).replace("{bytes_max}", str(bytes_max))
        arguments = {"queue": queue, "lease_s": LEASE_S}
        self._held_bytes += bytes_max  # as if it were taken already: others take at the same time
        try:
            async with self._pool.connection() as conn:
                rows = await (await conn.execute(statement, arguments, binary=True)).fetchall()
            deliveries = sorted((_delivery(queue, row) for row in rows), key=lambda delivery: delivery.id)
            for delivery in deliveries:
                self._held[delivery.id, delivery.deliveries] = len(delivery.frame.body), trio.current_time() + LEASE_S
                self._held_bytes += len(delivery.frame.body)
        finally:
            self._release(bytes_max)
        return deliveries

    def _room(self) -> int:
        """Bytes that may be taken now. What is not settled when its lease ends is not ours any more."""
        room = self._held_bytes_max - self._held_bytes
        if room < FRAME_BYTES_MAX:
            now = trio.current_time()
            self._let_go([key for key, (_, until) in self._held.items() if until < now])
            room = self._held_bytes_max - self._held_bytes
        return room

    def _let_go(self, keys: Iterable[tuple[int, int]]) -> None:
        self._release(sum(self._held.pop(key, (0, 0.0))[0] for key in keys))

    def _release(self, size: int) -> None:
        self._held_bytes -= size
        if self._held_bytes_max - self._held_bytes >= FRAME_BYTES_MAX:
            for queue in self._without_room:
                self.woken(queue)
            self._without_room.clear()

    async def wait(self, queue: str) -> None:
        await self._wakeups[queue].wait(QUEUE_POLL_S)

    async def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        await self._settle("acknowledge", deliveries)

    async def give_back(self, deliveries: Sequence[Delivery]) -> None:
        await self._settle("give_back", deliveries)
        for queue in {delivery.queue for delivery in deliveries}:
            self.woken(queue)

    async def rest(self, queue: str) -> None:
        await trio.lowlevel.checkpoint()  # nothing is fetched ahead, and leases end by themselves

    async def _settle(self, statement: str, deliveries: Sequence[Delivery]) -> None:
        if deliveries:
            ordered = sorted(deliveries, key=lambda delivery: delivery.id)
            arguments = {
                "ids": [delivery.id for delivery in ordered],
                "deliveries": [delivery.deliveries for delivery in ordered],
            }
            async with self._pool.connection() as conn:
                await conn.execute(SQL[statement], arguments)
            self._let_go((delivery.id, delivery.deliveries) for delivery in deliveries)

    async def end_leases(self) -> None:
        """Make every leased frame ready; only where this process is the database's only one."""
        async with self._pool.connection() as conn:
            await conn.execute(SQL["end_leases"])

    async def depths(self) -> list[QueueDepth]:
        async with self._pool.connection() as conn:
            rows = await (await conn.execute(SQL["depths"])).fetchall()
        return [QueueDepth(*row) for row in rows]


def pattern(key: str) -> str | None:
    """A topic's key ('*' is one word, '#' any number of them) as a regular expression over words, each with its dot.

    None for a key without either, which is meant as it stands.
    """
    words = key.split(".")
    if not {"*", "#"} & set(words):
        return None
    meanings = {"*": r"[^.]+\.", "#": r"([^.]+\.)*"}
    return "^" + "".join(meanings.get(word) or re.escape(word) + r"\." for word in words) + "$"


def _delivery(queue: str, row: tuple[Any, ...]) -> Delivery:
    message_id, frame_id, exchange, key, events, body, counted, deliveries, age_s = row
    # counts of nothing, and below, are another's: they would be taken from what is counted
    counted = None if counted is None else max(counted, 0)
    frame = Frame(frame_id, Route(exchange, key), max(events, 1), bytes(body), counted=counted)
    return Delivery(queue, message_id, frame, deliveries, age_s)
