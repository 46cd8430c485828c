"""A machine that gives no threads for a while."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from trio._core._thread_cache import ThreadCache


@contextmanager
def refused(times: float) -> Iterator[None]:
    """Within, so many starts of threads fail as Python has it; those that follow are served."""
    starts, start = itertools.count(), ThreadCache.start_thread_soon

    def refuse(*words: Any) -> None:
        if next(starts) < times:
            raise RuntimeError("can't start new thread")
        start(*words)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ThreadCache, "start_thread_soon", refuse)
        yield
