"""The discovery service over real HTTP and real stores."""

import datetime as dt
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
import trio

from gcc.pipelines.scraping.refresh import Refreshed
from gcc.platforms import INSTAGRAM, PLATFORMS
from gcc.stores import profiles_read
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from gcc.stores.tenant import Tenant
from gcc.web.api.naming import SHOWN
from tests.integration.api_serving import (
    NOW,
    Api,
    add_instagram,
    add_posts,
    add_youtube,
    insert,
    mark_synced,
    serving_api,
)

PROFILE = "/discovery-service/api/profile"
CHANNEL = "UCabcdefghijklmnopqrstuv"
DAY = dt.timedelta(days=1)


@pytest.fixture
async def api(pool: Pool, clickhouse: ClickHouse) -> AsyncIterator[Api]:
    async with serving_api(pool, clickhouse) as api:
        yield api


async def test_a_fresh_profile_comes_from_postgres(api: Api, pool: Pool) -> None:
    await add_instagram(pool, "Chai.Walk", full_name="Chai ☕", engagement_rate=2.5)
    await add_posts(pool, "ig-chai.walk", [*(NOW - n * DAY for n in range(1, 15)), None])
    for name in ("Chai.Walk", "chai.walk", "@CHAI.WALK"):
        response = await api.get(f"{PROFILE}/instagram/{name}")
        assert response.status_code == 200
    content = response.json()
    data = content["data"]
    assert content["meta"] == {"cursor": None, "total": None, "as_of": "2026-10-15T19:00:00Z", "source": "postgres"}
    assert (data["platform"], data["handle"], data["full_name"]) == ("INSTAGRAM", "Chai.Walk", "Chai ☕")
    assert (data["followers"], data["engagement_rate"], data["following"]) == (1000, 2.5, None)
    assert data["audience_gender"] == {"f": 0.6, "m": 0.4} and data["keywords"] == ["food", "travel"]
    assert [post["likes"] for post in data["recent_posts"]] == list(range(12))  # newest first, dated ones only
    assert data["recent_posts"][0]["publish_time"] == "2026-10-14T20:00:00Z"
    assert api.refresher.asked == []


async def test_a_youtube_profile_by_handle_and_by_channel_id(api: Api, pool: Pool) -> None:
    await add_youtube(pool, CHANNEL, "MasalaMedia")
    await add_youtube(pool, "UC-another", CHANNEL)  # a handle that looks like the id of another channel
    await add_youtube(pool, "UC-hindi", "हिन्दी")
    by_handle = (await api.get(f"{PROFILE}/YouTube/@masalamedia")).json()["data"]
    by_id = (await api.get(f"{PROFILE}/YOUTUBE/{CHANNEL}")).json()["data"]
    assert by_handle == by_id
    assert (by_id["platform"], by_id["channel_id"], by_id["subscribers"]) == ("YOUTUBE", CHANNEL, 5000)
    assert (await api.get(f"{PROFILE}/YOUTUBE/{quote('हिन्दी')}")).json()["data"]["channel_id"] == "UC-hindi"


async def test_a_handle_names_exactly_one_profile(api: Api, pool: Pool) -> None:
    """Neither a wildcard, nor a word of a path, nor another spelling of itself."""
    for handle in ("a_b", "axb", "a_", "byid", "x", "timeseries", "posts"):
        await add_instagram(pool, handle)
    for number, handle in enumerate(("हिन्दी", "हिन्द", "byid")):
        await add_youtube(pool, f"UC{number:022}", handle)
    for asked, found in {"a_b": "a_b", "A_B": "a_b", "a_": "a_", "byid": "byid", "@byid": "byid", "@x": "x", "X": "x",
                         "timeseries": "timeseries", "posts": "posts"}.items():  # fmt: skip
        for path in (f"{PROFILE}/INSTAGRAM/{asked}", f"/discovery/instagram/byhandle/{asked}"):
            assert (await api.get(path)).json()["data"]["handle"] == found
    for asked, found in {"हिन्दी": "हिन्दी", "@हिन्द": "हिन्द", "ByID": "byid"}.items():
        assert (await api.get(f"{PROFILE}/YOUTUBE/{quote(asked, safe='@')}")).json()["data"]["handle"] == found
    api.refresher.refreshed = Refreshed("NOT_FOUND", "no such user")
    for absent in ("a-b", "a%25b", "ab", "%25", "___"):
        assert (await api.get(f"{PROFILE}/INSTAGRAM/{absent}")).status_code in (404, 422)


async def test_who_takes_a_handle_over_has_it_and_who_had_it_is_found_by_id(api: Api, pool: Pool) -> None:
    old, new = "UC" + "o" * 22, "UC" + "n" * 22
    await add_youtube(pool, old, "taken", scraped_at=NOW - dt.timedelta(hours=5))
    await add_youtube(pool, new, "taken", scraped_at=NOW - dt.timedelta(hours=4))
    for asked, channel_id in (("taken", new), (old, old), (new, new)):
        assert (await api.get(f"{PROFILE}/YOUTUBE/{asked}")).json()["data"]["channel_id"] == channel_id


async def test_of_two_accounts_with_one_handle_the_one_seen_last_is_meant(api: Api, pool: Pool) -> None:
    await add_instagram(pool, "taken", followers=2, scraped_at=NOW)
    await add_instagram(pool, "TAKEN", profile_id="renamed", followers=1, id=uuid.uuid4(), scraped_at=NOW - DAY)
    assert (await api.get(f"{PROFILE}/INSTAGRAM/Taken")).json()["data"]["followers"] == 2


async def test_a_missing_profile_is_scraped_within_the_request(api: Api, pool: Pool) -> None:
    api.refresher.refreshed = Refreshed("COMPLETE", "")
    api.refresher.scrape = lambda: add_instagram(pool, "newcomer", scraped_at=NOW)
    content = (await api.get(f"{PROFILE}/INSTAGRAM/@NewComer")).json()
    assert content["meta"]["source"] == "scrape" and content["meta"]["as_of"] == "2026-10-15T20:00:00Z"
    assert content["data"]["handle"] == "newcomer" and content["data"]["source"] == "graph"
    assert api.refresher.asked == [("INSTAGRAM", "newcomer", 3.0)]


async def test_a_channel_id_is_scraped_in_its_own_case(api: Api) -> None:
    api.refresher.refreshed = Refreshed("NOT_FOUND", "")
    await api.get(f"{PROFILE}/YOUTUBE/{CHANNEL}")
    await api.get(f"{PROFILE}/YOUTUBE/SomeHandle")
    assert [handle for _, handle, _ in api.refresher.asked] == [CHANNEL, "somehandle"]


@pytest.mark.parametrize("query", ["force_refresh=true", "full_refresh=1", "force_refresh", "full_refresh"])
async def test_a_forced_refresh_scrapes_a_fresh_profile(api: Api, pool: Pool, query: str) -> None:
    await add_instagram(pool, "fresh")
    api.refresher.refreshed = Refreshed("COMPLETE", "")
    assert (await api.get(f"{PROFILE}/INSTAGRAM/fresh?{query}")).json()["meta"]["source"] == "scrape"
    assert (await api.get(f"{PROFILE}/INSTAGRAM/fresh?force_refresh=false")).json()["meta"]["source"] == "postgres"
    assert len(api.refresher.asked) == 1


async def test_full_refreshes_have_three_limits_of_which_all_or_none_are_spent(api: Api, pool: Pool) -> None:
    for handle in ("one", "Two"):
        await add_instagram(pool, handle)
    api.refresher.refreshed = Refreshed("COMPLETE", "")
    assert (await api.get(f"{PROFILE}/INSTAGRAM/one?full_refresh")).status_code == 200
    refused = await api.get(f"{PROFILE}/INSTAGRAM/ONE?full_refresh")
    error = refused.json()["error"]
    assert (refused.status_code, error["code"], error["title"]) == (
        429,
        "CONCURRENCY_LIMIT",
        "Concurrency Limit Exceeded",
    )
    assert "code 2: beat_server_refresh_profile_insta_per_handle_one: our limit of 1 calls per 1 s" in error["detail"]
    assert refused.headers["retry-after"] == "1"
    assert (await api.get(f"{PROFILE}/INSTAGRAM/ONE?force_refresh")).status_code == 200, "that has no limit of its own"
    assert (await api.get(f"{PROFILE}/INSTAGRAM/two?full_refresh")).status_code == 200
    used = {use.name.removeprefix("beat_server_refresh_profile_insta_"): use.used for use in api.limiter.usage()}
    assert (used["daily"], used["per_minute"], used["per_handle_two"]) == (2, 2, 1)


REFUSALS = [
    (Refreshed("NOT_FOUND", "no such user"), 404, "PROFILE_NOT_FOUND", None),
    (Refreshed("NOT_VISIBLE", "no such user"), 404, "PROFILE_NOT_FOUND", None),
    (Refreshed("INVALID", "the source refuses this name"), 422, "INVALID_HANDLE", None),
    (Refreshed("LIMITED", "call budget spent", 12.2), 429, "SOURCE_LIMITED", "13"),
    (Refreshed("LIMITED", "call budget spent", 0.01), 429, "SOURCE_LIMITED", "1"),
    (Refreshed("LIMITED", "call budget spent"), 429, "SOURCE_LIMITED", "1"),
    (Refreshed("FAILED", "source is down", 30.0), 503, "SOURCE_UNAVAILABLE", "30"),
    (Refreshed("FAILED", "source is down"), 503, "SOURCE_UNAVAILABLE", None),
    (Refreshed("TIMEOUT", "not done in time"), 504, "SCRAPE_TIMEOUT", None),
    (Refreshed("COMPLETE", ""), 502, "PROFILE_UNAVAILABLE", None),
]


@pytest.mark.parametrize(("refreshed", "status", "code", "retry_after"), REFUSALS)
async def test_each_end_of_a_scrape_has_its_own_answer(
    api: Api, refreshed: Refreshed, status: int, code: str, retry_after: str | None
) -> None:
    api.refresher.refreshed = refreshed
    response = await api.get(f"{PROFILE}/INSTAGRAM/nobody")
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert response.headers.get("retry-after") == retry_after
    assert response.headers["ratelimit"].startswith('"source";r=0;t=') == (status == 429)


@pytest.mark.parametrize("outcome", ["LIMITED", "FAILED", "TIMEOUT"])
async def test_a_stale_profile_is_answered_with_its_age_when_it_cannot_be_scraped(
    api: Api, pool: Pool, outcome: Any
) -> None:
    await add_instagram(pool, "stale", scraped_at=NOW - 2 * DAY)
    api.refresher.refreshed = Refreshed(outcome, "not now", 5.0)
    content = (await api.get(f"{PROFILE}/INSTAGRAM/stale")).json()
    assert content["meta"]["source"] == "postgres" and content["meta"]["as_of"] == "2026-10-13T20:00:00Z"
    forced = await api.get(f"{PROFILE}/INSTAGRAM/stale?force_refresh=true")
    assert forced.status_code in (429, 503, 504)


async def test_a_stale_profile_that_is_gone_is_not_found(api: Api, pool: Pool) -> None:
    await add_instagram(pool, "gone", scraped_at=NOW - 2 * DAY)
    api.refresher.refreshed = Refreshed("NOT_FOUND", "")
    assert (await api.refused("GET", f"{PROFILE}/INSTAGRAM/gone"))[:2] == (404, "PROFILE_NOT_FOUND")


def not_found(handle: str, ago_s: float = 1.0, platform: str = "INSTAGRAM", **columns: Any) -> dict[str, Any]:
    """A refresh that ended: the source said that there is no such profile."""
    now = dt.datetime.now(dt.UTC)
    return {
        "id": uuid.uuid4(), "idempotency_key": f"refresh:{platform}:{handle}", "platform": platform, "flow": "any",
        "params": "{}", "status": "FAILED", "expires_at": now, "scraped_at": now - dt.timedelta(seconds=ago_s),
        "data": '{"code": "PROFILE_NOT_FOUND", "reason": "no such user"}', **columns,
    }  # fmt: skip


async def test_what_does_not_exist_is_not_asked_for_again_for_five_minutes(api: Api, pool: Pool) -> None:
    api.refresher.refreshed = Refreshed("NOT_FOUND", "")
    await insert(pool, "scrape_request_log", [not_found("nobody", 290), not_found(CHANNEL, platform="YOUTUBE")])
    for path in ("INSTAGRAM/nobody", "INSTAGRAM/@NoBody", f"YOUTUBE/{CHANNEL}"):
        refused = await api.refused("GET", f"{PROFILE}/{path}")
        assert refused[:2] == (404, "PROFILE_NOT_FOUND")
        assert "has no profile called" in refused[2]
    assert api.refresher.asked == []
    for path in ("INSTAGRAM/nobody?force_refresh", "YOUTUBE/nobody", "INSTAGRAM/somebody"):
        assert (await api.refused("GET", f"{PROFILE}/{path}"))[:2] == (404, "PROFILE_NOT_FOUND")
    assert len(api.refresher.asked) == 3


async def test_what_is_not_visible_is_not_found_and_says_so(api: Api, pool: Pool) -> None:
    hidden = {"data": '{"code": "NOT_VISIBLE", "reason": "graphapi: HTTP 400, error 110/2207013"}'}
    await insert(pool, "scrape_request_log", [not_found("hidden", **hidden)])
    api.refresher.refreshed = Refreshed("NOT_VISIBLE", "")
    for path in ("INSTAGRAM/hidden", "INSTAGRAM/another"):
        refused = await api.refused("GET", f"{PROFILE}/{path}")
        assert refused[:2] == (404, "PROFILE_NOT_FOUND")
        assert "is not visible by the official API of INSTAGRAM" in refused[2]
    assert len(api.refresher.asked) == 1


async def test_a_stale_profile_that_is_gone_is_not_asked_for_again_either(api: Api, pool: Pool) -> None:
    await add_instagram(pool, "gone", scraped_at=NOW - 2 * DAY)
    await insert(pool, "scrape_request_log", [not_found("gone")])
    assert (await api.refused("GET", f"{PROFILE}/INSTAGRAM/gone"))[:2] == (404, "PROFILE_NOT_FOUND")
    assert api.refresher.asked == []


@pytest.mark.parametrize(
    "columns",
    [
        {"ago_s": 301},
        {"data": '{"code": "SOURCE_FAILED", "reason": ""}'},
        {"data": None},
        {"status": "COMPLETE"},
        {"idempotency_key": "first:INSTAGRAM:someone"},
        {"status": "PENDING", "scraped_at": None},  # a person lets it be tried again
    ],
)
async def test_only_a_source_s_own_word_of_late_counts(api: Api, pool: Pool, columns: dict[str, Any]) -> None:
    await insert(pool, "scrape_request_log", [not_found("someone", **columns)])
    await api.get(f"{PROFILE}/INSTAGRAM/someone")
    assert len(api.refresher.asked) == 1


async def test_of_handles_that_nobody_follows_a_tenant_may_ask_for_a_few_a_minute(api: Api, pool: Pool) -> None:
    api.refresher.refreshed = Refreshed("NOT_FOUND", "")
    await add_instagram(pool, "stale", scraped_at=NOW - 2 * DAY)
    await insert(pool, "tracked_profile", [{"platform": "INSTAGRAM", "profile_id": "ig-9", "handle": "Followed"}])
    await insert(pool, "scrape_request_log", [not_found("nobody")])
    for number in range(30):
        assert (await api.refused("GET", f"{PROFILE}/INSTAGRAM/guess{number}"))[0] == 404
        assert (await api.refused("GET", f"{PROFILE}/INSTAGRAM/nobody"))[0] == 404, "which costs nothing"
    for path in ("INSTAGRAM/another", "YOUTUBE/another", "INSTAGRAM/another?force_refresh", "INSTAGRAM/guess1"):
        response = await api.get(f"{PROFILE}/{path}")
        assert (response.status_code, response.json()["error"]["code"]) == (429, "RATE_LIMITED")
        assert 0 < int(response.headers["retry-after"]) <= 60
        assert response.headers["ratelimit"].startswith(f'"unknown-handles";r=0;t={response.headers["retry-after"]}, ')
        assert response.headers["ratelimit-policy"].startswith('"unknown-handles";q=30;w=60, ')
        assert "30 handles that nobody follows per 60 s" in response.json()["error"]["detail"]
    for path in ("INSTAGRAM/stale", "INSTAGRAM/followed", "INSTAGRAM/stale?force_refresh", "INSTAGRAM/nobody"):
        assert (await api.refused("GET", f"{PROFILE}/{path}"))[0] == 404
    assert len(api.refresher.asked) == 30 + 3


async def test_requests_that_share_a_scrape_count_once(api: Api) -> None:
    api.refresher.refreshed = Refreshed("NOT_FOUND", "")
    everybody = trio.Event()

    async def scrape() -> None:
        if len(api.refresher.asked) == 60:
            everybody.set()
        await everybody.wait()

    api.refresher.scrape = scrape
    statuses: list[int] = []

    async def ask(query: str) -> None:
        statuses.append((await api.get(f"{PROFILE}/INSTAGRAM/wanted{query}")).status_code)

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            for number in range(60):
                nursery.start_soon(ask, "?force_refresh" if number % 2 else "")
    assert statuses == [404] * 60
    api.refresher.scrape = None
    for number in range(29):
        assert (await api.refused("GET", f"{PROFILE}/INSTAGRAM/guess{number}"))[0] == 404
    assert (await api.refused("GET", f"{PROFILE}/INSTAGRAM/guess"))[0] == 429


async def test_while_draining_nothing_is_scraped(api: Api, pool: Pool) -> None:
    await add_instagram(pool, "stale", scraped_at=NOW - 2 * DAY)
    api.state = "draining"
    assert (await api.get(f"{PROFILE}/INSTAGRAM/stale")).json()["meta"]["source"] == "postgres"
    assert (await api.refused("GET", f"{PROFILE}/INSTAGRAM/missing"))[:2] == (503, "DRAINING")
    assert (await api.refused("GET", f"{PROFILE}/INSTAGRAM/stale?force_refresh"))[:2] == (503, "DRAINING")
    assert api.refresher.asked == []


async def test_plan_free_sees_no_contacts_and_no_audience(pool: Pool) -> None:
    await add_instagram(pool, "shown", phone="+91 1")
    seen = await profiles_read.find(Tenant(1, "PAID"), pool, INSTAGRAM, SHOWN[0].columns, "shown")
    less = await profiles_read.find(Tenant(1, "FREE"), pool, INSTAGRAM, SHOWN[0].columns, "shown")
    assert seen and less and seen.version == less.version
    paid, free = seen.row, less.row
    assert paid["email"] == "someone@example.org" and paid["phone"] == "+91 1" and paid["audience_gender"]
    assert {name for name in paid if paid[name] != free[name]} == {"email", "phone", "audience_gender"}
    assert free["email"] is None and free["phone"] is None and free["audience_gender"] is None


NO_HANDLES = ["é", "कविता", "😀", "a b", "a'b", "a%01b", "x" * 31, "@", "a;drop", "a|b", '"', "ｆｕｌｌ"]


@pytest.mark.parametrize("handle", NO_HANDLES)
@pytest.mark.parametrize("tail", ["", "/timeseries", "/posts"])
async def test_what_cannot_be_a_handle_is_refused_before_any_store_is_asked(api: Api, handle: str, tail: str) -> None:
    refused = await api.refused("GET", f"{PROFILE}/INSTAGRAM/{quote(handle, safe='%@')}{tail}")
    assert refused[:2] == (422, "INVALID_HANDLE")
    assert api.refresher.asked == []


async def test_what_a_handle_may_have_is_told(api: Api) -> None:
    response = await api.call("GET", f"{PROFILE}/INSTAGRAM/a%20b")
    assert "Handles have: Letters of a to z, digits, underscores" in response.json()["error"]["detail"]


@pytest.mark.parametrize("handle", ["😀", "a b", "a'b", "x" * 31, "%01"])
async def test_youtube_handles_are_letters_of_any_script(api: Api, handle: str) -> None:
    refused = await api.refused("GET", f"{PROFILE}/YOUTUBE/{quote(handle, safe='%@')}")
    assert refused[:2] == (422, "INVALID_HANDLE")


@pytest.mark.parametrize("platform", ["TIKTOK", "insta", "%F0%9F%98%80", "INSTAGRAM'--", "ınstagram"])
async def test_an_unknown_platform_is_refused(api: Api, platform: str) -> None:
    for path in (f"{PROFILE}/{platform}/someone", f"{PROFILE}/{platform}/someone/posts"):
        assert (await api.refused("GET", path))[:2] == (422, "INVALID_PLATFORM")


@pytest.mark.parametrize(
    ("tail", "query", "code"),
    [
        ("", "force_refresh=maybe", "INVALID_PARAMETER"),
        ("", "colour=red", "INVALID_PARAMETER"),
        ("/posts", "limit=0", "INVALID_PARAMETER"),
        ("/posts", "limit=101", "INVALID_PARAMETER"),
        ("/posts", "limit=ten", "INVALID_PARAMETER"),
        ("/posts", "limit=1&limit=2", "INVALID_PARAMETER"),
        ("/posts", "cursor=nonsense", "INVALID_CURSOR"),
        ("/posts", "cursor=", "INVALID_CURSOR"),
        ("/timeseries", "metric=password", "INVALID_PARAMETER"),
        ("/timeseries", "metric=followers;drop table instagram_account", "INVALID_PARAMETER"),
        ("/timeseries", "granularity=hour", "INVALID_PARAMETER"),
        ("/timeseries", "from=2026-13-01", "INVALID_DATE"),
        ("/timeseries", "from=20261001", "INVALID_DATE"),
        ("/timeseries", "to=yesterday", "INVALID_DATE"),
        ("/timeseries", "to=1700000000", "INVALID_DATE"),
        ("/timeseries", "to=2026-10-01T00:00:00", "INVALID_DATE"),
        ("/timeseries", "to=1950-01-01", "INVALID_DATE"),
        ("/timeseries", "to=9999-12-31", "INVALID_DATE"),
        ("/timeseries", "to=２０２６-10-01", "INVALID_DATE"),
        ("/timeseries", "from=2026-10-02&to=2026-10-01", "INVALID_DATE"),
        ("/timeseries", "from=2027-10-02", "INVALID_DATE"),
        ("/timeseries", "from=2023-01-01&to=2026-10-01", "INVALID_DATE"),
    ],
)
async def test_bad_parameters_are_named(api: Api, pool: Pool, tail: str, query: str, code: str) -> None:
    await add_instagram(pool, "known")
    response = await api.get(f"{PROFILE}/INSTAGRAM/known{tail}?{query}")
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (422, code)
    assert error["errors"][0]["path"] in query or error["errors"][0]["path"] in ("from", "to")
    assert error["errors"][0]["reason"]


async def test_an_inverted_span_names_both_ends(api: Api) -> None:
    response = await api.get(f"{PROFILE}/INSTAGRAM/any/timeseries?from=2026-10-02&to=2026-10-01")
    error = response.json()["error"]
    assert error["detail"] == "from 2026-10-02 is after to 2026-10-01"
    assert [fault["path"] for fault in error["errors"]] == ["from", "to"]


@pytest.mark.parametrize("tail", ["/timeseries", "/timeseries?metric=likes", "/posts"])
async def test_what_nobody_has_named_has_no_series_and_no_posts(api: Api, tail: str) -> None:
    assert (await api.refused("GET", f"{PROFILE}/INSTAGRAM/unknown{tail}"))[:2] == (404, "PROFILE_NOT_FOUND")


async def add_days(pool: Pool, profile_id: str, followers: dict[str, int | None]) -> None:
    await insert(
        pool,
        "social_profile_time_series",
        [
            {"platform": "INSTAGRAM", "profile_id": profile_id, "date": day, "followers": value, "engagement": 1.25}
            for day, value in followers.items()
        ],
    )


async def test_a_synced_series_by_day_week_and_month(api: Api, pool: Pool) -> None:
    await add_instagram(pool, "grows")
    days: dict[str, int | None] = {
        "2026-08-31": 1, "2026-09-06": 2, "2026-09-07": 3, "2026-09-30": 4, "2026-10-01": 5, "2026-10-02": None,
    }  # fmt: skip
    await add_days(pool, "ig-grows", days)
    await add_days(pool, "someone-else", {"2026-09-10": 99})
    as_of = await mark_synced(pool, "social_profile_time_series", as_of=NOW - DAY)
    assert as_of
    series = f"{PROFILE}/INSTAGRAM/Grows/timeseries?metric=followers&from=2026-08-01&to=2026-10-30"

    async def points(query: str) -> list[tuple[str, float]]:
        content = (await api.get(f"{series}{query}")).json()
        assert content["meta"]["source"] == "postgres" and content["meta"]["as_of"] == "2026-10-14T20:00:00Z"
        return [(point["date"], point["value"]) for point in content["data"]]

    by_day = [(day, value) for day, value in days.items() if value is not None]
    assert await points("") == by_day == await points("&granularity=day")
    assert await points("&granularity=week") == [("2026-08-31", 2), ("2026-09-07", 3), ("2026-09-28", 5)]
    assert await points("&granularity=month") == [("2026-08-01", 1), ("2026-09-01", 4), ("2026-10-01", 5)]
    series = f"{PROFILE}/INSTAGRAM/Grows/timeseries?metric=engagement_rate&from=2026-10-02&to=2026-10-02"
    assert await points("") == [("2026-10-02", 1.25)]


async def test_a_series_covers_the_last_thirty_local_days_by_default(api: Api, pool: Pool) -> None:
    await add_instagram(pool, "grows")
    await add_days(pool, "ig-grows", {"2026-09-16": 1, "2026-09-17": 2, "2026-10-16": 3, "2026-10-17": 4})
    await mark_synced(pool, "social_profile_time_series")
    data = (await api.get(f"{PROFILE}/INSTAGRAM/grows/timeseries")).json()["data"]
    assert [point["date"] for point in data] == ["2026-09-17", "2026-10-16"]  # it is the 16th in Kolkata
    until = (await api.get(f"{PROFILE}/INSTAGRAM/grows/timeseries?to=2026-10-15")).json()["data"]
    assert [point["date"] for point in until] == ["2026-09-16", "2026-09-17"]


async def test_before_the_first_sync_a_series_is_empty_and_says_so(api: Api, pool: Pool) -> None:
    await insert(pool, "tracked_profile", [{"platform": "INSTAGRAM", "profile_id": "ig-1", "handle": "OnlyFollowed"}])
    for tail, note in (("/timeseries", "no series has been made yet"), ("/posts", "it was not crawled yet")):
        content = (await api.get(f"{PROFILE}/INSTAGRAM/onlyfollowed{tail}")).json()
        assert content["data"] == [] and content["meta"]["as_of"] is None
        assert content["meta"]["note"].startswith(note)
    await mark_synced(pool, "social_profile_time_series")
    meta = (await api.get(f"{PROFILE}/INSTAGRAM/onlyfollowed/timeseries")).json()["meta"]
    assert meta["note"] == "nothing is known of its followers from 2026-09-17 to 2026-10-16"


async def add_events(clickhouse: ClickHouse, profile_id: str, likes: dict[str, int | None]) -> None:
    lines = [
        {
            "event_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{profile_id}{at}")), "v": 1, "origin": "test",
            "origin_id": "1", "source": "graph", "platform": "YOUTUBE", "profile_id": profile_id, "handle": "h",
            "event_timestamp": at, "metrics": {} if value is None else {"likes": value, "avg_views": value / 2},
            "dimensions": {},
        }
        for at, value in likes.items()
    ]  # fmt: skip
    body = "\n".join(json.dumps(line) for line in lines).encode()
    await clickhouse.insert_ndjson("_e.profile_log_events", body, token=str(uuid.uuid4()))


async def test_a_series_of_events_by_local_days(api: Api, pool: Pool, clickhouse: ClickHouse) -> None:
    await add_youtube(pool, CHANNEL, "masala")
    events: dict[str, int | None] = {
        "2026-09-30 18:29:59.000000": 1,  # the 30th in Kolkata
        "2026-09-30 18:30:00.000000": 2,  # already the 1st
        "2026-10-01 10:00:00.500000": 3,
        "2026-10-01 10:00:01.000000": None,
        "2026-10-04 12:00:00.000000": 4,  # a Sunday
        "2026-10-05 12:00:00.000000": 5,
    }
    await add_events(clickhouse, CHANNEL, events)
    await add_events(clickhouse, CHANNEL, events)  # redelivered: rows stand twice until they are merged
    await add_events(clickhouse, "UC-other", {"2026-10-02 12:00:00.000000": 99})

    async def points(query: str) -> list[tuple[str, float]]:
        content = (await api.get(f"{PROFILE}/YOUTUBE/masala/timeseries?{query}")).json()
        assert content["meta"]["source"] == "clickhouse"
        return [(point["date"], point["value"]) for point in content["data"]]

    span = "from=2026-10-01&to=2026-10-04"
    assert await points(f"metric=likes&{span}") == [("2026-10-01", 3), ("2026-10-04", 4)]
    assert await points(f"metric=avg_views&{span}") == [("2026-10-01", 1.5), ("2026-10-04", 2.0)]
    assert await points(f"metric=comments&{span}") == []
    both = "from=2026-09-01&to=2026-10-31&metric=likes"
    assert await points(f"{both}&granularity=week") == [("2026-09-28", 4), ("2026-10-05", 5)]
    assert await points(f"{both}&granularity=month") == [("2026-09-01", 1), ("2026-10-01", 5)]
    content = (await api.get(f"{PROFILE}/YOUTUBE/masala/timeseries?{both}")).json()
    assert content["meta"]["as_of"] == "2026-10-05T12:00:00Z"


async def test_without_clickhouse_only_its_series_fail(api: Api, pool: Pool, clickhouse: ClickHouse) -> None:
    await add_instagram(pool, "known")
    await clickhouse.aclose()
    refused = await api.refused("GET", f"{PROFILE}/INSTAGRAM/known/timeseries?metric=likes")
    assert refused[:2] == (503, "ANALYTICS_UNAVAILABLE")
    for tail in ("", "/posts", "/timeseries?metric=followers"):
        assert (await api.get(f"{PROFILE}/INSTAGRAM/known{tail}")).status_code == 200
    assert (await api.call("POST", "/leaderboard-service/api/leaderboard/platform/INSTAGRAM")).status_code == 200


async def pages(api: Api, path: str, limit: int) -> list[list[dict[str, Any]]]:
    found, cursor = [], ""
    while True:
        content = (await api.get(f"{path}?limit={limit}{cursor}")).json()
        found.append(content["data"])
        if content["meta"]["cursor"] is None:
            return found
        cursor = f"&cursor={content['meta']['cursor']}"


@pytest.mark.parametrize("limit", [1, 4, 10, 11, 100])
async def test_posts_page_through_exactly_once_newest_first_undated_last(api: Api, pool: Pool, limit: int) -> None:
    await add_instagram(pool, "poster")
    tie = NOW - DAY
    await add_posts(pool, "ig-poster", [NOW - 3 * DAY, tie, None, tie, NOW, None, tie, NOW - 2 * DAY, None, tie])
    found = await pages(api, f"{PROFILE}/INSTAGRAM/poster/posts", limit)
    assert [len(page) for page in found] == [limit] * (10 // limit) + ([10 % limit] if 10 % limit else [])
    order = [post["likes"] for page in found for post in page]
    assert order == [4, 9, 6, 3, 1, 7, 0, 8, 5, 2]
    content = (await api.get(f"{PROFILE}/INSTAGRAM/poster/posts")).json()
    assert content["meta"]["total"] == 10 and content["meta"]["source"] == "postgres"
    assert content["data"][0]["hashtags"] == ["a", "b"] and content["data"][0]["platform"] == "INSTAGRAM"


MOMENTS = ["infinity", "-infinity", "12000-01-01", "0044-03-15 BC"]
UNREADABLE = ["9" * 6000, "[" * 3000 + "]" * 3000]


@pytest.mark.parametrize("limit", [1, 2, 3])
async def test_posts_of_any_time_page_through_exactly_once(api: Api, pool: Pool, limit: int) -> None:
    await add_instagram(pool, "poster")
    odd: list[Any] = [*MOMENTS, NOW, None, *MOMENTS, NOW - DAY, None]
    await add_posts(pool, "ig-poster", odd)
    found = await pages(api, f"{PROFILE}/INSTAGRAM/poster/posts", limit)
    order = [post["likes"] for page in found for post in page]
    assert order == [8, 6, 2, 0, 4, 10, 11, 9, 7, 5, 3, 1]
    recent = (await api.get(f"{PROFILE}/INSTAGRAM/poster")).json()["data"]["recent_posts"]
    assert len(recent) == 10


@pytest.mark.parametrize(
    "columns",
    [
        *({name: at} for name in ("scraped_at", "updated_at") for at in MOMENTS),
        *({f"audience_{name}": data} for name in ("gender", "age", "location") for data in UNREADABLE),
    ],
    ids=lambda columns: str(columns)[:40],
)
async def test_a_profile_of_any_row_is_answered(api: Api, pool: Pool, columns: dict[str, Any]) -> None:
    await add_instagram(pool, "odd", **columns)
    await add_youtube(pool, CHANNEL, "odd", **{name: columns[name] for name in columns if name.endswith("_at")})
    for platform in PLATFORMS:
        for tail in ("", "/posts", "/timeseries?metric=followers"):
            assert (await api.get(f"{PROFILE}/{platform}/odd{tail}")).status_code == 200


@pytest.mark.parametrize("as_of", MOMENTS)
async def test_a_sync_of_any_time_is_answered(api: Api, pool: Pool, as_of: Any) -> None:
    await add_instagram(pool, "synced")
    await mark_synced(pool, "social_profile_time_series", as_of=as_of)
    await mark_synced(pool, "leaderboard", as_of=as_of)
    assert (await api.get(f"{PROFILE}/INSTAGRAM/synced/timeseries?metric=followers")).status_code == 200
    board = "/leaderboard-service/api/leaderboard/platform/INSTAGRAM"
    assert (await api.call("POST", board, json={"metric": "followers"})).status_code == 200


async def test_videos_are_listed_too(api: Api, pool: Pool) -> None:
    await add_youtube(pool, CHANNEL, "masala")
    videos = [
        {
            "video_id": f"v{number}", "channel_id": CHANNEL, "post_type": "short", "views": number, "tags": ["x"],
            "duration_s": 30, "publish_time": NOW - number * DAY, "source": "data_api", "scraped_at": NOW,
        }
        for number in range(20)
    ]  # fmt: skip
    await insert(pool, "youtube_post", videos)
    found = await pages(api, f"{PROFILE}/YOUTUBE/@Masala/posts", 7)
    assert [post["views"] for page in found for post in page] == list(range(20))
    recent = (await api.get(f"{PROFILE}/YOUTUBE/masala")).json()["data"]["recent_posts"]
    assert [post["video_id"] for post in recent] == [f"v{number}" for number in range(15)]


async def test_a_posts_cursor_belongs_to_its_profile(api: Api, pool: Pool) -> None:
    for handle in ("one", "two"):
        await add_instagram(pool, handle)
        await add_posts(pool, f"ig-{handle}", [NOW, NOW - DAY])
    cursor = (await api.get(f"{PROFILE}/INSTAGRAM/one/posts?limit=1")).json()["meta"]["cursor"]
    assert (await api.get(f"{PROFILE}/INSTAGRAM/ONE/posts?cursor={cursor}")).status_code == 200
    refused = await api.refused("GET", f"{PROFILE}/INSTAGRAM/two/posts?cursor={cursor}")
    assert refused[:2] == (422, "INVALID_CURSOR")
