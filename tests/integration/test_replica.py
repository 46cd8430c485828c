"""The replica on real stores: what changes in PostgreSQL comes to ClickHouse, who commits late, too, and no secret."""

import datetime as dt
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
import trio

from gcc.actors import replica as replica_actor
from gcc.actors.replica import Replica
from gcc.actors.replica_repair import ReplicaRepair
from gcc.actors.replicated import SQL, Horizon, ReplicatedTable
from gcc.clock import SystemClock
from gcc.pipelines.analytics.replicas import REPLICAS
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Connection, Pool
from gcc.stores.replicated_rows import PostgresRows
from gcc.supervisor.lifecycle import Board
from tests.integration.test_retention import leading

BY_NAME = {table.table: table for table in REPLICAS}
SECRET = "sup3rs3cret"
ACCOUNT = (
    "insert into instagram_account (id, profile_id, handle, email, phone, followers, keywords, source, scraped_at)"
    " select gen_random_uuid(), 'p' || n, 'h' || n, %(mail)s, '', n, array['a b', '\"é'], 'graphapi', now()"
    " from generate_series(1, %(rows)s) as n"
)


class Following:
    """A replica that runs, of some tables."""

    def __init__(self, pool: Pool, clickhouse: ClickHouse, leader: Any, tables: list[ReplicatedTable]) -> None:
        clock = SystemClock()
        self.board = Board(clock.now)
        self.actor = self.board.actor("replica")
        self.rows = PostgresRows(pool, leader=leader.name)
        self.replica = Replica(tables, self.rows, clickhouse, leader, self.actor, clock)
        self.repair = ReplicaRepair(tables, self.rows, clickhouse, self.replica, leader, clock)

    async def caught_up(self) -> None:
        with trio.fail_after(20):
            await self.replica.catch_up()

    def line(self, name: str) -> dict[str, Any]:
        return next(line for line in self.replica.overview() if line["name"].endswith(f".{name}"))


@asynccontextmanager
async def following(pool: Pool, clickhouse: ClickHouse, *names: str) -> AsyncIterator[Following]:
    async with leading(pool) as leader, trio.open_nursery() as nursery:
        made = Following(pool, clickhouse, leader, [BY_NAME[name] for name in names])
        nursery.start_soon(made.replica.run)
        yield made
        nursery.cancel_scope.cancel()


async def execute(pool: Pool, sql: str, **values: Any) -> None:
    async with pool.connection() as connection:
        await connection.execute(sql, values)


async def found(clickhouse: ClickHouse, name: str, columns: str = "*") -> list[dict[str, Any]]:
    table = BY_NAME[name]
    return await clickhouse.rows(f"select {columns} from {table.name} final order by {next(iter(table.key))}")  # noqa: S608


async def accounts(pool: Pool, rows: int, mail: str = "") -> None:
    await execute(pool, ACCOUNT, rows=rows, mail=mail)


async def collection(pool: Pool, name: str) -> uuid.UUID:
    made = uuid.uuid4()
    await execute(
        pool,
        "insert into profile_collection (id, partner_id, name, share_id) values (%(id)s, 1, %(name)s, %(share)s)",
        id=made,
        name=name,
        share=SECRET,
    )
    return made


async def test_what_changes_comes_and_the_newest_counts(pool: Pool, clickhouse: ClickHouse) -> None:
    await accounts(pool, 3, mail="a@b.c")
    async with following(pool, clickhouse, "instagram_account", "profile_collection") as follows:
        await follows.caught_up()
        told = "profile_id, handle, followers, has_email, has_phone, keywords, category"
        assert (await found(clickhouse, "instagram_account", told))[0] == {
            "profile_id": "p1",
            "handle": "h1",
            "followers": 1,
            "has_email": True,
            "has_phone": False,
            "keywords": ["a b", '"é'],
            "category": None,
        }
        await execute(pool, "update instagram_account set followers = 70 where profile_id = 'p2'")
        made = await collection(pool, "c")
        await follows.caught_up()
        assert [row["followers"] for row in await found(clickhouse, "instagram_account")] == [1, 70, 3]
        (row,) = await found(clickhouse, "profile_collection", "id, partner_id, is_shared")
        assert row == {"id": made, "partner_id": 1, "is_shared": True}
        assert follows.line("instagram_account")["rows"] == 4, "what was sent is not sent again"
        assert follows.line("instagram_account")["lag_s"] < 5
        assert (follows.actor.lag_s or 0) < 20


async def test_what_commits_late_is_not_missed(
    pool: Pool, database: str, clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later than the overlap is long; also what it writes in a savepoint."""
    monkeypatch.setattr(replica_actor, "OVERLAP_S", 0.0)
    await accounts(pool, 3)
    async with following(pool, clickhouse, "instagram_account") as follows:
        await follows.caught_up()
        async with await Connection.connect(database) as late:
            async with late.transaction():
                await late.execute("update instagram_account set followers = 100 where profile_id = 'p1'")
                async with late.transaction():
                    await late.execute("update instagram_account set followers = 200 where profile_id = 'p2'")
                for followers in (7, 8):
                    await execute(pool, f"update instagram_account set followers = {followers} where profile_id = 'p3'")  # noqa: S608
                    await follows.caught_up()
                assert [row["followers"] for row in await found(clickhouse, "instagram_account")] == [1, 2, 8]
        await follows.caught_up()
        assert [row["followers"] for row in await found(clickhouse, "instagram_account")] == [100, 200, 8]


async def test_what_changes_after_the_clock_was_set_back_is_not_missed(
    pool: Pool, clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    await accounts(pool, 1)
    ahead = dt.timedelta(hours=1)

    class Ahead(PostgresRows):
        async def horizon(self) -> Horizon:
            found = await super().horizon()
            return replace(found, oldest=found.oldest + ahead)

    monkeypatch.setattr("tests.integration.test_replica.PostgresRows", Ahead)
    async with following(pool, clickhouse, "instagram_account") as follows:
        await follows.caught_up()
        ahead = dt.timedelta()
        await execute(pool, "update instagram_account set followers = 70")
        await follows.caught_up()
        assert [row["followers"] for row in await found(clickhouse, "instagram_account")] == [70]


async def test_a_change_by_a_transaction_that_began_earlier_is_the_newer_one(
    pool: Pool, database: str, clickhouse: ClickHouse
) -> None:
    await accounts(pool, 1)
    async with following(pool, clickhouse, "instagram_account") as follows:
        await follows.caught_up()
        async with await Connection.connect(database) as early:
            async with early.transaction():
                await early.execute("select 1")
                await execute(pool, "update instagram_account set followers = 5")
                await follows.caught_up()
                await early.execute("update instagram_account set followers = 6")
        await follows.caught_up()
        assert [row["followers"] for row in await found(clickhouse, "instagram_account")] == [6]


async def test_deleted_softly_it_goes_and_comes_back(pool: Pool, clickhouse: ClickHouse) -> None:
    made = await collection(pool, "c")
    async with following(pool, clickhouse, "profile_collection") as follows:
        await follows.caught_up()
        await execute(pool, "update profile_collection set deleted_at = now()")
        await follows.caught_up()
        assert await found(clickhouse, "profile_collection") == []
        await execute(pool, "update profile_collection set deleted_at = null")
        await follows.caught_up()
        assert [row["id"] for row in await found(clickhouse, "profile_collection")] == [made]


async def test_a_page_is_cut_and_a_round_that_was_cut_short_goes_on(
    pool: Pool, clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_actor, "PAGE_ROWS", 10)
    monkeypatch.setattr(replica_actor, "PAGE_BYTES", 4000)  # 4 rows or so
    monkeypatch.setattr(replica_actor, "PAGES", 2)
    await accounts(pool, 40)
    async with following(pool, clickhouse, "instagram_account") as follows:
        while follows.actor.done <= 10:  # the second page came after the first one was noted
            await trio.lowlevel.checkpoint()
        done = follows.actor.done
        assert 0 < done < 40
    async with following(pool, clickhouse, "instagram_account") as follows:
        await follows.caught_up()
        assert follows.actor.done < 40, "it went on where the first one was"
        assert len(await found(clickhouse, "instagram_account")) == 40
        await execute(pool, "update instagram_account set followers = 0")
        await follows.caught_up()
        assert {row["followers"] for row in await found(clickhouse, "instagram_account")} == {0}


async def test_all_of_it_again_changes_nothing(pool: Pool, clickhouse: ClickHouse) -> None:
    await accounts(pool, 20)
    seen = []
    for _ in range(2):
        async with following(pool, clickhouse, "instagram_account") as follows:
            await follows.caught_up()
        seen.append(await found(clickhouse, "instagram_account"))
        await execute(pool, "delete from replica_position")
    assert seen[0] == seen[1] and len(seen[0]) == 20


async def test_a_row_that_is_refused_holds_up_no_other(pool: Pool, clickhouse: ClickHouse) -> None:
    await execute(
        pool,
        "insert into instagram_post (post_id, shortcode, publish_time, source, scraped_at)"
        " select n, n, case n when 3 then timestamptz '20000-01-01Z' else now() end, 's', now()"
        " from generate_series(1, 5) as n",
    )
    async with following(pool, clickhouse, "instagram_post_simple") as follows:
        await follows.caught_up()
        assert [row["post_id"] for row in await found(clickhouse, "instagram_post_simple")] == ["1", "2", "4", "5"]
        assert follows.line("instagram_post_simple")["refused"] == 1
        assert "1 rows were refused" in (follows.actor.last_error or "")


async def test_a_table_that_cannot_be_read_holds_up_no_other(pool: Pool, clickhouse: ClickHouse) -> None:
    await execute(pool, "alter table partner_usage drop column module cascade")
    await accounts(pool, 1)
    async with following(pool, clickhouse, "partner_usage", "instagram_account") as follows:
        with trio.fail_after(20):
            while not await found(clickhouse, "instagram_account"):  # noqa: ASYNC110
                await trio.sleep(0.05)
        line = follows.line("partner_usage")
        assert line["lag_s"] is None and "has a column module, which partner_usage has not" in line["error"]


async def test_one_that_falls_behind_is_told_once(
    pool: Pool, clickhouse: ClickHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("EVERY_S", 0.02), ("SHARE", 0), ("ALERT_S", 0.3)):
        monkeypatch.setattr(replica_actor, name, seconds)
    async with following(pool, clickhouse, "partner_usage") as follows:
        await follows.caught_up()
        await execute(pool, "alter table partner_usage rename column module to other")
        with trio.fail_after(20):
            while not any("s behind" in each["error"] for each in follows.board.errors):  # noqa: ASYNC110
                await trio.sleep(0.05)
        await trio.sleep(0.2)  # rounds in which nothing changes
        told = [each["error"] for each in follows.board.errors]
        assert len(told) == len(set(told)), told
        assert "has a column module, which partner_usage has not" in (follows.line("partner_usage")["error"] or "")
        await execute(pool, "alter table partner_usage rename column other to module")
        await follows.caught_up()
        assert follows.line("partner_usage")["error"] is None


async def test_what_differs_is_mended(pool: Pool, clickhouse: ClickHouse) -> None:
    names = ("instagram_account", "post_activity_log", "instagram_profile_insights", "credential")
    await accounts(pool, 12)
    await execute(
        pool,
        "insert into post_activity_log (platform, activity_id, activity_type, post_id, shortcode, actor_profile_id,"
        " source, scraped_at)"
        " select 'INSTAGRAM', 'é''\\' || n, 'like', n, n, 'x', 's', now() from generate_series(1, 5) as n",
    )
    await execute(
        pool,
        "insert into instagram_profile_insights (profile_id, metrics, dimensions, source, scraped_at)"
        """ values ('p1', '{"reach": 1}', '{}', 's', now()), ('p2', '{"reach": 2}', '{}', 's', now())""",
    )
    async with following(pool, clickhouse, *names) as follows:
        await follows.caught_up()
        assert await follows.repair() == {"replicas": 4, "mended": {}}, "both sides hash alike"
        table = BY_NAME["instagram_account"].name
        await execute(pool, "delete from instagram_account where profile_id in ('p1', 'p2')")
        await execute(pool, "delete from post_activity_log where post_id = '5'")
        await execute(pool, "delete from instagram_profile_insights where profile_id = 'p1'")
        await clickhouse.command(
            f"alter table {table} delete where profile_id in ('p3', 'p4', 'p5') settings mutations_sync = 2"
        )
        await clickhouse.command(
            f"insert into {table} select * replace (_version + 1000 as _version, 0 as followers) from {table}"  # noqa: S608
            " where profile_id = 'p6'"
        )
        told = (await follows.repair())["mended"]
        assert told == {
            table: {"buried": 2, "read": 4, "set_back": 1},
            "beat_replica.post_activity_log": {"buried": 1},
            "beat_replica.instagram_profile_insights": {"buried": 1},
        }
        assert {row["followers"] for row in await found(clickhouse, "instagram_account")} == {*range(3, 13)}
        assert [row["post_id"] for row in await found(clickhouse, "post_activity_log")] == ["1", "2", "3", "4"]
        assert [row["profile_id"] for row in await found(clickhouse, "instagram_profile_insights")] == ["p2"]
        physically = await clickhouse.rows(f"select handle, _deleted from {table} where profile_id in ('p1', 'p2')")  # noqa: S608
        assert physically == [{"handle": "", "_deleted": 1}] * 2, "of what is gone the key alone is kept"
        assert (await follows.repair())["mended"] == {}
        await execute(  # as a restore brings back what had been deleted: with the version of then
            pool,
            "insert into instagram_account (id, profile_id, handle, followers, source, scraped_at, updated_at)"
            " values (gen_random_uuid(), 'p1', 'h1', 1, 's', now(), '2020-01-01Z')",
        )
        assert (await follows.repair())["mended"] == {table: {"read": 1, "set_back": 1}}
        assert {row["followers"] for row in await found(clickhouse, "instagram_account")} == {1, *range(3, 13)}


async def test_keys_of_any_letters_are_mended(pool: Pool, clickhouse: ClickHouse) -> None:
    keys = ["a", "\x1f", "a\x1fb\x1f", "tab\there", "line\nfeed", "back\\n", "'\"`", "{keys:String} %s", "", "é\u2028"]
    table = BY_NAME["post_activity_log"].name
    await execute(
        pool,
        "insert into post_activity_log (platform, activity_id, activity_type, post_id, shortcode, actor_profile_id,"
        " source, scraped_at) select 'INSTAGRAM', key, 'like', '1', '1', 'x', 's', now()"
        " from unnest(%(keys)s::text[]) as key",
        keys=keys,
    )
    async with following(pool, clickhouse, "post_activity_log") as follows:
        await follows.caught_up()
        assert (await follows.repair())["mended"] == {}
        await clickhouse.command(f"truncate table {table}")
        assert (await follows.repair())["mended"] == {table: {"read": len(keys)}}
        assert {row["activity_id"] for row in await found(clickhouse, "post_activity_log")} == {*keys}
        await execute(pool, "delete from post_activity_log")
        assert (await follows.repair())["mended"] == {table: {"buried": len(keys)}}
        assert await found(clickhouse, "post_activity_log") == []


async def test_what_was_deleted_long_ago_is_purged(pool: Pool, clickhouse: ClickHouse) -> None:
    old = await collection(pool, "old")
    await execute(pool, "update profile_collection set share_id = null")
    new = await collection(pool, "new")
    await execute(pool, "update profile_collection set deleted_at = now() - interval '31 days' where name = 'old'")
    table = BY_NAME["profile_collection"].name
    async with following(pool, clickhouse, "profile_collection") as follows:
        await follows.caught_up()
        await clickhouse.command(
            f"insert into {table} select * replace (generateUUIDv4() as id, toUInt64(2) as _version, 1 as _deleted)"  # noqa: S608
            f" from {table}"
        )
        assert (await follows.repair())["mended"] == {table: {"purged_rows": 1, "purged": 2}}
        assert await clickhouse.rows(f"select id from {table} where _version = 2") == []  # noqa: S608
        assert [row["id"] for row in await found(clickhouse, "profile_collection")] == [new]
        async with pool.connection() as connection:
            assert (
                await (await connection.execute("select id from profile_collection where id = %s", [old])).fetchall()
                == []
            )


async def test_every_column_is_decided_on(pool: Pool, clickhouse: ClickHouse) -> None:
    """A column that comes to be in a source is read, derived from, or left out by name."""
    for table in REPLICAS:
        replica = {
            row["name"]
            for row in await clickhouse.rows(SQL["columns"], {"database": table.database, "table": table.table})
        }
        async with pool.connection() as connection:
            query = "select column_name from information_schema.columns where table_name = %s"
            source = {name for (name,) in await (await connection.execute(query, [table.source])).fetchall()}
        assert replica >= {"updated_at", "_version", "_deleted", *table.key}, table.name
        assert table.derived.keys() <= replica, table.name
        left_out = {*table.left_out, *(["deleted_at"] if table.soft else [])}
        assert source - replica == left_out, table.name
        assert ("deleted_at" in source) == table.soft, table.name


async def test_tenants_rows_tell_whose_they_are(clickhouse: ClickHouse) -> None:
    found = await clickhouse.rows(
        "select table, groupArray(name) as names from system.columns where database = 'coffee_replica' group by table"
    )
    without = {row["table"] for row in found if "partner_id" not in row["names"]}
    assert without == {"partner", "view_instagram_account_lite", "view_youtube_account_lite"}


async def test_no_secret_and_no_address_comes(pool: Pool, clickhouse: ClickHouse) -> None:
    names = {
        row["name"]
        for row in await clickhouse.rows("select name from system.columns where endsWith(database, '_replica')")
    }
    spoken = ("email", "phone", "token", "secret", "password", "credentials", "sealed", "share_id", "api_key")
    assert {name for name in names if any(word in name for word in spoken)} == {"has_email", "has_phone"}
    await accounts(pool, 1, mail=SECRET)
    await collection(pool, "c")
    for statement in (
        "insert into campaign_profiles (id, partner_id, platform, profile_id, email, phone, notes, price)"
        " values (gen_random_uuid(), 1, 'INSTAGRAM', 'p1', %(s)s, %(s)s, %(s)s, 5000.50)",
        "insert into credential (id, source, handle, credentials, reason)"
        " values (gen_random_uuid(), 'graphapi', %(s)s, jsonb_build_object('token', %(s)s::text), %(s)s)",
        "insert into asset_log (id, platform, profile_id, entity_type, entity_id, asset_type, source_url)"
        " values (gen_random_uuid(), 'INSTAGRAM', 'p1', 'PROFILE', 'p1', 'picture', %(s)s)",
        "insert into scrape_request_log (id, platform, flow, params, expires_at, data)"
        " values (gen_random_uuid(), 'INSTAGRAM', 'f', '{}', now(),"
        " jsonb_build_object('code', 'X', 'token', %(s)s::text))",
        "insert into profile_log (event_id, platform, profile_id, metrics, dimensions, source, event_timestamp)"
        " values (gen_random_uuid(), 'INSTAGRAM', 'p1', '{}', jsonb_build_object('email', %(s)s::text), 's', now())",
        "insert into activity_tracker (id, partner_id, activity_type, metadata)"
        " values (gen_random_uuid(), 1, 'INVITED', jsonb_build_object('to', %(s)s::text))",
    ):
        await execute(pool, statement, s=SECRET)
    async with following(pool, clickhouse, *BY_NAME) as follows:
        await follows.caught_up()
        assert [line for line in follows.replica.overview() if line["error"] or line["refused"]] == []
        rows = {name: await found(clickhouse, name) for name in BY_NAME}
    assert SECRET not in str(rows)
    filled = {"instagram_account", "profile_collection", "campaign_profiles", "credential", "asset_log"}
    filled |= {"scrape_request_log", "profile_log", "activity_tracker", "partner"}
    assert {name for name, found_rows in rows.items() if found_rows} == filled
    assert rows["campaign_profiles"][0]["price"] == 5000.5
    assert rows["scrape_request_log"][0]["error_code"] == "X"


async def test_insights_are_a_row_a_metric_and_its_end(pool: Pool, clickhouse: ClickHouse) -> None:
    await execute(
        pool,
        "insert into instagram_profile_insights (profile_id, metrics, dimensions, source, scraped_at)"
        " values ('p1', %(m)s, %(d)s, 's', '2026-11-03T20:00:00Z')",
        m='{"reach": 9, "saves": 3, "odd": "x"}',
        d='{"reach_by_end_time": {"2026-11-01T08:00:00+0000": 8, "2026-11-02T08:00:00+0000": 9},'
        ' "audience_age": {"18-24": 0.5, "x": null}, "note": "text"}',
    )
    async with following(pool, clickhouse, "instagram_profile_insights") as follows:
        await follows.caught_up()
    rows = await found(
        clickhouse, "instagram_profile_insights", "metric, toString(period_end) as ends, value, breakdown"
    )
    assert sorted((row["metric"], row["ends"], row["value"], row["breakdown"]) for row in rows) == [
        ("audience_age", "2026-11-03", None, {"18-24": 0.5}),
        ("reach", "2026-11-01", 8.0, {}),
        ("reach", "2026-11-02", 9.0, {}),
        ("saves", "2026-11-03", 3.0, {}),
    ]


async def test_nobody_else_follows(pool: Pool, clickhouse: ClickHouse) -> None:
    """Whose term is over writes no position, and waits."""
    async with following(pool, clickhouse, "instagram_account") as follows:
        await follows.caught_up()
        await execute(pool, "update leader set term = term + 1, holder = 'another', until = now() + interval '1 hour'")
        await execute(pool, "delete from replica_position")
        await accounts(pool, 1)
        follows.replica._asked.set()
        with trio.fail_after(20):
            while "is over" not in (follows.actor.last_error or ""):  # noqa: ASYNC110
                await trio.sleep(0.05)
        async with pool.connection() as connection:
            assert await (await connection.execute("select * from replica_position")).fetchall() == []


async def test_what_is_no_change_of_a_row_does_not_touch_it(pool: Pool) -> None:
    """Else a dead credential would be renewed again after each probe, and each heartbeat would be a row to send."""
    await execute(pool, "insert into credential (id, source, handle) values (gen_random_uuid(), 'graphapi', 'a')")
    await execute(
        pool,
        "insert into scrape_request_log (id, platform, flow, params, expires_at, status, lease_until)"
        " values (gen_random_uuid(), 'INSTAGRAM', 'f', '{}', now(), 'PROCESSING', now())",
    )

    async def touched(statement: str) -> list[bool]:
        query = "select updated_at from credential union all select updated_at from scrape_request_log"
        async with pool.connection() as connection:
            before = await (await connection.execute(query)).fetchall()
            await connection.execute(statement.encode())
            after = await (await connection.execute(query)).fetchall()
        return [one != other for one, other in zip(before, after, strict=True)]

    for nothing in (
        "update credential set renewing_at = now(), probed_at = now()",
        "update credential set sealed = 'x', key_id = 'k', credentials = null",
        "update scrape_request_log set lease_until = now() + interval '1 minute'",
    ):
        assert await touched(nothing) == [False, False], nothing
    assert await touched("update credential set enabled = false, reason = 'dead'") == [True, False]
    assert await touched("update scrape_request_log set priority = 3") == [False, True]
    ended = "update scrape_request_log set status = 'COMPLETE', seq = seq + 1, lease_until = null, scraped_at = now()"
    assert await touched(ended) == [False, True]
