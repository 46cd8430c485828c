"""Changed accounts are announced, and what marks made of them comes back into the current state.

`AccountUpserts` (a schedule): rows of the two marts of partial updates after the last one that was announced become
events of upserttracker.dx, in the transaction that remembers it. `event_id` is derived of the profile and the row's
hash: what is announced twice is one event.

`DerivedColumns` (the consumer of both queues): columns that only marts know, and what they know better, are written to
instagram_account and youtube_account where `as_of` is newer than what they were derived of last. A message that cannot
be read, or tells of no profile, is a dead letter with the reason, and its neighbours go on.
"""

import datetime as dt
import json
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from gcc import statements
from gcc.actors.leader import Leader
from gcc.actors.warehouse import Warehouse
from gcc.channels.deadletters import Burial, DeadLetters
from gcc.channels.message import Delivery, Frame, Route, frames
from gcc.clock import Clock
from gcc.errors import Permanent
from gcc.pipelines.events.reading import lines
from gcc.pipelines.events.routes import UPSERT_INSTAGRAM, UPSERT_YOUTUBE
from gcc.stores import outbox
from gcc.stores.leadership import as_leader
from gcc.stores.postgres import Pool

NAMESPACE = uuid.UUID("0b3a86b5-5f0a-5a52-8f36-6c9ab9d2c7a4")
READ_ROWS = 1000
ROWS_MAX = 200_000
"""Of a run and mart; the next run goes on."""
TEXT_CHARS_MAX = 200
SET_BACK = dt.timedelta(hours=1)
"""A mark so far ahead is of a clock that was set back since."""

_SQL = statements.load("announced")
_MARTS = statements.load("announced", statements.SQL / "clickhouse" / "queries")


@dataclass(frozen=True, slots=True)
class Announced:
    """A mart of changes, where they go, and who takes them: `key` names the profile, `table` has its current state."""

    mart: str
    platform: str
    key: str
    route: Route
    queue: str
    table: str


ANNOUNCED: Sequence[Announced] = (
    Announced(
        "mart_instagram_account_partial", "INSTAGRAM", "profile_id",
        UPSERT_INSTAGRAM, "upsert_instagram_account_q", "instagram_account",
    ),
    Announced(
        "mart_youtube_account_partial", "YOUTUBE", "channel_id",
        UPSERT_YOUTUBE, "upsert_youtube_account_q", "youtube_account",
    ),
)  # fmt: skip
OWN = ("platform", "profile_id", "channel_id", "built_at", "seq", "row_hash", "bio", "website")
"""Columns of such a mart that are not told as columns of the account."""
TEXTS = ("category", "language", "country", "grade")
NUMBERS = ("growth_7d", "growth_30d", "growth_90d")


class AccountUpserts:
    """A round is `await upserts()`; see Schedule. Transient: a store is away. LeaseLost: another process leads."""

    def __init__(self, warehouse: Warehouse, pool: Pool, leader: Leader, clock: Clock) -> None:
        self._warehouse = warehouse
        self._pool = pool
        self._leader = leader
        self._clock = clock

    async def __call__(self) -> Mapping[str, Any]:
        """How many changes of each platform were announced; of one without a mart yet, none."""
        return {"announced": {row.platform: await self._announce(row) for row in ANNOUNCED}}

    async def _announce(self, row: Announced) -> int:
        columns = {each["name"] for each in await self._warehouse.rows(_MARTS["columns"], {"mart": row.mart})}
        if not columns:
            return 0
        if lacking := [name for name in (row.key, "built_at", "seq", "row_hash") if name not in columns]:
            raise Permanent(f"dbt.{row.mart} has no {', '.join(lacking)}: its changes cannot be announced")
        told = 0
        while told < ROWS_MAX:
            rows = await self._next(row)
            if rows:
                await self._put(row, rows)
            told += len(rows)
            if len(rows) < READ_ROWS:
                break
        return told

    async def _next(self, row: Announced) -> list[dict[str, Any]]:
        async with self._pool.connection() as connection:
            last = await (await connection.execute(_SQL["last"], {"mart": row.mart})).fetchone()
        at, seq = last or (dt.datetime.fromtimestamp(0, dt.UTC), 0)
        if at > self._clock.now() + SET_BACK:  # what was built since stands within that
            at, seq = self._clock.now() - SET_BACK, 0
        after = {"at": f"{at.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S.%f}", "seq": seq}
        statement = _MARTS["after"].format(mart=row.mart, limit=READ_ROWS)
        return await self._warehouse.rows(statement, after)

    async def _put(self, row: Announced, rows: Sequence[Mapping[str, Any]]) -> None:
        packed = frames(row.route, (_event(row, each) for each in rows), self._clock.new_id)
        last = rows[-1]
        async with as_leader(self._pool, self._leader) as connection:
            await outbox.put(connection, [Frame(f.id, f.route, f.events, f.body, counted=0) for f in packed])
            mark = {"mart": row.mart, "at": last["built_at"], "seq": last["seq"]}
            await connection.execute(_SQL["remember"], mark)


def _event(row: Announced, found: Mapping[str, Any]) -> bytes:
    profile_id = str(found[row.key])
    profile = uuid.uuid5(NAMESPACE, f"{row.platform}:{profile_id}")
    event = {
        "event_id": str(uuid.uuid5(profile, str(found["row_hash"]))),
        "platform": row.platform,
        "profile_id": profile_id,
        "as_of": found["built_at"],
        "columns": {name: value for name, value in found.items() if name not in OWN},
    }
    return msgspec.json.encode(event)


class _Change(msgspec.Struct):
    platform: str
    profile_id: str
    as_of: dt.datetime
    columns: dict[str, Any]


class DerivedColumns:
    """See above; a handler of gcc/actors/consumer.py."""

    def __init__(self, row: Announced, pool: Pool, dead_letters: DeadLetters) -> None:
        self._row = row
        self._pool = pool
        self._dead_letters = dead_letters

    async def handle(self, batch: Sequence[Delivery]) -> int:
        newest: dict[str, tuple[dt.datetime, dict[str, Any]]] = {}
        burials, done = [], 0
        for delivery in batch:
            for _, line in lines(delivery.frame.body):
                try:
                    change = _read(line, self._row.platform)
                except ValueError as error:
                    burials.append(Burial(delivery.queue, delivery.frame, line, 1, str(error), 0))
                    continue
                done += 1
                at, _ = newest.get(change.profile_id, (change.as_of, {}))
                if change.as_of >= at:
                    newest[change.profile_id] = change.as_of, derived(change.columns)
        if newest:
            rows = [{"id": key, "as_of": at.isoformat(), "columns": to} for key, (at, to) in sorted(newest.items())]
            statement = _SQL["derive"].format(table=self._row.table, key=self._row.key)
            async with self._pool.connection() as connection:
                await connection.execute(statement, {"rows": json.dumps(rows)})
        await self._dead_letters.bury(burials)
        return done


def _read(line: bytes, platform: str) -> _Change:
    """ValueError, with the reason: it tells of no change of this platform's."""
    try:
        change = msgspec.json.decode(line, type=_Change)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"it is no change of an account: {error}") from None
    if change.platform != platform:
        raise ValueError(f"it tells of {change.platform[:50]!r}, not of {platform}")
    if not 0 < len(change.profile_id) <= TEXT_CHARS_MAX or "\0" in change.profile_id:
        raise ValueError("profile_id: it names no profile")
    if change.as_of.tzinfo is None:
        raise ValueError("as_of: without an offset nobody knows when that is")
    derived(change.columns)
    return change


def derived(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are written. ValueError naming one that is of another type."""
    found: dict[str, Any] = {}
    for name in TEXTS:
        if name in columns:
            value = found[name] = columns[name]
            if value is not None and not (
                isinstance(value, str) and len(value) <= TEXT_CHARS_MAX and "\0" not in value
            ):
                raise ValueError(f"{name}: it is no text of at most {TEXT_CHARS_MAX} characters")
    for name in NUMBERS:
        if name in columns:
            value = found[name] = columns[name]
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
                raise ValueError(f"{name}: it is no number")
            if value is not None and not abs(value) <= sys.float_info.max:  # also of whole numbers that no float holds
                raise ValueError(f"{name}: it is no finite number")
    return found
