"""What is said about a credential takes that one out, and others answer; what is said of a question takes out none."""

import json
import random
import uuid
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
import structlog.testing
import trio
import trio.testing

from gcc.actors.scraper import Deferred, Retries
from gcc.channels.jobs import Crawl, Failure
from gcc.clock import VirtualClock
from gcc.config import Scraper
from gcc.errors import Transient
from gcc.metrics import Metrics
from gcc.pipelines.scraping.table import FLOWS, Apis
from gcc.pipelines.scraping.work import FlowWork
from gcc.sources.breakers import FAILURES_MAX, Breakers, SourceClosed
from gcc.sources.chain import DOUBTED_S, Outside, Visit
from gcc.sources.credentials import Credential, Facts, NoCredential
from gcc.sources.doubts import AGREED_MAX, ODD_MAX, REFUSED_MAX
from gcc.sources.http import Request
from gcc.sources.instagram.graph_client import GraphApi
from gcc.sources.limits import InProcessLimiter, Limit
from gcc.sources.snapshot import ProfileSnapshot
from gcc.sources.verdicts import NotFound, QuestionFailed, SourceFailed
from gcc.sources.youtube.data_client import DataApi
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.lifecycle import Actor, Board
from tests.fakes.credentials import FakeCredentials
from tests.fakes.erasures import NobodyErased
from tests.fakes.fetcher import FakeFetcher, Reply
from tests.fakes.objects import MemoryObjects
from tests.unit.test_chain import youtube
from tests.unit.test_source_breakers import FOUND, job


def refusal(body: Any, status: int = 400, **headers: str) -> Reply:
    return Reply(status, json.dumps({"error": body}).encode(), headers)


def graph_error(code: int, subcode: int | None = None, message: str = "no", status: int = 400) -> Reply:
    return refusal({"message": message, "type": "OAuthException", "code": code, "error_subcode": subcode}, status)


def google_error(reason: str, detail: str | None = None, message: str = "no", status: int = 403) -> Reply:
    """Google's two shapes: the reason of old, and the one of google.rpc.ErrorInfo."""
    details = [
        {"@type": "type.googleapis.com/google.rpc.Help", "links": [{"url": "https://console.example"}]},
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": detail, "domain": "googleapis.com"},
    ]
    return refusal(
        {
            "code": status,
            "message": message,
            "errors": [{"message": message, "domain": "usageLimits", "reason": reason}] if reason else [],
            "status": "PERMISSION_DENIED" if status == 403 else "INVALID_ARGUMENT",
            "details": details if detail else [],
        },
        status,
    )


def found(fields: str) -> Reply:
    """Business discovery's answer about the handle that is asked for."""
    handle = fields.partition("username(")[2].partition(")")[0]
    return replace(FOUND, body=FOUND.body.replace(b"made.up", handle.encode()))


OWN = b"OWN"  # in a reply: the asking account


class Bench:
    """Both real clients on fakes: what `bad` tokens are told, and what good ones are told of a handle."""

    def __init__(self, source: str, bad: Mapping[str, Reply] | None = None, good: int = 1) -> None:
        self.source = source
        self.clock = VirtualClock(seed=3)
        self.bad = {f"bad-token-{name}": reply for name, reply in (bad or {}).items()}
        self.good = [f"good-token-{number}" for number in range(good)]
        self.of_handle: dict[str, Reply] = {}
        self.fetcher = FakeFetcher(self._answer)
        self.credentials = FakeCredentials(self.clock)
        self.board = Board(self.clock.now)
        self.breakers = Breakers(self.board, self.clock.rng)
        limiter = InProcessLimiter({name: Limit(100_000, 1.0) for name in ("graphapi", "ytapi")})
        outside = Outside(self.fetcher, limiter, self.credentials, self.clock, Metrics(), {}, self.breakers)
        clients = {"graphapi": GraphApi(outside, "http://x"), "ytapi": DataApi(outside, "http://x")}
        self.apis = Apis(clients, self.breakers, limiter)
        self.visit = Visit()

    async def ready(self) -> "Bench":
        for number, token in enumerate((*self.bad, *self.good), start=17):  # each asks as an account of its own
            secret = {"token": token, "ig_user_id": str(number)}
            await self.credentials.put(self.source, token.replace("-token", ""), secret)
        return self

    def _answer(self, request: Request) -> Reply:
        reply, account = self._reply(request), request.url.rpartition("/")[2]
        return replace(reply, body=reply.body.replace(OWN, account.encode()))

    def _reply(self, request: Request) -> Reply:
        token = request.params.get("access_token") or request.params["key"]
        if token in self.bad:
            return self.bad[token]
        asked = request.params.get("fields", "") + request.params.get("forHandle", "")
        odd = next((reply for handle, reply in self.of_handle.items() if handle in asked), None)
        return odd or (found(asked) if self.source == "graphapi" else youtube(request))

    async def ask(self, handle: str = "made.up") -> ProfileSnapshot:
        api = self.apis.clients[self.source]
        return await api.profile(handle, self.visit)

    @property
    def line(self) -> Actor:
        return self.board.actor(f"sources/{self.source}")

    def asked_with(self, token: str) -> int:
        return sum(token in request.params.values() for request in self.fetcher.requests)

    def questions_with(self, token: str) -> int:
        """How many different ones."""
        asked = [request for request in self.fetcher.requests if token in request.params.values()]
        return len({(request.url, *request.params.values()) for request in asked})

    async def ready_handles(self) -> set[str]:
        try:
            return {(await self.credentials.pick(self.source)).handle for _ in range(60)}
        except NoCredential:
            return set()

    async def why(self) -> str:
        """The reasons of those that are out."""
        everybody = [row.credential.id for row in self.credentials._rows.values()]
        with pytest.raises(NoCredential) as caught:
            await self.credentials.pick(self.source, without=everybody)
        return str(caught.value)


OWN_OBJECT = [
    (100, 33, "Unsupported get request. Object with ID 'OWN' does not exist, or is not seen with missing permissions"),
    (100, None, "(#100) Object with ID 'OWN' does not exist"),
    (100, None, '(#100) Object with ID "OWN" does not exist'),
    (803, None, "(#803) Some of the aliases you requested do not exist: OWN."),
    (803, None, "(#803) Some of the aliases you requested do not exist: 'OWN'."),
]
NO_OBJECT = [
    (100, 33, "Unsupported get request."),
    (100, None, "(#100) Object does not exist"),
    (100, None, "(#100) Object does not exist, cannot be loaded due to missing permission or reviewable feature"),
    (803, None, "(#803) Some of the aliases you requested do not exist"),
]
ANOTHER_OBJECT = [
    (100, 33, "Unsupported get request. Object with ID '99' does not exist"),
    (100, None, '(#100) Object with ID "foo" does not exist'),
    (803, None, "(#803) Some of the aliases you requested do not exist: hidden"),
    (803, None, "(#803) Cannot query users by their username (hidden)"),
]
GARBLED = [
    (403, b"<!DOCTYPE html><title>Error 403 (Forbidden)!!1</title>"),
    (403, b"Forbidden"),
    (401, b""),
    (403, b""),
]
WITHOUT_CODE = [
    "Error validating access token: Session has expired",
    "Malformed access token",
    "Invalid OAuth access token.",
]
BLOCKED = ("SERVICE", "IP_ADDRESS", "HTTP_REFERRER", "ANDROID_APP", "IOS_APP")
OF_THE_CREDENTIAL = [
    *(("graphapi", graph_error(190, subcode)) for subcode in (None, 458, 459, 460, 463, 464, 467, 490, 492, 99)),
    *(("graphapi", graph_error(*row)) for row in (*OWN_OBJECT, *NO_OBJECT, *ANOTHER_OBJECT)),
    *(("graphapi", graph_error(code)) for code in (102, 101, 3, 10, 200, 210, 230, 299, 5, 803)),
    *(("graphapi", graph_error(code, status=403)) for code in (10, 200)),
    *(("graphapi", graph_error(*pair)) for pair in ((100, 33), (25, 2207050), (4, 2207051), (10, 2207003), (0, 467))),
    ("graphapi", graph_error(100, message="(#100) Missing permissions")),
    ("graphapi", graph_error(100, message="API calls from the server require an appsecret_proof argument")),
    ("graphapi", graph_error(104, message="Requires valid signature")),
    ("graphapi", graph_error(2500, message="An active access token must be used to query information")),
    ("graphapi", graph_error(99999, status=403)),
    ("graphapi", graph_error(99999, status=401)),
    ("graphapi", refusal("Forbidden", 403)),
    ("graphapi", refusal({"message": "no", "code": "190"})),
    ("graphapi", refusal([{"message": "no", "code": 190.0}])),
    *(("graphapi", graph_error(code)) for code in (17, 32, 613, 80002)),
    ("ytapi", google_error("accessNotConfigured", "SERVICE_DISABLED")),
    ("ytapi", google_error("accessNotConfigured")),
    *(("ytapi", google_error("", reason)) for reason in ("SERVICE_DISABLED", "BILLING_DISABLED", "CONSUMER_SUSPENDED")),
    *(("ytapi", google_error("forbidden", f"API_KEY_{what}_BLOCKED")) for what in BLOCKED),
    *(("ytapi", google_error("", f"API_KEY_{what}_BLOCKED")) for what in BLOCKED),
    *(("ytapi", google_error("forbidden", reason)) for reason in ("CONSUMER_INVALID", "PROJECT_DISABLED")),
    ("ytapi", google_error("badRequest", "API_KEY_INVALID", "API key not valid. Please pass a valid API key.", 400)),
    ("ytapi", google_error("badRequest", None, "API key expired. Please renew the API key.", 400)),
    ("ytapi", google_error("", None, "API key not valid. Please pass a valid API key.", 400)),
    *(("ytapi", google_error(reason)) for reason in ("keyInvalid", "keyExpired", "ipRefererBlocked", "forbidden")),
    *(("ytapi", google_error(reason)) for reason in ("dailyLimitExceededUnreg", "rateLimitExceededUnreg")),
    *(("ytapi", google_error(reason)) for reason in ("channelForbidden", "insufficientPermissions", "neverHeardOf")),
    *(("ytapi", google_error(reason)) for reason in ("accountDisabled", "accountDeleted", "userRateLimitExceeded")),
    ("ytapi", google_error("authError", None, "Invalid Credentials", 401)),
    ("ytapi", google_error("required", None, "Login Required", 401)),
    ("ytapi", refusal({"code": 403, "message": "They are blocked.", "status": "PERMISSION_DENIED"}, 403)),
    ("ytapi", refusal({"code": 403, "message": "no"}, 403)),
    ("ytapi", refusal("access_denied", 403)),
    ("ytapi", refusal(None, 403)),
]  # fmt: skip
OF_WHO_KNOWS = [
    *((source, Reply(*garbled)) for source in ("graphapi", "ytapi") for garbled in GARBLED),
    *(("graphapi", refusal({"type": "OAuthException", "message": message})) for message in WITHOUT_CODE),
    ("graphapi", Reply(400, json.dumps({"type": "OAuthException", "message": WITHOUT_CODE[0]}).encode())),
    ("graphapi", graph_error(2500, message="Unknown path components: /OWN")),
    ("graphapi", graph_error(2500, message='Syntax error "Expected end of string" at character 5')),
]


@pytest.mark.parametrize(
    ("source", "reply", "questions"),
    [*((*row, 1) for row in OF_THE_CREDENTIAL), *((*row, REFUSED_MAX) for row in OF_WHO_KNOWS)],
    ids=lambda each: getattr(each, "body", each),
)
async def test_of_two_credentials_one_is_bad_and_all_questions_pass(
    autojump_clock: trio.testing.MockClock, source: str, reply: Reply, questions: int
) -> None:
    bench = await Bench(source, {"key": reply}).ready()
    for number in range(40):
        assert (await bench.ask(f"made.up{number}")).profile_id
    assert bench.questions_with("bad-token-key") == questions, "it is taken out by its first refusals"
    assert await bench.ready_handles() == {"good-0"}
    assert f"{source}: HTTP" in await bench.why()
    assert "bad-token" not in await bench.why()
    assert (bench.line.breaker, bench.line.failed) == ("closed", 0)


@pytest.mark.parametrize("source", ["graphapi", "ytapi"])
async def test_a_key_that_no_request_can_hold_is_its_own_fault_and_not_the_sources(
    autojump_clock: trio.testing.MockClock, source: str
) -> None:
    bench = await Bench(source, {"pasted": Reply(unsendable=True)}).ready()
    for number in range(40):
        assert (await bench.ask(f"made.up{number}")).profile_id
    assert await bench.ready_handles() == {"good-0"}
    assert "no request can hold" in await bench.why()
    assert (bench.line.breaker, bench.line.failed) == ("closed", 0)


@pytest.mark.parametrize(
    ("code", "rest_s", "rests"),
    [
        (4, 3600, {"bad-key", "good-0"}),
        (341, 3600, {"bad-key", "good-0"}),
        (368, 86_400, {"bad-key", "good-0", "good-of-another-app"}),
    ],
)
async def test_what_an_app_or_the_source_asked_too_much_is_not_asked_on_with_another_credential(
    autojump_clock: trio.testing.MockClock, code: int, rest_s: int, rests: set[str]
) -> None:
    bench = await Bench("graphapi", {"key": graph_error(code)}).ready()
    secret = {"token": "good-token-of-another-app", "ig_user_id": "20"}
    with suppress(NoCredential):
        while not bench.asked_with("bad-token-key"):
            await bench.ask()
    await bench.credentials.put("graphapi", "good-of-another-app", secret, Facts(app="another"))
    everybody = {"bad-key", "good-0", "good-of-another-app"}
    assert await bench.ready_handles() == everybody - rests
    if code != 368:
        await bench.ask()
        assert bench.asked_with("good-token-of-another-app") == 1
    await trio.sleep(rest_s + 1)
    assert await bench.ready_handles() == everybody


@pytest.mark.parametrize(
    ("source", "reply"), [*OF_THE_CREDENTIAL[:1], *OF_THE_CREDENTIAL[-1:], ("ytapi", Reply(403, b"Forbidden"))]
)
async def test_of_many_credentials_one_is_good(
    autojump_clock: trio.testing.MockClock, source: str, reply: Reply
) -> None:
    bench = await Bench(source, {str(number): reply for number in range(20)}).ready()
    for number in range(40):
        assert (await bench.ask(f"made.up{number}")).profile_id
    assert await bench.ready_handles() == {"good-0"}


async def test_what_stands_before_the_source_takes_out_none_by_chance(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = await Bench("graphapi", good=5).ready()
    healthy, rng = bench._reply, random.Random(7)
    away = [True] * 4 + [rng.random() < 0.1 for _ in range(600)]
    bench._reply = lambda request: Reply(403, b"<html>") if away.pop(0) else healthy(request)  # type: ignore[method-assign]
    for number in range(400):
        await bench.ask(f"made.up{number}")
    assert len(await bench.ready_handles()) == 5


async def test_a_credential_that_gets_no_answer_rests_for_a_short_time(autojump_clock: trio.testing.MockClock) -> None:
    """However long the proxy says."""
    bench = await Bench("graphapi", {"key": Reply(403, b"<html>", {"Retry-After": "86400"})}).ready()
    for _ in range(40):
        await bench.ask("made.up")
    assert await bench.ready_handles() == {"good-0", "bad-key"}
    for number in range(40):
        await bench.ask(f"made.up{number}")
    assert await bench.ready_handles() == {"good-0"}
    await trio.sleep(DOUBTED_S)
    assert await bench.ready_handles() == {"good-0", "bad-key"}
    bench.bad.clear()
    for number in range(40):
        await bench.ask(f"made.up{number}")
    assert await bench.ready_handles() == {"good-0", "bad-key"}


async def test_a_credential_that_rests_hides_no_source_that_is_away(autojump_clock: trio.testing.MockClock) -> None:
    bad = {"a": Reply(429, headers={"Retry-After": "3600"}), "b": Reply(403, b"<html>")}
    bench = await Bench("graphapi", bad, good=0).ready()
    work, results = refresh(bench), []
    for _ in range(2 * FAILURES_MAX):
        results.append(await work(job(0)))
        if bench.line.breaker == "open":
            break
    assert bench.line.breaker == "open"
    assert isinstance(results[-1], Deferred)
    assert results[-1].after_s < 3
    assert await bench.ready_handles() == {"bad-b"}


async def test_where_nobody_knows_which_credentials_there_are_it_is_not_the_source(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = await Bench("graphapi", {"key": Reply(403, b"<html>")}, good=0).ready()
    pick = bench.credentials.pick

    async def once(source: str, *, without: Collection[uuid.UUID], **more: Any) -> Credential:
        if without:
            raise Transient("postgres is away")
        return await pick(source)

    bench.credentials.pick = once  # type: ignore[method-assign]
    with pytest.raises(NoCredential, match="postgres is away"):
        await bench.ask()
    assert bench.line.failed == 0


@pytest.mark.parametrize(("source", "reply"), OF_WHO_KNOWS, ids=lambda each: getattr(each, "body", each))
@pytest.mark.parametrize("good", [1, 3])
async def test_where_all_are_told_so_it_is_the_source(
    autojump_clock: trio.testing.MockClock, source: str, reply: Reply, good: int
) -> None:
    bench = await Bench(source, good=good).ready()
    for number in range(10):
        await bench.ask(f"made.up{number}")
    bench.of_handle["lost"] = reply
    for number in range(FAILURES_MAX - 1):
        with pytest.raises(SourceFailed, match=f"{source}: HTTP"):
            await bench.ask(f"lost{number}")
    with pytest.raises(SourceClosed):
        await bench.ask("lost")
    assert (bench.line.breaker, bench.line.failed) == ("open", FAILURES_MAX)
    assert len(await bench.ready_handles()) == good
    await trio.sleep(1)
    await bench.ask("seen")
    assert bench.line.breaker == "closed"


async def test_a_question_that_is_refused_to_all_in_two_ways_feeds_no_breaker(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bad = {"a": graph_error(10), "b": Reply(403, b"Forbidden")}
    bench = await Bench("graphapi", bad, good=0).ready()
    with pytest.raises(QuestionFailed, match="no credential may ask this"):
        await bench.ask()
    assert (bench.line.breaker, bench.line.failed) == ("closed", 0)


async def test_side_by_side_it_is_told_once(autojump_clock: trio.testing.MockClock) -> None:
    bench = await Bench(
        "ytapi", {"key": google_error("accessNotConfigured", message="Not enabled\nin project 1")}
    ).ready()
    with structlog.testing.capture_logs() as logs:
        async with trio.open_nursery() as nursery:
            for number in range(40):
                nursery.start_soon(bench.ask, f"made.up{number}")
    reason = "ytapi: HTTP 403, accessNotConfigured, PERMISSION_DENIED: Not enabled in project 1"
    assert [(entry["credential"], entry["reason"]) for entry in logs] == [("bad-key", reason)]
    assert bench.line.last_error == f"credential bad-key retired: {reason}"
    assert [error["error"] for error in bench.board.errors] == [bench.line.last_error]


@pytest.mark.parametrize(
    ("source", "reply", "rest_s"),
    [
        ("graphapi", graph_error(190, 463), None),
        ("graphapi", graph_error(190, 459), 86_400),
        ("graphapi", graph_error(5), 3600),
        ("graphapi", graph_error(10), 3600),
        ("graphapi", refusal({"code": 17}), 3600),
        ("ytapi", google_error("keyInvalid"), None),
        ("ytapi", google_error("accessNotConfigured"), None),
        ("ytapi", google_error("forbidden"), 3600),
    ],
)
async def test_a_dead_one_waits_for_a_new_token_and_others_come_back(
    autojump_clock: trio.testing.MockClock, source: str, reply: Reply, rest_s: float | None
) -> None:
    bench = await Bench(source, {"key": reply}).ready()
    while not bench.asked_with("bad-token-key"):
        await bench.ask()
    await trio.sleep((rest_s or 10**7) - 1)
    assert await bench.ready_handles() == {"good-0"}
    await trio.sleep(2)
    assert await bench.ready_handles() == ({"good-0"} if rest_s is None else {"good-0", "bad-key"})
    await bench.credentials.put(source, "bad-key", {"token": "good-again", "ig_user_id": "17"})
    assert await bench.ready_handles() == {"good-0", "bad-key"}


USAGE = "x-business-use-case-usage"


@pytest.mark.parametrize(
    ("header", "rest_s"),
    [
        ('{"17":[{"type":"instagram","call_count":100,"estimated_time_to_regain_access":19}]}', 19 * 60),
        ('{"1":[{"estimated_time_to_regain_access":2}],"2":[{},{"estimated_time_to_regain_access":5}]}', 5 * 60),
        ('{"17":[{"estimated_time_to_regain_access":999999}]}', 86_400),
        ('{"17":[{"estimated_time_to_regain_access":0}]}', 3600),
        *((text, 3600) for text in ("", "{}", "[]", "7", '{"a":7}', '{"a":[7]}', '{"a":{}}', "[" * 100_000, "\x00")),
    ],
)
async def test_the_usage_header_names_the_wait(
    autojump_clock: trio.testing.MockClock, header: str, rest_s: int
) -> None:
    limited = Reply(400, b'{"error": {"code": 613, "message": "too much"}}', {USAGE: header})
    bench = await Bench("graphapi", {"key": limited}, good=0).ready()
    with pytest.raises(NoCredential) as caught:
        await bench.ask()
    assert caught.value.retry_after_s == pytest.approx(rest_s)


async def test_without_a_good_one_jobs_wait_at_no_cost_and_the_reasons_are_told(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bad = {"a": graph_error(190, 463, "Session has expired"), "b": graph_error(5, message="Temporarily blocked")}
    bench = await Bench("graphapi", bad, good=0).ready()
    work = refresh(bench)
    for _ in range(3):
        result = await work(job(0))
        assert isinstance(result, Deferred)
        assert 3500 < result.after_s <= 3601
    assert len(bench.fetcher.requests) == 2
    assert bench.line.last_error is not None
    assert "bad-b rests (graphapi: HTTP 400, error 5: Temporarily blocked)" in bench.line.last_error
    assert "bad-a waits for a new token (graphapi: HTTP 400, error 190/463: Session" in bench.line.last_error
    assert (bench.line.breaker, bench.line.failed) == ("closed", 0)
    assert "bad-token" not in bench.line.last_error
    del bench.bad["bad-token-b"]
    await trio.sleep(3601)
    assert not isinstance(await work(job(0)), Deferred | Failure)


HIDDEN = [
    ("graphapi", graph_error(10, message="(#10) Application does not have permission for this action"), QuestionFailed),
    ("graphapi", graph_error(200), QuestionFailed),
    *(("graphapi", graph_error(*row), QuestionFailed) for row in NO_OBJECT),
    *(("graphapi", graph_error(*row), NotFound) for row in ANOTHER_OBJECT),
    ("ytapi", google_error("channelForbidden"), QuestionFailed),
    ("ytapi", google_error("forbidden"), QuestionFailed),
]


@pytest.mark.parametrize(("source", "reply", "verdict"), HIDDEN)
async def test_what_nobody_may_see_takes_out_no_credential(
    autojump_clock: trio.testing.MockClock, source: str, reply: Reply, verdict: type[Exception]
) -> None:
    bench = await Bench(source, good=3).ready()
    bench.of_handle["hidden"] = reply
    for number in range(20):
        await bench.ask(f"made.up{number}")
    asked = len(bench.fetcher.requests)
    for number in range(20):
        with pytest.raises(verdict):
            await bench.ask("hidden")
        await bench.ask(f"seen{number}")
    assert await bench.ready_handles() == {"good-0", "good-1", "good-2"}
    assert len(bench.fetcher.requests) - asked <= 20 * (2 + 3), "two that are known to be good are asked, not all"
    assert bench.line.breaker == "closed"


@pytest.mark.parametrize(("source", "reply", "verdict"), HIDDEN)
async def test_nor_do_many_such_questions_in_a_row(
    autojump_clock: trio.testing.MockClock, source: str, reply: Reply, verdict: type[Exception]
) -> None:
    bench = await Bench(source, good=2).ready()
    for number in range(40):
        await bench.ask(f"made.up{number}")
    for number in range(20):
        bench.of_handle[f"hidden{number}x"] = reply
        with pytest.raises(verdict):
            await bench.ask(f"hidden{number}x")
    assert await bench.ready_handles() == {"good-0", "good-1"}


@pytest.mark.parametrize(("source", "reply", "verdict"), HIDDEN)
@pytest.mark.parametrize("good", [1, 2])
async def test_nor_does_it_where_nothing_else_is_asked(
    autojump_clock: trio.testing.MockClock, source: str, reply: Reply, verdict: type[Exception], good: int
) -> None:
    """The first question of a platform: nobody knows yet who is good."""
    bench = await Bench(source, good=good).ready()
    bench.of_handle["hidden"] = reply
    for _ in range(20):
        with pytest.raises(QuestionFailed, match="no credential may ask this"):
            await bench.ask("hidden")
    assert len(await bench.ready_handles()) == good
    await bench.ask("seen")


def refresh(bench: Bench) -> FlowWork:
    scraper = Scraper()
    retries = Retries(scraper.attempts_max, Backoff(scraper.backoff_s, scraper.backoff_s_max))
    return FlowWork(
        FLOWS["refresh_profile_by_handle"],
        bench.apis,
        MemoryObjects(),
        NobodyErased(),
        bench.clock,
        retries,
        bench.clock.rng,
    )


@pytest.mark.parametrize(("code", "subcode", "said"), OWN_OBJECT)
async def test_where_all_lose_their_account_at_once_they_rest_and_jobs_wait(
    autojump_clock: trio.testing.MockClock, code: int, subcode: int | None, said: str
) -> None:
    bench = await Bench("graphapi", good=3).ready()
    for number in range(20):
        await bench.ask(f"made.up{number}")
    asked, work = len(bench.fetcher.requests), refresh(bench)
    bench.of_handle["made"] = graph_error(code, subcode, said)
    with structlog.testing.capture_logs() as logs:
        results = [await work(job(0)) for _ in range(20)]
    assert all(isinstance(result, Deferred) for result in results)
    assert len(bench.fetcher.requests) - asked == 3
    assert [entry["event"] for entry in logs] == ["credential rests"] * 3
    assert await bench.ready_handles() == set()
    assert f"error {code}/{subcode}: {said[:20]}".replace("/None", "") in await bench.why()
    bench.of_handle.clear()
    await trio.sleep(3601)
    assert isinstance(await work(job(0)), Crawl)


@pytest.mark.parametrize(("source", "reply", "verdict"), HIDDEN)
async def test_where_all_lose_a_permission_at_once_they_rest_after_a_while(
    autojump_clock: trio.testing.MockClock, source: str, reply: Reply, verdict: type[Exception]
) -> None:
    bench = await Bench(source, good=3).ready()
    for number in range(40):
        await bench.ask(f"made.up{number}")
    bench.of_handle[""] = reply
    for number in (*[0] * AGREED_MAX, *range(AGREED_MAX)):  # the same question again tells nothing new
        with pytest.raises(verdict):
            await bench.ask(f"made.up{number}")
    with structlog.testing.capture_logs() as logs, pytest.raises(NoCredential) as caught:
        await bench.ask("another")
    assert caught.value.retry_after_s == pytest.approx(DOUBTED_S)
    assert [entry["event"] for entry in logs] == ["credential rests"] * 3
    asked = len(bench.fetcher.requests)
    for number in range(100):
        with pytest.raises(NoCredential):
            await bench.ask(f"waits{number}")
    assert len(bench.fetcher.requests) == asked
    await trio.sleep(DOUBTED_S)
    with pytest.raises(NoCredential):
        await bench.ask("another")
    assert len(bench.fetcher.requests) == asked + 3, "one question tells that nothing is better yet"
    bench.of_handle.clear()
    await trio.sleep(DOUBTED_S)
    await bench.ask("another")
    bench.of_handle["hidden"] = reply
    with pytest.raises((verdict, QuestionFailed)):
        await bench.ask("hidden")
    assert await bench.ready_handles() == {"good-0", "good-1", "good-2"}


async def test_what_one_question_is_refused_to_many_is_one_refusal(autojump_clock: trio.testing.MockClock) -> None:
    """However many accounts ask it: a few odd profiles, asked again and again, take out no credential."""
    bench = await Bench("graphapi", good=10).ready()
    for number in range(60):
        await bench.ask(f"made.up{number}")
    for number in range(6):
        bench.of_handle[f"odd{number}"] = graph_error(10)
    for number in range(10 * REFUSED_MAX):
        with pytest.raises(QuestionFailed):
            await bench.ask(f"odd{number % 6}")
    assert len(await bench.ready_handles()) == 10


async def test_a_proxy_s_refusal_agrees_with_none(autojump_clock: trio.testing.MockClock) -> None:
    bench = await Bench("graphapi", good=3).ready()
    for number in range(40):
        await bench.ask(f"made.up{number}")
    told = iter([Reply(403, b"<html>"), graph_error(10)])
    healthy = bench._reply
    bench._reply = lambda request: next(told, None) or healthy(request)  # type: ignore[method-assign]
    assert await bench.ask("seen")


ODD = [
    ("graphapi", Reply(200, b'{"id": "OWN"}')),
    ("graphapi", Reply(200, b'{"business_discovery": null}')),
    ("graphapi", Reply(200, b"[]")),
    ("ytapi", Reply(200, b'{"kind": "youtube#channelListResponse", "pageInfo": {"totalResults": 1}}')),
    ("ytapi", Reply(200, b"{}")),
]


@pytest.mark.parametrize(("source", "reply"), ODD)
async def test_an_odd_answer_is_its_question_s_failure(
    autojump_clock: trio.testing.MockClock, source: str, reply: Reply
) -> None:
    bench = await Bench(source, good=2).ready()
    bench.of_handle["odd"] = reply
    for _ in range(2 * ODD_MAX):
        with pytest.raises(QuestionFailed, match="should be"):
            await bench.ask("odd")
    for number in range(2 * ODD_MAX):
        with pytest.raises(QuestionFailed, match="should be"):
            await bench.ask(f"odd{number}")
        assert await bench.ask("seen")
    assert (bench.line.breaker, bench.line.failed) == ("closed", 0)
    assert len(await bench.ready_handles()) == 2


@pytest.mark.parametrize(("source", "reply"), ODD)
async def test_odd_answers_to_many_questions_in_a_row_are_the_source_s_failures(
    autojump_clock: trio.testing.MockClock, source: str, reply: Reply
) -> None:
    bench = await Bench(source, good=2).ready()
    bench.of_handle["odd"] = reply
    for number in range(ODD_MAX - 1):
        with pytest.raises(QuestionFailed):
            await bench.ask(f"odd{number}")
    assert bench.line.failed == 0
    for _ in range(FAILURES_MAX - 1):
        with pytest.raises(SourceFailed, match="should be"):
            await bench.ask("odd")
    with pytest.raises(SourceClosed):
        await bench.ask("odd")
    await trio.sleep(1)
    await bench.ask("seen")
    with pytest.raises(QuestionFailed):
        await bench.ask("odd")
    assert bench.line.breaker == "closed"


async def test_an_odd_answer_neither_feeds_nor_closes_the_breaker(autojump_clock: trio.testing.MockClock) -> None:
    bench = await Bench("graphapi").ready()
    bench.of_handle.update({"down": Reply(503), "odd": ODD[0][1]})
    for number in range(FAILURES_MAX - 1):
        with pytest.raises(SourceFailed):
            await bench.ask(f"down{number}")
        with pytest.raises(QuestionFailed):
            await bench.ask("odd")
    with pytest.raises(SourceClosed):
        await bench.ask("down")
    await trio.sleep(1)
    with pytest.raises(QuestionFailed):
        await bench.ask("odd")
    assert bench.line.breaker == "half-open"


@pytest.mark.parametrize("bad", [1, 2])
async def test_credentials_that_are_refused_one_question_after_the_other_rest(
    autojump_clock: trio.testing.MockClock, bad: int
) -> None:
    bench = await Bench("graphapi", {str(number): graph_error(10) for number in range(bad)}, good=0).ready()
    for number in range(REFUSED_MAX - 1):
        with pytest.raises(QuestionFailed):
            await bench.ask(f"made.up{number}")
    with pytest.raises(NoCredential) as caught:
        await bench.ask("made.up")
    assert caught.value.retry_after_s == DOUBTED_S
    await trio.sleep(DOUBTED_S)
    asked = len(bench.fetcher.requests)
    with pytest.raises(NoCredential):
        await bench.ask("another")
    assert len(bench.fetcher.requests) == asked + bad, "one question tells that nothing is better yet"
    bench.bad.clear()
    await trio.sleep(DOUBTED_S)
    await bench.ask("another")


async def test_while_another_one_rests_the_question_waits_for_it(autojump_clock: trio.testing.MockClock) -> None:
    bench = await Bench("graphapi", {"key": graph_error(10)}).ready()
    (good,) = (row.credential for row in bench.credentials._rows.values() if row.credential.handle == "good-0")
    await bench.credentials.disable(good, rest_s=60, reason="429")
    with pytest.raises(NoCredential) as caught:
        await bench.ask()
    assert caught.value.retry_after_s == pytest.approx(60)
    await trio.sleep(60)
    assert await bench.ask()


@pytest.mark.parametrize(
    ("source", "reply"),
    [
        *(("graphapi", graph_error(100, subcode)) for subcode in (None, 2108006)),
        ("graphapi", graph_error(10, message="(#10) Not enough viewers for the media to show insights")),
        ("graphapi", graph_error(1, message="Please reduce the amount of data you're asking for")),
        ("graphapi", graph_error(36104)),
        ("ytapi", google_error("invalidPageToken", status=400)),
        ("ytapi", google_error("badRequest", status=400)),
        ("ytapi", google_error("commentsDisabled")),
    ],
)
async def test_what_is_said_about_a_question_feeds_no_breaker(
    autojump_clock: trio.testing.MockClock, source: str, reply: Reply
) -> None:
    bench = await Bench(source).ready()
    bench.of_handle["odd"] = reply
    for number in range(2 * FAILURES_MAX):
        with pytest.raises(QuestionFailed):
            await bench.ask(f"odd{number}")
    assert await bench.ready_handles() == {"good-0"}
    assert bench.line.breaker == "closed"
    await bench.ask("seen")


async def test_an_answer_is_given_though_our_store_is_away(autojump_clock: trio.testing.MockClock) -> None:
    bench = await Bench("graphapi", {"key": graph_error(10)}).ready()

    async def lost(*_: object, **__: object) -> bool:
        raise NoCredential("postgres is away")

    bench.credentials.disable = lost  # type: ignore[method-assign]
    while not bench.asked_with("bad-token-key"):
        assert await bench.ask()


@pytest.mark.parametrize("form", ["{}", "a%2F{}", "https:\\/\\/x\\/?t={}"])
async def test_no_reason_holds_the_secret(autojump_clock: trio.testing.MockClock, form: str) -> None:
    token = "EAAB/se+cret"
    forms = {"{}": token, "a%2F{}": "EAAB%2Fse%2Bcret", "https:\\/\\/x\\/?t={}": "EAAB\\/se+cret"}
    body = f'{{"error": {{"code": 190, "message": "Malformed access token {form.format(forms[form])}"}}}}'
    bench = await Bench("graphapi", good=0).ready()
    bench.bad[token] = Reply(400, body.encode())
    await bench.credentials.put("graphapi", "key", {"token": token, "ig_user_id": "17"})
    with pytest.raises(NoCredential) as caught:
        await bench.ask()
    assert "***" in str(caught.value)
    assert "cret" not in str(caught.value)


async def test_a_credential_of_another_kind_of_fault_is_named(autojump_clock: trio.testing.MockClock) -> None:
    bench = await Bench("graphapi", good=0).ready()
    await bench.credentials.put("graphapi", "half", {"token": "tokenG"})
    with pytest.raises(
        NoCredential, match=r"half waits for a new token .*lacks its account: add it anew with --account"
    ):
        await bench.ask()
