"""How the benches of the backbone compare: each party in a process of its own, one after the other, round after round.

Parties take turns, so that a machine that slows down slows all of them; the figures are medians over the rounds. A
party is the bench's own module, run again with `--party NAME`; the last line that it prints is its figures.
"""

import json
import os
import statistics
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import trio

from tests.services.child import Missing
from tests.services.rabbitmq import RabbitMQNode

OURS = "ours"
Figures = dict[str, float]
STARTS_S = 60.0
"""How much longer than its measurements a party may take."""


def give_up(why: str) -> NoReturn:
    print(why, file=sys.stderr)
    raise SystemExit(2)


def rounds_for(seconds: float) -> int:
    """A short bound is for a look at it."""
    return 5 if seconds >= 10 else 1


@asynccontextmanager
async def broker() -> AsyncIterator[RabbitMQNode]:
    """A private one for one party: what it left in the queues goes with it. Exits with 2 without its programs."""
    try:
        node = RabbitMQNode()
    except Missing as missing:
        give_up(str(missing))
    try:
        await node.start()
        yield node
    finally:
        node.close()


async def party(module: str, name: str, *arguments: str, within_s: float) -> Figures:
    """The figures of one party, which has `within_s` for its measurements."""
    command = [sys.executable, "-m", module, "--party", name, *arguments]
    with trio.fail_after(within_s + STARTS_S):
        done = await trio.run_process(command, capture_stdout=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def medians(rounds: Sequence[Figures]) -> Figures:
    names = dict.fromkeys(name for figures in rounds for name in figures)
    return {name: statistics.median(figures[name] for figures in rounds if name in figures) for name in names}


def table(columns: Mapping[str, Figures], rows: Iterable[str]) -> str:
    """A line for each figure, a column for each party; what a party has not is '-'."""
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"  # others' work makes all figures smaller
    lines = [f"{load:<34}" + "".join(f"{name:>14}" for name in columns)]
    for row in rows:
        cells = (
            f"{figures[row]:>14,.{_digits(figures[row])}f}" if row in figures else f"{'-':>14}"
            for figures in columns.values()
        )
        lines.append(f"{row:<34}" + "".join(cells))
    return "\n".join(lines)


def _digits(value: float) -> int:
    return 0 if value >= 100 else 2


def rounded(figures: Mapping[str, Any]) -> dict[str, Any]:
    """For JSON: as many digits as mean something."""
    return {
        name: rounded(value) if isinstance(value, Mapping) else round(value, _digits(value) or None)
        for name, value in figures.items()
    }
