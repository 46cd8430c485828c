"""The credentials port: the fake and PostgreSQL pass the same tests."""

import datetime as dt
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

import pytest
import trio
import trio.testing

from gcc.clock import Clock
from gcc.errors import Transient
from gcc.sources.credentials import Credentials, NoCredential
from gcc.stores.credentials import PostgresCredentials
from gcc.stores.postgres import Connection, Pool
from tests.fakes.credentials import FakeCredentials

START = dt.datetime(2026, 10, 30, 12, tzinfo=dt.UTC)


class HandClock(Clock):
    """A clock that a test moves."""

    def __init__(self) -> None:
        super().__init__(random.Random(1))
        self.time = START

    def now(self) -> dt.datetime:
        return self.time

    def after_s(self, seconds: float) -> dt.datetime:
        return self.time + dt.timedelta(seconds=seconds)

    def pass_s(self, seconds: float) -> None:
        self.time = self.after_s(seconds)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(params=["fake", "postgres"])
async def credentials(request: pytest.FixtureRequest, clock: HandClock) -> AsyncIterator[Credentials]:
    if request.param == "fake":
        yield FakeCredentials(clock)
        return
    pool = Pool(request.getfixturevalue("database"), 2, name="test")
    yield PostgresCredentials(pool, clock)
    await pool.aclose()


async def handles(credentials: Credentials, source: str) -> set[str]:
    """The handles of those that may be picked now: enough draws to see each."""
    try:
        return {(await credentials.pick(source)).handle for _ in range(60)}
    except NoCredential:
        return set()


async def test_any_ready_one_of_the_source_is_picked(credentials: Credentials) -> None:
    for name in ("a", "b", "c"):
        assert await credentials.put("graphapi", name, {"token": f"secret {name}"})
    assert await credentials.put("ytapi", "other", {"token": "secret"})
    assert await handles(credentials, "graphapi") == {"a", "b", "c"}
    picked = await credentials.pick("ytapi")
    assert (picked.source, picked.handle, picked.secret) == ("ytapi", "other", {"token": "secret"})


async def test_none_at_all_is_no_credential_without_a_time(credentials: Credentials) -> None:
    with pytest.raises(NoCredential, match="graphapi") as caught:
        await credentials.pick("graphapi")
    assert caught.value.retry_after_s is None


async def test_a_rest_ends_by_itself(credentials: Credentials, clock: HandClock) -> None:
    await credentials.put("graphapi", "a", {"token": "1"})
    await credentials.put("graphapi", "b", {"token": "2"})
    while (first := await credentials.pick("graphapi")).handle != "a":
        pass
    await credentials.disable(first, until=clock.after_s(60), reason="429")
    assert await handles(credentials, "graphapi") == {"b"}
    await credentials.disable(await credentials.pick("graphapi"), until=clock.after_s(90), reason="429")
    with pytest.raises(NoCredential) as caught:
        await credentials.pick("graphapi")
    assert caught.value.retry_after_s == 60
    clock.pass_s(60)
    assert await handles(credentials, "graphapi") == {"a"}
    clock.pass_s(30)
    assert await handles(credentials, "graphapi") == {"a", "b"}


async def test_the_later_rest_holds(credentials: Credentials, clock: HandClock) -> None:
    await credentials.put("graphapi", "a", {"token": "1"})
    picked = await credentials.pick("graphapi")
    await credentials.disable(picked, until=clock.after_s(60), reason="429")
    await credentials.disable(picked, until=clock.after_s(5), reason="429 of a call that was slower")
    clock.pass_s(59)
    assert await handles(credentials, "graphapi") == set()


async def test_a_dead_one_waits_for_a_new_token(credentials: Credentials, clock: HandClock) -> None:
    await credentials.put("graphapi", "a", {"token": "old"})
    picked = await credentials.pick("graphapi")
    await credentials.disable(picked, until=None, reason="190")
    await credentials.disable(picked, until=clock.after_s(1), reason="a rest does not wake it")
    clock.pass_s(10**7)
    with pytest.raises(NoCredential) as caught:
        await credentials.pick("graphapi")
    assert caught.value.retry_after_s is None
    assert not await credentials.put("graphapi", "a", {"token": "old"})
    assert await handles(credentials, "graphapi") == set()
    assert await credentials.put("graphapi", "a", {"token": "new"})
    renewed = await credentials.pick("graphapi")
    assert (renewed.id, renewed.secret) == (picked.id, {"token": "new"})


async def test_the_same_token_ends_no_rest_and_a_new_one_does(credentials: Credentials, clock: HandClock) -> None:
    await credentials.put("graphapi", "a", {"token": "1", "ig_user_id": "17"})
    await credentials.disable(await credentials.pick("graphapi"), until=clock.after_s(60), reason="429")
    assert not await credentials.put("graphapi", "a", {"ig_user_id": "17", "token": "1"})
    assert await handles(credentials, "graphapi") == set()
    assert await credentials.put("graphapi", "a", {"token": "2", "ig_user_id": "17"})
    assert await handles(credentials, "graphapi") == {"a"}


@pytest.mark.parametrize("rest_s", [None, 60])
async def test_a_verdict_on_the_old_token_spares_the_new_one(
    credentials: Credentials, clock: HandClock, rest_s: float | None
) -> None:
    await credentials.put("graphapi", "a", {"token": "old"})
    old = await credentials.pick("graphapi")
    await credentials.put("graphapi", "a", {"token": "new"})
    await credentials.disable(old, until=clock.after_s(rest_s) if rest_s else None, reason="late")
    assert (await credentials.pick("graphapi")).secret == {"token": "new"}


async def test_without_leaves_out(credentials: Credentials) -> None:
    await credentials.put("graphapi", "a", {"token": "1"})
    await credentials.put("graphapi", "b", {"token": "2"})
    first = await credentials.pick("graphapi")
    second = await credentials.pick("graphapi", without=[first.id])
    assert {first.handle, second.handle} == {"a", "b"}
    with pytest.raises(NoCredential):
        await credentials.pick("graphapi", without=[first.id, second.id])


async def test_no_repr_shows_the_secret(credentials: Credentials, clock: HandClock) -> None:
    await credentials.put("graphapi", "a", {"token": "hush"})
    picked = await credentials.pick("graphapi")
    assert "hush" not in f"{picked!r} {picked}"
    await credentials.disable(picked, until=None, reason="190")
    with pytest.raises(NoCredential) as caught:
        await credentials.pick("graphapi")
    assert "hush" not in repr(caught.value)


# What only PostgreSQL has: a second of memory, other processes, and being away.


class CountingPool(Pool):
    used_times = 0

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        self.used_times += 1
        return super().connection()


async def test_picks_read_once_a_second(database: str, clock: HandClock, mock_clock: trio.testing.MockClock) -> None:
    pool = CountingPool(database, 4, name="test")
    ours, theirs = PostgresCredentials(pool, clock), PostgresCredentials(pool, clock)
    await theirs.put("graphapi", "a", {"token": "1"})
    before = pool.used_times
    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(ours.pick, "graphapi")
    assert pool.used_times == before + 1
    await theirs.put("graphapi", "a", {"token": "2"})
    assert (await ours.pick("graphapi")).secret == {"token": "1"}
    mock_clock.jump(1.0)
    assert (await ours.pick("graphapi")).secret == {"token": "2"}
    await pool.aclose()


async def test_a_cancelled_write_keeps_nothing_stale(
    database: str, clock: HandClock, mock_clock: trio.testing.MockClock
) -> None:
    pool = Pool(database, 2, name="test")
    credentials = PostgresCredentials(pool, clock)
    await credentials.put("graphapi", "a", {"token": "1"})
    picked = await credentials.pick("graphapi")
    await PostgresCredentials(pool, clock).disable(picked, until=None, reason="elsewhere")
    with trio.CancelScope() as scope:
        scope.cancel()
        await credentials.disable(picked, until=None, reason="190")
    assert (await credentials.pick("graphapi")).id == picked.id  # cancelled before it began: nothing happened
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: credentials.disable(picked, until=None, reason="190"))
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()  # in the middle of the statement
    with pytest.raises(NoCredential):
        await credentials.pick("graphapi")
    await pool.aclose()


async def test_a_lost_store_is_transient(clock: HandClock) -> None:
    pool = Pool("host=127.0.0.1 port=1 dbname=none", 1, name="test")
    with pytest.raises(Transient) as caught:
        await PostgresCredentials(pool, clock).pick("graphapi")
    assert not isinstance(caught.value, NoCredential)
