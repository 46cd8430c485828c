"""ClickHouse as a sinker sees it, and dead letters, in memory; tests/contract holds them to the real ones."""

import hashlib
from collections import defaultdict
from collections.abc import Awaitable, Callable

import msgspec

from gcc.channels.message import Frame
from gcc.errors import Permanent
from tests.fakes.database import Database, DeadLetter, steady


class FakeEventStore:
    """Tables of rows by event_id (replacing), with the window of insert tokens. `before` and `after` may fail."""

    def __init__(
        self,
        tables: set[str],
        *,
        before: Callable[[], Awaitable[None]] = steady,
        after: Callable[[], Awaitable[None]] = steady,
    ) -> None:
        self.tables: dict[str, dict[str, bytes]] = {table: {} for table in tables}
        self.rows_inserted = 0
        self._tokens: dict[str, set[str]] = defaultdict(set)
        self._before = before
        self._after = after

    async def insert_ndjson(self, table: str, body: bytes, *, token: str) -> None:
        await self._before()
        if table not in self.tables:
            raise Permanent(f"table {table} does not exist")
        try:
            lines = [line for line in body.split(b"\n") if line.strip()]
            rows = {str(msgspec.json.decode(line, type=dict)["event_id"]): line for line in lines}
        except (msgspec.MsgspecError, KeyError) as error:
            raise Permanent(f"{table}: {error}") from error
        if token not in self._tokens[table]:  # a token names frozen content: other content is dropped with it
            self._tokens[table].add(token)
            self.tables[table].update(rows)
            self.rows_inserted += len(rows)
        await self._after()


class FakeDeadLetters:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def bury(self, queue: str, frame: Frame, *, body: bytes, events: int, reason: str) -> None:
        key = f"{frame.id}:{queue}:{hashlib.sha256(body).hexdigest()}"
        letter = DeadLetter(queue, body, events, reason)
        await self._database.commit(lambda: self._database.dead_letters.setdefault(key, letter))
