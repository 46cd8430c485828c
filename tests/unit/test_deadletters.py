"""A dead letter's document: every body comes back byte by byte, and what is not the letter's is noticed."""

import datetime as dt
import json
import uuid

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcc.channels.deadletters import LETTERS_MAX, Burial, Document, decoded, document, packed
from gcc.channels.message import Frame, Route
from gcc.errors import Permanent

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


def test_a_letter_of_a_queue_and_a_route_that_no_database_can_name_is_kept() -> None:
    frame = Frame(FRAME.id, Route("x\0", "\udcff"), 1, b"")
    found = decoded(msgspec.json.encode(document(Burial("q\0\ud83d", frame, b"a", 1, ""), AT)))
    assert (found.queue, found.exchange, found.routing_key) == ("q\ufffd?", "x\ufffd", "?")
    assert found.content == b"a"


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


def letters(*bodies: bytes) -> list[Document]:
    return [document(Burial("q", FRAME, body, 1, "no type"), AT) for body in bodies]


def test_each_letter_is_a_line_of_its_own_whatever_is_in_it() -> None:
    found = letters(b"{}\n{}", b"\xff\n", "\u2028\x85".encode(), b"")
    (pack,) = packed(found)
    assert [decoded(line) for line in b"".join(pack.lines).splitlines(keepends=True)] == found == pack.letters


def test_an_object_holds_so_many_letters_or_bytes_and_one_letter_that_is_larger(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = letters(*(b"%d" % number for number in range(LETTERS_MAX + 1)))
    assert [len(pack.letters) for pack in packed(found)] == [LETTERS_MAX, 1]
    line = len(msgspec.json.encode(found[0]) + b"\n")
    monkeypatch.setattr("gcc.channels.deadletters.OBJECT_BYTES_MAX", 2 * line)
    few = [*found[:5], *letters(b"x" * 9 * line), *found[5:6]]
    assert [len(pack.letters) for pack in packed(few)] == [2, 2, 1, 1, 1]
    assert [letter for pack in packed(few) for letter in pack.letters] == few
    assert list(packed([])) == []


def test_an_objects_name_says_which_letters_are_in_it_and_where() -> None:
    def name(*bodies: bytes, reason: str = "no type", at: dt.datetime = AT) -> str:
        (pack,) = packed(document(Burial("q", FRAME, body, 1, reason), at) for body in bodies)
        return pack.name

    first = name(b"a", b"b")
    assert name(b"a", b"b", at=AT + dt.timedelta(seconds=7)) == first, "a line is as long whenever it was written"
    assert len({first, name(b"b", b"a"), name(b"a"), name(b"a", b"b", reason="other type"), name(b"a", b"c")}) == 5


def test_headers_do_not_make_frames_differ() -> None:
    bare = Frame(FRAME.id, FRAME.route, 2, b"")
    assert (bare, hash(bare), bare.headers) == (FRAME, hash(FRAME), {})
