"""What our own rows tell clients: the one of a process and PostgreSQL pass the same tests of hashtags."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trio
import trio.testing

from gcc.sources.known import HASHTAGS_MAX, HASHTAGS_PER_S, NO_ACCOUNT_S, Account, Author, InProcessKnown, Known
from gcc.sources.limits import LimitRefused
from gcc.stores.known import PostgresKnown
from gcc.stores.postgres import Pool

DAY_S = 86_400.0
ACCOUNTS = ("17", "18")
PassTime = Callable[[float], Awaitable[None]]


@pytest.fixture
async def pool(request: pytest.FixtureRequest) -> AsyncIterator[Pool]:
    pool = Pool(request.getfixturevalue("database"), 4, name="test")
    yield pool
    await pool.aclose()


async def put(pool: Pool, *accounts: str, kind: str = "facebook") -> None:
    async with pool.connection() as conn:
        for account in accounts:
            sql = "insert into credential (id, source, handle, kind, account) values (%s, 'graphapi', %s, %s, %s)"
            await conn.execute(sql, (uuid.uuid4(), f"{kind} {account}", kind, account))


@pytest.fixture(params=["in process", "postgres"])
async def known(request: pytest.FixtureRequest) -> AsyncIterator[Known]:
    if request.param == "in process":
        yield InProcessKnown(accounts=ACCOUNTS)
        return
    pool = Pool(request.getfixturevalue("database"), 4, name="test")
    await put(pool, *ACCOUNTS)
    yield PostgresKnown(pool)
    await pool.aclose()


@pytest.fixture
def pass_time(known: Known, mock_clock: trio.testing.MockClock) -> PassTime:
    async def pass_time(seconds: float) -> None:
        if isinstance(known, InProcessKnown):
            mock_clock.jump(seconds)
            return
        assert isinstance(known, PostgresKnown)
        async with known._pool.connection() as conn:
            sql = "update hashtag_query set asked_at = asked_at - make_interval(secs => %s)"
            await conn.execute(sql, (seconds,))

    return pass_time


async def test_each_account_asks_for_30_hashtags_in_any_7_days(
    known: Known, mock_clock: trio.testing.MockClock, pass_time: PassTime
) -> None:
    askers = [(await known.hashtag_turn(f"tag{number}")).account for number in range(2 * HASHTAGS_MAX)]
    assert {account: askers.count(account) for account in ACCOUNTS} == dict.fromkeys(ACCOUNTS, HASHTAGS_MAX)
    await pass_time(DAY_S)
    with pytest.raises(LimitRefused) as caught:
        await known.hashtag_turn("one more")
    assert caught.value.retry_after_s == pytest.approx(HASHTAGS_PER_S - DAY_S, abs=60)
    assert [(await known.hashtag_turn(f"tag{number}")).account for number in range(2 * HASHTAGS_MAX)] == askers
    await pass_time(6 * DAY_S)
    with pytest.raises(LimitRefused):  # asking again began no days anew, and their clock may be late
        await known.hashtag_turn("one more")
    await pass_time(HASHTAGS_PER_S - 7 * DAY_S + 1)
    for number in range(2 * HASHTAGS_MAX):
        await known.hashtag_turn(f"another{number}")
    with pytest.raises(LimitRefused):
        await known.hashtag_turn("tag0")


async def test_many_at_once_are_counted_one_by_one(known: Known) -> None:
    refused = 0

    async def ask(number: int) -> None:
        nonlocal refused
        try:
            await known.hashtag_turn(f"tag{number}")
        except LimitRefused:
            refused += 1

    async with trio.open_nursery() as nursery:
        for number in range(2 * HASHTAGS_MAX + 5):
            nursery.start_soon(ask, number)
    assert refused == 5


async def test_a_hashtag_has_one_id(known: Known) -> None:
    assert (await known.hashtag_turn("rain")).hashtag_id is None
    await known.hashtag_found("rain", "1784")
    await known.hashtag_found("rain", "1785")
    assert (await known.hashtag_turn("rain")).hashtag_id == "1785"


async def test_without_an_account_nobody_asks(pool: Pool) -> None:
    await put(pool, "17", kind="instagram")
    with pytest.raises(LimitRefused, match="no account") as caught:
        await PostgresKnown(pool).hashtag_turn("rain")
    assert caught.value.retry_after_s == NO_ACCOUNT_S


@pytest.mark.parametrize(
    ("scope", "key", "bucket"), [("source", "", ""), ("app", "", ""), ("bucket", None, "hashtag"), (None, None, "")]
)
async def test_an_account_that_rests_asks_for_none(pool: Pool, scope: str | None, key: str | None, bucket: str) -> None:
    await put(pool, "17")
    async with pool.connection() as conn:
        ((credential,),) = await (await conn.execute("select id from credential")).fetchall()
        if scope is None:
            await conn.execute("update credential set disabled_till = now() + interval '1 h'")
        else:
            sql = "insert into credential_rest values ('graphapi', %s, %s, %s, now() + interval '1 h', 'too much')"
            await conn.execute(sql, (scope, str(credential) if key is None else key, bucket))
    with pytest.raises(LimitRefused, match="no account"):
        await PostgresKnown(pool).hashtag_turn("rain")
    async with pool.connection() as conn:
        await conn.execute("update credential set disabled_till = null")
        await conn.execute("update credential_rest set till = now() - interval '1 s'")
    assert (await PostgresKnown(pool).hashtag_turn("rain")).account == "17"


async def test_whose_a_post_is(pool: Pool) -> None:
    async with pool.connection() as conn:
        await conn.execute(
            "insert into instagram_account (id, profile_id, handle, source, scraped_at)"
            " values (%s, '7', 'made.up', 's', now())",
            (uuid.uuid4(),),
        )
        for post_id, profile_id in (("1", "7"), ("2", "8"), ("3", None)):
            await conn.execute(
                "insert into instagram_post (post_id, shortcode, profile_id, source, scraped_at)"
                " values (%s, %s, %s, 's', now())",
                (post_id, f"C{post_id}", profile_id),
            )
    known = PostgresKnown(pool)
    assert await known.author_of(shortcode="C1") == Author("7", "made.up", "1", "C1")
    assert await known.author_of(post_id="1") == Author("7", "made.up", "1", "C1")
    assert await known.author_of(shortcode="C2") == Author("8", "", "2", "C2")
    assert await known.author_of(shortcode="C3") == Author("", "", "3", "C3")
    assert await known.author_of(shortcode="C4") is None
    assert await known.author_of() is None
    assert (await known.account("7"), await known.account("8")) == (Account("made.up", "7"), None)
