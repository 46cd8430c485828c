"""ClickHouse as a sinker sees it, and dead letters, in memory; tests/contract holds them to the real ones."""

import hashlib
import itertools
import uuid
from collections import OrderedDict, defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
from clickhouse_connect.driver.exceptions import DatabaseError

from gcc.channels.deadletters import Burial, Packed
from gcc.channels.message import Frame, Route
from gcc.channels.objects import Objects
from gcc.errors import LeaseLost, Permanent, Transient
from gcc.stores.clickhouse_errors import translated
from gcc.stores.deadletters import StoredDeadLetters
from tests.fakes.database import Connection, Watcher, steady
from tests.fakes.leadership import FakeLeadership
from tests.fakes.objects import MemoryObjects

SHOWN_BYTES_MAX = 100
REFUSED = b"no table takes this"
"""A row that holds this is refused, as one with a value that is out of range: this fake knows no types."""
WINDOW_INSERTS = 1000  # a table remembers the tokens of as many inserts


class _Row(msgspec.Struct):
    event_id: str


_decode = msgspec.json.Decoder(_Row).decode


@dataclass(frozen=True, slots=True)
class Insert:
    """An insert as watchers see it: `rows` by event_id; `same_content` False: its token had named other bytes."""

    table: str
    token: str
    rows: dict[str, bytes]
    same_content: bool = True


class FakeEventStore:
    """Tables of rows by event_id (replacing), with the window of insert tokens.

    `before` and `after` may raise what ClickHouse's driver raises; that becomes ours as in the real one.

    Watchers are told, as the change is made, of ("stored", Insert), and of ("dropped", Insert) when its token is in
    the window: a token names frozen content, so other content under it vanishes silently, as in ClickHouse.
    `keep_lines` False keeps the ids alone (lines are b""), for runs too large to keep all.
    """

    def __init__(
        self,
        tables: set[str],
        *,
        before: Callable[[], Awaitable[None]] = steady,
        after: Callable[[], Awaitable[None]] = steady,
        keep_lines: bool = True,
    ) -> None:
        self.tables: dict[str, dict[str, bytes]] = {table: {} for table in sorted(tables)}
        self.rows_inserted = 0
        self.watchers: list[Watcher] = []
        self._content_of: dict[str, OrderedDict[str, bytes]] = defaultdict(OrderedDict)  # of a table: by token
        self._before = before
        self._after = after
        self._keep_lines = keep_lines

    async def insert_ndjson(self, table: str, body: bytes, *, token: str) -> None:
        with translated(f"insert into {table}", inserting=True):
            await self._served(table, body, token)

    async def _served(self, table: str, body: bytes, token: str) -> None:
        await self._before()
        if REFUSED in body:
            raise DatabaseError("DB::Exception: simulated: the value is out of range", code=321)
        if table not in self.tables:
            raise Transient(f"table {table} does not exist")
        rows: dict[str, bytes] = {}
        for line in body.split(b"\n"):
            try:
                if line.strip():
                    rows[_decode(line).event_id] = line
            except ValueError as error:  # as the real one names the field
                raise Permanent(f"{table}: {line[:SHOWN_BYTES_MAX]!r}: {error}") from error
        self._insert(table, rows, token, hashlib.sha256(body).digest())
        await self._after()

    def _insert(self, table: str, rows: dict[str, bytes], token: str, content: bytes) -> None:
        known = self._content_of[table]
        if token in known:
            self._tell("dropped", Insert(table, token, rows, same_content=known[token] == content))
            return
        known[token] = content
        if len(known) > WINDOW_INSERTS:
            known.popitem(last=False)
        self.tables[table].update(rows if self._keep_lines else dict.fromkeys(rows, b""))
        self.rows_inserted += len(rows)
        self._tell("stored", Insert(table, token, rows))

    def _tell(self, what: str, insert: Insert) -> None:
        for watcher in self.watchers:
            watcher(what, insert)


class FakeDeadLetters(StoredDeadLetters):
    """The real ones, whose rows are in memory, and their objects, too, unless others are given."""

    def __init__(
        self, connection: Connection, objects: Objects | None = None, leadership: FakeLeadership | None = None
    ) -> None:
        super().__init__(None, objects or MemoryObjects(), connection.database.clock)  # type: ignore[arg-type]
        self._connection = connection
        self._leadership = leadership

    async def _kept(self, ids: Iterable[uuid.UUID]) -> set[uuid.UUID]:
        return await self._connection.read(lambda: set(ids) & self._connection.database.letters.keys())

    async def _put_rows(
        self, statement: str, key: str, pack: Packed, leader: tuple[str, int] | None = None, **more: Any
    ) -> None:
        database = self._connection.database

        def change() -> None:
            if leader and not (self._leadership and self._leadership.holds(*leader)):
                raise LeaseLost(f"term {leader[1]} of leader {leader[0]!r} is over")
            letters = pack.letters
            if statement == "bury_outbox":
                there = {row.frame.id.int for row in database.outbox}
                gone = [id in there for id in more["outbox_ids"]]
                letters = list(itertools.compress(letters, gone))
                ids = set(itertools.compress(more["outbox_ids"], gone))
                database.outbox = deque(row for row in database.outbox if row.frame.id.int not in ids)
            for letter in letters:
                route, body, events = Route(letter.exchange, letter.routing_key), letter.content, letter.events
                frame = Frame(letter.frame_id, route, events, body, letter.headers, letter.counted)
                burial = Burial(letter.queue, frame, body, events, letter.reason, letter.counted)
                database.bury(burial)

        await self._connection.commit(change)
