"""The leaderboard service over real HTTP and PostgreSQL: order, pages, snapshots, refusals."""

import datetime as dt
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest

from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from tests.integration.api_serving import NOW, Api, insert, mark_synced, serving_api

BOARD = "/leaderboard-service/api/leaderboard/platform"
OCTOBER, SEPTEMBER = dt.date(2026, 10, 1), dt.date(2026, 9, 1)
COUNT = 45


@pytest.fixture
async def api(pool: Pool, clickhouse: ClickHouse) -> AsyncIterator[Api]:
    async with serving_api(pool, clickhouse) as api:
        yield api


def creator(number: int, month: dt.date = OCTOBER, **columns: Any) -> dict[str, Any]:
    """Creators 1, 2, 3 ... by followers; the two of each pair share their rank by engagement; no views."""
    food = number % 3 == 0
    return {
        "platform": "INSTAGRAM", "profile_id": f"p{number:03}", "month": month, "handle": f"h{number}",
        "followers": 10_000 - number, "engagement_rate": 5 - number / 100, "category": "Food" if food else "Travel",
        "language": "hi", "country": "IN",
        "followers_rank": number, "followers_rank_prev": number + 1 if number > 1 else None,
        "followers_rank_by_cat": number // 3 if food else number - number // 3, "followers_rank_by_lang": number,
        "followers_rank_by_lang_prev": number + 2, "engagement_rate_rank": (number + 1) // 2,
        **columns,
    }  # fmt: skip


async def fill(pool: Pool) -> None:
    await insert(pool, "leaderboard", [creator(number) for number in range(1, COUNT + 1)])
    await insert(pool, "leaderboard", [creator(number, SEPTEMBER, handle="then") for number in range(1, 4)])
    await insert(pool, "leaderboard", [creator(1, dt.date(2026, 11, 1), platform="YOUTUBE", views_rank=1, views=7)])
    await mark_synced(pool, "leaderboard", as_of=NOW)


async def ask(api: Api, tail: str = "/INSTAGRAM", **body: Any) -> dict[str, Any]:
    response = await api.call("POST", BOARD + tail, json=body)
    assert response.status_code == 200, response.text
    content: dict[str, Any] = response.json()
    return content


async def walk(api: Api, tail: str = "/INSTAGRAM", **body: Any) -> list[dict[str, Any]]:
    """All rows, page by page."""
    rows, cursor = [], None
    while True:
        content = await ask(api, tail, **body, **({"cursor": cursor} if cursor else {}))
        rows += content["data"]
        cursor = content["meta"]["cursor"]
        if cursor is None:
            return rows


async def test_a_page_of_the_latest_month(api: Api, pool: Pool) -> None:
    await fill(pool)
    content = await ask(api, "/instagram", limit=2)
    assert content["meta"] | {"cursor": ""} == {
        "cursor": "", "total": COUNT, "as_of": "2026-10-15T20:00:00Z", "source": "postgres",
    }  # fmt: skip
    assert content["data"][1] == {
        "rank": 2, "previous_rank": 3, "platform": "INSTAGRAM", "profile_id": "p002", "handle": "h2",
        "full_name": None, "followers": 9998, "engagement_rate": 4.98, "views": None, "category": "Travel",
        "language": "Hindi", "country": "IN", "month": "2026-10",
    }  # fmt: skip
    assert content["data"][0]["previous_rank"] is None


async def test_an_empty_body_asks_with_all_defaults(api: Api, pool: Pool) -> None:
    await fill(pool)
    response = await api.call("POST", f"{BOARD}/INSTAGRAM")
    assert [row["rank"] for row in response.json()["data"]] == list(range(1, COUNT + 1))
    assert (await ask(api, month=None, cursor=None))["data"] == response.json()["data"]


@pytest.mark.parametrize("limit", [1, 7, 15, 44, 45, 46, 200])
async def test_the_pages_hold_every_creator_exactly_once(api: Api, pool: Pool, limit: int) -> None:
    await fill(pool)
    for metric in ("followers", "engagement_rate"):  # the second has ties
        rows = await walk(api, metric=metric, limit=limit)
        places = [(row["rank"], row["profile_id"]) for row in rows]
        assert places == sorted(set(places)) and len(places) == COUNT


async def test_the_size_of_a_page_may_change_on_the_way(api: Api, pool: Pool) -> None:
    await fill(pool)
    first = await ask(api, limit=3)
    second = await ask(api, limit=5, cursor=first["meta"]["cursor"])
    assert [row["rank"] for row in first["data"] + second["data"]] == list(range(1, 9))


async def test_get_answers_what_post_does(api: Api, pool: Pool) -> None:
    await fill(pool)
    for query, tail, body in (
        ("", "", {}),
        ("metric=engagement_rate&limit=3", "", {"metric": "engagement_rate", "limit": 3}),
        ("category=fOOd&limit=4", "/category/fOOd", {"limit": 4}),
        ("language=Hindi&month=2026-09", "/language/hi", {"month": "2026-09"}),
    ):
        got = (await api.get(f"{BOARD}/instagram?{query}")).json()
        posted = await ask(api, f"/INSTAGRAM{tail}", **body)
        assert got["data"] == posted["data"] and len(got["data"]) > 0
        if got["meta"]["cursor"] and "language" not in query:
            assert got["meta"]["cursor"] == posted["meta"]["cursor"], "which goes on either way"
    both = await api.refused("GET", f"{BOARD}/INSTAGRAM?category=Food&language=hi")
    assert both[:2] == (422, "INVALID_PARAMETER")
    for wrong in ("category=", "limit=0", "metric=likes", f"language={'x' * 101}", "country=IN", "category=a%00"):
        assert (await api.refused("GET", f"{BOARD}/INSTAGRAM?{wrong}"))[:2] == (422, "INVALID_PARAMETER")


async def test_categories_and_languages_have_their_own_ranks(api: Api, pool: Pool) -> None:
    await fill(pool)
    food = await walk(api, "/INSTAGRAM/category/fOOd", limit=4)
    assert [row["rank"] for row in food] == list(range(1, 16)) and {row["category"] for row in food} == {"Food"}
    hindi = await ask(api, "/INSTAGRAM/language/HI")
    assert hindi["data"][0]["previous_rank"] == 3 and hindi["meta"]["total"] == COUNT
    for tail in ("/category/unheard-of", f"/language/{quote('कविता')}", "/category/x'%20or%201=1--"):
        content = await ask(api, f"/INSTAGRAM{tail}")
        assert content["data"] == [] and content["meta"]["total"] == 0 and content["meta"]["as_of"]
        assert content["meta"]["note"].startswith("nobody is ranked by followers in this ")


async def test_a_month_and_a_metric(api: Api, pool: Pool) -> None:
    await fill(pool)
    assert {row["handle"] for row in (await ask(api, month="2026-09"))["data"]} == {"then"}
    assert (await ask(api, month="2020-01"))["meta"]["total"] == 0
    assert (await ask(api, metric="views"))["data"] == []  # ranks that cannot be computed are not listed
    videos = await ask(api, "/YOUTUBE", metric="views")
    assert videos["data"][0]["month"] == "2026-11" and videos["data"][0]["views"] == 7


async def test_before_the_first_sync_there_is_nothing(api: Api) -> None:
    content = await ask(api)
    assert content["data"] == []
    note = (
        "no leaderboard has been made yet: the first one follows when the first crawl is stored;"
        " the next is due at 2026-10-16T20:15:00Z"
    )
    assert content["meta"] == {"cursor": None, "total": 0, "as_of": None, "source": "postgres", "note": note}


async def test_a_cursor_does_not_outlive_its_snapshot(api: Api, pool: Pool) -> None:
    await fill(pool)
    cursor = (await ask(api, limit=3))["meta"]["cursor"]
    assert (await ask(api, cursor=cursor))["data"][0]["rank"] == 4
    await mark_synced(pool, "leaderboard")
    refused = await api.refused("POST", f"{BOARD}/INSTAGRAM", json={"cursor": cursor})
    assert refused == (409, "CURSOR_EXPIRED", "the leaderboard was refreshed; start again without cursor")
    async with pool.connection() as conn:
        await conn.execute("delete from sync_snapshot")
    assert (await api.refused("POST", f"{BOARD}/INSTAGRAM", json={"cursor": cursor}))[1] == "CURSOR_EXPIRED"


@pytest.mark.parametrize(
    ("tail", "body"),
    [
        ("/YOUTUBE", {}),
        ("/INSTAGRAM", {"metric": "engagement_rate"}),
        ("/INSTAGRAM", {"month": "2026-10"}),
        ("/INSTAGRAM/category/food", {}),
        ("/INSTAGRAM/language/instagram", {}),
    ],
)
async def test_a_cursor_of_another_query_is_refused(api: Api, pool: Pool, tail: str, body: dict[str, Any]) -> None:
    await fill(pool)
    cursor = (await ask(api, limit=3))["meta"]["cursor"]
    refused = await api.refused("POST", BOARD + tail, json={**body, "cursor": cursor})
    assert refused[:2] == (422, "INVALID_CURSOR")


@pytest.mark.parametrize(
    ("body", "code", "path"),
    [
        (b"{", "INVALID_BODY", ""),
        (b"\xff", "INVALID_BODY", ""),
        (b'\xef\xbb\xbf{"limit": 1}', "INVALID_BODY", ""),
        (b"[]", "INVALID_BODY", ""),
        (b'"x"', "INVALID_BODY", ""),
        (b"[" * 100_000, "INVALID_BODY", ""),
        (b'{"limit": 0}', "INVALID_BODY", "limit"),
        (b'{"limit": 201}', "INVALID_BODY", "limit"),
        (b'{"limit": "50"}', "INVALID_BODY", "limit"),
        (b'{"limit": 1.5}', "INVALID_BODY", "limit"),
        (b'{"limit": true}', "INVALID_BODY", "limit"),
        (b'{"limit": 1e400}', "INVALID_BODY", "limit"),
        (b'{"metric": "followers_rank; drop table leaderboard"}', "INVALID_BODY", "metric"),
        (b'{"metric": null}', "INVALID_BODY", "metric"),
        (b'{"offset": 3}', "INVALID_BODY", "offset"),
        (b'{"\\ud800": 1}', "INVALID_BODY", "\\ud800"),
        (b'{"\\ud800": 1, "\\ud800": 2}', "INVALID_BODY", "\\ud800"),
        (b'{"x\\udfff": {"\\ud800": []}}', "INVALID_BODY", "x\\udfff"),
        (b'{"month": "2026-13"}', "INVALID_DATE", "month"),
        (b'{"month": "2026-1"}', "INVALID_DATE", "month"),
        (b'{"month": "2026-10-01"}', "INVALID_DATE", "month"),
        (b'{"month": "0000-01"}', "INVALID_DATE", "month"),
        (b'{"month": 202610}', "INVALID_DATE", "month"),
        (b'{"cursor": "nonsense"}', "INVALID_CURSOR", "cursor"),
        (b'{"cursor": 7}', "INVALID_CURSOR", "cursor"),
        (b'{"cursor": "\\u0000"}', "INVALID_CURSOR", "cursor"),
    ],
)
async def test_bad_bodies_are_named(api: Api, body: bytes, code: str, path: str) -> None:
    response = await api.call("POST", f"{BOARD}/INSTAGRAM", content=body)
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (422, code)
    assert error["errors"][0]["path"] == path and error["errors"][0]["reason"]


async def test_a_byte_order_mark_is_named(api: Api) -> None:
    response = await api.call("POST", f"{BOARD}/INSTAGRAM", content=b'\xef\xbb\xbf{"limit": 1}')
    assert response.json()["error"]["detail"] == "a byte order mark stands before it; send UTF-8 without one"


@pytest.mark.parametrize("query", ["category=caf%E9", "category=%ED%A0%80", "caf%E9=1", "metric=%FF"])
async def test_a_query_in_another_encoding_is_no_group_that_nobody_is_in(api: Api, query: str) -> None:
    response = await api.call("GET", f"{BOARD}/INSTAGRAM?{query}")
    assert (response.status_code, response.json()["error"]["code"]) == (422, "INVALID_PARAMETER")
    assert "UTF-8" in response.json()["error"]["detail"]
    assert (await api.call("GET", f"{BOARD}/INSTAGRAM?category=caf%C3%A9")).status_code == 200


async def test_bad_paths_are_named(api: Api) -> None:
    assert (await api.refused("POST", f"{BOARD}/FACEBOOK"))[:2] == (422, "INVALID_PLATFORM")
    refused = await api.refused("POST", f"{BOARD}/INSTAGRAM/category/{'x' * 101}")
    assert refused[:2] == (422, "INVALID_PARAMETER")


@pytest.mark.parametrize(
    ("month", "metric", "crossed"),
    [
        ("2026-08", "views", True),  # its last days count otherwise than July
        ("2026-09", "views", True),  # than August's first
        ("2026-10", "views", False),
        ("2026-08", "followers", False),
    ],
)
async def test_ranks_on_both_sides_of_a_step_say_so(
    pool: Pool, api: Api, month: str, metric: str, crossed: bool
) -> None:
    day = dt.date.fromisoformat(f"{month}-01")
    row = creator(1, day, platform="YOUTUBE", views_rank=1, views_rank_prev=2, views=7)
    await insert(pool, "leaderboard", [row])
    await mark_synced(pool, "leaderboard", as_of=NOW)
    meta = (await ask(api, "/YOUTUBE", month=month, metric=metric))["meta"]
    assert ("steps" in meta) is crossed
    if crossed:
        (step,) = meta["steps"]
        assert (step["since"], step["settled"]) == ("2026-08-24", "2026-08-27")
        assert "first frame" in step["what"]
