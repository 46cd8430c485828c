"""A sample of bent cursors through HTTP and the stores: 422, 409, or rows of the very query, never a fault of ours."""

import datetime as dt
import random
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest

from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from tests.integration.api_serving import NOW, Api, add_instagram, add_posts, insert, mark_synced, serving_api
from tests.integration.identity_people import IDENTITY, acting, add_partner, add_person
from tests.unit.test_fuzzed_cursors import bent

BOARD = "/leaderboard-service/api/leaderboard/platform/INSTAGRAM"
POSTS = "/discovery-service/api/profile/INSTAGRAM/known/posts"
USERS = f"{IDENTITY}/users"
TRIES = 400
OWN = {"p1", "p2", "p3", "ig-known"}


@pytest.fixture
async def api(pool: Pool, clickhouse: ClickHouse) -> AsyncIterator[Api]:
    await add_instagram(pool, "known")
    await add_instagram(pool, "other")
    for profile_id in ("ig-known", "ig-other"):
        await add_posts(pool, profile_id, [NOW, NOW - dt.timedelta(days=1), None, None])
    for platform, prefix in (("INSTAGRAM", "p"), ("YOUTUBE", "y")):
        await insert(
            pool, "leaderboard",
            [{"platform": platform, "profile_id": f"{prefix}{rank}", "month": dt.date(2026, 10, 1), "handle": "h",
              "followers_rank": rank} for rank in (1, 2, 3)],
        )  # fmt: skip
    await mark_synced(pool, "leaderboard")
    async with serving_api(pool, clickhouse) as api:
        yield api


async def page(api: Api, path: str, cursor: str, headers: Any = None) -> Any:
    """The rows; None where it is refused as it should be."""
    response = await api.get(f"{path}{'&' if '?' in path else '?'}cursor={quote(cursor, safe='')}", headers=headers)
    if response.status_code != 200:
        code = response.json()["error"]["code"]
        assert (response.status_code, code) in ((422, "INVALID_CURSOR"), (409, "CURSOR_EXPIRED")), (code, cursor)
        return None
    return response.json()["data"]


async def test_bent_cursors_lead_to_no_other_rows(api: Api) -> None:
    chance = random.Random("cursors over HTTP")
    real = {}
    for path in (f"{BOARD}?limit=1", f"{POSTS}?limit=1"):
        real[path] = (await api.get(path)).json()["meta"]["cursor"]
    pages = 0
    for number in range(TRIES):
        path = list(real)[number % 2]
        rows = await page(api, path, bent(chance, real[path], list(real.values())))
        pages += rows is not None
        assert all(row["profile_id"] in OWN and row["platform"] == "INSTAGRAM" for row in rows or ())
    assert pages > 10, "else nothing came as far as the stores"


async def test_a_partner_s_cursor_is_another_s_nothing(api: Api, pool: Pool) -> None:
    people = []
    for partner_id in (7, 8):
        await add_partner(pool, partner_id)
        for name in ("a", "b", "c"):
            owner = await add_person(pool, f"{name}@brand{partner_id}.example", partner_id=partner_id)
        people.append(await acting(api, owner))
    asha, other = people
    first = (await asha.call("GET", "/users?limit=1")).json()["meta"]["cursor"]
    assert len(await page(api, USERS, first, asha.headers)) == 2
    assert await page(api, USERS, first, other.headers) is None
    chance = random.Random("cursors of partners")
    for _ in range(TRIES // 4):
        rows = await page(api, USERS, bent(chance, first, [first]), other.headers)
        assert all("brand8" in row["email"] for row in rows or ())
