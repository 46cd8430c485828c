"""`python -m tests.simulation --seed N --hours H [--seeds COUNT] [--jobs J] [--trace] [--json]`: runs and replays.

Runs seeds N .. N+COUNT-1 on all cores; a failing one prints the line that replays it. Exit 1 if any failed.
"""

import argparse
import json
import random
import sys
import time

from tests.simulation.planted import BUGS
from tests.simulation.runs import SEED_LIMIT_S, Order, report, simulate_all


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="the first seed; without it, one by chance")
    parser.add_argument("--seeds", type=int, default=1, help="how many, counting up from --seed")
    parser.add_argument("--hours", type=float, default=1.0, help="virtual hours of faults")
    parser.add_argument("--jobs", type=int, default=300, help="jobs within that time")
    parser.add_argument("--burst", type=int, default=0, help="now and then so many of them at once")
    parser.add_argument("--concurrency", type=int, default=0, help="jobs at once, of each flow")
    parser.add_argument("--plant", default="", choices=BUGS, metavar="BUG", help="run with a bug of planted.py")
    parser.add_argument(
        "--seed-limit", type=float, default=SEED_LIMIT_S, help="processor seconds that one seed may take"
    )
    parser.add_argument("--trace", action="store_true", help="print every step")
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    given = parser.parse_args(argv)
    first = random.SystemRandom().randrange(10**6, 10**9) if given.seed is None else given.seed
    orders = [
        Order(seed, given.hours, given.jobs, given.burst, given.concurrency, given.trace, given.plant, given.seed_limit)
        for seed in range(first, first + given.seeds)
    ]
    began = time.perf_counter()
    results = []
    for result in simulate_all(orders):
        results.append(result)
        if given.trace and result.trace is not None:
            print("\n".join(result.trace))
        if result.complaints:
            print(f"FAILED  {result.order.command()}", *result.complaints, sep="\n    ", flush=True)
    summary = report(results, time.perf_counter() - began)
    if given.json:
        print(json.dumps(summary))
    else:
        rate = summary["virtual_hours"] / summary["wall_s"] if summary["wall_s"] else 0.0
        print(
            f"{summary['seeds']} seeds from {first}, {summary['virtual_hours']} virtual hours in"
            f" {summary['wall_s']} s ({rate:.2f} per second), {summary['jobs']} jobs,"
            f" {summary['peak_in_flight']} at once, {summary['events_stored']} events stored,"
            f" {len(summary['failures'])} failed"
        )
    return 1 if summary["failures"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
