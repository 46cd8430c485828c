"""A few seconds of `make soak`: everything is asked at once, every kind of trouble comes in turn."""

import pytest

from bench import soak


async def test_a_short_soak_exceeds_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "CALM_S", 0.5)
    monkeypatch.setattr(soak, "FAULT_S", 0.5)
    found = await soak.bench(13.0, calls_per_s=20.0, faults=True)
    assert not found["over"], found["limits"]
    assert {name for name, each in found["limits"].items() if each["peak"]} >= {"graphapi", "ytapi", "ytanalytics"}
    assert found["in_flight"] > 50
