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

from gcc.errors import Permanent
from gcc.pipelines.events import history_snapshot
from gcc.pipelines.events.history_form import Form
from gcc.pipelines.events.history_snapshot import (
    METRICS,
    NAMESPACE,
    ByHandle,
    Malformed,
    Snapshot,
    count,
    derived_id,
    rate,
)

ROW = {"platform": "instagram", "profile_id": "1", "handle": "@Virat", "timestamp": "2026-01-01", "followers": "10"}
read = partial(history_snapshot.snapshot, latest=dt.datetime(2026, 11, 29, tzinfo=dt.UTC))
CHANNEL = "UCq-Fj5jknLsUf-MWSy4_brA"


def snapshot(row: dict[str, Any], **how: Any) -> Snapshot:
    """What a row is that has an id."""
    found = read(row, **how)
    assert isinstance(found, Snapshot)
    return found


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
            found = read(row)
        except Malformed as error:
            assert all(map(all, error.faults))
        else:
            if isinstance(found, ByHandle):
                assert found.handle
                found = found.snapshot("1") if found.snapshot else None
            assert found is None or msgspec.json.decode(found.line)["event_id"] == found.event_id


# Without an id


def test_a_row_without_an_id_is_a_snapshot_once_that_is_known() -> None:
    for nothing in (None, ""):
        found = read({**ROW, "profile_id": nothing})
        assert isinstance(found, ByHandle)
        assert (found.platform, found.handle) == ("INSTAGRAM", "Virat")
        assert found.snapshot is not None
        assert found.snapshot("1") == snapshot(ROW)


@pytest.mark.parametrize(
    ("row", "asked"),
    [
        ({"platform": "instagram", "handle": "instagram.com/virat/"}, "virat"),
        ({"platform": "instagram", "handle": "virat", "profile_id": "1", "city": "Delhi"}, "virat"),
        ({"platform": "youtube", "handle": "@virat", "profile_id": CHANNEL}, CHANNEL),
        ({"platform": "youtube", "handle": f"youtube.com/channel/{CHANNEL}"}, CHANNEL),
    ],
)
def test_a_row_with_a_name_alone_is_somebody_to_follow(row: dict[str, object], asked: str) -> None:
    assert read(row) == ByHandle(str(row["platform"]).upper(), asked, None)


def test_the_id_of_a_channel_may_stand_in_the_place_of_its_handle() -> None:
    row = {**ROW, "platform": "YOUTUBE", "profile_id": "", "handle": f"https://www.youtube.com/channel/{CHANNEL}"}
    assert (snapshot(row).profile_id, snapshot(row).handle) == (CHANNEL, CHANNEL)
    with pytest.raises(Malformed, match="does not tell the handle, and there is no profile_id"):
        read({**row, "handle": "https://www.youtube.com/c/virat"})


def test_all_that_is_wrong_with_a_row_is_told_at_once() -> None:
    row = {"platform": "INSTAGRAM", "profile_id": "1.78E+16", "timestamp": "2062-01-05", "followers": "1.2M", "x": "-"}
    with pytest.raises(Malformed) as caught:
        read(row)
    assert [name for name, _ in caught.value.faults] == ["handle", "profile_id", "followers", "x", "timestamp"]
    with pytest.raises(Malformed) as caught:
        read({**ROW, **{f"x{number}": "-" for number in range(1000)}})
    assert len(caught.value.faults) == history_snapshot.FAULTS_TOLD_MAX


# Forms


@pytest.mark.parametrize(
    ("date_format", "text", "at"),
    [
        ("%d/%m/%Y", "03/04/2026", "2026-04-03 00:00:00.000000"),
        ("%m/%d/%Y", "03/04/2026", "2026-03-04 00:00:00.000000"),
        ("%d.%m.%y %H:%M", "3.4.26 18:30", "2026-04-03 18:30:00.000000"),
        ("%d %b %Y %I:%M %p %z", "3 Apr 2026 06:30 PM +0530", "2026-04-03 13:00:00.000000"),
    ],
)
def test_dates_are_read_as_their_format_says(date_format: str, text: str, at: str) -> None:
    form = Form(date_format=date_format)
    form.check()
    event = msgspec.json.decode(snapshot({**ROW, "timestamp": text}, form=form).line)
    assert event["event_timestamp"] == at
    with pytest.raises(Malformed, match=r"is not written as .* says, or there is no such time"):
        read({**ROW, "timestamp": "2026-04-03"}, form=form)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("03/04/2026", "say which, by --date-format '%d/%m/%Y' or --date-format '%m/%d/%Y'"),
        ("3.4.26 18:30", "say which, by --date-format '%d.%m.%y %H:%M' or --date-format '%m.%d.%y %H:%M'"),
        ("13/04/2026", "(2026-12-31); import with --date-format '%d/%m/%Y'"),
        ("04/13/2026 18:30:00", "(2026-12-31); import with --date-format '%m/%d/%Y %H:%M:%S'"),
        ("2026/04/13", "(2026-12-31); import with --date-format '%Y/%m/%d'"),
        ("13/13/2026", "nor a date (2026-12-31)"),
    ],
)
def test_a_date_that_has_several_readings_is_asked_for(text: str, told: str) -> None:
    with pytest.raises(Malformed) as caught:
        read({**ROW, "timestamp": text})
    assert caught.value.reason.endswith(told)


@pytest.mark.parametrize(
    ("thousands", "text", "number"),
    [
        (",", "3,937,106", 3_937_106),
        (",", "12", 12),
        (".", "3.937.106", 3_937_106),
        (" ", "3\u00a0937 106", 3_937_106),
        ("'", "3\u2019937'106", 3_937_106),
    ],
)
def test_thousands_are_parted_as_the_form_says(thousands: str, text: str, number: int) -> None:
    form = Form(thousands=thousands)
    form.check()
    decimals = f"{text}{',5' if thousands == '.' else '.5'}"
    event = msgspec.json.decode(snapshot({**ROW, "followers": text, "avg_likes": decimals}, form=form).line)
    assert event["metrics"] == {"followers": number, "avg_likes": number + 0.5}
    if text != "12":
        with pytest.raises(Malformed, match="--thousands"):
            read({**ROW, "followers": text.replace("\u00a0", " ")})


@pytest.mark.parametrize(
    ("thousands", "text"),
    [(",", "1.234.567"), (",", "12,34"), (".", "0.045"), (".", "1.5"), (" ", "1 23"), (",", "1,")],
)
def test_marks_of_thousands_in_other_places_are_refused(thousands: str, text: str) -> None:
    for name in ("followers", "avg_likes"):
        with pytest.raises(Malformed) as caught:
            read({**ROW, name: text}, form=Form(thousands=thousands))
        assert caught.value.field == name


@pytest.mark.parametrize(
    ("thousands", "text", "told"),
    [
        (None, "0,045", "such as 0.045; if ',' stands before its decimals, import with --thousands '.'"),
        (None, "1.234,5", "; if '.' parts its thousands, import with --thousands '.'"),
        (".", "0.045", "whose thousands are parted by '.'"),
        (".", "1,234.5", "parted by '.'; if ',' parts its thousands, import with --thousands ','"),
        (",", "12.34.567", "whose thousands are parted by ','"),
    ],
)
def test_only_a_mark_that_would_read_a_number_is_named(thousands: str | None, text: str, told: str) -> None:
    with pytest.raises(Malformed) as caught:
        read({**ROW, "avg_likes": text}, form=Form(thousands=thousands))
    assert caught.value.reason.endswith(told)


@pytest.mark.parametrize(
    ("form", "told"),
    [
        (Form(date_format="%d/%m"), "does not tell a day"),
        (Form(date_format="%I %d/%m/%Y"), "does not tell a day"),
        (Form(date_format="\ud800%"), "does not tell a day"),
        (Form(date_format=""), "does not tell a day"),
        (Form(date_format="%d/%d/%m/%Y"), "does not tell a day"),
        (Form(date_format="%Y-%m-%d %H:%M %Z"), "does not tell a day"),
        (Form(thousands=";"), "parted by one of ',', '.', ' ', \"'\", not by ';'"),
        (Form(encoding="base64"), "base64"),
    ],
)
def test_a_form_that_nothing_can_be_read_in_is_refused(form: Form, told: str) -> None:
    with pytest.raises(Permanent) as caught:
        form.check()
    assert told in str(caught.value)
