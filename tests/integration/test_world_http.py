"""The world as its callers meet it: over real HTTP, with its limits, faults, truth and past."""

import datetime as dt
import errno
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
import pytest
import trio

from gcc.clock import VirtualClock
from gcc.config import World as Settings
from gcc.errors import ConfigError, Transient
from gcc.world import faults, graph, truth_youtube, youtube
from gcc.world.history import history
from gcc.world.server import World, people, serve_world
from tests.certificates import PLAIN

CREATORS = 60
GRAPH = "/graph/v25.0/17841400000000001"
TOKENS = {"graphapi": graph.TOKENS, "ytapi": youtube.KEYS}
Ask = Callable[..., Any]


@asynccontextmanager
async def world(**settings: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A running world, and a client of it."""
    wanted = {"port": 0, "creators": CREATORS, "calls_per_s": 100_000.0} | settings
    draining = trio.Event()
    actor = partial(
        serve_world, Settings(enabled=True, **wanted), VirtualClock(1), draining=draining, grace_s=2.0
    )  # fmt: skip
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(actor)
            async with httpx.AsyncClient(base_url=url, timeout=30, verify=PLAIN) as client:
                yield client
            draining.set()


def in_memory() -> World:
    """The app alone, for what a socket would hide."""
    settings = Settings(enabled=True, creators=3, calls_per_s=1000.0)
    clock = VirtualClock(1)
    return World(people(settings, clock.now().date()), clock, settings, draining=trio.Event())


def scope(path: str, query: str) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": path, "headers": [], "query_string": query.encode()}


async def call(client: httpx.AsyncClient, source: str, token: str | None = None) -> httpx.Response:
    """One small call of a source."""
    token = token or TOKENS[source][-1]
    if source == "graphapi":
        return await client.get(GRAPH, params={"fields": "id", "access_token": token})
    return await client.get("/youtube/v3/channels", params={"part": "id", "id": "UCx", "key": token})


async def add_fault(client: httpx.AsyncClient, **wish: Any) -> Any:
    answer = await client.post("/faults", json=wish)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def get(client: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_listing_is_by_followers_and_pages() -> None:
    async with world() as client:
        whole = await get(client, "/truth/instagram")
        assert whole["total"] == CREATORS == len(whole["data"])
        keys = [(-row["followers"], row["profile_id"]) for row in whole["data"]]
        assert keys == sorted(keys)
        page = await get(client, "/truth/INSTAGRAM", limit=7, offset=5)
        assert page == {"total": CREATORS, "data": whole["data"][5:12]}
        assert (await get(client, "/truth/instagram", limit=5, offset=CREATORS))["data"] == []


async def test_the_truth_of_instagram_is_what_its_api_serves() -> None:
    fields = (
        "business_discovery.username({}){{id,username,name,biography,followers_count,follows_count,media_count,"
        "media.limit(12){{id,like_count,comments_count,timestamp,permalink}}}}"
    )
    async with world() as client:
        for row in (await get(client, "/truth/instagram"))["data"][::13]:
            true = await get(client, f"/truth/instagram/{row['handle']}")
            answer = await get(client, GRAPH, fields=fields.format(row["handle"]), access_token=graph.TOKENS[0])
            found = answer["business_discovery"]
            assert (found["id"], found["username"]) == (true["profile_id"], true["handle"])
            assert (found["name"], found["biography"]) == (true["full_name"], true["bio"])
            assert (found["followers_count"], found["follows_count"]) == (true["followers"], true["following"])
            assert found["media_count"] == true["media_count"]
            media = found["media"]["data"]
            assert [(m["id"], m["like_count"], m["comments_count"]) for m in media] == [
                (post["fbid"], post["likes"], post["comments"]) for post in true["posts"]
            ]
            likes, comments = (sum(m[name] for m in media) / 12 for name in ("like_count", "comments_count"))
            assert (likes, comments) == (true["avg_likes"], true["avg_comments"])
            assert true["engagement_rate"] == pytest.approx((likes + comments) / true["followers"])
            assert true["metrics"]["followers"] == true["followers"] == row["followers"]
            assert true["avg_views"] is None


async def test_the_truth_of_youtube_is_what_its_api_serves() -> None:
    async with world() as client:
        ask = partial(get, client, key=youtube.KEYS[0], part="snippet,statistics,contentDetails")
        for row in (await get(client, "/truth/youtube"))["data"][::13]:
            true = await get(client, f"/truth/YouTube/{row['handle']}")
            assert true == await get(client, f"/truth/youtube/{row['profile_id']}")
            (channel,) = (await ask("/youtube/v3/channels", forHandle="@" + row["handle"]))["items"]
            counts = channel["statistics"]
            assert (channel["id"], channel["snippet"]["title"]) == (true["channel_id"], true["title"])
            assert int(counts["subscriberCount"]) == true["subscribers"] == true["metrics"]["followers"]
            assert int(counts["videoCount"]) == true["uploads"] == true["metrics"]["media_count"]
            assert int(counts["viewCount"]) == true["total_views"] == true["metrics"]["views"]
            uploads = channel["contentDetails"]["relatedPlaylists"]["uploads"]
            items = await get(
                client, "/youtube/v3/playlistItems", key=youtube.KEYS[0], part="contentDetails",
                playlistId=uploads, maxResults=15,
            )  # fmt: skip
            ids = [item["contentDetails"]["videoId"] for item in items["items"]]
            videos = (await ask("/youtube/v3/videos", id=",".join(ids)))["items"]
            figures = [
                [int(video["statistics"][name]) for name in ("viewCount", "likeCount", "commentCount")]
                for video in videos
            ]
            assert figures == [[post["views"], post["likes"], post["comments"]] for post in true["posts"]]
            means = [sum(column) / 15 for column in zip(*figures, strict=True)]
            assert means == [true["avg_views"], true["avg_likes"], true["avg_comments"]]


@pytest.mark.parametrize("platform", ["instagram", "youtube"])
async def test_the_history_is_an_import_and_agrees_with_the_truth(platform: str) -> None:
    async with world() as client:
        text = (await client.get(f"/history/{platform}", params={"days": 90})).text
        rows = [json.loads(line) for line in text.splitlines()]
        today = dt.date.fromisoformat((await get(client, "/"))["today"])
        handle = (await get(client, f"/truth/{platform}"))["data"][0]["handle"]
        true = await get(client, f"/truth/{platform}/{handle}")
    assert len(rows) == 90 * CREATORS
    order = [(row["timestamp"], row["followers"]) for row in rows]
    assert order == sorted(order)
    days = sorted({row["timestamp"] for row in rows})
    assert days == [f"{today - dt.timedelta(days=ago)}T00:00:00Z" for ago in range(90, 0, -1)]
    own = [row for row in rows if row["handle"] == handle]
    assert [row["followers"] for row in own] == [day["followers"] for day in true["history"]]
    assert [row["avg_likes"] for row in own] == [day["avg_likes"] for day in true["history"]]
    assert [row["timestamp"][:10] for row in own] == [day["date"] for day in true["history"]]
    assert own[-1]["dimensions.category"] == true["category"]
    assert own[-1]["dimensions.language"] == true["language"]
    assert own[-1]["dimensions.country"] == true["country"]
    assert own[-1]["profile_id"] == true["profile_id"]
    assert own[-1]["platform"] == platform.upper()
    if platform == "youtube":
        assert [row["views"] for row in own] == [day["total_views"] for day in true["history"]]
    else:
        assert {row["views"] for row in own} == {None}


async def test_a_shorter_history_is_the_end_of_the_longer_one() -> None:
    async with world() as client:
        long = (await client.get("/history/youtube", params={"days": 5})).text
        short = (await client.get("/history/youtube", params={"days": 2})).text
        assert (await client.get("/history/youtube", params={"days": 0})).text == ""
    assert short
    assert long.endswith(short)


async def test_a_long_history_lets_others_be_served_meanwhile() -> None:
    served: list[int] = []

    async def visit(client: httpx.AsyncClient) -> None:
        while True:
            await get(client, "/stats")
            served.append(1)

    async with world(creators=400) as client, client.stream("GET", "/history/instagram") as history:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(visit, client)
            lines = sum([chunk.count(b"\n") async for chunk in history.aiter_raw()])
            nursery.cancel_scope.cancel()
    assert lines == 90 * 400
    assert len(served) > 20


async def test_a_reader_of_the_history_may_leave() -> None:
    left = trio.Event()
    pieces = 0

    async def receive() -> Any:
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        nonlocal pieces
        pieces += bool(message.get("body"))
        if pieces == 3:
            left.set()

    with trio.fail_after(30):
        await in_memory()(scope("/history/instagram", "days=90"), receive, send)
    assert 3 <= pieces < 10  # of ninety


@pytest.mark.parametrize(("source", "code"), [("graphapi", 4), ("ytapi", 429)])
async def test_more_calls_than_allowed_get_429_with_retry_after(source: str, code: int) -> None:
    async with world(calls_per_s=2.0) as client:
        answers = [await call(client, source) for _ in range(12)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert answers[0].status_code == 200  # the burst: half a second's worth, here one call
        assert refused
        assert {answer.headers["retry-after"] for answer in refused} == {"1"}
        assert {answer.json()["error"]["code"] for answer in refused} == {code}
        assert (await get(client, "/truth/youtube"))["total"] == CREATORS  # its own pages have no limit
        stats = await get(client, "/stats")
        others = dict.fromkeys(set(stats["calls"]) - {source}, 0)
        assert stats["calls"] == {source: 12} | others
        assert stats["refused"] == {source: len(refused)} | others
        assert stats["per_s"][source] == pytest.approx(1.2)
        await trio.sleep(float(refused[0].headers["retry-after"]))  # the answer's own promise, on a real socket
        assert (await call(client, source)).status_code == 200


async def test_only_the_worlds_tokens_are_valid() -> None:
    async with world() as client:
        for source, tokens in TOKENS.items():
            assert {(await call(client, source, token)).status_code for token in tokens} == {200}
        bad = await call(client, "graphapi", "stolen")
        assert (bad.status_code, bad.json()["error"]["code"]) == (400, 190)
        bad = await call(client, "ytapi", "stolen")
        assert (bad.status_code, bad.json()["error"]["errors"][0]["reason"]) == (400, "keyInvalid")
        assert (await client.get(GRAPH)).json()["error"]["code"] == 2500
        assert (await client.get("/youtube/v3/channels")).status_code == 403


async def test_a_spent_search_bucket_leaves_the_others() -> None:
    async with world(quota_times=0.02) as client:  # 2 searches, 200 units of all else

        async def ask(path: str, **query: str) -> httpx.Response:
            return await client.get(f"/youtube/v3/{path}", params={"key": youtube.KEYS[0], "part": "id", **query})

        assert [(await ask("search")).status_code == 429 for _ in range(3)] == [False, False, True]
        refused = await ask("search")
        assert refused.json()["error"]["code"] == 429 and "'Search Queries per day'" in refused.text
        answers = [await ask("channels", id="UCx") for _ in range(201)]
        assert [answer.status_code for answer in answers] == [200] * 200 + [403]
        assert answers[-1].json()["error"]["errors"][0]["reason"] == "quotaExceeded"
        assert (await call(client, "ytapi", youtube.KEYS[1])).status_code == 200


async def test_declared_limits_are_measured_at_the_door() -> None:
    limits = [{"source": "ytapi", "calls": 5, "per_s": 60.0, "bucket": "search"}]
    async with world(limits=limits) as client:
        wish = {"source": "graphapi", "calls": 3, "per_s": 60, "each": "token", "enforced": True}
        assert (await client.post("/limits", json=wish)).json() == wish | {"bucket": ""}
        answers = [await call(client, "graphapi", token) for token in (*graph.TOKENS[:1] * 4, graph.TOKENS[1])]
        assert [answer.status_code for answer in answers[:3]] == [200] * 3
        assert (answers[3].json()["error"]["code"], answers[4].status_code) == (17, 200)
        for path in ("search", "search", "channels"):
            await client.get(f"/youtube/v3/{path}", params={"key": youtube.KEYS[0], "part": "id"})
        stats = await get(client, "/stats")
        told = {(row["source"], row["key"], row["bucket"]): (row["peak"], row["calls"]) for row in stats["limits"]}
        assert told == {
            ("ytapi", "", "search"): (2, 5),
            ("graphapi", graph.TOKENS[0], ""): (4, 3),
            ("graphapi", graph.TOKENS[1], ""): (1, 3),
        }
        spent = {(row["bucket"], row["key"]): row["used"] for row in stats["quotas"] if row["source"] == "ytapi"}
        assert spent == {("search", youtube.KEYS[0]): 2, ("", youtube.KEYS[0]): 1}
        given = (await get(client, "/tokens"))["graphapi"]
        assert {row["token"] for row in given} >= set(graph.TOKENS)


async def test_a_limit_of_no_source_refuses_to_start() -> None:
    settings = Settings(enabled=True, port=0, creators=3, limits=[{"source": "nobody", "calls": 1, "per_s": 1.0}])
    with pytest.raises(ConfigError, match=r"world.limits.*nobody"):
        await serve_world(settings, VirtualClock(1), draining=trio.Event())


async def test_latency_and_slow_answers() -> None:
    async with world(latency_s=0.05) as client:
        begun = trio.current_time()
        assert (await call(client, "ytapi")).status_code == 200
        assert trio.current_time() - begun >= 0.05
        await add_fault(client, source="ytapi", kind="slow", latency_s=0.2)
        begun = trio.current_time()
        assert (await call(client, "ytapi")).status_code == 200
        assert trio.current_time() - begun >= 0.25
        await get(client, "/stats")  # the world's own pages never wait


@pytest.mark.parametrize(
    ("source", "code", "subcode", "found"),
    [
        ("ytapi", "dailyLimitExceeded", None, (403, 403, "dailyLimitExceeded")),
        ("ytapi", "keyExpired", None, (400, 400, "keyExpired")),
        ("graphapi", 190, 460, (400, 190, 460)),
        ("graphapi", "4", None, (403, 4, None)),
    ],
)
async def test_an_error_by_its_code(source: str, code: Any, subcode: Any, found: tuple[int, int, Any]) -> None:
    async with world() as client:
        await add_fault(client, source=source, kind="error", code=code, subcode=subcode)
        answer = await call(client, source)
        error = answer.json()["error"]
        reason = error["errors"][0]["reason"] if "errors" in error else error.get("error_subcode")
        assert (answer.status_code, error["code"], reason) == found


async def test_a_usage_fault_replaces_the_headers_of_a_good_answer() -> None:
    async with world() as client:
        await add_fault(client, source="graphapi", kind="usage", share=0.97)
        told = json.loads((await call(client, "graphapi")).headers["x-app-usage"])
        assert told["call_count"] == 97


async def test_an_expired_owners_token_is_renewed() -> None:
    async with world() as client:
        given = (await get(client, "/tokens"))["ytanalytics"][0]

        async def report(token: str) -> httpx.Response:
            query = {"ids": "channel==MINE", "startDate": "2025-11-01", "endDate": "2025-11-30", "metrics": "views"}
            return await client.get(
                "/ytanalytics/v2/reports", params=query, headers={"Authorization": f"Bearer {token}"}
            )

        assert (await report(given["token"])).status_code == 200
        told = await add_fault(client, source="ytanalytics", kind="expire", rate=1.0)
        assert given["token"] in told["dead_tokens"]
        assert (await report(given["token"])).status_code == 401
        form = {"grant_type": "refresh_token"} | {
            name: given[name] for name in ("refresh_token", "client_id", "client_secret")
        }
        renewed = (await client.post("/oauth2/token", data=form)).json()["access_token"]
        assert (await report(renewed)).status_code == 200
        await add_fault(client, source="google-oauth", kind="error", code="invalid_grant")
        refused = await client.post("/oauth2/token", data=form)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")


async def test_the_truth_of_youtube_tells_each_flow() -> None:
    async with world(odd=5) as client:
        rows = (await get(client, "/truth/youtube", limit=100))["data"]
        for kind in truth_youtube.OF_ACCOUNT:
            told = await get(client, f"/truth/youtube/{rows[0]['handle']}/{kind}", limit=2)
            assert (told["profile_id"], told["terminated"]) == (rows[0]["profile_id"], False)
            assert len(told["data"]) <= 2
        videos = await get(client, f"/truth/youtube/{rows[0]['profile_id']}/videos", limit=3, offset=1)
        video_id = videos["data"][0]["post_id"]
        assert (await get(client, f"/truth/youtube/video/{video_id}"))["data"] == videos["data"][:1]
        comments = await get(client, f"/truth/youtube/comments/{video_id}", limit=2)
        assert comments["total"] >= len(comments["data"])
        assert (await client.get("/truth/youtube/playlist/PLnone")).status_code == 404
        assert (await client.get(f"/truth/youtube/{rows[0]['handle']}/dances")).status_code == 404


@pytest.mark.parametrize(
    ("path", "query"),
    [("/youtube138/channel/details/", {"id": "@HANDLE"}), ("/youtubev31/channels", {"part": "id", "id": "UC"})],
)
async def test_the_scrapers_of_youtube_stand_behind_a_gateway(path: str, query: dict[str, str]) -> None:
    source = path.split("/")[1]
    async with world(limits=[{"source": source, "calls": 850, "per_s": 60.0}]) as client:
        handle = (await get(client, "/truth/youtube"))["data"][0]["handle"]
        query = {name: value.replace("HANDLE", handle) for name, value in query.items()}
        assert (await client.get(path, params=query)).status_code == 401
        good = await client.get(path, params=query, headers={"X-RapidAPI-Key": f"world-{source}-1"})
        assert good.status_code == 200
        assert good.headers["x-ratelimit-requests-remaining"] == "848"  # a refused call counts, too


async def test_a_body_is_bounded() -> None:
    async with world() as client:
        large = await client.post(GRAPH, params={"access_token": graph.TOKENS[0]}, content=b"x" * 70_000)
        assert large.status_code == 413
        small = await client.post(GRAPH, params={"access_token": graph.TOKENS[0]}, content=b"x" * 100)
        assert (small.status_code, small.json()["error"]["code"]) == (405, 2)


async def test_a_token_fault_kills_tokens_and_ends() -> None:
    async with world() as client:
        told = await add_fault(client, source="graphapi", kind="token", rate=0.4, seconds=60)
        assert told["dead_tokens"] == list(graph.TOKENS[:2])
        alive = {token: (await call(client, "graphapi", token)).status_code == 200 for token in graph.TOKENS}
        assert alive == {token: token not in told["dead_tokens"] for token in graph.TOKENS}
        assert (await call(client, "graphapi", graph.TOKENS[0])).json()["error"]["code"] == 190
        await add_fault(client, source="graphapi", kind="token", rate=0, seconds=60)
        assert (await call(client, "graphapi", graph.TOKENS[0])).status_code == 200
        await add_fault(client, source="ytapi", kind="token", rate=1, seconds=60)
        assert {(await call(client, "ytapi", key)).status_code for key in youtube.KEYS} == {400}


async def test_500_and_429_faults_strike_at_their_rate() -> None:
    async with world() as client:
        await add_fault(client, source="graphapi", kind="500", rate=0.5, seconds=60)
        statuses = [(await call(client, "graphapi")).status_code for _ in range(60)]
        assert set(statuses) == {200, 500}
        assert 15 < statuses.count(500) < 45
        struck = (await get(client, "/stats"))["faults"]
        assert struck == dict.fromkeys(struck, 0) | {"graphapi": statuses.count(500)}
        await add_fault(client, source="graphapi", kind="500", rate=0, seconds=0)

        await add_fault(client, source="graphapi", kind="429", rate=1, seconds=60)
        answers = [await call(client, "graphapi") for _ in range(20)]
        forms = {(answer.status_code, answer.json()["error"]["code"]) for answer in answers}
        assert forms == {(429, 4), (400, 17)}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)

        await add_fault(client, source="ytapi", kind="429", rate=1, seconds=60)
        answers = [await call(client, "ytapi") for _ in range(20)]
        assert {answer.status_code for answer in answers} == {429}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)


@pytest.mark.parametrize("source", ["graphapi", "ytapi"])
async def test_garbage_is_200_and_no_json(source: str) -> None:
    async with world() as client:
        await add_fault(client, source=source, kind="garbage", rate=1, seconds=60)
        kinds = set()
        for _ in range(12):
            answer = await call(client, source)
            assert answer.status_code == 200
            with pytest.raises(ValueError, match=r"Expecting|Unterminated|Invalid"):
                json.loads(answer.content)
            kinds.add(answer.headers["content-type"])
        assert len(kinds) == 2


async def test_the_same_seed_fails_alike() -> None:
    async def strikes(seed: int) -> list[int]:
        async with world(seed=seed) as client:
            await add_fault(client, source="ytapi", kind="500", rate=0.5, seconds=60)
            return [(await call(client, "ytapi")).status_code for _ in range(30)]

    assert await strikes(5) == await strikes(5) != await strikes(6)


async def test_a_timeout_holds_a_call_until_the_caller_leaves() -> None:
    async with world() as client:
        await add_fault(client, source="graphapi", kind="timeout", rate=1, seconds=60)
        with pytest.raises(httpx.ReadTimeout):
            await client.get(GRAPH, params={"access_token": graph.TOKENS[0]}, timeout=0.2)
        assert (await call(client, "ytapi")).status_code == 200


async def test_a_held_call_does_not_hold_up_the_end() -> None:
    answers: list[int] = []
    begun = 0.0

    async def held(client: httpx.AsyncClient) -> None:
        answers.append((await call(client, "graphapi")).status_code)

    draining = trio.Event()
    settings = Settings(enabled=True, port=0, creators=3)
    with trio.fail_after(faults.HOLD_S / 2):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(partial(serve_world, settings, VirtualClock(1), draining=draining, grace_s=20.0))
            async with (
                httpx.AsyncClient(base_url=url, timeout=30, verify=PLAIN) as client,
                trio.open_nursery() as calls,
            ):
                await add_fault(client, source="graphapi", kind="timeout", rate=1, seconds=60)
                calls.start_soon(held, client)
                while (await get(client, "/stats"))["faults"]["graphapi"] == 0:
                    pass  # each question is a turn for the others
                begun = trio.current_time()
                draining.set()
    assert answers == [504]
    assert trio.current_time() - begun < 10


WISH = {"source": "graphapi", "kind": "500", "rate": 1, "seconds": 60}
FOREIGN = [
    ({"Host": "evil.example"}, 421),
    ({"Host": "evil.example", "Origin": "http://evil.example"}, 421),
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "http://["}, 403),
    ({"Origin": "null"}, 403),
    ({"Content-Type": "text/plain"}, 415),
    ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ({"Content-Type": "text/plain; application/json"}, 415),
]


@pytest.mark.parametrize(("headers", "status"), FOREIGN)
async def test_a_page_of_another_site_breaks_no_crawl(headers: dict[str, str], status: int) -> None:
    async with world(creators=3) as client:
        answer = await client.post("/faults", content=json.dumps(WISH), headers=headers)
        assert (answer.status_code, answer.json()["status"]) == (status, "ERROR")
        if status != 415:
            for path in ("/stats", "/truth/instagram", "/history/instagram", GRAPH, "/"):
                assert (await client.get(path, headers=headers)).status_code == status
        assert (await call(client, "graphapi")).status_code == 200
        own = {"Origin": str(client.base_url).rstrip("/"), "Content-Type": "application/JSON; charset=utf-8"}
        assert (await client.post("/faults", content=json.dumps(WISH), headers=own)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/truth/tiktok", None, 404),
        ("GET", "/truth/instagram/nobody.here", None, 404),
        ("GET", "/truth/instagram?limit=-1", None, 400),
        ("GET", "/truth/instagram?offset=x", None, 400),
        ("GET", "/history/tiktok", None, 404),
        ("GET", "/history/instagram?days=ten", None, 400),
        ("GET", "/nowhere", None, 404),
        ("POST", "/stats", None, 405),
        ("POST", "/history/instagram", None, 405),
        ("POST", "/faults", b"{", 400),
        ("POST", "/faults", b'"x"', 400),
        ("POST", "/faults", b'{"source": "graphapi", "kind": "flood"}', 400),
        ("POST", "/faults", b"\xff\xfe", 400),
        ("POST", "/faults", b"[" * 70_000, 413),
        ("POST", "/faults", b"[" * 16_000, 400),
        ("POST", "/faults", b'{"source":' * 6_000, 400),
        ("POST", "/faults", b'{"source": "\\ud800", "kind": "500"}', 400),
        ("POST", "/faults", b'{"source": "graphapi\\u0000", "kind": "500"}', 400),
        ("POST", "/faults", b'{"source": "graphapi", "kind": ["500"]}', 400),
        ("POST", "/faults", b'{"source": "graphapi", "kind": "500", "rate": 1e999}', 400),
        ("POST", "/faults", b'{"source": "graphapi", "kind": "500", "rate": -0.1}', 400),
        ("POST", "/faults", b'{"source": "graphapi", "kind": "500", "rate": NaN}', 400),
        ("POST", "/faults", b'{"source": "graphapi", "kind": "500", "rate": true}', 400),
        ("POST", "/faults", b'{"source": "graphapi", "kind": "500", "seconds": 1' + b"0" * 5000 + b"}", 400),
        ("POST", "/faults", b"", 400),
        ("POST", "/faults", b'{"source": "ytapi", "kind": "error", "code": "none"}', 400),
        ("POST", "/limits", b'{"source": "tiktok", "calls": 1, "per_s": 1}', 400),
        ("POST", "/limits", b'{"source": "ytapi", "calls": 0, "per_s": 1}', 400),
        ("POST", "/limits", b'{"source": "ytapi", "calls": 1, "per_s": 0}', 400),
        ("POST", "/limits", b'{"source": "ytapi", "calls": 1, "per_s": 1, "each": "city"}', 400),
        ("GET", "/limits", None, 404),
        ("GET", "/tokens/x", None, 404),
        ("GET", "/truth/%00", None, 400),
        ("GET", "/truth/instagram/%ff%01", None, 400),
        ("GET", "/truth/instagram?limit=9223372036854775808", None, 400),
        ("GET", "/truth/instagram?limit=%ed%a0%80", None, 400),
        ("GET", "/%01", None, 404),
        ("PUT", "/faults", b"{}", 405),
        ("POST", GRAPH, None, 400),
    ],
)
async def test_bad_requests(method: str, path: str, body: bytes | None, status: int) -> None:
    async with world(creators=3) as client:
        answer = await client.request(method, path, content=body)
        assert answer.status_code == status
        error = answer.json()["error"]
        if path != GRAPH:  # which answers as the API does that it stands in for
            assert answer.json()["status"] == "ERROR" and error["detail"] and error["errors"] == []
            assert error["request_id"] == answer.headers["x-bb-requestid"]


async def test_a_past_that_cannot_be_read_is_not_there_for_now(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_descriptors(*_: Any, **__: Any) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(httpx, "AsyncClient", no_descriptors)
    for past in history("http://127.0.0.1:1", 3).values():
        with pytest.raises(Transient, match="Too many open files"):
            await anext(past)


async def test_a_busy_port_and_a_missing_folder_refuse_to_start() -> None:
    async with world(creators=3) as client:
        port = client.base_url.port
        for settings, named in (
            (Settings(enabled=True, port=port, creators=3), "world.port"),
            (Settings(enabled=True, port=0, recorded="/nowhere"), "world.recorded"),
        ):
            with pytest.raises(ConfigError, match=named):
                await serve_world(settings, VirtualClock(1), draining=trio.Event())


async def test_it_runs_alone() -> None:
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "gcc.world", "--port", "0", "--creators", "5", "--seed", "3"], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with trio.fail_after(30):
        url = (await process.stdout.receive_some(200)).decode().strip()
        async with httpx.AsyncClient(base_url=url, verify=PLAIN) as client:
            assert (await get(client, "/truth/youtube"))["total"] == 5
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(["--creators", "0"], "--creators"), (["--recorded", "/nowhere"], "/nowhere"), (["--port", "70000"], "--port")],
)
async def test_alone_it_refuses_bad_arguments_in_a_sentence(arguments: list[str], named: str) -> None:
    ended = await trio.run_process(
        [sys.executable, "-m", "gcc.world", "--port", "0", *arguments], capture_stderr=True, check=False
    )
    assert ended.returncode == 2
    last = ended.stderr.decode().strip().splitlines()[-1]
    assert named in last
    assert "Traceback" not in ended.stderr.decode()
