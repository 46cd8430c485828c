"""Times as others write them: one rule for files, answers and messages."""

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcc.pipelines.events.history_snapshot import snapshot
from gcc.pipelines.events.reading import moment
from gcc.sources.fields import Fields
from gcc.sources.times import instant

READ = [
    ("2026-06-30T23:59:60Z", "2026-07-01T00:00:00+00:00"),
    ("2026-06-30t23:59:60.5z", "2026-07-01T00:00:00.500000+00:00"),
    ("2016-12-31T23:59:60+00:00", "2017-01-01T00:00:00+00:00"),
    ("2026-07-01 05:29:60+0530", "2026-07-01T00:00:00+00:00"),
    ("2026-01-01t10:00:00z", "2026-01-01T10:00:00+00:00"),
    ("2026-01-01T10:00:00z", "2026-01-01T10:00:00+00:00"),
    ("2026-01-01T10:00:00-00:00", "2026-01-01T10:00:00+00:00"),
    ("2026-01-01 10:00:00 UTC", "2026-01-01T10:00:00+00:00"),
    ("20260101T100000Z", "2026-01-01T10:00:00+00:00"),
    ("2026-01-01T15:30:00+05:30", "2026-01-01T10:00:00+00:00"),
]
NONE = [
    "", "now", "UTC", "1767225600", "1767225600000", "2026010112345", "2026-01-01x10:00", "2026-W01-1", "31/12/2026",
    "12/31/2026", "2026-13-01", "2026-02-30", "2026-01-01T25:00Z", "2026-01-01T10:60:00Z", "2026-01-01T10:00:61Z",
    "2026-01-01T10:00:00+24:00", "２０２６-01-01", "9999-12-31T23:59:60Z", "46023", "46023.5",
]  # fmt: skip


@pytest.mark.parametrize(("text", "meant"), READ)
def test_a_time_is_the_same_in_files_answers_and_messages(text: str, meant: str) -> None:
    at = dt.datetime.fromisoformat(meant)
    assert instant(text) == at
    assert Fields({"at": text}, "source").time("at") == at
    row = {"platform": "INSTAGRAM", "profile_id": "1", "handle": "a", "timestamp": text, "followers": "1"}
    stored = at.strftime("%Y-%m-%d %H:%M:%S.%f")
    assert json.loads(snapshot(row, at).line)["event_timestamp"] == stored
    assert moment(text) == stored


@pytest.mark.parametrize("text", NONE)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".{5}"):
        instant(text)
    fields = Fields({"at": text}, "source")
    assert fields.time("at") is None
    assert "should be a time with its zone" in fields.notes[0]


@given(st.text() | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:60(Z|z|\+[0-9]{2}:[0-9]{2}| UTC)?"))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    try:
        assert instant(text).second < 60
    except ValueError as error:
        assert str(error)
