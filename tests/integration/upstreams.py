"""A service on another host, scripted on a real socket: what it was sent, byte by byte, and what it says to that."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import trio


@dataclass
class Sent:
    """A request as it came: its first line, its headers in their order, and how much of its body was read with them."""

    line: str
    headers: list[tuple[str, str]]
    rest: bytes

    def all(self, name: str) -> list[str]:
        return [value for found, value in self.headers if found == name]

    def names(self) -> set[str]:
        return {name for name, _ in self.headers}


Script = Callable[[trio.SocketStream, Sent], Awaitable[None]]


def says(*pieces: bytes, closes: bool = False) -> Script:
    async def script(stream: trio.SocketStream, sent: Sent) -> None:
        for piece in pieces:
            await stream.send_all(piece)
        if closes:
            stream.socket.close()

    return script


OK = says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: text/plain\r\n\r\nhi")


@dataclass
class Service:
    """`scripts` are what it does to its first requests, the last one to all that follow."""

    scripts: list[Script] = field(default_factory=lambda: [OK])
    sent: list[Sent] = field(default_factory=list)
    url: str = ""
    ended: trio.Event = field(default_factory=trio.Event)  # a connection did, whoever ended it

    async def serve(self, stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            held = b""
            while True:
                while b"\r\n\r\n" not in held:
                    data = await stream.receive_some()
                    if not data:
                        break
                    held += data
                if b"\r\n\r\n" not in held:
                    break
                head, _, rest = held.partition(b"\r\n\r\n")
                line, *headers = head.decode("latin-1").split("\r\n")
                pairs = [header.partition(": ") for header in headers]
                sent = Sent(line, [(name.lower(), value) for name, _, value in pairs], rest)
                script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                self.sent.append(sent)
                await script(stream, sent)
                held = b""
        self.ended.set()


@asynccontextmanager
async def elsewhere() -> AsyncIterator[Service]:
    service = Service()
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=256)
        service.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.start_soon(trio.serve_listeners, service.serve, [listener])
        yield service
        nursery.cancel_scope.cancel()


async def body_of(stream: trio.SocketStream, sent: Sent) -> bytes:
    """The whole body, of a length or in chunks (as they stand)."""
    body = sent.rest
    length = sent.all("content-length")
    while (len(body) < int(length[0])) if length else not body.endswith(b"0\r\n\r\n"):
        data = await stream.receive_some()
        assert data, "it ended early"
        body += data
    return body
