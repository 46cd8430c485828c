"""Who has an answer is told so: what changes an ETag, what names it, and what a 304 costs."""

import datetime as dt
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from gcc.stores.tenant import Plan, Tenant
from gcc.web.api import etags
from gcc.web.api.envelope import Answer
from gcc.web.api.route import Route
from tests.integration.api_serving import NOW, Api, add_instagram, add_posts, insert, mark_synced, serving_api
from tests.integration.identity_people import execute

PROFILE = "/discovery-service/api/profile/INSTAGRAM/known"
BOARD = "/leaderboard-service/api/leaderboard/platform/INSTAGRAM"
DAY = dt.timedelta(days=1)
RANKED = {
    "platform": "INSTAGRAM", "profile_id": "p1", "month": dt.date(2026, 10, 1), "handle": "one", "followers": 7,
    "followers_rank": 1, "category": "Food", "language": "hi",
}  # fmt: skip


@pytest.fixture
async def api(pool: Pool, clickhouse: ClickHouse) -> AsyncIterator[Api]:
    await add_instagram(pool, "known")
    await add_posts(pool, "ig-known", [NOW - n * DAY for n in range(1, 14)])
    await insert(pool, "leaderboard", [RANKED])
    await mark_synced(pool, "leaderboard")
    async with serving_api(pool, clickhouse) as api:
        yield api


async def asked(api: Api, path: str, etag: str | None = None, method: str = "GET") -> httpx.Response:
    return await api.call(method, path, headers={} if etag is None else {"if-none-match": etag})


@pytest.mark.parametrize("path", [PROFILE, BOARD, f"{BOARD}?category=food"])
async def test_an_answer_that_did_not_change_is_not_sent_again(api: Api, path: str) -> None:
    whole = await asked(api, path)
    etag = whole.headers["etag"]
    assert re.fullmatch('W/"[0-9a-f]{24}"', etag) and whole.headers["cache-control"] == "private, no-cache"
    strong = etag.removeprefix("W/")
    for named in (etag, strong, f'"x", {etag}', f'W/"x" ,{strong}  , "y"', "*"):
        known = await asked(api, path, named)
        assert known.status_code == 304
        for name in ("etag", "vary", "cache-control", "ratelimit-policy"):
            assert known.headers[name] == whole.headers[name]
        assert not known.headers.keys() & {"content-type", "content-length", "content-encoding"}
        assert int(re.search(r"r=(\d+)", known.headers["ratelimit"])[1]) < int(  # type: ignore[index]
            re.search(r"r=(\d+)", whole.headers["ratelimit"])[1]  # type: ignore[index]
        ), "it counts as a call"
    for other in ("", '""', 'W/"x"', etag[:-2] + '"', strong.strip('"'), f"x{etag}", '*, "x"', "," * 9000, '"' * 99):
        assert (await asked(api, path, other)).status_code == 200
    two = [("if-none-match", '"x"'), ("if-none-match", etag), ("authorization", "Bearer gcc-dev")]
    assert (await api.client.get(path, headers=two)).status_code == 304
    for method, status in (("HEAD", 304), ("GET", 304)):
        assert (await api.client.request(method, path, headers={"if-none-match": etag})).status_code == status
    assert (await api.client.head(path)).headers["etag"] == etag


async def change(pool: Pool, statement: str) -> None:
    await execute(pool, statement)


Change = Callable[[Pool], Awaitable[Any]]
CHANGES: dict[str, Change] = {
    "the profile": lambda pool: change(pool, "update instagram_account set followers = 2"),
    "a post's figure": lambda pool: change(pool, "update instagram_post set likes = 99 where post_id = 'ig-known-003'"),
    "a post gone": lambda pool: change(pool, "delete from instagram_post where post_id = 'ig-known-005'"),
    "a post that came": lambda pool: insert(
        pool, "instagram_post",
        [{"post_id": "new", "shortcode": "new", "profile_id": "ig-known", "publish_time": NOW, "source": "graph",
          "scraped_at": NOW}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
async def test_whatever_changes_in_a_profile_changes_its_tag(api: Api, pool: Pool, what: str) -> None:
    etag = (await asked(api, PROFILE)).headers["etag"]
    await CHANGES[what](pool)
    changed = await asked(api, PROFILE, etag)
    assert changed.status_code == 200 and changed.headers["etag"] != etag


async def test_what_is_not_shown_changes_nothing(api: Api, pool: Pool) -> None:
    etag = (await asked(api, PROFILE)).headers["etag"]
    await change(pool, "update instagram_post set likes = 99 where post_id = 'ig-known-012'")  # the 13th
    await add_instagram(pool, "other")
    assert (await asked(api, PROFILE, etag)).status_code == 304


async def test_a_sync_changes_the_tags_of_the_leaderboard(api: Api, pool: Pool) -> None:
    etag = (await asked(api, BOARD)).headers["etag"]
    await mark_synced(pool, "leaderboard")
    assert (await asked(api, BOARD, etag)).status_code == 200


@pytest.mark.parametrize("path", [PROFILE, BOARD])
async def test_a_tag_is_of_one_plan_and_one_query_and_one_shape(
    api: Api, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What FREE does not see is not confirmed by an ETag that SAAS has got."""
    plans: tuple[Plan, ...] = ("FREE", "SAAS", "PAID")
    tags = {}
    for plan in plans:
        monkeypatch.setattr("gcc.web.gateway.auth.DEVELOPMENT", Tenant(1, plan))
        tags[plan] = (await asked(api, path)).headers["etag"]
        for other in tags.values():
            assert (await asked(api, path, other)).status_code == (304 if other == tags[plan] else 200)
    assert len(set(tags.values())) == 3
    query = "?force_refresh=false" if path == PROFILE else "?limit=1"
    assert (await asked(api, path + query, tags["PAID"])).status_code == 200
    api.app.schema = "another release"
    assert (await asked(api, path, tags["PAID"])).status_code == 200


async def test_only_what_is_there_and_may_be_seen_is_known(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await asked(api, PROFILE.replace("known", "x" * 31), "*")).status_code == 422
    assert (await asked(api, f"{BOARD}?metric=likes", "*")).status_code == 422
    assert (await asked(api, "/none", "*")).status_code == 404
    assert (await asked(api, BOARD, "*", method="POST")).status_code == 200, "POST never answers 304"
    monkeypatch.setattr("gcc.web.gateway.auth.DEVELOPMENT", Tenant(1, "PAID", "OPERATOR"))
    assert (await asked(api, PROFILE, "*")).status_code == 403
    del api.client.headers["authorization"]
    assert (await asked(api, PROFILE, "*")).status_code == 401


async def test_elsewhere_nothing_is_kept(api: Api) -> None:
    for path in ("/heartbeat", f"{PROFILE}/posts", f"{PROFILE}/timeseries", "/none", f"{PROFILE}?x=1"):
        response = await asked(api, path, "*")
        assert response.headers["cache-control"] == "no-store" and "etag" not in response.headers


async def test_a_board_that_was_never_synced_has_no_tag(api: Api, pool: Pool) -> None:
    await change(pool, "delete from sync_snapshot")
    response = await asked(api, BOARD, "*")
    assert response.status_code == 200 and "etag" not in response.headers


async def test_what_is_known_is_not_serialised(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def told(tenant: Tenant, request: Any) -> Answer:
        return Answer({}, "process", version=1)

    def never(*_: Any) -> bytes:
        raise AssertionError("serialised")

    api.app.add(Route("GET", "/told", "told", "", told, data=Any, conditional=True))
    monkeypatch.setattr("gcc.web.api.envelope.success", never)
    assert (await asked(api, "/told", "*")).status_code == 304


def test_tags_keep_parts_apart() -> None:
    assert len({etags.tag(*parts) for parts in [("a", "bc"), ("ab", "c"), ("abc",), ("a", ("bc",)), ("a", b"bc")]}) == 5
