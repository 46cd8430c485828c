"""Asking the outside: limit, credential, fetch, trace, verdict; from credential to credential, source to source."""

import datetime as dt
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import structlog.testing
import trio
import trio.testing

from gcc.clock import VirtualClock
from gcc.errors import Permanent, Transient
from gcc.metrics import Metrics
from gcc.sources.breakers import Breakers
from gcc.sources.chain import Outside, Question, SourceApi, Visit, first_of
from gcc.sources.credentials import Credential, Facts, NoCredential
from gcc.sources.http import Answer, Request, decode, retry_after_s
from gcc.sources.instagram.graph_client import GraphApi
from gcc.sources.limits import InProcessLimiter, Limit, LimitRefused
from gcc.sources.verdicts import (
    CredentialDead,
    CredentialRests,
    InvalidHandle,
    NeedsOwner,
    NotFound,
    RateLimited,
    RestScope,
    SourceFailed,
    SourcesExhausted,
)
from gcc.sources.youtube.data_client import DataApi
from gcc.supervisor.lifecycle import Board
from tests.fakes.credentials import FakeCredentials
from tests.fakes.fetcher import FakeFetcher, Reply


def judge(answer: Answer, now: dt.datetime) -> Any:
    match answer.status:
        case 200:
            return decode(answer, "src")
        case 429:
            raise RateLimited("429", retry_after_s=retry_after_s(answer, now))
        case 401:
            raise CredentialDead(f"401 {answer.body.decode()}")
        case 404:
            raise NotFound("PROFILE_NOT_FOUND", "404")
    raise SourceFailed(str(answer.status))


SRC = SourceApi("src", judge)


def build(credential: Credential) -> Request:
    params = {"fields": "a{b}", "access_token": credential.secret["token"]}
    headers = {"Authorization": f"Bearer {credential.secret['token']}", "Accept": "text/json"}
    return Request("src", "GET", "http://outside.example/v1/thing", params, headers, timeout_s=5.0)


LIMIT = Limit(100, 1.0)


class Bench:
    """An Outside on fakes: `answers` says how a token is answered."""

    def __init__(self, answers: Callable[[Request], Reply], limit: Limit = LIMIT) -> None:
        self.clock = VirtualClock(seed=1)
        self.fetcher = FakeFetcher(answers)
        self.credentials = FakeCredentials(self.clock)
        self.metrics = Metrics()
        names = ("src", "graphapi", "ytapi")
        self.limiter = InProcessLimiter(dict.fromkeys(names, limit))
        self.board = Board(self.clock.now)
        self.breakers = Breakers(self.board, self.clock.rng, renewals=self.credentials.renewals)
        timeouts = {"graphapi": 3.0}
        self.outside = Outside(
            self.fetcher, self.limiter, self.credentials, self.clock, self.metrics, timeouts, self.breakers
        )
        self.visit = Visit()

    async def ask(self) -> Any:
        return await self.outside.ask(SRC, Question("thing", build), self.visit)

    @property
    def tokens_asked(self) -> list[str]:
        return [request.params["access_token"] for request in self.fetcher.requests]

    def count(self, status: str) -> float:
        value = self.metrics.registry.get_sample_value(
            "gcc_sources_calls_total", {"source": "src", "status": status}
        )  # fmt: skip
        return value or 0.0


def by_token(**replies: Reply) -> Callable[[Request], Reply]:
    return lambda request: replies[request.params["access_token"]]


OK = Reply(200, b'{"a": 1}')


async def test_one_good_answer(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(by_token(tokenA=Reply(200, b'{"a": 1}', delay_s=0.5)))
    await bench.credentials.put("src", "a", {"token": "tokenA"})
    begun = bench.clock.now()
    assert await bench.ask() == {"a": 1}
    (trace,) = bench.visit.traces
    assert (trace.source, trace.method, trace.response_status, trace.response_size) == ("src", "GET", 200, 8)
    assert trace.uri == "http://outside.example/v1/thing?fields=a{b}&access_token=***"
    assert trace.headers == {"Accept": "text/json"}
    assert (trace.at, trace.time_taken, trace.request) == (begun, 0.5, "")
    assert "tokenA" not in repr(trace)
    assert bench.count("200") == 1


THROTTLED = Reply(418, b"everybody")


def scoped(scope: RestScope) -> SourceApi:
    """A source whose every 418 is a verdict of this scope."""

    def judge_all(answer: Answer, now: dt.datetime) -> Any:
        if answer.status == 418:
            raise CredentialRests(f"418 {answer.body.decode()}", scope=scope)
        return judge(answer, now)

    return SourceApi("src", judge_all)


async def ask_as(bench: Bench, api: SourceApi, **more: Any) -> Any:
    return await bench.outside.ask(api, Question("thing", build, **more), bench.visit)


async def test_a_throttled_app_is_never_asked_on_with_its_other_tokens(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = Bench(by_token(tokenA=THROTTLED, tokenB=THROTTLED, tokenC=OK))
    for name, app in (("A", "one"), ("B", "one"), ("C", "other")):
        await bench.credentials.put("src", name, {"token": f"token{name}"}, Facts(app=app))
    for _ in range(20):
        assert await ask_as(bench, scoped("app")) == {"a": 1}
    assert len(bench.tokens_asked) - bench.tokens_asked.count("tokenC") == 1


async def test_a_spent_bucket_leaves_the_source_in_for_others(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(lambda request: THROTTLED if len(bench.tokens_asked) == 1 else OK)
    await bench.credentials.put("src", "a", {"token": "tokenA"})
    with pytest.raises(NoCredential, match="its calls of search: 418"):
        await ask_as(bench, scoped("bucket"), bucket="search")
    assert bench.breakers.out(["src"]) is None
    assert await ask_as(bench, scoped("bucket")) == {"a": 1}
    assert await ask_as(bench, scoped("bucket"), bucket="videos") == {"a": 1}
    with pytest.raises(NoCredential):
        await ask_as(bench, scoped("bucket"), bucket="search")


async def test_a_block_stops_the_source_for_a_day_and_alerts(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(by_token(tokenA=THROTTLED, tokenB=THROTTLED))
    for name in "AB":
        await bench.credentials.put("src", name, {"token": f"token{name}"}, Facts(app=name))
    with structlog.testing.capture_logs() as told, pytest.raises(NoCredential) as stopped:
        await ask_as(bench, scoped("source"))
    assert len(bench.tokens_asked) == 1 and stopped.value.retry_after_s == pytest.approx(86_400)
    assert [(line["event"], line["log_level"]) for line in told] == [("source stops", "error")]
    assert "all of the source: 418" in (bench.board.actor("sources/src").last_error or "")
    out = bench.breakers.out(["src"])
    assert out is not None and out.code == "NO_CREDENTIAL"


async def test_a_question_of_an_owner_is_asked_with_its_own_token_only(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(by_token(tokenA=OK, tokenB=OK))
    await bench.credentials.put("src", "a", {"token": "tokenA"}, Facts(account="17"))
    await bench.credentials.put("src", "b", {"token": "tokenB"}, Facts(kind="instagram", account="18"))
    for _ in range(10):
        await ask_as(bench, SRC, owner="18")
    assert set(bench.tokens_asked) == {"tokenB"}
    with pytest.raises(NeedsOwner, match="its owner's credential is needed: credentials add src NAME --account 19"):
        await ask_as(bench, SRC, owner="19")
    assert bench.breakers.out(["src"]) is None


async def test_each_question_that_is_asked_with_one_is_counted(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(by_token(tokenA=OK))
    await bench.credentials.put("src", "a", {"token": "tokenA"})
    for _ in range(3):
        await bench.ask()
    assert bench.credentials.uses == {"a": 3}


async def test_a_rate_limited_credential_rests_and_the_next_one_is_asked(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = Bench(by_token(tokenA=Reply(429, headers={"Retry-After": "7"}), tokenB=OK))
    await bench.credentials.put("src", "a", {"token": "tokenA"})
    await bench.credentials.put("src", "b", {"token": "tokenB"})
    for _ in range(20):
        assert await bench.ask() == {"a": 1}
    assert bench.tokens_asked.count("tokenA") == 1
    assert sorted({trace.response_status for trace in bench.visit.traces}) == [200, 429]
    await trio.sleep(7.1)
    for _ in range(20):
        await bench.ask()
    assert bench.tokens_asked.count("tokenA") == 2


@pytest.mark.parametrize(("headers", "rest_s"), [({"Retry-After": "7"}, 7), ({}, 3600)])
async def test_when_all_rest_the_first_return_is_told(
    autojump_clock: trio.testing.MockClock, headers: dict[str, str], rest_s: float
) -> None:
    bench = Bench(by_token(tokenA=Reply(429, headers=headers), tokenB=Reply(429, headers={"Retry-After": "9000"})))
    await bench.credentials.put("src", "a", {"token": "tokenA"})
    await bench.credentials.put("src", "b", {"token": "tokenB"})
    with pytest.raises(NoCredential) as caught:
        await bench.ask()
    assert caught.value.retry_after_s == pytest.approx(rest_s)
    assert sorted(bench.tokens_asked) == ["tokenA", "tokenB"]
    with pytest.raises(NoCredential):
        await bench.ask()
    assert len(bench.tokens_asked) == 2


async def test_a_dead_credential_waits_for_a_new_token(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(by_token(tokenA=Reply(401, b"Malformed access token tokenA"), tokenB=OK))
    await bench.credentials.put("src", "a", {"token": "tokenA"})
    reasons: list[str] = []
    disable = bench.credentials.disable

    async def noting(credential: Credential, *, reason: str, **how: Any) -> bool:
        reasons.append(reason)
        return await disable(credential, reason=reason, **how)

    bench.credentials.disable = noting  # type: ignore[method-assign]
    with pytest.raises(NoCredential) as caught:
        await bench.ask()
    assert caught.value.retry_after_s is None
    assert reasons == ["401 Malformed access token ***"]
    await bench.credentials.put("src", "a", {"token": "tokenB"})
    assert await bench.ask() == {"a": 1}


@pytest.mark.parametrize(
    ("reply", "error", "status"),
    [
        (Reply(404), NotFound, "404"),
        (Reply(503), SourceFailed, "503"),
        (Reply(200, b"<html>"), SourceFailed, "200"),
        (Reply(lost=True), Transient, "none"),
        (Reply(delay_s=60), Transient, "none"),
    ],
)
async def test_other_failures_end_the_asking_and_spare_the_credential(
    autojump_clock: trio.testing.MockClock, reply: Reply, error: type[Exception], status: str
) -> None:
    bench = Bench(lambda _: reply)
    await bench.credentials.put("src", "a", {"token": "tokenA"})
    await bench.credentials.put("src", "b", {"token": "tokenB"})
    with pytest.raises(error):
        await bench.ask()
    assert len(bench.tokens_asked) == 1
    (trace,) = bench.visit.traces
    assert trace.response_status == (None if status == "none" else int(status))
    assert bench.count(status) == 1
    assert {(await bench.credentials.pick("src")).handle for _ in range(60)} == {"a", "b"}


async def test_no_credential_is_asked_twice(autojump_clock: trio.testing.MockClock) -> None:
    """Answers slower than the rests that they ask for must not lead in a circle."""
    bench = Bench(lambda _: Reply(429, headers={"Retry-After": "1"}, delay_s=4.0))
    for name in ("tokenA", "tokenB", "tokenC"):
        await bench.credentials.put("src", name, {"token": name})
    with pytest.raises(NoCredential):
        await bench.ask()
    assert sorted(bench.tokens_asked) == ["tokenA", "tokenB", "tokenC"]


async def test_our_own_limit_passes_through(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(lambda _: OK, Limit(1, 60.0))
    await bench.credentials.put("src", "a", {"token": "tokenA"})
    await bench.ask()
    with pytest.raises(LimitRefused) as caught:
        await bench.ask()
    assert caught.value.retry_after_s == pytest.approx(60)
    assert len(bench.fetcher.requests) == len(bench.visit.traces) == 1


def fails(error: Exception) -> Callable[[], Awaitable[str]]:
    async def attempt() -> str:
        raise error

    return attempt


async def answers() -> str:
    return "answer"


async def test_the_first_that_answers() -> None:
    assert await first_of([("a", answers), ("b", fails(ValueError("never asked")))]) == "answer"
    closed = fails(NoCredential("none", retry_after_s=5))
    assert await first_of([("a", closed), ("b", fails(SourceFailed("500"))), ("c", answers)]) == "answer"


async def test_not_found_ends_the_chain() -> None:
    with pytest.raises(NotFound):
        await first_of([("a", fails(NotFound("PROFILE_NOT_FOUND", "nobody"))), ("b", answers)])
    with pytest.raises(Permanent):
        await first_of([("a", fails(InvalidHandle("odd"))), ("b", answers)])


async def test_a_bug_ends_the_chain() -> None:
    with pytest.raises(KeyError):
        await first_of([("a", fails(KeyError("bug"))), ("b", answers)])


async def test_when_all_are_closed_the_shortest_wait_is_told() -> None:
    chain = [
        ("a", fails(NoCredential("none"))),
        ("b", fails(LimitRefused("full", retry_after_s=9))),
        ("c", fails(NoCredential("resting", retry_after_s=4))),
    ]
    with pytest.raises(NoCredential) as caught:
        await first_of(chain)
    assert caught.value.retry_after_s == 4


async def test_when_some_failed_all_reasons_are_told() -> None:
    chain = [("a", fails(LimitRefused("full", retry_after_s=9))), ("b", fails(SourceFailed("HTTP 500")))]
    with pytest.raises(SourcesExhausted, match=r"a: LimitRefused: full; b: SourceFailed: HTTP 500"):
        await first_of(chain)


GRAPH_SECRET = {"token": "tokenG", "ig_user_id": "1784"}
FOUND = Reply(200, b'{"business_discovery": {"id": "1", "username": "made.up"}}')


async def test_the_graph_client_asks_once(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(lambda _: FOUND)
    await bench.credentials.put("graphapi", "a", GRAPH_SECRET)
    api = GraphApi(bench.outside, "http://127.0.0.1:8090/graph/")
    profile = await api.profile("made.up", bench.visit)
    assert (profile.profile_id, profile.at) == ("1", bench.clock.now())
    (request,) = bench.fetcher.requests
    assert (request.method, request.url) == ("GET", "http://127.0.0.1:8090/graph/1784")
    assert request.params["access_token"] == "tokenG"
    assert request.params["fields"].startswith("business_discovery.username(made.up){id,username,")
    assert "media.limit(12){id,caption,like_count," in request.params["fields"]
    assert request.params["fields"].count("{") == request.params["fields"].count("}") == 2
    assert request.timeout_s == 3.0


@pytest.mark.parametrize("userinfo", ["user:hunter2", "hunter2", "user:hun/ter2", "u:hunter2@x", "u:?hunter2"])
async def test_an_address_is_told_without_user_and_password(
    autojump_clock: trio.testing.MockClock, userinfo: str
) -> None:
    reply = Reply(503)
    bench = Bench(lambda _: reply)
    await bench.credentials.put("graphapi", "a", GRAPH_SECRET)
    await bench.credentials.put("ytapi", "a", {"token": "tokenY"})
    graph = GraphApi(bench.outside, f"http://{userinfo}@proxy/graph")
    youtube_api = DataApi(bench.outside, f"http://{userinfo}@proxy/yt")
    with structlog.testing.capture_logs() as logs:
        for api in (graph, youtube_api):
            with pytest.raises(SourceFailed) as caught:
                await api.profile("madeup", bench.visit)
            assert "ter2" not in repr(caught.value)
    assert [trace.uri.partition("?")[0] for trace in bench.visit.traces] == [
        "http://proxy/graph/1784",
        "http://proxy/yt/channels",
    ]
    for request in [*bench.fetcher.requests]:
        assert f"{userinfo}@" in request.url, "it is sent"
        assert "ter2" not in repr((request, await bench.fetcher.fetch(request), bench.visit.traces, logs))


@pytest.mark.parametrize("handle", ["", "a" * 31, "a b", "a){id}", "a/b", "é", "a\n", "@made.up"])
async def test_a_handle_that_cannot_be_is_not_asked_for(handle: str) -> None:
    bench = Bench(lambda _: FOUND)
    await bench.credentials.put("graphapi", "a", GRAPH_SECRET)
    with pytest.raises(InvalidHandle) as caught:
        await GraphApi(bench.outside, "http://x").profile(handle, bench.visit)
    assert caught.value.code == "INVALID_HANDLE"
    assert not bench.fetcher.requests


async def test_a_graph_credential_without_an_account() -> None:
    bench = Bench(lambda _: FOUND)
    await bench.credentials.put("graphapi", "a", {"token": "tokenG"})
    with pytest.raises(NoCredential):
        await GraphApi(bench.outside, "http://x").profile("made.up", bench.visit)
    assert not bench.fetcher.requests


CHANNEL_ID = "UC" + "a" * 22


def youtube(request: Request) -> Reply:
    pages = {
        "channels": {
            "items": [
                {
                    "id": CHANNEL_ID,
                    "snippet": {"customUrl": "@madeup"},
                    "contentDetails": {"relatedPlaylists": {"uploads": "UUx"}},
                }
            ]
        },
        "playlistItems": {"items": [{"contentDetails": {"videoId": name}} for name in ("v1", "v2")]},
        "videos": {"items": [{"id": name, "statistics": {"likeCount": "3"}} for name in ("v2", "v1")]},
    }
    return Reply(200, json.dumps(pages[request.url.rpartition("/")[2]]).encode())


@pytest.mark.parametrize(
    ("asked", "selector"),
    [("@madeup", {"forHandle": "madeup"}), ("चैनल", {"forHandle": "चैनल"}), (CHANNEL_ID, {"id": CHANNEL_ID})],
)
async def test_the_data_client_asks_three_times(
    autojump_clock: trio.testing.MockClock, asked: str, selector: dict[str, str]
) -> None:
    bench = Bench(youtube, Limit(3, 60.0))
    await bench.credentials.put("ytapi", "a", {"token": "tokenY"})
    profile = await DataApi(bench.outside, "http://x/v3").profile(asked, bench.visit)
    assert (profile.profile_id, profile.handle) == (CHANNEL_ID, "madeup")
    assert [(post.post_id, post.metrics["likes"]) for post in profile.posts] == [("v1", 3), ("v2", 3)]
    channels, playlist, videos = bench.fetcher.requests
    assert [request.url for request in bench.fetcher.requests] == [
        "http://x/v3/channels",
        "http://x/v3/playlistItems",
        "http://x/v3/videos",
    ]
    assert selector.items() <= channels.params.items()
    assert (playlist.params["playlistId"], playlist.params["maxResults"]) == ("UUx", "15")
    assert videos.params["id"] == "v1,v2"
    assert all(request.params["key"] == "tokenY" for request in bench.fetcher.requests)
    assert all("key=***" in trace.uri and "tokenY" not in repr(trace) for trace in bench.visit.traces)
    with pytest.raises(LimitRefused):  # three calls were counted
        await DataApi(bench.outside, "http://x/v3").profile(asked, bench.visit)


async def test_a_channel_whose_uploads_do_not_exist_has_no_posts(autojump_clock: trio.testing.MockClock) -> None:
    absent = Reply(404, b'{"error": {"message": "gone", "errors": [{"reason": "playlistNotFound"}]}}')
    bench = Bench(lambda request: absent if request.url.endswith("playlistItems") else youtube(request))
    await bench.credentials.put("ytapi", "a", {"token": "tokenY"})
    profile = await DataApi(bench.outside, "http://x").profile("madeup", bench.visit)
    assert profile.posts == []
    assert len(bench.fetcher.requests) == 2


@pytest.mark.parametrize("handle", ["", "@", "a b", "a,b", "a/b", "a&b", "x" * 102, "a\x00"])
async def test_a_channel_that_cannot_be_is_not_asked_for(handle: str) -> None:
    bench = Bench(youtube)
    with pytest.raises(InvalidHandle):
        await DataApi(bench.outside, "http://x").profile(handle, bench.visit)
    assert not bench.fetcher.requests


@pytest.mark.parametrize(("wait_s", "next_is_asked"), [(59, False), (60, True), (None, True)])
async def test_a_limit_of_ours_that_soon_has_room_does_not_spend_the_next_source(
    wait_s: float | None, next_is_asked: bool
) -> None:
    async def answers() -> str:
        return "answer"

    chain = [("a", fails(LimitRefused("full", retry_after_s=wait_s))), ("b", answers)]
    assert await first_of(chain) == "answer", "somebody waits"
    if next_is_asked:
        assert await first_of(chain, patience_s=60) == "answer"
    else:
        with pytest.raises(LimitRefused):
            await first_of(chain, patience_s=60)
