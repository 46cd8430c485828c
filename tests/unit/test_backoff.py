"""The delays grow, stop at the ceiling, and are shortened by at most half."""

import random

import pytest

from gcc.supervisor.backoff import Backoff


class Chance(random.Random):
    """Always draws the same number."""

    def __init__(self, value: float) -> None:
        super().__init__(0)
        self.value = value

    def random(self) -> float:
        return self.value


@pytest.mark.parametrize(
    ("failures", "full_s"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 5.0), (6, 5.0), (100_000, 5.0)]
)
def test_full_delays_double_up_to_the_ceiling(failures, full_s):
    assert Backoff(0.5, 5.0).delay_s(failures, Chance(0.0)) == full_s


def test_another_factor():
    assert [Backoff(1, 1000, factor=10).delay_s(n, Chance(0.0)) for n in (1, 2, 3, 4, 5)] == [1, 10, 100, 1000, 1000]


def test_jitter_shortens_by_up_to_half():
    backoff = Backoff(1.0, 60.0)
    assert backoff.delay_s(3, Chance(0.5)) == pytest.approx(3.0)
    rng = random.Random(1)
    delays = [backoff.delay_s(3, rng) for _ in range(1000)]
    assert min(delays) >= 2.0
    assert max(delays) <= 4.0
    assert max(delays) - min(delays) > 1.9  # the whole range is used


def test_the_same_seed_gives_the_same_delays():
    assert Backoff(1, 9).delay_s(2, random.Random(5)) == Backoff(1, 9).delay_s(2, random.Random(5))


@pytest.mark.parametrize("arguments", [(-1.0, 5.0), (6.0, 5.0), (1.0, 5.0, 0.5)])
def test_impossible_settings_are_refused(arguments):
    with pytest.raises(ValueError, match="first_s"):
        Backoff(*arguments)


def test_failures_count_from_one():
    with pytest.raises(ValueError, match="not 0"):
        Backoff(1, 2).delay_s(0, Chance(0.0))
