"""What answers tell of the other side's limits: read by tables of rows, whatever they hold, and obeyed in time."""

import json
from collections.abc import Callable, Mapping, Sequence

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from gcc.clock import VirtualClock
from gcc.metrics import Metrics
from gcc.sources.chain import Outside, Question, SourceApi, Visit
from gcc.sources.chat import usage as chat
from gcc.sources.credentials import Credential, Facts
from gcc.sources.http import Answer, Request, decode
from gcc.sources.instagram import graph_usage as graph
from gcc.sources.limits import InProcessLimiter, Limit, LimitRefused, Reading, Rule, allowed
from gcc.sources.rapidapi import usage as rapidapi
from gcc.sources.shopify import usage as shopify
from gcc.sources.usage import TOLD_S, seconds
from tests.fakes.credentials import FakeCredentials
from tests.fakes.fetcher import FakeFetcher, Reply

Usage = Callable[[Answer], Sequence[Reading]]
CASE = {"type": "instagram", "call_count": 95, "total_cputime": 20, "total_time": 20}


def buc(**more: object) -> str:
    return json.dumps({"178": [{**CASE, **more}, {"type": "pages", "call_count": 3}]})


def throttled(left: float, rate: float = 50) -> bytes:
    status = {"maximumAvailable": 1000.0, "currentlyAvailable": left, "restoreRate": rate}
    data = {"orders": {"note": 'says "throttleStatus": {"currentlyAvailable": 1}'}}
    return json.dumps({"data": data, "extensions": {"cost": {"throttleStatus": status}}}).encode()


# (usage, headers, body, what is read: (scope, share used, seconds))
ROWS: list[tuple[Usage, Mapping[str, str], bytes, list[tuple[str, float, float]]]] = [
    (graph.usage, {"x-app-usage": '{"call_count":28,"total_time":25,"total_cputime":31}'}, b"",
     [("app", 0.31, TOLD_S)]),
    (graph.usage, {"x-business-use-case-usage": buc()}, b"", [("credential", 0.95, TOLD_S)]),
    (graph.usage, {"x-business-use-case-usage": buc(estimated_time_to_regain_access=19)}, b"",
     [("credential", 1, 1140)]),
    (graph.usage, {"x-app-usage": '{"call_count":"x"}', "x-business-use-case-usage": "[]"}, b"", []),
    (graph.usage, {"x-app-usage": '{"call_count": 1e999}', "x-business-use-case-usage": "{{{"}, b"", []),
    (
        rapidapi.usage,
        {
            "x-ratelimit-requests-limit": "500", "x-ratelimit-requests-remaining": "450",
            "x-ratelimit-requests-reset": "86000", "x-ratelimit-own-plan-limit": "100",
            "x-ratelimit-own-plan-remaining": "10", "x-ratelimit-own-plan-reset": "60",
        },
        b"",
        [("credential", 0.9, 60)],
    ),
    (rapidapi.usage, {"x-ratelimit-a-limit": "5", "x-ratelimit-a-remaining": "-1", "x-ratelimit-a-reset": "9"}, b"",
     [("credential", 1, 9)]),
    (rapidapi.usage, {"x-ratelimit-a-limit": "", "x-ratelimit-a-remaining": "?"}, b"", []),
    (shopify.usage, {"x-shopify-shop-api-call-limit": "32/40"}, b"", [("credential", 0.8, 16)]),
    (shopify.usage, {"x-shopify-shop-api-call-limit": "40"}, b"", []),
    (shopify.usage, {}, throttled(50), [("credential", 0.95, 19)]),
    (shopify.usage, {}, throttled(50, rate=0), [("credential", 0.95, TOLD_S)]),
    (shopify.usage, {}, b'"throttleStatus": {"maximumAvailable": "x"}', []),
    (
        chat.usage,
        {
            "x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "59",
            "x-ratelimit-reset-requests": "1s", "x-ratelimit-limit-tokens": "1000",
            "x-ratelimit-remaining-tokens": "100", "x-ratelimit-reset-tokens": "12ms",
        },
        b"",
        [("credential", 0.9, 0.012)],
    ),
    (chat.usage, {"x-ratelimit-limit-requests": "-1", "x-ratelimit-remaining-requests": "-1"}, b"", []),
]  # fmt: skip


@pytest.mark.parametrize(("usage", "headers", "body", "read"), ROWS)
def test_what_an_answer_tells(
    usage: Usage, headers: Mapping[str, str], body: bytes, read: list[tuple[str, float, float]]
) -> None:
    found = usage(Answer(200, headers, body, 0.1))
    assert [(each.scope, each.share_used, each.for_s) for each in found] == [
        (scope, pytest.approx(share), pytest.approx(for_s)) for scope, share, for_s in read
    ]
    assert all(each.why for each in found)


@pytest.mark.parametrize(
    ("text", "told"),
    [("12ms", 0.012), ("1s", 1), ("6m0s", 360), ("1h30m", 5400), ("19", 19), ("0", 0), ("-1", None), ("soon", None)],
)
def test_times_as_they_are_told(text: str, told: float | None) -> None:
    assert seconds(text) == (None if told is None else pytest.approx(told))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*CASE, "x"]), inner, max_size=4),
)


@given(st.text(max_size=40) | JSON.map(json.dumps), st.binary(max_size=60))
def test_nothing_that_an_answer_tells_raises(text: str, body: bytes) -> None:
    names = {name for _, headers, _, _ in ROWS for name in headers}
    answer = Answer(200, dict.fromkeys(names, text), body + b'"throttleStatus": ' + text.encode(errors="replace"), 0.1)
    for usage in (graph.usage, rapidapi.usage, shopify.usage, chat.usage):
        for reading in usage(answer):
            assert 0 <= allowed(reading.share_used) <= 1


@pytest.mark.parametrize(("used", "share"), [(0, 1), (0.75, 1), (0.8, 0.8), (0.9, 0.4), (0.999, 0.05), (1, 0), (7, 0)])
def test_near_the_ceiling_less_and_less_is_allowed(used: float, share: float) -> None:
    assert allowed(used) == pytest.approx(share)


class Bench:
    """A source whose answers tell what `told` says of its app and of its credentials, with two of those."""

    def __init__(self) -> None:
        self.told: list[Reading] = []
        self.credentials = FakeCredentials(VirtualClock(seed=1))
        rules = {"src": [Rule(Limit(10, 1.0)), Rule(None, "app"), Rule(None, "credential")]}
        self.limiter = InProcessLimiter({"src": Limit(10, 1.0)})
        self.fetcher = FakeFetcher(lambda _: Reply(200, b"{}"))
        clock = VirtualClock(seed=1)
        self.outside = Outside(self.fetcher, self.limiter, self.credentials, clock, Metrics(), {}, rules=rules)

    async def ready(self) -> "Bench":
        for name, app in (("a", "one"), ("b", "two")):
            await self.credentials.put("src", name, {"token": name}, Facts(app=app))
        return self

    async def ask(self, wait_s_max: float = 0.0) -> None:
        def build(credential: Credential) -> Request:
            return Request("src", "GET", "http://x", {"token": credential.secret["token"]})

        api = SourceApi("src", lambda answer, _: decode(answer, "src"), lambda _: self.told)
        await self.outside.ask(api, Question("q", build), Visit(wait_s_max=wait_s_max))

    def asked(self) -> list[str]:
        return [request.params["token"] for request in self.fetcher.requests]


@pytest.mark.parametrize("scope", ["app", "credential"])
async def test_a_closed_scope_leaves_the_others_alone_and_opens_by_itself(
    autojump_clock: trio.testing.MockClock, scope: str
) -> None:
    bench = await Bench().ready()
    bench.told = [Reading(scope, 1.0, 600.0, "full")]  # type: ignore[arg-type]
    await bench.ask()
    bench.told = []
    for _ in range(9):
        await bench.ask()
    assert len(set(bench.asked()[1:])) == 1 and bench.asked()[1] != bench.asked()[0], "the other one, at full rate"
    with pytest.raises(LimitRefused, match="src: "):
        await bench.ask()
    await trio.sleep(600.0)
    for _ in range(10):
        await bench.ask()
    assert set(bench.asked()[10:]) == {"a", "b"}


async def test_where_all_are_full_the_first_whose_turn_comes_is_waited_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = await Bench().ready()
    for for_s in (3.0, 5.0):
        bench.told = [Reading("credential", 1.0, for_s, "full")]
        await bench.ask()
    with pytest.raises(LimitRefused, match=r"of which 0% is allowed \(full\)") as caught:
        await bench.ask()
    assert caught.value.retry_after_s == pytest.approx(3.0)
    await bench.ask(wait_s_max=4.0)
    assert trio.current_time() == pytest.approx(3.0)
    assert bench.asked()[2] == bench.asked()[0]


async def test_the_rate_falls_near_the_ceiling_and_comes_back(autojump_clock: trio.testing.MockClock) -> None:
    bench = await Bench().ready()
    bench.told = [Reading("source", 0.9, 60.0, "near")]  # 40 % of 10 a second
    times = []
    for _ in range(20):
        await bench.ask(wait_s_max=10)
        times.append(trio.current_time())
    assert max(sum(at <= each < at + 1 for each in times) for at in times[1:]) == 4
    bench.told = []
    await trio.sleep(61)
    for _ in range(10):
        await bench.ask()
