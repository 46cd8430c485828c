"""The Instagram of the world over real HTTP: the truth of every flow, and the API that serves the same to owners."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
import pytest
import trio

from gcc.clock import VirtualClock
from gcc.config import World as Settings
from gcc.world.graph import TOKENS, USER
from gcc.world.server import serve_world, tokens
from tests.certificates import PLAIN


@asynccontextmanager
async def world(**settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    wanted = Settings(enabled=True, **{"port": 0, "creators": 60, "odd": 5, "calls_per_s": 100_000.0, **settings})
    draining = trio.Event()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(partial(serve_world, wanted, VirtualClock(1), draining=draining, grace_s=2.0))
            async with httpx.AsyncClient(base_url=url, timeout=30, verify=PLAIN) as client:
                yield client
            draining.set()


async def get(client: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def owner_of(client: httpx.AsyncClient, source: str = "graphapi") -> dict[str, Any]:
    return next(each for each in (await get(client, "/tokens"))[source] if "handle" in each)


@pytest.mark.parametrize("kind", ["followers", "following", "posts", "tagged", "stories", "insights", "post_insights"])
async def test_parts_of_a_list_are_the_list(kind: str) -> None:
    async with world() as client:
        handle = (await get(client, "/truth/instagram", limit=1, offset=40))["data"][0]["handle"]
        path = f"/truth/instagram/{handle}/{kind}"
        whole = await get(client, path, limit=60)
        assert whole["handle"] == handle
        assert whole["state"] == "public"
        assert sum(whole["audience_age"].values()) == (await get(client, f"/truth/instagram/{handle}"))["followers"]
        assert len(whole["data"]) == min(whole["total"], 60)
        parts = [row for offset in (0, 20, 40) for row in (await get(client, path, limit=20, offset=offset))["data"]]
        assert parts == whole["data"]
        assert (await get(client, path, offset=whole["total"]))["data"] == []


async def test_relations_have_the_names_of_their_rows() -> None:
    async with world() as client:
        handle = (await get(client, "/truth/instagram", limit=1))["data"][0]["handle"]
        profile_id = (await get(client, f"/truth/instagram/{handle}"))["profile_id"]
        for kind, own, other in (("followers", "target", "source"), ("following", "source", "target")):
            for row in (await get(client, f"/truth/instagram/{handle}/{kind}", limit=50))["data"]:
                assert row["relationship_type"] == "follows"
                assert (row[f"{own}_profile_id"], row[f"{own}_handle"]) == (profile_id, handle)
                assert row[f"{other}_profile_id"] and row[f"{other}_handle"]


async def test_the_api_tells_an_owner_the_truth() -> None:
    async with world() as client:
        owner = await owner_of(client)
        true = await get(client, f"/truth/instagram/{owner['handle']}/posts", limit=100)
        assert (true["owner_login"], true["profile_id"]) == ("facebook", owner["account"])
        post = min(true["data"], key=lambda row: abs(row["comments"] - 200))
        asked = {"access_token": owner["token"], "fields": "id,text,username,replies.limit(50){id}", "limit": 50}
        told: list[str] = []
        while True:
            page = await get(client, f"/graph/v25.0/{post['fbid']}/comments", **asked)
            for item in page["data"]:
                told += [item["id"], *(reply["id"] for reply in item.get("replies", {}).get("data", []))]
            if "next" not in page.get("paging", {}):
                break
            asked["after"] = page["paging"]["cursors"]["after"]
        comments = await get(client, f"/truth/instagram/comments/{post['shortcode']}", limit=1000)
        assert told == [row["activity_id"] for row in comments["data"]]
        assert len(told) == comments["total"] == post["comments"]
        assert {row["shortcode"] for row in comments["data"]} == {post["shortcode"]}
        figures = await get(client, f"/truth/instagram/{owner['handle']}/post_insights", limit=100)
        known = next(row for row in figures["data"] if row["insights"] is not None)
        metrics = ",".join(known["insights"])
        answer = await get(
            client, f"/graph/v25.0/{known['fbid']}/insights", metric=metrics, access_token=owner["token"]
        )
        assert {item["name"]: item["values"][0]["value"] for item in answer["data"]} == known["insights"]


async def test_likes_posts_and_hashtags_have_a_truth() -> None:
    async with world() as client:
        handle = (await get(client, "/truth/instagram", limit=1))["data"][0]["handle"]
        post = (await get(client, f"/truth/instagram/{handle}/posts"))["data"][0]
        assert (await get(client, f"/truth/instagram/posts/{post['shortcode']}"))["data"] == [post]
        likes = await get(client, f"/truth/instagram/likes/{post['post_id']}", limit=20, offset=100)
        assert likes["total"] == post["likes"]
        for row in likes["data"]:
            assert row["activity_id"] == f"{post['post_id']}:{row['actor_profile_id']}"
        tag = post["caption"].rpartition("#")[2]
        tagged = await get(client, f"/truth/instagram/hashtags/{tag}", limit=10_000)
        assert tagged["total"] == len(tagged["data"])
        assert all(f"#{tag}" in row["caption"] for row in tagged["data"])


async def test_odd_accounts_have_a_truth() -> None:
    async with world() as client:
        rows = (await get(client, "/truth/instagram"))["data"]
        by_state = {row["state"]: row["handle"] for row in rows}
        assert by_state.keys() == {"public", "private", "renamed", "gone", "age_gated", "hides_likes"}
        assert [row["state"] for row in rows].index("public") == 0
        private = await get(client, f"/truth/instagram/{by_state['private']}")
        assert (private["posts"], private["avg_likes"], private["engagement_rate"]) == ([], None, None)
        hiding = await get(client, f"/truth/instagram/{by_state['hides_likes']}")
        assert {post["likes"] for post in hiding["posts"]} == {None}
        assert hiding["avg_likes"] is None
        assert hiding["avg_comments"] > 0
        renamed = await get(client, f"/truth/instagram/{by_state['renamed']}")
        assert (await get(client, f"/truth/instagram/{renamed['former_handles'][0]}")) == renamed
        assert (await get(client, f"/truth/instagram/{by_state['gone']}"))["state"] == "gone"


async def test_each_login_has_its_room() -> None:
    async with world() as client:
        facebook, instagram = await owner_of(client), await owner_of(client, "graphapi-instagram")
        for room, own, foreign in (("graph", facebook, instagram), ("graph_instagram", instagram, facebook)):
            me = await get(client, f"/{room}/v27.0/me", access_token=own["token"], fields="username")
            assert me == {"id": own["account"], "username": own["handle"]}
            refused = await client.get(f"/{room}/v27.0/me", params={"access_token": foreign["token"]})
            assert refused.json()["error"]["code"] == 190
        assert {each["account"] for each in (await get(client, "/tokens"))["graphapi"][: len(TOKENS)]} == {USER}


async def test_the_scraper_is_given_tokens_of_as_many_owners_as_the_settings_say() -> None:
    async with world() as client:
        known = [each for each in (await get(client, "/tokens"))["graphapi"] if "handle" in each]
    given = tokens(Settings(enabled=True, creators=60, owners=3))["graphapi"]
    assert given[: len(TOKENS)] == tokens(Settings(enabled=True, creators=60))["graphapi"]
    assert len(given) == len(TOKENS) + 3
    assert set(given[len(TOKENS) :]) <= {f"{each['account']}:{each['token']}" for each in known}


async def test_usage_comes_with_good_answers_and_ends_in_a_refusal() -> None:
    async with world(calls_per_hour=4) as client:
        query = {"access_token": TOKENS[0], "fields": "id"}
        answers = [await client.get(f"/graph/v25.0/{USER}", params=query) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 403, 403]
        assert answers[0].headers["x-app-usage"] == '{"call_count":25,"total_time":16,"total_cputime":12}'
        assert answers[3].json()["error"]["code"] == 4
        assert (await get(client, "/truth/instagram"))["total"]


@pytest.mark.parametrize(
    "path",
    ["nobody.here/followers", "comments/x", "likes/x", "posts/x", "hashtags/x", "comments/", "{}/x", "{}/posts/x"],
)
async def test_what_is_not_there_is_not_found(path: str) -> None:
    async with world(creators=3) as client:
        handle = (await get(client, "/truth/instagram", limit=1))["data"][0]["handle"]
        assert (await client.get(f"/truth/instagram/{path.format(handle)}")).status_code == 404


async def test_a_thousand_followers_cost_little_wherever_they_are() -> None:
    async with world() as client:
        row = (await get(client, "/truth/instagram", limit=1))["data"][0]
        path = f"/truth/instagram/{row['handle']}/followers"

        async def cost_s(offset: int) -> float:
            begun = time.perf_counter()
            assert len((await get(client, path, limit=1000, offset=offset))["data"]) == 1000
            return time.perf_counter() - begun

        first = min([await cost_s(0) for _ in range(3)])
        deep = min([await cost_s(row["followers"] - 1000) for _ in range(3)])
        assert deep < 10 * first  # one that builds the list up to there takes a thousand times as long
