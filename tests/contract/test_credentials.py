"""The credentials port: the fake and PostgreSQL pass the same tests."""

import dataclasses
import datetime as dt
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest
import structlog.testing
import trio
import trio.testing

from gcc.clock import Clock
from gcc.config import Settings
from gcc.errors import Transient
from gcc.pipelines.scraping.outside import seed_credentials
from gcc.pipelines.scraping.table import Catalogue
from gcc.sources.credentials import BY_HAND, GIVEN_MAX, Credentials, Facts, NoCredential
from gcc.sources.verdicts import NeedsOwner, RestScope
from gcc.stores.credentials import CREDENTIALS_CHANNEL, PostgresCredentials
from gcc.stores.notifications import Notifications
from gcc.stores.postgres import Connection, Pool
from gcc.stores.vault import Vault
from tests.contract.test_notifications import kept
from tests.fakes.credentials import KEYS, FakeCredentials

PassTime = Callable[[float], Awaitable[None]]


SHARES = {"borrower": "graphapi"}


class HandClock(Clock):
    """A machine's wall clock, which a test sets; seconds that pass do not move it."""

    def __init__(self) -> None:
        super().__init__(random.Random(1))
        self.time = dt.datetime(2026, 10, 30, 12, tzinfo=dt.UTC)

    def now(self) -> dt.datetime:
        return self.time


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture(params=["fake", "postgres"])
async def credentials(request: pytest.FixtureRequest, clock: HandClock) -> AsyncIterator[Credentials]:
    if request.param == "fake":
        yield FakeCredentials(clock, SHARES)
        return
    pool = Pool(request.getfixturevalue("database"), 2, name="test")
    yield PostgresCredentials(pool, clock, KEYS, SHARES)
    await pool.aclose()


async def test_a_source_without_a_credential_is_told_at_the_start(database: str, clock: HandClock) -> None:
    settings = Settings.model_validate({"sources": {"ytapi": {"tokens": ["a key"]}}})
    pool = Pool(database, 2, name="test")
    stored = PostgresCredentials(pool, clock, KEYS)
    vault = Vault(pool, KEYS)
    with structlog.testing.capture_logs() as told:
        await seed_credentials(settings, Catalogue().sources, stored, vault, {})
        assert [(line["source"], line["mend"]) for line in told] == [("graphapi", "set GCC_SOURCES__GRAPHAPI__TOKENS")]
        told.clear()
        await seed_credentials(settings, Catalogue().sources, stored, vault, {"graphapi": ["1:a token"]})
    assert not told
    await pool.aclose()


async def test_a_start_leaves_what_a_person_put_in_the_place_of_its_token(database: str, clock: HandClock) -> None:
    pool = Pool(database, 2, name="test")
    stored, vault = PostgresCredentials(pool, clock, KEYS), Vault(pool, KEYS)

    async def start(token: str) -> str:
        settings = Settings.model_validate({"sources": {"ytapi": {"tokens": [token]}}})
        await seed_credentials(settings, Catalogue().sources, stored, vault, {})
        held = await stored.held("ytapi", "ytapi-1")
        assert held is not None
        return f"{held.secret['token']} of {held.app}"

    assert await start("old") == "old of "
    await stored.put("ytapi", "ytapi-1", {"token": "by hand"}, Facts(app="x"))
    assert await start("old") == "by hand of x"
    assert await start("new") == "new of "
    await pool.aclose()


@pytest.fixture
def pass_time(request: pytest.FixtureRequest, credentials: Credentials, mock_clock: trio.testing.MockClock) -> PassTime:
    """Seconds (at least KEPT_S) pass on Trio's clock and, where there is a database, on its clock.

    Tests that use it name mock_clock too: only so it becomes their Trio clock.
    """

    async def pass_time(seconds: float) -> None:
        if isinstance(credentials, PostgresCredentials):
            async with await Connection.connect(request.getfixturevalue("database")) as connection:
                earlier = "update credential set disabled_till = disabled_till - make_interval(secs => %s)"
                await connection.execute(earlier, (seconds,))
                await connection.execute(
                    "update credential_rest set till = till - make_interval(secs => %s)", (seconds,)
                )
        mock_clock.jump(seconds)

    return pass_time


async def handles(credentials: Credentials, source: str, bucket: str = "", owner: str | None = None) -> set[str]:
    """The handles of those that may be picked now: enough draws to see each."""
    try:
        return {(await credentials.pick(source, bucket=bucket, owner=owner)).handle for _ in range(60)}
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


async def test_a_rest_ends_by_itself(
    credentials: Credentials, pass_time: PassTime, mock_clock: trio.testing.MockClock
) -> None:
    await credentials.put("graphapi", "a", {"token": "1"})
    await credentials.put("graphapi", "b", {"token": "2"})
    while (first := await credentials.pick("graphapi")).handle != "a":
        pass
    await credentials.disable(first, rest_s=60, reason="429")
    assert await handles(credentials, "graphapi") == {"b"}
    await credentials.disable(await credentials.pick("graphapi"), rest_s=90, reason="429")
    with pytest.raises(NoCredential) as caught:
        await credentials.pick("graphapi")
    assert 50 < (caught.value.retry_after_s or 0) <= 60  # a real database is real seconds further
    await pass_time(60)
    assert await handles(credentials, "graphapi") == {"a"}
    await pass_time(30)
    assert await handles(credentials, "graphapi") == {"a", "b"}


async def test_the_later_rest_holds(
    credentials: Credentials, pass_time: PassTime, mock_clock: trio.testing.MockClock
) -> None:
    await credentials.put("graphapi", "a", {"token": "1"})
    picked = await credentials.pick("graphapi")
    await credentials.disable(picked, rest_s=60, reason="429")
    await credentials.disable(picked, rest_s=5, reason="429 of a call that was slower")
    await pass_time(50)
    assert await handles(credentials, "graphapi") == set()
    await credentials.disable(picked, rest_s=20, reason="429 again")
    await pass_time(10)
    assert await handles(credentials, "graphapi") == set()
    await pass_time(10)
    assert await handles(credentials, "graphapi") == {"a"}


async def test_taking_one_out_tells_whether_it_was_in(
    credentials: Credentials, pass_time: PassTime, mock_clock: trio.testing.MockClock
) -> None:
    await credentials.put("graphapi", "a", {"token": "1"})
    picked = await credentials.pick("graphapi")
    assert await credentials.disable(picked, rest_s=60, reason="429")
    assert not await credentials.disable(picked, rest_s=90, reason="429 again")
    await pass_time(90)
    assert await credentials.disable(picked, rest_s=60, reason="429")
    assert not await credentials.disable(picked, rest_s=None, reason="190")
    assert not await credentials.disable(picked, rest_s=None, reason="190")
    await credentials.put("graphapi", "a", {"token": "2"})
    assert not await credentials.disable(picked, rest_s=None, reason="of the old token")
    assert await credentials.disable(await credentials.pick("graphapi"), rest_s=None, reason="190")


@pytest.fixture
async def told(request: pytest.FixtureRequest, credentials: Credentials) -> AsyncIterator[None]:
    """As long as the test runs, the store is told what the database notifies."""
    async with trio.open_nursery() as nursery:
        if isinstance(credentials, PostgresCredentials):
            notifications = Notifications(request.getfixturevalue("database"), [CREDENTIALS_CHANNEL])
            notifications.on(CREDENTIALS_CHANNEL, credentials.woken)
            await nursery.start(kept(notifications))
        yield
        nursery.cancel_scope.cancel()


async def test_a_token_that_may_be_used_again_is_a_renewal_of_its_source(credentials: Credentials, told: None) -> None:
    before = {source: credentials.renewals(source) for source in ("graphapi", "ytapi")}

    async def renewed() -> None:
        with trio.fail_after(10):
            while credentials.renewals("graphapi") == before["graphapi"]:  # noqa: ASYNC110
                await trio.sleep(0.01)
        before["graphapi"] = credentials.renewals("graphapi")

    await credentials.put("graphapi", "a", {"token": "1"})
    await renewed()
    picked = await credentials.pick("graphapi")
    await credentials.disable(picked, rest_s=60, reason="429")
    await credentials.disable(picked, rest_s=None, reason="190")
    await credentials.put("graphapi", "a", {"token": "2"})
    await renewed()
    assert (await credentials.pick("graphapi")).secret == {"token": "2"}, "and what was kept is dropped"
    await credentials.disable(await credentials.pick("graphapi"), rest_s=60, reason="429")
    await trio.sleep(0.05)
    assert {source: credentials.renewals(source) for source in before} == before


async def test_a_rest_that_somebody_ends_by_hand_is_a_renewal(pool: Pool, database: str, clock: HandClock) -> None:
    credentials, notifications = PostgresCredentials(pool, clock, KEYS), Notifications(database, [CREDENTIALS_CHANNEL])
    await credentials.put("graphapi", "a", {"token": "1"})
    await credentials.disable(await credentials.pick("graphapi"), rest_s=600, reason="429")
    notifications.on(CREDENTIALS_CHANNEL, credentials.woken)
    async with trio.open_nursery() as nursery:
        await nursery.start(kept(notifications))
        assert credentials.renewals("graphapi") == 0
        async with pool.connection() as conn:
            await conn.execute("update credential set disabled_till = null")
        with trio.fail_after(10):
            while not credentials.renewals("graphapi"):  # noqa: ASYNC110
                await trio.sleep(0.01)
        assert (await credentials.pick("graphapi")).handle == "a"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("scope", "rest_of"),
    [
        ("credential", {("graphapi", "", "a")}),
        ("bucket", {("graphapi", "search", "a")}),
        ("app", {("graphapi", "", "a"), ("graphapi", "", "b")}),
        ("source", {("graphapi", "", "a"), ("graphapi", "", "b"), ("graphapi", "", "c")}),
    ],
)
async def test_a_rest_is_of_what_its_scope_says_and_of_nothing_else(
    credentials: Credentials,
    pass_time: PassTime,
    mock_clock: trio.testing.MockClock,
    scope: RestScope,
    rest_of: set[tuple[str, str, str]],
) -> None:
    for source, handle, app in (("graphapi", "a", "x"), ("graphapi", "b", "x"), ("graphapi", "c", "y")):
        await credentials.put(source, handle, {"token": handle}, Facts(app=app))
    await credentials.put("ytapi", "a", {"token": "a"}, Facts(app="x"))
    while (picked := await credentials.pick("graphapi", bucket="search")).handle != "a":
        pass

    async def out() -> set[tuple[str, str, str]]:
        """Whose calls of which bucket rest; a rest of every bucket is told as one of ''."""
        missing = {
            (source, bucket, handle)
            for source, names in (("graphapi", "abc"), ("ytapi", "a"))
            for bucket in ("", "search", "videos")
            for handle in set(names) - await handles(credentials, source, bucket)
        }
        whole = {(source, "", handle) for source, bucket, handle in missing if bucket == ""}
        return whole | {each for each in missing if (each[0], "", each[2]) not in whole}

    assert await credentials.disable(picked, rest_s=60, reason="4", scope=scope, bucket="search")
    assert await out() == rest_of
    assert not await credentials.disable(picked, rest_s=20, reason="4", scope=scope, bucket="search")
    await pass_time(50)
    assert await out() == rest_of
    await pass_time(10)
    assert await out() == set()
    assert await credentials.disable(picked, rest_s=20, reason="4", scope=scope, bucket="search")


async def test_why_all_of_an_app_rest_is_told(credentials: Credentials) -> None:
    await credentials.put("graphapi", "a", {"token": "1"}, Facts(app="x"))
    await credentials.disable(await credentials.pick("graphapi"), rest_s=60, reason="code 4", scope="app")
    with pytest.raises(NoCredential, match=r"ready: a rests \(all of app x: code 4\)$") as caught:
        await credentials.pick("graphapi")
    assert caught.value.retry_after_s == pytest.approx(60, abs=2)


@pytest.mark.parametrize(("scope", "holds"), [("bucket", False), ("app", True)])
async def test_a_bucket_of_an_old_token_spares_the_new_one_and_an_app_rests_all_the_same(
    credentials: Credentials, scope: RestScope, holds: bool
) -> None:
    await credentials.put("graphapi", "a", {"token": "old"}, Facts(app="x"))
    old = await credentials.pick("graphapi")
    await credentials.put("graphapi", "a", {"token": "new"}, Facts(app="x"))
    assert await credentials.disable(old, rest_s=60, reason="late", scope=scope) == holds
    assert await handles(credentials, "graphapi") == (set() if holds else {"a"})


async def test_an_owners_own_is_picked_for_what_needs_it(credentials: Credentials) -> None:
    await credentials.put("graphapi", "a", {"token": "1"}, Facts(account="17"))
    await credentials.put("graphapi", "b", {"token": "2"}, Facts(kind="instagram", account="18"))
    await credentials.put("graphapi", "c", {"token": "3"}, Facts(kind="made up", account="19"))
    assert await handles(credentials, "graphapi", owner="18") == {"b"}
    assert await handles(credentials, "graphapi") == {"a"}, "what is good for its owner's data alone asks nothing else"
    with pytest.raises(NeedsOwner):
        await credentials.pick("graphapi", owner="20")
    await credentials.disable(await credentials.pick("graphapi", owner="18"), rest_s=60, reason="429")
    with pytest.raises(NoCredential):
        await credentials.pick("graphapi", owner="18")


async def test_what_is_known_of_it_comes_with_it(credentials: Credentials, clock: HandClock) -> None:
    end = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
    facts = Facts(
        kind="facebook", app="x", account="17", scopes=("basic", "insights"), expires_at=end, data_access_expires_at=end
    )
    await credentials.put("graphapi", "a", {"token": "1"}, facts)
    picked = await credentials.pick("graphapi")
    assert {each.name: getattr(picked, each.name) for each in dataclasses.fields(Facts)} == dataclasses.asdict(facts)


@pytest.mark.parametrize("end", ["expires_at", "data_access_expires_at"])
async def test_one_that_has_expired_waits_for_a_new_token(credentials: Credentials, end: str) -> None:
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    await credentials.put("graphapi", "a", {"token": "1"}, Facts(**{end: past}))
    with pytest.raises(NoCredential, match=r"a waits for a new token .*has expired"):
        await credentials.pick("graphapi")
    await credentials.put("graphapi", "a", {"token": "2"})
    assert await handles(credentials, "graphapi") == {"a"}


async def test_one_is_held_by_its_name_whether_it_is_out_or_not(credentials: Credentials) -> None:
    await credentials.put("graphapi", "a", {"token": "1"})
    picked = await credentials.pick("graphapi")
    await credentials.disable(picked, rest_s=None, reason="190")
    assert await credentials.held("graphapi", "a") == picked == await credentials.held("borrower", "a")
    assert await credentials.held("graphapi", "b") is None


@pytest.mark.parametrize(("rest_s", "reason", "back"), [(None, "190", True), (60, "429", True), (None, BY_HAND, False)])
async def test_what_was_answered_is_back_unless_a_person_took_it_out(
    credentials: Credentials, rest_s: float | None, reason: str, back: bool
) -> None:
    await credentials.put("graphapi", "a", {"token": "1"})
    picked = await credentials.pick("graphapi")
    assert not await credentials.revive(picked), "it was not out"
    await credentials.disable(picked, rest_s=rest_s, reason=reason)
    assert await credentials.revive(picked) == back
    assert await handles(credentials, "graphapi") == ({"a"} if back else set())
    await credentials.put("graphapi", "a", {"token": "2"})
    await credentials.disable(await credentials.pick("graphapi"), rest_s=None, reason="190")
    assert not await credentials.revive(picked), "that was the old token"


async def test_a_renewed_secret_drops_the_old_one_once(credentials: Credentials) -> None:
    end = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
    await credentials.put("graphapi", "a", {"token": "1"}, Facts(kind="instagram", account="17"))
    first = await credentials.pick("graphapi", owner="17")
    asked = [await credentials.renewing(first, alone_s=60) for _ in range(2)]
    assert asked == [None, pytest.approx(0, abs=5)], "the first one was not answered"
    facts = Facts(kind="instagram", account="17", expires_at=end)
    assert await credentials.renewed(first, {"token": "2"}, facts)
    second = await credentials.pick("graphapi", owner="17")
    assert (second.id, second.secret, second.expires_at) == (first.id, {"token": "2"}, end)
    assert not await credentials.renewed(first, {"token": "late"}, facts)
    assert (await credentials.pick("graphapi", owner="17")).secret == {"token": "2"}
    assert await credentials.renewing(second, alone_s=60) is None


@pytest.mark.parametrize(
    ("rest_s", "reason", "back"), [(None, "190", True), (None, f"{BY_HAND}asked to", False), (60, "spam", False)]
)
async def test_a_renewal_ends_a_death_and_neither_a_rest_nor_what_a_person_wants(
    credentials: Credentials, rest_s: float | None, reason: str, back: bool
) -> None:
    await credentials.put("graphapi", "a", {"token": "1"})
    first = await credentials.pick("graphapi")
    await credentials.disable(first, rest_s=rest_s, reason=reason)
    assert await credentials.renewed(first, {"token": "2"}, Facts())
    held = await credentials.held("graphapi", "a")
    assert held is not None and held.secret == {"token": "2"}
    assert await handles(credentials, "graphapi") == ({"a"} if back else set())
    if not back:
        with pytest.raises(NoCredential, match=reason):
            await credentials.pick("graphapi")


async def test_the_end_of_a_dead_one_has_come(credentials: Credentials) -> None:
    end = dt.datetime(2100, 1, 1, tzinfo=dt.UTC)
    await credentials.put("graphapi", "a", {"token": "1"}, Facts(expires_at=end))
    await credentials.disable(await credentials.pick("graphapi"), rest_s=None, reason="190")
    held = await credentials.held("graphapi", "a")
    assert held is not None and held.expires_at is not None and held.expires_at < end


async def test_what_was_given_before_does_not_replace_what_followed(credentials: Credentials) -> None:
    facts = Facts(app="x", expires_at=dt.datetime(2100, 1, 1, tzinfo=dt.UTC))
    assert await credentials.put("graphapi", "a", {"token": "1"}, facts, once=True)
    assert not await credentials.put("graphapi", "a", {"token": "1"}, Facts(), once=True)
    first = await credentials.pick("graphapi")
    assert (first.app, first.expires_at) == ("x", facts.expires_at)
    assert await credentials.renewed(first, {"token": "2"}, facts)
    assert not await credentials.put("graphapi", "a", {"token": "1"}, Facts(), once=True), "that one is burnt"
    assert await credentials.put("graphapi", "a", {"token": "3"}, facts)
    assert not await credentials.put("graphapi", "a", {"token": "1"}, once=True)
    assert (await credentials.pick("graphapi")).secret == {"token": "3"}
    assert await credentials.put("graphapi", "a", {"token": "4"}, once=True), "that is a new one"
    assert await credentials.put("graphapi", "a", {"token": "1"}), "by hand it may come back"
    for number in range(GIVEN_MAX):
        assert await credentials.put("graphapi", "a", {"token": f"n{number}"}, once=True)
    assert await credentials.put("graphapi", "a", {"token": "1"}, once=True), "so many are remembered"


async def test_what_was_issued_before_what_is_held_does_not_replace_it(credentials: Credentials) -> None:
    """Messages may come in any order; a renewal, and what a person gives, is of the moment."""
    day = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)

    async def told(token: str, days: int) -> bool:
        secret, facts = {"token": token}, Facts(app=token)
        return await credentials.put("graphapi", "a", secret, facts, once=True, issued_at=day + dt.timedelta(days))

    assert await told("2", 2)
    assert not await told("1", 1)
    assert await told("3", 3)
    held = await credentials.pick("graphapi")
    assert (held.secret, held.app, held.version) == ({"token": "3"}, "3", 2)
    assert await credentials.renewed(held, {"token": "renewed"}, Facts())
    assert not await told("4", 4), "we have renewed it since"
    assert await credentials.put("graphapi", "b", {"token": "by hand"})
    assert not await credentials.put("graphapi", "b", {"token": "old"}, once=True, issued_at=day)
    await credentials.disable(await credentials.pick("graphapi"), rest_s=None, reason="190")
    assert await told("ahead of us", 100_000), "a clock that runs ahead"
    assert await credentials.put("graphapi", "a", {"token": "next"}, once=True), "it refuses none that follow"


async def test_a_source_may_use_anothers_and_shares_their_rests(credentials: Credentials) -> None:
    await credentials.put("graphapi", "a", {"token": "1"})
    renewals = credentials.renewals("borrower")
    picked = await credentials.pick("borrower")
    assert (picked.source, picked.handle) == ("graphapi", "a")
    await credentials.disable(picked, rest_s=60, reason="429")
    assert await handles(credentials, "borrower") == await handles(credentials, "graphapi") == set()
    assert renewals == credentials.renewals("graphapi")


async def test_the_reasons_of_those_that_are_out_are_told(credentials: Credentials) -> None:
    for name in ("a", "b"):
        await credentials.put("graphapi", name, {"token": f"hush {name}"})
    for rest_s, reason in ((None, "190: expired"), (60, "429")):
        picked = await credentials.pick("graphapi")
        await credentials.disable(picked, rest_s=rest_s, reason=f"{reason} of {picked.handle}")
    with pytest.raises(NoCredential) as caught:
        await credentials.pick("graphapi")
    dead, resting = ("a", "b") if "a waits" in str(caught.value) else ("b", "a")
    assert str(caught.value) == (
        f"graphapi: no credential is ready: {resting} rests (429 of {resting});"
        f" {dead} waits for a new token (190: expired of {dead})"
    )
    await credentials.put("graphapi", dead, {"token": "new"})
    assert (await credentials.pick("graphapi")).handle == dead
    with pytest.raises(NoCredential, match=rf"ready: {resting} rests \(429 of {resting}\)$"):
        await credentials.pick("graphapi", without=[(await credentials.pick("graphapi")).id])


async def test_of_many_that_are_out_a_few_are_told(credentials: Credentials) -> None:
    for number in range(9):
        await credentials.put("graphapi", f"c{number}", {"token": str(number)})
    for _ in range(9):
        await credentials.disable(await credentials.pick("graphapi"), rest_s=60, reason="429")
    with pytest.raises(NoCredential, match=r"; and 4 more$"):
        await credentials.pick("graphapi")


async def test_a_wall_clock_that_jumps_neither_ends_nor_prolongs_a_rest(
    credentials: Credentials, clock: HandClock, pass_time: PassTime, mock_clock: trio.testing.MockClock
) -> None:
    await credentials.put("graphapi", "a", {"token": "1"})
    day = dt.timedelta(days=1)
    clock.time += day
    await credentials.disable(await credentials.pick("graphapi"), rest_s=60, reason="429")
    clock.time -= day
    await pass_time(60)
    assert await handles(credentials, "graphapi") == {"a"}
    await credentials.disable(await credentials.pick("graphapi"), rest_s=60, reason="429")
    clock.time += day
    await pass_time(1)
    assert await handles(credentials, "graphapi") == set()


async def test_a_dead_one_waits_for_a_new_token(
    credentials: Credentials, pass_time: PassTime, mock_clock: trio.testing.MockClock
) -> None:
    await credentials.put("graphapi", "a", {"token": "old"})
    picked = await credentials.pick("graphapi")
    await credentials.disable(picked, rest_s=None, reason="190")
    await credentials.disable(picked, rest_s=1, reason="a rest does not wake it")
    await pass_time(10**7)
    with pytest.raises(NoCredential) as caught:
        await credentials.pick("graphapi")
    assert caught.value.retry_after_s is None
    assert not await credentials.put("graphapi", "a", {"token": "old"})
    assert await handles(credentials, "graphapi") == set()
    assert await credentials.put("graphapi", "a", {"token": "new"})
    renewed = await credentials.pick("graphapi")
    assert (renewed.id, renewed.secret) == (picked.id, {"token": "new"})


async def test_the_same_token_ends_no_rest_and_a_new_one_does(credentials: Credentials) -> None:
    await credentials.put("graphapi", "a", {"token": "1", "ig_user_id": "17"})
    await credentials.disable(await credentials.pick("graphapi"), rest_s=60, reason="429")
    assert not await credentials.put("graphapi", "a", {"ig_user_id": "17", "token": "1"})
    assert await handles(credentials, "graphapi") == set()
    assert await credentials.put("graphapi", "a", {"token": "2", "ig_user_id": "17"})
    assert await handles(credentials, "graphapi") == {"a"}


@pytest.mark.parametrize("rest_s", [None, 60])
async def test_a_verdict_on_the_old_token_spares_the_new_one(credentials: Credentials, rest_s: float | None) -> None:
    await credentials.put("graphapi", "a", {"token": "old"})
    old = await credentials.pick("graphapi")
    await credentials.put("graphapi", "a", {"token": "new"})
    await credentials.disable(old, rest_s=rest_s, reason="late")
    assert (await credentials.pick("graphapi")).secret == {"token": "new"}


async def test_without_leaves_out(credentials: Credentials) -> None:
    await credentials.put("graphapi", "a", {"token": "1"})
    await credentials.put("graphapi", "b", {"token": "2"})
    first = await credentials.pick("graphapi")
    second = await credentials.pick("graphapi", without=[first.id])
    assert {first.handle, second.handle} == {"a", "b"}
    with pytest.raises(NoCredential):
        await credentials.pick("graphapi", without=[first.id, second.id])


async def test_no_repr_shows_the_secret(credentials: Credentials) -> None:
    await credentials.put("graphapi", "a", {"token": "hush"})
    picked = await credentials.pick("graphapi")
    assert "hush" not in f"{picked!r} {picked}"
    await credentials.disable(picked, rest_s=None, reason="190")
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
    ours, theirs = PostgresCredentials(pool, clock, KEYS), PostgresCredentials(pool, clock, KEYS)
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
    credentials = PostgresCredentials(pool, clock, KEYS)
    await credentials.put("graphapi", "a", {"token": "1"})
    picked = await credentials.pick("graphapi")
    await PostgresCredentials(pool, clock, KEYS).disable(picked, rest_s=None, reason="elsewhere")
    with trio.CancelScope() as scope:
        scope.cancel()
        await credentials.disable(picked, rest_s=None, reason="190")
    assert (await credentials.pick("graphapi")).id == picked.id  # cancelled before it began: nothing happened
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: credentials.disable(picked, rest_s=None, reason="190"))
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()  # in the middle of the statement
    with pytest.raises(NoCredential):
        await credentials.pick("graphapi")
    await pool.aclose()


async def test_a_lost_store_is_transient(clock: HandClock) -> None:
    pool = Pool("host=127.0.0.1 port=1 dbname=none", 1, name="test")
    with pytest.raises(Transient) as caught:
        await PostgresCredentials(pool, clock, KEYS).pick("graphapi")
    assert not isinstance(caught.value, NoCredential)


async def test_all_are_listed_without_secrets_those_that_are_out_first(pool: Pool, clock: HandClock) -> None:
    credentials = PostgresCredentials(pool, clock, KEYS)
    for source, handle in (("ytapi", "c"), ("graphapi", "z"), ("ytapi", "a"), ("ytapi", "b")):
        await credentials.put(source, handle, {"token": f"secret of {handle}"})
    await credentials.disable(await credentials.pick("graphapi"), rest_s=None, reason="expired")
    async with pool.connection() as conn:
        await conn.execute("update credential set disabled_till = now() + interval '1 hour' where handle = 'c'")
    listed = await Vault(pool, KEYS).listed()
    assert [(each.source, each.handle, each.total, each.ready) for each in listed] == [
        ("graphapi", "z", 1, 0), ("ytapi", "c", 3, 2), ("ytapi", "a", 3, 2), ("ytapi", "b", 3, 2),
    ]  # fmt: skip
    assert [each.out_s for each in listed] == [math.inf, pytest.approx(3600, abs=60), 0, 0]
    assert listed[0].reason == "expired" and "secret of" not in str(listed)
