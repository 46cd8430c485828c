"""Secrets in the database: sealed, under new keys while others work, and refused at the start without their key."""

import datetime as dt
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio
import trio.testing

from gcc.clock import SystemClock
from gcc.errors import ConfigError, Permanent
from gcc.pipelines.credentials.listeners import NewTokens
from gcc.sources.credentials import BY_HAND, Facts, NoCredential
from gcc.sources.table import SOURCES
from gcc.stores.credentials import USES_S, PostgresCredentials
from gcc.stores.postgres import Pool
from gcc.stores.sealing import KEY_FILE, Keys, Unsealable
from gcc.stores.vault import BATCH, Vault
from tests.contract.test_odd_rows import insert
from tests.unit.test_credential_listeners import Bench
from tests.unit.test_sealing import given

CLOCK = SystemClock()


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = Pool(database, 4, name="test")
    yield pool
    await pool.aclose()


async def rows(pool: Pool, statement: str) -> list[tuple[object, ...]]:
    async with pool.connection() as connection:
        return await (await connection.execute(statement.encode())).fetchall()


async def changed(pool: Pool, statement: str) -> None:
    async with pool.connection() as connection:
        await connection.execute(statement.encode())


async def test_no_row_shows_a_secret(pool: Pool) -> None:
    keys = given(1)
    credentials = PostgresCredentials(pool, CLOCK, keys)
    await credentials.put("graphapi", "a", {"token": "hush-hush"})
    await credentials.put("graphapi", "a", {"token": "hush-hush-hush"})
    ((stored, sealed, key_id),) = await rows(pool, "select credential::text, sealed, key_id from credential")
    assert "hush" not in str(stored) and b"hush" not in bytes(sealed) and key_id == keys.newest  # type: ignore[arg-type]
    assert (await credentials.pick("graphapi")).secret == {"token": "hush-hush-hush"}


async def test_what_lies_open_is_used_as_it_is_and_sealed_at_the_start(pool: Pool) -> None:
    for handle, open_secret in (("old", '{"token": "hush-hush"}'), ("odd", "[1]")):
        await insert(pool, "credential", id=CLOCK.new_id(), source="graphapi", handle=handle, credentials=open_secret)
    keys = given(1)
    credentials, vault = PostgresCredentials(pool, CLOCK, keys), Vault(pool, keys)
    assert (await credentials.pick("graphapi")).secret == {"token": "hush-hush"}
    version = "select version from credential where handle = 'old'"
    before = await rows(pool, version)
    await vault.unlock()
    assert await rows(pool, "select handle, credentials from credential order by handle") == [
        ("odd", [1]),
        ("old", None),
    ]
    assert await rows(pool, version) == before, "a verdict on it still holds"
    assert (await PostgresCredentials(pool, CLOCK, keys).pick("graphapi")).secret == {"token": "hush-hush"}


async def test_without_its_key_the_start_is_refused_and_nothing_changes(pool: Pool, tmp_path: Path) -> None:
    await PostgresCredentials(pool, CLOCK, given(1)).put("graphapi", "a", {"token": "x"})
    before = await rows(pool, "select * from credential")
    for keys, place in ((given(2), "GCC_CREDENTIALS__KEYS"), (Keys([], tmp_path / KEY_FILE), KEY_FILE)):
        with pytest.raises(ConfigError, match=rf"sealed under key {given(1).newest}, which is not in \S*{place}: put"):
            await Vault(pool, keys).unlock()
    assert await rows(pool, "select * from credential") == before
    assert not (tmp_path / KEY_FILE).exists()
    await Vault(pool, given(2, 1)).unlock()


async def test_one_whose_key_is_not_here_waits_and_is_not_replaced(pool: Pool) -> None:
    await PostgresCredentials(pool, CLOCK, given(1)).put("graphapi", "a", {"token": "x"})
    elsewhere = PostgresCredentials(pool, CLOCK, given(2))
    await elsewhere.put("graphapi", "b", {"token": "y"})
    assert {(await elsewhere.pick("graphapi")).handle for _ in range(20)} == {"b"}
    with pytest.raises(NoCredential, match=rf"a waits for a new token \(it is sealed under key {given(1).newest}"):
        await elsewhere.pick("graphapi", without=[(await elsewhere.pick("graphapi")).id])
    with pytest.raises(Unsealable):
        await elsewhere.put("graphapi", "a", {"token": "older, may be"})
    assert (await PostgresCredentials(pool, CLOCK, given(2, 1)).pick("graphapi", without=[])).handle in "ab"


async def fill(credentials: PostgresCredentials, count: int) -> None:
    for number in range(count):
        await credentials.put("graphapi", f"c{number}", {"token": f"t{number}"})


async def test_a_file_gets_a_new_key_and_loses_the_old_one(pool: Pool, tmp_path: Path) -> None:
    keys = Keys([], tmp_path / KEY_FILE)
    vault, credentials = Vault(pool, keys), PostgresCredentials(pool, CLOCK, keys)
    await vault.unlock()
    old = keys.newest
    await fill(credentials, BATCH + 5)
    picked = await credentials.pick("graphapi")
    rotated = await vault.rotate()
    assert (rotated.resealed, rotated.left) == (BATCH + 5, 0) and rotated.key != old
    assert await rows(pool, "select distinct key_id from credential") == [(rotated.key,)]
    later = Keys([], tmp_path / KEY_FILE)
    later.load(make=False)
    assert later.ids == [rotated.key]
    assert (await PostgresCredentials(pool, CLOCK, later).pick("graphapi")).secret
    assert await credentials.disable(picked, rest_s=60, reason="429"), "the fence is the version, not the sealed bytes"


async def test_a_rotation_that_was_cut_short_goes_on_with_its_key(pool: Pool, tmp_path: Path) -> None:
    keys = Keys([], tmp_path / KEY_FILE)
    vault = Vault(pool, keys)
    await vault.unlock()
    await fill(PostgresCredentials(pool, CLOCK, keys), 3)
    keys.renew()
    half_done = keys.newest
    await Vault(pool, Keys([], tmp_path / KEY_FILE)).unlock()
    rotated = await vault.rotate()
    assert (rotated.key, rotated.resealed) == (half_done, 3)


async def test_keys_of_the_settings_are_rotated_by_setting_a_new_one_first(pool: Pool) -> None:
    await fill(PostgresCredentials(pool, CLOCK, given(1)), 3)
    vault = Vault(pool, given(2, 1))
    assert (await vault.rotate()).resealed == 3
    assert (await vault.rotate()).resealed == 0
    await Vault(pool, given(2)).unlock()


async def test_rows_that_cannot_be_opened_keep_the_old_keys(pool: Pool, tmp_path: Path) -> None:
    keys = Keys([], tmp_path / KEY_FILE)
    vault = Vault(pool, keys)
    await vault.unlock()
    await fill(PostgresCredentials(pool, CLOCK, keys), 2)
    await changed(pool, "update credential set sealed = 'x' where handle = 'c0'")
    rotated = await vault.rotate()
    assert (rotated.resealed, rotated.left) == (1, 1)
    assert len((tmp_path / KEY_FILE).read_text().split()) == 2


async def test_new_secrets_are_stored_while_keys_change(pool: Pool, tmp_path: Path) -> None:
    keys = Keys([], tmp_path / KEY_FILE)
    vault, credentials = Vault(pool, keys), PostgresCredentials(pool, CLOCK, keys)
    await vault.unlock()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(fill, credentials, 40)
        for _ in range(5):
            await vault.rotate()
    await vault.rotate()
    later = Keys([], tmp_path / KEY_FILE)
    later.load(make=False)
    ours = PostgresCredentials(pool, CLOCK, later)
    seen: set[uuid.UUID] = set()
    for _ in range(40):
        seen.add((await ours.pick("graphapi", without=seen)).id)
    assert len(seen) == 40


async def test_people_take_out_and_bring_back(pool: Pool) -> None:
    keys = given(1)
    vault = Vault(pool, keys)
    ours = PostgresCredentials(pool, CLOCK, keys)
    await ours.put("graphapi", "a", {"token": "x"}, Facts(app="x"))
    picked = await ours.pick("graphapi")
    await vault.disable("graphapi", "a", "by hand: lent out")
    with pytest.raises(NoCredential, match=r"a waits for a new token \(by hand: lent out\)"):
        await PostgresCredentials(pool, CLOCK, keys).pick("graphapi")
    await vault.enable("graphapi", "a")
    for scope in ("bucket", "app", "source"):
        assert await ours.disable(picked, rest_s=60, reason="x", scope=scope)  # type: ignore[arg-type]
    await vault.enable("graphapi", None)
    (listed,) = await vault.listed()
    assert (listed.out_s, [each["bucket"] for each in listed.buckets]) == (0, [""])
    await vault.enable("graphapi", "a")
    assert (await vault.listed())[0].buckets == []
    for act in (vault.enable("graphapi", "b"), vault.disable("graphapi", "b", "x")):
        with pytest.raises(Permanent, match="graphapi has no credential 'b'"):
            await act


async def test_uses_are_counted(pool: Pool, mock_clock: trio.testing.MockClock) -> None:
    ours = PostgresCredentials(pool, CLOCK, given(1))
    await ours.put("graphapi", "a", {"token": "x"})
    for _ in range(7):
        ours.used(await ours.pick("graphapi"))
    mock_clock.jump(USES_S)
    await ours.pick("graphapi")
    (listed,) = await Vault(pool, given(1)).listed()
    assert listed.uses == 7 and listed.used_at is not None


async def test_those_whose_end_is_near_are_due_and_what_people_renew_is_told(pool: Pool) -> None:
    vault, ours, now = Vault(pool, given(1)), PostgresCredentials(pool, CLOCK, given(1)), CLOCK.now()
    ends = {"soon": dt.timedelta(hours=1), "later": dt.timedelta(days=30), "over": dt.timedelta(hours=-1)}
    for kind in ("instagram", "facebook", "google"):
        for name, ends_in in ends.items():
            await ours.put("graphapi", f"{kind} {name}", {"token": "x"}, Facts(kind=kind, expires_at=now + ends_in))
    rules = {"google": (7200.0, 0.0, True), "instagram": (7200.0, 86_400.0, False)}
    assert {handle for _, handle in await vault.due(rules, 600)} == {"google soon", "google over"}, (
        "instagram's are new"
    )
    await changed(pool, "update credential set issued_at = issued_at - interval '2 days'")
    due = {handle for _, handle in await vault.due(rules, 600)}
    assert due == {"google soon", "google over", "instagram soon", "instagram over"}
    held = await ours.held("graphapi", "google soon")
    assert held is not None
    await ours.renewing(held, alone_s=60)
    await vault.disable("graphapi", "google over", "by hand: gone")
    assert {handle for _, handle in await vault.due(rules, 600)} == {"instagram soon", "instagram over"}
    assert [row[1] for row in await vault.ending(list(rules), 86_400)] == ["facebook soon"]


async def test_what_was_found_dead_is_due_once_where_something_else_than_its_token_renews_it(pool: Pool) -> None:
    vault, ours = Vault(pool, given(1)), PostgresCredentials(pool, CLOCK, given(1))
    end = CLOCK.now() + dt.timedelta(days=30)
    for kind in ("instagram", "google"):
        await ours.put("graphapi", kind, {"token": "x"}, Facts(kind=kind, account=kind, expires_at=end))
    rules = {"google": (7200.0, 0.0, True), "instagram": (7200.0, 86_400.0, False)}
    for kind in rules:
        await ours.disable(await ours.pick("graphapi", owner=kind), rest_s=None, reason="401")
    assert [handle for _, handle in await vault.due(rules, 600)] == ["google"]
    held = await ours.held("graphapi", "google")
    assert held is not None
    await ours.renewing(held, alone_s=60)
    assert await vault.due(rules, 0) == [], "it was asked for, and refused"
    await vault.disable("graphapi", "google", f"{BY_HAND}gone")
    assert await vault.due(rules, 0) == []


@pytest.mark.parametrize(
    ("broken", "mended"),
    [("sealed = 'x'", False), ("sealed = null, key_id = null, credentials = '[1]'", True)],
)
async def test_a_row_that_cannot_be_opened_holds_no_other_token_up(pool: Pool, broken: str, mended: bool) -> None:
    """In a batch of messages: that of its credential is buried, or mends it, and all others are stored."""
    ours = PostgresCredentials(pool, CLOCK, given(1))
    await ours.put("graphapi", "a", {"token": "old"})
    await changed(pool, f"update credential set {broken}")  # noqa: S608 - a literal of ours
    bench = Bench()
    listener = NewTokens(ours, bench, CLOCK, SOURCES)
    messages = [{"source": "graphapi", "handle": handle, "access_token": "hush-hush"} for handle in "ab"]
    assert await listener.handle([bench.delivery(*messages)]) == (2 if mended else 1)
    assert len(bench.buried) == (0 if mended else 1) and "hush" not in str(bench.buried)
    picked = {(await ours.pick("graphapi")).handle for _ in range(30)}
    assert picked == ({"a", "b"} if mended else {"b"})
