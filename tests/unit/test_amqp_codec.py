"""AMQP on the wire: our struct code against pamqp's, in both directions, and everything a hostile peer may send."""

import datetime as dt
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import body, commands, frame, header, heartbeat

from gcc.stores.rabbitmq import Delivery, Message, Properties, ProtocolError, codec
from gcc.stores.rabbitmq.codec import Confirm, Event, Parser, ReturnedMessage

FRAME_MAX = 4096


def short_texts(bytes_max: int = 255) -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs"]), max_size=60).filter(
        lambda text: len(text.encode()) <= bytes_max
    )


times = st.integers(0, 2**32 - 1).map(lambda seconds: dt.datetime.fromtimestamp(seconds, dt.UTC))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(width=32, allow_nan=False)
    | short_texts()
    | times
)


def inside(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(short_texts(128), inner, max_size=3)


values = st.recursive(scalars, inside, max_leaves=8)
tables = st.dictionaries(short_texts(128), values, max_size=4)
names = short_texts().filter(bool)  # pamqp leaves "" out
properties = st.builds(
    Properties,
    content_type=st.none() | names,
    content_encoding=st.none() | names,
    headers=st.none() | tables,
    delivery_mode=st.sampled_from([None, 1, 2]),
    priority=st.none() | st.integers(0, 255),
    correlation_id=st.none() | names,
    reply_to=st.none() | names,
    expiration=st.none() | names,
    message_id=st.none() | names,
    timestamp=st.none() | times,
    type=st.none() | names,
    user_id=st.none() | names,
    app_id=st.none() | names,
)
bodies = st.binary(max_size=40) | st.integers(0, 20_000).map(lambda size: random.Random(size).randbytes(size))
exchanges = st.from_regex(r"[a-zA-Z0-9-_.:@#,/+ ]{0,127}", fullmatch=True)  # pamqp allows no other
messages = st.builds(Message, exchanges, short_texts(), bodies, properties)
tags = st.integers(0, 2**64 - 1)
channels = st.integers(1, 65535)


def pamqp_properties(given: Properties) -> commands.Basic.Properties:
    fields = {name: getattr(given, name) for name in Properties.__slots__}
    fields["message_type"] = fields.pop("type")
    return commands.Basic.Properties(**fields)


def content(channel: int, method: Any, message: Message, frame_max: int = FRAME_MAX) -> bytes:
    """A method with content as pamqp writes it."""
    size = frame_max - 8
    pieces = [message.body[start : start + size] for start in range(0, len(message.body), size)]
    return b"".join(
        [
            frame.marshal(method, channel),
            frame.marshal(header.ContentHeader(0, len(message.body), pamqp_properties(message.properties)), channel),
            *(frame.marshal(body.ContentBody(piece), channel) for piece in pieces),
        ]
    )


def delivered(channel: int, tag: int, message: Message) -> bytes:
    method = commands.Basic.Deliver("consumer", tag, False, message.exchange, message.key)
    return content(channel, method, message)


def parser(**options: int) -> Parser:
    parser = Parser(FRAME_MAX, **options)
    parser.channels_opened = 65535
    return parser


def plain(events: list[tuple[int, Event]]) -> list[Any]:
    """Events as values that can be compared."""
    return [
        (channel, type(event).__name__, {name: getattr(event, name) for name in _names(event)})
        for channel, event in events
    ]


def _names(event: Event) -> list[str]:
    return list(event.__slots__) if not isinstance(event, commands.Basic.Return) else []


def frames_of(data: bytes) -> list[tuple[int, Any]]:
    """What pamqp reads in it."""
    found = []
    while data:
        used, channel, decoded = frame.unmarshal(data)
        found.append((channel, decoded))
        data = data[used:]
    return found


# -- what is sent


@given(channels, st.lists(messages, min_size=1, max_size=4), st.booleans())
def test_pamqp_reads_what_is_published(channel: int, batch: list[Message], mandatory: bool) -> None:
    data = codec.publish(channel, batch, FRAME_MAX, mandatory=mandatory)
    found = frames_of(data)
    for message in batch:
        number, method = found.pop(0)
        assert number == channel
        assert (method.exchange, method.routing_key, method.mandatory) == (message.exchange, message.key, mandatory)
        number, head = found.pop(0)
        assert (number, head.body_size) == (channel, len(message.body))
        assert head.properties == pamqp_properties(message.properties)
        size = 0
        while size < len(message.body):
            number, piece = found.pop(0)
            assert number == channel and 0 < len(piece.value) <= FRAME_MAX - 8
            assert piece.value == message.body[size : size + len(piece.value)]
            size += len(piece.value)
    assert not found


@given(channels, tags, st.booleans(), st.booleans())
def test_acks_and_nacks_are_what_pamqp_writes(channel: int, tag: int, multiple: bool, requeue: bool) -> None:
    tag &= 2**63 - 1  # pamqp cannot write more
    assert codec.ack(channel, tag, multiple=multiple) == frame.marshal(commands.Basic.Ack(tag, multiple), channel)
    nack = commands.Basic.Nack(tag, multiple, requeue)
    assert codec.nack(channel, tag, multiple=multiple, requeue=requeue) == frame.marshal(nack, channel)


def test_the_constants_are_what_pamqp_writes() -> None:
    assert frame.marshal(header.ProtocolHeader(), 0) == codec.PROTOCOL_HEADER
    assert frame.marshal(heartbeat.Heartbeat(), 0) == codec.HEARTBEAT


@pytest.mark.parametrize(
    "message",
    [
        Message("x" * 256, "k", b""),
        Message("x", "é" * 128, b""),
        Message("x", "k", b"", Properties(message_id="m" * 256)),
        Message("x", "k", b"", Properties(headers={"k" * 129: 1})),
        Message("x", "k", b"", Properties(headers={"k": 2**63})),
        Message("x", "k", b"", Properties(headers={"k": {1}})),
        Message("x", "k", b"", Properties(delivery_mode=256)),
        Message("x", "k", b"", Properties(timestamp=dt.datetime(1960, 1, 1, tzinfo=dt.UTC))),
        Message("x", "k", b"", Properties(headers={"k": "v" * FRAME_MAX})),
    ],
)
def test_what_amqp_cannot_carry_is_a_value_error(message: Message) -> None:
    with pytest.raises(ValueError):
        codec.publish(1, [message], FRAME_MAX, mandatory=True)


# -- what is received


@given(channels, tags, st.booleans(), messages)
def test_a_delivery_of_pamqp_is_read(channel: int, tag: int, redelivered: bool, message: Message) -> None:
    tag &= 2**63 - 1
    method = commands.Basic.Deliver("ctag", tag, redelivered, message.exchange, message.key)
    ((number, delivery),) = parser().feed(content(channel, method, message))
    assert isinstance(delivery, Delivery)
    assert (number, delivery.consumer_tag, delivery.tag, delivery.redelivered) == (channel, "ctag", tag, redelivered)
    assert (delivery.exchange, delivery.key, delivery.body) == (message.exchange, message.key, message.body)
    assert delivery.properties == message.properties


@given(channels, messages)
def test_a_returned_message_of_pamqp_is_read(channel: int, message: Message) -> None:
    method = commands.Basic.Return(312, "NO_ROUTE", "logs", message.key)
    ((number, event),) = parser().feed(content(channel, method, message))
    assert isinstance(event, ReturnedMessage)
    assert (number, event.code, event.text, event.exchange, event.key, event.body) == (
        channel,
        312,
        "NO_ROUTE",
        "logs",
        message.key,
        message.body,
    )
    assert Properties.unpack(event.packed_properties) == message.properties


@given(channels, tags, st.booleans())
def test_confirms_of_pamqp_are_read(channel: int, tag: int, multiple: bool) -> None:
    tag &= 2**63 - 1
    data = frame.marshal(commands.Basic.Ack(tag, multiple), channel) + frame.marshal(
        commands.Basic.Nack(tag, multiple, True), channel
    )
    assert parser().feed(data) == [(channel, Confirm(tag, multiple, False)), (channel, Confirm(tag, multiple, True))]


@given(properties)
def test_properties_survive_a_round_trip(given: Properties) -> None:
    assert Properties.unpack(given.pack()) == given


def stream(batch: list[Message]) -> bytes:
    """Many kinds of frames, with two channels' messages between one another."""
    parts = [frame.marshal(commands.Queue.DeclareOk("q", 1, 2), 3), codec.HEARTBEAT]
    for number, message in enumerate(batch):
        parts.append(delivered(1 + number % 2, number, message))
        parts.append(codec.ack(2 - number % 2, number, multiple=False))
        parts.append(frame.marshal(commands.Connection.Blocked("low"), 0))
    return b"".join(parts)


@given(st.lists(messages, max_size=3), st.data())
def test_however_the_stream_is_cut_the_events_are_the_same(batch: list[Message], data: st.DataObject) -> None:
    whole = stream(batch)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=20)))
    reader = parser()
    events = []
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        events += reader.feed(whole[start:end])
    assert plain(events) == plain(parser().feed(whole))
    assert len(events) == 1 + 3 * len(batch)


def test_one_octet_at_a_time_gives_the_same_events() -> None:
    whole = stream([Message("x", "k", b"b" * 9_000), Message("x", "k", b"")])
    reader = parser()
    events = [event for octet in whole for event in reader.feed(bytes([octet]))]
    assert plain(events) == plain(parser().feed(whole))


def test_messages_of_several_channels_may_come_in_turns() -> None:
    def whole(number: int) -> bytes:
        deliver = commands.Basic.Deliver("c", 1, False, "x", "k")
        return content(number, deliver, Message("x", "k", bytes([number]) * 10_000))

    frames_one, frames_two = _cut(whole(1)), _cut(whole(2))
    mixed = b"".join(frame for pair in zip(frames_one, frames_two, strict=True) for frame in pair)
    assert [(number, event.body) for number, event in parser().feed(mixed) if isinstance(event, Delivery)] == [
        (1, b"\x01" * 10_000),
        (2, b"\x02" * 10_000),
    ]


def _cut(data: bytes) -> list[bytes]:
    pieces = []
    while data:
        size = int.from_bytes(data[3:7], "big") + 8
        pieces.append(data[:size])
        data = data[size:]
    return pieces


# -- what a hostile or broken peer may send


def raw(kind: int, channel: int, payload: bytes, end: bytes = b"\xce") -> bytes:
    return kind.to_bytes(1, "big") + channel.to_bytes(2, "big") + len(payload).to_bytes(4, "big") + payload + end


DELIVER = frame.marshal(commands.Basic.Deliver("c", 1, False, "x", "k"), 1)
HEADER_OF_3 = frame.marshal(header.ContentHeader(0, 3), 1)
HOSTILE: dict[str, tuple[bytes, str]] = {
    "wrong end octet": (raw(1, 0, b"\x00\x0a\x00\x0b", b"\xcd"), "ends with octet"),
    "a frame over frame_max": (b"\x03\x00\x01\x00\x00\x10\x00", "at most 4,088"),  # known before its payload comes
    "a kind that there is not": (raw(4, 0, b"abc"), "type 4"),
    "another protocol": (b"HTTP/1.1 400 Bad Request\r\n", "type 72"),
    "another AMQP": (b"AMQP\x00\x01\x00\x00", "another AMQP"),
    "a channel that was never opened": (codec.ack(9, 1, multiple=False), "channel 9"),
    "a heartbeat on a channel": (raw(8, 1, b""), "heartbeat"),
    "a heartbeat with something in it": (raw(8, 0, b"x"), "heartbeat"),
    "a body before its header": (DELIVER + raw(3, 1, b"abc"), "without a content header"),
    "a body out of nothing": (raw(3, 1, b"abc"), "without a content header"),
    "a header out of nothing": (HEADER_OF_3, "without a message"),
    "two headers": (DELIVER + HEADER_OF_3 * 2, "without a message"),
    "a method inside a message": (DELIVER + HEADER_OF_3 + codec.ack(1, 1, multiple=False), "middle of a message"),
    "a body that is too long": (DELIVER + HEADER_OF_3 + raw(3, 1, b"abcd"), "longer"),
    "a header of another class": (DELIVER + raw(2, 1, b"\x00\x0a" + bytes(12)), "class 10"),
    "a header that is cut short": (DELIVER + raw(2, 1, b"\x00\x3c"), "cannot be read"),
    "a method without a number": (raw(1, 1, b"\x00"), "cannot be read"),
    "an empty method": (raw(1, 0, b""), "cannot be read"),
    "a method that there is not": (raw(1, 0, b"\x00\x0a\x77\x77"), "0xa7777"),
    "a delivery that is cut short": (raw(1, 1, DELIVER[7:-4]), "end together|cannot be read"),
    "a delivery that ends in its tag": (raw(1, 1, DELIVER[7:16]), "cannot be read|end together"),
    "a delivery with more in it": (raw(1, 1, DELIVER[7:-1] + b"more"), "end together"),
    "a confirm that is cut short": (raw(1, 1, b"\x00\x3c\x00\x50\x00"), "cannot be read"),
    "a garbage table": (raw(1, 0, b"\x00\x0a\x00\x0a\x00\x09\x00\x00\x00\x09\x05aaaaaZZZ"), "cannot be read"),
    "tables inside tables": (
        raw(1, 0, b"\x00\x0a\x00\x0a\x00\x09" + b"".join(
            (3_700 - 7 * depth).to_bytes(4, "big") + b"\x01aF" for depth in range(500))),
        "cannot be read",
    ),
}  # fmt: skip


@pytest.mark.parametrize("data, reason", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_frames_are_protocol_errors(data: bytes, reason: str) -> None:
    reader = Parser(FRAME_MAX, message_bytes_max=1000)
    reader.channels_opened = 1
    with pytest.raises(ProtocolError, match=reason):
        reader.feed(data + bytes(8))  # what follows does not matter


@given(st.binary(max_size=300))
def test_random_bytes_give_events_or_a_protocol_error(data: bytes) -> None:
    _feeds_or_refuses(data)


@given(st.integers(1, 3), st.integers(0, 3), st.binary(max_size=200))
def test_random_payloads_give_events_or_a_protocol_error(kind: int, channel: int, payload: bytes) -> None:
    _feeds_or_refuses(DELIVER + raw(kind, channel, payload))
    _feeds_or_refuses(raw(kind, channel, payload))


@given(st.sampled_from(sorted(commands.INDEX_MAPPING)), st.integers(0, 3), st.binary(max_size=200))
def test_every_method_with_random_arguments_gives_events_or_a_protocol_error(
    method: int, channel: int, arguments: bytes
) -> None:
    _feeds_or_refuses(raw(1, channel, method.to_bytes(4, "big") + arguments))


@given(st.lists(messages, min_size=1, max_size=2), st.data())
def test_a_changed_octet_gives_events_or_a_protocol_error(batch: list[Message], data: st.DataObject) -> None:
    whole = bytearray(stream(batch))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    _feeds_or_refuses(bytes(whole))


def _feeds_or_refuses(data: bytes) -> None:
    try:
        for _, event in parser().feed(data):
            if isinstance(event, Delivery):
                _ = event.properties
    except ProtocolError:
        pass


@pytest.mark.parametrize("properties", [b"", b"\x90", b"\x00"])
def test_properties_without_their_flags_are_none(properties: bytes) -> None:
    """A producer's own bytes: the stream goes on."""
    parser = codec.Parser(4096)
    parser.channels_opened = 1
    head = b"\x00\x3c\x00\x00" + (3).to_bytes(8, "big") + properties
    ((_, message),) = parser.feed(DELIVER + raw(2, 1, head) + raw(3, 1, b"abc"))
    assert isinstance(message, Delivery)
    assert (message.body, message.properties) == (b"abc", Properties())


def test_names_that_are_no_utf8_cost_nobody_the_connection() -> None:
    told = b"\x00\x3c\x00\x3c\x031.1" + (7).to_bytes(8, "big") + b"\x00\x04beat\x03a\xffb"
    ((_, event),) = parser().feed(raw(1, 1, told) + raw(2, 1, b"\x00\x3c\x00\x00" + bytes(8) + b"\x00\x00"))
    assert isinstance(event, Delivery) and (event.exchange, event.key) == ("beat", "a\\xffb")


@given(size=st.integers(0, 40), cut=st.integers(1, 12))
def test_of_a_message_that_is_too_long_the_beginning_is_kept(size: int, cut: int) -> None:
    reader = Parser(FRAME_MAX, message_bytes_max=20)
    reader.channels_opened = 1
    body = bytes(range(size))
    reader.feed(
        DELIVER + raw(2, 1, b"\x00\x3c\x00\x00" + size.to_bytes(8, "big") + b"\x00\x00")[: None if size else -1]
    )
    events = [event for at in range(0, size, cut) for event in reader.feed(raw(3, 1, body[at : at + cut]))]
    (delivery,) = [event for _, event in events or reader.feed(b"\xce")]
    assert isinstance(delivery, Delivery)
    assert (delivery.body, delivery.cut_bytes) == (body[:20], max(0, size - 20))


def test_a_message_is_dropped_when_its_channel_closes_in_the_middle() -> None:
    reader = parser()
    close = commands.Channel.Close(404, "gone", 0, 0)
    events = reader.feed(DELIVER + HEADER_OF_3 + raw(3, 1, b"a") + frame.marshal(close, 1))
    assert [type(event) for _, event in events] == [commands.Channel.Close]
    assert len(reader.feed(DELIVER + HEADER_OF_3 + raw(3, 1, b"abc"))) == 1


def test_empty_bodies_hold_nothing() -> None:
    reader = parser()
    reader.feed(DELIVER + HEADER_OF_3 + raw(3, 1, b"") * 1000)
    ((_, event),) = reader.feed(raw(3, 1, b"ab") + raw(3, 1, b"") + raw(3, 1, b"c"))
    assert isinstance(event, Delivery) and event.body == b"abc"
