"""What tasks ask a pool at the same time, against a real server: each has its own answer, error, rows and end."""

import datetime as dt
import os
import signal
import uuid
from decimal import Decimal
from typing import Any

import psycopg
import pytest
import trio
import trio.testing
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gcc.errors import Transient
from gcc.stores import pipelined, unit
from gcc.stores.postgres import Pool
from tests.contract.test_postgres_pool import ask, until

PATIENCE_S = 20.0
SLEEPS = "select %(number)s::int as number, pg_sleep(%(sleep_s)s)::text as slept"
SLEEPING = (
    "select from pg_stat_activity where state = 'active' and query like '%pg_sleep(%' and pid <> pg_backend_pid()"
)
WHOSE = "select %(number)s::int as number, current_setting('gcc.partner_id', true) as whose"


@pytest.fixture
async def other(database: str) -> Any:
    """A second pool, to look at the first one's sessions from outside."""
    pool = Pool(database, 2, name="other")
    yield pool
    await pool.aclose()


async def asked(pool: Pool, statement: str, many: list[dict[str, Any]], whose: Any = None) -> list[Any]:
    """What each is answered, or its error, in order."""
    answers: list[Any] = [None] * len(many)

    async def one(number: int, arguments: dict[str, Any]) -> None:
        try:
            answers[number] = await pool.rows(statement, arguments, whose=whose and whose(number))
        except (psycopg.Error, Transient) as error:
            answers[number] = error

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            for number, arguments in enumerate(many):
                nursery.start_soon(one, number, arguments)
    return answers


async def test_each_has_its_own_answer_over_few_connections(pool: Pool, other: Pool) -> None:
    statement = "select %(number)s::int as number, pg_backend_pid() as pid"
    answers = await asked(pool, statement, [{"number": number} for number in range(300)])
    assert [row["number"] for (row,) in answers] == list(range(300))
    assert len({row["pid"] for (row,) in answers}) <= pipelined.LANES
    await trio.testing.wait_all_tasks_blocked()
    assert pool.used == 0  # whoever has nothing to ask holds none


@pytest.mark.parametrize("failing", [1, 50, 100])
async def test_who_fails_fails_alone(pool: Pool, failing: int) -> None:
    many = [{"one": 1, "by": 0 if number < failing else number} for number in range(100)]
    answers = await asked(pool, "select %(one)s / %(by)s as part", many)
    assert [isinstance(answer, psycopg.errors.DivisionByZero) for answer in answers] == [
        number < failing for number in range(100)
    ]
    assert len({id(answer) for answer in answers}) == 100  # each raises its own


async def test_a_statement_that_is_none_fails_alone_and_each_time(pool: Pool) -> None:
    answers: list[Any] = []

    async def one(statement: str) -> None:
        try:
            answers.append((await pool.rows(statement, {}))[0]["one"])
        except psycopg.errors.UndefinedTable as error:
            answers.append(error.sqlstate)

    for _ in range(2):
        answers.clear()
        async with trio.open_nursery() as nursery:
            for statement in ["select 1 as one", "select 1 as one from nowhere", "select 2 as one"] * 5:
                nursery.start_soon(one, statement)
        assert sorted(answers, key=str) == [1] * 5 + [2] * 5 + ["42P01"] * 5


async def test_who_takes_long_holds_nobody_up(pool: Pool) -> None:
    done: list[int] = []
    all_others = trio.Event()
    async with trio.open_nursery() as nursery:

        async def one(number: int) -> None:
            await pool.rows(SLEEPS, {"number": number, "sleep_s": 600 if number in (3, 40) else 0})
            done.append(number)
            if len(done) == 98:
                all_others.set()

        for number in range(100):
            nursery.start_soon(one, number)
        with trio.fail_after(PATIENCE_S):
            await all_others.wait()
        assert await pool.rows("select 1 as one", {}) == [{"one": 1}]
        nursery.cancel_scope.cancel()
    assert not {3, 40} & set(done)


async def test_who_leaves_harms_nobody_and_ends_what_nobody_waits_for(pool: Pool, other: Pool) -> None:
    answers: list[int] = []
    async with trio.open_nursery() as nursery:

        async def one(number: int, scope: trio.CancelScope) -> None:
            with scope:
                (row,) = await pool.rows(SLEEPS, {"number": number, "sleep_s": 0.1 if number < 2 else 0})
                answers.append(row["number"])

        scopes = [trio.CancelScope() for _ in range(60)]
        for number, scope in enumerate(scopes):
            nursery.start_soon(one, number, scope)
        await until(other, f"select exists ({SLEEPING})")
        for scope in scopes[::3]:
            scope.cancel()
    assert set(answers) >= {number for number in range(60) if number % 3}

    with trio.move_on_after(0.2):
        await pool.rows(SLEEPS, {"number": 0, "sleep_s": 600})
    await until(other, f"select not exists ({SLEEPING})")


async def test_columns_have_any_name(pool: Pool) -> None:
    rows = await pool.rows(
        """select 1 as "a'b", 2 as "a""b", 3 as "\\", 4 as class, 5 as "{x}", 6 as v0, 7 as "é" """, {}
    )
    assert rows == [{"a'b": 1, 'a"b': 2, "\\": 3, "class": 4, "{x}": 5, "v0": 6, "é": 7}]
    assert await pool.rows("select", {}) == [{}]


@pytest.mark.parametrize("turns", range(12))
async def test_cancelled_at_any_turn_of_the_loop(pool: Pool, turns: int) -> None:
    async with trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def one() -> None:
            with scope:
                await pool.rows("select 1 as one", {})

        nursery.start_soon(one)
        for _ in range(turns):
            await trio.lowlevel.checkpoint()
        scope.cancel()
    assert await pool.rows("select 2 as two", {}) == [{"two": 2}]


async def test_a_server_process_that_dies_is_transient_to_all_and_replaced(pool: Pool, other: Pool) -> None:
    (row,) = await pool.rows("select pg_backend_pid() as pid", {})
    async with trio.open_nursery() as nursery:

        async def kill() -> None:
            await until(other, "select state = 'active' from pg_stat_activity where pid = %s", row["pid"])
            os.kill(row["pid"], signal.SIGTERM)

        nursery.start_soon(kill)
        many = [{"number": number, "sleep_s": 600 if number == 0 else 0} for number in range(20)]
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(pipelined, "HELD_S", 600.0)
            answers = await asked(pool, SLEEPS, many)
    lost = [answer for answer in answers if isinstance(answer, Transient)]
    assert lost and all(answer is lost[0] or answer.args == answer.args for answer in lost)
    assert all(isinstance(answer, Transient) or answer[0]["number"] in range(1, 20) for answer in answers)
    assert await pool.rows("select 1 as one", {}) == [{"one": 1}]


async def test_a_server_that_is_away_is_transient_to_all(database: str) -> None:
    away = Pool(make_conninfo("", **{**conninfo_to_dict(database), "port": "1"}), 2, name="away")
    answers = await asked(away, "select 1 as one", [{}] * 5)
    assert all(isinstance(answer, Transient) for answer in answers)
    await away.aclose()


async def test_a_pool_that_is_exhausted_is_transient(database: str) -> None:
    pool = Pool(database, 1, name="small", acquire_s=0.05)
    async with pool.connection():
        (answer,) = await asked(pool, "select 1 as one", [{}])
        assert isinstance(answer, Transient) and "exhausted" in str(answer)
    assert await pool.rows("select 1 as one", {}) == [{"one": 1}]
    await pool.aclose()


async def test_a_closed_pool_answers_nobody(database: str) -> None:
    pool = Pool(database, 2, name="closed")
    await pool.rows("select 1 as one", {})
    await pool.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await pool.rows("select 1 as one", {})


async def test_each_is_asked_as_whose_it_is_and_nobodys_as_nobodys(pool: Pool) -> None:
    answers = await asked(pool, WHOSE, [{"number": n} for n in range(90)], whose=lambda n: (None, 7, 8)[n % 3])
    assert [row["whose"] or None for (row,) in answers] == [(None, "7", "8")[n % 3] for n in range(90)]
    (row,) = await pool.rows(WHOSE, {"number": 0})
    assert not row["whose"]


async def test_in_a_unit_of_work_it_belongs_to_its_transaction(pool: Pool) -> None:
    await ask(pool, "create table thing (id integer primary key)")
    with pytest.raises(ZeroDivisionError):
        async with unit.begun(pool, 7):
            async with pool.connection() as connection:
                await connection.rows("insert into thing values (%(id)s)", {"id": 1})
            assert await pool.rows("select id from thing", {}) == [{"id": 1}]
            assert (await pool.rows(WHOSE, {"number": 0}, whose=7))[0]["whose"] == "7"
            assert (await pool.rows(WHOSE, {"number": 0}, whose=8))[0]["whose"] == "8"
            assert (await pool.rows(WHOSE, {"number": 0}))[0]["whose"] == "7"
            raise ZeroDivisionError
    assert await pool.rows("select id from thing", {}) == []


async def test_what_writes_has_a_transaction_of_its_own(pool: Pool) -> None:
    await ask(pool, "create table thing (id integer primary key, whose text)")
    insert = "insert into thing values (%(id)s, current_setting('gcc.partner_id', true)) returning id, whose"
    many = [{"id": number % 5} for number in range(10)]
    answers = await asked(pool, insert, many, whose=lambda number: 7)
    written = [answer[0] for answer in answers if isinstance(answer, list)]
    assert sorted(row["id"] for row in written) == [0, 1, 2, 3, 4] and {row["whose"] for row in written} == {"7"}
    assert sum(isinstance(answer, psycopg.errors.UniqueViolation) for answer in answers) == 5


async def test_of_several_statements_none_behind_one_that_fails_is_done(pool: Pool) -> None:
    await ask(pool, "create table thing (id integer primary key)")
    insert = "insert into thing values (%(id)s)"
    async with pool.connection() as connection:
        rows = await connection.rows_of([(insert, {"id": 1}), ("select id from thing", {})])
        assert rows == [[], [{"id": 1}]]
        with pytest.raises(psycopg.errors.UniqueViolation):
            await connection.rows_of([(insert, {"id": 2}), (insert, {"id": 1}), (insert, {"id": 3})])
        assert await connection.rows("select id from thing", {}) == [{"id": 1}]


async def test_columns_that_change_are_read_as_they_are(pool: Pool) -> None:
    await ask(pool, "create table thing (id integer)")
    await ask(pool, "insert into thing values (1)")
    assert await pool.rows("select * from thing", {}) == [{"id": 1}]
    await ask(pool, "alter table thing alter id type text")
    await ask(pool, "alter table thing add also boolean")
    for _ in range(2):
        assert await pool.rows("select * from thing", {}) == [{"id": "1", "also": None}]


async def test_a_connection_keeps_so_many_statements_prepared(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelined, "PREPARED_MAX", 3)
    for _ in range(2):
        for number in range(10):
            assert await pool.rows(f"select {number} as number", {}) == [{"number": number}]
    (row,) = await pool.rows("select count(*) from pg_prepared_statements", {})
    assert row["count"] <= 3


async def test_what_psycopg_has_the_server_forget_is_prepared_again(database: str) -> None:
    pool = Pool(database, 1, name="one")
    async with pool.connection() as connection:
        for _ in range(7):  # psycopg prepares it
            await connection.execute("select 1")
        assert await connection.rows("select 2 as two", {}) == [{"two": 2}]
        await connection.execute("begin")
        await connection.execute("rollback")  # after which it has all forgotten
        await connection.execute("begin")
        assert await connection.rows("select 2 as two", {}) == [{"two": 2}]
    await pool.aclose()


@pytest.mark.parametrize("sql, value", [
    ("'2026-01-02 03:04:05.000006+05:30'::timestamptz", dt.datetime(2026, 1, 1, 21, 34, 5, 6, dt.UTC)),
    ("'2026-01-02'::date", dt.date(2026, 1, 2)),
    ("""'{"a": [1, "é"]}'::jsonb""", {"a": [1, "é"]}),
    ("'[1]'::json", [1]),
    ("1.50::numeric", Decimal("1.50")),
    ("1.5::float8", 1.5),
    ("'0190c5e0-0000-7000-8000-000000000000'::uuid", uuid.UUID("0190c5e0-0000-7000-8000-000000000000")),
    (r"'\x0001'::bytea", b"\x00\x01"),
    ("array['a', null]::text[]", ["a", None]),
    ("null::text", None),
    ("true", True),
    ("'100 %%'::text", "100 %"),
])  # fmt: skip
async def test_values_are_what_they_are_everywhere(pool: Pool, sql: str, value: Any) -> None:
    assert await pool.rows(f"select {sql} as value", {}) == [{"value": value}]
