"""The status object as Prometheus reads it: every actor, channel and queue, from the same snapshot as the dashboard.

What is counted where it happens (gcc/metrics.py) stands beside it. What is not known now is left out.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

Kind = type[CounterMetricFamily] | type[GaugeMetricFamily]
_ACTORS: tuple[tuple[str, Kind, str, str], ...] = (
    ("done", CounterMetricFamily, "gcc_actors_done", "Work done: jobs, frames, events"),
    ("failed", CounterMetricFamily, "gcc_actors_errors", "Failures, those it dealt with itself among them"),
    ("bugs", CounterMetricFamily, "gcc_actors_bugs", "Unexpected exceptions that cost one job, message or run each"),
    ("restarts", CounterMetricFamily, "gcc_actors_restarts", "Lives after the first"),
    ("in_flight", GaugeMetricFamily, "gcc_actors_in_flight", "Work in hand"),
    ("lag_s", GaugeMetricFamily, "gcc_actors_lag_seconds", "Age of the oldest work in hand; a sinker's is not stored"),
)
_QUEUES: tuple[tuple[str, Kind, str, str], ...] = (
    ("used", GaugeMetricFamily, "gcc_queues_events", "Events (of a broker: messages) that wait or are in hand"),
    ("in_flight", GaugeMetricFamily, "gcc_queues_in_flight", "Those of them that this process has in hand"),
    ("oldest_s", GaugeMetricFamily, "gcc_queues_oldest_seconds", "Age of the oldest one"),
)
_REPLICAS: tuple[tuple[str, Kind, str, str], ...] = (
    ("lag_s", GaugeMetricFamily, "gcc_replicas_lag_seconds", "Age of the oldest change that may not be there yet"),
    ("rows", CounterMetricFamily, "gcc_replicas_rows", "Rows of PostgreSQL that were sent"),
    ("refused", CounterMetricFamily, "gcc_replicas_refused", "Rows that ClickHouse refused, and that are left out"),
)
_CHANNELS: tuple[tuple[str, Kind, str, str], ...] = (
    ("used", GaugeMetricFamily, "gcc_channels_used", "Items in the channel, connections of the pool in use"),
    ("size", GaugeMetricFamily, "gcc_channels_size", "As many as it may have"),
)
_API_JOBS = (
    ("jobs", "gcc_api_jobs_unfinished", "Jobs of the API that wait or run"),
    ("oldest_s", "gcc_api_jobs_oldest_seconds", "Since when the oldest of them was asked for"),
)


class ExposedStatus(Collector):
    """`status` is `Composer.status`."""

    def __init__(self, status: Callable[[], Mapping[str, Any]]) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        status = self._status()
        queues = [channel for channel in status["channels"] if channel["kind"] == "queue"]
        channels = [channel for channel in status["channels"] if channel["kind"] != "queue"]
        for label, rows, families in (
            ("actor", status["actors"], _ACTORS),
            ("queue", queues, _QUEUES),
            ("channel", channels, _CHANNELS),
            ("table", status["replicas"], _REPLICAS),
        ):
            for key, kind, name, text in families:
                yield _family(kind, name, text, label, {row["name"]: row[key] for row in rows})
        yield _states(status["actors"])
        yield _family(GaugeMetricFamily, "gcc_platform_jobs", "Jobs by state", "state", status["jobs"])
        for key, name, text in _API_JOBS:
            family = GaugeMetricFamily(name, text, labels=["kind", "state"])
            for jobs in status["api_jobs"]:
                family.add_metric([jobs["kind"], jobs["state"]], jobs[key])
            yield family
        letters = status["dead_letters"]
        for name, text, value in (
            ("gcc_platform_stored_lag_seconds", "Age of the oldest event not stored yet", status["stored_lag_s"]),
            ("gcc_platform_dead_letters", "Dead letters that wait", letters and letters["letters"]),
        ):
            if value is not None:
                yield GaugeMetricFamily(name, text, value=value)


def _family(kind: Kind, name: str, text: str, label: str, values: Mapping[str, float | None]) -> Metric:
    family = kind(name, text, labels=[label])
    for each, value in values.items():
        if value is not None:
            family.add_metric([each], value)
    return family


def _states(actors: Iterable[Mapping[str, Any]]) -> Metric:
    family = GaugeMetricFamily("gcc_actors_state", "1 for the state in which the actor is", labels=["actor", "state"])
    for actor in actors:
        family.add_metric([actor["name"], actor["state"]], 1)
    return family
