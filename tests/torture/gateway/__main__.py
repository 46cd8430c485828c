"""`python -m tests.torture.gateway --minutes N [--seed S]`: two gateways under load, and kill -9 of what they need.

Without --minutes one round: each of PostgreSQL, Redis and a gateway is killed alone, and some of them at once. Prints a
line a kill; the last line is JSON. Exit 1 when anything is not well, with the command that does it again.
"""

import argparse
import json
import random
import sys
from dataclasses import asdict
from functools import partial

import trio

from tests.services.child import Missing
from tests.torture.gateway.run import torture
from tests.torture.interrupted import unless_interrupted


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture.gateway", description=__doc__)
    parser.add_argument("--minutes", type=float, default=0.0, help="of kills; the end comes on top")
    parser.add_argument("--seed", type=int, help="of the kills, their order and moments")
    arguments = parser.parse_args()
    seed = random.SystemRandom().randrange(2**31) if arguments.seed is None else arguments.seed
    try:
        report = trio.run(unless_interrupted, partial(torture, arguments.minutes * 60, seed))
    except* Missing as missing:
        parser.error(str(missing.exceptions[0]))
    if report is None:
        print("interrupted; nothing is left behind")
        return 130
    if report.failures:
        print(f"again: python -m tests.torture.gateway --minutes {arguments.minutes:g} --seed {seed}")
    print(json.dumps(asdict(report) | {"kills": report.kills}))
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
