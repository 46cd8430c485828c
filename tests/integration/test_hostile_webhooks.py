"""Alerts against webhooks that behave badly, over real sockets: each post ends in time, and none is sent twice that was
taken."""

import json
import ssl
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
import trio

from gcc.channels.deadletters import Burial
from gcc.channels.message import Delivery, Frame
from gcc.clock import SystemClock
from gcc.config import load
from gcc.errors import Transient
from gcc.pipelines.analytics import alerts
from gcc.pipelines.analytics.alerts import Webhook
from gcc.pipelines.events.routes import ALERT
from gcc.sources.outbound import Guarded
from tests.certificates import certificate

Answering = Callable[[trio.abc.Stream], Awaitable[None]]
PIECE = b"x" * 65_536


async def nothing(stream: trio.abc.Stream) -> None:
    await trio.sleep_forever()


async def one_byte_at_a_time(stream: trio.abc.Stream) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 10_000:
        await stream.send_all(bytes([byte]))
        await trio.sleep(0.05)


async def more_headers_than_anybody_reads(stream: trio.abc.Stream) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\n")
    while True:
        await stream.send_all(b"X-Long: " + PIECE + b"\r\n")


async def wait_a_little_for_ever(stream: trio.abc.Stream) -> None:
    while True:
        await stream.send_all(b"HTTP/1.1 102 Processing\r\n\r\n")


async def half_a_head(stream: trio.abc.Stream) -> None:
    await stream.send_all(b"HTTP/1.1 200 O")


async def no_http(stream: trio.abc.Stream) -> None:
    await stream.send_all(b"SSH-2.0-OpenSSH_9.2\r\n\0\xff\r\n\r\n")


async def taken_without_an_end(stream: trio.abc.Stream) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await stream.send_all(b"10000\r\n" + PIECE + b"\r\n")


async def taken_slowly(stream: trio.abc.Stream) -> None:
    await stream.send_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 100000\r\n\r\n")
    while True:
        await stream.send_all(b"x")
        await trio.sleep(0.05)


async def taken_and_half_told(stream: trio.abc.Stream) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")


async def taken_and_not_to_be_unpacked(stream: trio.abc.Stream) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 7\r\n\r\nno gzip")


async def taken_and_said_properly(stream: trio.abc.Stream) -> None:
    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


async def refused_without_an_end(stream: trio.abc.Stream) -> None:
    await stream.send_all(b"HTTP/1.1 410 Gone\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await stream.send_all(b"10000\r\n" + PIECE + b"\r\n")


class Bench:
    """A webhook that answers as the test says, and the consumer that posts to it."""

    def __init__(self) -> None:
        self.posts: list[bytes] = []
        self.buried: list[str] = []

    async def listen(self, nursery: trio.Nursery, answering: Answering, tls: ssl.SSLContext | None = None) -> int:
        async def serve(tcp: trio.SocketStream) -> None:
            stream: trio.abc.Stream = trio.SSLStream(tcp, tls, server_side=True) if tls else tcp
            try:
                heard = b""
                while not heard.endswith(b"}"):  # an alert is one JSON object
                    heard += await stream.receive_some() or b"}"
                self.posts.append(heard)
                await answering(stream)
            except trio.BrokenResourceError:
                pass  # the caller has left
            finally:
                await trio.aclose_forcefully(stream)

        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        return int(listener.socket.getsockname()[1])

    async def post(self, url: str, *, times: int = 1) -> int:
        """The same frame so many times: how many alerts were sent at last."""
        clock = SystemClock()
        settings = load(None, environ={"GCC_ALERTS__URL": url, "GCC_ALERTS__SECRET": "hush-hush"}).alerts
        alert = {"id": "a1", "kind": "FAILED", "subject": "x", "at": clock.now().isoformat(), "reason": "bad"}
        delivery = Delivery("alert_q", 1, Frame(clock.new_id(), ALERT, 1, json.dumps(alert).encode()), 1)
        webhook = Webhook(Guarded(allow_private=True), self, clock, settings)
        for _ in range(times):
            sent = await webhook.handle([delivery])
        return sent

    async def bury(self, burials: Sequence[Burial]) -> None:
        self.buried += [burial.reason for burial in burials]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(alerts, "ANSWER_S", 0.5)
    return Bench()


@pytest.mark.parametrize(
    "answering",
    [
        nothing,
        one_byte_at_a_time,
        more_headers_than_anybody_reads,
        wait_a_little_for_ever,
        half_a_head,
        no_http,
    ],
)
async def test_what_no_answer_tells_is_tried_again(bench: Bench, nursery: trio.Nursery, answering: Answering) -> None:
    port = await bench.listen(nursery, answering)
    with trio.fail_after(5), pytest.raises(Transient, match=r"^127\.0\.0\.1: \S"):
        await bench.post(f"http://127.0.0.1:{port}/")
    assert bench.buried == []


@pytest.mark.parametrize(
    "answering",
    [
        taken_without_an_end,
        taken_slowly,
        taken_and_half_told,
        taken_and_not_to_be_unpacked,
        taken_and_said_properly,
    ],
)
async def test_what_is_taken_is_not_sent_again_whatever_else_is_said(
    bench: Bench, nursery: trio.Nursery, answering: Answering
) -> None:
    port = await bench.listen(nursery, answering)
    with trio.fail_after(5):
        assert await bench.post(f"http://127.0.0.1:{port}/", times=2) == 1
    assert (len(bench.posts), bench.buried) == (1, [])


async def test_what_is_refused_at_length_is_buried(bench: Bench, nursery: trio.Nursery) -> None:
    port = await bench.listen(nursery, refused_without_an_end)
    with trio.fail_after(5):
        await bench.post(f"http://127.0.0.1:{port}/")
    assert bench.buried == ["the webhook of alerts.url answers 410"]


async def test_another_host_that_it_names_hears_nothing(bench: Bench, nursery: trio.Nursery) -> None:
    other = Bench()
    elsewhere = await other.listen(nursery, nothing)

    async def redirecting(stream: trio.abc.Stream) -> None:
        where = f"http://127.0.0.1:{elsewhere}/"
        await stream.send_all(f"HTTP/1.1 307 Moved\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode())

    port = await bench.listen(nursery, redirecting)
    await bench.post(f"http://127.0.0.1:{port}/")
    assert (bench.buried, other.posts) == (["the webhook of alerts.url answers 307"], [])


async def test_who_shows_a_certificate_that_nobody_knows_hears_nothing(
    bench: Bench, nursery: trio.Nursery, tmp_path: Path
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate(tmp_path))
    port = await bench.listen(nursery, taken_and_said_properly, tls)
    with pytest.raises(Transient, match=r"^127\.0\.0\.1: its certificate is not trusted"):
        await bench.post(f"https://127.0.0.1:{port}/")
    assert bench.posts == []


async def test_an_address_that_could_be_read_in_two_ways_is_refused(bench: Bench, nursery: trio.Nursery) -> None:
    port = await bench.listen(nursery, taken_and_said_properly)
    assert await bench.post(f"http://127.0.0.1:{port}/#x") == 0
    assert bench.posts == []
    assert bench.buried == ["alerts.url: the URL is not https://host/path, without a fragment"]
