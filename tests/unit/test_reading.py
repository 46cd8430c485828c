"""Lines of other producers: what is understood, what is refused, and what passes untouched."""

import datetime as dt
import uuid
from typing import Any

import msgspec
import pytest

from gcc.channels.message import Frame, Route
from gcc.pipelines.events.reading import LineReader, blank, counted, error_line, lines, moment
from gcc.pipelines.events.schemas import PostLog
from gcc.pipelines.events.types import (
    APP_EVENT,
    CREATOR_FOLLOWER_SCORE,
    EVENT_TYPES,
    POST_LOG,
    PROFILE_LOG,
    TRACE_LOG,
    EventType,
    encode,
)

READER = LineReader(POST_LOG)
FRAME = Frame(uuid.UUID(int=5), POST_LOG.route, 1, b"")
OURS = PostLog(
    event_id="0191b2c3-0000-7000-8000-00000000000a", event_timestamp="2026-01-01 10:00:00.000001", source="s",
    platform="INSTAGRAM", profile_id="1", handle="h", metrics={"likes": 1}, dimensions={}, shortcode="x",
)  # fmt: skip
THEIRS = {
    "event_timestamp": "2026-01-01 10:00:00", "source": "s", "platform": "INSTAGRAM", "profile_id": "1", "handle": "h",
    "metrics": {"likes": 1}, "dimensions": {}, "shortcode": "x",
}  # fmt: skip


def read(**changes: object) -> dict[str, object]:
    return msgspec.json.decode(READER.read(msgspec.json.encode(THEIRS | changes), FRAME, 3))


@pytest.mark.parametrize(
    "line", [encode(OURS), b" " + encode(OURS), encode(OURS).replace(b"10:00:00.000001", b"10:00:00")]
)
def test_what_is_as_we_write_it_passes_untouched(line: bytes) -> None:
    assert READER.read(line, FRAME, 0) is line


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ("2026-01-01 10:20:30", "2026-01-01 10:20:30.000000"),
        ("2026-01-01 10:20:30.5", "2026-01-01 10:20:30.500000"),
        ("2026-01-01T10:20:30Z", "2026-01-01 10:20:30.000000"),
        ("2026-01-01T10:20:30.123456789+05:30", "2026-01-01 04:50:30.123456"),
        ("2026-01-01 00:20:30+0530", "2025-12-31 18:50:30.000000"),
        ("2026-01-01", "2026-01-01 00:00:00.000000"),
        (1767262830, "2026-01-01 10:20:30.000000"),
        (1767262830.25, "2026-01-01 10:20:30.250000"),
        ("1767262830", "2026-01-01 10:20:30.000000"),
        (1767262830123, "2026-01-01 10:20:30.123000"),
        (1767262830123456, "2026-01-01 10:20:30.123456"),
    ],
)
def test_times_of_others_are_understood(given: object, understood: str) -> None:
    assert moment(given) == understood
    assert read(event_timestamp=given, publish_time=given)["publish_time"] == understood


@pytest.mark.parametrize(
    "given",
    [
        "yesterday",
        "",
        "31/12/2026",
        "2026-13-01 00:00:00",
        "0001-01-01 00:00:00",
        True,
        [],
        {},
        1e300,
        -1e12,
        "202601011200",
        "20260101120000",
        1e14,
    ],
)
def test_what_is_no_time_is_refused_with_the_value(given: object) -> None:
    with pytest.raises(ValueError, match=r"is no time|is not between"):
        read(event_timestamp=given)


def test_an_id_that_is_missing_is_derived_from_frame_and_line() -> None:
    event = read()
    assert event["event_id"] == str(uuid.uuid5(FRAME.id, "3"))
    assert (event["v"], event["origin"], event["origin_id"]) == (1, "", "")


def test_an_id_of_its_own_is_kept_and_makes_the_same_event_in_any_frame() -> None:
    line = msgspec.json.encode(THEIRS | {"event_id": "evt_1"})
    one, other = (
        msgspec.json.decode(READER.read(line, Frame(uuid.UUID(int=number), POST_LOG.route, 1, b""), number))
        for number in (1, 2)
    )
    assert one == other
    assert one["origin_id"] == "evt_1"
    assert uuid.UUID(one["event_id"]).version == 5


def test_a_trace_is_known_by_its_own_id() -> None:
    trace = {
        "event_timestamp": 1767262830, "id": str(uuid.UUID(int=9)), "host_name": "h", "service_name": "s",
        "method": "GET", "uri": "/", "headers": {}, "request": "", "response_status": 200, "response_size": 0,
        "time_taken": 1,
    }  # fmt: skip
    read_trace = msgspec.json.decode(LineReader(TRACE_LOG).read(msgspec.json.encode(trace), FRAME, 0))
    assert read_trace["event_id"] == trace["id"] == read_trace["id"]


def test_numbers_and_text_stand_for_each_other_and_null_for_what_may_be_absent() -> None:
    event = read(profile_id=178414, handle=1.5, metrics={"likes": "12"}, post_id=None, origin=None, publish_time=None)
    assert (event["profile_id"], event["handle"], event["metrics"]) == ("178414", "1.5", {"likes": 12})
    assert "post_id" not in event and event["origin"] == ""


def test_what_is_absent_stays_absent_so_that_the_table_has_its_own_default() -> None:
    assert "post_id" not in read()


def test_unknown_fields_are_kept_in_extra() -> None:
    event = read(colour="red", big=2**60, extra={"a": 1})
    assert msgspec.json.decode(str(event["extra"])) == {"colour": "red", "big": 2**60, "extra": {"a": 1}}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"null",
        b"[1]",
        b"1",
        b"{",
        b"\xff",
        b'{"a":"\xff"}',
        b'{"\xff":1}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\\ud83d"}',
        b'{"a":"\\udc00 x"}',
        b'{"a":1e400}',
        b'{"a":NaN}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":' * 5000 + b"1" + b"}" * 5000,
        b"\0" + encode(OURS),
        b"[" * 100_000,
        encode(OURS)[:-1],
        encode(THEIRS)[:-9],
    ],
)
def test_what_is_no_event_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        READER.read(line, FRAME, 0)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("v", 65_536), ("v", -1), ("v", 2**200), ("v", 1.5), ("v", True), ("event_id", True), ("event_id", {"a": 1}),
        ("event_id", [[1]]), ("metrics", {"likes": "nan"}), ("metrics", {"likes": "-inf"}),
        ("metrics", {"likes": "1 000"}), ("event_timestamp", {"a": [1]}), ("event_timestamp", 10**400),
        ("event_timestamp", "9" * 400), ("event_timestamp", "x" * 10_000_000), ("event_timestamp", "2026-01-01\0"),
        ("publish_time", "9999-01-01T00:00:00Z"),
    ],
)  # fmt: skip
def test_values_that_no_column_holds_are_refused_in_few_words(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        read(**{field: value})
    assert len(str(refused.value)) < 300


def test_a_time_beyond_the_years_is_refused_also_where_all_else_is_as_ours() -> None:
    line = encode(OURS).replace(b'"publish_time":null', b'"publish_time":"2201-01-01 00:00:00.000000"')
    assert line != encode(OURS)
    with pytest.raises(ValueError, match="is not between 1970 and 2199"):
        READER.read(line, FRAME, 0)


@pytest.mark.parametrize(
    ("odd", "name", "value"),
    [
        (b'{"handle":"was",' + encode(OURS)[1:], "handle", "h"),
        (encode(OURS).replace(b'"v":1', b'"v":-0'), "v", 0),
        (encode(OURS).replace(b" 10:00:00.0", b"t10:00:00.0"), "event_timestamp", "2026-01-01 10:00:00.000001"),
    ],
    ids=["a name twice", "minus nought", "a small t"],
)
def test_forms_that_tables_do_not_read_are_understood_in_our_words(odd: bytes, name: str, value: object) -> None:
    assert READER.read(odd, FRAME, 0) is odd
    plain = msgspec.to_builtins(OURS) | {name: value}
    assert msgspec.json.decode(READER.rewritten(odd, FRAME, 0)) | {"publish_time": None} == plain


@pytest.mark.parametrize("event_type", EVENT_TYPES, ids=lambda each: each.name)
def test_a_blank_event_has_every_field(event_type: EventType) -> None:
    fields = {field.name for field in msgspec.structs.fields(event_type.schema)}
    assert set(msgspec.json.decode(blank(event_type))) == fields | {"extra"}


def test_an_app_event_is_named_by_its_routing_key_where_it_does_not_say() -> None:
    line = msgspec.json.encode({"event_timestamp": 1767262830})
    reader = LineReader(APP_EVENT)
    named = reader.read(line, Frame(FRAME.id, Route("grpc_event.tx", "SearchEvent"), 1, line), 0)
    assert msgspec.json.decode(named)["event_name"] == "SearchEvent"
    with pytest.raises(ValueError, match="event_name"):
        reader.read(line, Frame(FRAME.id, Route("grpc_event.tx", "searched"), 1, line), 0)


def test_an_error_event_is_the_same_whenever_it_is_made() -> None:
    line = b"no json"
    for frame_id, year in ((uuid.UUID("0191b2c3-0000-7000-8000-000000000000"), "2024"), (uuid.UUID(int=5), "1970")):
        frame = Frame(frame_id, Route("grpc_event.tx", "SearchEvent"), 1, line)
        event = error_line(line, "why", APP_EVENT, frame, 0)
        assert event == error_line(line, "why", APP_EVENT, frame, 0)
        assert str(msgspec.json.decode(event)["event_timestamp"]).startswith(year)


@pytest.mark.parametrize(
    "given",
    [
        b'{"event_timestamp":1767262830,"os":7}',
        b"",
        b" ",
        b"\xef\xbb\xbf",
        bytes(range(256)),
        b'{"event_name":"AEvent","x":"\xff"}',
        b'{"event_name":"A\\u0000Event","os":"\\u0000"}',
        b'{"event_name":"AEvent","x":"\\ud83d"}',
        b'{"event_id":true,"event_timestamp":[[]],"event_name":{}}',
        b'{"event_id":' + b"[" * 900 + b"]" * 900 + b"}",
        b'{"event_timestamp":' + b"[" * 900 + b"]" * 900 + b"}",
        b"[" * 1_000_000,
        b'{"event_timestamp":1e308,"event_id":' + b"9" * 4000 + b"}",
        b'{"x":"' + b"x" * 10_000_000,
    ],
    ids=lambda given: repr(given[:40]),
)
def test_the_error_events_that_are_made_are_taken(given: bytes) -> None:
    (errors,) = (event_type for event_type in EVENT_TYPES if event_type.table == APP_EVENT.errors_to)
    line = error_line(given, "why", APP_EVENT, FRAME, 0)
    assert LineReader(errors).read(line, FRAME, 0) is line
    assert msgspec.json.decode(line)["event_params"] == {"raw": given.decode(errors="replace")}


EMITTED = {
    "event_id": str(uuid.UUID(int=7)), "event_timestamp": "2026-01-01 00:00:00.000000", "v": 1, "origin": "gcc",
    "origin_id": "", "source": "s", "platform": "INSTAGRAM", "profile_id": "1", "handle": "h", "metrics": {},
    "dimensions": {},
}  # fmt: skip


def framed(counted: int | None) -> Frame:
    return Frame(uuid.UUID(int=9), PROFILE_LOG.route, 1, b"", counted=counted)


@pytest.mark.parametrize("origin", ["gcc", "import"])
@pytest.mark.parametrize("changed", [{}, {"surplus": 1}, {"event_timestamp": 1_767_225_600}])
def test_who_says_that_we_emitted_an_event_is_not_believed_without_a_frame_of_ours(
    origin: str, changed: dict[str, Any]
) -> None:
    reader, line = LineReader(PROFILE_LOG), encode({**EMITTED, "origin": origin, **changed})
    ours = msgspec.json.decode(reader.read(line, framed(None), 0))
    assert (ours["origin"], ours["event_id"]) == (origin, EMITTED["event_id"])
    theirs = msgspec.json.decode(reader.read(line, framed(0), 0))
    assert (theirs["origin"], theirs["origin_id"]) == ("", EMITTED["event_id"])
    assert theirs["event_id"] not in (EMITTED["event_id"], "")
    assert reader.read(line, framed(0), 5) == reader.read(line, framed(0), 0), "sent again it is the same event"
    other = msgspec.json.decode(reader.read(encode({**EMITTED, "origin": "beat"}), framed(0), 0))
    assert (other["origin"], other["event_id"]) == ("beat", EMITTED["event_id"])


@pytest.mark.parametrize(
    "body", [b"\xff\n", b"[" * 100_000 + b"\n", b'{"origin": 5}\n', b"{}\n", b"\n", b'"gcc"\n', b""]
)
def test_of_what_cannot_be_read_nothing_was_counted(body: bytes) -> None:
    emitted = body + encode(EMITTED)
    assert counted(framed(None), body) == 0
    assert counted(framed(None), emitted + b'\n{"origin":"import"}') == 2
    assert counted(framed(0), emitted) == 0


@pytest.mark.parametrize(
    "body", [b"", b"\n", b"a", b"a\nb", b"\n \na\n\n b \r\n\x0b\n", b"\n" * 1000 + b"a\n", b"a\x0bb\nc"]
)
def test_lines_keep_the_numbers_that_they_have_among_blank_ones(body: bytes) -> None:
    given = [(number, line.lstrip()) for number, line in enumerate(body.split(b"\n")) if line.strip()]
    assert list(lines(body)) == given


@pytest.mark.parametrize("given", [0, 2025, 20250101, 45658.5, "2025", "45658.5", 1e8 - 1])
def test_small_numbers_are_no_times_of_1970(given: float | str) -> None:
    """Years, days of a spreadsheet: as seconds they would be dropped for their age."""
    with pytest.raises(ValueError, match="is no time"):
        moment(given)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("2025-01-01T10:00:00z", "2025-01-01 10:00:00"),
        ("2025-01-01t10:00:00Z", "2025-01-01 10:00:00"),
        (1e8, "1973-03-03"),
    ],
)
def test_times_in_other_letters(given: float | str, meant: str) -> None:
    assert moment(given).startswith(meant)


@pytest.mark.parametrize(
    "given",
    [
        "",
        "  ",
        "null",
        "NULL",
        "undefined",
        "None",
        "nan",
        None,
        0,
        "0",
        "-",
        "N/A",
        "(null)",
        "<null>",
        "unknown",
        "[object Object]",
        "00000000-0000-0000-0000-000000000000",
        "0" * 32,
        "{00000000-0000-0000-0000-000000000000}",
    ],
)
def test_no_id_is_not_one_id_for_all(given: str | int | None) -> None:
    def at(number: int) -> str:
        return str(
            msgspec.json.decode(READER.read(msgspec.json.encode(THEIRS | {"event_id": given}), FRAME, number))[
                "event_id"
            ]
        )

    assert at(1) != at(2)


@pytest.mark.parametrize("given", ["NA-0", "NA_000", "n0a", "none0", "unknown_0", "1", "10", "null-1", "nilsson"])
def test_what_only_looks_like_none_is_an_id(given: str) -> None:
    one, other = (
        msgspec.json.decode(READER.read(msgspec.json.encode(THEIRS | {"event_id": given}), FRAME, number))
        for number in (1, 2)
    )
    assert one == other
    assert one["origin_id"] == given


def test_a_nil_id_is_none_also_where_all_else_is_as_ours() -> None:
    line = encode(OURS).replace(OURS.event_id.encode(), str(uuid.UUID(int=0)).encode())
    assert msgspec.json.decode(READER.read(line, FRAME, 1))["event_id"] != str(uuid.UUID(int=0))


def test_a_byte_order_mark_is_no_part_of_an_event() -> None:
    line = msgspec.json.encode(THEIRS)
    assert READER.read(b"\xef\xbb\xbf" + line, FRAME, 0) == READER.read(line, FRAME, 0)


@pytest.mark.parametrize("half", ["tea \\ud83d", "\\uDE00 tea", "\\ud83d\\ud83d\\ude00"])
def test_half_a_character_is_called_so(half: str) -> None:
    line = msgspec.json.encode(THEIRS | {"handle": "x"}).replace(b'"x"', f'"{half}"'.encode())
    with pytest.raises(ValueError, match="half a character"):
        READER.read(line, FRAME, 0)


@pytest.mark.parametrize(("given", "kept"), [(123.0, "123"), (17841400000000001, "17841400000000001"), (1.5, "1.5")])
def test_a_number_as_an_id(given: float, kept: str) -> None:
    assert read(profile_id=given)["profile_id"] == kept


def test_a_rounded_id_is_refused() -> None:
    with pytest.raises(ValueError, match="was rounded"):
        read(profile_id=1.7841400000000001e16)


@pytest.mark.parametrize("frame_id", ["ffffffff-ffff-7fff-8fff-ffffffffffff", "ffffffff-ffff-4fff-8fff-ffffffffffff"])
def test_an_error_of_a_frame_from_beyond_all_years_has_an_unknown_time(frame_id: str) -> None:
    frame = Frame(uuid.UUID(frame_id), FRAME.route, 1, b"{}")
    line = error_line(b"{}", "why", APP_EVENT, frame, 0)
    assert msgspec.json.decode(line)["event_timestamp"].startswith("1970-01-01")


NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
ANSWER = {
    "event_timestamp": "2026-02-28 10:00:00", "platform": "INSTAGRAM", "profile_id": "c1", "follower_handle": "ravi",
    "score": 0.33, "account_score": 1, "scorer_version": "1",
}  # fmt: skip


def answer(now: dt.datetime = NOW, **changes: object) -> dict[str, Any]:
    reader = LineReader(CREATOR_FOLLOWER_SCORE, lambda: now)
    return msgspec.json.decode(reader.read(msgspec.json.encode(ANSWER | changes), FRAME, 0))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"score": 1.01}, r"<= 1.*\$\.score"),
        ({"score": -0.01}, r">= 0.*\$\.score"),
        ({"score": "nan"}, "score"),
        ({"score": "-Infinity"}, "score"),
        ({"account_score": 17}, r"<= 1.*\$\.account_score"),
        ({"account_score": "NaN"}, "account_score"),
        ({"platform": "instagram"}, r"\$\.platform"),
        ({"platform": "YOUTUBE\n"}, r"\$\.platform"),
        ({"platform": 5}, r"\$\.platform"),
        ({"profile_id": ""}, r"length >= 1.*\$\.profile_id"),
        ({"scorer_version": ""}, r"length >= 1.*\$\.scorer_version"),
        ({"event_timestamp": "2026-03-03 00:00:01"}, "2026-03-03 00:00:01.000000 is more than 2 days, 0:00:00 ahead"),
        ({"event_timestamp": 7_000_000_000}, "is more than 2 days, 0:00:00 ahead"),
    ],
)
def test_a_score_that_is_none_or_of_the_future_is_refused(changes: dict[str, object], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        answer(**changes)
    whole = {
        "event_id": str(uuid.UUID(int=9)),
        "v": 1,
        "origin": "gcc",
        "event_timestamp": "2026-02-28 10:00:00.000000",
    }
    with pytest.raises(ValueError, match=why):  # as we would write it: read by the other way
        answer(**whole | changes)


def test_a_score_of_others_is_understood_like_any_event() -> None:
    assert answer(profile_id=7, score="0.5", event_timestamp="2026-03-02 23:59:59")["profile_id"] == "7"
    assert answer(score=None, account_score=None, refused="no name")["refused"] == "no name"
    assert answer(NOW + dt.timedelta(days=1), event_timestamp="2026-03-03 00:00:01")["score"] == 0.33


def test_of_other_events_the_time_is_the_producers_own() -> None:
    line = msgspec.json.encode(THEIRS | {"event_timestamp": "2199-01-01"})
    assert LineReader(POST_LOG, lambda: NOW).read(line, FRAME, 0)
