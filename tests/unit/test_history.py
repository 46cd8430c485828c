"""Past snapshots from files: what is a row, what is refused with which field, and ids that stay the same."""

import uuid

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcc.pipelines.events.history import NAMESPACE, ImportReport, Malformed, Rows, derived_id, snapshot

ROW = {"platform": "instagram", "profile_id": "1", "handle": "@Virat", "timestamp": "2026-01-01", "followers": "10"}


def rows(content: bytes, *, chunk: int = 7) -> tuple[list[tuple[int, dict[str, str]]], ImportReport]:
    report = ImportReport()
    reader = Rows(report)
    found = [row for begin in range(0, len(content), chunk) for row in reader.feed(content[begin : begin + chunk])]
    return [(number, dict(row)) for number, row in [*found, *reader.end()]], report


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
    assert len(same) == 1
    assert snapshot({**ROW, "timestamp": "2026-01-02"}).event_id not in same
    assert snapshot({**ROW, "profile_id": "2"}).event_id not in same


@given(st.text())
def test_derived_ids_are_uuid5(key: str) -> None:
    assert derived_id(key) == str(uuid.uuid5(NAMESPACE, key))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"platform": "MYSPACE"}, "platform"),
        ({"platform": ""}, "platform"),
        ({"profile_id": None}, "profile_id"),
        ({"handle": "  "}, "handle"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": "1999-01-01"}, "timestamp"),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, "timestamp"),
        ({"followers": "many"}, "followers"),
        ({"followers": "nan"}, "followers"),
        ({"followers": True}, "followers"),
        ({"followers": ""}, "metrics"),
    ],
)
def test_a_malformed_row_names_its_field(change: dict[str, object], name: str) -> None:
    with pytest.raises(Malformed) as caught:
        snapshot({**ROW, **change})
    assert caught.value.field == name


@given(
    st.dictionaries(st.sampled_from([*ROW, "x", "dimensions.y"]), st.none() | st.text() | st.integers() | st.floats())
)
def test_any_row_is_a_snapshot_or_malformed(row: dict[str, object]) -> None:
    try:
        assert msgspec.json.decode(snapshot(row).line)["event_id"]
    except Malformed as error:
        assert error.field and error.reason


def test_csv_with_quotes_line_breaks_and_a_bom() -> None:
    header = "\ufeffplatform,profile_id,handle,timestamp,dimensions.bio"
    content = header + '\r\nINSTAGRAM,1,a,2026-01-01,"two\nlines, ""x"""\r\n\r\nINSTAGRAM,2,b,2026-01-01,z'
    found, report = rows(content.encode())
    assert [(number, row["handle"], row["dimensions.bio"]) for number, row in found] == [
        (2, "a", 'two\nlines, "x"'),
        (5, "b", "z"),
    ]
    assert report.rejected == []


def test_ndjson_lines_are_told_apart_and_broken_ones_reported() -> None:
    content = b'{"platform": "INSTAGRAM", "bio": "a\\"b"}\nbroken\n[1]\n{"platform": "YOUTUBE"}'
    found, report = rows(content, chunk=3)
    assert [row["platform"] for _, row in found] == ["INSTAGRAM", "YOUTUBE"]
    assert [(entry["line"], entry["field"]) for entry in report.rejected] == [(2, "(row)"), (3, "(row)")]


def test_a_csv_header_without_a_needed_column_imports_nothing() -> None:
    found, report = rows(b"platform,handle\nINSTAGRAM,a\n")
    assert found == []
    assert report.rejected[0]["field"] == "profile_id"


def test_a_row_of_another_width_is_reported() -> None:
    found, report = rows(b"platform,profile_id,handle,timestamp\nINSTAGRAM,1,a,2026-01-01,extra\n")
    assert found == []
    assert report.rejected[0]["line"] == 2


def test_an_endless_line_ends_the_import_with_a_report() -> None:
    found, report = rows(b"platform,profile_id,handle,timestamp\n" + b"x" * (2 << 20), chunk=65536)
    assert found == []
    assert "longer than" in report.rejected[0]["reason"]
