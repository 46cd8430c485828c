"""The confirm window: what is settled by which confirm, which message came back, what fits."""

import pytest

from gcc.stores.rabbitmq import ConnectionClosed, Message, Outcome, Properties, ProtocolError, Returned
from gcc.stores.rabbitmq.codec import Confirm, ReturnedMessage
from gcc.stores.rabbitmq.confirms import Batch, Confirms


def some(*bodies: bytes) -> list[Message]:
    return [Message("x", "k", body) for body in bodies]


def send(confirms: Confirms, messages: list[Message]) -> Batch:
    batch = confirms.begin(messages)
    confirms.sent(batch, messages)
    return batch


def back(body: bytes, key: str = "k", message_id: str | None = None) -> ReturnedMessage:
    return ReturnedMessage(312, "NO_ROUTE", "x", key, body, Properties(message_id=message_id).pack())


def test_single_and_multiple_confirms_settle_what_they_name() -> None:
    confirms = Confirms()
    first, second = send(confirms, some(b"1", b"2", b"3")), send(confirms, some(b"4", b"5"))
    confirms.settle(Confirm(4, False, True))
    confirms.settle(Confirm(2, True, False))
    assert (first.left, second.left) == (1, 1)
    assert (confirms.outcome(first).unsettled, confirms.outcome(second).unsettled) == ({2}, {1})
    confirms.settle(Confirm(2, False, True))  # settled already: left alone
    confirms.settle(Confirm(5, True, True))
    assert first.settled.is_set() and second.settled.is_set()
    assert confirms.outcome(first) == Outcome(frozenset({2}))
    assert confirms.outcome(second) == Outcome(frozenset({0, 1}))


def test_a_multiple_confirm_of_tag_0_settles_all() -> None:
    confirms = Confirms()
    batch = send(confirms, some(b"1", b"2"))
    confirms.settle(Confirm(0, True, False))
    assert batch.settled.is_set() and not batch.nacked


@pytest.mark.parametrize("multiple", [False, True])
def test_a_confirm_of_what_was_never_sent_is_refused_and_changes_nothing(multiple: bool) -> None:
    confirms = Confirms()
    batch = send(confirms, some(b"1"))
    with pytest.raises(ProtocolError, match="message 18446744073709551615 of a channel that sent 1"):
        confirms.settle(Confirm(2**64 - 1, multiple, False))
    assert batch.left == 1


def test_returned_messages_are_matched_by_route_id_and_body_in_order() -> None:
    confirms = Confirms()
    messages = [
        Message("x", "k", b"a", Properties(message_id="1")),
        Message("x", "k", b"a", Properties(message_id="2")),
        Message("x", "other", b"a", Properties(message_id="1")),
        Message("x", "k", b"a", Properties(message_id="2")),
    ]
    batch = send(confirms, messages)
    confirms.give_back(back(b"a", message_id="2"))
    confirms.give_back(back(b"a", message_id="2"))
    confirms.give_back(back(b"a", key="other", message_id="1"))  # out of order: found all the same
    assert batch.returned == dict.fromkeys((1, 3, 2), Returned(312, "NO_ROUTE"))
    with pytest.raises(ProtocolError, match="not sent"):
        confirms.give_back(back(b"a", message_id="2"))


def test_a_returned_message_is_looked_for_among_the_unsettled_only() -> None:
    confirms = Confirms()
    first = send(confirms, some(b"same"))
    confirms.settle(Confirm(1, False, False))
    second = send(confirms, some(b"same"))
    confirms.give_back(back(b"same"))
    assert not first.returned and set(second.returned) == {0}


def test_the_window_is_bounded_by_count_and_by_bytes() -> None:
    confirms = Confirms(messages_max=3, bytes_max=10)
    assert [len(piece) for piece in confirms.pieces(some(*[b"1"] * 7))] == [3, 3, 1]
    assert [len(piece) for piece in confirms.pieces(some(b"4444", b"4444", b"4444"))] == [2, 1]
    assert [len(piece) for piece in confirms.pieces(some(b"1", b"x" * 11, b"1"))] == [1, 1, 1]
    assert confirms.room_for(some(b"x" * 11))  # alone
    send(confirms, some(b"55555", b"1"))
    assert confirms.room_for(some(b"4444"))
    assert not confirms.room_for(some(b"55555"))
    assert not confirms.room_for(some(b"1", b"1"))
    confirms.settle(Confirm(1, False, False))
    assert confirms.room_for(some(b"55555", b"4444"))


def test_failure_reaches_every_batch_once_and_empties_the_window() -> None:
    confirms = Confirms(messages_max=2)
    done, waiting = send(confirms, some(b"1")), send(confirms, some(b"2"))
    confirms.settle(Confirm(1, False, False))
    error = ConnectionClosed(None, "lost")
    confirms.fail(error)
    assert (done.error, waiting.error) == (None, error)
    assert waiting.settled.is_set() and confirms.room_for(some(b"3", b"4"))
