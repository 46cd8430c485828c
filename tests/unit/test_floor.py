"""What the shortest answers of a source tell of when a call arrived: never later than it may have."""

from collections.abc import Callable
from random import Random

import pytest
import trio.testing

from gcc.sources.calls import ANSWERS_MIN, FORGET_S, Floor

Draw = Callable[[Random], float]

SPREADS: dict[str, Draw] = {
    "a way of up to half a second": lambda rng: 0.2 + rng.uniform(0.0, 0.5),
    "a way that is mostly short": lambda rng: 0.2 + rng.expovariate(20.0),
    "three kinds of answers": lambda rng: rng.choice((0.05, 0.2, 0.5)) + rng.uniform(0.0, 0.3),
    "on each side a way": lambda rng: rng.uniform(0.0, 0.3) + rng.uniform(0.0, 0.3),
}


@pytest.mark.parametrize("draw", SPREADS.values(), ids=list(SPREADS))
async def test_hardly_any_answer_is_quicker_than_the_floor(draw: Draw, autojump_clock: trio.testing.MockClock) -> None:
    rng = Random(7)
    quicker, floors = 0, 1000
    for _ in range(floors):
        floor = Floor()
        for _ in range(ANSWERS_MIN):
            floor.took(draw(rng))
        quicker += any(draw(rng) < floor.s for _ in range(ANSWERS_MIN))
    assert quicker <= floors / 40  # below the shortest alone are half


async def test_answers_that_take_the_same_lose_nothing(autojump_clock: trio.testing.MockClock) -> None:
    floor = Floor()
    for _ in range(ANSWERS_MIN - 1):
        floor.took(0.2)
    assert floor.s == 0.0
    floor.took(0.2)
    assert floor.s == pytest.approx(0.2)


async def test_a_source_that_became_slower_or_quicker_is_believed(autojump_clock: trio.testing.MockClock) -> None:
    floor = Floor()
    for answer_s, told_s in ((0.2, 0.2), (0.1, 0.1), (0.4, 0.1), (0.4, 0.4)):
        for _ in range(ANSWERS_MIN):
            floor.took(answer_s)
        assert floor.s == pytest.approx(told_s)
        await trio.sleep(FORGET_S)
