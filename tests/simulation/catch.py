"""How many seeds it takes to catch each planted bug: `python -m tests.simulation.catch` prints the docs' table."""

import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from tests.simulation.planted import BUGS
from tests.simulation.runs import FRESH, Order, cores, simulate

SEEDS_MAX = 200
MISFIT = "TypeError("
"""What a bug that is planted with an outdated signature is caught by; that proves nothing."""


@dataclass(frozen=True)
class Catch:
    seeds: int  # it took so many, counted from seed 0
    complaint: str


def catch(name: str, likely: int = 0) -> Catch | None:
    """Run seed `likely`, then 0, 1, ... until one complains of the bug; None if none of SEEDS_MAX does."""
    for seed in [likely, *range(SEEDS_MAX)]:
        result = simulate(Order(seed, hours=0.5, jobs=150, plant=name))
        if result.complaints:
            if broken := [complaint for complaint in result.complaints if MISFIT in complaint]:
                raise AssertionError(f"planted bug {name} does not fit the code it is planted in: {broken[0]}")
            return Catch(seed + 1, result.complaints[0])
    return None


def catch_all(likely: Mapping[str, int]) -> Iterator[tuple[str, Catch | None]]:
    """On all cores, in order; `likely` is the seed to begin with, by bug."""
    with ProcessPoolExecutor(cores(), mp_context=FRESH) as processes:
        yield from zip(likely, processes.map(catch, likely, likely.values()), strict=True)


def main(names: list[str]) -> int:
    missed = 0
    print("| bug | what it is | caught by seed no. |\n| --- | --- | --- |")
    for name, found in catch_all(dict.fromkeys(names or BUGS, 0)):
        missed += found is None
        print(f"| `{name}` | {BUGS[name].__doc__} | {found.seeds if found else 'not caught'} |", flush=True)
        print(f"{name}: {found.complaint if found else None}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
