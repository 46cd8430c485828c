"""Who asks the same again within a second: the same bytes, no question to the database, and nobody else's."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from gcc.pipelines.scraping.refresh import Refreshed
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from gcc.stores.tenant import Tenant
from gcc.web.api.kept import Kept
from gcc.web.gateway import repeated
from gcc.web.gateway.repeated import Repeated
from tests.integration.api_serving import Api, add_instagram, serving_api
from tests.integration.identity_people import acting, add_partner, add_person, execute

PROFILE = "/discovery-service/api/profile"
ASHA = f"{PROFILE}/INSTAGRAM/asha"
BOARD = "/leaderboard-service/api/leaderboard/platform/INSTAGRAM"


@pytest.fixture
async def api(pool: Pool, clickhouse: ClickHouse) -> AsyncIterator[Api]:
    await add_instagram(pool, "asha", followers=1)
    async with serving_api(pool, clickhouse, repeated=Repeated(60.0)) as api:
        yield api


async def followers(api: Api, path: str = ASHA, **options: Any) -> int:
    return int((await api.get(path, **options)).json()["data"]["followers"])


async def grow(pool: Pool) -> None:
    await execute(pool, "update instagram_account set followers = followers + 1")


async def test_the_same_is_answered_with_the_same_bytes_and_tag(api: Api, pool: Pool) -> None:
    first = await api.get(ASHA)
    await grow(pool)
    again = await api.get(ASHA)
    assert again.content == first.content and again.headers["etag"] == first.headers["etag"]
    assert again.headers["x-bb-requestid"] != first.headers["x-bb-requestid"]
    assert again.headers["ratelimit"] != first.headers["ratelimit"], "each call counts"
    known = await api.client.get(ASHA, headers={"if-none-match": first.headers["etag"]})
    assert known.status_code == 304 and not known.content


@pytest.mark.parametrize(
    "other",
    [f"{ASHA}?fields=followers", f"{PROFILE}/INSTAGRAM/Asha", f"{ASHA}?force_refresh=false"],
)
async def test_what_is_asked_otherwise_is_read(api: Api, pool: Pool, other: str) -> None:
    assert await followers(api) == 1
    await grow(pool)
    assert await followers(api, other) == 2 and await followers(api) == 1


async def test_bodies_of_boards_are_told_apart(api: Api) -> None:
    for body in ({}, {"limit": 1}, {"metric": "views"}):
        assert (await api.call("POST", BOARD, json=body)).status_code == 200
    assert {asked[-1] for asked in api.app.repeated._given} == {b"{}", b'{"limit":1}', b'{"metric":"views"}'}
    refused, _, _ = await api.refused("POST", BOARD, json={"limit": 0})
    assert refused == 422


async def test_partners_and_plans_are_told_apart(api: Api, pool: Pool) -> None:
    assert await followers(api) == 1
    await grow(pool)
    await add_partner(pool, 8, "FREE")
    other = await acting(api, await add_person(pool, "else@brand.example", partner_id=8))
    answer = await api.get(ASHA, headers=other.headers)
    assert answer.json()["data"]["followers"] == 2 and answer.json()["data"]["email"] is None
    assert (await api.get(ASHA)).json()["data"]["email"] == "someone@example.org"


async def test_a_forced_refresh_is_never_repeated_and_what_it_found_is_seen(api: Api, pool: Pool) -> None:
    assert await followers(api) == 1

    async def scrape() -> None:
        await grow(pool)

    api.refresher.scrape, api.refresher.refreshed = scrape, Refreshed("COMPLETE", "")
    for expected in (2, 3):
        assert await followers(api, f"{ASHA}?force_refresh=true") == expected
        api.app.repeated.forget("a job")  # what the notification of its end does
        assert await followers(api) == expected


async def test_who_may_no_longer_ask_gets_nothing(api: Api, pool: Pool) -> None:
    await add_partner(pool, 8)
    other = await acting(api, await add_person(pool, "else@brand.example", partner_id=8))
    assert (await api.get(ASHA, headers=other.headers)).status_code == 200
    assert (await other.call("POST", "/auth/logout")).status_code == 200
    assert (await api.get(ASHA, headers=other.headers)).status_code == 401


TENANT = Tenant(7, "PAID")


class Request:
    path, query_string = "/x", b""


async def test_what_was_read_before_all_was_forgotten_is_not_kept() -> None:
    answers = Repeated(1.0)
    asked = answers.asked("a", TENANT, Request(), b"")
    answers.forget()
    answers.keep(asked, Kept(b"old", ""), None)
    assert answers.get(asked) is None


async def test_it_is_known_for_so_long_from_when_it_was_asked_for(autojump_clock: trio.testing.MockClock) -> None:
    answers = Repeated(1.0)
    asked = answers.asked("a", TENANT, Request(), b"")
    await trio.sleep(0.6)
    answers.keep(asked, Kept(b"x", ""), None)
    assert answers.get(asked) is not None
    await trio.sleep(0.5)
    assert answers.get(asked) is None


async def test_its_bytes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeated, "BYTES_MAX", 100_000)
    answers = Repeated(1.0)
    for number in range(1000):
        answers.keep(answers.asked("a", TENANT, Request(), b"%d" % number), Kept(bytes(2000), ""), None)
    answers.keep(answers.asked("a", TENANT, Request(), b"big"), Kept(bytes(300_000), ""), None)
    assert 20 < len(answers._given) <= 33 and answers._given.currsize <= 100_000
