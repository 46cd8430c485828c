"""Referrals, on PostgreSQL and on the simulation's fake."""

import datetime as dt
import uuid
from collections.abc import Awaitable, Callable

import pytest

from gcc.channels.referrals import Referral, Referrals
from gcc.clock import SystemClock
from gcc.errors import Transient
from gcc.stores.postgres import Pool
from gcc.stores.referrals import PostgresReferrals
from tests.fakes.database import Connection, Database
from tests.fakes.referrals import FakeReferrals

AT = dt.datetime(2026, 3, 1, 10, 20, 30, tzinfo=dt.UTC)
Kept = Callable[[], Awaitable[list[tuple[str, str]]]]


@pytest.fixture(params=["fake", "postgres"])
def referrals(request: pytest.FixtureRequest, pool: Pool) -> tuple[Referrals, Kept]:
    if request.param == "fake":
        database = Database(SystemClock())

        async def kept() -> list[tuple[str, str]]:
            return sorted((each.event_id, each.referral_code) for each in database.referrals.values())

        return FakeReferrals(Connection(database)), kept

    async def rows() -> list[tuple[str, str]]:
        async with pool.connection() as conn:
            found = await conn.execute("select event_id::text, referral_code from referral order by event_id")
            return [(event_id, code) for event_id, code in await found.fetchall()]

    return PostgresReferrals(pool), rows


def referral(number: int, code: str) -> Referral:
    return Referral(str(uuid.UUID(int=number)), code, "r", "u", "d", "ANDROID", AT)


async def test_each_is_kept_once_and_as_it_was_first(referrals: tuple[Referrals, Kept]) -> None:
    store, kept = referrals
    await store.add([referral(2, "B"), referral(1, "A"), referral(2, "B")])
    await store.add([referral(1, "other"), referral(3, "C")])
    await store.add([])
    assert [code for _, code in await kept()] == ["A", "B", "C"]


async def test_a_table_that_takes_nothing_says_nothing_of_the_rows(pool: Pool) -> None:
    async with pool.connection() as conn:
        await conn.execute("alter table referral rename column channel to elsewhere")
    with pytest.raises(Transient, match="table referral: column"):
        await PostgresReferrals(pool).add([referral(1, "A")])
