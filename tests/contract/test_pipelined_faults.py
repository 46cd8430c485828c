"""What may go wrong while many ask one pool: nobody has another's answer or error, nor waits for it without end."""

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import psycopg
import pytest
import trio
import trio.testing
from psycopg.conninfo import make_conninfo

from gcc.errors import Transient
from gcc.stores import pipelined, unit
from gcc.stores.postgres import Pool
from tests.contract.test_pipelined import PATIENCE_S, SLEEPS, WHOSE
from tests.contract.test_postgres_pool import ask, until

SLOW = "select current_setting('gcc.partner_id', true) as whose, pg_sleep(%(sleep_s)s)::text as slept"
FIRST, SECOND = "select count(*) as first from first_gate", "select count(*) as second from second_gate"
WAITING = "select count(*) = %s from pg_stat_activity where wait_event_type = 'Lock' and query = %s"
ASLEEP = (
    "select count(*) = %s from pg_stat_activity"
    " where state = 'active' and query like '%%pg_sleep($%%' and pid <> pg_backend_pid()"
)


@pytest.fixture
async def other(database: str) -> Any:
    """A second pool, to look at the first one's sessions from outside."""
    pool = Pool(database, 2, name="other")
    yield pool
    await pool.aclose()


@pytest.fixture
def plain(database: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that holds the loop up while it talks."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


Shut = Callable[[str], psycopg.Connection[Any]]


@pytest.fixture
def shut(database: str, plain: psycopg.Connection[Any]) -> Iterator[Shut]:
    """Shuts a gate, at which FIRST or SECOND waits until the transaction ends."""
    plain.execute("create table first_gate ()")
    plain.execute("create table second_gate ()")
    with ExitStack() as stack:

        def lock(name: str) -> psycopg.Connection[Any]:
            holder = stack.enter_context(psycopg.connect(database))
            holder.execute(f"lock table {name} in access exclusive mode".encode())
            return holder

        yield lock


Asking = dict[str, Any]
"""What each statement was answered, or its error."""


async def one_by_one(
    pool: Pool, statements: dict[str, trio.CancelScope], answers: Asking, nursery: trio.Nursery
) -> None:
    """Have them asked in one message in that order."""

    async def one(statement: str, scope: trio.CancelScope) -> None:
        with scope:
            try:
                answers[statement] = await pool.rows(statement, {})
            except (psycopg.Error, Transient) as error:
                answers[statement] = error

    async with AsyncExitStack() as taken:
        for _ in range(pool.size):
            await taken.enter_async_context(pool.connection())
        for statement, scope in statements.items():
            nursery.start_soon(one, statement, scope)
            await trio.testing.wait_all_tasks_blocked()


async def test_who_leaves_as_it_is_held_leaves_its_answer_to_nobody(database: str) -> None:
    pool = Pool(database, 1, name="one")
    for partner_id in (7, 8):
        await pool.rows(SLOW, {"sleep_s": 0.0}, whose=partner_id)
    scope = trio.CancelScope()

    async def one() -> None:
        with scope:
            await pool.rows(SLOW, {"sleep_s": 0.5}, whose=7)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one)
        while not pool._lanes._held:
            await trio.lowlevel.checkpoint()
        scope.cancel()  # in the turn of the loop between two waits for its answer
        (row,) = await pool.rows(SLOW, {"sleep_s": 0.0}, whose=8)
    assert row["whose"] == "8"
    await pool.aclose()


async def test_who_was_moved_is_not_cancelled_with_whom_it_left(
    pool: Pool, other: Pool, shut: Shut, plain: psycopg.Connection[Any]
) -> None:
    first, second, scope = shut("first_gate"), shut("second_gate"), trio.CancelScope()
    answers: Asking = {}
    async with trio.open_nursery() as nursery:
        await one_by_one(pool, {FIRST: scope, SECOND: trio.CancelScope()}, answers, nursery)
        await until(other, WAITING, 1, FIRST)
        await until(other, WAITING, 1, SECOND)  # elsewhere
        first.rollback()
        while plain.execute(WAITING, (2, SECOND)).fetchone() != (True,):
            pass  # what was left there is at work, too; that FIRST is answered is not read yet
        scope.cancel()
        await until(other, WAITING, 1, SECOND)
        second.rollback()
    assert answers == {SECOND: [{"second": 0}]}


async def test_what_was_moved_soon_ends_where_it_was(
    pool: Pool, other: Pool, shut: Shut, plain: psycopg.Connection[Any]
) -> None:
    first, second = shut("first_gate"), shut("second_gate")
    answers: Asking = {}
    async with trio.open_nursery() as nursery:
        await one_by_one(pool, {FIRST: trio.CancelScope(), SECOND: trio.CancelScope()}, answers, nursery)
        await until(other, WAITING, 1, FIRST)
        await until(other, WAITING, 1, SECOND)
        first.rollback()
        while plain.execute(WAITING, (2, SECOND)).fetchone() != (True,):
            pass
        await until(other, WAITING, 1, SECOND)
        second.rollback()
    assert answers == {FIRST: [{"first": 0}], SECOND: [{"second": 0}]}


async def test_who_is_in_the_way_of_others_as_they_share_a_transaction_is_asked_again(
    pool: Pool, other: Pool, shut: Shut
) -> None:
    holder = shut("first_gate")
    answers: Asking = {}
    async with trio.open_nursery() as nursery:
        await one_by_one(pool, {SECOND: trio.CancelScope(), FIRST: trio.CancelScope()}, answers, nursery)
        await until(other, WAITING, 1, FIRST)
        holder.execute("lock table second_gate in access exclusive mode")  # as soon as the deadlock is found
        holder.rollback()
    assert answers == {FIRST: [{"first": 0}], SECOND: [{"second": 0}]}


async def test_where_all_connections_have_slow_statements_the_next_is_told(database: str, other: Pool) -> None:
    pool = Pool(database, 6, name="six", acquire_s=0.5)
    async with trio.open_nursery() as nursery:
        for number in range(6):
            nursery.start_soon(pool.rows, SLEEPS, {"number": number, "sleep_s": 600})
        await until(other, ASLEEP, 6)
        with trio.fail_after(PATIENCE_S), pytest.raises(Transient, match="exhausted"):
            await pool.rows("select 1 as one", {})
        nursery.cancel_scope.cancel()
    await pool.aclose()


async def test_readers_without_end_leave_others_their_turn_and_end_with_the_pool(database: str) -> None:
    pool = Pool(database, pipelined.LANES, name="few", acquire_s=PATIENCE_S / 2)

    async def read() -> None:
        with pytest.raises(trio.ClosedResourceError):
            while True:
                await pool.rows("select 1 as one", {})

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            for _ in range(4 * pipelined.BATCH_MAX):
                nursery.start_soon(read)
            await pool.rows("select 1 as one", {})
            for _ in range(3):
                assert await ask(pool, "select 1") == 1
            await pool.aclose()


async def test_whose_it_is_cannot_be_said(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipelined, "WHOSE", b"select 1 / (%(partner)s::int - 7)")
    with trio.fail_after(PATIENCE_S):
        with pytest.raises(psycopg.errors.DivisionByZero):
            await pool.rows(WHOSE, {"number": 1}, whose=7)
        assert len(await pool.rows(WHOSE, {"number": 1}, whose=8)) == 1


async def test_a_statement_that_fails_each_time_is_not_kept_by_the_server(database: str) -> None:
    pool = Pool(database, 1, name="one")
    for _ in range(9):
        with pytest.raises(psycopg.errors.UndefinedObject):
            await pool.rows("select current_setting('nowhere.known')", {})
        async with pool.connection() as connection:
            with pytest.raises(psycopg.errors.UndefinedObject):
                await connection.rows("select current_setting('nowhere.known') as own", {})
    (row,) = await pool.rows("select count(*) from pg_prepared_statements", {})
    assert row["count"] <= 2  # this one, and the one that failed last
    await pool.aclose()


@pytest.mark.parametrize("statement, reads", [
    ("select 1", True),
    ("-- to update\n/* x */ (with a as (select 1) select * from a)", False),  # who is not sure is asked alone
    ("\n-- a line\n/* and\nthis */ (with a as (select 1) select * from a)", True),
    ("select updated_at, lock, call from deleted", True),
    ("select 1 into fresh", False),
    ("with a as (insert into b values (1) returning 1) select * from a", False),
    ("select from a for no key\nupdate", False),
    ("select from a for key share", False),
    ("select setval('a', 1)", False),
    ("select pg_try_advisory_xact_lock(1)", False),
    ("select set_config('gcc.partner_id', '8', true)", False),
    ("set local gcc.partner_id = '8'", False),
    ("begin", False),
    ("commit", False),
    ("truncate a", False),
    ("copy a to stdout", False),
    ("notify a", False),
])  # fmt: skip
def test_what_only_reads_is_known_by_its_words(statement: str, reads: bool) -> None:
    assert pipelined.only_reads(statement) is reads


async def test_texts_are_what_they_are_in_a_session_of_another_encoding(database: str) -> None:
    pool = Pool(make_conninfo(database, client_encoding="latin1"), 1, name="latin")
    text = "Zoë 日本"
    assert await pool.rows("select %(text)s::text as text, length(%(text)s::text)", {"text": text}) == [
        {"text": text, "length": len(text)}
    ]
    await pool.aclose()


async def test_who_passes_over_a_value_that_cannot_be_said_is_still_within_its_transaction(pool: Pool) -> None:
    await ask(pool, "create table thing (id integer primary key)")
    with pytest.raises(ZeroDivisionError):
        async with pool.tenant(7) as connection:
            with pytest.raises(psycopg.DataError):
                await connection.rows("select %(text)s::text", {"text": "\0"})
            assert (await connection.rows(WHOSE, {"number": 0}))[0]["whose"] == "7"
            await connection.rows("insert into thing values (1)", {})
            raise ZeroDivisionError
    assert await pool.rows("select id from thing", {}) == []


async def test_what_a_failed_transaction_was_to_do_at_its_end_is_done_by_no_other(database: str) -> None:
    pool = Pool(database, 1, name="one")
    await ask(pool, "create table thing (id integer primary key)")
    with pytest.raises(ZeroDivisionError):
        async with unit.begun(pool), pool.connection() as connection:
            connection.last.append(("insert into thing values (1) returning id", {}))
            raise ZeroDivisionError
    async with pool.transaction() as connection:
        await connection.execute("select 1")
    assert await pool.rows("select id from thing", {}) == []
    await pool.aclose()


async def test_what_is_refused_when_it_is_committed_is_not_taken_for_done(pool: Pool) -> None:
    await ask(pool, "create table thing (id integer unique deferrable initially deferred)")
    async with pool.connection() as connection:
        with pytest.raises(psycopg.errors.UniqueViolation):
            await connection.rows("insert into thing values (1), (1) returning id", {})
        assert await connection.rows("select id from thing", {}) == []
