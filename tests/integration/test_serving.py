"""The HTTP server as the platform uses it, over real sockets: refusals to start, drain, clients that misbehave."""

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from quart_trio import QuartTrio

from bench import idle
from gcc.config import Bind
from gcc.errors import ConfigError
from gcc.web import accepting, connection, framing, serving, websockets

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

    app.begins_at_once = getattr(handler, "begins_at_once", False)  # type: ignore[attr-defined]
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
async def served(
    handler: Handler | QuartTrio, *, port: int = 0, grace_s: float = 5.0, most: int = 0
) -> AsyncIterator[Server]:
    """A server on loopback; when the block ends it is drained and has returned."""
    draining, returned = trio.Event(), trio.Event()
    app = handler if isinstance(handler, QuartTrio) else asgi(handler)

    async def run(*, task_status: trio.TaskStatus[str]) -> None:
        bind = Bind(port=port, connections_max=most)
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
    assert importlib.metadata.version("hypercorn") == websockets.HYPERCORN


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


@pytest.mark.parametrize(
    "header",
    [(b"content-length", b"9"), (b"content-length", b"2"), (b"x", b"y\r\nz: 1"), (b"x", b"y\nz: 1"), (b"x", b"\0")],
)
async def test_an_answer_that_is_not_what_it_says_is_a_failure_of_the_app(
    header: tuple[bytes, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing of it may be taken for another answer."""

    async def lie(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [header]})
        await send({"type": "http.response.body", "body": b"hello"})

    async with served(lie) as server, await server.connect() as stream:
        await stream.send_all(GET * 2)
        answer = await until_closed(stream)
        assert answer.count(b"HTTP/1.1 ") == 1 and answer.startswith(b"HTTP/1.1 500 ")
    assert "an app failed" in "".join(capsys.readouterr())


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


async def test_an_answer_during_the_drain_says_that_it_is_the_last() -> None:
    begun, go_on = trio.Event(), trio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await go_on.wait()
        await hello(scope, receive, send)

    async with served(slow) as server, await server.connect() as stream:
        await stream.send_all(GET * 2)
        await begun.wait()
        server.draining.set()
        go_on.set()
        answer = await until_closed(stream)
        assert answer.count(b"HTTP/1.1 ") == 1 and b"\r\nconnection: close\r\n" in answer


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
    monkeypatch.setattr(connection, "SEND_S", 0.2)
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
        with trio.fail_after(connection.SEND_S / 2):
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
        with trio.fail_after(connection.SEND_S / 2):
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
    monkeypatch.setattr(connection, "IDLE_S", 0.2)
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
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\nx-long: " + b"y" * framing.HEADERS_BYTES_MAX)
        assert (await until_closed(stream)).startswith(b"HTTP/1.1 431")


# What is no request of ours


def head(*lines: bytes) -> bytes:
    return b"\r\n".join((*lines, b"", b""))


def post(*headers: bytes) -> bytes:
    return head(b"POST / HTTP/1.1", b"Host: x", *headers)


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
REFUSED = {
    "the preface of HTTP/2": (PREFACE + bytes(9), 400, "MALFORMED_REQUEST"),
    "HTTP/2.0": (head(b"GET / HTTP/2.0", b"Host: x"), 400, "MALFORMED_REQUEST"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, "MALFORMED_REQUEST"),
    "no HTTP": (b"EHLO example.org\r\n\r\n", 400, "MALFORMED_REQUEST"),
    "no Host": (head(b"GET / HTTP/1.1"), 400, "MALFORMED_REQUEST"),
    "two Hosts": (head(b"GET / HTTP/1.1", b"Host: x", b"Host: y"), 400, "MALFORMED_REQUEST"),
    "a NUL": (head(b"GET /\0 HTTP/1.1", b"Host: x"), 400, "MALFORMED_REQUEST"),
    "no path": (head(b"GET ?x HTTP/1.1", b"Host: x"), 400, "MALFORMED_REQUEST"),
    "a whole URL": (head(b"GET http://[/ HTTP/1.1", b"Host: x"), 400, "MALFORMED_REQUEST"),
    "a proxy is meant": (head(b"CONNECT evil.example:80 HTTP/1.1", b"Host: x"), 405, "METHOD_NOT_ALLOWED"),
    "all of the server": (head(b"OPTIONS * HTTP/1.1", b"Host: x"), 400, "MALFORMED_REQUEST"),
    "two lengths": (post(b"Content-Length: 1", b"Content-Length: 2"), 400, "MALFORMED_REQUEST"),
    "a length with a sign": (post(b"Content-Length: +1"), 400, "MALFORMED_REQUEST"),
    "a length and chunks": (post(b"Content-Length: 4", b"Transfer-Encoding: chunked"), 400, "MALFORMED_REQUEST"),
    "chunks in HTTP/1.0": (head(b"POST / HTTP/1.0", b"Transfer-Encoding: chunked"), 400, "MALFORMED_REQUEST"),
    "a space before the colon": (post(b"Content-Length : 4"), 400, "MALFORMED_REQUEST"),
    "another encoding": (post(b"Transfer-Encoding: gzip, chunked"), 501, "NOT_IMPLEMENTED"),
    "a chunk without a length": (post(b"Transfer-Encoding: chunked") + b"zz\r\n\r\n", 400, "MALFORMED_REQUEST"),
    "many headers": (head(b"GET / HTTP/1.1", b"Host: x", *[b"a: b"] * 100), 431, "HEADERS_TOO_LARGE"),
    "long headers": (head(b"GET / HTTP/1.1", b"Host: x", b"a: " + b"b" * 33_000), 431, "HEADERS_TOO_LARGE"),
    "endless headers": (b"GET / HTTP/1.1\r\nHost: x\r\na: " + b"b" * 33_000, 431, "HEADERS_TOO_LARGE"),
    "a long URL": (head(b"GET /" + b"x" * 8192 + b" HTTP/1.1", b"Host: x"), 414, "URI_TOO_LONG"),
    "a websocket of HTTP/1.0": (UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"), 400, "MALFORMED_REQUEST"),
    "a websocket without key": (UPGRADE.replace(b"Sec-WebSocket-Key", b"X"), 400, "MALFORMED_REQUEST"),
    "a websocket of version 8": (UPGRADE.replace(b"Version: 13", b"Version: 8"), 400, "MALFORMED_REQUEST"),
    "a protocol that is no word": (UPGRADE[:-2] + b"Sec-WebSocket-Protocol: \xff\r\n\r\n", 400, "MALFORMED_REQUEST"),
    "an upgrade that is no word": (UPGRADE.replace(b": Upgrade", b": upgrade, \xff"), 400, "MALFORMED_REQUEST"),
    "frames before the answer": (UPGRADE + b"\x81\x80\0\0\0\0", 400, "MALFORMED_REQUEST"),
}


async def greet(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the body that it was sent; a websocket with what it was told."""
    if scope["type"] == "http":
        await echo(scope, receive, send)
        return
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", "text": f"{message['text'] or message['bytes']}"})


async def echo(_scope: Any, receive: Any, send: Any) -> None:
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body, more = body + message["body"], message["more_body"]
    length = str(len(body)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def no_log(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Callable[[], bool]:
    """Whether nothing was logged."""
    return lambda: not caplog.records and "Traceback" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_read_is_refused_in_the_envelope(name: str, no_log: Callable[[], bool]) -> None:
    sent, status, code = REFUSED[name]
    async with served(greet) as server:
        async with await server.connect() as stream:
            await stream.send_all(sent)
            answer = await until_closed(stream)
        headers, _, body = answer.partition(b"\r\n\r\n")
        assert headers.startswith(b"HTTP/1.1 %d " % status) and b"content-type: application/json" in headers
        error = json.loads(body)["error"]
        assert (error["code"], error["request_id"].encode() in headers) == (code, True)
        assert await answered(server)
    assert no_log()


async def test_head_is_refused_without_a_body() -> None:
    async with served(greet) as server, await server.connect() as stream:
        await stream.send_all(head(b"HEAD ? HTTP/1.1", b"Host: x"))
        assert (await until_closed(stream)).endswith(b"\r\n\r\n")


async def answered(server: Server, request: bytes = GET, within_s: float = 5) -> bool:
    async with await server.connect() as stream:
        await stream.send_all(request)
        with trio.move_on_after(within_s):
            return (await stream.receive_some()).startswith(b"HTTP/1.1 200")
    return False


@pytest.mark.parametrize(
    ("upgrade", "body"),
    [
        (b"h2c", b""),
        (b"h2c", b"hello"),
        (b"TLS/1.3", b""),
        (b"h2c, websocket", b""),
    ],
)
async def test_an_upgrade_that_is_not_offered_is_ignored(upgrade: bytes, body: bytes) -> None:
    request = post(
        b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: " + upgrade, b"HTTP2-Settings: AAMAAABkAAQAAP__",
        b"Content-Length: %d" % len(body),
    )  # fmt: skip
    async with served(greet) as server, await server.connect() as stream:
        for _ in range(2):
            await stream.send_all(request + body)
            answer = await stream.receive_some()
            assert answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"\r\n\r\n" + body)


async def test_bodies_in_chunks_with_trailers_and_those_that_ask_first() -> None:
    chunks = b"3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nDigest: x\r\n\r\n"
    async with served(greet) as server, await server.connect() as stream:
        await stream.send_all(post(b"Transfer-Encoding: chunked") + chunks)
        assert (await stream.receive_some()).endswith(b"\r\n\r\nhello")
        await stream.send_all(post(b"Content-Length: 5", b"Expect: 100-continue"))
        assert (await stream.receive_some()).startswith(b"HTTP/1.1 100 ")
        await stream.send_all(b"hello")
        assert (await stream.receive_some()).endswith(b"\r\n\r\nhello")


async def test_requests_that_are_sent_ahead_wait_their_turn() -> None:
    at_once = most = 0

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await trio.testing.wait_all_tasks_blocked()
        at_once -= 1
        await hello(scope, receive, send)

    async with served(slow) as server, await server.connect() as stream:
        await stream.send_all(GET * 30 + GET.replace(b"Host: x", b"Host: x\r\nConnection: close"))
        assert (await until_closed(stream)).count(b"HTTP/1.1 200") == 31
    assert most == 1


# Websockets


def frame(
    opcode: int, payload: bytes = b"", *, length: bytes | None = None, mask: int = 0x80, first: int = 0x80
) -> bytes:
    size = bytes([mask | len(payload)]) if length is None else length
    return bytes([first | opcode]) + size + (b"\0\0\0\0" if mask else b"") + payload


CLOSED_WITH = {
    "huge": (frame(1, b"x" * 70_000, length=b"\xff" + (70_000).to_bytes(8)), 1009),
    "announced as huge": (frame(2, length=b"\xff" + (2**62).to_bytes(8)) + b"x" * 70_000, 1009),
    "huge in pieces": (frame(1, b"x" * 100, first=0) + frame(0, b"x" * 100, first=0) * 700, 1009),
    "no UTF-8": (frame(1, b"\xff\xff"), 1007),
    "not masked": (frame(1, b"x", mask=0), 1002),
    "an unknown kind": (frame(3), 1002),
    "a long ping": (frame(9, b"x" * 200, length=b"\xfe" + (200).to_bytes(2)), 1002),
    "a piece of nothing": (frame(0, b"x"), 1002),
    "compressed": (frame(1, b"x", first=0xC0), 1002),
    "a length of 2^63": (frame(2, length=b"\xff" + b"\xff" * 8), 1002),
    "a farewell": (frame(8, (1000).to_bytes(2)), 1000),
    "a farewell with a wrong code": (frame(8, (77).to_bytes(2)), 1002),
}


@pytest.mark.parametrize("name", CLOSED_WITH)
async def test_a_websocket_that_cannot_be_read_is_closed_with_the_code_that_says_so(
    name: str, no_log: Callable[[], bool]
) -> None:
    sent, code = CLOSED_WITH[name]
    async with served(greet) as server:
        async with await server.connect() as stream:
            await stream.send_all(UPGRADE)
            assert b" 101 " in await stream.receive_some()
            await stream.send_all(sent)
            answer = await until_closed(stream)
        at = answer.index(b"\x88")
        assert int.from_bytes(answer[at + 2 : at + 4]) == code
        assert await answered(server)
    assert no_log()


async def test_frames_while_a_websocket_is_refused_change_nothing(no_log: Callable[[], bool]) -> None:
    async def refuse_slowly(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        headers = [(b"content-length", b"4000000")]
        await send({"type": "websocket.http.response.start", "status": 418, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": b"x" * 4_000_000})

    async with served(refuse_slowly) as server, await server.connect() as stream:
        await stream.send_all(UPGRADE)
        await trio.testing.wait_all_tasks_blocked(0.05)  # the answer fills the kernel's buffers
        await stream.send_all(frame(1, b"x") * 10)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert (await until_closed(stream)).startswith(b"HTTP/1.1 418 ")
    assert no_log()


async def test_a_refusal_is_the_last_word_whatever_the_app_says(
    monkeypatch: pytest.MonkeyPatch, no_log: Callable[[], bool]
) -> None:
    monkeypatch.setattr(connection, "STALL_S", 0.1)

    async def late(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        await hello(scope, receive, send)

    async with served(late) as server, await server.connect() as stream:
        await stream.send_all(post(b"Content-Length: 5"))
        answer = await until_closed(stream)
        assert answer.startswith(b"HTTP/1.1 408 ") and answer.count(b"HTTP/1.1") == 1
    assert no_log()


async def test_many_fast_messages_are_answered_one_by_one() -> None:
    async with served(greet) as server, await server.connect() as stream:
        await stream.send_all(UPGRADE)
        await stream.receive_some()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, (frame(9, b"?") + frame(1, b"x")) * 1000)
            answer = b""
            with trio.fail_after(10):
                while len(answer) < 1000 * 6:
                    answer += await stream.receive_some()
        assert (answer.count(b"\x8a\x01?"), answer.count(b"\x81\x01x")) == (1000, 1000)


async def test_a_websocket_that_the_app_does_not_take_is_refused_in_the_envelope() -> None:
    async def close(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "websocket.close", "code": 1000})

    async with served(close) as server, await server.connect() as stream:
        await stream.send_all(UPGRADE)
        answer = await until_closed(stream)
        assert answer.startswith(b"HTTP/1.1 403 ") and json.loads(answer.partition(b"\r\n\r\n")[2])["error"]


# Clients that are slow, gone or many


async def stuck(_scope: Any, _receive: Any, _send: Any) -> None:
    await trio.sleep_forever()


@pytest.mark.parametrize("more", [b"", b"Upgrade: h2c\r\nConnection: Upgrade\r\n"])
async def test_the_descriptor_is_free_at_eof_whatever_the_app_does(more: bytes) -> None:
    async with served(stuck, grace_s=0.1) as server, await server.connect() as stream:
        await stream.send_all(GET[:-2] + more + b"\r\n")
        await trio.testing.wait_all_tasks_blocked(0.05)
        await stream.send_eof()
        assert await until_closed(stream) == b""


async def test_the_app_is_told_that_its_client_is_gone() -> None:
    told = trio.Event()

    async def wait(_scope: Any, receive: Any, _send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        told.set()

    async with served(wait) as server:
        async with await server.connect() as stream:
            await stream.send_all(GET)
            await trio.testing.wait_all_tasks_blocked(0.05)
        with trio.fail_after(5):
            await told.wait()


async def test_what_a_client_sent_ahead_is_not_worked_off_when_it_is_gone() -> None:
    asked = 0
    go_on = trio.Event()

    async def count(scope: Any, receive: Any, send: Any) -> None:
        nonlocal asked
        asked += 1
        await go_on.wait()
        await hello(scope, receive, send)

    async with served(count) as server:
        async with await server.connect() as stream:
            await stream.send_all(GET * 1000)
            await trio.testing.wait_all_tasks_blocked(0.05)
        go_on.set()
        await trio.testing.wait_all_tasks_blocked(0.1)
    assert asked <= 3


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def test_short_visits_leave_nothing_behind() -> None:
    async with served(quart()) as server:
        assert await answered(server)
        before = descriptors()
        for _ in range(200):
            assert await answered(server)
            await (await server.connect()).aclose()
        await trio.testing.wait_all_tasks_blocked(0.1)
        assert descriptors() <= before + 3


async def early(_scope: Any, _receive: Any, send: Any) -> None:
    """Answers without a look at the body."""
    await hello(_scope, _receive, send)


async def test_a_body_that_nobody_reads_holds_up_nothing() -> None:
    size = 3_000_000
    async with served(early) as server:
        before = descriptors()
        for _ in range(5):
            async with await server.connect() as stream:
                with trio.fail_after(5):
                    await send_until_closed(stream, post(b"Content-Length: %d" % size) + b"x" * size)
                assert (await until_closed(stream)).endswith(b"hello")
        await trio.testing.wait_all_tasks_blocked(0.1)
        assert descriptors() <= before + 1


async def at_once(_scope: Any, _receive: Any, send: Any) -> None:
    await hello(_scope, _receive, send)


async def after_a_turn(_scope: Any, _receive: Any, send: Any) -> None:
    await trio.lowlevel.checkpoint()
    await hello(_scope, _receive, send)


@pytest.mark.parametrize("app", [at_once, after_a_turn], ids=["at once", "after a turn"])
@pytest.mark.parametrize("broken", [b"2\r\n{}XX0\r\n\r\n", b"2\r\n{}\r\n-1\r\n\r\n", b"1;" + b"x" * 200_000])
async def test_a_body_that_breaks_while_the_app_answers_costs_no_answer(app: Handler, broken: bytes) -> None:
    """The refusal closed the connection between the app's answer and its sending: nothing came at all."""
    async with served(app) as server:
        for _ in range(20):
            async with await server.connect() as stream:
                with suppress(trio.BrokenResourceError):
                    await stream.send_all(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + broken)
                assert (await until_closed(stream)).partition(b"\r\n")[0].split()[1] in (b"200", b"400", b"431")


async def test_a_client_that_neither_reads_nor_is_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pieces fill the queue, the answer the kernel's buffers: nobody is left who could be told."""
    monkeypatch.setattr(connection, "SEND_S", 0.2)
    ended = trio.Event()

    async def large(_scope: Any, _receive: Any, send: Any) -> None:
        await trio.testing.wait_all_tasks_blocked(0.05)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 30_000_000})
        ended.set()

    async with served(large) as server, await server.connect() as stream:
        with trio.fail_after(10):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send_until_closed, stream, post(b"Content-Length: 90000000") + b"x" * 90_000_000)
                await ended.wait()


async def send_until_closed(stream: trio.SocketStream, data: bytes) -> None:
    with suppress(trio.BrokenResourceError):
        await stream.send_all(data)


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\nHost:", b"HTTP/1.1 408 "),
        (post(b"Content-Length: 5") + b"hel", b"HTTP/1.1 408 "),
        (post(b"Transfer-Encoding: chunked") + b"5\r\nhel", b"HTTP/1.1 408 "),
    ],
)
async def test_a_client_that_owes_its_request_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, no_log: Callable[[], bool], sent: bytes, answer: bytes
) -> None:
    monkeypatch.setattr(connection, "IDLE_S", 0.2)
    monkeypatch.setattr(connection, "STALL_S", 0.2)
    async with served(greet) as server, await server.connect() as stream:
        await stream.send_all(sent)
        said = await until_closed(stream)
        assert said[: len(answer)] == answer and bool(said) == bool(answer)
    assert no_log()


async def test_a_head_that_comes_drop_by_drop_has_the_time_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "IDLE_S", 0.3)

    async def drip(stream: trio.SocketStream) -> None:
        with pytest.raises(trio.BrokenResourceError):
            while True:
                await stream.send_all(b"x")
                await trio.sleep(0.05)

    async with served(greet) as server, await server.connect() as stream:
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\na: ")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(drip, stream)
            assert (await until_closed(stream)).startswith(b"HTTP/1.1 408 ")


async def test_whoever_goes_on_sending_after_a_refusal_is_let_go_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each drop was another second of patience: a refused client stayed as long as it liked."""
    monkeypatch.setattr(connection, "LINGER_S", 0.3)
    async with served(greet) as server, await server.connect() as stream:
        await stream.send_all(b"GET //x HTTP/1.1\r\nHost: x\r\n\r\n")
        with trio.fail_after(10), pytest.raises(trio.BrokenResourceError):
            while True:
                await stream.send_all(b"x")
                await trio.sleep(0.05)


async def test_who_was_refused_and_hung_up_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each refusal held up the end of its port for the second that its client had to read it."""
    monkeypatch.setattr(connection, "LINGER_S", 3600.0)
    async with served(greet, grace_s=3600.0) as server:
        async with await server.connect() as stream:
            await stream.send_all(b"GET //x HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await until_closed(stream)


async def test_a_full_port_answers_503_at_once_and_goes_on_when_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = trio.Event()

    async def wait(scope: Any, receive: Any, send: Any) -> None:
        await go_on.wait()
        await hello(scope, receive, send)

    async with served(wait, most=3) as server, AsyncExitStack() as stack:
        guests = [await stack.enter_async_context(await server.connect()) for _ in range(3)]
        for guest in guests:
            await guest.send_all(GET)
        await trio.testing.wait_all_tasks_blocked(0.05)
        async with await server.connect() as late:
            await late.send_all(GET)
            answer = await until_closed(late)
        top, _, body = answer.partition(b"\r\n\r\n")
        assert top.startswith(b"HTTP/1.1 503 ") and b"retry-after: " in top
        assert json.loads(body)["error"]["code"] == "BUSY"
        go_on.set()
        for guest in guests:
            assert (await guest.receive_some()).endswith(b"hello")
        monkeypatch.setattr(accepting, "IDLE_S_MIN", 0.0)
        assert await answered(server)  # in place of one that waits
        await trio.testing.wait_all_tasks_blocked(0.05)
        still_open = 0
        for guest in guests:
            with suppress(trio.BrokenResourceError):
                await guest.send_all(GET)
                still_open += (await guest.receive_some()).endswith(b"hello")
        assert still_open == 2


async def test_connections_that_say_nothing_are_held_and_take_little() -> None:
    """10,000 of them: python -m bench.idle."""
    held = await idle.hold(500)
    assert held.connections == 500 and 0 < held.kb_each < 40


CROWDED = """
import resource, structlog, sys, trio
from gcc.config import Bind
from gcc.web import accepting, connection, framing, serving, websockets
from tests.integration.test_serving import asgi, hello
most, limit = int(sys.argv[1]), int(sys.argv[2])
accepting.CALM_S = 0.5
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
class Told:
    def started(self, url): print(url, flush=True)
async def main():
    draining = trio.Event()
    async with trio.open_nursery() as nursery:
        async def until_asked():
            await trio.to_thread.run_sync(sys.stdin.read)
            draining.set()
        nursery.start_soon(until_asked)
        bind = Bind(port=0, connections_max=most)
        await serving.serve(asgi(hello), bind, key="ops.port", draining=draining, grace_s=5, task_status=Told())
trio.run(main)
"""


@asynccontextmanager
async def crowded(most: int, limit: int) -> AsyncIterator[tuple[Server, list[str]]]:
    """A server in a process with few descriptors, and the lines of its log once it has ended."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", CROWDED, str(most), str(limit)], cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin and process.stdout and process.stderr
    lines: list[str] = []
    try:
        with trio.fail_after(60):
            url = (await process.stdout.receive_some()).decode().strip()
            yield Server(url, trio.Event(), trio.Event()), lines
            await process.stdin.aclose()
            log = b""
            async for piece in process.stderr:
                log += piece
            assert await process.wait() == 0
            lines += log.decode().splitlines()
    finally:
        process.kill()
        await process.wait()


async def test_nine_hundred_short_visits_with_few_descriptors() -> None:
    async with crowded(0, 100) as (server, log):
        for _ in range(920):
            async with await server.connect() as stream:
                await stream.send_all(GET)
        assert await answered(server, within_s=2)
    assert log == []


async def test_idle_clients_without_number_keep_nobody_out() -> None:
    """More connections are allowed than there are descriptors: the idle ones make room, and the log tells it once."""
    async with crowded(1000, 64) as (server, log), AsyncExitStack() as stack:
        for _ in range(150):
            await stack.enter_async_context(await server.connect())
        for _ in range(3):
            assert await answered(server, within_s=5)
        await stack.aclose()
        await trio.sleep(1)  # on a real clock: calm, in the other process
        assert await answered(server)
    assert ["no connection can be accepted" in log[0], "accepted again" in log[1], len(log)] == [True, True, 2]


async def test_what_goes_wrong_in_one_connection_ends_that_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(_self: Any, _request: Any) -> None:
        raise RuntimeError("a bug")

    async with served(greet) as server:
        with monkeypatch.context() as patch:
            patch.setattr(connection.Connection, "_parse", broken)
            async with await server.connect() as stream:
                await stream.send_all(GET)
                assert await until_closed(stream) == b""
        assert await answered(server)
    assert "".join(capsys.readouterr()).count("a bug") >= 1


async def test_cancelled_the_server_leaves_at_once() -> None:
    run = partial(serving.serve, asgi(hello), Bind(port=0), key="ops.port", draining=trio.Event(), grace_s=30)
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(run)
            async with await trio.open_tcp_stream("127.0.0.1", int(url.rsplit(":", 1)[1])) as stream:
                await stream.send_all(GET)
                await stream.receive_some()
                nursery.cancel_scope.cancel()
