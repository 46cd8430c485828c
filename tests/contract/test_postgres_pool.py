"""psycopg on Trio and the pool, against a real server: results, errors, bounds, and cancellation anywhere."""

import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import psycopg
import pytest
import trio
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import namedtuple_row
from psycopg.types.json import Jsonb

from gcc.errors import ConfigError, Transient
from gcc.stores import postgres
from gcc.stores.postgres import PSYCOPG, Connection, Pool

PATIENCE_S = 20.0


async def value(connection: Connection, query: str, *params: Any) -> Any:
    """The first column of the first row; None for a statement without rows."""
    cursor = await connection.execute(query, params or None)
    row = await cursor.fetchone() if cursor.description else None
    return row[0] if row else None


async def ask(pool: Pool, query: str, *params: Any) -> Any:
    async with pool.connection() as connection:
        return await value(connection, query, *params)


async def until(pool: Pool, query: str, *params: Any) -> None:
    """Ask until the database says true."""
    with trio.fail_after(PATIENCE_S):
        while True:
            if await ask(pool, query, *params):
                return
            await trio.sleep(0.005)


@pytest.fixture
async def table(pool: Pool) -> str:
    await ask(pool, "create table thing (id integer primary key, text text)")
    return "thing"


@pytest.fixture
async def other(database: str) -> Any:
    """A second pool, to look at the first one's sessions from outside."""
    pool = Pool(database, 2, name="other")
    yield pool
    await pool.aclose()


def test_psycopg_is_the_version_whose_private_names_were_checked() -> None:
    assert psycopg.__version__ == PSYCOPG


async def test_a_connection_executes_in_autocommit_mode(pool: Pool, other: Pool, table: str) -> None:
    async with pool.connection() as connection:
        await connection.execute("insert into thing values (1, 'one')")
        assert await ask(other, "select text from thing where id = 1") == "one"
        assert await value(connection, "select %s::jsonb", Jsonb({"a": [1]})) == {"a": [1]}
        async with connection.cursor(row_factory=namedtuple_row) as cursor:
            await cursor.execute("select id, text from thing")
            assert [row.text for row in await cursor.fetchall()] == ["one"]


async def test_a_transaction_commits_at_its_end_and_not_before(pool: Pool, other: Pool, table: str) -> None:
    async with pool.transaction() as connection:
        await connection.execute("insert into thing values (1)")
        assert await ask(other, "select count(*) from thing") == 0
    assert await ask(other, "select count(*) from thing") == 1


async def test_an_exception_rolls_back_and_keeps_the_connection(pool: Pool, table: str) -> None:
    pid = await ask(pool, "select pg_backend_pid()")
    with pytest.raises(ZeroDivisionError):
        async with pool.transaction() as connection:
            await connection.execute("insert into thing values (1)")
            raise ZeroDivisionError
    assert await ask(pool, "select count(*) from thing") == 0
    assert await ask(pool, "select pg_backend_pid()") == pid


async def test_a_nested_transaction_rolls_back_alone(pool: Pool, table: str) -> None:
    async with pool.transaction() as connection:
        await connection.execute("insert into thing values (1)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            async with connection.transaction():
                await connection.execute("insert into thing values (1)")
        await connection.execute("insert into thing values (2)")
    assert await ask(pool, "select array_agg(id order by id) from thing") == [1, 2]


async def test_copy_in_and_out(pool: Pool, table: str) -> None:
    async with pool.connection() as connection, connection.cursor() as cursor:
        async with cursor.copy("copy thing (id, text) from stdin") as copy:
            for number in range(10_000):
                await copy.write_row((number, "x"))
        async with cursor.copy("copy thing to stdout") as copy:
            assert sum([bytes(block).count(b"\n") async for block in copy]) == 10_000


async def test_a_connection_that_never_has_to_wait_lets_other_tasks_run(pool: Pool) -> None:
    """As a COPY of many small rows, which go into a buffer."""

    def no_wait() -> PQGen[None]:
        return
        yield

    ran = trio.Event()

    async def other() -> None:
        ran.set()

    async with pool.connection() as connection, trio.open_nursery() as nursery:
        nursery.start_soon(other)
        begun = trio.current_time()
        while not ran.is_set() and trio.current_time() < begun + PATIENCE_S:
            await connection.wait(no_wait())
        assert ran.is_set()


async def test_statements_larger_than_any_socket_buffer(pool: Pool) -> None:
    text = "x" * 20_000_000
    assert await ask(pool, "select %s", text) == text


async def test_executemany_and_pipelines(pool: Pool, table: str) -> None:
    async with pool.connection() as connection:
        await connection.cursor().executemany("insert into thing values (%s, %s)", [(n, "x" * n) for n in range(5000)])
        async with connection.pipeline():
            first = await connection.execute("select count(*) from thing")
            second = await connection.execute("select max(id) from thing")
        assert (await first.fetchone(), await second.fetchone()) == ((5000,), (4999,))
    assert pool.used == 0


async def test_notifies_end_at_their_timeout_with_what_came(pool: Pool) -> None:
    async with pool.connection() as connection:
        await connection.execute("listen here")
        await connection.execute("notify here, 'one'")
        async with aclosing(connection.notifies(timeout=0.05)) as notifications:
            assert [notification.payload async for notification in notifications] == ["one"]
        assert await value(connection, "select 1") == 1


async def test_the_connection_used_last_is_used_next(pool: Pool) -> None:
    async with pool.connection() as first, pool.connection() as second:
        pids = [first.info.backend_pid, second.info.backend_pid]
        assert pids[0] != pids[1]
    # `second` came back before `first`
    assert await ask(pool, "select pg_backend_pid()") == pids[0]


async def test_a_full_pool_makes_wait_and_then_gives_up(database: str) -> None:
    pool = Pool(database, 2, name="small", acquire_s=0.05)
    async with pool.connection(), pool.connection():
        assert (pool.used, pool.size) == (2, 2)
        with pytest.raises(Transient, match="pool small exhausted: all 2 in use"):
            await ask(pool, "select 1")
        assert pool.used == 2
    assert pool.used == 0
    assert await ask(pool, "select 1") == 1
    await pool.aclose()


async def test_tasks_share_a_pool_smaller_than_their_number(database: str) -> None:
    pool, answers = Pool(database, 2, name="small"), []

    async def work(number: int) -> None:
        answers.append(await ask(pool, "select %s::int", number))
        assert pool.used <= 2

    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(work, number)
    assert sorted(answers) == list(range(50))
    await pool.aclose()


async def test_a_closed_pool_refuses_and_closes_what_comes_back(database: str, pool: Pool) -> None:
    async with pool.connection() as connection:
        await pool.aclose()
        assert await value(connection, "select 1") == 1
    assert connection.closed
    with pytest.raises(trio.ClosedResourceError, match="pool test is closed"):
        await ask(pool, "select 1")


# -- errors


async def test_errors_of_sql_and_data_pass_unchanged(pool: Pool, table: str) -> None:
    pid = await ask(pool, "select pg_backend_pid()")
    with pytest.raises(psycopg.errors.UndefinedTable):
        await ask(pool, "select * from nowhere")
    with pytest.raises(psycopg.errors.UniqueViolation):
        await ask(pool, "insert into thing values (1), (1)")
    assert await ask(pool, "select pg_backend_pid()") == pid


async def test_a_statement_timeout_is_transient_and_keeps_the_connection(pool: Pool) -> None:
    pid = await ask(pool, "select pg_backend_pid()")
    with pytest.raises(Transient, match="statement timeout") as caught:
        async with pool.transaction() as connection:
            await connection.execute("set local statement_timeout = '10ms'")
            await connection.execute("select pg_sleep(60)")
    assert isinstance(caught.value.__cause__, psycopg.errors.QueryCanceled)
    assert await ask(pool, "select pg_backend_pid(), current_setting('statement_timeout')") == pid


async def test_a_lock_timeout_is_transient(pool: Pool, other: Pool, table: str) -> None:
    async with other.transaction() as holder:
        await holder.execute("lock table thing")
        with pytest.raises(Transient, match="lock timeout"):
            async with pool.transaction() as connection:
                await connection.execute("set local lock_timeout = '10ms'")
                await connection.execute("insert into thing values (1)")


async def test_a_deadlock_is_transient_for_one_of_both(postgres_server: str, database: str, table: str) -> None:
    # A superuser's, who may change how soon a deadlock is looked for.
    pool = Pool(make_conninfo(postgres_server, dbname=conninfo_to_dict(database)["dbname"]), 2, name="test")
    await ask(pool, "insert into thing values (1), (2)")
    outcomes: list[str] = []
    holding = [trio.Event(), trio.Event()]

    async def cross(mine: int) -> None:
        try:
            async with pool.transaction() as connection:
                await connection.execute("set local deadlock_timeout = '10ms'")
                await connection.execute("update thing set text = 'x' where id = %s", (mine + 1,))
                holding[mine].set()
                await holding[1 - mine].wait()
                await connection.execute("update thing set text = 'x' where id = %s", (2 - mine,))
            outcomes.append("committed")
        except Transient as error:
            assert isinstance(error.__cause__, psycopg.errors.DeadlockDetected)
            outcomes.append("transient")

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(cross, 0)
            nursery.start_soon(cross, 1)
    assert sorted(outcomes) == ["committed", "transient"]
    await pool.aclose()


async def test_a_refused_connection_is_transient_and_names_the_host_only() -> None:
    pool = Pool("postgresql://someone:hunter2@127.0.0.1:1/db", 1, name="test")
    with pytest.raises(Transient, match=r"postgres at 127\.0\.0\.1:1/db: .*refused") as caught:
        await ask(pool, "select 1")
    assert "hunter2" not in f"{caught.value} {caught.value.__cause__}"
    assert pool.used == 0


async def test_an_unknown_host_is_transient() -> None:
    with pytest.raises(Transient, match=r"nowhere\.invalid"):
        await ask(Pool("host=nowhere.invalid", 1, name="test"), "select 1")


def test_a_malformed_connection_string_is_a_config_error_without_its_text() -> None:
    with pytest.raises(ConfigError, match=r"postgres\.url") as caught:
        Pool("postgresql://someone:hunter2@[db", 1, name="test")
    assert "hunter2" not in str(caught.value)


async def test_a_server_that_never_answers_times_out() -> None:
    async with trio.open_nursery() as nursery:
        # Nobody accepts: the kernel answers the connection, then there is silence.
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        with pytest.raises(psycopg.errors.ConnectionTimeout), trio.fail_after(PATIENCE_S):
            await Connection.connect(f"host=127.0.0.1 port={port}", connect_s=0.05)
        pool = Pool(f"host=127.0.0.1 port={port}", 1, name="test")
        nursery.start_soon(ask, pool, "select 1")
        await trio.testing.wait_all_tasks_blocked()
        assert pool.used == 1
        nursery.cancel_scope.cancel()
    assert pool.used == 0
    await listener.aclose()


async def test_a_host_name_is_resolved_and_each_address_tried(database: str) -> None:
    """localhost is ::1 and 127.0.0.1 in most places; the server behind this proxy has only the latter."""
    socket = conninfo_to_dict(database)["host"]

    async def forward(source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
        async for block in source:
            await sink.send_all(block)

    async def serve(client: trio.SocketStream) -> None:
        async with await trio.open_unix_socket(f"{socket}/.s.PGSQL.5432") as server, trio.open_nursery() as nursery:
            nursery.start_soon(forward, client, server)
            await forward(server, client)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        port = listener.socket.getsockname()[1]
        pool = Pool(make_conninfo(database, host="localhost", port=port), 1, name="test")
        assert await ask(pool, "select 1") == 1
        await pool.aclose()
        nursery.cancel_scope.cancel()


# -- lost connections


async def test_a_connection_lost_while_idle_is_replaced_unnoticed(pool: Pool, other: Pool) -> None:
    pid = await ask(pool, "select pg_backend_pid()")
    await ask(other, "select pg_terminate_backend(%s, 5000)", pid)
    assert await ask(pool, "select pg_backend_pid()") != pid


async def test_a_connection_lost_in_a_query_is_transient_and_the_pool_goes_on(pool: Pool, other: Pool) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(terminate_sleepers, other)
        with pytest.raises(Transient), trio.fail_after(PATIENCE_S):
            await ask(pool, "select pg_sleep(60)")
    assert await ask(pool, "select 1") == 1


async def terminate_sleepers(other: Pool) -> None:
    await until(
        other,
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where application_name = 'gcc test' and query ~ 'pg_sleep'",
    )


async def test_closing_a_connection_wakes_the_task_that_waits_on_it(pool: Pool) -> None:
    async with pool.connection() as connection, trio.open_nursery() as nursery:

        async def wait_for_answer() -> None:
            with pytest.raises(psycopg.OperationalError):
                await connection.execute("select pg_sleep(60)")

        nursery.start_soon(wait_for_answer)
        await trio.testing.wait_all_tasks_blocked()
        await connection.close()
        nursery.cancel_scope.deadline = trio.current_time() + PATIENCE_S
    assert not nursery.cancel_scope.cancelled_caught


# -- cancellation

SLEEPERS = """select count(*) from pg_stat_activity
              where application_name = 'gcc test' and state = 'active' and query ~ 'pg_sleep'"""
WAITERS = "select count(*) from pg_stat_activity where application_name = 'gcc test' and wait_event_type = 'Lock'"


async def cancel_once(
    seen: Callable[[], Awaitable[None]], work: Callable[[], Awaitable[object]]
) -> None:  # the scope that is cancelled is around `work` alone, as a caller's deadline would be
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await seen()
            nursery.cancel_scope.cancel()


async def test_cancelling_a_task_cancels_its_query_on_the_server(pool: Pool, other: Pool) -> None:
    pid = await ask(pool, "select pg_backend_pid()")
    await cancel_once(lambda: until(other, SLEEPERS), lambda: ask(pool, "select pg_sleep(60)"))
    assert await ask(other, SLEEPERS) == 0
    assert pool.used == 0
    assert await ask(pool, "select pg_backend_pid()") != pid  # interrupted: not reused


async def test_a_deadline_inside_the_block_leaves_a_connection_that_works(pool: Pool) -> None:
    async with pool.connection() as connection:
        with trio.move_on_after(0.05) as deadline:
            await connection.execute("select pg_sleep(60)")
        assert deadline.cancelled_caught
        assert await value(connection, "select 1") == 1


async def test_a_cancelled_transaction_is_rolled_back(pool: Pool, other: Pool, table: str) -> None:
    async def work() -> None:
        async with pool.transaction() as connection:
            await connection.execute("insert into thing values (1)")
            await connection.execute("select pg_sleep(60)")

    await cancel_once(lambda: until(other, SLEEPERS), work)
    assert pool.used == 0
    with trio.fail_after(PATIENCE_S):
        await ask(pool, "insert into thing values (1)")  # would wait for the other insert, were it not undone
    assert await ask(pool, "select count(*) from thing") == 1


async def test_no_statement_runs_in_a_transaction_that_was_cancelled(pool: Pool, other: Pool, table: str) -> None:
    with pytest.raises(Transient):
        async with pool.connection() as connection:
            with trio.CancelScope() as scope:
                async with connection.transaction():
                    await connection.execute("insert into thing values (1)")
                    scope.cancel()
                    await trio.sleep_forever()
            await connection.execute("insert into thing values (2)")
    assert await ask(pool, "select count(*) from thing") == 0


async def test_cancelled_executemany_leaves_nothing_and_a_usable_pool(pool: Pool, other: Pool, table: str) -> None:
    async def work() -> None:
        async with pool.connection() as connection:
            rows = [(number, "x") for number in range(10_000)]
            await connection.cursor().executemany("insert into thing values (%s, %s)", rows)

    async with other.transaction() as holder:
        await holder.execute("insert into thing values (5000)")
        await cancel_once(lambda: until(other, WAITERS), work)
        assert pool.used == 0
        # The half-read pipeline's connection was closed; its session notices, at the latest, when the lock comes.
    await until(pool, "select count(*) = 1 from pg_stat_activity where application_name = 'gcc test'")
    assert await ask(pool, "select array_agg(id) from thing") in ([5000], list(range(5001)))
    assert await ask(pool, "select 1") == 1


@pytest.fixture(params=[-1.0, float("inf")], ids=["pausing always", "pausing never"])
def busy_s(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection pauses for other tasks now and then: a place more to be cancelled at."""
    monkeypatch.setattr(postgres, "BUSY_S", request.param)


async def test_cancelled_copy_stores_nothing(busy_s: None, pool: Pool, table: str) -> None:
    with trio.CancelScope() as scope:
        async with pool.connection() as connection, connection.cursor() as cursor:
            async with cursor.copy("copy thing (id) from stdin") as copy:
                await copy.write_row((1,))
                scope.cancel()
                await trio.sleep_forever()
    assert scope.cancelled_caught
    assert await ask(pool, "select count(*) from thing") == 0


async def large_statement(connection: Connection) -> None:
    await connection.execute("select %s", ["x" * 20_000_000])


async def pipeline(connection: Connection) -> None:
    async with connection.pipeline():
        await connection.execute("select 1")


@pytest.mark.parametrize("ask_in_vain", [large_statement, pipeline])
async def test_cancelled_while_the_server_does_not_answer_the_connection_is_given_up(
    ask_in_vain: Callable[[Connection], Awaitable[None]], pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what a task's last words meet on the closed connection does not hide the cancellation."""
    monkeypatch.setattr(postgres, "CANCEL_S", 0.05)
    pid = await ask(pool, "select pg_backend_pid()")
    stopped = trio.Event()

    async def work() -> None:
        async with pool.connection() as connection:
            os.kill(pid, signal.SIGSTOP)
            stopped.set()
            try:
                await ask_in_vain(connection)
            finally:
                assert connection.closed
                await connection.execute("select 'goodbye'")

    async def stuck() -> None:
        await stopped.wait()
        await trio.testing.wait_all_tasks_blocked()

    try:
        await cancel_once(stuck, work)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert pool.used == 0
    assert await ask(pool, "select 1") == 1


async def test_cancelled_while_waiting_for_a_connection(database: str) -> None:
    pool = Pool(database, 1, name="small")
    async with pool.connection():
        await cancel_once(trio.testing.wait_all_tasks_blocked, lambda: ask(pool, "select 1"))
    assert pool.used == 0
    assert await ask(pool, "select 1") == 1
    await pool.aclose()


async def test_cancelled_at_any_moment_the_pool_stays_whole(busy_s: None, pool: Pool, table: str) -> None:
    """Cancel after every possible number of scheduler turns: each time all of the transaction or nothing."""

    async def work(number: int) -> None:
        async with pool.transaction() as connection:
            await connection.execute("insert into thing values (%s, 'a')", (number * 2,))
            await connection.execute("insert into thing values (%s, 'b')", (number * 2 + 1,))

    for turns in range(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work, turns)
            for _ in range(turns):
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert pool.used == 0
    assert await ask(pool, "select count(*) from (select id / 2 from thing group by 1 having count(*) <> 2) half") == 0
    assert await ask(pool, "select 1") == 1
