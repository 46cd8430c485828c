"""The last fifteen minutes in numbers: one point a second, taken from the process's own metrics.

In: counters that only grow. Out: rates and means over the last WINDOW_S seconds, so that a batch every
few seconds reads as a rate and not as a comb. Where nothing can be said the value is None, and a second
in which nobody looked (the process was stopped, the loop was held up) is a gap, not a line across it.
"""

from collections import deque
from dataclasses import dataclass

from prometheus_client import Counter, Histogram

from gcc.metrics import Metrics

WINDOW_S = 10
KEPT_S = 15 * 60
GAP_S = 2.5  # points further apart than this have a gap between them

Point = tuple[int, float | None]  # unix seconds, value


@dataclass(frozen=True, slots=True)
class _Reading:
    at_s: float  # monotonic
    events: float
    flushes: float
    flush_s: float


class Series:
    """`events_per_s` and `flush_ms`: means over the last ten seconds, one point for each `sample()`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._readings: deque[_Reading] = deque(maxlen=WINDOW_S + 1)
        self.events_per_s: deque[Point] = deque(maxlen=KEPT_S)
        self.flush_ms: deque[Point] = deque(maxlen=KEPT_S)

    def sample(self, now_s: float, unix_s: float) -> None:
        """Add a point. `now_s` is monotonic, `unix_s` the time of day; called once a second."""
        if self._readings and now_s - self._readings[-1].at_s > GAP_S:
            self._readings.clear()
            self._add(int(unix_s) - 1, None, None)
        reading = _Reading(
            now_s,
            _sum(self._metrics.stored_events, "_total"),
            _sum(self._metrics.flush_seconds, "_count"),
            _sum(self._metrics.flush_seconds, "_sum"),
        )
        self._readings.append(reading)
        oldest = self._readings[0]
        passed_s = now_s - oldest.at_s
        flushes = reading.flushes - oldest.flushes
        self._add(
            int(unix_s),
            round((reading.events - oldest.events) / passed_s, 1) if passed_s > 0 else None,
            round(1000 * (reading.flush_s - oldest.flush_s) / flushes, 1) if flushes else None,
        )

    @property
    def events_per_s_now(self) -> float | None:
        """The last point; None before two readings."""
        return self.events_per_s[-1][1] if self.events_per_s else None

    def _add(self, unix_s: int, events_per_s: float | None, flush_ms: float | None) -> None:
        self.events_per_s.append((unix_s, events_per_s))
        self.flush_ms.append((unix_s, flush_ms))


def _sum(metric: Counter | Histogram, suffix: str) -> float:
    """Over all labels."""
    return sum(sample.value for family in metric.collect() for sample in family.samples if sample.name.endswith(suffix))
