"""Properties of messages as any producer may write them: what cannot be read is lost alone, and nothing raises."""

import datetime as dt
import struct
import uuid
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pamqp import decode

from gcc.channels.message import Frame, Route
from gcc.stores.rabbitmq import Delivery, Properties
from gcc.stores.rabbitmq_messages import packed, unpacked
from tests.unit.test_amqp_codec import properties

NOW = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
NOW_ID = uuid.UUID(int=7)
MESSAGE_ID, TIMESTAMP, HEADERS, TYPE = 0x0080, 0x0040, 0x2000, 0x0020


def short(data: bytes) -> bytes:
    return bytes((len(data),)) + data


def counted(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def flags(*some: int) -> bytes:
    return sum(some).to_bytes(2, "big")


def identified(headers: bytes = b"", message_id: bytes = b"m-1", at: bytes = b"", kind: bytes = b"") -> bytes:
    """Headers, id, time and type, as far as they are given."""
    some = [(HEADERS, counted(headers), headers), (MESSAGE_ID, short(message_id), True), (TIMESTAMP, at, at)]
    some.append((TYPE, short(kind), kind))
    return flags(*(flag for flag, _, there in some if there)) + b"".join(data for _, data, there in some if there)


def header(name: bytes, value: bytes) -> bytes:
    return short(name) + value


def deep(depth: int) -> bytes:
    inner = counted(b"")
    for _ in range(depth):
        inner = counted(b"\x01aF" + inner)
    return b"F" + inner


def wide(count: int) -> bytes:
    return b"A" + counted(b"V" * count)


TEXT = b"S" + counted(b"kept")


@pytest.mark.parametrize("letter", [b"b", b"B", b"s", b"u", b"I", b"i", b"l", b"L"])
@pytest.mark.parametrize("octet", [b"\0", b"\x01", b"\x7f", b"\x80", b"\xff"])
def test_whole_numbers_of_headers_are_what_the_codec_reads(letter: bytes, octet: bytes) -> None:
    used, value = decode.embedded_value(letter + octet * 8)
    found = Properties.unpack(identified(header(b"n", letter + octet * (used - 1)) + header(b"after", TEXT)))
    assert found.headers == {"n": value, "after": "kept"}


UNREADABLE = {
    "a time before 1970": b"T" + struct.pack(">q", -14_256_000),
    "a time in microseconds": b"T" + struct.pack(">q", 1_760_000_000_000_000),
    "deep": deep(1_500),
    "deeper": deep(15_000),
    "wide": wide(100_000),
    "a list that claims too much": b"A" + counted(b"S\x00\x00\xff\xff"),
    "a table with an unknown type": b"F" + counted(b"\x01az123"),
}


@pytest.mark.parametrize("value", UNREADABLE.values(), ids=UNREADABLE)
def test_a_header_that_cannot_be_read_costs_that_header_alone(value: bytes) -> None:
    found = Properties.unpack(identified(header(b"a", TEXT) + header(b"odd", value) + header(b"z", TEXT), kind=b"t"))
    assert found.headers is not None and {**found.headers, "odd": 0} == {"a": "kept", "odd": 0, "z": "kept"}
    assert (found.message_id, found.type) == ("m-1", "t")


@pytest.mark.parametrize("table", [header(b"odd", b"z123") + header(b"z", TEXT), short(b"cut"), b"\xff", b"\x01aS\xff"])
def test_headers_whose_end_is_not_known_cost_those_after_them(table: bytes) -> None:
    found = Properties.unpack(identified(header(b"a", TEXT) + table, kind=b"t"))
    assert (found.headers, found.message_id, found.type) == ({"a": "kept"}, "m-1", "t")


def test_a_header_of_40_kb_is_read() -> None:
    found = Properties.unpack(identified(header(b"long", b"S" + counted(b"x" * 40_000))))
    assert (found.headers, found.message_id) == ({"long": "x" * 40_000}, "m-1")


@pytest.mark.parametrize("seconds", [-14_256_000, -1, 1_760_000_000_000_000, 2**63 - 1, -(2**63)])
def test_a_time_that_cannot_be_read_costs_the_time_alone(seconds: int) -> None:
    found = Properties.unpack(identified(at=struct.pack(">q", seconds), kind=b"t"))
    assert (found.timestamp, found.message_id, found.type) == (None, "m-1", "t")


@given(properties, st.integers(1, 4))
def test_flags_that_go_on_are_passed_over(given: Properties, words: int) -> None:
    data = given.pack()
    more = (int.from_bytes(data[:2], "big") | 1).to_bytes(2, "big") + b"\xff\xff" * (words - 1) + b"\xff\xfe"
    assert Properties.unpack(more + data[2:]) == given


@given(st.binary(max_size=400) | st.binary(max_size=200).map(lambda tail: b"\x20\x80\x00\x00\x00\xc8" + tail))
@example(b"\xff\xff" * 100)
def test_any_bytes_are_read_as_far_as_they_go(data: bytes) -> None:
    message = delivery(data)
    assert unpacked("q", 1, message, NOW) == unpacked("q", 1, message, NOW)


def before_the_id(given: Properties) -> int:
    """How many octets come before the message's id."""
    names = ["message_id", "timestamp", "type", "user_id", "app_id"]
    return len(replace(given, **dict.fromkeys(names)).pack())


@given(properties.filter(lambda given: given.message_id is not None), st.data())
def test_the_id_is_kept_wherever_else_octets_change(given: Properties, data: st.DataObject) -> None:
    """Inside values, not in what counts their octets: then nobody knows where the id is."""
    packed_given = bytearray(given.pack())
    start = before_the_id(given)
    assert given.message_id is not None
    end = start + 1 + len(given.message_id.encode())
    inside_headers = _table(given)
    for at in data.draw(
        st.lists(st.sampled_from([*inside_headers, *range(end, len(packed_given))] or [0]), max_size=8)
    ):
        if at >= 2:
            packed_given[at] = data.draw(st.integers(0, 255))
    assert Properties.unpack(bytes(packed_given)).message_id == given.message_id


def _table(given: Properties) -> range:
    """Where the content of the headers is."""
    if given.headers is None:
        return range(0)
    content = Properties(headers=given.headers).pack()[6:]
    start = given.pack().index(content, 6) if content else 6
    return range(start, start + len(content))


def delivery(packed_properties: bytes, body: bytes = b'{"a": 1}', key: str = "k") -> Delivery:
    message = Delivery(1, False, "beat.dx", key, "1.1")
    message.body, message.packed_properties = body, packed_properties
    return message


def frame_id(packed_properties: bytes) -> uuid.UUID:
    return unpacked("q", 1, delivery(packed_properties), NOW).frame.id


@pytest.mark.parametrize(
    "rest",
    [
        {"at": struct.pack(">q", -14_256_000)},
        {"headers": header(b"long", b"S" + counted(b"x" * 40_000))},
        *({"headers": header(b"odd", value)} for value in UNREADABLE.values()),
        {"headers": header(b"odd", b"z123")},
        {"kind": b"\xff"},
    ],
)
def test_equal_bodies_under_different_ids_are_two_events_whatever_else_cannot_be_read(rest: dict[str, bytes]) -> None:
    one, other = (frame_id(identified(message_id=name, **rest)) for name in (b"m-1", b"m-2"))
    assert one != other
    assert one == frame_id(identified(message_id=b"m-1")), "and it is the same event without what cannot be read"


def test_ids_that_are_no_utf8_differ_where_their_bytes_do() -> None:
    assert len({frame_id(identified(message_id=name)) for name in (b"\xff1", b"\xff2", b"\xfe1", b"1")}) == 4


def test_equal_bodies_without_an_id_are_one_event() -> None:
    assert frame_id(b"") == frame_id(b"\x00\x00") == frame_id(identified(message_id=b""))


@pytest.mark.parametrize("none", ["00000000-0000-0000-0000-000000000000", "null", "undefined", "0", "-", "N/A", " "])
def test_an_id_that_all_messages_of_a_producer_have_is_none(none: str) -> None:
    first, second, again = (
        unpacked("q", 1, delivery(identified(message_id=none.encode()), body), NOW).frame.id
        for body in (b'{"a":1}', b'{"a":2}', b'{"a":1}')
    )
    assert first == again != second


@pytest.mark.parametrize("events", [0, -1, 101, 2**40, True])
def test_a_number_of_events_that_no_frame_has_is_not_believed(events: int) -> None:
    ours = packed(Frame(NOW_ID, Route("beat.dx", "k"), 1, b"{}"), NOW).properties
    assert ours.headers is not None
    told = Properties(headers={**ours.headers, "events": events}).pack()
    assert unpacked("q", 1, delivery(told), NOW).frame.events == 1
    assert unpacked("q", 1, delivery(told), NOW).frame.id != NOW_ID


@pytest.mark.parametrize(
    "body", [b'{"a":\n"\xff"}', b"[" * 100_000 + b"\n", b'{"a": "\\ud800\n"}', b"\n\n", b"1" * 5000 + b"\n"]
)
def test_a_body_that_cannot_be_put_on_one_line_stays_as_it_is(body: bytes) -> None:
    assert unpacked("q", 1, delivery(b"", body), NOW).frame.body == body


def test_a_mark_of_the_byte_order_does_not_keep_a_body_from_its_line() -> None:
    assert unpacked("q", 1, delivery(b"", b'\xef\xbb\xbf{"a":\n1}'), NOW).frame.body == b'{"a":1}'


def test_a_body_that_was_too_long_says_so() -> None:
    message = delivery(b"", b'{"a": "xxx')
    message.cut_bytes = 1_000_000
    assert unpacked("q", 1, message, NOW).frame.headers == {"cut_bytes": "1000000"}
