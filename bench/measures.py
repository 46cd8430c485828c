"""How well scores tell fakes: precision, recall, F1, average precision, and 95 % intervals by drawing rows anew."""

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
DRAWS = 1000


def precision(labels: Array, called: Array) -> float:
    """Of what was called fake; 0 where nothing was."""
    return float(labels[called].mean()) if called.any() else 0.0


def recall(labels: Array, called: Array) -> float:
    return float(called[labels > 0].mean())


def f1(labels: Array, called: Array) -> float:
    hit = float((labels * called).sum())
    return 2 * hit / float(labels.sum() + called.sum()) if hit else 0.0


def average_precision(labels: Array, scores: Array) -> float:
    """The area under precision and recall; rows of one score are taken together, so their order is no luck."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(labels[order])[ends]
    return float(np.sum(np.diff(hits, prepend=0.0) * hits / (ends + 1)) / labels.sum())


def interval(measure: Callable[[Array, Array], float], labels: Array, scores: Array) -> tuple[float, float]:
    """Between what bounds 95 of 100 draws of the same size lie; draws without a fake are left out."""
    chance = np.random.default_rng(95)
    drawn = (chance.integers(0, len(labels), len(labels)) for _ in range(DRAWS))
    found = [measure(labels[rows], scores[rows]) for rows in drawn if labels[rows].any()]
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)
