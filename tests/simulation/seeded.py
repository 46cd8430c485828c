"""Runs a Trio program whose scheduling, time and chance all come from one seed.

The only place that touches Trio's private scheduler (trio#2022): its version is pinned, and the canary in
test_seeds.py (same seed, same trace) fails first when that breaks. No thread and no socket exists in here:
the virtual clock would leap over them.
"""

import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
import trio
import trio.testing
from trio._core import _run  # type: ignore[attr-defined]

T = TypeVar("T")


def run(program: Callable[[random.Random], Awaitable[T]], seed: int) -> T:
    """The program's result. It gets a generator of the seed's; Trio's scheduler gets another."""
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True
    logging_before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    before = _run._r.getstate()
    _run._r.seed(seed)
    try:
        clock = trio.testing.MockClock(autojump_threshold=0)
        return trio.run(program, random.Random(f"world {seed}"), clock=clock)
    finally:
        _run._r.setstate(before)
        structlog.configure(**logging_before)
