"""How long to wait before the next try, as plain values: no Trio, no clock; chance is an argument.

The delay grows with the failures in a row, up to a ceiling. Each is shortened by chance by up to
half, so that what failed together does not come back together.
"""

import random
from dataclasses import dataclass

_GROWTHS_MAX = 64  # the ceiling is reached long before; more would overflow a float


@dataclass(frozen=True, slots=True)
class Backoff:
    """`first_s` after the first failure, `factor` times more after each further one, at most `max_s`."""

    first_s: float
    max_s: float
    factor: float = 2.0

    def __post_init__(self) -> None:
        if not (0 <= self.first_s <= self.max_s and self.factor >= 1):
            raise ValueError(f"a backoff needs 0 <= first_s <= max_s and factor >= 1, not {self}")

    def delay_s(self, failures: int, rng: random.Random) -> float:
        """Seconds to wait after `failures` (>= 1) in a row, between half of the full delay and all of it."""
        if failures < 1:
            raise ValueError(f"failures counts from 1, not {failures}")
        full_s = min(self.max_s, self.first_s * self.factor ** min(failures - 1, _GROWTHS_MAX))
        return full_s * (1.0 - 0.5 * rng.random())
