"""?fields=: what was asked for and its ids, after the plan's gate."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from gcc.stores.tenant import Tenant
from gcc.web.api.fields import FIELDS_MAX, Fields, picked
from gcc.web.api.naming import SHOWN, Naming
from tests.integration.api_serving import NOW, Api, add_instagram, add_posts, add_youtube, serving_api

PROFILE = "/discovery-service/api/profile/INSTAGRAM/known"
IDS = {"id", "platform", "profile_id"}


@pytest.fixture
async def api(pool: Pool, clickhouse: ClickHouse) -> AsyncIterator[Api]:
    await add_instagram(pool, "known")
    await add_youtube(pool, "UC" + "a" * 22, "known")
    await add_posts(pool, "ig-known", [NOW])
    async with serving_api(pool, clickhouse) as api:
        yield api


async def asked(api: Api, fields: str, path: str = PROFILE) -> dict[str, Any]:
    response = await api.get(path, params={"fields": fields})
    assert response.status_code == 200, response.text
    content: dict[str, Any] = response.json()
    return content


ASKED = [
    ("handle", {"handle"}, None),
    ("handle,followers,handle", {"handle", "followers"}, None),
    ("id", set(), None),
    ("recent_posts", {"recent_posts"}, 11),
    ("recent_posts.likes", {"recent_posts"}, {"post_id", "likes"}),
    ("recent_posts.likes,recent_posts.plays,bio", {"recent_posts", "bio"}, {"post_id", "likes", "plays"}),
    ("recent_posts.likes,recent_posts", {"recent_posts"}, 11),
    ("recent_posts,recent_posts.likes", {"recent_posts"}, 11),
    ("audience_gender", {"audience_gender"}, None),
    ("subscribers", set(), None),  # of another platform's profiles
]


@pytest.mark.parametrize(("fields", "names", "post"), ASKED)
async def test_rows_have_what_is_asked_for_and_their_ids(api: Api, fields: str, names: set[str], post: Any) -> None:
    data = (await asked(api, fields))["data"]
    assert set(data) == IDS | names
    if post is not None:
        (shown,) = data["recent_posts"]
        assert (len(shown) == post) if isinstance(post, int) else (set(shown) == post)
    whole = (await api.get(PROFILE)).json()["data"]
    assert {name: whole[name] for name in data if name != "recent_posts"} == {
        name: data[name] for name in data if name != "recent_posts"
    }


async def test_each_platform_has_its_own(api: Api) -> None:
    data = (await asked(api, "subscribers,handle", f"{PROFILE.replace('INSTAGRAM', 'YOUTUBE')}"))["data"]
    assert set(data) == {"id", "platform", "channel_id", "subscribers", "handle"}


@pytest.mark.parametrize(
    "fields",
    ["", ",", "handle,", "Handle", "no_such", "handle.x", "recent_posts.", "recent_posts.nothing", ".handle",
     "recent_posts.likes.x", "audience_gender.f", "handle;followers", " handle", "handle\0",
     ",".join(["handle"] * (FIELDS_MAX + 1)), "recent_posts.profile_id"],
)  # fmt: skip
async def test_what_is_no_field_is_refused(api: Api, fields: str) -> None:
    response = await api.get(PROFILE, params={"fields": fields})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["errors"][0]["path"]) == (422, "INVALID_PARAMETER", "fields")


async def test_as_many_as_may_be(api: Api) -> None:
    assert set((await asked(api, ",".join(["handle"] * FIELDS_MAX)))["data"]) == IDS | {"handle"}
    assert (await api.refused("GET", f"{PROFILE}?fields=handle&fields=bio"))[:2] == (422, "INVALID_PARAMETER")
    assert (await api.refused("GET", f"{PROFILE}/posts?fields=likes"))[:2] == (422, "INVALID_PARAMETER")


async def test_they_are_picked_behind_the_gate_of_the_plan(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await asked(api, "email,bio"))["data"]["email"] == "someone@example.org"
    monkeypatch.setattr("gcc.web.gateway.auth.DEVELOPMENT", Tenant(1, "FREE"))
    content = await asked(api, "email,bio")
    assert content["data"]["email"] is None and content["meta"]["gated"] == ["email"]
    assert "gated" not in (await asked(api, "bio"))["meta"]


async def test_a_tag_is_of_its_fields(api: Api) -> None:
    tags = {(await api.get(f"{PROFILE}{query}")).headers["etag"] for query in ("", "?fields=bio", "?fields=handle")}
    assert len(tags) == 3


async def test_the_document_names_them(api: Api) -> None:
    document = (await api.client.get("/openapi.json")).json()
    operation = document["paths"]["/discovery-service/api/profile/{platform}/{handle}"]["get"]
    (parameter,) = (each for each in operation["parameters"] if each["name"] == "fields")
    assert parameter["schema"]["items"]["enum"] == Fields(Naming(SHOWN).profile).names
    assert (parameter["style"], parameter["explode"], parameter["schema"]["maxItems"]) == ("form", False, FIELDS_MAX)


def test_lists_are_picked_row_by_row() -> None:
    rows = [{"id": 1, "a": 2, "b": None}, {"id": 3, "a": 4, "b": {"c": 5, "d": 6, "x_id": 7}}]
    assert picked(rows, {"b": frozenset({"c"})}) == [{"id": 1, "b": None}, {"id": 3, "b": {"c": 5, "x_id": 7}}]
