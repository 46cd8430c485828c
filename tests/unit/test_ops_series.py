"""The charts' numbers: rates over ten seconds, unknown where nothing can be said, gaps where nobody looked."""

from gcc.metrics import Metrics
from gcc.web.ops.series import KEPT_S, Series


def store(metrics: Metrics, events: int, seconds: float, table: str = "a") -> None:
    metrics.stored_events.labels(table).inc(events)
    metrics.flush_seconds.labels(table).observe(seconds)


def test_a_batch_every_five_seconds_reads_as_a_steady_rate() -> None:
    metrics = Metrics()
    series = Series(metrics)
    for second in range(40):
        if second % 5 == 0:
            store(metrics, 300, 0.02)
            store(metrics, 200, 0.04, table="b")
        series.sample(second, 1000 + second)
    assert {value for _, value in list(series.events_per_s)[11:]} == {100.0}
    assert {value for _, value in list(series.flush_ms)[11:]} == {30.0}
    assert series.events_per_s_now == 100.0


def test_before_two_readings_nothing_is_known_and_no_flush_is_no_zero() -> None:
    series = Series(Metrics())
    assert series.events_per_s_now is None
    series.sample(0, 1000)
    assert list(series.events_per_s) == [(1000, None)]
    series.sample(1, 1001)
    assert list(series.events_per_s)[-1] == (1001, 0.0)
    assert list(series.flush_ms)[-1] == (1001, None)


def test_seconds_in_which_nobody_looked_are_a_gap() -> None:
    metrics = Metrics()
    series = Series(metrics)
    series.sample(0, 1000)
    store(metrics, 10, 0.01)
    series.sample(1, 1001)
    store(metrics, 5000, 0.01)
    series.sample(60, 1060)
    store(metrics, 20, 0.01)
    series.sample(61, 1061)
    assert list(series.events_per_s) == [(1000, None), (1001, 10.0), (1059, None), (1060, None), (1061, 20.0)]


def test_it_keeps_fifteen_minutes() -> None:
    series = Series(Metrics())
    for second in range(KEPT_S + 100):
        series.sample(second, second)
    assert len(series.events_per_s) == len(series.flush_ms) == KEPT_S
    assert series.events_per_s[0][0] == 100
