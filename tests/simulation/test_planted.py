"""The checkers are checked: each planted bug is caught, and docs/simulation.md tells how soon."""

import re
from pathlib import Path

from tests.simulation.catch import SEEDS_MAX, catch_all
from tests.simulation.planted import BUGS
from tests.simulation.runs import Order, simulate_all

TABLE = Path(__file__).parents[2] / "docs" / "simulation.md"


def test_the_table_names_every_bug() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", TABLE.read_text(), re.M)) == set(BUGS)


def test_every_planted_bug_is_caught() -> None:
    missed = [name for name, catch in catch_all() if catch is None]
    assert not missed, f"not caught within {SEEDS_MAX} seeds: {missed}"


def test_without_a_bug_the_same_seeds_are_clean() -> None:
    results = list(simulate_all([Order(seed, hours=0.5, jobs=150) for seed in range(4)]))
    assert not [result.complaints for result in results if result.complaints]
