"""The fetcher over TLS, where a server offers HTTP/2: many questions share a connection, and no other's fate."""

import select
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpcore
import pytest
import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from gcc.errors import Transient
from gcc.sources.http import BODY_BYTES_MAX, HttpFetcher, Request
from tests.certificates import certificate

ASKED_AT_ONCE = 30
IDLE_S = 60.0  # until the server hangs up


class Outside:
    """An ASGI app that answers by its path; what it must not answer yet waits for `go`. After /bye it hangs up."""

    def __init__(self) -> None:
        self.config = Config()
        self.clients: set[Any] = set()
        self.versions: set[str] = set()
        self.waiting = 0
        self.received = 0
        self.asked = trio.Event()
        self.go = trio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while True:
                step = (await receive())["type"]
                await send({"type": f"{step}.complete"})
        self.clients.add(scope["client"])
        self.versions.add(scope["http_version"])
        path = scope["path"]
        while scope["method"] == "POST" and (message := await receive())["type"] == "http.request":
            self.received += len(message["body"])
            if not message["more_body"]:
                break
        if path == "/slow":
            self.waiting += 1
            if self.waiting == ASKED_AT_ONCE:
                self.asked.set()
            await self.go.wait()
        self.config.keep_alive_timeout = 0.1 if path == "/bye" else IDLE_S  # once the answer is sent
        body = b"x" * (BODY_BYTES_MAX + 1) if path == "/large" else path.encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def outside(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[tuple[Outside, str, HttpFetcher]]:
    """Its parameter: settings of the server."""
    certfile, keyfile = certificate(tmp_path)
    app = Outside()
    config = app.config
    config.bind, config.certfile, config.keyfile = ["127.0.0.1:0"], str(certfile), str(keyfile)
    config.h2_max_concurrent_streams = 2 * ASKED_AT_ONCE
    config.keep_alive_timeout = IDLE_S
    for name, value in getattr(request, "param", {}).items():
        setattr(config, name, value)
    async with trio.open_nursery() as nursery:
        (url,) = await nursery.start(serve, app, config)
        async with HttpFetcher(tls=ssl.create_default_context(cafile=str(certfile))) as fetcher:
            yield app, url, fetcher
        nursery.cancel_scope.cancel()


def ask(url: str, path: str) -> Request:
    return Request("src", "GET", url + path, timeout_s=10.0)


async def test_questions_share_a_connection(outside: tuple[Outside, str, HttpFetcher]) -> None:
    app, url, fetcher = outside
    await fetcher.fetch(ask(url, "/first"))
    answers: list[bytes] = []

    async def one(path: str) -> None:
        answers.append((await fetcher.fetch(ask(url, path))).body)

    async with trio.open_nursery() as nursery:
        for number in range(ASKED_AT_ONCE):
            nursery.start_soon(one, f"/{number}")
    assert sorted(answers) == sorted(f"/{number}".encode() for number in range(ASKED_AT_ONCE))
    assert (app.versions, len(app.clients)) == ({"2"}, 1)


async def test_a_burst_waits_for_the_one_connection_that_is_being_made(
    outside: tuple[Outside, str, HttpFetcher],
) -> None:
    app, url, fetcher = outside
    async with trio.open_nursery() as nursery:
        for number in range(ASKED_AT_ONCE):
            nursery.start_soon(fetcher.fetch, ask(url, f"/{number}"))
    assert (app.versions, len(app.clients)) == ({"2"}, 1)


@pytest.mark.parametrize(
    ("outside", "connections"),
    [
        ({"alpn_protocols": ["http/1.1"]}, ASKED_AT_ONCE),
        ({"h2_max_concurrent_streams": 10}, ASKED_AT_ONCE // 10),
    ],
    indirect=["outside"],
)
async def test_where_a_connection_holds_fewer_there_are_more_of_them(
    outside: tuple[Outside, str, HttpFetcher], connections: int
) -> None:
    """All are under way at once: none waits for another's answer, or for one connection to be made after the other."""
    app, url, fetcher = outside
    async with trio.open_nursery() as nursery:
        for _ in range(ASKED_AT_ONCE):
            nursery.start_soon(fetcher.fetch, ask(url, "/slow"))
        await app.asked.wait()
        app.go.set()
    assert len(app.clients) == connections


async def test_a_connection_that_was_closed_meanwhile_is_replaced(outside: tuple[Outside, str, HttpFetcher]) -> None:
    app, url, fetcher = outside
    for number in range(3):
        app.config.keep_alive_timeout = IDLE_S  # of a connection that was not asked anything yet, too
        assert (await fetcher.fetch(ask(url, "/bye"))).body == b"/bye"
        assert len(app.clients) == number + 1
        (connection,) = fetcher._pool("src").connections
        network: httpcore.AsyncNetworkStream = connection._connection._network  # type: ignore[attr-defined]
        hung_up = select.poll()  # to be readable is not enough: what the server said before may lie there
        hung_up.register(network.get_extra_info("socket"), select.POLLRDHUP)
        assert await trio.to_thread.run_sync(hung_up.poll, 10_000)


async def test_a_body_is_sent_whole(outside: tuple[Outside, str, HttpFetcher]) -> None:
    """More than the server's windows hold at first."""
    app, url, fetcher = outside
    for size in (0, 1_000_000):
        request = Request("src", "POST", url + "/sent", timeout_s=10.0, body=b"x" * size)
        assert (await fetcher.fetch(request)).body == b"/sent"
        assert app.received == size


async def test_one_that_is_cancelled_or_too_large_takes_no_other_with_it(
    outside: tuple[Outside, str, HttpFetcher],
) -> None:
    app, url, fetcher = outside
    await fetcher.fetch(ask(url, "/first"))
    answered: list[bytes] = []

    async def patient() -> None:
        answered.append((await fetcher.fetch(ask(url, "/slow"))).body)

    async with trio.open_nursery() as nursery:
        for _ in range(ASKED_AT_ONCE // 2):
            nursery.start_soon(patient)
        async with trio.open_nursery() as hasty:
            for _ in range(ASKED_AT_ONCE - ASKED_AT_ONCE // 2):
                hasty.start_soon(fetcher.fetch, ask(url, "/slow"))
            await app.asked.wait()
            hasty.cancel_scope.cancel()
        with pytest.raises(Transient, match="too large"):
            await fetcher.fetch(ask(url, "/large"))
        app.go.set()
    assert answered == [b"/slow"] * (ASKED_AT_ONCE // 2)
    assert (await fetcher.fetch(ask(url, "/last"))).body == b"/last"


async def test_closing_fails_those_who_wait(outside: tuple[Outside, str, HttpFetcher]) -> None:
    app, url, fetcher = outside
    failed = 0

    async def wait() -> None:
        nonlocal failed
        with pytest.raises(Transient, match="it was closed"):
            await fetcher.fetch(ask(url, "/slow"))
        failed += 1

    async with trio.open_nursery() as nursery:
        for _ in range(ASKED_AT_ONCE):
            nursery.start_soon(wait)
        await app.asked.wait()
        await fetcher.aclose()
    assert failed == ASKED_AT_ONCE


async def test_whom_nobody_knows_is_not_asked(outside: tuple[Outside, str, HttpFetcher]) -> None:
    app, url, _ = outside
    async with HttpFetcher() as fetcher:
        with pytest.raises(Transient, match="certificate"):
            await fetcher.fetch(ask(url, "/first"))
    assert not app.versions
