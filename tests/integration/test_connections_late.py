"""What comes late for a connection: the death of an old token, its end, the end of who asked for it."""

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import psycopg
import pytest
import trio

from gcc.channels.memory import Signal
from gcc.channels.message import Delivery
from gcc.clock import SystemClock
from gcc.errors import Permanent
from gcc.pipelines.events.emit import StatusEvents
from gcc.pipelines.scraping.upkeep import Renewals
from gcc.sources.consents import Consent, ConsentApi
from gcc.sources.credentials import Facts
from gcc.sources.verdicts import Refused
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Connection, Pool
from gcc.stores.postgres_jobs import PostgresJobs
from gcc.stores.vault import Vault
from tests.integration.creators import KEYS, Ground, ground, stranger
from tests.integration.identity_people import As, Someone, acting, add_person, code, execute
from tests.integration.test_connecting import nothing_was_done

END_OF = {
    "disabled": "update app_user set disabled_at = now() where role = 'EDITOR'",
    "suspended": "update partner set disabled_at = now() where id = 7",
}


@pytest.fixture
async def here(pool: Pool, clickhouse: ClickHouse) -> AsyncIterator[Ground]:
    async with ground(pool, clickhouse) as found:
        yield found


@pytest.fixture
async def editor(here: Ground, pool: Pool, asha: Someone) -> As:
    return await acting(here.api, await add_person(pool, "ed@brand.example", partner_id=7, role="EDITOR"))


def renewals(here: Ground) -> Renewals:
    clock = SystemClock()
    jobs = PostgresJobs(here.pool, clock, StatusEvents(clock), lease_s=60, lost_max=9, outbox_written=Signal())
    return Renewals(Vault(here.pool, KEYS), jobs, here.grants, clock)


async def tell_dead(here: Ground, connection_id: str) -> None:
    dead = {"event_id": str(uuid.uuid4()), "source": "graphapi", "handle": connection_id, "account": "1", "reason": "x"}
    frame = replace((await here.events("new_access_token_rk"))[0], body=json.dumps(dead).encode())
    assert await here.expired.handle([Delivery("access_token_expired_q", 1, frame, 1)]) == 1


@pytest.mark.parametrize("listened", [False, True], ids=["token on its way", "token taken"])
async def test_the_death_of_an_old_token_does_not_end_a_creator_who_is_back(
    here: Ground, editor: As, asha: Someone, listened: bool
) -> None:
    connection_id = await here.connect(editor, asha.account_id, stranger())
    await here.listen()
    held = await here.credentials.held("graphapi", connection_id)
    assert held is not None
    await here.credentials.disable(held, rest_s=None, reason="401")
    assert (await renewals(here)())["expired"] == 1
    assert await here.connect(editor, asha.account_id, stranger()) == connection_id
    if listened:
        await here.listen()
    assert (await renewals(here)())["expired"] == 0
    await tell_dead(here, connection_id)
    assert [row["state"] for row in await editor.data("GET", "/connections")] == ["ACTIVE"]
    assert len(await here.events("webhook_out_rk")) == 1, "of the first death alone"


async def test_a_key_has_no_owner_s_reach(here: Ground, editor: As, asha: Someone) -> None:
    owner = await acting(here.api, asha)
    connection_id = await here.connect(owner, asha.account_id, stranger())
    key = As(here.api, (await owner.data("POST", "/api-keys", name="CI", role="EDITOR"))["key"])
    assert await key.data("GET", "/connections") == []
    assert code(await key.call("DELETE", f"/connections/{connection_id}")) == (404, "NOT_FOUND")
    assert code(await here.start(key, asha.account_id)) == (404, "NOT_FOUND")
    assert [row["state"] for row in await owner.data("GET", "/connections")] == ["ACTIVE"]


@pytest.mark.parametrize("gone", END_OF)
async def test_who_ends_while_the_platform_is_asked_connects_nobody(
    here: Ground, editor: As, asha: Someone, pool: Pool, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    exchange = ConsentApi.exchange

    async def and_then_it_ends(
        api: ConsentApi, platform: str, told: str, *, redirect_uri: str, verifier: str
    ) -> Consent:
        consent = await exchange(api, platform, told, redirect_uri=redirect_uri, verifier=verifier)
        await execute(pool, END_OF[gone])
        return consent

    monkeypatch.setattr(ConsentApi, "exchange", and_then_it_ends)
    location = await here.consent(await here.page(editor, asha.account_id), stranger().handle)
    assert code(await here.back(location)) == (422, "TOKEN_INVALID")
    assert await nothing_was_done(pool)


async def test_an_ended_connection_has_no_secret_and_nobody_gives_it_one(
    here: Ground, editor: As, asha: Someone, pool: Pool
) -> None:
    connection_id = await here.connect(editor, asha.account_id, stranger())
    await here.listen()
    held = await here.credentials.held("graphapi", connection_id)
    assert held is not None
    await editor.data("DELETE", f"/connections/{connection_id}")
    assert not await here.credentials.renewed(held, {"token": "of a renewal under way"}, Facts())
    with pytest.raises(Refused, match="has no credential"):
        await here.graph.probe(connection_id, here.visit)
    row = "select enabled, reason, sealed, credentials from credential where handle = %s"
    assert await execute(pool, row, connection_id) == [(False, "by hand: its connection was ended", None, None)]
    vault = Vault(pool, KEYS)
    (listed,) = [each for each in await vault.listed() if each.handle == connection_id]
    assert (listed.enabled, listed.reason) == (False, "by hand: its connection was ended")
    with pytest.raises(Permanent, match="has no secret: its connection was ended"):
        await vault.enable("graphapi", connection_id)
    assert await execute(pool, row, connection_id) == [(False, "by hand: its connection was ended", None, None)]
    assert await here.connect(editor, asha.account_id, stranger()) == connection_id
    await here.listen()
    assert await here.credentials.held("graphapi", connection_id) is not None


@pytest.mark.parametrize("gone", END_OF)
async def test_who_connects_is_not_ended_before_it_is_done(
    here: Ground, editor: As, asha: Someone, pool: Pool, database: str, gone: str
) -> None:
    """An end waits for it: what was ended at noon has connected nobody after noon."""
    location = await here.consent(await here.page(editor, asha.account_id), stranger().handle)
    waiting = "select from pg_locks where not granted and relation = 'connection'::regclass"
    async with trio.open_nursery() as nursery, await Connection.connect(database) as other:
        async with other.transaction():
            await other.execute("lock table connection in share mode")
            nursery.start_soon(here.back, location)
            with trio.fail_after(10):
                while not await execute(pool, waiting):  # noqa: ASYNC110
                    await trio.sleep(0.01)
            await other.execute("set local lock_timeout = '100ms'")
            with pytest.raises(psycopg.errors.LockNotAvailable):
                async with other.transaction():
                    await other.execute(END_OF[gone].encode())
    assert await execute(pool, "select state from connection") == [("ACTIVE",)]
    await execute(pool, END_OF[gone])
