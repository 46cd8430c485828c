"""Changed accounts, from a mart to the outbox, and from the queue back into the current state."""

import datetime as dt
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import trio

from gcc.actors.leader import Leader
from gcc.channels.deadletters import Burial
from gcc.channels.message import Delivery, Frame
from gcc.clock import SystemClock
from gcc.errors import LeaseLost, Permanent
from gcc.pipelines.analytics import account_upserts
from gcc.pipelines.analytics.account_upserts import ANNOUNCED, AccountUpserts, DerivedColumns
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.leadership import PostgresLeadership
from gcc.stores.postgres import Pool
from gcc.supervisor.lifecycle import Board
from tests.integration.test_producers import crawled

TIME = "%Y-%m-%d %H:%M:%S.%f"
MART = """
create or replace table dbt.mart_instagram_account_partial (
    profile_id String, handle String, category Nullable(String), grade Nullable(String), growth_30d Nullable(Float64),
    row_hash UInt64, seq Int64, built_at DateTime64(6, 'UTC')
) engine = ReplacingMergeTree(built_at) order by profile_id
"""


def change(number: int, seq: int, **values: Any) -> dict[str, Any]:
    at = f"2026-03-01 00:00:{seq:02}.000000"
    return {
        "profile_id": f"id-{number}", "handle": f"h{number}", "category": "music", "grade": "A", "growth_30d": 0.5,
        "row_hash": seq, "seq": seq, "built_at": at, **values,
    }  # fmt: skip


class Bench:
    def __init__(self, clickhouse: ClickHouse, pool: Pool) -> None:
        self.clickhouse, self.pool, self.clock = clickhouse, pool, SystemClock()
        self.leader = Leader("x", PostgresLeadership(pool), Board(self.clock.now).actor("leader"), self.clock)
        self.upserts = AccountUpserts(clickhouse, pool, self.leader, self.clock)
        self.derived = DerivedColumns(ANNOUNCED[0], pool, self)
        self.buried: list[str] = []

    async def bury(self, burials: Sequence[Burial]) -> None:
        self.buried += [burial.reason for burial in burials]

    async def mart(self, *rows: dict[str, Any]) -> None:
        body = "\n".join(map(json.dumps, rows)).encode()
        await self.clickhouse.insert_ndjson("dbt.mart_instagram_account_partial", body, token=str(rows)[:200])

    async def execute(self, sql: str) -> list[tuple[Any, ...]]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(sql.encode())
            return await cursor.fetchall() if cursor.description else []

    async def frames(self) -> list[tuple[str, str, int, list[dict[str, Any]]]]:
        rows = await self.execute("select exchange, routing_key, events, body from outbox order by id")
        return [
            (exchange, key, events, [json.loads(line) for line in bytes(body).splitlines()])
            for exchange, key, events, body in rows
        ]

    def delivery(self, *messages: Any) -> Delivery:
        lines = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in messages]
        frame = Frame(self.clock.new_id(), ANNOUNCED[0].route, len(lines), b"\n".join(lines))
        return Delivery("upsert_instagram_account_q", 1, frame, 1)

    async def account(self, number: int = 1) -> tuple[Any, ...]:
        (row,) = await self.execute(
            f"select category, language, grade, growth_30d from instagram_account where profile_id = 'id-{number}'"  # noqa: S608
        )
        return row


@pytest.fixture
async def bench(clickhouse: ClickHouse, pool: Pool) -> AsyncIterator[Bench]:
    bench = Bench(clickhouse, pool)
    await clickhouse.command("drop table if exists dbt.mart_youtube_account_partial sync")
    await clickhouse.command("drop table if exists dbt.mart_instagram_account_partial sync")
    async with trio.open_nursery() as nursery:
        await nursery.start(bench.leader.run)
        yield bench
        nursery.cancel_scope.cancel()


async def test_changes_are_announced_once_in_their_order(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(account_upserts, "READ_ROWS", 3)
    nothing = {"announced": {"INSTAGRAM": 0, "YOUTUBE": 0}}
    assert await bench.upserts() == nothing, "there is no mart yet"
    await bench.clickhouse.command(MART)
    assert await bench.upserts() == nothing
    await bench.mart(*(change(number, number) for number in range(1, 8)))
    assert await bench.upserts() == {"announced": {"INSTAGRAM": 7, "YOUTUBE": 0}}
    told = await bench.frames()
    assert [(exchange, key, events) for exchange, key, events, _ in told] == [
        ("upserttracker.dx", "upsert_instagram_account_rk", count) for count in (3, 3, 1)
    ]
    events = [event for *_, found in told for event in found]
    assert [event["profile_id"] for event in events] == [f"id-{number}" for number in range(1, 8)]
    assert events[0]["columns"] == {"handle": "h1", "category": "music", "grade": "A", "growth_30d": 0.5}
    assert (events[0]["platform"], events[0]["as_of"]) == ("INSTAGRAM", "2026-03-01T00:00:01Z")
    assert await bench.upserts() == nothing
    await bench.mart(change(1, 8, grade="B"))
    assert (await bench.upserts())["announced"]["INSTAGRAM"] == 1
    again = (await bench.frames())[-1][3][0]
    assert again["profile_id"] == "id-1" and again["event_id"] != events[0]["event_id"]
    await bench.execute("delete from announced")
    await bench.upserts()
    assert (await bench.frames())[-1][3][0]["event_id"] == again["event_id"], "derived of profile and hash"


async def test_a_mark_of_a_time_to_come_holds_up_none(bench: Bench) -> None:
    """The clock has been set back since."""
    await bench.clickhouse.command(MART)
    now = bench.clock.now()
    await bench.mart(change(1, 1, built_at=f"{now + dt.timedelta(days=365):{TIME}}"))
    assert (await bench.upserts())["announced"]["INSTAGRAM"] == 1
    await bench.mart(change(2, 2, built_at=f"{now:{TIME}}"))
    await bench.clickhouse.command("delete from dbt.mart_instagram_account_partial where profile_id = 'id-1'")
    assert (await bench.upserts())["announced"]["INSTAGRAM"] == 1
    assert (await bench.frames())[-1][3][0]["profile_id"] == "id-2"


async def test_a_change_of_a_time_to_come_outranks_nobody(bench: Bench) -> None:
    await crawled(bench.pool, "1", bench.clock.now())
    await bench.derived.handle([bench.delivery(message(10, grade="E") | {"as_of": "9999-12-31T23:59:59-14:00"})])
    await bench.derived.handle([bench.delivery(message(10, grade="D"))])
    assert (await bench.account())[2] == "E"
    await bench.derived.handle([bench.delivery(message(10, grade="A") | {"as_of": bench.clock.now().isoformat()})])
    assert ((await bench.account())[2], bench.buried) == ("A", [])


async def test_a_mart_that_lacks_what_is_needed_says_so(bench: Bench) -> None:
    await bench.clickhouse.command(MART.replace("row_hash UInt64, ", ""))
    with pytest.raises(Permanent, match="mart_instagram_account_partial has no row_hash"):
        await bench.upserts()


async def test_without_the_term_nothing_is_announced_or_remembered(bench: Bench) -> None:
    await bench.clickhouse.command(MART)
    await bench.mart(change(1, 1))
    await bench.execute("update leader set holder = 'somebody else', term = term + 1")
    with pytest.raises(LeaseLost):
        await bench.upserts()
    assert (await bench.frames(), await bench.execute("select * from announced")) == ([], [])


def message(second: int, **columns: Any) -> dict[str, Any]:
    at = f"2026-03-01T00:00:{second:02}Z"
    return {"event_id": "x", "platform": "INSTAGRAM", "profile_id": "id-1", "as_of": at, "columns": columns}


async def test_derived_columns_come_back_and_the_newer_wins(bench: Bench) -> None:
    await crawled(bench.pool, "1", bench.clock.now())
    await bench.derived.handle(
        [bench.delivery(message(10, category="music", language="hi", grade="A", growth_30d=0.5, handle="no"))]
    )
    assert await bench.account() == ("music", "hi", "A", 0.5)
    await bench.derived.handle([bench.delivery(message(5, category="old", grade="E"))])
    assert await bench.account() == ("music", "hi", "A", 0.5)
    await bench.derived.handle([bench.delivery(message(12, grade="C"), message(11, grade="B"))])
    assert await bench.account() == ("music", "hi", "C", 0.5), "of one batch, too"
    await bench.derived.handle([bench.delivery(message(20, category=None, grade=None, growth_30d=None))])
    assert await bench.account() == ("music", "hi", None, None), "what a crawl tells, too, is not forgotten"
    assert await bench.execute("select handle from instagram_account") == [("1",)]
    assert bench.buried == []


async def test_poison_is_buried_with_a_reason_and_its_neighbours_go_on(bench: Bench) -> None:
    await crawled(bench.pool, "1", bench.clock.now())
    odd = [
        *(b"{", b"[]", b"\xff", b"[" * 50_000, b"{}"),
        message(1) | {"platform": "YOUTUBE"},
        *(message(1) | {"profile_id": odd} for odd in ("", "a\0")),
        message(1) | {"as_of": "2026-03-01T00:00:00"},
        json.dumps(message(1, category="\ud800")).encode(),
        *(
            message(1, grade=5),
            message(1, category="x" * 201),
            message(1, growth_30d="fast"),
            message(1, growth_7d=True),
            message(1, growth_7d=10**400),
        ),
        message(1) | {"columns": 5},
    ]
    good = message(2, grade="A")
    stranger = message(2) | {"profile_id": "nobody"}
    assert await bench.derived.handle([bench.delivery(*odd, good, stranger)]) == 2
    assert len(bench.buried) == len(odd)
    assert (await bench.account())[2] == "A"
    assert "it tells of 'YOUTUBE', not of INSTAGRAM" in bench.buried
