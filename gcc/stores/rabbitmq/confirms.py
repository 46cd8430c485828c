"""The confirm window of one channel: what was published and is not settled yet, and who waits for it.

Tags count from 1, as the broker counts them. A batch's tags follow one another, so that an index into its
messages is `tag - first`. Nothing here waits, apart from the event that a batch's publisher waits for.
"""

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Final

import trio

from .codec import Confirm, ReturnedMessage
from .errors import AmqpError, ProtocolError
from .message import Message, Outcome, Properties, Returned

UNSETTLED_MESSAGES_MAX: Final = 4_000
UNSETTLED_BYTES_MAX: Final = 16 * 1024 * 1024


class Batch:
    """The messages of one publish() call, and what the broker said of them."""

    __slots__ = ("error", "first", "left", "messages", "nacked", "returned", "settled")

    def __init__(self, first: int, messages: Sequence[Message]) -> None:
        self.first = first
        self.messages = messages
        self.left = len(messages)
        self.nacked: set[int] = set()
        self.returned: dict[int, Returned] = {}
        self.settled = trio.Event()
        self.error: AmqpError | None = None
        """Why nothing more will be heard of the messages that are left."""


class Confirms:
    """Bounded by messages and by bytes of their bodies; one message larger than the bound goes alone."""

    def __init__(self, messages_max: int = UNSETTLED_MESSAGES_MAX, bytes_max: int = UNSETTLED_BYTES_MAX) -> None:
        self.messages_max = messages_max
        self.bytes_max = bytes_max
        self._last = 0
        self._unsettled: dict[int, Batch] = {}
        self._unsettled_bytes = 0
        self._last_returned = 0

    def begin(self, messages: Sequence[Message]) -> Batch:
        """A batch whose first message is the next to be sent; no other may be begun until it is sent, or given up."""
        return Batch(self._last + 1, messages)

    def pieces(self, messages: Sequence[Message]) -> Iterator[Sequence[Message]]:
        """`messages` cut into as few runs as fit the window when it is empty: nearly always one."""
        start = size = 0
        for index, message in enumerate(messages):
            if index > start and (index - start == self.messages_max or size + len(message.body) > self.bytes_max):
                yield messages[start:index]
                start, size = index, 0
            size += len(message.body)
        yield messages[start:] if start else messages

    def room_for(self, piece: Sequence[Message]) -> bool:
        return not self._unsettled or (
            len(self._unsettled) + len(piece) <= self.messages_max
            and self._unsettled_bytes + _bytes(piece) <= self.bytes_max
        )

    def sent(self, batch: Batch, piece: Sequence[Message]) -> None:
        """The next messages of `batch` were written."""
        first = self._last + 1
        self._last += len(piece)
        self._unsettled_bytes += _bytes(piece)
        self._unsettled.update(dict.fromkeys(range(first, self._last + 1), batch))

    def outcome(self, batch: Batch) -> Outcome:
        """What is known of it by now."""
        unsettled = (tag - batch.first for tag, owner in self._unsettled.items() if owner is batch)
        return Outcome(frozenset(batch.nacked), batch.returned, frozenset(unsettled if batch.left else ()))

    def settle(self, confirm: Confirm) -> None:
        """Raises ProtocolError for a message that was never sent; one that is settled already is left alone."""
        if confirm.tag > self._last:
            raise ProtocolError(f"the broker settled message {confirm.tag} of a channel that sent {self._last}")
        if not confirm.multiple:
            self._settle(confirm.tag, confirm.nacked)
            return
        for tag in list(takewhile((confirm.tag or self._last).__ge__, self._unsettled)):
            self._settle(tag, confirm.nacked)

    def _settle(self, tag: int, nacked: bool) -> None:
        batch = self._unsettled.pop(tag, None)
        if batch is None:
            return
        index = tag - batch.first
        self._unsettled_bytes -= len(batch.messages[index].body)
        if nacked:
            batch.nacked.add(index)
        batch.left -= 1
        if not batch.left:
            batch.settled.set()

    def give_back(self, returned: ReturnedMessage) -> None:
        """Note that a message came back: the oldest unsettled one with its route, id and body.

        A return carries no tag, but it comes before the confirm of its message and returns come in the order
        of publishing. Raises ProtocolError when nothing matches: it would count as stored otherwise.
        """
        message_id = Properties.unpack(returned.packed_properties).message_id
        for after in (self._last_returned, 0):
            for tag, batch in self._unsettled.items():
                index = tag - batch.first
                if tag > after and index not in batch.returned and _same(batch.messages[index], returned, message_id):
                    batch.returned[index] = Returned(returned.code, returned.text)
                    self._last_returned = tag
                    return
        raise ProtocolError(f"a message for {returned.exchange!r} {returned.key!r} came back that was not sent")

    def fail(self, error: AmqpError) -> None:
        """Nothing more will be settled: everyone who waits gets `error`."""
        for batch in set(self._unsettled.values()):
            batch.error = error
            batch.settled.set()
        self._unsettled.clear()
        self._unsettled_bytes = 0


def _bytes(messages: Sequence[Message]) -> int:
    return sum(len(message.body) for message in messages)


def _same(message: Message, returned: ReturnedMessage, message_id: str | None) -> bool:
    return (
        message.key == returned.key
        and message.exchange == returned.exchange
        and message.properties.message_id == message_id
        and message.body == returned.body
    )
