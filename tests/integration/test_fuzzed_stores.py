"""The fuzz's strict stores beside the real ones: the same messages, the same verdict on every insert, the same values.

The engine is asked whatever the strict tables say. Dead letters and referrals go to PostgreSQL.
"""

import random
from collections import defaultdict
from typing import Any

import pytest

from gcc.channels.deadletters import Burial, document
from gcc.channels.referrals import Referral
from gcc.clock import SystemClock
from gcc.errors import Permanent
from gcc.pipelines.events.types import EVENT_TYPES, EventType
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.postgres import Pool
from gcc.stores.referrals import PostgresReferrals
from tests.fakes.objects import MemoryObjects
from tests.fakes.strict_tables import TEXTS, StrictTables
from tests.torture.fuzz import Desk, StrictLetters, StrictReferrals, drawn

CASES = 100  # of each type: several thousand lines in all
SEED = 4


class Both:
    """The engine's tables, and the strict ones, which must say the same."""

    def __init__(self, clickhouse: ClickHouse) -> None:
        self.clickhouse = clickhouse
        self.rows: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
        self.strict = StrictTables(self._note)
        self.disagreements: list[str] = []

    def _note(self, table: str, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            self.rows[table][row["event_id"]].append(row)

    async def insert_ndjson(self, table: str, body: bytes, *, token: str) -> None:
        verdicts: list[Permanent | None] = []
        for store in (self.strict, self.clickhouse):
            try:
                await store.insert_ndjson(table, body, token=token)  # type: ignore[attr-defined]
                verdicts.append(None)
            except Permanent as refusal:
                verdicts.append(refusal)
        strict, real = verdicts
        if (strict is None) != (real is None):
            self.disagreements.append(f"{table}: strict {strict!s:.300}, real {real!s:.300}: {body[:300]!r}")
        if real is not None:
            raise real

    async def differing(self, event_type: EventType) -> list[str]:
        """Values that the engine has read as something else."""
        kinds = self.strict.columns[event_type.table]
        typed = [name for name, kind in kinds.items() if kind not in TEXTS and name != "insert_timestamp"]
        found = await self.clickhouse.rows(f"select {', '.join(typed)} from {event_type.table} final")  # noqa: S608
        differing = []
        for row in found:
            said = self.rows[event_type.table].get(str(row["event_id"]), [])
            if len(said) == 1:
                differing += [
                    f"{event_type.name}.{name}: {said[0][name]!r} is {row[name]!r}"
                    for name in typed
                    if name in said[0] and not _equal(said[0][name], row[name])
                ]
        return differing


def _equal(said: Any, read: Any) -> bool:
    if hasattr(read, "microsecond"):
        text = said.replace("T", " ")
        whole, _, part = text.partition(".")
        return f"{read:%Y-%m-%d %H:%M:%S}.{read:%f}" == f"{whole}.{part[:6]:0<6}"
    if isinstance(read, bool | int | float) or read is None:
        return bool(said == read)
    return str(read) == said.lower()


class BothLetters(StrictLetters):
    def __init__(self, real: StoredDeadLetters) -> None:
        super().__init__()
        self._real = real

    async def bury(self, burials: list[Burial]) -> None:  # type: ignore[override]
        await super().bury(burials)
        await self._real.bury(burials)


class BothReferrals(StrictReferrals):
    def __init__(self, real: PostgresReferrals) -> None:
        self._real = real
        self.ids: set[str] = set()

    async def add(self, referrals: list[Referral]) -> None:  # type: ignore[override]
        await super().add(referrals)
        await self._real.add(referrals)
        self.ids |= {referral.event_id for referral in referrals}


@pytest.mark.parametrize("event_type", EVENT_TYPES, ids=lambda each: each.name)
async def test_strict_and_real_stores_say_the_same(event_type: EventType, pool: Pool, clickhouse: ClickHouse) -> None:
    store = Both(clickhouse)
    letters = BothLetters(StoredDeadLetters(pool, MemoryObjects(), SystemClock()))
    referrals = BothReferrals(PostgresReferrals(pool))
    desk = Desk(event_type, store, letters, referrals, rows_max=60)
    sent = list(drawn(event_type, random.Random(f"{SEED}/{event_type.name}"), CASES))
    pile = await desk.handle(desk.unpacked(sent))
    assert store.disagreements == []
    assert (sum(pile.acknowledged.values()), pile.given_back, desk.actor.last_error) == (len(sent), 0, None)
    assert await store.differing(event_type) == []
    async with pool.connection() as conn:
        found = await (await conn.execute("select id from dead_letter")).fetchall()
        launched = await (await conn.execute("select event_id::text from referral")).fetchall()
    assert {row[0] for row in found} == {document(burial, SystemClock().now()).id for burial in letters.kept}
    assert {row[0] for row in launched} == {each.lower() for each in referrals.ids}
