"""Upserts of declared tables: PostgreSQL does with rows what `Table.merged` says, whatever is in them."""

import datetime as dt
import math
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from gcc.channels.jobs import Crawl, JobFilter, JobStatus, NewJob, Room
from gcc.channels.memory import Signal
from gcc.clock import SystemClock
from gcc.pipelines.events.emit import StatusEvents
from gcc.pipelines.scraping.table import FLOWS
from gcc.pipelines.scraping.yields import TRACKED_PROFILE
from gcc.platforms import PLATFORMS
from gcc.stores import upserts
from gcc.stores.postgres import Connection, Pool
from gcc.stores.postgres_jobs import PostgresJobs
from gcc.tables import Row, Table, Upsert

DECLARED = {
    table.name: table
    for table in (
        TRACKED_PROFILE,
        *(table for platform in PLATFORMS.values() for table in (platform.account, platform.post)),
        *(table for flow in FLOWS.values() for table in flow.tables),
    )
}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "integer": st.integers(-(2**31), 2**31 - 1),
    "smallint": st.integers(-(2**15), 2**15 - 1),
    "double precision": st.floats(allow_nan=False, allow_infinity=False),
    "numeric": st.decimals(allow_infinity=False, allow_nan=False, places=3, min_value=-(10**9), max_value=10**9),
    "boolean": st.booleans(),
    "timestamptz": st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30), timezones=st.just(dt.UTC)),  # noqa: DTZ001
    "date": st.dates(dt.date(1, 1, 2), dt.date(9999, 12, 30)),
    "time": st.times(),
    "uuid": st.uuids(),
    "bytea": st.binary(),
    "text[]": st.lists(st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))),
    "bigint[]": st.lists(st.integers(-(2**63), 2**63 - 1)),
    "jsonb": st.recursive(
        st.booleans() | st.integers(-(10**30), 10**30) | st.text(st.characters(exclude_characters="\0", codec="utf-8")),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="ascii", min_codepoint=32)), inner),
    ),
}
KINDS = {f"{kind.replace(' ', '_').replace('[]', 's')}_": kind for kind in VALUES}
EVERY = Table(
    "every type",
    key={"the key": "text", "part": "integer"},
    first={"minted": "uuid"},
    latest={"at": "timestamptz", **{f"{name}latest": kind for name, kind in KINDS.items()}},
    known={f"{name}known": kind for name, kind in KINDS.items()},
    newer="at",
    stamp="touched",
)
RELATION = Table("relation", key={"who": "text", "whom": "text"}, latest={"role": "text"}, known={"since": "date"})
PAIRS = Table("pairs", key={"who": "text", "whom": "text"}, first={"found_by": "text"})
AT = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
EXAMPLES = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def rows(table: Table) -> st.SearchStrategy[list[Row]]:
    """Of few keys and moments, so that they meet."""
    few: dict[str, st.SearchStrategy[Any]] = {
        name: st.sampled_from(["a", "é", "%s {} \\"] if kind == "text" else [0, 1]) for name, kind in table.key.items()
    }
    if table.newer is not None:
        few[table.newer] = st.sampled_from([AT + dt.timedelta(days=days) for days in range(3)])
    others = {name: st.none() | VALUES[kind] for name, kind in table.columns.items() if name not in few}
    return st.lists(st.fixed_dictionaries(few, optional=others), max_size=6)


async def create(conn: Connection, table: Table) -> None:
    columns = ", ".join(f'"{name}" {kind}' for name, kind in table.columns.items())
    stamp = f', "{table.stamp}" timestamptz' if table.stamp else ""
    key = ", ".join(f'"{name}"' for name in table.key)
    await conn.execute(f'create table "{table.name}" ({columns}{stamp}, primary key ({key}))'.encode())


async def stored(conn: Connection, table: Table) -> dict[tuple[Any, ...], Row]:
    async with conn.cursor(row_factory=dict_row) as cursor:
        names = ", ".join(f'"{name}"' for name in table.columns)
        await cursor.execute(f'select {names} from "{table.name}"'.encode())  # noqa: S608
        return {table.key_of(row): row for row in await cursor.fetchall()}


@pytest.mark.parametrize("table", [EVERY, RELATION, PAIRS], ids=lambda table: table.name)
def test_rows_of_one_crawl_are_as_if_each_had_come_by_itself(database: str, table: Table) -> None:
    async def compare(given_rows: list[Row]) -> None:
        merged: dict[tuple[Any, ...], Row] = {}
        for row in given_rows:
            merged[table.key_of(row)] = table.merged(merged.get(table.key_of(row)), row)
        expected = {key: {name: dt_utc(row.get(name)) for name in table.columns} for key, row in merged.items()}
        async with await Connection.connect(database) as conn:
            for crawls in ([given_rows], [[row] for row in given_rows]):
                async with conn.transaction(force_rollback=True):
                    await create(conn, table)
                    for crawl in crawls:
                        await upserts.write(conn, [Upsert(table, crawl)])
                    found = await stored(conn, table)
                assert {key: {name: dt_utc(row[name]) for name in row} for key, row in found.items()} == expected

    @EXAMPLES
    @given(rows(table))
    def check(given_rows: list[Row]) -> None:
        trio.run(compare, given_rows)

    check()


def dt_utc(value: Any) -> Any:
    return value.astimezone(dt.UTC) if isinstance(value, dt.datetime) else value


@pytest.fixture
async def every(pool: Pool) -> Pool:
    async with pool.connection() as conn:
        for table in (EVERY, RELATION):
            await create(conn, table)
    return pool


class Odd:
    pass


@pytest.mark.parametrize(
    ("column", "value", "why"),
    [
        ("text_known", "a\0b", "no NUL"),
        ("the key", "a\0b", "no NUL"),
        ("text[]_known", ["fine", "a\0"], "no NUL"),
        ("jsonb_known", {"deep": [{"a\0": 1}]}, "no NUL"),
        ("text_known", "half \ud83d", "surrogates not allowed"),
        ("double_precision_known", math.nan, "not JSON compliant"),
        ("double_precision_known", math.inf, "not JSON compliant"),
        ("jsonb_known", 10**5000, "limit"),
        ("uuid_known", Odd(), "Odd is no value of a column"),
        ("bigint_known", 2**63, "out of range for type bigint"),
        ("bigint_known", 1.5, "invalid input syntax for type bigint"),
        ("boolean_known", "perhaps", "invalid input syntax for type boolean"),
    ],
    ids=[f"value {number}" for number in range(12)],
)
async def test_a_value_that_is_none_is_refused_by_name_and_nothing_is_written(
    every: Pool, column: str, value: Any, why: str
) -> None:
    column = column.replace("[]", "s")
    good = {"the key": "good", "part": 1, "at": AT}
    writes = [Upsert(RELATION, [{"who": "a", "whom": "b"}]), Upsert(EVERY, [good, {**good, "part": 2, column: value}])]
    with pytest.raises(ValueError, match=f"^table every type: .*{why}") as refused:
        async with every.transaction() as conn:
            await upserts.write(conn, writes)
    assert "out of range for" in why or "invalid input" in why or f": {column} cannot be " in str(refused.value)
    async with every.connection() as conn:
        assert (await stored(conn, EVERY), await stored(conn, RELATION)) == ({}, {})


async def test_an_escaped_backslash_is_no_nul(every: Pool) -> None:
    texts = ["\\u0000", "\\\\u0000", "u0000"]
    async with every.connection() as conn:
        given_rows = [{"the key": text, "part": 1, "at": AT} for text in texts]
        await upserts.write(conn, [Upsert(EVERY, given_rows)])
        assert {key for key, _ in await stored(conn, EVERY)} == set(texts)


async def test_a_name_may_hold_any_characters(pool: Pool) -> None:
    odd = Table('a "t"; %s', key={"k %": "text"}, latest={'"rate" %(x)s': "text"})
    async with pool.connection() as conn, conn.transaction():
        await conn.execute("""create table "a ""t""; %s" ("k %" text primary key, """ + '"""rate"" %(x)s" text)')
        for rate in ("1", "2"):
            await upserts.write(conn, [Upsert(odd, [{"k %": "1%", '"rate" %(x)s': rate}])])
        assert await (await conn.execute('table "a ""t""; %s"')).fetchall() == [("1%", "2")]


async def test_a_row_that_says_nothing_new_is_not_written_again(every: Pool) -> None:
    row = {"who": "a", "whom": "b", "role": "friend", "since": dt.date(2020, 1, 1)}

    async def version(change: dict[str, Any]) -> Any:
        async with every.connection() as conn:
            await upserts.write(conn, [Upsert(RELATION, [{**row, **change}])])
            return await (await conn.execute("select xmin from relation")).fetchall()

    first = await version({})
    assert await version({}) == await version({"since": None}) == first
    assert await version({"role": None}) != first


async def test_a_change_is_stamped_and_an_older_row_is_none(every: Pool) -> None:
    async def stamp(at: dt.datetime) -> Any:
        async with every.connection() as conn:
            await upserts.write(conn, [Upsert(EVERY, [{"the key": "a", "part": 1, "at": at}])])
            return (await (await conn.execute('select touched from "every type"')).fetchall())[0][0]

    assert await stamp(AT) is None, "the table's default tells of an insert"
    changed = await stamp(AT)
    assert changed is not None
    assert await stamp(AT - dt.timedelta(seconds=1)) == changed
    assert await stamp(AT + dt.timedelta(seconds=1)) > changed


async def test_a_table_has_one_statement_however_many_rows_come(every: Pool) -> None:
    async with every.connection() as conn:
        for number in range(20):
            who = [{"who": str(row), "whom": str(number)} for row in range(number)]
            await upserts.write(conn, [Upsert(RELATION, who)])
        prepared = await conn.execute("select generic_plans + custom_plans from pg_prepared_statements")
        assert len(uses := await prepared.fetchall()) == 1
        assert uses[0][0] > 10


async def test_crawls_that_meet_in_many_rows_and_tables_never_lock_each_other_out(every: Pool) -> None:
    def writes(turn: int) -> list[Upsert]:
        who = [{"who": str(number), "whom": "x", "role": str(turn)} for number in range(300)][:: 1 if turn % 2 else -1]
        keys = [{"the key": str(number), "part": 1, "at": AT} for number in range(300)][:: -1 if turn % 2 else 1]
        return [Upsert(EVERY, keys), Upsert(RELATION, who)][:: 1 if turn % 2 else -1]

    async def crawl(turn: int) -> None:
        for again in range(5):
            async with every.transaction() as conn:
                await upserts.write(conn, writes(turn + 2 * again))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for turn in range(4):
                nursery.start_soon(crawl, turn)  # a deadlock raises Transient in one of them


@pytest.fixture
def jobs(every: Pool) -> PostgresJobs:
    clock = SystemClock()
    return PostgresJobs(every, clock, StatusEvents(clock), lease_s=60, lost_max=3, outbox_written=Signal())


async def test_ten_thousand_rows_of_one_crawl_are_committed_with_its_job(every: Pool, jobs: PostgresJobs) -> None:
    many = [{"who": f"{number % 9_990:05}", "whom": "x", "role": str(number)} for number in range(10_000)]
    await jobs.enqueue([NewJob("followers", "INSTAGRAM", {})])
    (job,) = await jobs.claim({"followers": Room(1)})
    with trio.fail_after(30):  # it takes about 0.3 s
        await jobs.complete(job, Crawl("graphapi", [Upsert(RELATION, many)]))
    async with every.connection() as conn:
        found = await stored(conn, RELATION)
    assert len(found) == 9_990
    assert found["00003", "x"]["role"] == "9993", "the last of two wins"
    (ended,) = await jobs.find(JobFilter())
    assert ended.status is JobStatus.COMPLETE


@pytest.mark.parametrize("name", DECLARED)
async def test_a_declared_table_is_as_the_migrations_made_it(pool: Pool, name: str) -> None:
    table = DECLARED[name]
    async with pool.connection() as conn:
        columns = await conn.execute(
            "select attname, format_type(atttypid, atttypmod), attnotnull, atttypid = %s::regtype"
            " from pg_attribute where attrelid = %s::regclass and attnum > 0",
            ("text", name),
        )
        made = {column: (kind, not_null) for column, kind, not_null, _ in await columns.fetchall()}
        keys = await (
            await conn.execute(
                "select array_agg(attname::text order by attname) from pg_index join pg_attribute"
                " on attrelid = indrelid and attnum = any(indkey) where indrelid = %s::regclass and indisunique"
                " and indpred is null and indexprs is null group by indexrelid",
                (name,),
            )
        ).fetchall()
        for column, kind in table.columns.items():
            ((declared,),) = await (await conn.execute("select %s::regtype::text", (kind,))).fetchall()
            assert made[column][0] == declared, column
    assert (sorted(table.key),) in keys
    assert all(made[column][1] for column in (*table.key, table.newer) if column)
    assert table.stamp is None or table.stamp in made
