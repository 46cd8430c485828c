"""What each plan sees of each route: all that is gated, in every answer that has it, out of the table and the routes.

A new field, or a new route that answers gated ones, fails here until somebody has said what it is.
"""

import datetime as dt
from collections.abc import AsyncIterator, Iterator
from typing import Any, get_args

import pydantic
import pytest

from gcc.stores import gate
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.plans import RANKS
from gcc.stores.postgres import Pool
from gcc.stores.tenant import Plan, Tenant
from gcc.web.api.route import Route
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
from tests.integration.identity_people import execute

PLANS: tuple[Plan, ...] = ("FREE", "SAAS", "PAID")
PROFILE = "/discovery-service/api/profile/{platform}/{handle}"
ASKED = {
    "getProfile": PROFILE.format(platform="INSTAGRAM", handle="full"),
    "getProfileByHandle": "/discovery/INSTAGRAM/byhandle/full",
}
"""Each route that answers something gated, and where it answers a row that has all of it."""
OWN = ("identity-service", "partner-usage-service", "auth", "partner", "jobs")
"""Services that tell tenants of themselves."""
OPEN = {
    "platform", "id", "profile_id", "channel_id", "post_id", "video_id", "shortcode", "handle", "full_name", "title",
    "bio", "description", "tags", "followers", "following", "media_count", "subscribers", "uploads", "total_views",
    "views", "plays", "shorts_reach", "likes", "comments", "reach", "impressions", "shares", "saved", "avg_likes",
    "avg_comments", "avg_views", "engagement_rate", "category", "language", "country", "city", "profile_type",
    "is_verified", "is_business", "keywords", "profile_pic_url", "recent_posts", "source", "scraped_at", "updated_at",
    "post_type", "publish_time", "caption", "hashtags", "thumbnail_url", "duration_s", "rank", "previous_rank", "month",
    "date", "value", "state",
}  # fmt: skip
"""What everybody sees. It stands here as well as not in the table, so that nobody forgets to ask."""


@pytest.fixture
async def api(pool: Pool, clickhouse: ClickHouse) -> AsyncIterator[Api]:
    async with serving_api(pool, clickhouse) as api:
        yield api


def fields(shape: Any) -> Iterator[str]:
    """Of the models in a type, those of the models in them too."""
    if isinstance(shape, type) and issubclass(shape, pydantic.BaseModel):
        for name, field in shape.model_fields.items():
            yield name
            yield from fields(field.annotation)
    for inside in get_args(shape):
        yield from fields(inside)


def creators(api: Api) -> Iterator[tuple[Route, set[str]]]:
    """Routes that tell of creators, and what of them."""
    for route in api.app.routed.values():
        if route.data is not None and not route.begins and route.path.split("/")[1] not in OWN:
            yield route, set(fields(route.data))


async def test_of_every_field_it_is_said_who_sees_it(api: Api) -> None:
    for route, names in creators(api):
        unsaid = {name for name in names if gate.least_plan(name) == "FREE"} - OPEN
        assert not unsaid, (
            f"{route.name} answers {unsaid}: who may see that? Add a row to gcc/stores/gate.py, or to OPEN"
        )
        assert {name for name in OPEN if gate.least_plan(name) != "FREE"} == set()


async def test_every_plan_sees_its_own_of_every_route(api: Api, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    gated = {route.name: {name for name in names if gate.least_plan(name) != "FREE"} for route, names in creators(api)}
    assert {name for name, fields in gated.items() if fields} == ASKED.keys(), "a route has no case here"
    columns = {"audience_age": '{"18-24": 1}', "audience_location": '{"IN": 1}', "phone": "+91 1"}
    await add_instagram(pool, "full", **columns)
    for name, path in ASKED.items():
        for plan in PLANS:
            monkeypatch.setattr("gcc.web.gateway.auth.DEVELOPMENT", Tenant(1, plan))
            content = (await api.get(path)).json()
            hidden = {field for field in gated[name] if RANKS[plan] < RANKS[gate.least_plan(field)]}
            assert {field for field in gated[name] if content["data"][field] is None} == hidden, (name, plan)
            assert set(content["meta"].get("gated", ())) == hidden
            assert ("gated" in content["meta"]) is bool(hidden)


HIDES = """
insert into curated_account (platform, profile_id, curated_by, hides_contacts)
values ('INSTAGRAM', 'ig-full', 'me', true)
"""


async def test_who_does_not_want_it_is_shown_to_nobody(api: Api, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In whatever plan; it is no gate of the plan, and it holds for who has seen the contacts before."""
    await add_instagram(pool, "full", phone="+91 1")
    await add_instagram(pool, "other")
    await execute(pool, HIDES.replace("ig-full", "ig-other").replace("INSTAGRAM", "YOUTUBE"))
    before = await api.get(ASKED["getProfile"])
    assert before.json()["data"]["phone"] == "+91 1"
    await execute(pool, HIDES)
    api.app.repeated.forget()
    for name, path in ASKED.items():
        for plan in PLANS:
            monkeypatch.setattr("gcc.web.gateway.auth.DEVELOPMENT", Tenant(1, plan))
            response = await api.get(path, headers={"if-none-match": before.headers["etag"]})
            assert response.status_code == 200, (name, plan)
            data = response.json()["data"]
            assert (data["email"], data["phone"]) == (None, None)
            assert (data["audience_gender"] is None) is (plan == "FREE")
    assert (await api.get(PROFILE.format(platform="INSTAGRAM", handle="other"))).json()["data"]["email"] is not None
    await execute(pool, "update curated_account set deleted_at = now()")
    api.app.repeated.forget()
    assert (await api.get(ASKED["getProfile"])).json()["data"]["phone"] == "+91 1"


async def test_what_hides_nothing_says_nothing_of_it(api: Api, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gcc.web.gateway.auth.DEVELOPMENT", Tenant(1, "FREE"))
    await add_youtube(pool, "UCabcdefghijklmnopqrstuv", "tube")
    await add_instagram(pool, "full")
    await add_posts(pool, "ig-full", [NOW])
    for path in ("YOUTUBE/tube", "INSTAGRAM/full/posts", "INSTAGRAM/full/timeseries"):
        response = await api.get(f"/discovery-service/api/profile/{path}")
        assert response.status_code == 200 and "gated" not in response.json()["meta"], path


async def test_who_may_not_see_a_metric_may_not_ask_its_series_nor_rank_by_it(
    api: Api, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a filter of a search would: none that is there today is gated, so one is for the length of the test."""
    await add_instagram(pool, "full")
    monkeypatch.setattr("gcc.web.gateway.auth.DEVELOPMENT", Tenant(1, "FREE"))
    monkeypatch.setitem(gate.GATED, "views", "SAAS")  # type: ignore[arg-type]
    for cached in (gate.least_plan, gate.hidden):
        cached.cache_clear()
    board = "/leaderboard-service/api/leaderboard/platform/INSTAGRAM"
    series = "/discovery-service/api/profile/INSTAGRAM/full/timeseries?metric=views"
    try:
        for method, path in (("GET", series), ("POST", board)):
            body = {"json": {"metric": "views"}} if method == "POST" else {}
            response = await api.call(method, path, **body)
            error = response.json()["error"]
            assert (response.status_code, error["code"]) == (403, "PLAN_REQUIRED")
            assert error["detail"] == "your plan is FREE; views needs SAAS" and error["errors"][0]["path"] == "views"
            monkeypatch.setattr("gcc.web.gateway.auth.DEVELOPMENT", Tenant(1, "SAAS"))
            assert (await api.call(method, path, **body)).status_code == 200
            monkeypatch.setattr("gcc.web.gateway.auth.DEVELOPMENT", Tenant(1, "FREE"))
    finally:
        monkeypatch.undo()
        for cached in (gate.least_plan, gate.hidden):
            cached.cache_clear()


SPANS = [
    ("FREE", "from=2026-01-01", ["2026-07-19", "2026-10-16"], "plan FREE shows nothing before 2026-07-19"),
    ("FREE", "from=2026-07-19", ["2026-07-19", "2026-10-16"], None),
    ("FREE", "", ["2026-10-16"], None),
    ("FREE", "from=2026-01-01&to=2026-03-01", [], "nothing before 2026-07-19"),
    ("SAAS", "from=2026-01-01", ["2026-01-01", "2026-07-18", "2026-07-19", "2026-10-16"], None),
    ("PAID", "from=2026-01-01&to=2026-03-01", ["2026-01-01"], None),
]


@pytest.mark.parametrize(("plan", "query", "days", "note"), SPANS)
@pytest.mark.parametrize("metric", ["followers", "likes"])
async def test_series_of_free_go_back_ninety_days_and_say_so(
    api: Api,
    pool: Pool,
    monkeypatch: pytest.MonkeyPatch,
    plan: Plan,
    query: str,
    days: list[str],
    note: str,
    metric: str,
) -> None:
    await add_instagram(pool, "full")
    monkeypatch.setattr("gcc.web.gateway.auth.DEVELOPMENT", Tenant(1, plan))
    if metric == "followers":
        await mark_synced(pool, "social_profile_time_series")
        known = [dt.date(2026, 1, 1), dt.date(2026, 7, 18), dt.date(2026, 7, 19), dt.date(2026, 10, 16)]
        rows = [{"platform": "INSTAGRAM", "profile_id": "ig-full", "date": day, "followers": 5} for day in known]
        await insert(pool, "social_profile_time_series", rows)
    content = (
        await api.get(f"{PROFILE.format(platform='INSTAGRAM', handle='full')}/timeseries?metric={metric}&{query}")
    ).json()
    if metric == "followers":
        assert [point["date"] for point in content["data"]] == days
    told = content["meta"].get("note", "")
    assert (note in told) if note else ("plan" not in told)


async def test_what_is_kept_stays_whole(api: Api, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    await add_instagram(pool, "full")
    monkeypatch.setattr("gcc.web.gateway.auth.DEVELOPMENT", Tenant(1, "FREE"))
    await api.get(ASKED["getProfile"])
    assert await execute(pool, "select email from instagram_account") == [("someone@example.org",)]
