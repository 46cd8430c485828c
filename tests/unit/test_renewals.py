"""Tokens are renewed before they end: what is asked, what is stored, and what is told where an answer is lost."""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest
import structlog.testing
import trio
import trio.testing

from gcc.clock import VirtualClock
from gcc.errors import Transient
from gcc.metrics import Metrics
from gcc.pipelines.scraping.upkeep import of_probe
from gcc.sources.chain import Outside, Visit
from gcc.sources.credentials import Facts, NoCredential
from gcc.sources.http import Request
from gcc.sources.instagram.graph_client import GraphApi
from gcc.sources.limits import InProcessLimiter, Limit, LimitRefused, Take
from gcc.sources.tokens.client import ALONE_S, STORE_S, TokenApi
from gcc.sources.tokens.renewals import RENEWALS
from gcc.sources.verdicts import OddAnswer, QuestionFailed, RateLimited, Refused, SourceFailed
from tests.fakes.credentials import FakeCredentials
from tests.fakes.fetcher import FakeFetcher, Reply

CLIENT = {"client_id": "our-app", "client_secret": "our-secret-words"}
SHOP = "made-up.myshopify.com"
SECRETS = {
    "instagram": {"token": "old-token"},
    "google": {"token": "old-token", "refresh_token": "old-refresh", **CLIENT},
    "shopify": {"token": "old-token", "refresh_token": "old-refresh", **CLIENT},
    "shopify_app": {"token": "old-token", **CLIENT},
}


def ok(**body: Any) -> Reply:
    return Reply(200, json.dumps({"access_token": "new-token", "expires_in": 3600, **body}).encode())


class Bench:
    def __init__(self, answers: Callable[[Request], Reply], root: str = "") -> None:
        self.clock = VirtualClock(seed=1)
        self.fetcher = FakeFetcher(answers)
        self.credentials = FakeCredentials(self.clock)
        self.limiter = InProcessLimiter(dict.fromkeys(("graphapi", "tokens"), Limit(1000, 1.0)))
        self.outside = Outside(self.fetcher, self.limiter, self.credentials, self.clock, Metrics(), {})
        self.api = TokenApi(self.outside, root)
        self.visit = Visit()

    async def put(self, kind: str, *, ends_in_s: float = 60.0, **more: Any) -> None:
        facts = Facts(kind=kind, account=SHOP, app="x", expires_at=self.clock.now() + dt.timedelta(seconds=ends_in_s))
        await self.credentials.put("graphapi", "a", {**SECRETS.get(kind, {"token": "old-token"}), **more}, facts)

    async def renew(self) -> bool:
        return (await self.api.renew("graphapi", "a", self.visit)).is_new

    async def held(self) -> Any:
        return await self.credentials.held("graphapi", "a")


async def test_a_renewal_counts_where_tokens_are_renewed_and_where_the_token_asks(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = Bench(lambda request: ok())
    await bench.put("instagram")
    assert await bench.renew()
    assert {use.name: use.used for use in bench.limiter.usage()} == {"graphapi": 1, "tokens": 1}


@pytest.mark.parametrize(
    ("kind", "method", "url", "asked"),
    [
        (
            "instagram", "GET", "https://graph.instagram.com/refresh_access_token",
            {"grant_type": "ig_refresh_token", "access_token": "old-token"},
        ),
        (
            "google", "POST", "https://oauth2.googleapis.com/token",
            {"grant_type": "refresh_token", "refresh_token": "old-refresh", **CLIENT},
        ),
        (
            "shopify", "POST", f"https://{SHOP}/admin/oauth/access_token",
            {"grant_type": "refresh_token", "refresh_token": "old-refresh", **CLIENT},
        ),
        (
            "shopify_app", "POST", f"https://{SHOP}/admin/oauth/access_token",
            {"grant_type": "client_credentials", **CLIENT},
        ),
    ],
)  # fmt: skip
async def test_each_kind_is_renewed_in_its_own_words(
    autojump_clock: trio.testing.MockClock, kind: str, method: str, url: str, asked: dict[str, str]
) -> None:
    bench = Bench(lambda request: ok())
    await bench.put(kind)
    assert await bench.renew()
    (request,) = bench.fetcher.requests
    given = {name: values[0] for name, values in parse_qs(request.body.decode()).items()} or dict(request.params)
    assert (request.method, request.url, given) == (method, url, asked)
    held = await bench.held()
    assert held.secret == {**SECRETS[kind], "token": "new-token"}
    assert held.expires_at == bench.clock.now() + dt.timedelta(seconds=3600)
    assert (held.kind, held.account, held.app) == (kind, SHOP, "x")
    (trace,) = bench.visit.traces
    for secret in ("old-token", "old-refresh", "our-secret-words", "new-token"):
        assert secret not in repr(trace) and secret not in repr(request)


async def test_a_rotating_pair_replaces_the_old_one(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(lambda request: ok(refresh_token="new-refresh", scope="read_orders,read_products"))
    await bench.put("shopify")
    await bench.renew()
    held = await bench.held()
    assert (held.secret["token"], held.secret["refresh_token"]) == ("new-token", "new-refresh")
    assert held.scopes == ("read_orders", "read_products")
    assert not await bench.renew(), "it is new: nothing is asked"
    assert len(bench.fetcher.requests) == 1


async def test_the_same_token_may_be_answered_again(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(lambda request: ok(access_token="old-token", expires_in=5_184_000))
    await bench.put("instagram")
    await bench.renew()
    assert (await bench.held()).secret == {"token": "old-token"}


async def test_the_world_stands_in_for_every_host(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(lambda request: ok(), root="http://127.0.0.1:8090")
    await bench.put("shopify")
    await bench.renew()
    assert bench.fetcher.requests[0].url == f"http://127.0.0.1:8090/shopify/{SHOP}/admin/oauth/access_token"


@pytest.mark.parametrize(
    ("reply", "error", "told"),
    [
        (
            Reply(400, b'{"error": "invalid_grant", "error_description": "old-refresh is no more"}'),
            Refused,
            "is no more",
        ),
        (
            Reply(400, b'{"error": {"code": 190, "message": "expired"}}'),
            Refused,
            "cannot be renewed: tokens: HTTP 400, 190",
        ),
        (Reply(401, b'{"error": "invalid_client"}'), QuestionFailed, "invalid_client"),
        (Reply(429, b"{}", {"Retry-After": "9"}), RateLimited, "HTTP 429"),
        (Reply(400, b'{"error": {"code": 4, "message": "limit"}}'), RateLimited, "limit"),
        (Reply(503, b"<html>"), SourceFailed, "HTTP 503"),
        (Reply(400, b"[]"), SourceFailed, "HTTP 400"),
        (Reply(200, b'{"expires_in": 5}'), OddAnswer, r"access_token"),
        (Reply(200, b'{"access_token": 5}'), OddAnswer, r"access_token"),
        (Reply(200, b"old-refresh"), Transient, "tokens"),
    ],
)
async def test_what_is_no_token_leaves_the_old_one_and_says_why(
    autojump_clock: trio.testing.MockClock, reply: Reply, error: type[Exception], told: str
) -> None:
    bench = Bench(lambda request: reply)
    await bench.put("google")
    with pytest.raises(error, match=told) as raised:
        await bench.renew()
    assert "old-refresh" not in str(raised.value)
    assert (await bench.held()).secret == SECRETS["google"]
    if error is Refused:
        with pytest.raises(NoCredential, match="waits for a new token"):
            await bench.credentials.pick("graphapi", owner=SHOP)


async def test_our_apps_own_fault_retires_no_token(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(lambda request: Reply(401, b'{"error": "invalid_client"}'))
    await bench.put("google")
    with pytest.raises(QuestionFailed):
        await bench.renew()
    assert (await bench.credentials.pick("graphapi", owner=SHOP)).handle == "a"


async def test_what_lacks_something_is_not_asked(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(lambda request: ok())
    await bench.put("google", client_secret="")
    with pytest.raises(QuestionFailed, match="credential a of graphapi lacks client_secret"):
        await bench.renew()
    await bench.put("facebook")
    with pytest.raises(Refused, match="kind facebook: its owner logs in and consents again"):
        await bench.renew()
    with pytest.raises(Refused, match="graphapi has no credential 'b'"):
        await bench.api.renew("graphapi", "b", bench.visit)
    assert not bench.fetcher.requests


async def test_a_lost_answer_of_a_rotating_token_is_told(autojump_clock: trio.testing.MockClock) -> None:
    replies = [Reply(502, b""), Reply(400, b'{"error": "invalid_grant"}')]
    bench = Bench(lambda request: replies.pop(0))
    await bench.put("shopify")
    with pytest.raises(Transient):
        await bench.renew()
    await trio.sleep(ALONE_S)
    with (
        structlog.testing.capture_logs() as told,
        pytest.raises(Refused, match="answer of an earlier renewal was lost"),
    ):
        await bench.renew()
    assert told[0]["event"] == "the answer of a renewal was lost, asking again"


async def test_a_refresh_token_that_rotates_is_asked_with_by_one_at_a_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """Who comes second (a job by hand, one whose lease had ended) would burn it."""
    bench = Bench(
        lambda request: Reply(200, b'{"access_token": "t", "refresh_token": "r", "expires_in": 60}', delay_s=9)
    )
    await bench.put("shopify")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.renew)
        await trio.sleep(3)
        with pytest.raises(LimitRefused, match="is being renewed") as caught:
            await bench.renew()
    assert caught.value.retry_after_s == ALONE_S - 3
    assert len(bench.fetcher.requests) == 1
    assert (await bench.held()).secret["refresh_token"] == "r"


async def test_what_our_own_limit_refused_was_not_asked_and_is_as_soon_as_there_is_room(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = Bench(lambda request: ok(refresh_token="new-refresh"))
    await bench.put("shopify")
    bench.limiter.override({"graphapi": Limit(1, 20.0), "tokens": Limit(1, 20.0)})
    await bench.limiter.take([Take("graphapi"), Take("tokens")], wait_s_max=0)
    with pytest.raises(LimitRefused, match="is used up") as refused:
        await bench.renew()
    assert not bench.fetcher.requests
    await trio.sleep(refused.value.retry_after_s or 0.0)
    with structlog.testing.capture_logs() as told:
        assert await bench.renew()
    assert not told, "no answer was lost"


@pytest.mark.parametrize("kind", ["google", "shopify", "shopify_app"])
async def test_one_that_was_found_dead_before_its_end_is_renewed(
    autojump_clock: trio.testing.MockClock, kind: str
) -> None:
    bench = Bench(lambda request: ok())
    await bench.put(kind, ends_in_s=86_400 * 30)
    assert not await bench.renew(), "it is well"
    await bench.credentials.disable(await bench.held(), rest_s=None, reason="401")
    assert await bench.renew()
    assert (await bench.credentials.pick("graphapi", owner=SHOP)).secret["token"] == "new-token"


async def test_a_new_pair_is_stored_however_often_the_store_fails(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(lambda request: ok(refresh_token="new-refresh"))
    await bench.put("shopify")
    renewed, fails = bench.credentials.renewed, 20

    async def failing(*given: Any) -> bool:
        nonlocal fails
        fails -= 1
        if fails >= 0:
            raise Transient("postgres is away")
        return await renewed(*given)

    monkeypatch.setattr(bench.credentials, "renewed", failing)
    with trio.CancelScope() as scope:
        scope.cancel()  # a drain, or the end of the job's lease
        async with trio.open_nursery() as nursery:
            with trio.CancelScope(shield=True) as asking:
                monkeypatch.setattr(bench.outside, "ask", ending(bench.outside.ask, asking))
                nursery.start_soon(trio.lowlevel.checkpoint)
                await bench.renew()
    assert (await bench.held()).secret["refresh_token"] == "new-refresh"


def ending(ask: Any, scope: trio.CancelScope) -> Any:
    """The question is answered, and whoever waits for what follows is cancelled."""

    async def asked(*given: Any) -> Any:
        answer = await ask(*given)
        scope.shield = False
        return answer

    return asked


async def test_a_pair_that_could_not_be_stored_is_told(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(lambda request: ok(refresh_token="new-refresh"))
    await bench.put("shopify")

    async def failing(*given: Any) -> bool:
        await trio.lowlevel.checkpoint()
        raise Transient("postgres is away")

    monkeypatch.setattr(bench.credentials, "renewed", failing)
    begun = trio.current_time()
    with structlog.testing.capture_logs() as told, pytest.raises(Transient, match="could not be stored: postgres is"):
        await bench.renew()
    assert trio.current_time() - begun == pytest.approx(STORE_S)
    assert [(line["log_level"], line["mend"]) for line in told] == [("error", "its shop installs the app again")]
    assert "new-refresh" not in repr(told)


@pytest.mark.parametrize("kind", RENEWALS)
def test_every_kind_is_asked_for_well_before_its_end(kind: str) -> None:
    assert RENEWALS[kind].near_s >= 600


@pytest.mark.parametrize(
    ("reply", "alive", "reason", "ready"),
    [
        (Reply(200, b'{"id": "17"}'), True, "", True),
        (Reply(400, b'{"error": {"code": 190, "message": "Session has expired"}}'), False, "190", False),
        (Reply(400, b'{"error": {"code": 4, "message": "limit"}}'), True, "limit", False),
    ],
)
async def test_a_probe_brings_back_or_retires_it(
    autojump_clock: trio.testing.MockClock, reply: Reply, alive: bool, reason: str, ready: bool
) -> None:
    bench = Bench(lambda request: reply)
    await bench.credentials.put("graphapi", "a", {"token": "old-token", "ig_user_id": "17"}, Facts(account="17"))
    held = await bench.held()
    await bench.credentials.disable(held, rest_s=None, reason="190 once")
    probed = await GraphApi(bench.outside, "http://x").probe("a", bench.visit)
    assert (probed.alive, reason in probed.reason) == (alive, True)
    try:
        assert (await bench.credentials.pick("graphapi")).handle == "a" and ready
    except NoCredential:
        assert not ready
    found = of_probe(probed, bench.clock.new_id)
    events = [json.loads(frame.body) for frame in found.frames]
    assert [(event["source"], event["handle"], event["account"]) for event in events] == (
        [] if alive else [("graphapi", "a", "17")]
    )
    assert all(frame.counted == 0 for frame in found.frames), "no store of ours gets it: `check` would miss it"
    assert "old-token" not in repr(found)
