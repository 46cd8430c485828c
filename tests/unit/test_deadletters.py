"""A dead letter's document: every body comes back byte by byte, and what is not the letter's is noticed."""

import datetime as dt
import json
import uuid

import msgspec
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from gcc.channels.deadletters import BURIALS_AT_ONCE, Burial, bury_all, decoded, document
from gcc.channels.message import Frame, Route
from gcc.errors import Permanent, Transient

AT = dt.datetime(2026, 3, 4, 5, 6, 7, tzinfo=dt.UTC)
FRAME = Frame(uuid.UUID(int=7), Route("beat.dx", "x"), 2, b"", {"x-retry-count": "2"})


def encoded(body: bytes, reason: str = "no type", frame: Frame = FRAME) -> bytes:
    letter = document(Burial("q", frame, body, 2, reason), AT)
    return msgspec.json.encode(letter)


def test_a_letter_is_one_json_document_that_other_programs_can_read() -> None:
    found = json.loads(encoded(b'{"a": 1}\n{"a": 2}'))
    assert found.pop("id") == str(decoded(encoded(b'{"a": 1}\n{"a": 2}')).id)
    assert found == {
        "queue": "q", "exchange": "beat.dx", "routing_key": "x", "frame_id": str(FRAME.id), "events": 2,
        "reason": "no type", "headers": {"x-retry-count": "2"}, "dead_lettered_at": "2026-03-04T05:06:07Z",
        "body_encoding": "utf-8", "body": '{"a": 1}\n{"a": 2}',
    }  # fmt: skip


@given(st.binary() | st.text().map(str.encode))
def test_every_body_comes_back_byte_by_byte(body: bytes) -> None:
    assert decoded(encoded(body)).content == body


def test_bytes_that_are_no_text_are_marked() -> None:
    found = json.loads(encoded(b"\xff\x00"))
    assert (found["body_encoding"], found["body"]) == ("base64", "/wA=")


def test_the_same_events_of_the_same_frame_and_queue_have_the_same_id() -> None:
    first = decoded(encoded(b"a")).id
    assert decoded(encoded(b"a", "another reason")).id == first
    assert decoded(encoded(b"b")).id != first
    assert decoded(encoded(b"a", frame=Frame(uuid.UUID(int=8), FRAME.route, 2, b""))).id != first


def test_what_a_database_cannot_keep_is_replaced() -> None:
    frame = Frame(FRAME.id, FRAME.route, 1, b"", {"a\0": "\udc80"})
    found = decoded(encoded(b"", "half \ud800, none \0", frame))
    assert (found.reason, found.headers) == ("half ?, none \ufffd", {"a\ufffd": "?"})
    assert len(decoded(encoded(b"", "x" * 5000)).reason) == 2000


@pytest.mark.parametrize(
    "change",
    [{"body": "b"}, {"queue": "other"}, {"body_encoding": "base64", "body": "?"}, {"id": str(uuid.UUID(int=1))}],
)
def test_a_letter_that_was_changed_is_noticed(change: dict[str, str]) -> None:
    letter = decoded(json.dumps({**json.loads(encoded(b"a")), **change}).encode())
    with pytest.raises(Permanent, match="body of dead letter"):
        _ = letter.content


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b"[", encoded(b"a").replace(b'"events":2', b'"events":"2"')])
def test_what_is_no_letter_is_noticed(data: bytes) -> None:
    with pytest.raises(Permanent, match="not a dead letter"):
        decoded(data)


class Slow:
    """Letters are kept one second after they were asked for; of queue "away" never, which it tells sooner."""

    def __init__(self) -> None:
        self.at_once = self.most = self.kept = self.asked = 0

    async def bury(self, burial: Burial) -> None:
        self.asked += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await trio.sleep(0.5 if burial.queue == "away" else 1)
        finally:
            self.at_once -= 1
        if burial.queue == "away":
            raise Transient("the objects are away")
        self.kept += 1


async def test_many_are_buried_a_few_at_once(autojump_clock: trio.testing.MockClock) -> None:
    slow = Slow()
    await bury_all(slow, [Burial("q", FRAME, b"", 1, "no type")] * 10)
    assert (slow.kept, slow.most) == (10, BURIALS_AT_ONCE)


async def test_the_first_letter_that_is_not_kept_ends_it_as_itself(autojump_clock: trio.testing.MockClock) -> None:
    slow = Slow()
    with pytest.raises(Transient, match="the objects are away"):
        await bury_all(slow, [Burial(queue, FRAME, b"", 1, "no type") for queue in ("q", "away", *"q" * 20)])
    assert slow.asked == BURIALS_AT_ONCE


def test_headers_do_not_make_frames_differ() -> None:
    bare = Frame(FRAME.id, FRAME.route, 2, b"")
    assert (bare, hash(bare), bare.headers) == (FRAME, hash(FRAME), {})
