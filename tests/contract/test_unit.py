"""Units of work against a real server: one transaction, whoever asks the pool, and what is told after it."""

from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

import psycopg
import pytest
import trio

from gcc.errors import Transient
from gcc.stores import unit
from gcc.stores.postgres import Connection, Pool

PATIENCE_S = 20.0


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    """Of one connection: whoever asked for a second one would wait in vain."""
    async with aclosing(Pool(database, 1, name="one", acquire_s=PATIENCE_S)) as pool:
        async with pool.connection() as connection:
            await connection.execute("create table thing (id integer primary key)")
        yield pool


@pytest.fixture
async def other(database: str) -> AsyncIterator[Pool]:
    async with aclosing(Pool(database, 2, name="other")) as pool:
        yield pool


async def add(pool: Pool, *ids: int) -> None:
    async with pool.transaction() as connection:
        for id in ids:
            await connection.execute("insert into thing values (%s)", [id])


async def ids(pool: Pool) -> list[int]:
    async with pool.connection() as connection:
        return [id for (id,) in await (await connection.execute("select id from thing order by id")).fetchall()]


async def test_all_that_a_task_writes_is_committed_at_the_end_and_not_before(pool: Pool, other: Pool) -> None:
    async with unit.begun(pool):
        assert pool.used == 0  # nothing is held before somebody asks
        await add(pool, 1)
        await add(pool, 2)
        assert (await ids(pool), await ids(other), pool.used) == ([1, 2], [], 1)
    assert (await ids(other), pool.used) == ([1, 2], 0)


async def test_a_refusal_takes_all_of_it_back(pool: Pool) -> None:
    with pytest.raises(LookupError):
        async with unit.begun(pool):
            await add(pool, 1)
            raise LookupError
    await add(pool, 1)
    assert await ids(pool) == [1]


async def test_a_store_s_own_transaction_is_taken_back_alone(pool: Pool) -> None:
    async with unit.begun(pool):
        await add(pool, 1)
        with pytest.raises(psycopg.errors.UniqueViolation):
            await add(pool, 2, 1)
        await add(pool, 3)
    assert await ids(pool) == [1, 3]


async def test_a_statement_that_failed_is_not_passed_over(pool: Pool) -> None:
    """PostgreSQL answers COMMIT with ROLLBACK then, which is no error."""
    with pytest.raises(psycopg.errors.InFailedSqlTransaction, match="nothing of it is committed"):
        async with unit.begun(pool):
            await add(pool, 1)
            async with pool.connection() as connection:
                with pytest.raises(psycopg.errors.UniqueViolation):
                    await connection.execute("insert into thing values (1)")
    assert await ids(pool) == []


async def test_nor_is_a_lost_connection(pool: Pool) -> None:
    """Nor one that was closed as its task stopped waiting: psycopg commits nothing on it, and says nothing."""
    with pytest.raises(Transient, match="before its transaction was committed"):
        async with unit.begun(pool):
            with trio.CancelScope() as scope:
                async with pool.transaction() as connection:
                    await connection.execute("insert into thing values (1)")
                    scope.cancel()
                    await trio.lowlevel.checkpoint()
    assert (await ids(pool), pool.used) == ([], 0)


async def test_others_are_told_after_the_commit_in_order(pool: Pool, other: Pool) -> None:
    told: list[object] = []

    async def tell(what: str) -> None:
        told.extend([what, await ids(other)])

    await unit.after_commit(lambda: tell("no unit"))
    async with unit.begun(pool):
        await add(pool, 1)
        await unit.after_commit(lambda: tell("first"))
        await unit.after_commit(lambda: tell("second"))
        assert told == ["no unit", []]
    assert told == ["no unit", [], "first", [1], "second", [1]]


async def test_nobody_is_told_of_what_was_taken_back(pool: Pool) -> None:
    async def tell() -> None:
        raise AssertionError

    with pytest.raises(LookupError):
        async with unit.begun(pool):
            await unit.after_commit(tell)
            raise LookupError


@pytest.mark.parametrize("ends", ["lost", "cancelled"])
async def test_where_nobody_knows_whether_it_was_committed_only_what_does_no_harm_is_done(
    pool: Pool, other: Pool, ends: str
) -> None:
    """The answer to COMMIT never comes: it has been committed, as we see from outside."""
    told: list[str] = []

    async def tell(what: str) -> None:
        await trio.lowlevel.checkpoint()
        told.append(what)

    async def interrupted(connection: Connection, gen: Any) -> None:
        await Connection.wait(connection, gen)
        if ends == "lost":
            raise psycopg.OperationalError
        scope.cancel()
        await trio.lowlevel.checkpoint()

    with trio.CancelScope() as scope, suppress(Transient):
        async with unit.begun(pool):
            await add(pool, 1)
            await unit.after_commit(lambda: tell("surely"))
            await unit.after_commit(lambda: tell("perhaps"), perhaps=True)
            async with pool.connection() as connection:
                connection.wait = partial(interrupted, connection)  # type: ignore[assignment]
    assert (told, await ids(other)) == (["perhaps"], [1])


async def test_telling_fails_alone_and_ends_whoever_has_stopped_waiting(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unit, "TELLING_S", 0.05)
    told = []

    async def fail() -> None:
        raise LookupError

    async def tell() -> None:
        await trio.lowlevel.checkpoint()
        told.append(pool.used)

    with trio.CancelScope() as asked:
        async with unit.begun(pool):
            await add(pool, 1)
            await unit.after_commit(fail)

            async def hang_up() -> None:
                asked.cancel()
                await tell()

            await unit.after_commit(hang_up)
            await unit.after_commit(trio.sleep_forever)
            await unit.after_commit(tell)
    assert (told, await ids(pool)) == ([0, 0], [1])  # the last one came after the one that took too long


async def test_tasks_that_a_unit_starts_have_connections_of_their_own(pool: Pool, other: Pool) -> None:
    with pytest.raises(LookupError):
        async with unit.begun(other):
            await add(other, 1)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(add, other, 2)
            raise LookupError
    assert await ids(pool) == [2]


async def whose(pool: Pool) -> str | None:
    async with pool.connection() as connection:
        ((partner,),) = await (await connection.execute("select current_setting('gcc.partner_id', true)")).fetchall()
    return None if partner is None else str(partner)


async def test_a_partner_s_part_of_it_is_a_savepoint_and_its_own(pool: Pool) -> None:
    async with unit.begun(pool):
        async with pool.tenant(7):
            await add(pool, 1)
            with pytest.raises(psycopg.errors.UniqueViolation):
                async with pool.tenant(8):
                    assert await whose(pool) == "8"
                    await add(pool, 2, 1)
            assert await whose(pool) == "7"
            async with pool.tenant(9):
                await add(pool, 3)
            assert await whose(pool) == "7"
        assert not await whose(pool)
    assert await ids(pool) == [1, 3]
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        async with pool.tenant(7) as connection:
            with pytest.raises(psycopg.errors.UniqueViolation):
                await connection.execute("insert into thing values (1)")


async def test_another_pool_is_not_part_of_it(pool: Pool, other: Pool) -> None:
    with pytest.raises(LookupError):
        async with unit.begun(pool):
            await add(pool, 1)
            await add(other, 2)
            raise LookupError
    assert await ids(pool) == [2]


async def test_a_unit_within_a_unit_is_a_mistake(pool: Pool) -> None:
    with pytest.raises(AssertionError, match="one unit of work"):
        async with unit.begun(pool), unit.begun(pool):
            raise LookupError
