"""Several processes on one database: a session that ends opens nothing in any of them, whatever is cut.

Each has a memory of its own, and hears of the others through PostgreSQL's notifications.
"""

import datetime as dt
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest
import trio
import trio.testing

from gcc.clock import SystemClock
from gcc.config.sections import Auth
from gcc.errors import Transient
from gcc.stores import postgres_identity
from gcc.stores.notifications import Notifications
from gcc.stores.postgres import Pool
from gcc.stores.postgres_identity import INVALIDATE_CHANNEL, Caller, NewSession, Partner, PostgresIdentity, User
from gcc.stores.postgres_identity_keys import KeyCaller, NewKey, PostgresKeys
from gcc.stores.postgres_identity_people import PostgresPeople
from gcc.stores.tenant import Tenant
from gcc.web.api.errors import ApiError, Code
from gcc.web.gateway.auth import Authenticator
from gcc.web.gateway.strangers import Strangers
from gcc.web.identity import keys
from gcc.web.identity.bus import SILENCE_S, Bus
from gcc.web.identity.tokens import AccessTokens, Secret
from tests.integration.identity_people import Someone, add_contract, add_partner, add_person, execute

TOKENS = AccessTokens([Secret(b"k" * 32)])
PATIENCE_S = 20.0
TEN = dt.datetime(2026, 10, 15, 10, 0, tzinfo=dt.UTC)


@dataclass
class Watch:
    """A time that tests set: of the bus in seconds, of the clock as it is told."""

    later_s: float = 0.0

    def __call__(self) -> float:
        return trio.current_time() + self.later_s


class SetClock(SystemClock):
    at = TEN

    def now(self) -> dt.datetime:
        return self.at


class SlowIdentity(PostgresIdentity):
    """Counts what it is asked, and holds back what it has read until it may tell."""

    asked = 0
    held: trio.Event | None = None
    read: trio.Event

    async def session(self, partner_id: int, session_id: uuid.UUID) -> Caller | None:
        self.asked += 1
        found = await super().session(partner_id, session_id)
        if self.held is not None:
            self.read.set()
            await self.held.wait()
        return found

    async def partner(self, partner_id: int) -> Partner | None:
        self.asked += 1
        return await super().partner(partner_id)


@dataclass
class Process:
    identity: SlowIdentity
    bus: Bus
    authenticator: Authenticator
    watch: Watch
    clock: SetClock
    deaf: bool = False
    _heard: trio.Event = field(default_factory=trio.Event)

    def heard(self, payload: str) -> None:
        if not self.deaf:
            self.bus.heard(payload)
            self._heard.set()
            self._heard = trio.Event()

    async def until_heard(self, count: int) -> None:
        with trio.fail_after(PATIENCE_S):
            while self.bus.count < count:
                await self._heard.wait()

    async def ticked(self) -> None:
        """Until one of its own ticks, sent from now on, was heard."""
        with trio.fail_after(PATIENCE_S):
            await self.bus.tick()
            while self.bus._sent:
                await self._heard.wait()

    async def tenant(self, token: str) -> Tenant:
        return await self.authenticator.tenant([f"Bearer {token}"], "127.0.0.1")

    async def opens(self, token: str) -> bool:
        try:
            await self.tenant(token)
        except ApiError as refusal:
            assert refusal.code is Code.UNAUTHORIZED
            return False
        return True


@asynccontextmanager
async def process(database: str, pool: Pool, platform: Pool, auth: Auth | None = None) -> AsyncIterator[Process]:
    watch, clock, identity = Watch(), SetClock(), SlowIdentity(pool, platform)
    bus = Bus(pool, time=watch)
    api_keys = PostgresKeys(pool, platform, clock, PostgresPeople(pool, clock))
    authenticator = Authenticator(identity, api_keys, TOKENS, bus, clock, auth or Auth(), "", {}, Strangers(20))
    made = Process(identity, bus, authenticator, watch, clock)
    notifications = Notifications(database, [INVALIDATE_CHANNEL])
    notifications.on(INVALIDATE_CHANNEL, made.heard)
    async with trio.open_nursery() as nursery:
        listening = trio.Event()
        nursery.start_soon(notifications.connected, listening.set)
        await listening.wait()
        await made.ticked()
        yield made
        nursery.cancel_scope.cancel()


@pytest.fixture
async def three(database: str, web_pool: Pool, pool: Pool) -> AsyncIterator[list[Process]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(process(database, web_pool, pool)) for _ in range(3)]


@pytest.fixture
async def asha(pool: Pool) -> Someone:
    await add_partner(pool, 7)
    return await add_person(pool, partner_id=7)


async def session_of(pool: Pool, someone: Someone) -> tuple[uuid.UUID, str]:
    """One that has just begun, and a token for it."""
    store = PostgresIdentity(pool, pool)
    user = await store.user_by_email(someone.email)
    assert isinstance(user, User)
    session_id = uuid.uuid4()
    assert await store.begin(user, NewSession(session_id, session_id.bytes))
    token = TOKENS.signed(
        TEN.timestamp(), user=user.id, session=session_id, partner_id=7, account=user.account_id, role=user.role
    )
    return session_id, token


async def test_a_known_session_costs_no_question(three: list[Process], asha: Someone, pool: Pool) -> None:
    _, token = await session_of(pool, asha)
    first = await three[0].tenant(token)
    asked = three[0].identity.asked
    for _ in range(10):
        assert await three[0].tenant(token) == first
    assert three[0].identity.asked == asked == 2, "the session and the partner, once each"


async def test_an_ended_session_opens_nowhere(three: list[Process], asha: Someone, pool: Pool) -> None:
    ended, token = await session_of(pool, asha)
    _, other = await session_of(pool, asha)
    for each in three:
        assert await each.opens(token) and await each.opens(other)
    counts = [each.bus.count for each in three]
    told = await three[0].identity.revoke(7, ended)
    await three[0].bus.said(told)
    assert not await three[0].opens(token), "where it was ended it opens nothing from then on"
    for each, count in zip(three, counts, strict=True):
        await each.until_heard(count + 1)
        assert not await each.opens(token) and await each.opens(other)


async def test_all_sessions_of_a_user_who_changed_open_nowhere(three: list[Process], asha: Someone, pool: Pool) -> None:
    _, token = await session_of(pool, asha)
    for each in three:
        assert await each.opens(token)
    counts = [each.bus.count for each in three]
    await execute(pool, "update app_user set role = 'VIEWER' where id = %s", asha.user_id)
    await execute(pool, "select pg_notify('gcc_invalidate', %s)", f"user {asha.user_id}")
    for each, count in zip(three, counts, strict=True):
        await each.until_heard(count + 1)
        assert (await each.tenant(token)).role == "VIEWER"


async def test_with_the_bus_cut_a_session_outlives_its_end_by_a_second_at_most(
    three: list[Process], asha: Someone, pool: Pool
) -> None:
    cut = three[1]
    ended, token = await session_of(pool, asha)
    assert await cut.opens(token)
    await cut.ticked()
    cut.deaf = True
    await three[0].identity.revoke(7, ended)
    assert cut.bus.trusted() and await cut.opens(token), "it cannot know"
    cut.watch.later_s += SILENCE_S
    assert not cut.bus.trusted() and not await cut.opens(token), "in silence nothing that is remembered is believed"


async def test_back_from_silence_nothing_is_remembered(three: list[Process], asha: Someone, pool: Pool) -> None:
    cut = three[1]
    ended, token = await session_of(pool, asha)
    assert await cut.opens(token)
    cut.deaf = True
    cut.watch.later_s += SILENCE_S
    await three[0].identity.revoke(7, ended)
    cut.deaf = False
    await cut.ticked()
    assert cut.bus.trusted() and not await cut.opens(token)


async def test_a_tick_that_was_long_on_its_way_says_nothing(three: list[Process], asha: Someone, pool: Pool) -> None:
    """What was told after it was sent may not have been heard yet."""
    one = three[0]
    one.watch.later_s += SILENCE_S
    assert not one.bus.trusted()
    one.deaf = True
    await one.bus.tick()
    (late,) = one.bus._sent
    one.watch.later_s += SILENCE_S
    one.bus.heard(late)
    assert not one.bus.trusted()


async def test_a_lost_connection_forgets_what_was_known(
    database: str, web_pool: Pool, pool: Pool, asha: Someone
) -> None:
    async with process(database, web_pool, pool) as one:
        ended, token = await session_of(pool, asha)
        assert await one.opens(token)
        one.deaf = True
        await PostgresIdentity(pool, pool).revoke(7, ended)
        one.deaf = False
        one.heard("")  # as Notifications say after a reconnect
        assert one.bus.trusted() and not await one.opens(token)


async def test_a_logout_amid_a_fill_drops_the_fill(three: list[Process], asha: Someone, pool: Pool) -> None:
    """It has read a session that lives; before it is remembered, the session ends."""
    filling = three[1]
    ended, token = await session_of(pool, asha)
    filling.identity.held, filling.identity.read = trio.Event(), trio.Event()
    answers = []

    async def ask() -> None:
        answers.append(await filling.opens(token))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await filling.identity.read.wait()
        count = filling.bus.count
        await three[0].identity.revoke(7, ended)
        await filling.until_heard(count + 1)
        filling.identity.held.set()
    filling.identity.held = None
    assert answers == [True], "it asked before"
    assert [await each.opens(token) for each in three] == [False] * 3


async def test_other_news_drop_no_fill(three: list[Process], asha: Someone, pool: Pool) -> None:
    one = three[0]
    _, token = await session_of(pool, asha)
    one.identity.held, one.identity.read = trio.Event(), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.opens, token)
        await one.identity.read.wait()
        one.heard(f"session {uuid.uuid4()}")
        one.identity.held.set()
    one.identity.held = None
    asked = one.identity.asked
    assert await one.opens(token) and one.identity.asked == asked


async def test_a_contract_that_is_known_ends_to_the_millisecond(three: list[Process], pool: Pool) -> None:
    half_past_six = dt.datetime(2026, 10, 15, 18, 30, tzinfo=dt.UTC)
    await add_partner(pool, 8, "PAID", ends_at=half_past_six)
    await add_contract(pool, 8, "SAAS", starts_at=half_past_six + dt.timedelta(minutes=5))
    one = three[0]
    one.clock.at = half_past_six - dt.timedelta(minutes=30)
    assert (await one.authenticator.contract(8)).plan == "PAID"
    asked = one.identity.asked
    for later_ms, plan in ((-1, "PAID"), (0, "FREE"), (299_999, "FREE"), (300_000, "SAAS")):
        one.clock.at = half_past_six + dt.timedelta(milliseconds=later_ms)
        assert (await one.authenticator.contract(8)).plan == plan, later_ms
    assert one.identity.asked == asked, "all of it from what was known"


async def test_a_changed_contract_is_read_anew(three: list[Process], pool: Pool) -> None:
    await add_partner(pool, 8, None)
    assert [(await each.authenticator.contract(8)).plan for each in three] == ["FREE"] * 3
    counts = [each.bus.count for each in three]
    await add_contract(pool, 8, "PAID")
    await execute(pool, "select pg_notify('gcc_invalidate', 'contract 8')")
    for each, count in zip(three, counts, strict=True):
        await each.until_heard(count + 1)
        assert (await each.authenticator.contract(8)).plan == "PAID"


async def test_when_a_session_was_seen_is_written_down_once_a_minute(
    three: list[Process], asha: Someone, pool: Pool
) -> None:
    session_id, token = await session_of(pool, asha)
    await execute(pool, "update api_session set last_seen_at = now() - interval '1 hour'")
    one = three[0].authenticator
    assert await three[0].opens(token)
    away, three[0].identity.platform = three[0].identity.platform, Pool("postgresql://127.0.0.1:1/gcc", 1, name="away")
    with pytest.raises(Transient):
        await one.note_seen()
    three[0].identity.platform = away
    await one.note_seen()
    query = "select id from api_session where last_seen_at > now() - interval '1 minute'"
    assert await execute(pool, query) == [(session_id,)]
    assert not one._seen


async def test_what_nobody_needs_is_dropped(asha: Someone, pool: Pool) -> None:
    store, (old, _), (young, _) = (
        PostgresIdentity(pool, pool),
        await session_of(pool, asha),
        await session_of(pool, asha),
    )
    await execute(pool, "update api_session set revoked_at = now() - interval '31 days' where id = %s", old)
    await execute(
        pool, "insert into login_failure (key, at) values ('ip a', now() - interval '7 hours'), ('ip b', now())"
    )
    await store.prune()
    assert await execute(pool, "select id from api_session") == [(young,)]
    assert await execute(pool, "select count(*) from refresh_token") == [(1,)]
    assert await execute(pool, "select key from login_failure") == [("ip b",)]


async def test_devices_that_never_logged_in_are_dropped(
    asha: Someone, pool: Pool, web_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody makes them, without a token."""
    monkeypatch.setattr(postgres_identity, "DEVICES", 3)
    store, used, young = PostgresIdentity(web_pool, pool), uuid.uuid4(), uuid.uuid4()
    for device in (used, young, *(uuid.uuid4() for _ in range(10))):
        await store.add_device(device, "app")
    await execute(pool, "update device set created_at = now() - interval '2 days' where id <> %s", young)
    user = await store.user_by_email(asha.email)
    assert user is not None
    assert await store.begin(user, NewSession(uuid.uuid4(), b"of a device", used))
    await store.prune()
    assert {each for (each,) in await execute(pool, "select id from device")} == {used, young}
    assert await execute(pool, "select device_id from api_session") == [(used,)]


@pytest.mark.parametrize(
    ("statement", "index"),
    [("prune_expired", "api_session_expiry"), ("prune_revoked", "api_session_revoked")],
)
async def test_what_is_dropped_is_found_by_an_index(pool: Pool, statement: str, index: str) -> None:
    async with pool.transaction() as conn:
        await conn.execute("set local enable_seqscan = off")
        plan = await (await conn.execute("explain " + postgres_identity.SQL[statement])).fetchall()
    assert any(index in line for (line,) in plan), plan


async def test_an_address_of_ipv6_is_its_network_where_logins_fail(pool: Pool) -> None:
    store = PostgresIdentity(pool, pool)
    waits = [(await store.attempt(f"a{number}@x.example", f"2001:db8::{number}")).wait_s for number in range(1, 23)]
    assert [wait_s > 0 for wait_s in waits] == [False] * 20 + [True] * 2
    assert (await store.attempt("b@x.example", "2001:db8:0:1::1")).wait_s == 0


class Lookups(Counter[bytes]):
    """Those of keys, by what they ask for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        real = PostgresKeys.caller

        async def caller(store: PostgresKeys, key: NewKey) -> KeyCaller | None:
            self[key.digest] += 1
            return await real(store, key)

        monkeypatch.setattr(PostgresKeys, "caller", caller)


async def refusals(one: Process, asked: Iterable[str], ip: str = "127.0.0.1") -> Counter[Code | None]:
    """What they are refused with, all at once."""
    codes = Counter[Code | None]()

    async def ask(token: str) -> None:
        try:
            await one.authenticator.tenant([f"Bearer {token}"], ip)
            codes[None] += 1
        except ApiError as refusal:
            codes[refusal.code] += 1
            assert (refusal.code is Code.RATE_LIMITED) == (refusal.retry_after_s is not None)

    async with trio.open_nursery() as nursery:
        for token in asked:
            nursery.start_soon(ask, token)
    return codes


async def key_of(pool: Pool, clock: SetClock) -> str:
    key, about = keys.made(), {"name": "CI", "role": "VIEWER", "cidrs": [], "expires_at": None}
    store = PostgresKeys(pool, pool, clock, PostgresPeople(pool, clock))
    await store.add(Tenant(7, "SAAS", "OWNER"), keys.known(key), about)
    return key


async def test_unknown_keys_of_an_address_cost_so_many_look_ups_and_nobody_who_is_known(
    three: list[Process], asha: Someone, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, lookups, (_, token) = three[0], Lookups(monkeypatch), await session_of(pool, asha)
    known, other = await key_of(pool, one.clock), await key_of(pool, one.clock)
    assert await refusals(one, [known] * 10) == {None: 10}
    assert lookups.total() == 1, "those who ask at once with one key ask once"
    codes = await refusals(one, [*(keys.made() for _ in range(60)), known])
    assert codes == {None: 1, Code.UNAUTHORIZED: 20, Code.RATE_LIMITED: 40}
    assert lookups.total() == 21
    assert await refusals(one, [known, token]) == {None: 2}
    assert await refusals(one, [other]) == {Code.RATE_LIMITED: 1}, "nobody can tell it from those made up"
    assert await refusals(one, [other], "192.0.2.1") == {None: 1}
    assert await refusals(one, [other]) == {None: 1}, "it is known now"


async def test_what_opened_nothing_is_not_asked_for_again(
    three: list[Process], asha: Someone, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, lookups, unknown = three[0], Lookups(monkeypatch), keys.made()
    assert await refusals(one, [unknown] * 30) + await refusals(one, [unknown]) == {Code.UNAUTHORIZED: 31}
    assert list(lookups.values()) == [1], "and counted once: a program with an old key harms no other"
    ended, token = await session_of(pool, asha)
    await one.identity.revoke(7, ended)
    assert await refusals(one, [token]) == {Code.UNAUTHORIZED: 1}
    asked = one.identity.asked
    assert await refusals(one, [token] * 30) == {Code.UNAUTHORIZED: 30} and one.identity.asked == asked


async def test_after_a_minute_an_address_may_try_again(autojump_clock: trio.testing.MockClock) -> None:
    strangers = Strangers(2)
    for what in (b"1", b"2"):
        strangers.admit("192.0.2.1")
        strangers.missed(what, "192.0.2.1")
        await trio.sleep(10)
    with pytest.raises(ApiError) as refused:
        strangers.admit("192.0.2.1")
    assert refused.value.retry_after_s == 40 and b"1" in strangers
    await trio.sleep(40)
    assert b"1" not in strangers and b"2" in strangers
    strangers.admit("192.0.2.1")


async def test_without_a_database_nothing_opens(three: list[Process], asha: Someone, pool: Pool) -> None:
    """What is known goes on while the bus is heard; else the answer is "try again", never yes."""
    one = three[0]
    _, token = await session_of(pool, asha)
    assert await one.opens(token)
    one.identity.pool = Pool("postgresql://127.0.0.1:1/gcc", 1, name="away")
    assert await one.opens(token)
    one.watch.later_s += SILENCE_S
    with pytest.raises(Transient):
        await one.opens(token)


def test_what_is_remembered_is_bounded() -> None:
    """What fell out of the memory of changes takes with it all that was read before it."""
    pool: Pool = None  # type: ignore[assignment]
    bus = Bus(pool, time=lambda: 0.0, remembered=3)
    before = bus.count
    bus.heard("session a")
    between = bus.count
    assert not bus.stands(before, ["session a"]) and bus.stands(before, ["session b"])
    for number in range(3):
        bus.heard(f"session {number}")
    assert not bus.stands(before, ["session b"]) and bus.stands(between, ["session b"])
    assert len(bus._changed) == 3


async def test_memory_is_bounded_by_entries_and_bytes(database: str, web_pool: Pool, pool: Pool, asha: Someone) -> None:
    for auth, most in ((Auth(known=10, known_bytes=1 << 20), 10), (Auth(known=100_000, known_bytes=1 << 16), 72)):
        async with process(database, web_pool, pool, auth) as one:
            tokens = [(await session_of(pool, asha))[1] for _ in range(80)]
            assert all([await one.opens(token) for token in tokens])
            l1 = one.authenticator._l1
            assert len(l1) <= most and l1.currsize <= auth.known_bytes
            assert await one.opens(tokens[0])
