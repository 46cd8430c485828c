"""The fetcher port: the fake and the real one against a real server on loopback pass the same tests.

Sockets need the real clock, so the few deadlines here are short.
"""

import gzip
import logging
import re
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import httpcore
import pytest
import trio

from gcc.errors import Transient
from gcc.sources.http import BODY_BYTES_MAX, HTTPCORE, Answer, Fetcher, HttpFetcher, Request
from gcc.sources.verdicts import Unsendable
from tests.fakes.fetcher import FakeFetcher, Reply

REPLIES = {
    "/ok": Reply(200, b'{"a": 1}', {"Content-Type": "application/json", "X-Odd": "1"}),
    "/refused": Reply(429, b"slow down", {"Retry-After": "7"}),
    "/broken": Reply(503, b""),
    "/elsewhere": Reply(302, b"", {"Location": "/ok"}),
    "/slow": Reply(200, b"late", delay_s=30.0),
    "/lost": Reply(lost=True),
    "/full": Reply(200, b"x" * BODY_BYTES_MAX),
    "/large": Reply(200, b"x" * (BODY_BYTES_MAX + 1)),
}

Ask = Callable[..., Request]


class Server:
    """HTTP/1.1 with keep-alive, as much as the tests need; answers what `REPLIES` says."""

    def __init__(self, sockets: list[trio.SocketListener]) -> None:
        self.url = f"http://127.0.0.1:{sockets[0].socket.getsockname()[1]}"
        self.connections = 0
        self.heads: list[str] = []
        self.bodies: list[bytes] = []

    async def serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        try:
            while head := await self._head(stream):
                self.heads.append(head)
                reply = self._reply(head)
                await trio.sleep(reply.delay_s)
                if reply.lost:
                    return
                headers = {"Content-Length": str(len(reply.body)), **reply.headers}
                lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                await stream.send_all(f"HTTP/1.1 {reply.status} Fine\r\n{lines}\r\n".encode() + reply.body)
        except trio.BrokenResourceError:
            pass  # the caller hung up
        finally:
            await stream.aclose()

    async def _head(self, stream: trio.SocketStream) -> str:
        """The next request's head, "" where the caller hung up; its body goes to `bodies`."""
        received = b""
        while b"\r\n\r\n" not in received:
            piece = await stream.receive_some()
            if not piece:
                return ""
            received += piece
        head, _, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        while length and len(body) < int(length[1]):
            body += await stream.receive_some()
        self.bodies.append(body)
        return head.decode()

    def _reply(self, head: str) -> Reply:
        path = head.split()[1].partition("?")[0]
        if path == "/gzip":
            return Reply(200, gzip.compress(b'{"b": 2}'), {"Content-Encoding": "GZIP"})
        if path == "/called-gzip":
            return Reply(429, b"<html>", {"Content-Encoding": "gzip", "Retry-After": "7"})
        if path == "/bomb":
            return Reply(200, gzip.compress(b"x" * (BODY_BYTES_MAX + 1)), {"Content-Encoding": "gzip"})
        if path == "/torn":
            return Reply(200, gzip.compress(b'{"b": 2}')[:-9], {"Content-Encoding": "gzip"})
        if path == "/garbage":
            return Reply(200, b"no gzip", {"Content-Encoding": "gzip"})
        return REPLIES[path]


@pytest.fixture
async def server(nursery: trio.Nursery) -> Server:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    server = Server(listeners)
    nursery.start_soon(trio.serve_listeners, server.serve, listeners)
    return server


@pytest.fixture
async def http(server: Server) -> AsyncIterator[HttpFetcher]:
    async with HttpFetcher(connections_max=4) as fetcher:
        yield fetcher


@pytest.fixture(params=["fake", "http"])
def fetcher(request: pytest.FixtureRequest, http: HttpFetcher) -> Fetcher:
    return http if request.param == "http" else FakeFetcher(lambda asked: REPLIES["/" + asked.url.rpartition("/")[2]])


@pytest.fixture
def ask(server: Server) -> Ask:
    def ask(path: str, timeout_s: float = 10.0, **params: str) -> Request:
        return Request("somewhere", "GET", server.url + path, params, {"Accept": "application/json"}, timeout_s)

    return ask


async def test_a_source_that_hangs_holds_no_connection_of_another(http: HttpFetcher, ask: Ask) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(20):  # five times as many as it has connections
            nursery.start_soon(http.fetch, replace(ask("/slow", 60.0), source="slow"))
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert (await http.fetch(ask("/ok", 5.0))).status == 200
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("path", ["/ok", "/refused", "/broken", "/elsewhere", "/full"])
async def test_an_answer_of_any_status_is_an_answer(fetcher: Fetcher, ask: Ask, path: str) -> None:
    answer = await fetcher.fetch(ask(path))
    assert (answer.status, answer.body) == (REPLIES[path].status, REPLIES[path].body)
    for name, value in REPLIES[path].headers.items():
        assert answer.headers[name.lower()] == value
    assert answer.elapsed_s >= 0
    assert answer.url == ask(path).url


async def test_an_answer_tells_no_password_of_its_address(fetcher: Fetcher, ask: Ask) -> None:
    plain = ask("/ok")
    answer = await fetcher.fetch(replace(plain, url=plain.url.replace("://", "://user:hunter2@")))
    assert (answer.status, answer.url) == (200, plain.url)


async def test_no_answer_in_time_is_transient(fetcher: Fetcher, ask: Ask) -> None:
    with trio.fail_after(5), pytest.raises(Transient, match=r"somewhere: no answer within 0\.05 s"):
        await fetcher.fetch(ask("/slow", timeout_s=0.05))


async def test_a_lost_connection_is_transient(fetcher: Fetcher, ask: Ask) -> None:
    with pytest.raises(Transient, match="somewhere"):
        await fetcher.fetch(ask("/lost"))


async def test_a_body_beyond_the_bound_is_transient(fetcher: Fetcher, ask: Ask) -> None:
    with pytest.raises(Transient, match="too large"):
        await fetcher.fetch(ask("/large"))


async def test_cancellation_passes(fetcher: Fetcher, ask: Ask) -> None:
    answers: list[Answer] = []
    with trio.move_on_after(0.05) as scope:
        answers.append(await fetcher.fetch(ask("/slow")))
    assert scope.cancelled_caught
    assert not answers


# What only the real one has: a wire, connections, compression, logs.


async def test_what_goes_over_the_wire(http: HttpFetcher, server: Server, ask: Ask) -> None:
    await http.fetch(ask("/ok", fields="a.b(c){d,e}", q="x&y=z"))
    line, *rest = server.heads[0].split("\r\n")
    assert line.startswith("GET /ok?fields=a.b")
    assert line.endswith("HTTP/1.1")
    assert "q=x%26y%3Dz" in line
    assert "accept: application/json" in [header.lower() for header in rest]


async def test_a_body_goes_as_it_is(http: HttpFetcher, server: Server, ask: Ask) -> None:
    body = '{"username": "जय"}'.encode()
    headers = {"Content-Type": "application/json"}
    asked = replace(ask("/ok"), method="POST", headers=headers, body=body)
    assert (await http.fetch(asked)).status == 200
    assert (await http.fetch(ask("/ok"))).status == 200
    assert server.heads[0].startswith("POST /ok ")
    assert "content-type: application/json" in server.heads[0].lower()
    assert server.bodies == [body, b""]
    assert "username" not in repr(asked)


async def test_a_user_in_the_address_goes_into_a_header_and_ours_stand_once(
    http: HttpFetcher, server: Server, ask: Ask
) -> None:
    plain = ask("/ok")
    await http.fetch(replace(plain, url=plain.url.replace("://", "://user:hunter2@"), headers={"User-Agent": "other"}))
    line, *rest = server.heads[0].lower().split("\r\n")
    assert "hunter2" not in line
    assert "authorization: basic dxnlcjpodw50zxiy" in rest
    assert [header for header in rest if header.startswith("user-agent:")] == ["user-agent: other"]


def test_the_version_whose_private_names_are_used() -> None:
    assert httpcore.__version__ == HTTPCORE


async def test_connections_that_were_closed_meanwhile_are_replaced_and_closed_here_too(
    http: HttpFetcher, ask: Ask
) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(http.fetch, ask("/ok"))
    (pool,) = http._pools.values()
    kept = len(pool.connections)
    assert kept > 1
    for connection in pool.connections:
        connection._connection._expire_at = 0.0  # type: ignore[attr-defined]
    assert (await http.fetch(ask("/ok"))).status == 200
    assert len(pool.connections) == 1


async def test_connections_are_kept(http: HttpFetcher, server: Server, ask: Ask) -> None:
    for _ in range(5):
        await http.fetch(ask("/ok"))
    assert server.connections == 1


async def test_cancelled_calls_leave_the_connections_usable(http: HttpFetcher, server: Server, ask: Ask) -> None:
    for _ in range(3):
        with trio.move_on_after(0.02):
            async with trio.open_nursery() as nursery:
                for _ in range(12):  # more than there are connections: some wait, some are served
                    nursery.start_soon(http.fetch, ask("/slow"))
    with trio.fail_after(5):
        assert (await http.fetch(ask("/ok"))).status == 200


async def test_compressed_bodies(http: HttpFetcher, ask: Ask) -> None:
    assert (await http.fetch(ask("/gzip"))).body == b'{"b": 2}'
    refusal = await http.fetch(ask("/called-gzip"))
    assert (refusal.status, refusal.headers["retry-after"], refusal.body) == (429, "7", b"<html>")
    with pytest.raises(Transient, match="too large"):
        await http.fetch(ask("/bomb"))
    with pytest.raises(Transient, match="somewhere"):
        await http.fetch(ask("/garbage"))
    with pytest.raises(Transient, match="cut off"):
        await http.fetch(ask("/torn"))


async def test_nobody_there_is_transient() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    async with HttpFetcher() as fetcher:
        with pytest.raises(Transient, match="somewhere: ConnectError"):
            await fetcher.fetch(Request("somewhere", "GET", f"http://127.0.0.1:{port}/"))
        with pytest.raises(Transient, match="somewhere"):
            await fetcher.fetch(Request("somewhere", "GET", "no://address"))


@pytest.mark.parametrize(
    "more",
    [
        *(
            {"url": f"http://{host}:1/"}
            for host in ("a..b", "a" * 64, "xn--a", "xn--", ".a", "x" * 300, "\ud800", "a b")
        ),
        {"url": "http://127.0.0.1:1/\ud800"},
        {"params": {"a": "hush\ud800"}},
        {"headers": {"authorization": "hush\u0663"}},
        {"headers": {"authorization": "hush\n"}},
    ],
    ids=lambda more: ascii(more)[:40],
)
async def test_what_no_request_can_hold_is_transient(more: dict[str, Any]) -> None:
    async with HttpFetcher() as fetcher:
        with pytest.raises(Transient, match="somewhere") as caught:
            await fetcher.fetch(Request("somewhere", "GET", **{"url": "http://127.0.0.1:1/", **more}))
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("value", ["hush\n", " hush", "Bearer hush\r\nX-Other: 1", "hush\0", "hush\u0663"], ids=ascii)
async def test_a_header_that_no_request_can_hold_is_no_fault_of_the_source(
    http: HttpFetcher, ask: Ask, value: str
) -> None:
    """It is met only once there is a connection."""
    with pytest.raises(Unsendable, match="no request can hold its host, parameters or headers") as caught:
        await http.fetch(replace(ask("/ok"), headers={"X-RapidAPI-Key": value}))
    assert "hush" not in str(caught.value)


async def test_no_log_and_no_repr_shows_a_secret(http: HttpFetcher, ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    request = ask("/ok", access_token="hush-hush")
    await http.fetch(request)
    with pytest.raises(Transient) as caught:
        await http.fetch(ask("/lost", access_token="hush-hush"))
    assert "hush" not in f"{caplog.text} {request!r} {caught.value!r} {caught.value.__cause__!r}"
