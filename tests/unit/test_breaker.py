"""The breaker as tables: what happened when, and its state at each moment."""

import random

import pytest

from gcc.supervisor.backoff import Backoff
from gcc.supervisor.breaker import Breaker


class NoChance(random.Random):
    """Delays are not shortened."""

    def random(self) -> float:
        return 0.0


def breaker(failures_max: int = 3) -> Breaker:
    return Breaker(failures_max, Backoff(1.0, 4.0))


@pytest.mark.parametrize(
    "steps",
    [
        # (time, what happens or None, the state after it)
        [(0, None, "closed"), (0, "failed", "closed"), (5, "failed", "closed"), (9, "failed", "open")],
        [(0, "failed", "closed"), (1, "failed", "closed"), (2, "succeeded", "closed"), (3, "failed", "closed")],
        [(0, "trip", "open"), (0.999, None, "open"), (1, None, "half-open"), (500, None, "half-open")],
        [(0, "trip", "open"), (1, "succeeded", "closed"), (1, "failed", "closed"), (1, "failed", "closed")],
        # one failure of a half-open one is enough, and each opening in a row lasts longer, up to the ceiling
        [(0, "trip", "open"), (1, "failed", "open"), (2.9, None, "open"), (3, "failed", "open"), (6.9, None, "open"),
         (7, "failed", "open"), (10.9, None, "open"), (11, None, "half-open")],
        # calls that had begun before it opened change nothing, but one that was answered closes it
        [(0, "trip", "open"), *[(0.5, "failed", "open")] * 4, (1, None, "half-open")],
        [(0, "trip", "open"), (0.5, "succeeded", "closed")],
        # success forgets how often it was opened
        [(0, "trip", "open"), (1, "failed", "open"), (3, "succeeded", "closed"), (3, "trip", "open"),
         (4, None, "half-open")],
    ],
)  # fmt: skip
def test_states(steps: list[tuple[float, str | None, str]]) -> None:
    judged = breaker()
    for now, event, state in steps:
        match event:
            case "failed":
                judged.failed(now, NoChance())
            case "trip":
                judged.open(now, NoChance())
            case "succeeded":
                judged.succeeded()
        assert judged.state(now) == state, f"at {now} after {event}"


def test_when_it_lets_something_through_again() -> None:
    judged = breaker(failures_max=1)
    assert judged.retry_at is None
    judged.failed(10.0, NoChance())
    assert judged.retry_at == 11.0
    judged.succeeded()
    assert judged.retry_at is None


@pytest.mark.parametrize(("at_least_s", "opened_for_s"), [(0.0, 1.0), (0.5, 1.0), (120.0, 120.0)])
def test_it_stays_open_as_long_as_the_other_side_wants(at_least_s: float, opened_for_s: float) -> None:
    judged = breaker(failures_max=2)
    judged.failed(0.0, NoChance(), 500.0)
    assert judged.retry_at is None
    judged.failed(10.0, NoChance(), at_least_s)
    assert judged.retry_at == 10.0 + opened_for_s
    judged.failed(judged.retry_at, NoChance(), 300.0)
    assert judged.retry_at == 10.0 + opened_for_s + 300.0


def test_it_never_gives_up() -> None:
    judged, rng, now = breaker(), random.Random(1), 0.0
    for _ in range(10_000):
        judged.failed(now, rng)
        now = judged.retry_at or now
    assert judged.state(now) == "half-open"
    assert judged.state(now - 0.001) == "open"


def test_it_opens_after_one_failure_at_the_earliest() -> None:
    with pytest.raises(ValueError, match="not 0"):
        breaker(failures_max=0)
