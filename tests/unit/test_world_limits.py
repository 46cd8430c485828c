"""The world's limits and faults, which are pure: time is an argument."""

import datetime as dt
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcc.clock import VirtualClock
from gcc.errors import Permanent
from gcc.world.answer import Answer, Query, answer
from gcc.world.api import Api, Headers
from gcc.world.door import Door
from gcc.world.faults import HOLD_S, Fault, Faults, read
from gcc.world.limits import Bucket, Quota, Rule, Used, Window

TOKENS = ("t1", "t2", "t3", "t4", "t5")


def test_a_bucket_allows_a_burst_and_then_its_rate() -> None:
    bucket = Bucket(10.0)
    assert [bucket.take(0.0) for _ in range(5)] == [0.0] * 5
    assert bucket.take(0.0) == pytest.approx(0.1)
    granted = sum(bucket.take(millis / 1000) == 0.0 for millis in range(0, 10_000, 7))
    assert 99 <= granted <= 101


def test_a_refusal_takes_nothing() -> None:
    bucket = Bucket(2.0)
    assert bucket.take(0.0) == 0.0
    assert [bucket.take(0.1) > 0 for _ in range(50)] == [True] * 50
    assert bucket.take(0.5) == 0.0


def test_a_slow_bucket_still_holds_one_call() -> None:
    bucket = Bucket(0.1)
    assert bucket.take(0.0) == 0.0
    assert bucket.take(1.0) == pytest.approx(9.0)


def test_a_quota_is_per_key_and_comes_back_at_midnight_in_california() -> None:
    quota = Quota(2)
    evening = dt.datetime(2026, 7, 2, 6, 30, tzinfo=dt.UTC)  # 23:30 of July 1st in California
    assert [quota.take("a", evening) for _ in range(3)] == [True, True, False]
    assert quota.take("b", evening)
    assert not quota.take("a", evening + dt.timedelta(minutes=29))
    assert quota.take("a", evening + dt.timedelta(minutes=30))


class Tokens(Api):
    """An API of nothing but tokens: two of app "a", three of app "b"."""

    source = "ytapi"
    tokens = TOKENS

    def token(self, query: Query, headers: Headers) -> str | None:
        return query.get("key")

    def answer(self, method: str, path: str, query: Query, headers: Headers, body: bytes) -> Answer:
        return answer(200, {"items": [{"data": [1]}], "path": path})

    def refuse_token(self, token: str | None, *, expired: bool = False) -> Answer:
        return answer(401, "expired" if expired else "revoked")

    def refuse_rate(self, retry_after_s: int, *, of_user: bool) -> Answer:
        return answer(429, "user" if of_user else "app", retry_after_s)

    def fail(self, status: int) -> Answer:
        return answer(status, "failed")

    def app(self, token: str) -> str:
        return "a" if token in TOKENS[:2] else "b"

    def cost(self, method: str, path: str, query: Query, body: bytes) -> tuple[str, int]:
        return path.strip("/"), int(query.get("units", "1"))

    def error(self, code: str, subcode: str | None) -> Answer | None:
        return answer(400, [code, subcode], 5) if code == "17" else None

    def usage(self, used: Used) -> list[tuple[str, str]]:
        return [("x-used", f"{used.units}/{used.rule.calls}")]


def a_door() -> Door:
    return Door(Tokens(), VirtualClock(1), seed=1, calls_per_s=1e6, quota_times=1.0)


def ask(door: Door, now_s: float, token: str = "t1", bucket: str = "", units: int = 1) -> Answer:
    """A call through the door, as the server leads it."""
    call = door.read("GET", "/" + bucket, {"key": token, "units": str(units)}, {}, b"")
    refusal = door.admit(call, now_s)
    return refusal or door.answer(call, door.strike(call, now_s), now_s)


def said(found: Answer) -> Any:
    return json.loads(found.body)


def rule(**more: Any) -> Rule:
    return Rule(source="ytapi", **({"calls": 3, "per_s": 10.0} | more))


def a_fault(kind: str, **more: Any) -> Fault:
    return Fault(source="ytapi", kind=kind, **more)


@pytest.mark.parametrize(
    ("at_s", "peak"),
    [
        ([0.0, 10.0, 20.0], 1),  # a window holds its end, not its beginning
        ([0.0, 9.99, 10.0], 2),
        ([0.0, 1.0, 9.0, 10.0, 10.5], 4),  # 1.0, 9.0, 10.0, 10.5: no fixed second holds them
        ([5.0] * 7, 7),
    ],
)
def test_a_peak_is_the_most_that_any_window_held(at_s: list[float], peak: int) -> None:
    window = Window(rule())
    for now_s in at_s:
        window.take(now_s, 1)
    assert (window.peak, window.total) == (peak, len(at_s))


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60), st.floats(0.5, 30))
def test_a_peak_is_what_counting_every_window_finds(at_s: list[float], per_s: float) -> None:
    at_s = sorted(at_s)
    window = Window(rule(per_s=per_s))
    for now_s in at_s:
        window.take(now_s, 1)
    assert window.peak == max(sum(end - per_s < each <= end for each in at_s) for end in at_s)


def test_a_window_remembers_no_more_than_four_times_its_limit() -> None:
    window = Window(rule(calls=5))
    for number in range(10_000):
        window.take(number * 1e-6, 1)
    assert 4 * 5 <= window.peak <= 4 * 5 + 100
    assert window.total == 10_000


def test_the_door_measures_by_source_token_app_and_bucket() -> None:
    door = a_door()
    for declared in (rule(), rule(each="token"), rule(each="app"), rule(bucket="search", per_s=5.0)):
        door.declare(declared, 0.0)
    for now_s, token, bucket in ((1.0, "t1", ""), (2.0, "t2", "search"), (3.0, "t5", ""), (12.0, "t5", "search")):
        ask(door, now_s, token, bucket)
    ask(door, 12.0, "stolen")  # counts to the source alone
    peaks = {(row["each"], row["key"], row["bucket"]): row["peak"] for row in door.limits(13.0)}
    assert peaks == {
        ("source", "", ""): 3, ("token", "t1", ""): 1, ("token", "t2", ""): 1, ("token", "t5", ""): 2,
        ("app", "a", ""): 2, ("app", "b", ""): 2, ("source", "", "search"): 1,
    }  # fmt: skip


def test_units_weigh_and_a_limit_declared_anew_begins_anew() -> None:
    door = a_door()
    door.declare(rule(), 0.0)
    ask(door, 1.0, units=2)
    ask(door, 2.0, units=5)
    (row,) = door.limits(4.0)
    assert (row["peak"], row["total"], row["allowed_per_s"]) == (7, 7, 0.3)
    assert row["achieved_per_s"] == pytest.approx(7 / 4)
    door.declare(rule(calls=9), 4.0)
    (row,) = door.limits(5.0)
    assert (row["calls"], row["peak"], row["achieved_per_s"]) == (9, 0, 0.0)


def test_the_achieved_rate_leaves_storms_out_with_the_waits_they_asked_for() -> None:
    door = a_door()
    door.declare(rule(), 0.0)
    for now_s in range(10):
        ask(door, float(now_s))
    door.add_fault(a_fault("error", code=17, seconds=5.0), 10.0)
    ask(door, 14.0)  # Retry-After 5: the storm lasts until 19
    assert {row["achieved_per_s"] for row in door.limits(14.0)} == {1.0}
    ask(door, 18.0)
    ask(door, 20.0)
    (row,) = door.limits(21.0)
    assert (row["calm_s"], row["achieved_per_s"], row["total"]) == (12.0, pytest.approx(11 / 12), 13)


def test_a_storm_ends_when_its_fault_is_taken_back() -> None:
    door = a_door()
    door.declare(rule(), 0.0)
    door.add_fault(a_fault("500", seconds=100.0), 10.0)
    door.add_fault(a_fault("500", rate=0.0, seconds=0.0), 14.0)
    assert [row["calm_s"] for row in door.limits(20.0)] == [16.0]


def test_an_enforced_limit_refuses_and_tells_how_long() -> None:
    door = a_door()
    door.declare(rule(each="token", enforced=True), 0.0)
    answers = [ask(door, now_s) for now_s in (0.0, 1.0, 2.0, 3.0)]
    assert [found.status for found in answers] == [200, 200, 200, 429]
    assert (said(answers[3]), answers[3].retry_after_s) == ("user", 7)
    assert ask(door, 3.0, "t2").status == 200
    assert ask(door, 14.0).status == 200


def test_usage_headers_tell_the_fullest_limit_and_a_fault_overstates_it() -> None:
    door = a_door()
    assert ask(door, 0.0).headers == ()
    door.declare(rule(), 0.0)
    door.declare(rule(each="app", calls=2), 0.0)
    assert ask(door, 1.0).headers == (("x-used", "1/2"),)
    ask(door, 1.0, "t5")
    assert ask(door, 1.0, "t5").headers == (("x-used", "3/3"),)
    door.add_fault(a_fault("usage", share=0.5), 20.0)
    assert ask(door, 20.0).headers == (("x-used", "1/2"),)
    other = a_door()
    other.add_fault(a_fault("usage", share=0.97), 0.0)
    assert ask(other, 0.0).headers == (("x-used", "97/100"),)


def test_faults_strike_at_their_rate_and_end() -> None:
    faults = Faults(Tokens(), 1)
    assert faults.strike("t1", "a", "", 0.0) is None
    faults.add(a_fault("500", rate=0.3, seconds=10.0), 0.0)
    struck = sum(faults.strike("t1", "a", "", 5.0) is not None for _ in range(2000))
    assert 500 < struck < 700
    assert [faults.strike("t1", "a", "", 10.0) for _ in range(50)] == [None] * 50


def test_the_same_seed_strikes_alike() -> None:
    def draws(seed: int) -> list[str | None]:
        faults = Faults(Tokens(), seed)
        faults.add(a_fault("429", rate=0.5), 0.0)
        faults.add(a_fault("garbage", rate=0.2), 0.0)
        struck = [faults.strike("t1", "a", "", 1.0) for _ in range(100)]
        return [fault and fault.kind for fault in struck]

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)
    assert set(draws(1)) == {None, "429", "garbage"}


def test_the_last_fault_of_a_kind_counts() -> None:
    faults = Faults(Tokens(), 1)
    faults.add(a_fault("500"), 0.0)
    faults.add(a_fault("500", rate=0.0), 0.0)
    assert faults.strike("t1", "a", "", 1.0) is None


@pytest.mark.parametrize(("rate", "dead"), [(0.0, 0), (0.2, 1), (0.5, 3), (1.0, 5)])
@pytest.mark.parametrize(("kind", "words"), [("token", "revoked"), ("expire", "expired")])
def test_a_share_of_the_tokens_is_dead_for_a_while(kind: str, words: str, rate: float, dead: int) -> None:
    door = a_door()
    assert door.add_fault(a_fault(kind, rate=rate, seconds=10.0), 0.0) == list(TOKENS[:dead])
    refused = [token for token in TOKENS if ask(door, 9.9, token).status == 401]
    assert refused == list(TOKENS[:dead])
    assert all(said(ask(door, 9.9, token)) == words for token in refused)
    assert {ask(door, 10.0, token).status for token in TOKENS} == {200}


@pytest.mark.parametrize(
    ("more", "hit"),
    [
        ({}, {("t1", ""), ("t1", "search"), ("t3", ""), ("t3", "search")}),
        ({"bucket": "search"}, {("t1", "search"), ("t3", "search")}),
        ({"bucket": ""}, {("t1", ""), ("t3", "")}),
        ({"scope": "token", "rate": 0.2}, {("t1", ""), ("t1", "search")}),
        ({"scope": "app", "rate": 0.5}, {("t1", ""), ("t1", "search")}),
        ({"scope": "app", "rate": 1.0, "bucket": "search"}, {("t1", "search"), ("t3", "search")}),
    ],
)
def test_a_fault_hits_whom_its_scope_and_bucket_name(more: dict[str, Any], hit: set[tuple[str, str]]) -> None:
    door = a_door()
    door.add_fault(a_fault("error", code="17", subcode=3, **more), 0.0)
    found = {(token, bucket): ask(door, 1.0, token, bucket) for token in ("t1", "t3") for bucket in ("", "search")}
    assert {who for who, answered in found.items() if answered.status == 400} == hit
    assert {str(said(answered)) for who, answered in found.items() if who in hit} == {"['17', '3']"}


@pytest.mark.parametrize(("scope", "form"), [("token", "user"), ("app", "app")])
def test_a_429_takes_the_form_of_its_scope(scope: str, form: str) -> None:
    door = a_door()
    door.add_fault(a_fault("429", scope=scope), 0.0)
    assert {said(ask(door, 1.0)) for _ in range(10)} == {form}


def test_an_empty_answer_has_empty_lists_or_none() -> None:
    door = a_door()
    door.add_fault(a_fault("empty"), 0.0)
    forms = [said(ask(door, 1.0, bucket="x")) for _ in range(20)]
    assert {"items": [], "path": "/x"} in forms
    assert {"path": "/x"} in forms
    assert all(form in ({"items": [], "path": "/x"}, {"path": "/x"}) for form in forms)


APIS = {"ytapi": Tokens()}


def test_a_wish_is_read() -> None:
    wish = {"source": "ytapi", "kind": "500", "rate": 0.5, "seconds": 3}
    assert read(json.dumps(wish).encode(), APIS) == a_fault("500", rate=0.5, seconds=3.0)
    assert read(b'{"source": "ytapi", "kind": "429"}', APIS) == a_fault("429", rate=1.0, seconds=60.0)
    assert read(b'{"source": "ytapi", "kind": "slow", "latency_s": 2}', APIS).wait_s == 2.0
    assert read(b'{"source": "ytapi", "kind": "timeout"}', APIS).wait_s == HOLD_S


@pytest.mark.parametrize(
    ("wish", "named"),
    [
        ([], "object"),
        ({"source": "x", "kind": "429"}, "source 'x' is none of ytapi"),
        ({"source": ["ytapi"], "kind": "429"}, "source"),
        ({"source": "ytapi", "kind": 429}, "kind"),
        ({"source": "ytapi", "kind": "flood"}, "kind 'flood' is none of 429, 500"),
        ({"source": "ytapi", "kind": "429", "rate": 1.5}, "rate"),
        ({"source": "ytapi", "kind": "429", "rate": True}, "rate"),
        ({"source": "ytapi", "kind": "429", "seconds": -1}, "seconds"),
        ({"source": "ytapi", "kind": "429", "second": 1}, "second"),
        ({"source": "ytapi", "kind": "429", "scope": "world"}, "scope"),
        ({"source": "ytapi", "kind": "429", "code": 17}, "code and subcode"),
        ({"source": "ytapi", "kind": "error"}, "code None"),
        ({"source": "ytapi", "kind": "error", "code": 18}, "code 18"),
        ({"source": "ytapi", "kind": "slow"}, "latency_s"),
        ({"source": "ytapi", "kind": "500", "latency_s": 1}, "latency_s"),
        ({"source": "ytapi", "kind": "slow", "latency_s": 61}, "latency_s"),
        ({"source": "ytapi", "kind": "expire", "bucket": "search"}, "bucket"),
    ],
)
def test_a_bad_wish_is_refused_by_name(wish: Any, named: str) -> None:
    with pytest.raises((Permanent, msgspec.DecodeError), match=named):
        read(json.dumps(wish).encode(), APIS)
