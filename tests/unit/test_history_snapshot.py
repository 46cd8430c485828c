"""Rows of history files as events: what each field may be, and ids that stay the same."""

import datetime as dt
import math
import uuid
from functools import partial
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcc.pipelines.events.history_snapshot import METRICS, NAMESPACE, Malformed, count, derived_id, rate
from gcc.pipelines.events.history_snapshot import snapshot as snapshot_until

ROW = {"platform": "instagram", "profile_id": "1", "handle": "@Virat", "timestamp": "2026-01-01", "followers": "10"}
snapshot = partial(snapshot_until, latest=dt.datetime(2026, 11, 29, tzinfo=dt.UTC))
CHANNEL = "UCq-Fj5jknLsUf-MWSy4_brA"


def metrics(**change: object) -> dict[str, object]:
    return dict(msgspec.json.decode(snapshot({**ROW, **change}).line)["metrics"])


def test_a_row_becomes_a_typed_event() -> None:
    event = msgspec.json.decode(snapshot({**ROW, "dimensions.category": "Food", "avg_likes": "1.5"}).line)
    assert event["platform"] == "INSTAGRAM"
    assert event["handle"] == "Virat"
    assert event["event_timestamp"] == "2026-01-01 00:00:00.000000"
    assert event["metrics"] == {"followers": 10, "avg_likes": 1.5}
    assert event["dimensions"] == {"category": "Food", "handle": "Virat"}
    assert event["origin"] == "import"


def test_the_same_snapshot_has_the_same_id_however_it_is_written() -> None:
    same = {snapshot({**ROW, "timestamp": text}).event_id for text in (
        "2026-01-01", "2026-01-01T00:00:00Z", "2026-01-01T05:30:00+05:30",
    )}  # fmt: skip
    same.add(snapshot({**ROW, "profile_id": 1, "handle": "instagram.com/virat"}).event_id)
    assert same == {"c1cf97e4-b7d5-5d91-b576-a7db4d448ad3"}  # ids of past imports stay
    assert snapshot({**ROW, "timestamp": "2026-01-02"}).event_id not in same
    assert snapshot({**ROW, "profile_id": "2"}).event_id not in same


@given(st.text())
def test_derived_ids_are_uuid5(key: str) -> None:
    assert derived_id(key) == str(uuid.uuid5(NAMESPACE, key))


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("0", 0),
        (" 12 ", 12),
        ("007", 7),
        ("12.0", 12),
        ("9223372036854775807", 2**63 - 1),
        (2**63 - 1, 2**63 - 1),
        (0, 0),
        (12.0, 12),
        (1e3, 1000),
    ],
)
def test_counts(value: object, read: int) -> None:
    assert metrics(followers=value) == {"followers": read}
    assert type(metrics(followers=value)["followers"]) is int


@pytest.mark.parametrize("name", ["followers", "views", "subscribers"])
@pytest.mark.parametrize(
    "value",
    ["-1", "1.234", "1.00", "1.000", "1,234", "1_000", "1 000", "99999999999999999999999", "9223372036854775808",
     "12.5", "1e3", "1.23E+08", "0x10", "+5", "٣", "１２", "NaN", "inf", "many", "10k", "1.2M", "true", "-", "#VALUE!",
     "1\x00", True, False, -1, 1.5, 2**63, 10**23, -0.5, 1e300, float(2**53), [1], {"a": 1}],
)  # fmt: skip
def test_what_is_no_count_is_refused_and_never_cut(name: str, value: object) -> None:
    with pytest.raises(Malformed) as caught:
        metrics(**{name: value})
    assert caught.value.field == name
    assert "whole number" in caught.value.reason


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("engagement_rate", "0.0312", 0.0312),
        ("engagement_rate", "1.2E-05", 1.2e-05),
        ("avg_likes", "1.234", 1.234),
        ("avg_views", 1e6, 1e6),
        ("avg_comments", "7", 7),
        ("growth", "-0.5", -0.5),
        ("growth", "-7", -7),
        ("growth", "+7", 7),
        ("score", ".5", 0.5),
        ("score", 1.0, 1.0),
        ("score", -(2**63), -(2**63)),
    ],
)
def test_rates_and_other_numbers(name: str, value: object, read: float) -> None:
    assert metrics(**{name: value})[name] == read


@pytest.mark.parametrize("name", ["engagement_rate", "avg_likes", "growth", "score"])
@pytest.mark.parametrize(
    "value",
    ["1_000.5", "1,5", "4.5%", "NaN", "inf", "-inf", "1e999", "0x10", "٣.٥", "1.2.3", "--1", "true", "9" * 30,
     "9" * 200, True, 2**63, -(2**63) - 1, [0.5], {"a": 1}, math.inf, math.nan],
)  # fmt: skip
def test_what_is_no_number_is_refused(name: str, value: object) -> None:
    with pytest.raises(Malformed) as caught:
        metrics(**{name: value})
    assert caught.value.field == name


@pytest.mark.parametrize("value", ["4.5%", "0,045", "n/a"])
def test_text_for_a_number_is_told_how_numbers_are_written(value: str) -> None:
    with pytest.raises(Malformed, match=r"is no number: digits with at most one point"):
        metrics(engagement_rate=value)


@pytest.mark.parametrize("name", ["engagement_rate", "avg_likes"])
def test_rates_are_never_below_zero(name: str) -> None:
    with pytest.raises(Malformed, match="below zero"):
        metrics(**{name: "-0.1"})


def test_the_columns_of_the_spec_are_in_the_table() -> None:
    assert METRICS["media_count"] is METRICS["uploads"] is count
    assert METRICS["engagement_rate"] is METRICS["avg_views"] is rate


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"platform": "MYSPACE"}, "platform"),
        ({"platform": ""}, "platform"),
        ({"platform": "ınstagram"}, "platform"),
        ({"platform": ["INSTAGRAM"]}, "platform"),
        ({"profile_id": None}, "profile_id"),
        ({"profile_id": "1.78414E+16"}, "profile_id"),
        ({"profile_id": 1.78414e16}, "profile_id"),
        ({"profile_id": "17841400000000000.0"}, "profile_id"),
        ({"profile_id": True}, "profile_id"),
        ({"profile_id": CHANNEL}, "profile_id"),
        ({"platform": "YOUTUBE", "profile_id": "17841400000000000"}, "profile_id"),
        ({"platform": "YOUTUBE", "profile_id": CHANNEL, "handle": f"youtube.com/channel/UC{'x' * 22}"}, "handle"),
        ({"handle": "  "}, "handle"),
        ({"handle": "two words"}, "handle"),
        ({"handle": "https://www.instagram.com/reel/C0de/"}, "handle"),
        ({"handle": "https://www.youtube.com/@virat"}, "handle"),
        ({"handle": "instagram.com/" + "a" * 600}, "handle"),
        ({"handle": ["virat"]}, "handle"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": "1999-01-01"}, "timestamp"),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, "timestamp"),
        ({"timestamp": 1.5}, "timestamp"),
        ({"timestamp": "2026-11-29T00:00:00.000001Z"}, "timestamp"),
        ({"timestamp": "2062-01-05"}, "timestamp"),
        ({"timestamp": "9999-12-31T23:59:59-14:00"}, "timestamp"),
        ({"followers": ""}, "metrics"),
        ({"followers": "  "}, "metrics"),
        ({"source": ["x"]}, "source"),
        ({"source": "x" * 101}, "source"),
        ({"handle": "instagram.com/c/virat"}, "handle"),
        ({"dimensions.x": 10**30}, "dimensions.x"),
        ({"dimensions.x": "a\x00b"}, "(row)"),
        ({"dimensions.x": [{"a": "\x00"}]}, "(row)"),
        ({"dimensions.\x00": "a"}, "(row)"),
    ],
)
def test_a_malformed_row_names_its_field(change: dict[str, object], name: str) -> None:
    with pytest.raises(Malformed) as caught:
        snapshot({**ROW, **change})
    assert caught.value.field == name
    assert len(caught.value.reason) < 250


@pytest.mark.parametrize("rounded", ["1.78414E+16", "1,78414E+16", "2E+10", "1.78414e16"])
def test_ids_that_a_spreadsheet_rounded_are_called_so(rounded: str) -> None:
    with pytest.raises(Malformed, match="a spreadsheet rounded it; export ids as text"):
        snapshot({**ROW, "profile_id": rounded})


def test_a_profile_url_is_the_handle_in_it() -> None:
    assert snapshot({**ROW, "handle": "https://www.instagram.com/bug27/"}).handle == "bug27"
    channel = {**ROW, "platform": "YOUTUBE", "profile_id": CHANNEL}
    assert snapshot({**channel, "handle": f"https://www.youtube.com/channel/{CHANNEL}"}).handle == CHANNEL
    assert snapshot({**channel, "handle": "youtube.com/@virat"}).handle == "virat"
    for path in ("c/virat", "user/virat"):  # who knows whose handle that is
        assert snapshot({**channel, "handle": f"https://www.youtube.com/{path}"}).handle == CHANNEL


def test_dimensions_are_kept_as_they_are() -> None:
    kept = {"text": " a\\u0000b\n", "list": [1, None, {"x": 1.5}], "flag": True, "": "nameless"}
    event = msgspec.json.decode(snapshot({**ROW, **{f"dimensions.{name}": value for name, value in kept.items()}}).line)
    assert event["dimensions"] == {**kept, "handle": "Virat"}


values = st.none() | st.booleans() | st.text() | st.integers() | st.floats()
values |= st.recursive(values, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5)


@given(st.dictionaries(st.sampled_from([*ROW, "x", "views", "avg_likes", "dimensions.y", "source"]), values))
def test_any_row_is_a_snapshot_or_malformed(change: dict[str, Any]) -> None:
    for row in (change, {**ROW, **change}):
        try:
            assert msgspec.json.decode(snapshot(row).line)["event_id"]
        except Malformed as error:
            assert error.field and error.reason
