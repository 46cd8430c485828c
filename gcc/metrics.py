"""What is counted and timed, one Prometheus registry a process: `gcc_<room>_<noun>_<unit>`, and what Prometheus calls
`process_*` everywhere: memory, processor, descriptors.

Labels never hold a handle or a job, and partners only where they must be told something, a bounded number of them.
Built in tree.py and passed down.
"""

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

import gcc

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ANSWER_SECONDS = (0.001, 0.005, 0.025, 0.1, 0.25, 1, 2.5, 10, 30)
_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
_PARTNERS_MAX = 100  # that are told apart
_EVENTS = (1, 10, 100, 500, 1000, 2000, 5000, 10_000, 20_000)


class Metrics:
    def __init__(self) -> None:
        # when each counter began would be a tenth of all series, and nobody's question
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        Gauge("gcc_build_info", "1, by the version that runs", ["version"], registry=registry).labels(
            gcc.__version__
        ).set(1)
        self.relayed_frames = Counter("gcc_relay_frames_total", "Frames moved from outbox to queues", registry=registry)
        self.stored_events = Counter("gcc_sinker_events_total", "Events stored", ["table"], registry=registry)
        self.flush_seconds = Histogram(
            "gcc_sinker_flush_seconds", "Time of one insert", ["table"], buckets=_SECONDS, registry=registry
        )
        self.batch_events = Histogram(
            "gcc_sinker_batch_events", "Events of one batch", ["queue"], buckets=_EVENTS, registry=registry
        )
        self.batch_retries = Counter(
            "gcc_sinker_retries_total", "Tries of a batch after its first", ["queue"], registry=registry
        )
        self.dead_letters = Counter(
            "gcc_sinker_dead_letters_total", "Events dead-lettered", ["queue"], registry=registry
        )
        self.scored = Counter(
            "gcc_scorer_followers_total", "Followers scored, by what came out", ["score"], registry=registry
        )
        self.workers_lost = Counter(
            "gcc_scorer_workers_lost_total", "Workers that were lost over a slice", ["how"], registry=registry
        )
        self.calls = Counter(
            "gcc_sources_calls_total", "Requests to the outside", ["source", "status"], registry=registry
        )
        self.call_seconds = Histogram(
            "gcc_sources_call_seconds", "Time of one request", ["source"], buckets=_SECONDS, registry=registry
        )
        self.jobs = Counter("gcc_scraper_jobs_total", "Jobs ended", ["flow", "state"], registry=registry)
        self.api_jobs = Counter(
            "gcc_api_jobs_ended_total", "Jobs of the API ended here", ["kind", "state"], registry=registry
        )
        self._answers = _Answers()
        registry.register(self._answers)
        self.deprecated_requests = Counter(
            "gcc_web_deprecated_requests_total",
            "Requests to what will end, by route and partner",
            ["route", "partner"],
            registry=registry,
        )
        self._partners: set[int] = set()

    def exposed(self) -> bytes:
        """All of it as Prometheus reads it (prometheus_client.CONTENT_TYPE_LATEST)."""
        return generate_latest(self.registry)

    def deprecated(self, route: str, partner_id: int | None) -> None:
        """Count who still asks what will end: by number, as long as they are few."""
        if partner_id is not None and len(self._partners) < _PARTNERS_MAX:
            self._partners.add(partner_id)
        partner = str(partner_id) if partner_id in self._partners else "other"
        self.deprecated_requests.labels(route, partner).inc()

    def request(self, method: str, route: str, status: int, took_s: float) -> None:
        """Count an answer of the gateway's or the ops port. `route`: the pattern, never the path that was asked for."""
        self._answers.count(method if method in _METHODS else "other", route, status, took_s)


class _Answers(Collector):
    """Of all ports, in plain numbers: one loop answers, and the locks of a Counter and a Histogram would cost more than
    what they count."""

    def __init__(self) -> None:
        self._counted: dict[tuple[str, str, int], int] = {}
        self._timed: dict[str, list[int]] = {}  # by route: how many took so long, by _ANSWER_SECONDS
        self._took_s: dict[str, float] = {}

    def count(self, method: str, route: str, status: int, took_s: float) -> None:
        answer = method, route, status
        self._counted[answer] = self._counted.get(answer, 0) + 1
        timed = self._timed.get(route)
        if timed is None:
            timed = self._timed[route] = [0] * (len(_ANSWER_SECONDS) + 1)
            self._took_s[route] = 0.0
        timed[bisect_left(_ANSWER_SECONDS, took_s)] += 1
        self._took_s[route] += took_s

    def collect(self) -> Iterator[Metric]:
        requests = CounterMetricFamily("gcc_web_requests", "Answered requests", labels=["method", "route", "status"])
        for (method, route, status), number in self._counted.items():
            requests.add_metric([method, route, str(status)], number)
        yield requests
        seconds = HistogramMetricFamily("gcc_web_request_seconds", "Time of one answer", labels=["route"])
        bounds = [*map(str, map(float, _ANSWER_SECONDS)), "+Inf"]
        for route, timed in self._timed.items():
            seconds.add_metric([route], list(zip(bounds, accumulate(timed), strict=True)), self._took_s[route])
        yield seconds
