"""Creators connect their accounts, from an editor's start to an insight that only an owner is told; and who may not."""

import datetime as dt
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx
import pytest
import trio

from gcc.channels.memory import Signal
from gcc.channels.message import Delivery
from gcc.clock import SystemClock
from gcc.pipelines.events.emit import StatusEvents
from gcc.pipelines.scraping.upkeep import Renewals
from gcc.sources.consents import ConsentApi
from gcc.sources.http import Answer, HttpFetcher, Request
from gcc.sources.verdicts import NeedsOwner
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.credentials import PostgresCredentials
from gcc.stores.postgres import Pool
from gcc.stores.postgres_jobs import PostgresJobs
from gcc.stores.vault import Vault
from gcc.web.identity.connections import Connecting
from gcc.world.graph_tokens import LIFE
from tests.integration.api_serving import serving_api
from tests.integration.creators import CASTS, CONNECT, KEYS, Ground, ground, stranger, told
from tests.integration.identity_people import (
    PAGE,
    As,
    Someone,
    acting,
    add_partner,
    add_person,
    code,
    execute,
)


@pytest.fixture
async def here(pool: Pool, clickhouse: ClickHouse) -> AsyncIterator[Ground]:
    async with ground(pool, clickhouse) as found:
        yield found


@pytest.fixture
async def editor(here: Ground, pool: Pool, asha: Someone) -> As:
    return await acting(here.api, await add_person(pool, "ed@brand.example", partner_id=7, role="EDITOR"))


async def nothing_was_done(pool: Pool) -> bool:
    """But that somebody was asked."""
    tables = ("connection", "oauth_grant", "outbox where routing_key <> 'activity_tracker_rk'")
    return [await execute(pool, f"select from {table}") for table in tables] == [[], [], []]


async def test_an_editor_connects_a_creator_and_is_told_what_only_an_owner_is(
    here: Ground, editor: As, asha: Someone, pool: Pool
) -> None:
    creator = stranger()
    post = CASTS["INSTAGRAM"].posts_of(creator)[0]
    with pytest.raises(NeedsOwner):
        await here.graph.post_insights(post.post_id, creator.profile_id, here.visit)
    connection_id = await here.connect(editor, asha.account_id, creator)
    (row,) = await editor.data("GET", "/connections")
    assert row | {"created_at": 0} == {
        "id": connection_id,
        "account_id": str(asha.account_id),
        "platform": "INSTAGRAM",
        "profile_id": creator.profile_id,
        "handle": creator.handle,
        "scopes": [
            "instagram_business_basic",
            "instagram_business_manage_insights",
            "instagram_business_manage_comments",
        ],
        "state": "ACTIVE",
        "created_at": 0,
    }
    (event,) = await here.events("new_access_token_rk")
    assert "world-ig" not in event.body.decode(), "no event has a token"
    for _ in range(2):  # it may come again
        assert (await here.listen(), here.buried) == (1, [])
    found = await here.graph.post_insights(post.post_id, creator.profile_id, here.visit)
    assert found.items[0].metrics["reach"] > 0
    held = await here.credentials.held("graphapi", connection_id)
    assert held is not None and held.expires_at is not None
    assert (held.kind, held.account, held.version) == ("instagram", creator.profile_id, 1)
    assert abs(held.expires_at - dt.datetime.now(dt.UTC) - LIFE) < dt.timedelta(minutes=5)
    assert await execute(pool, "select sealed, key_id from oauth_grant") == [(None, None)], "it lies nowhere else"
    noted = await execute(pool, "select activity_type, thing_id, metadata from activity_tracker order by created_at")
    assert noted == [
        ("CREATOR_ASKED", None, {"platform": "instagram"}),
        ("CREATOR_CONNECTED", connection_id, {"platform": "INSTAGRAM"}),
    ]


async def test_a_page_that_is_asked_for_again_is_not_shown_again(
    here: Ground, editor: As, asha: Someone, pool: Pool
) -> None:
    editor.headers["idempotency-key"] = "k"
    first, again = [(await here.start(editor, asha.account_id)).json()["data"] for _ in range(2)]
    assert again == first | {"authorize_url": None}
    state = dict(parse_qsl(urlsplit(first["authorize_url"]).query))["state"]
    assert state not in str(await execute(pool, "select convert_from(body, 'UTF8') from idempotency_key"))


async def test_a_channel_is_connected_with_what_renews_its_token(here: Ground, editor: As, asha: Someone) -> None:
    creator = stranger("YOUTUBE")
    connection_id = await here.connect(editor, asha.account_id, creator)
    assert (await here.listen(), here.buried) == (1, [])
    held = await here.credentials.held("ytanalytics", connection_id)
    assert held is not None
    assert (held.kind, held.account) == ("google", creator.profile_id)
    assert held.secret.keys() == {"token", "refresh_token", "client_id", "client_secret"}
    assert len(held.scopes) == 2 and all("youtube" in scope or "yt-" in scope for scope in held.scopes)


async def test_the_same_creator_again_is_the_same_connection_with_the_newest_token(
    here: Ground, editor: As, asha: Someone
) -> None:
    first = await here.connect(editor, asha.account_id, stranger())
    await here.listen()
    assert await here.connect(editor, asha.account_id, stranger()) == first
    assert (await here.listen(), here.buried) == (2, [])
    held = await here.credentials.held("graphapi", first)
    assert held is not None and held.version == 2
    assert len(await editor.data("GET", "/connections")) == 1


async def test_who_denies_is_not_connected(here: Ground, editor: As, asha: Someone, pool: Pool) -> None:
    location = await here.consent(await here.page(editor, asha.account_id), stranger().handle, "deny")
    assert told(await here.back(location)) == {"tab": "1", "error": "ACCESS_DENIED"}
    assert code(await here.back(location)) == (422, "TOKEN_INVALID")
    assert await nothing_was_done(pool)


async def test_a_state_is_good_once_and_a_code_too(here: Ground, editor: As, asha: Someone, pool: Pool) -> None:
    location = await here.consent(await here.page(editor, asha.account_id), stranger().handle)
    assert (await here.api.client.head(location.partition("#")[0])).status_code == 422, "who only looks uses nothing up"
    answers = []

    async def once() -> None:
        answers.append(await here.back(location))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(once)
    assert sorted(answer.status_code for answer in answers) == [303, 422, 422, 422, 422]
    # the code with another login of ours
    query = dict(parse_qsl(urlsplit(await here.page(editor, asha.account_id)).query))
    used = dict(parse_qsl(urlsplit(location).query))["code"]
    again = f"{query['redirect_uri']}?{urlencode({'code': used, 'state': query['state']})}"
    assert told(await here.back(again)) == {"tab": "1", "error": "TOKEN_INVALID"}
    assert await execute(pool, "select count(*) from connection") == [(1,)]


@pytest.mark.parametrize("odd", ["unknown", "twice", "none", "other platform", "expired", "nothing"])
async def test_a_state_that_is_not_good_does_nothing(
    here: Ground, editor: As, asha: Someone, pool: Pool, odd: str
) -> None:
    location = (await here.consent(await here.page(editor, asha.account_id), stranger().handle)).partition("#")[0]
    if odd == "expired":
        await execute(pool, "update oauth_state set expires_at = now()")
    changed = {
        "unknown": location[:-1] + ("A" if location[-1] != "A" else "B"),
        "twice": f"{location}&state=x",
        "none": location.partition("&state")[0],
        "other platform": location.replace("/instagram/", "/youtube/"),
        "nothing": location.partition("?")[0],
    }.get(odd, location)
    answer = await here.back(changed)
    assert code(answer) == (422, "INVALID_PARAMETER" if odd == "twice" else "TOKEN_INVALID")
    assert await nothing_was_done(pool)


@pytest.mark.parametrize("gone", ["disabled", "lowered", "suspended"])
async def test_who_started_must_still_be_there(here: Ground, editor: As, asha: Someone, pool: Pool, gone: str) -> None:
    location = await here.consent(await here.page(editor, asha.account_id), stranger().handle)
    await execute(
        pool,
        {
            "disabled": "update app_user set disabled_at = now() where role = 'EDITOR'",
            "lowered": "update app_user set role = 'VIEWER' where role = 'EDITOR'",
            "suspended": "update partner set disabled_at = now() where id = 7",
        }[gone],
    )
    assert code(await here.back(location)) == (422, "TOKEN_INVALID")
    assert await nothing_was_done(pool)


async def test_whoever_brings_a_state_back_it_is_of_who_started(
    here: Ground, editor: As, asha: Someone, pool: Pool
) -> None:
    await add_partner(pool, 8)
    twin = await add_person(pool, "twin@other.example", partner_id=8)
    them = await acting(here.api, twin)
    location = await here.consent(await here.page(editor, asha.account_id), stranger().handle)
    answer = await here.back(location, headers={**them.headers, "x-bb-partner-id": "8"})
    connection_id = told(answer)["connected"]
    assert await them.data("GET", "/connections") == []
    assert [row["id"] for row in await editor.data("GET", "/connections")] == [connection_id]
    assert code(await them.call("DELETE", f"/connections/{connection_id}")) == (404, "NOT_FOUND")
    for foreign in (asha.account_id, uuid.uuid4()):
        assert code(await here.start(them, foreign)) == (404, "NOT_FOUND")
    await here.listen()
    assert (await here.credentials.pick("graphapi", owner=stranger().profile_id)).handle == connection_id


async def test_each_sees_what_is_of_its_account_and_an_owner_all(
    here: Ground, editor: As, asha: Someone, pool: Pool
) -> None:
    owner = await acting(here.api, asha)
    other = await owner.data("POST", "/accounts", name="Other")
    mine = await here.connect(owner, asha.account_id, stranger())
    theirs = await here.connect(owner, other["id"], stranger(nth=1))
    assert {row["id"] for row in await owner.data("GET", "/connections")} == {mine, theirs}
    assert [row["id"] for row in await editor.data("GET", "/connections")] == [mine]
    assert code(await editor.call("DELETE", f"/connections/{theirs}")) == (404, "NOT_FOUND")
    assert code(await here.start(editor, other["id"])) == (404, "NOT_FOUND")
    viewer = await acting(here.api, await add_person(pool, "v@brand.example", partner_id=7, role="VIEWER"))
    for answer in (
        await here.start(viewer, asha.account_id),
        await viewer.call("GET", "/connections"),
        await viewer.call("DELETE", f"/connections/{mine}"),
    ):
        assert code(answer) == (403, "FORBIDDEN")


async def test_an_ended_connection_takes_its_credential_along_and_no_other(
    here: Ground, editor: As, asha: Someone, pool: Pool
) -> None:
    await add_partner(pool, 8)
    twin = await add_person(pool, "twin@other.example", partner_id=8)
    ours = await here.connect(editor, asha.account_id, stranger())
    theirs = await here.connect(await acting(here.api, twin), twin.account_id, stranger())
    await here.listen()
    assert await editor.data("DELETE", f"/connections/{ours}") == {"deleted": 1}
    assert code(await editor.call("DELETE", f"/connections/{ours}")) == (404, "NOT_FOUND")
    assert [row["state"] for row in await editor.data("GET", "/connections")] == ["REVOKED"]
    fresh = PostgresCredentials(pool, SystemClock(), KEYS)  # others know it a second later
    for _ in range(10):
        assert (await fresh.pick("graphapi", owner=stranger().profile_id)).handle == theirs
    assert await here.listen() == 2, "told again, it does not live again"
    enabled = await execute(pool, "select enabled from credential where handle = %s", ours)
    assert enabled == [(False,)]
    assert await here.connect(editor, asha.account_id, stranger()) == ours
    await here.listen()
    assert await execute(pool, "select enabled from credential where handle = %s", ours) == [(True,)]


async def test_one_that_ends_before_the_listener_comes_makes_no_credential(
    here: Ground, editor: As, asha: Someone, pool: Pool
) -> None:
    connection_id = await here.connect(editor, asha.account_id, stranger())
    await editor.data("DELETE", f"/connections/{connection_id}")
    assert (await here.listen(), here.buried) == (1, [])
    assert await here.credentials.held("graphapi", connection_id) is None


async def test_one_that_ends_while_the_listener_is_at_it_is_ended(
    here: Ground, editor: As, asha: Someone, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection_id = await here.connect(editor, asha.account_id, stranger())
    given = here.grants.given

    async def and_then_it_ends(grant_id: uuid.UUID) -> object:
        found = await given(grant_id)
        await editor.data("DELETE", f"/connections/{connection_id}")
        return found

    monkeypatch.setattr(here.grants, "given", and_then_it_ends)
    await here.listen()
    assert await execute(pool, "select enabled from credential where handle = %s", connection_id) == [(False,)]


async def test_a_dead_token_expires_its_connection_and_its_partner_hears(
    here: Ground, editor: As, asha: Someone, pool: Pool
) -> None:
    connection_id = await here.connect(editor, asha.account_id, stranger())
    await here.listen()
    held = await here.credentials.held("graphapi", connection_id)
    assert held is not None
    await here.credentials.disable(held, rest_s=None, reason="401")
    dead = {"event_id": str(uuid.uuid4()), "source": "graphapi", "handle": connection_id, "account": "1", "reason": "x"}
    others = [dead | {"handle": handle} for handle in ("graphapi-1", str(uuid.uuid4()))]
    (frame,) = await here.events("new_access_token_rk")
    for message in (*others, dead, dead):
        frame = replace(frame, body=json.dumps(message).encode())
        assert await here.expired.handle([Delivery("access_token_expired_q", 1, frame, 1)]) == 1
    assert [row["state"] for row in await editor.data("GET", "/connections")] == ["EXPIRED"]
    (told_once,) = await here.events("webhook_out_rk")
    event = json.loads(told_once.body)
    assert (event["type"], event["partner_id"]) == ("connection.expired", 7)
    assert event["data"] == {"connection_id": connection_id, "platform": "INSTAGRAM"}
    assert await here.connect(editor, asha.account_id, stranger()) == connection_id
    assert [row["state"] for row in await editor.data("GET", "/connections")] == ["ACTIVE"]


async def test_a_token_that_a_crawl_finds_dead_expires_its_connection(
    here: Ground, editor: As, asha: Someone, pool: Pool
) -> None:
    ids = [await here.connect(editor, asha.account_id, stranger(nth=number)) for number in range(3)]
    await here.listen()
    dead, rests, _ = [await here.credentials.held("graphapi", each) for each in ids]
    assert dead is not None and rests is not None
    await here.credentials.disable(dead, rest_s=None, reason="401")
    await here.credentials.disable(rests, rest_s=60, reason="429")
    await editor.data("DELETE", f"/connections/{ids[2]}")
    jobs = PostgresJobs(
        pool, SystemClock(), StatusEvents(SystemClock()), lease_s=60, lost_max=9, outbox_written=Signal()
    )
    renewals = Renewals(Vault(pool, KEYS), jobs, here.grants, SystemClock())
    assert [(await renewals())["expired"] for _ in range(2)] == [1, 0]
    states = {row["id"]: row["state"] for row in await editor.data("GET", "/connections")}
    assert [states[each] for each in ids] == ["EXPIRED", "ACTIVE", "REVOKED"]
    (event,) = await here.events("webhook_out_rk")
    assert json.loads(event.body)["data"]["connection_id"] == ids[0]


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/",
        f"{PAGE}.evil.example/",
        f"{PAGE}@evil.example/",
        f"{PAGE}:443/",
        f"{PAGE}\\@evil.example/",
        f"{PAGE}#@evil.example/",
        f"{PAGE}/x#y",
        f"{PAGE}\t/",
        f"{PAGE}/\r\nset-cookie: a=b",
        f"{PAGE}%2eevil.example/",
        f"{PAGE}.",
        f"{PAGE} /",
        PAGE.replace("https", "http"),
        PAGE.replace("https://", "https:/"),
        PAGE.replace("https://", "https:///"),
        PAGE.replace("https://", "//"),
        PAGE.replace("https:", "javascript:"),
        PAGE.upper(),
        PAGE.replace("app", "ápp"),
        PAGE.replace(".", "\u3002"),
        "javascript:alert(1)",
        "data:text/html,x",
        "/creators",
        "//evil.example",
        "https://",
        "http://127.0.0.1:1/",
        "https://[::1]/",
        f"https://user:pw@{PAGE[8:]}/",
        "",
        f"{PAGE}/{'x' * 2000}",
    ],
)
async def test_a_browser_returns_to_no_page_but_an_allowed_one(
    here: Ground, editor: As, asha: Someone, pool: Pool, url: str
) -> None:
    answer = await here.start(editor, asha.account_id, to=url)
    assert code(answer) in ((422, "INVALID_URL"), (422, "INVALID_BODY"))
    assert await execute(pool, "select count(*) from oauth_state") == [(0,)]


@pytest.mark.parametrize("url", [PAGE, f"{PAGE}/", f"{PAGE}?a=b", f"{PAGE}/x?next=https://evil.example"])
async def test_a_browser_returns_to_any_page_of_an_allowed_origin(
    here: Ground, editor: As, asha: Someone, url: str
) -> None:
    response = await here.start(editor, asha.account_id, to=url)
    assert response.status_code == 200
    location = await here.consent(response.json()["data"]["authorize_url"], stranger().handle)
    assert (await here.back(location)).headers["location"].startswith(url)


async def test_only_what_is_served_is_connected(here: Ground, editor: As, asha: Someone) -> None:
    assert code(await here.start(editor, asha.account_id, "myspace")) == (422, "INVALID_PLATFORM")
    assert code(await here.api.client.get(f"{CONNECT}/myspace/callback?state=x")) == (422, "INVALID_PLATFORM")
    shown = dict(parse_qsl(urlsplit(await here.page(editor, asha.account_id, "YouTube")).query))
    assert shown["code_challenge_method"] == "S256" and shown["access_type"] == "offline"
    verifier = await execute(here.pool, "select verifier from oauth_state")
    assert verifier[0][0] not in str(shown) and len(verifier[0][0]) >= 43


async def test_nobody_connects_where_no_platform_knows_us(pool: Pool, clickhouse: ClickHouse, asha: Someone) -> None:
    nowhere = Connecting(ConsentApi(HttpFetcher(), SystemClock(), {}, str), KEYS)
    async with serving_api(pool, clickhouse, cors_origins=(PAGE,), connecting=nowhere) as api:
        body = {"account_id": str(asha.account_id), "return_to": f"{PAGE}/"}
        answer = await (await acting(api, asha)).call("POST", "/connect/instagram/start", **body)
        assert code(answer) == (501, "NOT_IMPLEMENTED")


class Odd(HttpFetcher):
    """Fails at the question whose path it is told: cut off, or with an answer."""

    at, by = "", b""
    status = 200

    async def fetch(self, request: Request) -> Answer:
        answer = await super().fetch(request)
        if not self.at or not request.url.endswith(self.at):
            return answer
        if self.by == b"hang":
            await trio.sleep_forever()
        return Answer(self.status, {}, self.by, 0.0)


FAULTS = [
    ("/oauth/access_token", 400, b'{"error_message": "no"}', "TOKEN_INVALID"),
    ("/oauth/access_token", 200, b"<html>", "SOURCE_UNAVAILABLE"),
    ("/oauth/access_token", 200, b"{}", "SOURCE_UNAVAILABLE"),
    ("/oauth/access_token", 200, b'{"data": [{"access_token": 7}]}', "SOURCE_UNAVAILABLE"),
    ("/oauth/access_token", 503, b"", "SOURCE_UNAVAILABLE"),
    ("/graph_instagram/access_token", 429, b"", "SOURCE_UNAVAILABLE"),
    ("/graph_instagram/access_token", 400, b"{}", "TOKEN_INVALID"),
    ("/graph_instagram/me", 200, b'{"username": "x"}', "SOURCE_UNAVAILABLE"),
    ("/graph_instagram/me", 200, b"[]", "SOURCE_UNAVAILABLE"),
]


@pytest.mark.parametrize(("at", "status", "by", "error"), FAULTS)
async def test_a_platform_that_answers_badly_connects_nobody(
    pool: Pool, clickhouse: ClickHouse, at: str, status: int, by: bytes, error: str
) -> None:
    fetcher = Odd()
    async with ground(pool, clickhouse, fetcher) as here:
        await add_partner(pool, 7)
        asha = await add_person(pool, partner_id=7)
        owner = await acting(here.api, asha)
        location = await here.consent(await here.page(owner, asha.account_id), stranger().handle)
        fetcher.at, fetcher.status, fetcher.by = at, status, by
        assert told(await here.back(location)) == {"tab": "1", "error": error}
        assert await nothing_was_done(pool)


async def test_who_is_cut_off_between_the_exchange_and_its_commit_has_done_nothing(
    pool: Pool, clickhouse: ClickHouse
) -> None:
    fetcher = Odd()
    async with ground(pool, clickhouse, fetcher) as here:
        await add_partner(pool, 7)
        asha = await add_person(pool, partner_id=7)
        owner = await acting(here.api, asha)
        location = await here.consent(await here.page(owner, asha.account_id), stranger().handle)
        fetcher.at, fetcher.by = "/graph_instagram/me", b"hang"
        with pytest.raises(httpx.ReadTimeout):
            await here.back(location, timeout=0.5)
        assert await nothing_was_done(pool)
        mine = "pid <> pg_backend_pid() and datname = current_database()"
        busy = f"select count(*) from pg_stat_activity where state <> 'idle' and {mine}"  # noqa: S608
        assert await execute(pool, busy) == [(0,)], "no transaction waits for a platform"
        fetcher.at = ""
        assert code(await here.back(location)) == (422, "TOKEN_INVALID")
        assert await here.connect(owner, asha.account_id, stranger())


async def test_no_token_is_seen_by_anybody_on_its_way(
    here: Ground, editor: As, asha: Someone, pool: Pool, capfd: pytest.CaptureFixture[str]
) -> None:
    await here.connect(editor, asha.account_id, stranger())
    await here.connect(editor, asha.account_id, stranger("YOUTUBE"))
    for table in ("connection", "oauth_state", "oauth_grant", "outbox", "activity_tracker"):
        rows = str(await execute(pool, f"select t::text from {table} t"))  # noqa: S608 - a table of ours
        assert "world-ig" not in rows and "ya29." not in rows and "1//world" not in rows, table
    logged = "".join(capfd.readouterr())
    assert "world-ig" not in logged and "ya29" not in logged and "code=" not in logged


async def test_what_nobody_needs_any_more_is_dropped(here: Ground, editor: As, asha: Someone, pool: Pool) -> None:
    await here.connect(editor, asha.account_id, stranger())
    await here.page(editor, asha.account_id)
    await here.listen()
    await here.grants.prune()
    counts = "select (select count(*) from oauth_state), (select count(*) from oauth_grant)"
    assert await execute(pool, counts) == [(1, 1)]
    await execute(pool, "update oauth_state set expires_at = now() - interval '1 s'")
    await execute(pool, "update oauth_grant set created_at = now() - interval '2 days'")
    await here.grants.prune()
    assert await execute(pool, counts) == [(0, 0)]
