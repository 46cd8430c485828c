"""The world's limits and faults, which are pure: time is an argument."""

import datetime as dt
from typing import Any

import pytest

from gcc.errors import Permanent
from gcc.world.faults import Faults, read
from gcc.world.limits import Bucket, Quota

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


def test_faults_strike_at_their_rate_and_end() -> None:
    faults = Faults("graphapi", 1, TOKENS)
    assert faults.strike(0.0) is None
    faults.add("500", 0.3, 10.0, 0.0)
    struck = sum(faults.strike(5.0) == "500" for _ in range(2000))
    assert 500 < struck < 700
    assert [faults.strike(10.0) for _ in range(50)] == [None] * 50


def test_the_same_seed_strikes_alike() -> None:
    def draws(seed: int) -> list[str | None]:
        faults = Faults("ytapi", seed, TOKENS)
        faults.add("429", 0.5, 10.0, 0.0)
        faults.add("garbage", 0.2, 10.0, 0.0)
        return [faults.strike(1.0) for _ in range(100)]

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)
    assert set(draws(1)) == {None, "429", "garbage"}


def test_the_last_fault_of_a_kind_counts() -> None:
    faults = Faults("ytapi", 1, TOKENS)
    faults.add("500", 1.0, 100.0, 0.0)
    faults.add("500", 0.0, 100.0, 0.0)
    assert faults.strike(1.0) is None


@pytest.mark.parametrize(("rate", "dead"), [(0.0, 0), (0.2, 1), (0.5, 3), (1.0, 5)])
def test_a_token_fault_kills_a_share_of_the_tokens_for_a_while(rate: float, dead: int) -> None:
    faults = Faults("graphapi", 1, TOKENS)
    faults.add("token", rate, 10.0, 0.0)
    assert list(faults.dead_tokens(9.9)) == list(TOKENS[:dead])
    assert list(faults.dead_tokens(10.0)) == []
    assert faults.strike(1.0) is None


def test_a_wish_is_read() -> None:
    assert read({"source": "ytapi", "kind": "500", "rate": 0.5, "seconds": 3}, ("graphapi", "ytapi")) == (
        "ytapi", "500", 0.5, 3.0,
    )  # fmt: skip
    assert read({"source": "ytapi", "kind": "429"}, ("ytapi",)) == ("ytapi", "429", 1.0, 60.0)


@pytest.mark.parametrize(
    ("wish", "named"),
    [
        ([], "object"),
        ({"source": "x", "kind": "429"}, "source 'x'"),
        ({"source": ["ytapi"], "kind": "429"}, "source"),
        ({"source": "ytapi", "kind": 429}, "kind 429"),
        ({"source": "ytapi", "kind": "429", "rate": 1.5}, "rate"),
        ({"source": "ytapi", "kind": "429", "rate": True}, "rate"),
        ({"source": "ytapi", "kind": "429", "seconds": -1}, "seconds"),
        ({"source": "ytapi", "kind": "429", "second": 1}, "second"),
    ],
)
def test_a_bad_wish_is_refused_by_name(wish: Any, named: str) -> None:
    with pytest.raises(Permanent, match=named):
        read(wish, ("graphapi", "ytapi"))
