"""Alerts: signed posts to the webhook of the settings and nowhere else; what it refuses is buried, the rest waits."""

import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any

import pytest
import trio.testing

from gcc.channels.deadletters import Burial
from gcc.channels.message import Delivery, Frame
from gcc.clock import VirtualClock
from gcc.config import load
from gcc.errors import ConfigError, Transient
from gcc.pipelines.analytics.alerts import TOO_LATE_S, Webhook, signature
from gcc.pipelines.events.routes import ALERT
from tests.fakes.fetcher import FakeFetcher, Reply

SECRET = "hush-hush"
URL = "https://hooks.example.org/gcc"


class Bench:
    def __init__(self, *statuses: int, url: str = URL) -> None:
        self.clock = VirtualClock(seed=1)
        self.statuses = list(statuses)
        self.fetcher = FakeFetcher(lambda request: Reply(self.statuses.pop(0)))
        self.buried: list[str] = []
        environ = {"GCC_ALERTS__SECRET": SECRET, "GCC_ALERTS__URL": url} if url else {}
        settings = load(None, environ=environ).alerts
        self.webhook = Webhook(self.fetcher, self, self.clock, settings)

    def delivery(self, *alerts: Any) -> Delivery:
        body = b"\n".join(alert if isinstance(alert, bytes) else json.dumps(alert).encode() for alert in alerts)
        return Delivery("alert_q", 1, Frame(self.clock.new_id(), ALERT, len(alerts), body), 1)

    def alert(self, number: int = 1, age_s: float = 0.0) -> dict[str, Any]:
        at = (self.clock.now() - dt.timedelta(seconds=age_s)).isoformat()
        return {"id": f"a{number}", "kind": "FAILED", "subject": "dbt_core", "at": at, "reason": "bad rows"}

    async def bury(self, burials: Sequence[Burial]) -> None:
        self.buried += [burial.reason for burial in burials]


async def test_a_post_is_signed_over_its_raw_body(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(204)
    alert = bench.alert()
    assert await bench.webhook.handle([bench.delivery(alert)]) == 1
    (request,) = bench.fetcher.requests
    at = int(request.headers["x-gcc-timestamp"])
    assert (request.method, request.url, json.loads(request.body)) == ("POST", URL, alert)
    expected = hmac.new(SECRET.encode(), str(at).encode() + b"." + request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-gcc-signature"] == f"v1={expected}" == f"v1={signature(SECRET, at, request.body)}"
    assert at == int(bench.clock.now().timestamp())
    assert SECRET not in repr(request)


@pytest.mark.parametrize("status", [500, 503, 429, 408])
async def test_what_is_not_taken_now_is_tried_again_and_none_twice(
    autojump_clock: trio.testing.MockClock, status: int
) -> None:
    bench = Bench(200, status, 200)
    batch = [bench.delivery(bench.alert(1), bench.alert(2))]
    with pytest.raises(Transient, match=f"answers {status}"):
        await bench.webhook.handle(batch)
    assert await bench.webhook.handle(batch) == 2
    assert [json.loads(request.body)["id"] for request in bench.fetcher.requests] == ["a1", "a2", "a2"]
    assert bench.buried == []


@pytest.mark.parametrize("status", [301, 302, 400, 401, 404, 410])
async def test_what_is_refused_is_buried_and_no_redirect_is_followed(
    autojump_clock: trio.testing.MockClock, status: int
) -> None:
    bench = Bench(status, 200)
    assert await bench.webhook.handle([bench.delivery(bench.alert(1), bench.alert(2))]) == 1
    assert bench.buried == [f"the webhook of alerts.url answers {status}"]
    assert len(bench.fetcher.requests) == 2


async def test_poison_and_what_is_too_old_are_buried(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(200)
    odd = [b"{", b"[]", b'"x"', b"[" * 50_000, {"id": 1}, bench.alert() | {"at": "2026-01-01T00:00:00"}]
    late = bench.alert(2, age_s=TOO_LATE_S + 1)
    assert await bench.webhook.handle([bench.delivery(*odd, late, bench.alert(3))]) == 1
    assert len(bench.buried) == len(odd) + 1
    assert bench.buried[-1] == "it could not be sent within a day"


async def test_without_an_address_nothing_is_sent(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(url="")
    assert await bench.webhook.handle([bench.delivery(bench.alert())]) == 0
    assert (bench.fetcher.requests, bench.buried) == ([], ["alerts.url is not set any more"])


@pytest.mark.parametrize(
    ("url", "secret", "says"),
    [
        ("http://hooks.example.org/", SECRET, "https"),
        ("http://169.254.169.254/latest", SECRET, "https"),
        ("ftp://hooks.example.org/", SECRET, "no address"),
        ("https://user:word@hooks.example.org/", SECRET, "without a user"),
        (URL, "", "GCC_ALERTS__SECRET"),
    ],
)
def test_an_address_that_is_not_safe_is_refused(url: str, secret: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        load(None, environ={"GCC_ALERTS__URL": url, "GCC_ALERTS__SECRET": secret})
    assert SECRET not in str(refused.value)


def test_on_loopback_it_may_be_plain() -> None:
    environ = {"GCC_ALERTS__URL": "http://127.0.0.1:9000/x", "GCC_ALERTS__SECRET": SECRET}
    assert load(None, environ=environ).alerts.url == "http://127.0.0.1:9000/x"
