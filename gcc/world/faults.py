"""Faults on demand: a share of the answers of a source goes wrong for a while. Pure; time is an argument.

Draws come from the world's seed, one stream a source, so the same calls in the same order fail alike.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from gcc.errors import Permanent

Kind = Literal["429", "500", "timeout", "garbage", "token"]
HOLD_S = 60.0
"""How long a `timeout` keeps a request waiting before it ends in 504."""


@dataclass(frozen=True)
class Fault:
    kind: Kind
    rate: float  # the share of answers that go wrong; of a token fault, the share of tokens that are dead
    until_s: float


class Faults:
    """The faults of one source."""

    def __init__(self, source: str, seed: int, tokens: Sequence[str]) -> None:
        self.source = source
        self.rng = random.Random(f"{seed}:faults:{source}")
        self._tokens = tokens
        self._active: list[Fault] = []

    def add(self, kind: Kind, rate: float, seconds: float, now_s: float) -> Fault:
        """In force at once, beside those that are; one of the same kind is replaced."""
        self._active = [fault for fault in self._active if fault.kind != kind]
        fault = Fault(kind, rate, now_s + seconds)
        self._active.append(fault)
        return fault

    def dead_tokens(self, now_s: float) -> Sequence[str]:
        """The tokens that a `token` fault has killed: the first ones, as many as its rate says."""
        self._forget(now_s)
        rate = max((fault.rate for fault in self._active if fault.kind == "token"), default=0.0)
        return self._tokens[: math.ceil(rate * len(self._tokens))]

    def strike(self, now_s: float) -> Kind | None:
        """What goes wrong with this answer, if anything does."""
        self._forget(now_s)
        struck = (fault.kind for fault in self._active if fault.kind != "token" and self.rng.random() < fault.rate)
        return next(struck, None)

    def _forget(self, now_s: float) -> None:
        if any(fault.until_s <= now_s for fault in self._active):
            self._active = [fault for fault in self._active if fault.until_s > now_s]


def read(wish: Any, sources: Sequence[str]) -> tuple[str, Kind, float, float]:
    """(source, kind, rate, seconds) of a decoded POST /faults body. Raises Permanent naming the field."""
    if not isinstance(wish, dict):
        raise Permanent('the body must be an object: {"source", "kind", "rate", "seconds"}')
    unknown = sorted(set(wish) - {"source", "kind", "rate", "seconds"})
    if unknown:
        raise Permanent(f"unknown field {unknown[0]!r}; known are source, kind, rate, seconds")
    source = _one_of(wish, "source", sources)
    kind: Kind = _one_of(wish, "kind", get_args(Kind))
    return source, kind, _number(wish, "rate", 1.0, 1.0), _number(wish, "seconds", 60.0, 86_400.0)


def _one_of(wish: dict[str, Any], field: str, known: Sequence[str]) -> Any:
    if wish.get(field) not in known:
        raise Permanent(f"{field} {wish.get(field)!r} is none of {', '.join(known)}")
    return wish[field]


def _number(wish: dict[str, Any], field: str, default: float, largest: float) -> float:
    value = wish.get(field, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= largest:
        raise Permanent(f"{field} must be a number from 0 to {largest:g}, got {value!r}")
    return float(value)
