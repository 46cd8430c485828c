"""`python -m tests.torture --seconds N [--seed S] [--acts NAME ...] [--rabbitmq] [--json]`: the real platform under
load, and what production does to it: kills, stops, signals, a dying database, a failing world, a full disk; with
--rabbitmq on a private broker that is killed, stopped and starved, too.

Prints a line an act; the last line is JSON. Exit 1 when anything is not well, with the command that does it again.
The time is --seconds and the end: what was asked for is done, drained and counted. Without --seconds each of the
acts is done once, in the order given.
"""

import argparse
import json
import math
import random
import shlex
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from functools import partial

import trio

from tests.services.child import Missing
from tests.torture.acts import ACTS, NEED_BROKER
from tests.torture.interrupted import unless_interrupted
from tests.torture.run import Report, broker, torture


async def run(seconds: float, seed: int, names: Sequence[str], rabbitmq: bool) -> Report:
    async with broker() if rabbitmq else nullcontext() as node:
        return await torture(seconds, seed, names, node)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--seconds", type=float, default=math.inf, help="of acts; the end comes on top")
    parser.add_argument("--seed", type=int, help="of the acts, their moments and details")
    parser.add_argument("--acts", nargs="+", choices=list(ACTS), metavar="NAME", help=", ".join(ACTS))
    parser.add_argument(
        "--rabbitmq", action="store_true", help=f"on a private broker, with {', '.join(sorted(NEED_BROKER))}"
    )
    parser.add_argument("--json", action="store_true", help="on stdout nothing but the last line")
    arguments = parser.parse_args()
    names = arguments.acts or [name for name in ACTS if arguments.rabbitmq or name not in NEED_BROKER]
    if not arguments.rabbitmq and (needy := NEED_BROKER.intersection(names)):
        parser.error(f"{', '.join(sorted(needy))}: only with --rabbitmq")
    seed = random.SystemRandom().randrange(2**31) if arguments.seed is None else arguments.seed
    with redirect_stdout(sys.stderr if arguments.json else sys.stdout):
        try:
            report = trio.run(unless_interrupted, partial(run, arguments.seconds, seed, names, arguments.rabbitmq))
        except* Missing as missing:
            parser.error(str(missing.exceptions[0]))
    if report is None:
        print("interrupted; nothing is left behind")
        return 130
    if report.failures:
        again = ["python", "-m", "tests.torture", *sys.argv[1:]]
        if arguments.seed is None:
            again += ["--seed", str(seed)]
        print("again:", shlex.join(again), file=sys.stderr if arguments.json else sys.stdout)
    print(json.dumps(report.as_dict()))
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
