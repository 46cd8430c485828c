"""A transaction of one partner: what row-level security goes by, from its first statement to its end and no longer."""

from collections.abc import AsyncIterator
from uuid import UUID

import psycopg
import pytest
import trio
from psycopg.errors import InvalidTextRepresentation, UndefinedObject

from gcc.stores.postgres import Connection, Pool
from gcc.stores.tenant import Tenant

WHOSE = "select current_setting('gcc.partner_id')::bigint"


async def whose(connection: Connection) -> int:
    ((partner_id,),) = await (await connection.execute(WHOSE)).fetchall()
    return int(partner_id)


async def count(pool: Pool) -> int:
    async with pool.connection() as connection:
        ((number,),) = await (await connection.execute("select count(*) from kept")).fetchall()
    return int(number)


@pytest.fixture
async def one(database: str) -> AsyncIterator[Pool]:
    """A pool that hands out the same connection each time, with a table."""
    pool = Pool(database, 1, name="one")
    async with pool.connection() as connection:
        await connection.execute("create table kept (id uuid primary key default gen_random_uuid())")
    yield pool
    await pool.aclose()


@pytest.mark.parametrize("asked", [7, Tenant(7, "FREE", user_id=UUID(int=1))], ids=["id", "tenant"])
async def test_statements_run_as_of_the_partner_until_the_block_ends(one: Pool, asked: int | Tenant) -> None:
    async with one.connection() as before:
        with pytest.raises(UndefinedObject):
            await whose(before)
    async with one.tenant(asked) as connection:
        assert await whose(connection) == 7
        async with connection.transaction():
            assert await whose(connection) == 7
    async with one.connection() as after:
        assert after is before
        with pytest.raises(InvalidTextRepresentation):
            await whose(after)
    async with one.tenant(8) as connection:
        assert await whose(connection) == 8


async def test_what_it_writes_is_committed_at_the_end_of_the_block(one: Pool, database: str) -> None:
    other = Pool(database, 1, name="other")
    async with one.tenant(7) as connection:
        await connection.execute("insert into kept default values")
        assert await count(other) == 0
    assert await count(other) == 1
    await other.aclose()


@pytest.mark.parametrize(
    "odd", [ValueError("no"), psycopg.errors.UniqueViolation("no")], ids=["ours", "the database's"]
)
async def test_an_exception_rolls_back_and_keeps_the_connection(one: Pool, odd: Exception) -> None:
    with pytest.raises(type(odd)):
        async with one.tenant(7) as connection:
            await connection.execute("insert into kept default values")
            raise odd
    async with one.connection() as after:
        assert after is connection
    assert await count(one) == 0


async def test_a_failed_statement_rolls_back_and_keeps_the_connection(one: Pool) -> None:
    with pytest.raises(psycopg.errors.DivisionByZero):
        async with one.tenant(7) as connection:
            await connection.execute("insert into kept default values")
            await connection.execute("select 1 / 0")
    async with one.connection() as after:
        assert after is connection
    assert await count(one) == 0


async def test_cancelled_it_leaves_nothing_and_no_setting(one: Pool) -> None:
    with trio.move_on_after(5) as patience:
        async with one.tenant(7) as connection:
            await connection.execute("insert into kept default values")
            patience.cancel()
            await connection.execute("select pg_sleep(60)")
    assert patience.cancelled_caught
    async with one.connection() as after:
        assert after is not connection
        with pytest.raises(UndefinedObject):
            await whose(after)
    assert await count(one) == 0


async def test_a_partner_that_is_no_number_is_not_asked(one: Pool) -> None:
    with pytest.raises((ValueError, AttributeError)):
        async with one.tenant("7'; drop table kept; --"):  # type: ignore[arg-type]
            pytest.fail("it was asked")
    assert await count(one) == 0
