"""When a delivery that failed is tried again. Pure."""

import random

RETRIES_S = (5, 60, 5 * 60, 30 * 60, 2 * 3600, 6 * 3600, 12 * 3600, 24 * 3600)
SPREAD = 0.2
"""So much earlier or later, so that what failed together does not come back together."""


def retry_s(failures: int, rng: random.Random) -> float | None:
    """The wait after so many failures, this one counted; None: it was the last."""
    if failures > len(RETRIES_S):
        return None
    return RETRIES_S[failures - 1] * (1 + SPREAD * (2 * rng.random() - 1))
