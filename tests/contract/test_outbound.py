"""What is allowed to leave goes over real sockets and TLS: to the address that was checked, under the URL's name."""

import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpcore
import pytest
import trio.testing

from gcc.errors import Transient
from gcc.sources.http import Request
from gcc.sources.outbound import Guarded, NotAllowed
from tests.certificates import certificate

HOST, PUBLIC = "hooks.example.org", "93.184.216.34"
Answer = Callable[[trio.abc.Stream], Awaitable[None]]


class Detour(httpcore.AsyncNetworkBackend):
    """Connects to this machine in place of the internet, and notes who was called."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.called: list[tuple[str, int]] = []

    async def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        self.called.append((host, port))
        return await httpcore.TrioBackend().connect_tcp("127.0.0.1", self.port)


class Receiver:
    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.heads: list[str] = []
        self.bodies: list[bytes] = []
        self.connections = self.open = 0
        self.closed = trio.Event()

    async def serve(self, stream: trio.abc.Stream) -> None:
        self.connections += 1
        self.open += 1
        try:
            received = b""
            while b"\r\n\r\n" not in received:
                if not (piece := await stream.receive_some(65536)):
                    return
                received += piece
            head, _, body = received.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            while length and len(body) < int(length[1]):
                body += await stream.receive_some(65536)
            self.heads.append(head.decode())
            self.bodies.append(body)
            await self.answer(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError):
            pass
        finally:
            self.open -= 1
            self.closed.set()
            await trio.aclose_forcefully(stream)


def says(head: str, body: bytes = b"") -> Answer:
    async def answer(stream: trio.abc.Stream) -> None:
        await stream.send_all(f"HTTP/1.1 {head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return answer


@asynccontextmanager
async def receiving(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Receiver, int]]:
    receiver = Receiver(answer)
    async with trio.open_nursery() as nursery:
        serve = trio.serve_ssl_over_tcp if tls else trio.serve_tcp
        arguments = [receiver.serve, 0, tls] if tls else [receiver.serve, 0]
        started = partial(serve, *arguments, host="127.0.0.1")
        listeners = await nursery.start(started)
        listener = listeners[0].transport_listener if tls else listeners[0]
        yield receiver, listener.socket.getsockname()[1]
        nursery.cancel_scope.cancel()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS for HOST, and the certificate to trust."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = certificate(folder, HOST)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    return context, cert


@pytest.fixture
def trusting(served: tuple[ssl.SSLContext, Path]) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(served[1]))


async def answers(host: str) -> list[str]:
    return [PUBLIC]


def post(url: str = f"https://{HOST}/in?k=v", timeout_s: float = 10.0, **more: Any) -> Request:
    headers = {"content-type": "application/json", "Host": "127.0.0.1"}  # nobody else tells which host is meant
    return Request("webhooks", "POST", url, headers=headers, body=b'{"a": 1}', timeout_s=timeout_s, **more)


async def test_tls_and_host_are_told_the_name_and_the_checked_address_is_called(
    served: tuple[ssl.SSLContext, Path], trusting: ssl.SSLContext
) -> None:
    names: list[str | None] = []
    served[0].sni_callback = lambda _, name, __: names.append(name)
    async with receiving(says("200 OK", b"taken"), served[0]) as (receiver, port):
        detour = Detour(port)
        answer = await Guarded(tls=trusting, resolve=answers, network=detour).fetch(post())
        await receiver.closed.wait()
    assert (answer.status, answer.body, detour.called, names) == (200, b"taken", [(PUBLIC, 443)], [HOST])
    line, *headers = receiver.heads[0].lower().split("\r\n")
    assert line == "post /in?k=v http/1.1"
    assert [header for header in headers if header.startswith("host:")] == [f"host: {HOST}"]
    assert receiver.bodies == [b'{"a": 1}']


async def test_a_certificate_of_another_is_not_taken(served: tuple[ssl.SSLContext, Path], trusting: Any) -> None:
    async with receiving(says("200 OK"), served[0]) as (receiver, port):
        for guarded, url in (
            (Guarded(tls=trusting, resolve=answers, network=Detour(port)), "https://other.example.org/"),
            (Guarded(resolve=answers, network=Detour(port)), f"https://{HOST}/"),  # whom nobody knows
        ):
            with pytest.raises(Transient, match="certificate is not trusted, or is another host's"):
                await guarded.fetch(post(url))
    assert receiver.heads == []


async def test_what_speaks_no_tls_is_told_in_our_words(nursery: trio.Nursery) -> None:
    async def banner(stream: trio.SocketStream) -> None:
        await stream.send_all(b"SSH-2.0-OpenSSH_9.2 secret\r\n")
        async for _ in stream:
            pass

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, banner, listeners)
    detour = Detour(listeners[0].socket.getsockname()[1])
    with pytest.raises(Transient, match=rf"^{HOST}: no TLS could be agreed on$"):
        await Guarded(resolve=answers, network=detour).fetch(post())


@pytest.mark.parametrize(
    "bytes_sent", [b"SSH-2.0-x secret\r\n\r\n", b"+PONG secret\r\n", b"HTTP/1.1 secret\r\n\r\n", b"", b"\0" * 200_000]
)
async def test_what_is_no_http_is_not_repeated(bytes_sent: bytes) -> None:
    async def answer(stream: trio.abc.Stream) -> None:
        await stream.send_all(bytes_sent)

    async with receiving(answer) as (_, port):
        with pytest.raises(Transient) as failed:
            await Guarded(allow_private=True).fetch(post(f"http://127.0.0.1:{port}/"))
    assert str(failed.value) in ("127.0.0.1: what it answered is no HTTP", "127.0.0.1: the connection was lost")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_no_redirect_is_followed(status: int) -> None:
    async with receiving(says(f"{status} Away\r\nLocation: http://127.0.0.1:1/")) as (receiver, port):
        answer = await Guarded(allow_private=True).fetch(post(f"http://127.0.0.1:{port}/"))
    assert (answer.status, receiver.connections) == (status, 1)


async def test_an_answer_has_an_end() -> None:
    async def endless(stream: trio.abc.Stream) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await stream.send_all(b"x" * 65536)

    async with receiving(endless) as (receiver, port):
        guarded = Guarded(allow_private=True, body_bytes_max=1 << 20)
        url = f"http://127.0.0.1:{port}/"
        with pytest.raises(Transient, match=r"127\.0\.0\.1: the answer is larger than 1048576 bytes"):
            await guarded.fetch(post(url))
        assert (await guarded.fetch(post(url, head_only=True))).body == b""
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(5):
            await receiver.closed.wait()


async def test_one_deadline_is_for_everything() -> None:
    async def drips(stream: trio.abc.Stream) -> None:
        while True:
            await stream.send_all(b"H")
            await trio.sleep(0.05)

    async with receiving(drips) as (receiver, port):
        with trio.fail_after(5), pytest.raises(Transient, match=r"127\.0\.0\.1: no answer within 0\.4 s"):
            await Guarded(allow_private=True).fetch(post(f"http://127.0.0.1:{port}/", timeout_s=0.4))
        await receiver.closed.wait()
        assert receiver.open == 0


async def test_cancelled_it_hangs_up_at_once(served: tuple[ssl.SSLContext, Path], trusting: ssl.SSLContext) -> None:
    asked = trio.Event()

    async def silent(stream: trio.abc.Stream) -> None:
        asked.set()
        await stream.receive_some(1)

    async with receiving(silent, served[0]) as (receiver, port):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Guarded(tls=trusting, resolve=answers, network=Detour(port)).fetch, post())
            await asked.wait()
            nursery.cancel_scope.cancel()
        with trio.fail_after(5):
            await receiver.closed.wait()


async def test_headers_that_no_request_can_hold_are_refused() -> None:
    async with receiving(says("200 OK")) as (receiver, port):
        for value in ("a\r\nX-Other: b", "é"):
            odd = Request("webhooks", "POST", f"http://127.0.0.1:{port}/", headers={"x-odd": value})
            with pytest.raises(NotAllowed, match=r"127\.0\.0\.1: no request can hold such headers"):
                await Guarded(allow_private=True).fetch(odd)
    assert receiver.heads == []


async def test_nobody_listens() -> None:
    async with receiving(says("200 OK")) as (_, port):
        pass
    with pytest.raises(Transient, match=r"^127\.0\.0\.1: it takes no connection$"):
        await Guarded(allow_private=True).fetch(post(f"http://127.0.0.1:{port}/"))


async def test_the_systems_resolver_finds_this_machine() -> None:
    """By its own way, and is then refused: "localhost.localdomain" where it is known, else nothing is found."""
    with pytest.raises((NotAllowed, Transient)):
        await Guarded().fetch(post("https://localhost.localdomain/"))
    async with receiving(says("200 OK")) as (_, port):
        answer = await Guarded(allow_private=True).fetch(post(f"http://localhost:{port}/"))
    assert answer.status == 200
