"""ClickHouse as a sinker sees it, and dead letters, in memory; tests/contract holds them to the real ones."""

import hashlib
from collections import OrderedDict, defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec

from gcc.channels.deadletters import Burial
from gcc.errors import Permanent, Transient
from tests.fakes.database import Connection, Watcher, steady

SHOWN_BYTES_MAX = 100
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
    """Tables of rows by event_id (replacing), with the window of insert tokens. `before` and `after` may fail.

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
        await self._before()
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


class FakeDeadLetters:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def bury(self, burials: Sequence[Burial]) -> None:
        def change() -> None:
            for burial in burials:
                self._connection.database.bury(burial)

        await self._connection.commit(change)
