"""Where one request ends and the next begins, and which path is meant: raw bytes on the real socket, row by row.

Each row is sent in one go and in pieces, with one more request behind it. What is refused is answered once, closes the
connection, and no app sees any of it; what is taken is answered, and so is what follows.
"""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from gcc.web.framing import HEADERS_BYTES_MAX, URL_BYTES_MAX
from tests.integration.test_serving import Server, echo, served, until_closed

NEXT = b"GET /hidden HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def request(*headers: bytes, line: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: x\r\n") -> bytes:
    return line + b"\r\n" + host + b"".join(header + b"\r\n" for header in headers) + b"\r\n"


def get(target: bytes) -> bytes:
    return request(line=b"GET " + target + b" HTTP/1.1")


def post(*headers: bytes) -> bytes:
    return request(*headers, line=b"POST / HTTP/1.1")


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked") + body


REFUSED = {
    "a length, then chunks": (post(b"Content-Length: 4", b"Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    "chunks, then a length": (post(b"Transfer-Encoding: chunked", b"Content-Length: 5") + b"0\r\n\r\n", 400),
    "a length twice": (post(b"Content-Length: 5", b"Content-Length: 5") + b"hello", 400),
    "a length and another": (post(b"Content-Length: 5", b"Content-Length: 6") + b"hello", 400),
    "a list of lengths": (post(b"Content-Length: 5, 5") + b"hello", 400),
    "an empty length": (post(b"Content-Length:") + b"hello", 400),
    "a length in hex": (post(b"Content-Length: 0x5") + b"hello", 400),
    "a length with a sign": (post(b"Content-Length: +5") + b"hello", 400),
    "a negative length": (post(b"Content-Length: -5") + b"hello", 400),
    "a length in two words": (post(b"Content-Length: 5 5") + b"hello", 400),
    "a length beyond 2^64": (post(b"Content-Length: " + b"9" * 20), 400),
    "chunks twice": (post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    "chunks that are not last": (post(b"Transfer-Encoding: chunked, identity") + b"0\r\n\r\n", 400),
    "chunks behind a tab": (post(b"Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n", 400),
    "no encoding": (post(b"Transfer-Encoding:") + b"0\r\n\r\n", 400),
    "an unknown encoding": (post(b"Transfer-Encoding: xchunked") + b"0\r\n\r\n", 501),
    "a further encoding": (post(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n", 501),
    "chunks of HTTP/1.0": (
        request(b"Transfer-Encoding: chunked", line=b"POST / HTTP/1.0") + b"0\r\n\r\n", 400
    ),
    "a folded header": (request(b"A: b\r\n c"), 400),
    "a folded length": (post(b"A: b", b"Content-Length: 5\r\n\t6") + b"hello", 400),
    "a fold before all headers": (request(host=b" Host: x\r\nHost: x\r\n"), 400),
    "LF for all line ends": (get(b"/").replace(b"\r\n", b"\n"), 400),
    "LF for one line end": (request(b"A: b\nC: d"), 400),
    "LF for the last line end": (get(b"/")[:-2] + b"\n", 400),
    "CR in a value": (request(b"A: b\rC: d"), 400),
    "CR for all line ends": (get(b"/").replace(b"\r\n", b"\r"), 400),
    "CR before a line end": (request(b"A: b\r"), 400),
    "NUL in a value": (request(b"A: b\0c"), 400),
    "a control character in a value": (request(b"A: b\x01c"), 400),
    "a space before the colon": (post(b"Transfer-Encoding : chunked", b"Content-Length: 5") + b"hello", 400),
    "a tab before the colon": (request(b"A\t: b"), 400),
    "a name without colon": (request(b"abc"), 400),
    "no name": (request(b": x"), 400),
    **{
        f"a name with {odd!r}": (request(b"a%bb: x" % odd), 400)
        for odd in (b" ", b"(", b"@", b"/", b"[", b"\\", b'"', b"\0", b"\x7f", "ü".encode())
    },
    "long headers": (request(b"a: " + b"b" * HEADERS_BYTES_MAX), 431),
    "long headers together": (request(*[b"a: " + b"b" * 1000] * 33), 431),
    "longer than one read": (request(*[b"a: " + b"b" * 3000] * 70), 431),
    "a long name": (request(b"a" * HEADERS_BYTES_MAX + b": b"), 431),
    "many headers": (request(*[b"a: b"] * 100), 431),
    "a long target": (get(b"/" + b"x" * URL_BYTES_MAX), 414),
    "a long query": (get(b"/?" + b"x" * URL_BYTES_MAX), 414),
    "a target longer than headers may be": (get(b"/" + b"x" * 40_000), 414),
    **{
        f"the path {path!r}": (get(path), 400)
        for path in (
            b"//heartbeat", b"/a//b", b"/a/../b", b"/..", b"/.", b"/a/./b", b"/a/.", b"/a/%2e%2E/b", b"/%2e",
            b"/.%2e", b"/a%2fb", b"/a%2Fb", b"/a\\b", b"/a%5cb", b"/a%5Cb", b"/a%00b", b"/a%zzb", b"/a%", b"/a%4",
            b"/a#b", "/ü".encode(), b"/\x01", b"/\x7f", b"/a b", b"a", b"?a",
        )
    },
    "a proxy is asked": (request(line=b"CONNECT x:80 HTTP/1.1"), 405),
    "a proxy is asked for a path": (request(line=b"CONNECT / HTTP/1.1"), 405),
    "a method in small letters": (request(line=b"get / HTTP/1.1"), 400),
    "a whole URL": (get(b"http://x/heartbeat"), 400),
    "a whole URL of another": (get(b"https://evil.example/"), 400),
    "all of the server": (request(line=b"OPTIONS * HTTP/1.1"), 400),
    "no Host": (request(host=b""), 400),
    "two Hosts": (request(b"Host: x"), 400),
    "a Host twice in HTTP/1.0": (request(b"Host: x", line=b"GET / HTTP/1.0"), 400),
    **{
        f"the Host {host!r}": (request(host=b"Host: " + host + b"\r\n"), 400)
        for host in (b"x, y", b"x y", b"a@x", b"x/y", b"http://x", b"x:y", b"[", b"x\\y", b"x?y", b"x#y")
    },
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "HTTP/1.2": (request(line=b"GET / HTTP/1.2"), 400),
    "HTTP/1.10": (request(line=b"GET / HTTP/1.10"), 400),
    "HTTP/2.0": (request(line=b"GET / HTTP/2.0"), 400),
    "http/1.1": (request(line=b"GET / http/1.1"), 400),
}  # fmt: skip
BROKEN = {
    "a size in hex that says so": chunked(b"0x5\r\nhello\r\n0\r\n\r\n"),
    "a size with a sign": chunked(b"+5\r\nhello\r\n0\r\n\r\n"),
    "a negative size": chunked(b"-5\r\nhello\r\n0\r\n\r\n"),
    "a space behind a size": chunked(b"5 \r\nhello\r\n0\r\n\r\n"),
    "a size beyond 2^64": chunked(b"f" * 17 + b"\r\nhello\r\n0\r\n\r\n"),
    "a chunk longer than its size": chunked(b"3\r\nhello\r\n0\r\n\r\n"),
    "LF behind sizes": chunked(b"5\nhello\n0\n\n"),
    "CR in an extension": chunked(b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    "LF in an extension": chunked(b"5;a\nhello\r\n0\r\n\r\n"),
    "a trailer without colon": chunked(b"5\r\nhello\r\n0\r\nA b\r\n\r\n"),
    "a length among the trailers": chunked(b"5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n"),
    "a folded trailer": chunked(b"5\r\nhello\r\n0\r\nA: b\r\n c\r\n\r\n"),
}
"""Whose head is a request's, but not the rest."""
TAKEN = {
    "a path": get(b"/a/b.c/..d/e..;x=%41%c3%bc"),
    "a path that ends in /": get(b"/a/"),
    "a query like a path": get(b"/?a=//b/../%2f%00\\"),
    "the longest target": get(b"/" + b"x" * (URL_BYTES_MAX - 1)),
    "the longest headers": request(b"a: " + b"b" * (HEADERS_BYTES_MAX - len(b"Host: x\r\na: \r\n"))),
    "99 more headers": request(*[b"a: b"] * 99),
    "empty lines before it": b"\r\n\r\n" + get(b"/"),
    "a port": request(host=b"Host: x:80\r\n"),
    "an address": request(host=b"Host: [::1]:80\r\n"),
    "a value of other letters": request("a: ü".encode()),
    "a body": post(b"Content-Length: 5") + b"hello",
    "a body of a GET": request(b"Content-Length: 5") + b"hello",
    "a body like a request": post(b"Content-Length: %d" % len(NEXT)) + NEXT,
    "chunks": chunked(b"5;a=b\r\nhello\r\n000\r\nA: b\r\n\r\n"),
    "chunks like a request": chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (len(NEXT), NEXT)),
    "an upgrade that is not offered": post(b"Connection: upgrade", b"Upgrade: h2c", b"Content-Length: 5") + b"hello",
    "chunks behind such an upgrade": post(b"Connection: upgrade", b"Upgrade: h2c", b"Transfer-Encoding: chunked")
    + b"5\r\nhello\r\n0\r\n\r\n",
}
LAST = {
    "Connection: close": request(b"Connection: close"),
    "HTTP/1.0": request(line=b"GET / HTTP/1.0"),
    "HTTP/1.0 without Host": request(line=b"GET / HTTP/1.0", host=b""),
    "HTTP/1.0 that would stay": request(b"Connection: keep-alive", line=b"GET / HTTP/1.0"),
    "a body without length": request(line=b"POST / HTTP/1.0"),
}
"""After whose answer nothing is read."""


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def said(server: Server, data: bytes, size: int) -> list[int]:
    """The statuses of all answers until the server closes."""
    async with await server.connect() as stream:
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                try:
                    for piece in pieces(data, size):
                        await stream.send_all(piece)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    pass

            nursery.start_soon(send)
            answer = await until_closed(stream)
            nursery.cancel_scope.cancel()
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answer)]


class Seen:
    """An app that echoes, and what it was asked."""

    begins_at_once = True  # as the gateway does

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.paths.append(scope["path"])
        await echo(scope, receive, send)


def sizes(data: bytes) -> tuple[int, ...]:
    """Of the pieces in which it is sent: whole, and so that every place is once between two."""
    return (1 << 20, 1, 7) if len(data) < 500 else (1 << 20, 1000)


@pytest.mark.parametrize("name", REFUSED)
async def test_what_is_no_request_is_answered_once_and_nothing_behind_it(name: str) -> None:
    data, status = REFUSED[name]
    app = Seen()
    async with served(app) as server:
        for size in sizes(data):
            assert await said(server, data + NEXT, size) == [status]
    assert app.paths == []


@pytest.mark.parametrize("name", BROKEN)
async def test_a_body_that_breaks_is_refused_and_nothing_is_read_behind_it(name: str) -> None:
    app = Seen()
    async with served(app) as server:
        for size in sizes(BROKEN[name]):
            assert await said(server, BROKEN[name] + NEXT, size) == [400]
    assert "/hidden" not in app.paths


@pytest.mark.parametrize("name", TAKEN)
async def test_what_is_a_request_is_answered_and_so_is_the_next(name: str) -> None:
    app = Seen()
    async with served(app) as server:
        for size in sizes(TAKEN[name]):
            assert await said(server, TAKEN[name] + NEXT, size) == [200, 200]
            assert app.paths[-1] == "/hidden" and len(app.paths) % 2 == 0


@pytest.mark.parametrize("name", LAST)
async def test_a_last_request_is_answered_and_nothing_behind_it(name: str) -> None:
    app = Seen()
    async with served(app) as server:
        for size in sizes(LAST[name]):
            assert await said(server, LAST[name] + NEXT, size) == [200]
    assert "/hidden" not in app.paths


async def test_a_refusal_waits_for_the_answers_before_it() -> None:
    app = Seen()
    async with served(app) as server:
        assert await said(server, get(b"/1") + get(b"/2") + get(b"//3") + NEXT, 1 << 20) == [200, 200, 400]
    assert app.paths == ["/1", "/2"]


async def test_upgrades_without_number_that_are_not_offered_are_ignored_one_by_one() -> None:
    """Each was read on from within the one before: 900 in one piece went too deep."""
    app = Seen()
    upgrade = request(b"Connection: upgrade", b"Upgrade: h2c")
    async with served(app) as server:
        assert await said(server, upgrade * 900 + NEXT, 1 << 20) == [200] * 901
