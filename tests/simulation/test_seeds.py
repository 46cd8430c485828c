"""The simulation on fixed seeds, on fresh ones, and on those that once found a bug."""

import random

import pytest

from tests.simulation.runs import Order, Result, simulate_all

FIXED = 50
FRESH = 10
JOBS = 100  # at most; `make simulate` has up to 300

FOUND = {
    "a restarted pipeline forgot the calls of its last life: the limit was exceeded": 1,
    "a drain cut short a take whose lease was committed: its frames waited for the lease": 19,
    "a retried release emitted its traces again": 13,
    "a job claimed and not begun lost its lease behind slow ones": 6,
    "a lease lost in the middle of a wait left its scraper in backoff": 46,
    "the wall clock jumped, and a rate limited credential rested for a day": 6,
    "a role drained as it started left the process starting for ever": 0,
    "a consumer that waited when the broker went away crashed the sinkers": 17,
    "a drain left frames whose route rested, or whose relay's leader had just drained": 21,
}
"""What it was, and the seed that found it. Each new kind of fault makes another run of it."""


def failures(results: list[Result]) -> str:
    """What to read, and to run, when some failed."""
    failed = [result for result in results if result.complaints]
    return "\n".join("\n    ".join([result.order.command(), *result.complaints[:5]]) for result in failed)


def test_fixed_and_fresh_seeds() -> None:
    fresh = random.SystemRandom().randrange(10**6, 10**9)
    seeds = [*range(FIXED), *range(fresh, fresh + FRESH)]
    results = list(simulate_all([Order(seed, jobs=JOBS) for seed in seeds]))
    assert len(results) == FIXED + FRESH
    assert not failures(results), failures(results)
    idle = [(result.order.command(), result.stored) for result in results[:FIXED] if result.stored <= 50]
    idle += [(result.order.command(), result.stored) for result in results[FIXED:] if not result.stored]
    assert not idle, idle  # a fresh seed may be nearly all faults, a fixed one may have ten jobs: one stores 73
    assert sum(result.stored for result in results[:FIXED]) > 1000 * FIXED
    assert sum(result.jobs["COMPLETE"] for result in results) > 1000


@pytest.fixture(scope="module")
def found() -> dict[str, Result]:
    """All at once: the processes of a pool take longer to start than such a run."""
    orders = [Order(seed, hours=0.5, jobs=150) for seed in FOUND.values()]
    return dict(zip(FOUND, simulate_all(orders), strict=True))


@pytest.mark.parametrize("what", FOUND)
def test_a_seed_that_found_a_bug(found: dict[str, Result], what: str) -> None:
    assert not failures([found[what]]), failures([found[what]])


def test_the_same_seed_gives_the_same_trace_in_fresh_processes() -> None:
    order = Order(3, hours=0.3, jobs=60)
    first, again, other = (next(simulate_all([run])).digest for run in (order, order, Order(4, hours=0.3, jobs=60)))
    assert first == again
    assert first != other
