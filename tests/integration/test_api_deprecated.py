"""Older paths: the answers of their successors, and what tells callers and operators that they end."""

import re
import uuid
from collections.abc import AsyncIterator

import httpx
import pytest

from gcc.metrics import Metrics
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from gcc.stores.tenant import Tenant
from tests.integration.api_serving import NOW, Api, add_instagram, add_youtube, insert, mark_synced, serving_api

PROFILE = "/discovery-service/api/profile"
BY_HANDLE = "/discovery/{platform}/byhandle/{handle}"
BY_ID = "/analytics/timeseries/{profile_id}"
CHANNEL = "UC" + "a" * 22


@pytest.fixture
async def api(pool: Pool, clickhouse: ClickHouse) -> AsyncIterator[Api]:
    await add_instagram(pool, "known")
    await add_youtube(pool, CHANNEL, "known")
    for platform, profile_id, followers in (("INSTAGRAM", "ig-known", 7), ("YOUTUBE", CHANNEL, 8), ("YOUTUBE", "9", 9)):
        row = {"platform": platform, "profile_id": profile_id, "date": NOW.date(), "followers": followers}
        await insert(pool, "social_profile_time_series", [row])
    await mark_synced(pool, "social_profile_time_series")
    async with serving_api(pool, clickhouse) as api:
        yield api


def ends(response: httpx.Response) -> bool:
    told = [name for name in ("deprecation", "sunset", "link") if name in response.headers]
    if told:
        assert response.headers["deprecation"] == "@1796083200"
        assert response.headers["sunset"] == "Wed, 01 Dec 2027 00:00:00 GMT"
        assert response.headers["link"].startswith('</docs>; rel="deprecation"')
    return len(told) == 3


async def test_a_profile_by_its_older_path(api: Api) -> None:
    newer = await api.get(f"{PROFILE}/INSTAGRAM/known")
    older = await api.get("/discovery/instagram/byhandle/known")
    assert older.json() == newer.json() and ends(older) and not ends(newer)
    assert f'<{PROFILE}/instagram/known>; rel="successor-version"' in older.headers["link"]
    picked = await api.get("/discovery/YOUTUBE/byhandle/known?fields=handle")
    assert set(picked.json()["data"]) == {"id", "platform", "channel_id", "handle"}


async def test_refusals_and_what_is_known_tell_it_too(api: Api) -> None:
    etag = (await api.get("/discovery/instagram/byhandle/known")).headers["etag"]
    known = await api.get("/discovery/instagram/byhandle/known", headers={"if-none-match": etag})
    assert known.status_code == 304 and ends(known)
    wrong = await api.get("/discovery/instagram/byhandle/%E0%A4%95%20%3E")
    assert wrong.status_code == 422 and ends(wrong)
    assert "/profile/instagram/%E0%A4%95%20%3E>" in wrong.headers["link"]
    del api.client.headers["authorization"]
    assert ends(await api.get("/discovery/instagram/byhandle/known"))


@pytest.mark.parametrize(
    ("path", "told"),
    [("ig-known", 7), (CHANNEL, 8), (f"{CHANNEL}?platform=YOUTUBE&granularity=week", 8), ("9?platform=youtube", None)],
)
async def test_a_series_by_id(api: Api, path: str, told: int | None) -> None:
    response = await api.get(f"/analytics/timeseries/{path}")
    assert ends(response) and "successor" not in response.headers["link"]
    if told is None:  # neither crawled nor followed
        assert response.json()["error"]["code"] == "PROFILE_NOT_FOUND"
    else:
        assert [point["value"] for point in response.json()["data"]] == [told]


async def test_an_id_of_two_platforms_needs_one(api: Api, pool: Pool) -> None:
    await add_instagram(pool, "same", profile_id="42", id=uuid.uuid4())
    await insert(pool, "tracked_profile", [{"platform": "YOUTUBE", "profile_id": "42", "handle": "same"}])
    refused = await api.refused("GET", "/analytics/timeseries/42")
    assert refused[:2] == (409, "CONFLICT") and "INSTAGRAM and YOUTUBE" in refused[2]
    for platform in ("INSTAGRAM", "youtube"):
        assert (await api.get(f"/analytics/timeseries/42?platform={platform}")).status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("nobody", 404, "PROFILE_NOT_FOUND"),
        ("ig-known?platform=YOUTUBE", 404, "PROFILE_NOT_FOUND"),
        ("ig-known?platform=TIKTOK", 422, "INVALID_PLATFORM"),
        ("ig-known?from=2026-10-02&to=2026-10-01", 422, "INVALID_DATE"),
        ("ig-known?x=1", 422, "INVALID_PARAMETER"),
        ("a'b", 422, "INVALID_PARAMETER"),
        ("x" * 129, 422, "INVALID_PARAMETER"),
    ],
)
async def test_refusals_of_a_series_by_id(api: Api, path: str, status: int, code: str) -> None:
    assert (await api.refused("GET", f"/analytics/timeseries/{path}"))[:2] == (status, code)


async def test_who_still_asks_is_counted(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    for partner_id, calls in ((1, 2), (7, 1)):
        monkeypatch.setattr("gcc.web.gateway.auth.DEVELOPMENT", Tenant(partner_id, "SAAS"))
        for _ in range(calls):
            await api.get("/discovery/instagram/byhandle/known")
        await api.get(f"{PROFILE}/INSTAGRAM/known")
    count = api.metrics.registry.get_sample_value
    name = "gcc_web_deprecated_requests_total"
    assert (
        count(name, {"route": BY_HANDLE, "partner": "1"}) == 2
        and count(name, {"route": BY_HANDLE, "partner": "7"}) == 1
    )
    assert {sample.labels["route"] for sample in api.metrics.deprecated_requests.collect()[0].samples} == {BY_HANDLE}


def test_partners_are_told_apart_while_they_are_few() -> None:
    metrics = Metrics()
    for partner_id in range(1000):
        metrics.deprecated("/old", partner_id)
    metrics.deprecated("/old", 5)
    metrics.deprecated("/old", None)
    samples = metrics.deprecated_requests.collect()[0].samples
    counts = {sample.labels["partner"]: sample.value for sample in samples}
    assert len(counts) == 101 and counts["5"] == 2 and counts["other"] == 901


async def test_the_document_says_so(api: Api) -> None:
    paths = (await api.client.get("/openapi.json")).json()["paths"]
    ending = {path for path, methods in paths.items() if any(each.get("deprecated") for each in methods.values())}
    assert ending == {BY_HANDLE, BY_ID}
    operation = paths[BY_HANDLE]["get"]
    assert operation["x-sunset"] == "2027-12-01" and "Sunset" in operation["responses"]["200"]["headers"]
    (platform,) = (each for each in paths[BY_ID]["get"]["parameters"] if each["name"] == "platform")
    assert platform["schema"]["enum"] == ["INSTAGRAM", "YOUTUBE"] and "required" not in platform
    assert not re.search("[{}]", operation["operationId"])
