"""Retention on the real stores: drops what is old and nothing else, and `check` is exact at every step."""

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from typing import Any

import pytest
import trio

from gcc.actors.leader import Leader
from gcc.clock import Clock, SystemClock
from gcc.config import Settings
from gcc.errors import ConfigError, LeaseLost, Transient
from gcc.pipelines.events.check import check
from gcc.pipelines.events.removal import Removal
from gcc.pipelines.events.retention import Retention, kept_days
from gcc.pipelines.events.score_retention import SCORES, ScoreRetention
from gcc.pipelines.events.types import (
    CREATOR_FOLLOWER_SCORE,
    EVENT_TYPES,
    PROFILE_LOG,
    SCRAPE_REQUEST_LOG,
    TRACE_LOG,
    EventType,
    encode,
    timestamp,
)
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.leadership import PostgresLeadership
from gcc.stores.postgres import Pool
from gcc.supervisor.lifecycle import Board

KEPT = {PROFILE_LOG: 1000, SCRAPE_REQUEST_LOG: 90, TRACE_LOG: 14}
FIELDS: dict[EventType, dict[str, Any]] = {
    PROFILE_LOG: {"source": "s", "platform": "P", "profile_id": "1", "handle": "h", "metrics": {}, "dimensions": {}},
    SCRAPE_REQUEST_LOG: {
        "scl_id": "1", "seq": 1, "flow": "f", "platform": "P", "params": {}, "status": "S", "priority": 1,
        "retry_count": 0, "reason": None, "picked_at": None, "expires_at": None,
    },
    TRACE_LOG: {
        "id": "1", "host_name": "h", "service_name": "s", "method": "GET", "uri": "u", "headers": {}, "request": "",
        "response_status": 200, "response_size": 1, "time_taken": 0.1,
    },
}  # fmt: skip


class Later(SystemClock):
    """Two days on: what was just stored has been quiet for long enough."""

    def now(self) -> dt.datetime:
        return super().now() + dt.timedelta(days=2)


class Cut(Exception):
    """The process died here."""


class Mortal:
    """ClickHouse, which dies with the process before or after the `death`-th thing that is asked of it."""

    def __init__(self, store: ClickHouse, death: int, *, after: bool) -> None:
        self._store, self.death, self._after = store, death, after
        self.asked = 0

    async def rows(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        with self._statement():
            return await self._store.rows(sql, params)

    async def command(self, sql: str, params: Mapping[str, Any] | None = None) -> None:
        with self._statement():
            await self._store.command(sql, params)

    @contextmanager
    def _statement(self) -> Iterator[None]:
        self.asked += 1
        dies = self.asked == self.death
        if dies and not self._after:
            raise Cut
        yield
        if dies:
            raise Cut


class Stored:
    """Events in ClickHouse that were emitted, as far as PostgreSQL knows."""

    def __init__(self, pool: Pool, clickhouse: ClickHouse) -> None:
        self.pool, self.clickhouse, self.now = pool, clickhouse, Later().now()

    async def put(self, event_type: EventType, count: int, days_ago: float, **fields: Any) -> list[str]:
        at = (self.now - dt.timedelta(days=days_ago)).strftime("%Y-%m-%d %H:%M:%S.%f")
        ids = [str(uuid.uuid4()) for _ in range(count)]
        await self.insert(event_type, ids, at, **fields)
        if event_type.counted:
            async with self.pool.connection() as connection:
                ledger = "insert into import_ledger (id, name, events) values (%s, 'test', %s)"
                await connection.execute(ledger, (uuid.uuid4(), count))
        return ids

    async def insert(self, event_type: EventType, ids: list[str], at: str, **fields: Any) -> None:
        rows = [
            event_type.schema(event_id=event_id, event_timestamp=at, **{**FIELDS[event_type], **fields})
            for event_id in ids
        ]
        await self.clickhouse.insert_ndjson(
            event_type.table, b"\n".join(map(encode, rows)) + b"\n", token=str(uuid.uuid4())
        )

    async def count(self, event_type: EventType) -> int:
        (row,) = await self.clickhouse.rows(f"select count() as rows from {event_type.table} final")  # noqa: S608
        return int(row["rows"])

    async def well(self) -> tuple[int, int]:
        """(stored, dropped), of a platform on which nothing is missing or doubled, to the event."""
        report = await check(self.pool, self.clickhouse)
        assert report.well and report.settled, asdict(report)
        assert report.events_stored + report.events_dropped == report.events_emitted, asdict(report)
        return report.events_stored, report.events_dropped

    async def aside(self) -> list[str]:
        rows = await self.clickhouse.rows("select name from system.tables where database = '_e' and name like '%aside'")
        return [row["name"] for row in rows]


@pytest.fixture
async def stored(pool: Pool, clickhouse: ClickHouse) -> Stored:
    return Stored(pool, clickhouse)


@asynccontextmanager
async def leading(pool: Pool) -> AsyncIterator[Leader]:
    clock = SystemClock()
    leader = Leader("analytics", PostgresLeadership(pool), Board(clock.now).actor("leader"), clock)
    async with trio.open_nursery() as nursery:
        await nursery.start(leader.run)
        await leader.elected()
        yield leader
        nursery.cancel_scope.cancel()


async def round_of(
    stored: Stored, kept: Mapping[EventType, int] = KEPT, *, on: Any = None, clock: Clock | None = None
) -> dict[str, int]:
    async with leading(stored.pool) as leader:
        retention = Retention(on or stored.clickhouse, stored.pool, leader, clock or Later(), kept, trio.Lock())
        return dict((await retention())["dropped"])


async def test_only_what_is_old_is_dropped_and_all_is_accounted_for(stored: Stored) -> None:
    await stored.put(PROFILE_LOG, 7, days_ago=1100)
    again = await stored.put(PROFILE_LOG, 5, days_ago=1200, profile_id="2")
    at = (stored.now - dt.timedelta(days=1200)).strftime("%Y-%m-%d %H:%M:%S.%f")
    await stored.insert(PROFILE_LOG, again, at, profile_id="2")  # delivered twice
    await stored.put(PROFILE_LOG, 3, days_ago=900)
    for flow in ("a", "b"):
        await stored.put(SCRAPE_REQUEST_LOG, 2, days_ago=125, flow=flow)  # never the month of those below
        await stored.put(SCRAPE_REQUEST_LOG, 1, days_ago=88, flow=flow)
    await stored.put(TRACE_LOG, 4, days_ago=50)
    await stored.put(TRACE_LOG, 1, days_ago=3)
    assert await stored.well() == (21, 0)

    assert await round_of(stored) == {PROFILE_LOG.table: 12, SCRAPE_REQUEST_LOG.table: 4, TRACE_LOG.table: 4}
    assert [await stored.count(each) for each in KEPT] == [3, 2, 1]
    assert await stored.well() == (5, 16)
    assert await stored.aside() == []
    assert await round_of(stored) == {}
    assert await stored.well() == (5, 16)


async def test_a_partition_is_kept_while_its_newest_event_is(stored: Stored) -> None:
    newest = dt.datetime(2020, 1, 31, 23, 59, tzinfo=dt.UTC)
    await stored.put(
        PROFILE_LOG, 2, days_ago=(stored.now - dt.datetime(2020, 1, 1, tzinfo=dt.UTC)) / dt.timedelta(days=1)
    )
    await stored.put(PROFILE_LOG, 1, days_ago=(stored.now - newest) / dt.timedelta(days=1))
    age_days = (Later().now() - newest).days
    assert await round_of(stored, {PROFILE_LOG: age_days + 1}) == {}
    assert await round_of(stored, {PROFILE_LOG: age_days}) == {PROFILE_LOG.table: 3}
    assert await stored.well() == (0, 3)


async def test_what_arrived_lately_is_kept_however_old_it_is(stored: Stored) -> None:
    """An import of old history: it may still stand in a queue, and would come again."""
    await stored.put(PROFILE_LOG, 3, days_ago=2000)
    assert await round_of(stored, clock=SystemClock()) == {}
    assert await stored.well() == (3, 0)


async def test_0_days_keep_for_ever(stored: Stored) -> None:
    await stored.put(PROFILE_LOG, 3, days_ago=5000)
    assert await round_of(stored, {PROFILE_LOG: 0}) == {}
    assert await stored.well() == (3, 0)


async def test_late_events_of_a_dropped_partition_go_the_same_way(stored: Stored) -> None:
    await stored.put(PROFILE_LOG, 3, days_ago=1100)
    await round_of(stored)
    await stored.put(PROFILE_LOG, 2, days_ago=1100)
    assert await stored.well() == (2, 3)
    assert await round_of(stored) == {PROFILE_LOG.table: 2}
    assert await stored.well() == (0, 5)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_it_may_die_anywhere(stored: Stored, after: bool) -> None:
    """Before or after any statement, with the transaction around it: nothing is lost, nor counted twice."""
    deaths, kept, dropped = 0, 2, 0
    await stored.put(PROFILE_LOG, kept, days_ago=10)
    while True:
        await stored.put(PROFILE_LOG, 3, days_ago=1100)
        mortal = Mortal(stored.clickhouse, deaths + 1, after=after)
        try:
            await round_of(stored, {PROFILE_LOG: 1000}, on=mortal)
        except* Cut:
            deaths += 1
            await stored.well()
            if deaths % 2:  # meanwhile more has come
                await stored.put(PROFILE_LOG, 1, days_ago=1100)
                dropped += 1
            await stored.well()
            await round_of(stored, {PROFILE_LOG: 1000})
        dropped += 3
        assert await stored.well() == (kept, dropped)
        assert await stored.aside() == []
        if mortal.asked < mortal.death:
            break
    assert deaths >= 6  # aside?, expired, make, move, count, drop


async def test_a_move_that_was_cut_short_left_rows_in_both(stored: Stored) -> None:
    await stored.put(PROFILE_LOG, 3, days_ago=1100)
    await stored.put(PROFILE_LOG, 2, days_ago=1100, profile_id="2")
    await stored.clickhouse.command(f"create table {PROFILE_LOG.table}__aside as {PROFILE_LOG.table}")
    await stored.clickhouse.command(
        f"insert into {PROFILE_LOG.table}__aside select * from {PROFILE_LOG.table} where profile_id = '1'"  # noqa: S608
    )
    assert await stored.well() == (5, 0)
    assert await round_of(stored) == {PROFILE_LOG.table: 5}
    assert await stored.well() == (0, 5)


async def test_the_count_outlives_the_death_between_commit_and_drop(stored: Stored) -> None:
    """PostgreSQL has the count, the table beside is still there: it counts once, and is not counted again."""
    await stored.put(PROFILE_LOG, 3, days_ago=1100)
    mortal = Mortal(stored.clickhouse, 6, after=False)  # the drop
    with pytest.raises(BaseExceptionGroup):
        await round_of(stored, {PROFILE_LOG: 1000}, on=mortal)
    assert await stored.aside() == ["profile_log_events__aside"]
    assert await stored.well() == (0, 3)
    assert await round_of(stored) == {}
    assert await stored.aside() == []
    assert await stored.well() == (0, 3)


async def test_only_the_leader_drops(stored: Stored) -> None:
    await stored.put(PROFILE_LOG, 3, days_ago=1100)
    async with leading(stored.pool) as leader:
        retention = Retention(stored.clickhouse, stored.pool, leader, Later(), KEPT, trio.Lock())
        async with stored.pool.connection() as connection:
            await connection.execute("update leader set term = term + 1, holder = 'another'")
        with pytest.raises(LeaseLost):
            await retention()
    clock = SystemClock()
    idle = Leader("analytics", PostgresLeadership(stored.pool), Board(clock.now).actor("idle"), clock)
    with pytest.raises(LeaseLost):
        await Retention(stored.clickhouse, stored.pool, idle, Later(), KEPT, trio.Lock())()
    assert await stored.well() == (3, 0)
    assert await stored.aside() == []


async def test_the_term_is_not_held_by_a_step_that_hangs(stored: Stored) -> None:
    await stored.put(PROFILE_LOG, 1, days_ago=1100)

    class Hanging(Mortal):
        async def command(self, sql: str, params: Mapping[str, Any] | None = None) -> None:
            await trio.sleep_forever()

    with pytest.raises(BaseExceptionGroup) as caught:
        await round_of(stored, on=Hanging(stored.clickhouse, 0, after=False))
    assert caught.group_contains(Transient, match="not done within")
    assert await stored.well() == (1, 0)


def test_days_by_type() -> None:
    kept = kept_days(Settings.model_validate({"retention": {"trace_log_days": 0, "profile_log_days": 7}}))
    assert (kept[TRACE_LOG], kept[PROFILE_LOG], kept[SCRAPE_REQUEST_LOG]) == (0, 7, 90)
    assert set(kept) == set(EVENT_TYPES)
    scores = Settings.model_validate({"retention": {"creator_follower_score_days": 7}})
    assert kept_days(scores)[CREATOR_FOLLOWER_SCORE] == 0, "they have no partitions; ScoreRetention removes them"
    with pytest.raises(ConfigError, match=r"retention\.trace_days .* trace_log_days"):
        kept_days(Settings.model_validate({"retention": {"trace_days": 1}}))


@pytest.mark.parametrize(("days", "left"), [(None, {"year", "new"}), (30, {"new"}), (0, {"ancient", "year", "new"})])
async def test_scores_of_followers_go_by_their_age(stored: Stored, days: int | None, left: set[str]) -> None:
    for follower, age_days in (("ancient", 3 * 365 + 1), ("year", 365), ("new", 1)):
        await stored.clickhouse.command(
            f"insert into {SCORES} (event_id, profile_id, follower_handle, score, event_timestamp)"
            f" select generateUUIDv4(), 'a', '{follower}', 1, now64(6) - toIntervalDay({age_days})"
        )
    settings = Settings.model_validate({"retention": {} if days is None else {"creator_follower_score_days": days}})
    async with leading(stored.pool) as leader:
        removal = Removal(stored.clickhouse, stored.pool, leader, trio.Lock())
        retention = ScoreRetention(removal, SystemClock(), settings)
        assert [await retention(), await retention()] == [3 - len(left), 0]
    rows = await stored.clickhouse.rows(f"select follower_handle as who from {SCORES}")  # noqa: S608
    assert {row["who"] for row in rows} == left
    assert await stored.well() == (0, 0), "it counts none of them"


async def test_who_is_scored_again_while_old_scores_go_keeps_the_new_one(stored: Stored) -> None:
    """A scorer of a new version answers those whose score is old: the old rows go, before or after a merge."""
    followers = 40

    async def score(follower: int, at: dt.datetime) -> None:
        row = {"event_id": str(uuid.uuid4()), "event_timestamp": timestamp(at), "profile_id": "a", "score": 1.0}
        body = encode(row | {"follower_handle": f"f_{follower}", "scorer_version": "1"})
        await stored.clickhouse.insert_ndjson(SCORES, body, token=str(uuid.uuid4()))

    now = dt.datetime.now(dt.UTC)
    for follower in range(followers):
        await score(follower, now - dt.timedelta(days=1200))
    async with leading(stored.pool) as leader:
        removal = Removal(stored.clickhouse, stored.pool, leader, trio.Lock())
        retention = ScoreRetention(removal, SystemClock(), Settings())

        async def again() -> None:
            for follower in range(followers):
                await score(follower, now)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(again)
            for _ in range(3):
                await retention()
        await retention()
    (row,) = await stored.clickhouse.rows(
        f"select count() as n, uniqExact(follower_handle) as whom, min(event_timestamp) as at from {SCORES} final"  # noqa: S608
    )
    assert (row["n"], row["whom"]) == (followers, followers) and abs(row["at"] - now) < dt.timedelta(seconds=1)
    assert await stored.well() == (0, 0)
