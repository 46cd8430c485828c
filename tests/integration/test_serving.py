"""The HTTP server as the platform uses it, over real sockets: refusals to start, drain, clients that misbehave."""

import importlib.metadata
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from quart_trio import QuartTrio

from gcc.config import Bind
from gcc.errors import ConfigError
from gcc.web import serving

Handler = Callable[[Any, Any, Any], Awaitable[None]]
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def asgi(handler: Handler) -> Handler:
    """An ASGI app whose requests and websockets are answered by `handler`."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await handler(scope, receive, send)
            return
        while True:
            phase = (await receive())["type"]
            await send({"type": f"{phase}.complete"})
            if phase == "lifespan.shutdown":
                return

    return app


async def hello(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


class Server:
    def __init__(self, url: str, draining: trio.Event, returned: trio.Event) -> None:
        self.port = int(url.rsplit(":", 1)[1])
        self.url, self.draining, self.returned = url, draining, returned

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)


@asynccontextmanager
async def served(handler: Handler | QuartTrio, *, port: int = 0, grace_s: float = 5.0) -> AsyncIterator[Server]:
    """A server on loopback; when the block ends it is drained and has returned."""
    draining, returned = trio.Event(), trio.Event()
    app = handler if isinstance(handler, QuartTrio) else asgi(handler)

    async def run(*, task_status: trio.TaskStatus[str]) -> None:
        bind = Bind(port=port)
        await serving.serve(app, bind, key="ops.port", draining=draining, grace_s=grace_s, task_status=task_status)
        returned.set()

    async with trio.open_nursery() as nursery:
        server = Server(await nursery.start(run), draining, returned)
        yield server
        draining.set()
        with trio.fail_after(15):
            await returned.wait()


async def until_closed(stream: trio.SocketStream) -> bytes:
    data = b""
    with trio.fail_after(10):
        try:
            async for chunk in stream:
                data += chunk
        except trio.BrokenResourceError:
            pass
    return data


def test_hypercorn_is_the_version_whose_private_names_are_mended() -> None:
    assert importlib.metadata.version("hypercorn") == serving.HYPERCORN
    assert all(getattr(owner, name) is mended for owner, name, mended in serving.MENDED)


async def test_a_port_is_free_for_the_next_server_at_once_even_while_a_child_process_lives() -> None:
    async with served(hello) as server:
        assert server.url == f"http://127.0.0.1:{server.port}"
        child = await trio.lowlevel.open_process(["sleep", "60"], close_fds=False)
        kept_open = await server.connect()
        await kept_open.send_all(GET)
        assert (await kept_open.receive_some()).endswith(b"hello")
    try:
        async with served(hello, port=server.port) as again:
            async with await again.connect() as stream:
                await stream.send_all(GET)
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
    finally:
        child.kill()
        await child.wait()
        await kept_open.aclose()


async def test_a_busy_port_is_refused_with_the_setting_and_the_way_out() -> None:
    async with served(hello) as server:
        with pytest.raises(ConfigError) as refused:
            await serving.serve(hello, Bind(port=server.port), key="ops.port", draining=trio.Event(), grace_s=1)
        assert str(refused.value) == f"port {server.port} (ops.port) is in use; set another or 0 for any free one"


@pytest.mark.parametrize(
    ("host", "sentence"),
    [
        ("192.0.2.7", "host '192.0.2.7' (of ops.port) is no address of this machine; use 127.0.0.1"),
        ("no such host", "host 'no such host' (of ops.port) is not known"),
    ],
)
async def test_a_host_that_cannot_be_bound_is_refused(host: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as refused:
        await serving.serve(hello, Bind(host=host, port=0), key="ops.port", draining=trio.Event(), grace_s=1)
    assert str(refused.value).startswith(sentence)


async def test_a_small_answer_leaves_in_one_piece_and_the_connection_stays() -> None:
    async with served(hello) as server, await server.connect() as stream:
        for _ in range(3):
            await stream.send_all(GET)
            answer = await stream.receive_some()
            assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"\r\n\r\nhello")


async def test_an_answer_in_pieces_arrives_as_it_is_made() -> None:
    more = trio.Event()

    async def slowly(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await more.wait()
        await send({"type": "http.response.body", "body": b"second"})

    async with served(slowly) as server, await server.connect() as stream:
        await stream.send_all(GET)
        with trio.fail_after(5):
            seen = b""
            while b"first" not in seen:
                seen += await stream.receive_some()
            assert b"transfer-encoding: chunked" in seen.lower() and b"second" not in seen
            more.set()
            while not seen.endswith(b"0\r\n\r\n"):
                seen += await stream.receive_some()
        assert b"second" in seen


async def test_requests_in_hand_are_answered_at_drain_and_new_connections_are_not() -> None:
    begun, go_on = trio.Event(), trio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await go_on.wait()
        await hello(scope, receive, send)

    async with served(slow) as server, await server.connect() as stream:
        await stream.send_all(GET)
        await begun.wait()
        server.draining.set()
        with trio.fail_after(5):
            while True:
                try:
                    (await trio.open_tcp_stream("127.0.0.1", server.port)).socket.close()
                except OSError:
                    break
                await trio.testing.wait_all_tasks_blocked()
        assert not server.returned.is_set()
        go_on.set()
        assert (await until_closed(stream)).endswith(b"hello")


async def test_a_request_that_outlives_the_grace_is_cancelled() -> None:
    cancelled = trio.Event()

    async def endless(_scope: Any, _receive: Any, _send: Any) -> None:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    async with served(endless, grace_s=0.2) as server, await server.connect() as stream:
        await stream.send_all(GET)
        server.draining.set()
        await until_closed(stream)
        assert cancelled.is_set()


async def flood(send: Any) -> None:
    await send({"type": "websocket.accept"})
    while True:
        await send({"type": "websocket.send", "text": "x" * 1_000_000})
        await trio.lowlevel.checkpoint()  # once the connection is gone, Hypercorn's send does nothing


async def test_a_client_that_does_not_read_is_dropped_and_wedges_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "SEND_S", 0.2)
    ended = trio.Event()

    async def flooding(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood, send)
            while (await receive())["type"] != "websocket.disconnect":
                pass
            nursery.cancel_scope.cancel()
        ended.set()

    async with served(flooding) as server, await server.connect() as stream:
        await stream.send_all(UPGRADE)
        with trio.fail_after(5):
            await ended.wait()


async def test_a_stuck_client_does_not_delay_the_end_beyond_the_grace() -> None:
    stuck = trio.Event()

    async def flooding(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flood, send)
            await trio.testing.wait_all_tasks_blocked(0.1)  # the kernel's buffers are full: the send waits
            stuck.set()

    async with served(flooding, grace_s=0.3) as server, await server.connect() as stream:
        await stream.send_all(UPGRADE)
        await stuck.wait()
        server.draining.set()
        with trio.fail_after(serving.SEND_S / 2):
            await server.returned.wait()


async def test_the_apps_own_deadline_ends_a_send_that_is_stuck() -> None:
    gave_up = trio.Event()

    async def impatient(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        with trio.move_on_after(0.2) as patience:
            await flood(send)
        assert patience.cancelled_caught
        gave_up.set()

    async with served(impatient) as server, await server.connect() as stream:
        await stream.send_all(UPGRADE)
        with trio.fail_after(serving.SEND_S / 2):
            await gave_up.wait()


async def test_websockets_are_not_compressed() -> None:
    async def greet(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": "hello"})

    async with served(greet) as server, await server.connect() as stream:
        await stream.send_all(UPGRADE)
        answer = await until_closed(stream)
        assert answer.startswith(b"HTTP/1.1 101")
        assert b"sec-websocket-extensions" not in answer.lower()
        assert b"\x81\x05hello" in answer  # one plain text frame


def quart() -> QuartTrio:
    app = QuartTrio(__name__)

    @app.get("/")
    async def root() -> str:
        return "hello"

    return app


async def test_a_connection_that_waits_for_its_next_request_does_not_delay_the_drain() -> None:
    async with served(quart(), grace_s=10) as server, await server.connect() as stream:
        await stream.send_all(GET)
        assert (await stream.receive_some()).endswith(b"hello")
        server.draining.set()
        with trio.fail_after(5):
            await server.returned.wait()
        assert await until_closed(stream) == b""


@pytest.mark.parametrize("requests", [0, 1])
async def test_an_idle_connection_is_closed(monkeypatch: pytest.MonkeyPatch, requests: int) -> None:
    monkeypatch.setattr(serving, "IDLE_S", 0.2)
    async with served(quart()) as server, await server.connect() as stream:
        for _ in range(requests):
            await stream.send_all(GET)
            assert (await stream.receive_some()).endswith(b"hello")
        assert await until_closed(stream) == b""


async def test_a_connection_is_closed_after_its_answer_when_the_client_asks_so() -> None:
    async with served(quart()) as server, await server.connect() as stream:
        await stream.send_all(GET.replace(b"Host: x", b"Host: x\r\nConnection: close"))
        assert (await until_closed(stream)).endswith(b"hello")


async def test_headers_without_end_are_refused() -> None:
    async with served(hello) as server, await server.connect() as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\nx-long: " + b"y" * serving.HEADERS_BYTES_MAX)
        assert (await until_closed(stream)).startswith(b"HTTP/1.1 431")


async def test_cancelled_the_server_leaves_at_once() -> None:
    run = partial(serving.serve, asgi(hello), Bind(port=0), key="ops.port", draining=trio.Event(), grace_s=30)
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(run)
            async with await trio.open_tcp_stream("127.0.0.1", int(url.rsplit(":", 1)[1])) as stream:
                await stream.send_all(GET)
                await stream.receive_some()
                nursery.cancel_scope.cancel()
