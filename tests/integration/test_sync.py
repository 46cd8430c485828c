"""The sync on real stores: values, names, readers during swaps, and every way it may fail."""

import datetime as dt
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trio

from gcc.actors.leader import Leader
from gcc.actors.modelled import Model
from gcc.actors.sync import Sync, SyncedTable, SyncRefused
from gcc.clock import SystemClock
from gcc.config import load
from gcc.errors import LeaseLost, Permanent, Transient
from gcc.pipelines.analytics.pipeline import LEADER, AnalyticsPipeline
from gcc.pipelines.declared import Parts, Real
from gcc.pipelines.timetable import ROWS
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.folder_objects import FolderObjects
from gcc.stores.leadership import PostgresLeadership
from gcc.stores.postgres import Pool
from gcc.stores.synced_tables import SyncedTables
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.drain import Drain
from gcc.supervisor.lifecycle import Board, State
from tests.contexts import context, partly
from tests.integration.snapshots_oracle import Snapshot, leaderboard, ndjson, time_series

LIVE = """
create table thing (
    id text, n bigint not null, name text, rate double precision, day date, flag boolean,
    constraint thing_pkey primary key (id), constraint positive check (n >= 0)
);
create index thing_n on thing (n desc, id) where flag;
create unique index thing_name on thing (lower(name));
"""
MART = """
create table dbt.mart_thing (
    id String, n Int64, name Nullable(String), rate Nullable(Float64), day Nullable(Date), flag Bool, more String
) engine = MergeTree order by id
"""
Rows = Sequence[dict[str, Any]]


def thing(number: int, **values: Any) -> dict[str, Any]:
    return {"id": f"{number:06}", "n": number, "name": None, "rate": 0.5, "day": "2026-03-01", "flag": True, **values}


class StallingObjects(FolderObjects):
    """A folder whose objects stop after the first chunk, where told."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.stalled = trio.Event()
        self.go_on = trio.Event()
        self.go_on.set()

    async def get(self, key: str) -> AsyncIterator[bytes]:
        async with aclosing(super().get(key)) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                yield chunk
                self.stalled.set()
                await self.go_on.wait()


class World:
    """A live table `thing`, its mart, and a sync under a leader."""

    def __init__(self, clickhouse: ClickHouse, pool: Pool, folder: Path, **more: Any) -> None:
        self.clickhouse, self.pool = clickhouse, pool
        self.objects = StallingObjects(folder)
        self.clock = SystemClock()
        board = Board(self.clock.now)
        self.actor = board.actor("sync")
        self.leader = Leader("x", PostgresLeadership(pool), board.actor("leader"), self.clock)
        declared = [SyncedTable("thing", mart="mart_thing")]
        tables = SyncedTables(pool, leader="x")
        self.sync = Sync(clickhouse, self.objects, tables, declared, self.leader, self.actor, self.clock, **more)

    async def mart(self, rows: Rows) -> None:
        """The mart now holds these rows alone."""
        await self.clickhouse.command("drop table if exists dbt.mart_thing sync")
        await self.clickhouse.command(MART)
        if rows:
            body = "\n".join(json.dumps(row) for row in rows).encode()
            await self.clickhouse.insert_ndjson("dbt.mart_thing", body, token="rows")

    async def execute(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        async with self.pool.connection() as connection:
            cursor = await connection.execute(sql.encode(), values)
            return await cursor.fetchall() if cursor.description else []

    async def live(self) -> list[tuple[Any, ...]]:
        return await self.execute("select id, n, name from thing order by id")

    async def tables(self) -> set[str]:
        return {
            name for (name,) in await self.execute("select tablename from pg_tables where tablename like 'thing%%'")
        }


@pytest.fixture
async def world(clickhouse: ClickHouse, pool: Pool, tmp_path: Path) -> AsyncIterator[World]:
    world = World(clickhouse, pool, tmp_path)
    async with pool.connection() as connection:
        await connection.execute(LIVE)
    async with trio.open_nursery() as nursery:
        await nursery.start(world.leader.run)
        yield world
        nursery.cancel_scope.cancel()


async def test_a_mart_that_is_wrong_is_not_carried(clickhouse: ClickHouse, pool: Pool, tmp_path: Path) -> None:
    async def require_well(mart: str) -> None:
        raise Permanent(f"{mart} is wrong by its tests")

    world = World(clickhouse, pool, tmp_path, require_well=require_well)
    await world.execute(LIVE)
    await world.mart([thing(1)])
    async with trio.open_nursery() as nursery:
        await nursery.start(world.leader.run)
        with pytest.raises(Permanent, match="mart_thing is wrong by its tests"):
            await world.sync.sync("thing")
        nursery.cancel_scope.cancel()
    assert (await world.live(), await world.tables()) == ([], {"thing"})


async def test_values_arrive_as_they_are(world: World) -> None:
    hostile = [
        *["tab\there", "line\nfeed", "cr\rhere", "back\\slash \\N \\. \\x41", "quote \" and ' and ,", "\\.", "{}", ""],
        *["\x01\x02 control \x1f\x7f", "émoji 🙂 ज़िंदगी", "\u2028\u2029\ufeff", "a" * 100_000, "%s {name} $1"],
    ]
    rows = [thing(number, name=name) for number, name in enumerate(hostile)]
    rows += [
        thing(100, rate=1e300, n=2**63 - 1, day=None, flag=False),
        thing(101, rate=0.1 + 0.2),
        thing(102, rate=None, day="1970-01-02"),
    ]
    await world.mart(rows)
    result = await world.sync.sync("thing")
    assert (result.table, result.rows) == ("thing", len(rows))
    stored = await world.execute("select id, n, name, rate, day::text, flag from thing order by id")
    assert stored == [tuple(row.values()) for row in rows]


async def test_what_postgres_cannot_hold_is_cleaned(world: World) -> None:
    await world.mart([thing(1)])
    await world.clickhouse.command(
        "insert into dbt.mart_thing (id, n, name, rate, flag) "
        "select 'x', 2, concat('nul', char(0), ' broken ', unhex('FF'), '!'), nan, true"
        " union all select 'y', 3, null, -inf, true"
    )
    await world.sync.sync("thing")
    stored = await world.execute("select name, rate from thing where id >= 'x' order by id")
    assert stored == [("nul broken \ufffd!", None), (None, None)]


async def test_lists_and_maps_arrive_as_they_are(world: World) -> None:
    await world.execute("alter table thing add words text[], add counts bigint[], add shares jsonb, add list jsonb")
    words = ["", "NULL", 'quote " and \\ and \\"', "{,}", "line\nfeed\ttab", "ज़िंदगी", "a\0b", None]
    text = "', '".join((word or "").replace("\\", "\\\\").replace("\0", "\\0") for word in words[:-1])
    await world.clickhouse.command("drop table if exists dbt.mart_thing sync")
    await world.clickhouse.command(
        "create table dbt.mart_thing engine = MergeTree order by id as select '1' as id, 2 as n,"
        " null::Nullable(String) as name, 0.5 as rate, null::Nullable(Date) as day, true as flag,"
        f" ['{text}', null] as words, [1, -2] as counts,"
        " map('q\"\\\\', 0.25, 'z\\0', nan) as shares, ['\"', '\\n'] as list"
        " union all select '2', 3, null, 0.5, null, true, [], [], map(), []"
    )
    await world.sync.sync("thing")
    first, second = await world.execute("select words, counts, shares, list from thing order by id")
    words[6] = "ab"
    assert first == (words, [1, -2], {'q"\\': 0.25, "z": None}, ['"', "\n"])
    assert second == ([], [], {}, [])


async def test_names_definitions_and_statistics_stay_through_many_swaps(world: World) -> None:
    definitions = """
        select indexname, indexdef from pg_indexes where tablename = 'thing'
        union all
        select conname, pg_get_constraintdef(oid) from pg_constraint where conrelid = 'thing'::regclass
        order by 1, 2
    """
    before = await world.execute(definitions)
    assert len(before) >= 5
    snapshots = set()
    for count in (3, 4, 5):
        await world.mart([thing(number, more="not asked for") for number in range(count)])
        started = world.clock.now()
        result = await world.sync.sync("thing")
        snapshots.add(result.snapshot_id)
        assert await world.execute(definitions) == before
        assert len(await world.live()) == count
        [(snapshot_id, term, rows, as_of)] = await world.execute(
            "select snapshot_id, term, rows, as_of from sync_snapshot where table_name = 'thing'"
        )
        assert (snapshot_id, term, rows) == (result.snapshot_id, world.leader.term, count)
        assert started <= as_of <= world.clock.now()
        assert await world.execute("select reltuples from pg_class where oid = 'thing'::regclass") == [(count,)]
        assert await world.tables() == {"thing", "thing__old"}  # the replaced one goes at the next run
        assert await world.objects.keys("data-pipeline/") == []
    assert len(snapshots) == 3
    assert (world.actor.done, world.actor.state, world.actor.in_flight) == (3, State.WAITING, 0)


async def test_200_readers_see_whole_tables_only_and_never_an_older_one(world: World, database: str) -> None:
    """Each version is 500 rows of one number; each answer must be of one version and of its snapshot.

    Ten swaps, of which the next waits until every reader saw the last. Readers share connections, whose prepared
    statements meet the swaps.
    """
    readers, rows_each = 200, 500

    async def version(number: int) -> None:
        await world.mart([thing(row, n=number) for row in range(rows_each)])
        await world.sync.sync("thing")

    await version(0)
    counted = "select min(n), max(n), count(*), (select rows from sync_snapshot where table_name = 'thing') from thing"
    seen = [0] * readers  # the newest version that each of them saw
    answers = 0
    all_saw = trio.Event()
    pool = Pool(database, 4, name="readers", acquire_s=60)
    async with aclosing(pool), trio.open_nursery() as nursery:

        async def read(reader: int, sql: bytes) -> None:
            nonlocal answers
            while True:
                async with pool.connection() as connection:
                    [row] = await (await connection.execute(sql, prepare=True)).fetchall()
                answers += 1
                assert row[0] >= seen[reader]
                assert row[1:] in {(), (row[0], rows_each, rows_each)}
                seen[reader] = row[0]
                if min(seen) == newest:
                    all_saw.set()

        newest = 0
        for reader in range(readers):
            nursery.start_soon(read, reader, (b"select n from thing where id = '000042'", counted.encode())[reader % 2])
        for newest in range(1, 11):
            all_saw = trio.Event()
            await version(newest)
            with trio.fail_after(60):
                await all_saw.wait()
        nursery.cancel_scope.cancel()
    assert answers >= readers * 10


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([thing(1), thing(1)], "id"),  # a doubled primary key
        ([thing(1, name="A"), thing(2, name="a")], "thing_name"),
        ([thing(1, n=-1)], "positive"),
        ([], "shrink from 4 to 0"),
        ([thing(1)], "shrink from 4 to 1"),
    ],
)
async def test_a_failed_check_leaves_the_live_table(world: World, rows: Rows, says: str) -> None:
    good = [thing(number) for number in range(4)]
    await world.mart(good)
    first = await world.sync.sync("thing")
    before = await world.live()
    await world.mart(rows)
    with pytest.raises(Permanent, match=says):
        await world.sync.sync("thing")
    assert await world.live() == before
    assert await world.execute("select snapshot_id from sync_snapshot") == [(first.snapshot_id,)]
    assert await world.objects.keys("") == []
    assert says in str(world.actor.last_error)
    await world.mart(good[:2])  # half of it is allowed
    await world.sync.sync("thing")
    assert len(await world.live()) == 2


async def test_a_mart_that_does_not_fit_says_what_is_missing(world: World) -> None:
    await world.execute("insert into thing (id, n) values ('a', 1)")  # else there is nothing yet
    with pytest.raises(Permanent, match="id, n, name, rate, day, flag"):
        await world.sync.sync("thing")
    await world.clickhouse.command("create table dbt.mart_thing (id String, n Int8) engine = MergeTree order by id")
    with pytest.raises(Permanent, match=r"mart_thing has no name, rate, day, flag"):
        await world.sync.sync("thing")
    with pytest.raises(Permanent, match="'other' is not declared"):
        await world.sync.sync("other")
    await world.execute("drop table thing")
    with pytest.raises(Permanent, match="thing does not exist"):
        await world.sync.sync("thing")


async def test_a_leader_that_was_replaced_meanwhile_cannot_swap(world: World) -> None:
    await world.mart([thing(1)])
    await world.sync.sync("thing")
    before = await world.live()
    await world.mart([thing(2)])
    world.objects.go_on, world.objects.stalled = trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:

        async def sync() -> None:
            with pytest.raises(LeaseLost, match="term 1"):
                await world.sync.sync("thing")

        nursery.start_soon(sync)
        await world.objects.stalled.wait()
        await world.execute("update leader set holder = 'somebody else', term = term + 1")
        world.objects.go_on.set()
    assert await world.live() == before


async def test_a_process_that_does_not_lead_does_not_begin(world: World) -> None:
    idle = Leader("x", PostgresLeadership(world.pool), world.actor, world.clock)
    tables = SyncedTables(world.pool, leader="x")
    declared = [SyncedTable("thing", mart="mart_thing")]
    sync = Sync(world.clickhouse, world.objects, tables, declared, idle, world.actor, world.clock)
    with pytest.raises(Transient, match="does not lead"):
        await sync.sync("thing")


async def test_a_long_reader_delays_the_swap_and_does_not_stop_it(world: World) -> None:
    await world.mart([thing(1)])
    waiting = "select count(*) from pg_locks where not granted and mode = 'AccessExclusiveLock'"
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            async with world.pool.transaction() as reader:
                await reader.execute("select * from thing")
                nursery.start_soon(world.sync.sync, "thing")
                for wanted in (1, 0):  # it waits for the lock, and gives up: others are not held up behind it
                    while await world.execute(waiting) != [(wanted,)]:
                        await trio.lowlevel.checkpoint()
                assert await (await reader.execute("select count(*) from thing")).fetchall() == [(0,)]
    assert len(await world.live()) == 1


class UntidyObjects(StallingObjects):
    """Nothing can be removed, or not even listed."""

    def __init__(self, root: Path, fails: str) -> None:
        super().__init__(root)
        self._fails = fails

    async def delete(self, key: str) -> None:
        if self._fails == "delete":
            raise Transient("the objects cannot be deleted")
        await super().delete(key)

    async def keys(self, prefix: str) -> list[str]:
        if self._fails == "keys":
            raise Permanent("the objects cannot be listed")
        return await super().keys(prefix)


@pytest.mark.parametrize("fails", ["delete", "keys"])
async def test_a_clean_up_that_fails_is_told_and_the_sync_stands(world: World, tmp_path: Path, fails: str) -> None:
    world.objects = world.sync._objects = UntidyObjects(tmp_path, fails)
    for count in (1, 2):
        await world.mart([thing(number) for number in range(count)])
        result = await world.sync.sync("thing")
        assert (result.rows, len(await world.live())) == (count, count)
    assert (world.actor.done, world.actor.failed > 0) == (2, True)
    assert "cleaning up: " in str(world.actor.last_error) and "the objects cannot be" in str(world.actor.last_error)
    world.objects._fails = "nothing"  # type: ignore[attr-defined]
    await world.sync.sync("thing")
    assert await world.objects.keys("") == [], "the next one tidies up"


async def test_a_clean_up_that_fails_does_not_hide_why_a_sync_did(world: World, tmp_path: Path) -> None:
    world.objects = world.sync._objects = UntidyObjects(tmp_path, "delete")
    await world.mart([thing(1), thing(1)])
    with pytest.raises(Permanent, match="rows for thing were refused"):
        await world.sync.sync("thing")


async def test_who_still_reads_the_table_of_before_delays_the_swap_alone(world: World) -> None:
    await world.mart([thing(1)])
    await world.sync.sync("thing")
    await world.mart([thing(1), thing(2)])
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            async with world.pool.transaction() as reader:
                await reader.execute("select * from thing__old")
                nursery.start_soon(world.sync.sync, "thing")
                while await world.execute("select to_regclass('thing__new') is not null") != [(True,)]:
                    await trio.lowlevel.checkpoint()
                assert "cleaning up: " in str(world.actor.last_error)
                assert len(await world.live()) == 1, "and nobody waits for the live one"
    assert len(await world.live()) == 2
    assert world.actor.done == 2


@pytest.mark.parametrize(
    "built, named, gone",
    [
        ("create materialized view seen as select id from thing", "materialized view seen", "materialized view seen"),
        ("create table noted (id text references thing)", "constraint noted_id_fkey on table noted", "table noted"),
        (
            "create function first() returns text language sql begin atomic select min(id) from thing; end",
            "function first()",
            "function first",
        ),
    ],
)
async def test_what_cannot_follow_the_live_table_is_named_before_it_is_left_behind(
    world: World, built: str, named: str, gone: str
) -> None:
    await world.mart([thing(1)])
    await world.execute(built)
    says = f"thing is not swapped: {re.escape(named)} would stay with the table that is replaced; drop it"
    with pytest.raises(Permanent, match=says):
        await world.sync.sync("thing")
    await world.execute(f"drop {gone}")
    await world.sync.sync("thing")
    assert len(await world.live()) == 1


GIVEN = """
create table kind (name text primary key); insert into kind values ('a');
create schema bi;
create function noted() returns trigger language plpgsql as 'begin return null; end';
alter table thing add constraint of_kind foreign key (name) references kind;
create trigger noting after update on thing for each row execute function noted();
create trigger asleep after delete on thing for each row execute function noted();
alter table thing disable trigger asleep;
grant select, update on thing to reader_of_things with grant option;
grant select on thing to public;
grant insert (n) on thing to poet;
alter default privileges grant delete on tables to poet;
create policy flagged on thing for select to reader_of_things using (flag);
create policy few on thing as restrictive for insert to public with check (n < 10);
alter table thing enable row level security;
comment on table thing is 'what there is: 100%%';
comment on column thing.n is 'how many';
alter table thing set (autovacuum_vacuum_scale_factor = 0.01, fillfactor = 90);
create view bi.seen with (security_barrier) as select id, n from thing;
create view seen as select 1 as id;
"""
GIVEN_IS = """
select (select array_agg(acl::text order by acl::text) from pg_class, unnest(relacl) as acl
        where oid = 'thing'::regclass),
       (select (relrowsecurity, relforcerowsecurity, reloptions)::text from pg_class where oid = 'thing'::regclass),
       obj_description('thing'::regclass, 'pg_class'), col_description('thing'::regclass, 2),
       (select array_agg((polname, polcmd, polpermissive, polroles, pg_get_expr(polqual, polrelid),
                          pg_get_expr(polwithcheck, polrelid))::text order by polname)
        from pg_policy where polrelid = 'thing'::regclass),
       (select array_agg((attname, attacl)::text order by attname) from pg_attribute
        where attrelid = 'thing'::regclass and attacl is not null),
       (select array_agg((pg_get_triggerdef(oid), tgenabled)::text order by tgname) from pg_trigger
        where tgrelid = 'thing'::regclass and not tgisinternal),
       (select array_agg((conname, pg_get_constraintdef(oid))::text order by conname) from pg_constraint
        where conrelid = 'thing'::regclass),
       (select (reloptions, pg_get_viewdef(oid))::text from pg_class where oid = 'bi.seen'::regclass)
"""


@pytest.fixture
def roles(postgres_admin: "psycopg.Connection[tuple[object, ...]]") -> Iterator[None]:
    """They are the server's: what is theirs has to go before them."""
    postgres_admin.execute("create role reader_of_things; create role poet")
    yield
    postgres_admin.execute("drop role reader_of_things; drop role poet")


@pytest.fixture
async def shared(roles: None, world: World) -> AsyncIterator[World]:
    yield world
    await world.execute(
        "drop table if exists thing, thing__old cascade; alter default privileges revoke delete on tables from poet"
    )


async def test_what_people_gave_the_live_table_stays_through_swaps(shared: World) -> None:
    world = shared
    await world.execute(GIVEN)
    given = await world.execute(GIVEN_IS)
    for count in (1, 2, 3):
        await world.mart([thing(number, name="a" if not number else None) for number in range(count)])
        await world.sync.sync("thing")
        assert await world.execute(GIVEN_IS) == given
        assert await world.execute("select count(*) from bi.seen") == [(count,)]
        assert await world.execute("select id from seen") == [(1,)], "a namesake is another view"
    await world.mart([thing(1, name="unknown"), thing(2)])
    with pytest.raises(Permanent, match=r"rows for thing were refused: .*of_kind"):
        await world.sync.sync("thing")
    assert len(await world.live()) == 3


async def test_a_view_of_another_role_is_named(
    world: World, postgres_admin: "psycopg.Connection[tuple[object, ...]]", database: str
) -> None:
    await world.mart([thing(1)])
    with psycopg.connect(database, user=postgres_admin.info.user, autocommit=True) as other:
        other.execute("create view seen as select id from thing")
        with pytest.raises(Permanent, match="thing is not swapped: view seen would stay"):
            await world.sync.sync("thing")
        other.execute("drop view seen")
    await world.sync.sync("thing")


async def test_a_view_follows_the_live_table(world: World) -> None:
    await world.execute(
        "create view seen as select id, n from thing where flag; create view twice as select * from seen"
    )
    for count in (1, 2, 3):
        await world.mart([thing(number) for number in range(count)])
        await world.sync.sync("thing")
        assert await world.execute("select count(*) from twice") == [(count,)]
    assert await world.tables() == {"thing", "thing__old"}


async def test_cancelling_in_the_middle_leaves_the_live_table_and_the_next_run_cleans_up(world: World) -> None:
    await world.mart([thing(1)])
    await world.sync.sync("thing")
    before = await world.live()
    await world.mart([thing(number) for number in range(50)])
    world.objects.go_on, world.objects.stalled = trio.Event(), trio.Event()
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.sync.sync, "thing")
            await world.objects.stalled.wait()
            nursery.cancel_scope.cancel()
    assert await world.live() == before
    assert await world.objects.keys("") == []
    assert (world.actor.state, world.actor.in_flight) == (State.WAITING, 0)
    await world.objects.put("data-pipeline/tmp/thing-of-a-killed-process.ndjson", b"{}")
    await world.execute("create table thing__new (x int)")  # so does a kill
    world.objects.go_on.set()
    await world.sync.sync("thing")
    assert len(await world.live()) == 50
    assert await world.objects.keys("") == []


async def test_who_waits_until_all_is_settled_waits_for_runs_that_have_read_already(world: World) -> None:
    await world.mart([thing(1)])
    world.objects.go_on = trio.Event()
    rows: list[int] = []

    async def settled() -> None:
        await world.sync.settle()
        rows.append(len(await world.live()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.sync.sync, "thing")
        await world.objects.stalled.wait()
        nursery.start_soon(settled)
        await world.live()  # takes a while
        assert rows == []
        world.objects.go_on.set()
    assert rows == [1]


async def test_what_was_replaced_and_what_was_refused_is_dropped_where_all_is_settled(world: World) -> None:
    for numbers in (range(10), range(9), range(1)):
        await world.mart([thing(number) for number in numbers])
        with suppress(SyncRefused):
            await world.sync.sync("thing")
    assert await world.tables() > {"thing"}
    await world.sync.settle()
    assert (await world.tables(), len(await world.live())) == ({"thing"}, 9)


async def test_a_database_that_dies_under_the_copy_leaves_the_live_table_and_the_next_run_is_right(
    world: World,
) -> None:
    await world.mart([thing(1)])
    await world.sync.sync("thing")
    before = await world.live()
    await world.mart([thing(number) for number in range(50)])
    world.objects.go_on, world.objects.stalled = trio.Event(), trio.Event()
    kill = "select pg_terminate_backend(pid) from pg_stat_activity where query like 'copy %%thing__new%%'"
    async with trio.open_nursery() as nursery:

        async def sync() -> None:
            with pytest.raises(Transient):
                await world.sync.sync("thing")

        nursery.start_soon(sync)
        await world.objects.stalled.wait()
        assert await world.execute(kill) == [(True,)]
        world.objects.go_on.set()
    assert (await world.live(), await world.objects.keys("")) == (before, [])
    await world.sync.sync("thing")
    assert len(await world.live()) == 50


async def test_a_database_that_dies_in_the_swap_has_done_all_of_it_or_nothing(world: World) -> None:
    await world.mart([thing(1)])
    await world.sync.sync("thing")
    deaths: list[str] = []

    class Dying(SyncedTables):
        async def _record(self, connection: Any, *arguments: Any, **more: Any) -> None:
            await super()._record(connection, *arguments, **more)
            if len(deaths) < 2:  # when all is done but the commit
                deaths.append(await live_there())
                await connection.execute("select pg_terminate_backend(pg_backend_pid())")

    async def live_there() -> str:
        return str((await world.execute("select count(*) from sync_snapshot"))[0][0])

    tables = Dying(world.pool, leader="x")
    sync = Sync(
        world.clickhouse, world.objects, tables, [declared()], world.leader, world.actor, world.clock,
        backoff=Backoff(0.001, 0.001),
    )  # fmt: skip
    await world.mart([thing(1), thing(2)])
    result = await sync.sync("thing")
    assert deaths == ["1", "1"]
    assert len(await world.live()) == 2
    assert await world.execute("select snapshot_id from sync_snapshot") == [(result.snapshot_id,)]


async def test_a_full_disk_of_the_database_leaves_the_live_table_and_is_worth_another_try(world: World) -> None:
    await world.mart([thing(1)])
    await world.sync.sync("thing")
    before = await world.live()
    await world.execute(
        "create function room(n bigint) returns bool language plpgsql as $$ begin if n = 7 then"
        " raise exception 'could not extend file: No space left on device' using errcode = '53100';"
        " end if; return true; end $$"
    )
    await world.execute("alter table thing add constraint has_room check (room(n))")
    await world.mart([thing(number) for number in range(50)])
    with pytest.raises(Transient, match="No space left on device"):
        await world.sync.sync("thing")
    assert (await world.live(), await world.objects.keys("")) == (before, [])
    await world.execute("create or replace function room(n bigint) returns bool language sql as 'select true'")
    await world.sync.sync("thing")
    assert len(await world.live()) == 50


async def test_a_mart_that_fails_when_half_is_read_leaves_the_live_table(world: World) -> None:
    await world.mart([thing(1)])
    await world.sync.sync("thing")
    before = await world.live()
    await world.clickhouse.command("drop table dbt.mart_thing sync")
    await world.clickhouse.command(
        "create view dbt.mart_thing as select toString(number) as id, toInt64(number) as n,"
        " null::Nullable(String) as name, null::Nullable(Float64) as rate, null::Nullable(Date) as day,"
        " throwIf(number = 900000, 'the disk of the warehouse broke')::Bool as flag"
        " from numbers(1000000) settings max_block_size = 1000"
    )
    with pytest.raises((Permanent, Transient), match="the disk of the warehouse broke"):
        await world.sync.sync("thing")
    assert (await world.live(), await world.objects.keys("")) == (before, [])
    await world.clickhouse.command("drop table dbt.mart_thing sync")
    await world.mart([thing(1), thing(2)])
    await world.sync.sync("thing")
    assert len(await world.live()) == 2


async def test_two_runs_of_one_table_take_turns(world: World) -> None:
    await world.mart([thing(1)])
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(world.sync.sync, "thing")
    assert world.actor.done == 3


async def test_a_swap_whose_answer_was_lost_is_not_done_twice(world: World) -> None:
    await world.mart([thing(1)])
    swaps: list[str] = []

    class LostAnswer(SyncedTables):
        async def swap(self, *arguments: Any) -> None:
            await super().swap(*arguments)
            swaps.append("swapped")
            if len(swaps) == 1:
                raise Transient("the connection broke at the commit")

    declared = [SyncedTable("thing", mart="mart_thing")]
    tables = LostAnswer(world.pool, leader="x")
    sync = Sync(world.clickhouse, world.objects, tables, declared, world.leader, world.actor, world.clock)
    result = await sync.sync("thing")
    assert len(swaps) == 2
    assert await world.execute("select snapshot_id from sync_snapshot") == [(result.snapshot_id,)]
    assert len(await world.live()) == 1


async def test_what_a_former_leader_fills_meanwhile_is_not_swapped_in(world: World) -> None:
    """It was held up, and does not know yet that another process leads."""
    await world.mart([thing(1)])
    await world.sync.sync("thing")
    before = await world.live()
    former = SyncedTables(world.pool, leader="x")

    async def old() -> AsyncIterator[bytes]:
        yield b"000000\t0\n"

    class Disturbed(SyncedTables):
        async def counts(self, *arguments: Any) -> Any:
            counted = await super().counts(*arguments)
            await former.fill("thing", ["id", "n"], old(), world.clock.new_id())
            return counted

    tables = Disturbed(world.pool, leader="x")
    sync = Sync(
        world.clickhouse, world.objects, tables, [declared()], world.leader, world.actor, world.clock,
        backoff=Backoff(0.001, 0.001),
    )  # fmt: skip
    await world.mart([thing(1), thing(2)])
    with pytest.raises(Transient, match="thing was filled anew by another process"):
        await sync.sync("thing")
    assert await world.live() == before


def declared(**changes: Any) -> SyncedTable:
    return SyncedTable(**{"table": "thing", "mart": "mart_thing", **changes})


def model(name: str, *parents: str, tags: tuple[str, ...] = ("core",), materialized: Any = "table") -> Model:
    return Model(name, "", materialized, "", frozenset(tags), (), "", None, parents, name, lambda _: "")


class Guarded(World):
    """A world whose sync has guards, and knows what the mart is built of."""

    def guard(self, *models: Model, **changes: Any) -> None:
        tables = SyncedTables(self.pool, leader="x")
        self.sync = Sync(
            self.clickhouse,
            self.objects,
            tables,
            [declared(**changes)],
            self.leader,
            self.actor,
            self.clock,
            models=models,
        )

    async def built(self, name: str, second: int) -> None:
        await self.clickhouse.command(
            "create table if not exists dbt.model_run (model String, started_at DateTime64(6, 'UTC'), error String)"
            " engine = MergeTree order by model"
        )
        at = f"2026-03-01 00:00:{second:02}"
        await self.clickhouse.command(f"insert into dbt.model_run values ('{name}', '{at}', '')")  # noqa: S608

    async def outcome(self) -> tuple[str, str]:
        result = await self.sync.sync("thing")
        return result.outcome, result.why


@pytest.fixture
async def guarded(clickhouse: ClickHouse, pool: Pool, tmp_path: Path) -> AsyncIterator[Guarded]:
    world = Guarded(clickhouse, pool, tmp_path)
    await clickhouse.command("drop table if exists dbt.model_run sync")
    async with pool.connection() as connection:
        await connection.execute(LIVE)
    async with trio.open_nursery() as nursery:
        await nursery.start(world.leader.run)
        yield world
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("changes", "rows", "says"),
    [
        ({"rows_kept_min": 0.95}, [thing(n) for n in range(37)], "would shrink from 40 to 37 rows"),
        (
            {},
            [thing(n, rate=None if n < 5 else 1.0) for n in range(40)],
            "rate would be unknown in 12% of the rows, of 10%",
        ),
        ({"nulls_max": {"day": 0.0}}, [thing(0, day=None), *map(thing, range(1, 40))], "day would be unknown in 2%"),
    ],
    ids=["fewer rows", "more nulls", "too many nulls"],
)
async def test_a_guard_keeps_the_live_table_until_a_person_accepts_once(
    guarded: Guarded, changes: dict[str, Any], rows: Rows, says: str
) -> None:
    guarded.guard(**changes)
    with pytest.raises(Permanent, match="nothing of thing was refused"):
        await guarded.sync.accept("thing", "ada@host")
    await guarded.mart([thing(number) for number in range(40)])
    await guarded.sync.sync("thing")
    before = await guarded.live()
    await guarded.mart(rows)
    for _ in range(2):
        with pytest.raises(SyncRefused, match=says):
            await guarded.sync.sync("thing")
        assert await guarded.live() == before
    (line,) = await guarded.sync.overview()
    assert says in line["refused"] and (line["rows"], line["accepted_by"]) == (40, None)
    assert line["rows_kept_min"] == changes.get("rows_kept_min", 0.5)
    assert line["nulls_max"] == changes.get("nulls_max", {})
    await guarded.sync.accept("thing", "ada@host")
    assert (await guarded.sync.overview())[0]["accepted_by"] == "ada@host"
    assert await guarded.outcome() == ("swapped", "")
    assert len(await guarded.live()) == len(rows)
    assert (await guarded.sync.overview())[0]["refused"] is None
    await guarded.mart([thing(0)])
    with pytest.raises(SyncRefused, match="would shrink"):
        await guarded.sync.sync("thing")


async def test_what_is_accepted_is_what_was_told_and_nothing_else(guarded: Guarded) -> None:
    guarded.guard()
    await guarded.mart([thing(number, name=str(number)) for number in range(100)])
    await guarded.sync.sync("thing")
    await guarded.mart([thing(number, name=str(number)) for number in range(40)])
    with pytest.raises(SyncRefused, match="from 100 to 40 rows; look"):
        await guarded.sync.sync("thing")
    await guarded.sync.accept("thing", "ada@host")
    await guarded.mart([thing(number) for number in range(40)])
    both = "thing would shrink from 100 to 40 rows; thing.name would be unknown in 100% of the rows, of 10% at most"
    with pytest.raises(SyncRefused, match=both):
        await guarded.sync.sync("thing")
    await guarded.sync.accept("thing", "ada@host")
    await guarded.mart([thing(1)])
    with pytest.raises(SyncRefused, match="from 100 to 1 rows"):
        await guarded.sync.sync("thing")
    assert len(await guarded.live()) == 100
    await guarded.sync.accept("thing", "ada@host")
    assert await guarded.outcome() == ("swapped", "")


async def test_a_key_that_is_doubled_is_not_to_be_accepted(guarded: Guarded) -> None:
    guarded.guard()
    await guarded.mart([thing(1), thing(1)])
    with pytest.raises(Permanent, match="were refused") as error:
        await guarded.sync.sync("thing")
    assert not isinstance(error.value, SyncRefused)


async def test_what_was_not_built_since_is_unchanged(guarded: Guarded) -> None:
    guarded.guard(model("mart_thing"))
    await guarded.mart([thing(1)])
    await guarded.built("mart_thing", 10)
    assert await guarded.outcome() == ("swapped", "")
    assert await guarded.outcome() == ("unchanged", "dbt.mart_thing was not built since")
    await guarded.built("mart_thing", 20)
    assert await guarded.outcome() == ("swapped", "")


async def test_a_swap_of_a_time_to_come_holds_up_none(guarded: Guarded) -> None:
    """The clock has been set back since."""
    guarded.guard(model("mart_thing"))
    await guarded.mart([thing(1)])
    await guarded.built("mart_thing", 10)
    assert await guarded.outcome() == ("swapped", "")
    await guarded.execute("update sync_snapshot set built_at = now() + interval '1 year'")
    assert await guarded.outcome() == ("swapped", "")
    assert await guarded.outcome() == ("unchanged", "dbt.mart_thing was not built since")


async def test_a_mart_that_its_run_has_left_behind_is_not_taken(guarded: Guarded) -> None:
    """Parents of other tags are newer at most times: they are built oftener."""
    stale = "dbt.mart_thing is older than dbt.mart_parent, which it reads"
    view = model("mart_view", "mart_source", materialized="view")
    others = [model("mart_parent"), model("mart_often", tags=("recent",)), view, model("mart_source", tags=("daily",))]
    guarded.guard(model("mart_thing", "mart_parent", "mart_often", "mart_view"), *others)
    await guarded.mart([thing(1)])
    for name, second in (("mart_parent", 5), ("mart_thing", 10), ("mart_often", 15)):
        await guarded.built(name, second)
    assert await guarded.outcome() == ("swapped", "")
    await guarded.built("mart_parent", 20)
    assert await guarded.outcome() == ("unchanged", stale)
    await guarded.built("mart_thing", 20)
    assert await guarded.outcome() == ("swapped", "")


async def test_a_view_is_as_new_as_what_it_reads(guarded: Guarded) -> None:
    guarded.guard(model("mart_thing", "mart_parent", materialized="view"), model("mart_parent"))
    await guarded.mart([thing(1)])
    await guarded.built("mart_parent", 5)
    assert [(await guarded.outcome())[0] for _ in range(2)] == ["swapped", "unchanged"]
    await guarded.built("mart_parent", 6)
    assert (await guarded.outcome())[0] == "swapped"


async def test_a_mart_that_is_not_there_yet_or_empty_is_no_error(guarded: Guarded) -> None:
    guarded.guard()
    await guarded.clickhouse.command("drop table if exists dbt.mart_thing sync")
    assert await guarded.outcome() == ("nothing yet", "dbt.mart_thing is not built yet")
    await guarded.mart([])
    assert await guarded.outcome() == ("nothing yet", "dbt.mart_thing is empty")
    assert (await guarded.sync.overview())[0]["as_of"] is None
    await guarded.mart([thing(1)])
    assert await guarded.outcome() == ("swapped", "")


async def test_a_computed_column_stays(guarded: Guarded) -> None:
    guarded.guard()
    await guarded.execute("alter table thing add column size bigint generated always as (n * 2) stored")
    await guarded.mart([thing(3)])
    for _ in range(2):
        await guarded.sync.sync("thing")
        assert await guarded.execute("select size from thing") == [(6,)]


async def test_a_column_that_a_mart_lacks_is_named(guarded: Guarded) -> None:
    guarded.guard()
    await guarded.execute("alter table thing add column later text")
    await guarded.mart([thing(1)])
    with pytest.raises(Permanent, match=r"dbt\.mart_thing has no later, which thing needs"):
        await guarded.sync.sync("thing")


async def test_a_large_table_gets_what_was_built_since_alone(guarded: Guarded) -> None:
    guarded.guard(model("mart_thing"), delta_rows=3)
    await guarded.clickhouse.command("drop table if exists dbt.mart_thing sync")
    columns = MART.replace("more String", "built_at DateTime64(6, 'UTC')")
    await guarded.clickhouse.command(columns)

    async def add(second: int, *rows: dict[str, Any]) -> None:
        at = f"2026-03-01 00:00:{second:02}.000000"
        body = "\n".join(json.dumps(row | {"built_at": at}) for row in rows).encode()
        await guarded.clickhouse.insert_ndjson("dbt.mart_thing", body, token=f"rows {second}")
        await guarded.built("mart_thing", second)

    await add(10, *map(thing, range(5)))
    first = await guarded.sync.sync("thing")
    assert (first.outcome, first.rows) == ("swapped", 5)
    await add(20, thing(4, name="changed"), thing(9))
    second = await guarded.sync.sync("thing")
    assert (second.outcome, second.rows) == ("upserted", 2)
    live = await guarded.live()
    assert [row[1] for row in live] == [0, 1, 2, 3, 4, 9]
    standing = (await guarded.sync.overview())[0]
    assert (standing["rows"], standing["built_at"]) == (6, "2026-03-01T00:00:20Z")
    assert (await guarded.outcome())[0] == "unchanged"
    assert await guarded.tables() == {"thing", "thing__old"} or await guarded.tables() == {"thing"}


class ShortObjects(StallingObjects):
    """What is read ends after the first line."""

    async def get(self, key: str) -> AsyncIterator[bytes]:
        async with aclosing(super().get(key)) as chunks:  # type: ignore[type-var]
            async for chunk in chunks:
                yield chunk[: chunk.index(b"\n") + 1]


@pytest.mark.parametrize("by_months", [False, True])
async def test_a_large_table_misses_nothing_that_was_lost_on_the_way(
    guarded: Guarded, tmp_path: Path, by_months: bool
) -> None:
    guarded.guard(model("mart_thing"), delta_rows=3, day="day")
    await guarded.clickhouse.command("drop table if exists dbt.mart_thing sync")
    await guarded.clickhouse.command(MART.replace("more String", "built_at DateTime64(6, 'UTC')"))

    async def add(second: int, *rows: dict[str, Any]) -> None:
        lines = [json.dumps(row | {"built_at": f"2026-03-01 00:00:{second:02}.000000"}) for row in rows]
        await guarded.clickhouse.insert_ndjson("dbt.mart_thing", "\n".join(lines).encode(), token=str(second))
        await guarded.built("mart_thing", second)

    await add(10, *map(thing, range(5)))
    await guarded.sync.sync("thing")
    before = await guarded.execute("select id from thing order by id"), (await guarded.sync.overview())[0]["built_at"]
    await add(20, *map(thing, range(5, 9)))
    guarded.objects = ShortObjects(tmp_path)
    guarded.guard(model("mart_thing"), delta_rows=3, day="day")
    with pytest.raises(Permanent, match=r"rows were exported, 1 arrived"):
        await (guarded.sync.sync_months("thing", dt.date(2026, 3, 1)) if by_months else guarded.sync.sync("thing"))
    after = await guarded.execute("select id from thing order by id"), (await guarded.sync.overview())[0]["built_at"]
    assert after == before


async def test_months_of_a_large_table_lose_what_is_no_more(guarded: Guarded) -> None:
    """Open ones always, older ones where the number of rows differs; readers see a month whole."""
    guarded.guard(model("mart_thing"), delta_rows=3, day="day", rows_kept_min=0.5, nulls_max={"rate": 0.5})
    await guarded.clickhouse.command("drop table if exists dbt.mart_thing sync")
    await guarded.clickhouse.command(MART.replace("more String", "built_at DateTime64(6, 'UTC')"))
    days = ["2026-01-31", "2026-02-01", "2026-02-28", "2026-03-01", "2026-03-31", "2026-04-01"]

    async def replaced(rows: Rows) -> tuple[str, int]:
        await guarded.clickhouse.command("truncate table dbt.mart_thing")
        lines = [json.dumps(row | {"built_at": "2026-03-01 00:00:10.000000"}) for row in rows]
        await guarded.clickhouse.insert_ndjson("dbt.mart_thing", "\n".join(lines).encode(), token=repr(rows))
        result = await guarded.sync.sync_months("thing", dt.date(2026, 4, 1))
        return result.outcome, result.rows

    async def live() -> list[tuple[Any, ...]]:
        return await guarded.execute("select id, n, name, rate from thing order by id")

    rows = [thing(number, day=day) for number, day in enumerate(days)]
    assert await replaced(rows) == ("unchanged", 0), "it was never synced"
    await guarded.built("mart_thing", 10)
    await guarded.sync.sync("thing")
    before = await live()
    fewer = [row for row in rows if row["id"] not in ("000001", "000005")]
    changed = [*fewer, thing(7, day="2026-04-02"), thing(8, day="2026-04-02")]
    assert await replaced(changed) == ("replaced", 3), "one is left of February, and two are new in April"
    standing = (await guarded.sync.overview())[0]
    assert (standing["rows"], standing["built_at"]) == (6, "2026-03-01T00:00:10Z")
    assert [row[0] for row in await live()] == ["000000", "000002", "000003", "000004", "000007", "000008"]
    assert await guarded.tables() <= {"thing", "thing__old"}
    assert await replaced([row | {"n": 9} for row in rows]) == ("replaced", 3)
    assert [(row[0], row[1]) for row in await live()] == [
        ("000000", 0), ("000001", 9), ("000002", 9), ("000003", 3), ("000004", 4), ("000005", 9),
    ]  # fmt: skip
    await replaced(rows)
    with pytest.raises(SyncRefused, match=r"rate would be unknown in 100% of the rows, of .*, in 2026-04"):
        await replaced([*rows[:-1], rows[-1] | {"rate": None}])
    with pytest.raises(SyncRefused, match="would shrink from 6 to 2 rows"):
        await replaced(rows[-2:])
    assert len(await live()) == len(before)
    await guarded.sync.accept("thing", "ada@host")
    assert await replaced(rows[-2:]) == ("replaced", 2)
    assert [row[0] for row in await live()] == ["000004", "000005"]


async def test_two_hundred_readers_miss_nothing_while_ten_tables_are_swapped(
    clickhouse: ClickHouse, pool: Pool, tmp_path: Path
) -> None:
    """Counted: every answer is of one version, whole, and none is older than the one before."""
    world = World(clickhouse, pool, tmp_path)
    names = [f"thing_{number}" for number in range(10)]
    async with pool.connection() as connection:
        for name in names:
            await connection.execute(f"create table {name} (id text primary key, n bigint)".encode())
    tables = SyncedTables(pool, leader="x")
    rows = [SyncedTable(name, "mart_thing") for name in names]
    sync = Sync(clickhouse, world.objects, tables, rows, world.leader, world.actor, world.clock)
    answers = failed = 0

    async def read(name: str) -> None:
        nonlocal answers, failed
        seen, query = 0, f"select min(n), max(n), count(*) from {name}"  # noqa: S608
        while True:
            try:
                async with pool.connection() as reader:
                    found = await reader.execute(query.encode(), prepare=True)
                    ((low, high, count),) = await found.fetchall()
            except (Transient, Permanent):
                failed += 1
                continue
            answers += 1
            assert low == high and low >= seen and count == 200
            seen = low

    async def version(number: int, nursery: trio.Nursery) -> None:
        await world.mart([thing(row, n=number) for row in range(200)])
        async with trio.open_nursery() as swaps:
            for name in names:
                swaps.start_soon(sync.sync, name)

    with trio.fail_after(120):
        async with trio.open_nursery() as nursery:
            await nursery.start(world.leader.run)
            await version(1, nursery)
            for number in range(200):
                nursery.start_soon(read, names[number % 10])
            for number in (2, 3):
                before = answers
                await version(number, nursery)
                while answers < before + 400:
                    await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
    assert (failed, answers > 800) == (0, True)


async def test_from_events_to_the_served_tables(clickhouse: ClickHouse, pool: Pool, tmp_path: Path) -> None:
    """The pipeline whole: trigger, values in PostgreSQL, the row of the run, drain."""
    drain = Drain(["intake"], 10.0)
    real = partly(Real, clickhouse=clickhouse, pool=pool, terms_pool=pool)
    parts = partly(Parts, real=real, objects=FolderObjects(tmp_path))
    seldom = [f"analytics.schedules.{row.name}=0 0 29 2 *" for row in ROWS if row.cron]
    pipeline = AnalyticsPipeline(context(load(None, environ={}, overrides=seldom), drain, parts))
    snapshots = [
        Snapshot(platform, f"p{number}", f"2026-0{month}-03 20:00:00.000000", metrics, dimensions)
        for platform in ("INSTAGRAM", "YOUTUBE")
        for number in range(20)
        for month in (1, 2, 3)
        for metrics in [
            {"followers": 998 + number * month % 7, "engagement_rate": number / 30, "views": number % 5 or None}
        ]
        for dimensions in [
            {"category": ["Food", "food", "Art"][number % 3], "full_name": f"Näme {number}", "language": "hi"}
        ]
    ]
    await clickhouse.insert_ndjson("_e.profile_log_events", ndjson(snapshots), token="all")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(drain.run)
        ended = trio.Event()

        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            await pipeline.run(task_status=task_status)
            ended.set()

        await nursery.start(run)
        run_row = await pipeline.scheduler.trigger("models_and_syncs")
        assert run_row.status == "COMPLETE", run_row.detail
        assert [sync["rows"] for sync in (run_row.detail or {})["syncs"][:2]] == [120, 120]
        assert {sync["outcome"] for sync in (run_row.detail or {})["syncs"][2:]} <= {"swapped", "nothing yet"}
        await _equal(pool, "leaderboard", leaderboard(snapshots, "Asia/Kolkata"), "month")
        await _equal(pool, "social_profile_time_series", time_series(snapshots, "Asia/Kolkata"), "date")
        drain.request("test")
        with trio.fail_after(5):
            await ended.wait()
    async with pool.connection() as connection:
        cursor = await connection.execute("select schedule, status from schedule_run")
        assert await cursor.fetchall() == [("models_and_syncs", "COMPLETE")]
        cursor = await connection.execute("select until <= now() from leader where name = %s", [LEADER])
        assert await cursor.fetchall() == [(True,)]  # it resigned


async def _equal(pool: Pool, table: str, expected: dict[Any, dict[str, Any]], date: str) -> None:
    async with pool.connection() as connection:
        cursor = await connection.execute(f"select * from {table}".encode())  # noqa: S608
        names = [column.name for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]
    assert {(row["platform"], row["profile_id"], row[date]): row for row in rows} == {
        key: {name: row[name] for name in names} for key, row in expected.items()
    }
