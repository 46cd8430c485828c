"""A task status for who would be told, where `nursery.start` would wait."""

from collections.abc import Callable
from typing import Any


class Told:
    """A task status that hands the value to a callback: who waits gets no value, who starts gets told."""

    def __init__(self, callback: Callable[[Any], None]) -> None:
        self._callback = callback

    def started(self, value: Any = None) -> None:
        self._callback(value)
