"""Runs of the simulation: what to run, here or on all cores, and what came of it."""

import gc
import itertools
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.simulation.planted import planted
from tests.simulation.platform import Outcome, simulation, virtual_s_max
from tests.simulation.watch import Overrun, Watch

SEED_LIMIT_S = 60.0
"""Of processor time; one or two seconds are usual."""
FRESH = multiprocessing.get_context("spawn")
"""Never forked: who calls may hold an engine that forbids it."""


def cores() -> int:
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Order:
    """What to run of one seed."""

    seed: int
    hours: float = 1.0
    jobs: int = 300
    burst: int = 0
    concurrency: int = 0  # 0: as the mix draws it
    trace: bool = False
    plant: str = ""  # a bug of planted.py
    limit_s: float = SEED_LIMIT_S  # see Watch

    def command(self) -> str:
        """The line that replays it."""
        words = [f"--seed {self.seed}", f"--hours {self.hours:g}", f"--jobs {self.jobs}"]
        words += [f"--burst {self.burst}"] if self.burst else []
        words += [f"--concurrency {self.concurrency}"] if self.concurrency else []
        words += [f"--plant {self.plant}"] if self.plant else []
        return " ".join(["python -m tests.simulation", *words])


@dataclass(frozen=True)
class Result:
    order: Order
    complaints: list[str]
    wall_s: float = 0.0
    virtual_h: float = 0.0
    jobs: Counter[str] = field(default_factory=Counter)
    stored: int = 0
    peak_in_flight: int = 0
    digest: str = ""
    trace: list[str] | None = None


def simulate(order: Order) -> Result:
    """Run one seed here. Whatever it raises is a complaint: no seed may."""
    began = time.perf_counter()
    program = simulation(
        order.hours,
        order.jobs,
        burst=order.burst,
        concurrency=order.concurrency or None,
        tracing=order.trace,
        hasty=bool(order.plant),
    )
    watch = Watch(order.limit_s, virtual_s_max(order.hours))
    try:
        with planted(order.plant), _seldom_collected():
            outcome: Outcome = watch.run(program, order.seed)
    except (Exception, Overrun) as error:
        return Result(order, [watch.why or f"raised {error!r}"], time.perf_counter() - began)
    return Result(
        order,
        outcome.complaints,
        time.perf_counter() - began,
        outcome.virtual_s / 3600,
        outcome.jobs,
        outcome.stored,
        outcome.peak_in_flight,
        outcome.digest,
        outcome.trace,
    )


RUNS_KEPT = 8
_runs = itertools.count(1)


@contextmanager
def _seldom_collected() -> Iterator[None]:
    """A run makes few cycles: to look for them as often as Python does costs it a sixth of its time.

    They are looked for after some runs, else they would all be kept: freezing hides them, too.
    """
    if next(_runs) % RUNS_KEPT == 0:
        gc.collect()
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def simulate_all(orders: list[Order]) -> Iterator[Result]:
    """On all cores, in order."""
    with ProcessPoolExecutor(min(len(orders), cores()), mp_context=FRESH) as processes:
        yield from processes.map(simulate, orders)


def report(results: list[Result], wall_s: float) -> dict[str, Any]:
    failed = [result for result in results if result.complaints]
    return {
        "seeds": len(results),
        "virtual_hours": round(sum(result.virtual_h for result in results), 2),
        "wall_s": round(wall_s, 1),
        "jobs": sum(result.jobs.total() for result in results),
        "events_stored": sum(result.stored for result in results),
        "peak_in_flight": max(result.peak_in_flight for result in results),
        "failures": [
            {"seed": result.order.seed, "command": result.order.command(), "complaints": result.complaints}
            for result in failed
        ],
    }
