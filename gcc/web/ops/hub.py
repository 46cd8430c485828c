"""Fan-out of one message to many slow readers: everybody gets the latest, nobody gets a queue.

In: `publish(text)`, never waiting. Out: `Client.next()`, the newest text not seen yet; a client that is
behind skips what was published meanwhile. Memory is one text, however many clients and however slow.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import trio


class HubFull(Exception):
    """As many clients as are allowed are connected."""


class Hub:
    """The latest message and those who wait for the next one; at most `clients_max` of them."""

    def __init__(self, clients_max: int) -> None:
        self.clients_max = clients_max
        self.clients = 0
        self._latest = ""
        self._number = 0  # of the latest message, from 1
        self._published = trio.Event()

    def publish(self, text: str) -> None:
        """Replace the latest message and wake whoever waits for it."""
        self._latest = text
        self._number += 1
        self._published.set()
        self._published = trio.Event()

    @contextmanager
    def client(self) -> Iterator["Client"]:
        """One reader, counted while the block runs. Raises HubFull."""
        if self.clients >= self.clients_max:
            raise HubFull
        self.clients += 1
        try:
            yield Client(self)
        finally:
            self.clients -= 1


class Client:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._seen = 0

    async def next(self) -> str:
        """The latest message, as soon as there is one that this client has not had; always a checkpoint."""
        await trio.lowlevel.checkpoint()
        while self._hub._number == self._seen:
            await self._hub._published.wait()
        self._seen = self._hub._number
        return self._hub._latest
