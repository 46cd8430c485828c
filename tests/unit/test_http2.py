"""The connection of HTTP/2 against a server in memory that says each frame when the test wants it."""

import math
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import h2
import httpcore
import pytest
import trio
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, Event, PingAckReceived, RequestReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes, Settings
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, PingFrame, RstStreamFrame, SettingsFrame
from trio.testing import MockClock, memory_stream_pair, wait_all_tasks_blocked

from gcc.sources import http2_core
from gcc.sources.http2 import (
    CONNECTION_BYTES_MAX,
    SILENT_S,
    STREAM_BYTES_MAX,
    WRITE_S,
    Http2Connection,
    Http2OrNot,
)
from gcc.sources.http2_core import EMPTY_FRAMES_EACH, H2, HEADERS_TABLE_BYTES_MAX

ORIGIN = httpcore.Origin(b"https", b"outside", 443)


class Wire(httpcore.AsyncNetworkStream):
    """One end of a pair of streams in memory; httpcore's own wants sockets."""

    def __init__(self, stream: trio.StapledStream[Any, Any]) -> None:
        self._stream = stream
        self.closed = False
        self.stuck = False
        self.broken = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            return bytes(await self._stream.receive_some(max_bytes))
        except (trio.ClosedResourceError, trio.BrokenResourceError) as error:
            raise httpcore.ReadError("closed") from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            with trio.fail_after(math.inf if timeout is None else timeout):
                if self.broken:
                    raise trio.BrokenResourceError
                if self.stuck:
                    await self._stream.send_all(buffer[: len(buffer) // 2])
                    await trio.sleep_forever()
                await self._stream.send_all(buffer)
        except trio.TooSlowError as error:
            raise httpcore.WriteTimeout("slow") from error
        except (trio.ClosedResourceError, trio.BrokenResourceError) as error:
            raise httpcore.WriteError("closed") from error

    async def aclose(self) -> None:
        self.closed = True
        await self._stream.aclose()


@dataclass
class Server:
    """Hears and acknowledges what h2 does; the rest is said by the test, through `core` and `say`."""

    stream: trio.StapledStream[Any, Any]
    core: H2Connection = field(default_factory=lambda: H2Connection(H2Configuration(client_side=False)))
    heard: list[Event] = field(default_factory=list)
    hung_up: bool = False
    saying: trio.Lock = field(default_factory=trio.Lock)

    async def run(self) -> None:
        try:
            while data := await self.stream.receive_some():
                self.heard += self.core.receive_data(data)
                await self.say()
        except trio.BrokenResourceError:
            pass
        self.hung_up = True

    async def say(self) -> None:
        async with self.saying:
            await self.stream.send_all(self.core.data_to_send())

    async def throw(self, *frames: Frame | bytes, times: int = 1) -> None:
        """What h2 would not say."""
        data = b"".join(frame if isinstance(frame, bytes) else frame.serialize() for frame in frames)
        async with self.saying:
            await self.stream.send_all(data * times)
        await wait_all_tasks_blocked()

    def events(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.heard if isinstance(event, kind)]

    @property
    def asked(self) -> dict[bytes, int]:
        """The stream of each path that was asked for."""
        return {dict(event.headers)[b":path"]: event.stream_id for event in self.events(RequestReceived)}

    def head(self, path: bytes, *headers: tuple[bytes, bytes], end: bool = False) -> None:
        self.core.send_headers(self.asked[path], [(b":status", b"200"), *headers], end_stream=end)

    def data(self, path: bytes, data: bytes, *, end: bool = False) -> None:
        self.core.send_data(self.asked[path], data, end_stream=end)

    def fill(self, path: bytes) -> None:
        """As much data as the windows allow."""
        stream = self.asked[path]
        while room := min(self.core.local_flow_control_window(stream), self.core.max_outbound_frame_size):
            self.core.send_data(stream, bytes(room))

    async def answer(self, path: bytes, body: bytes = b"fine") -> None:
        self.head(path)
        self.data(path, body, end=True)
        await self.say()

    async def farewell(self, last_stream_id: int, code: ErrorCodes = ErrorCodes.NO_ERROR) -> None:
        """Written by hand: after h2's own it says nothing more."""
        await self.stream.send_all(GoAwayFrame(last_stream_id=last_stream_id, error_code=code).serialize())


@dataclass
class Scene:
    nursery: trio.Nursery
    connection: Http2Connection
    server: Server
    wire: Wire
    answers: dict[bytes, bytes | str] = field(default_factory=dict)

    async def fetch(self, path: bytes, body: bytes = b"", **extensions: Any) -> bytes:
        headers = [(b"Host", b"outside"), (b"X-Key", b"k")]
        if body:
            headers.append((b"Content-Length", str(len(body)).encode()))
        url = httpcore.URL(scheme=b"https", host=b"outside", port=443, target=path)
        asked = httpcore.Request(b"GET", url, headers=headers, content=body or None, extensions=extensions)
        reply = await self.connection.handle_async_request(asked)
        try:
            return await reply.aread()
        finally:
            await reply.aclose()

    async def _keep(self, path: bytes, body: bytes) -> None:
        try:
            with trio.fail_after(60):
                self.answers[path] = await self.fetch(path, body)
        except (httpcore.ProtocolError, httpcore.ConnectionNotAvailable) as error:
            self.answers[path] = f"{type(error).__name__}: {error}"

    async def ask(self, *paths: bytes, body: bytes = b"") -> None:
        """One after the other; they have been sent when this returns, and wait."""
        for path in paths:
            self.nursery.start_soon(self._keep, path, body)
            await wait_all_tasks_blocked()

    async def ask_in_vain(self, path: bytes, body: bytes = b"") -> trio.CancelScope:
        """It is cancelled by what this returns."""
        scope = trio.CancelScope()

        async def fetch() -> None:
            with scope, suppress(httpcore.RemoteProtocolError):
                await self.fetch(path, body)

        self.nursery.start_soon(fetch)
        await wait_all_tasks_blocked()
        return scope


Begin = Callable[..., Awaitable[Scene]]


@pytest.fixture
def begin(nursery: trio.Nursery) -> Begin:
    async def begin(*, streams_max: int = 100, **settings: int) -> Scene:
        here, there = memory_stream_pair()
        server, wire = Server(there), Wire(here)
        codes = {SettingCodes[name]: value for name, value in settings.items()}
        codes[SettingCodes.MAX_CONCURRENT_STREAMS] = streams_max
        server.core.local_settings = Settings(client=False, initial_values=codes)
        server.core.initiate_connection()
        nursery.start_soon(server.run)
        return Scene(nursery, await Http2Connection.started(ORIGIN, wire, 4.0), server, wire)

    return begin


@pytest.fixture
async def scene(begin: Begin) -> Scene:
    return await begin()


def test_the_version_whose_private_names_are_used() -> None:
    assert h2.__version__ == H2


async def test_who_has_its_answer_waits_for_no_other(scene: Scene) -> None:
    """Whoever reads hands out all that came, and the reading on: the third must not stand behind the second."""
    await scene.ask(b"/1", b"/2", b"/3")
    for path in (b"/1", b"/3"):
        scene.server.head(path)
        scene.server.data(path, b"fine", end=True)
    await scene.server.say()
    await wait_all_tasks_blocked()
    assert scene.answers == {b"/1": b"fine", b"/3": b"fine"}
    await scene.server.answer(b"/2")
    await wait_all_tasks_blocked()
    assert len(scene.answers) == 3


@pytest.mark.parametrize("gone", range(4))
async def test_the_reading_goes_on_whoever_is_cancelled(scene: Scene, gone: int) -> None:
    scopes = [await scene.ask_in_vain(b"/%d" % number) for number in range(4)]
    await scene.ask(b"/last")
    for scope in scopes[gone:] + scopes[:gone]:
        scope.cancel()
    await wait_all_tasks_blocked()
    await scene.server.answer(b"/last")
    await wait_all_tasks_blocked()
    assert scene.answers == {b"/last": b"fine"}


async def test_all_are_cancelled_together_but_one_that_was_just_given_the_reading(scene: Scene) -> None:
    """One is woken to read and cancelled before it runs: it passes that on."""
    first, second = await scene.ask_in_vain(b"/1"), await scene.ask_in_vain(b"/2")
    await scene.ask(b"/3")
    first.cancel()
    second.cancel()
    await scene.server.answer(b"/3")
    await wait_all_tasks_blocked()
    assert scene.answers == {b"/3": b"fine"}


async def test_a_cancelled_stream_is_reset(scene: Scene) -> None:
    scope = await scene.ask_in_vain(b"/1")
    scope.cancel()
    await wait_all_tasks_blocked()
    (reset,) = scene.server.events(StreamReset)
    assert (reset.stream_id, reset.error_code) == (1, ErrorCodes.CANCEL)
    assert scene.connection.is_idle() and scene.connection.is_available()


async def test_what_comes_for_a_cancelled_stream_uses_up_no_window(scene: Scene) -> None:
    """Twice the connection's window comes for streams that nobody knows any more; then another still gets an answer."""
    core = scene.server.core
    for _ in range(2 * CONNECTION_BYTES_MAX // STREAM_BYTES_MAX):
        path = b"/%d" % len(scene.server.asked)
        scope = await scene.ask_in_vain(path)
        scene.server.head(path)
        scene.server.fill(path)  # on its way when the reset comes
        scope.cancel()
        await wait_all_tasks_blocked()
    await scene.ask(b"/last")
    assert core.outbound_flow_control_window >= CONNECTION_BYTES_MAX // 2
    await scene.server.answer(b"/last", b"x" * 10_000)
    await wait_all_tasks_blocked()
    assert scene.answers == {b"/last": b"x" * 10_000}


async def test_what_was_left_unread_is_given_back(scene: Scene) -> None:
    """Answers are read from the network by another, and left by those whom they are for."""
    core = scene.server.core
    await scene.ask(b"/reader")
    for number in range(2 * CONNECTION_BYTES_MAX // STREAM_BYTES_MAX):
        url = httpcore.URL(b"https://outside/%d" % number)
        request = httpcore.Request(b"GET", url, headers=[(b"Host", b"outside")])
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def look_at_the_head_alone(request: httpcore.Request = request) -> None:
                reply = await scene.connection.handle_async_request(request)
                await wait_all_tasks_blocked()
                await reply.aclose()

            await wait_all_tasks_blocked()
            scene.server.head(b"/%d" % number)
            scene.server.fill(b"/%d" % number)
            await scene.server.say()
    assert core.outbound_flow_control_window >= CONNECTION_BYTES_MAX // 2
    await scene.server.answer(b"/reader")
    await wait_all_tasks_blocked()
    assert scene.answers == {b"/reader": b"fine"}


async def test_a_server_sends_no_more_ahead_than_is_allowed_and_holds_up_no_other(scene: Scene) -> None:
    """An answer that nobody reads fills its own window, while others come."""
    request = httpcore.Request(b"GET", httpcore.URL(b"https://outside/unread"), headers=[(b"Host", b"outside")])
    scene.nursery.start_soon(scene.connection.handle_async_request, request)
    await wait_all_tasks_blocked()
    core, stream = scene.server.core, scene.server.asked[b"/unread"]
    scene.server.head(b"/unread")
    scene.server.fill(b"/unread")
    await scene.server.say()
    await scene.ask(*(b"/%d" % number for number in range(99)))
    for number in range(99):
        await scene.server.answer(b"/%d" % number, b"x" * 16_000)
    await wait_all_tasks_blocked()
    assert core.local_flow_control_window(stream) == 0
    assert set(scene.answers.values()) == {b"x" * 16_000} and len(scene.answers) == 99


async def test_a_large_answer_flows_through_a_small_window(scene: Scene) -> None:
    await scene.ask(b"/1")
    core = scene.server.core
    scene.server.head(b"/1")
    for _ in range(4 * STREAM_BYTES_MAX // 10_000):
        assert core.local_flow_control_window(1) >= 10_000
        scene.server.data(b"/1", b"x" * 10_000)
        await scene.server.say()
        await wait_all_tasks_blocked()
    scene.server.data(b"/1", b"", end=True)
    await scene.server.say()
    await wait_all_tasks_blocked()
    assert scene.answers == {b"/1": b"x" * 10_000 * (4 * STREAM_BYTES_MAX // 10_000)}


async def test_after_a_farewell_what_was_taken_on_is_answered_and_the_rest_may_be_asked_again(
    scene: Scene,
) -> None:
    await scene.ask(b"/0")
    await scene.server.answer(b"/0")
    await scene.ask(b"/1", b"/2", b"/3")
    scene.server.head(b"/2")
    await scene.server.say()
    await scene.server.farewell(scene.server.asked[b"/2"])
    await wait_all_tasks_blocked()
    assert scene.answers == {b"/0": b"fine", b"/3": "ConnectionNotAvailable: "}
    assert not scene.connection.is_available()
    scene.server.data(b"/2", b"late", end=True)
    await scene.server.answer(b"/1")
    await wait_all_tasks_blocked()
    assert (scene.answers[b"/1"], scene.answers[b"/2"]) == (b"fine", b"late")
    assert scene.wire.closed and scene.connection.is_closed()


async def test_a_farewell_in_two_steps(scene: Scene) -> None:
    """First a number that none has, so that nothing is lost that is on its way; then the last that was taken on."""
    await scene.ask(b"/0")
    await scene.server.answer(b"/0")
    await scene.ask(b"/1", b"/2")
    await scene.server.farewell(2**31 - 1)
    await wait_all_tasks_blocked()
    assert (len(scene.answers), scene.connection.is_available()) == (1, False)
    await scene.server.farewell(scene.server.asked[b"/1"])
    await scene.server.answer(b"/1")
    await wait_all_tasks_blocked()
    assert scene.answers == {b"/0": b"fine", b"/1": b"fine", b"/2": "ConnectionNotAvailable: "}


async def test_who_takes_leave_before_any_answer_is_not_asked_in_a_circle(scene: Scene) -> None:
    await scene.ask(b"/1")
    await scene.server.farewell(0, ErrorCodes.ENHANCE_YOUR_CALM)
    await wait_all_tasks_blocked()
    assert scene.answers == {b"/1": "RemoteProtocolError: the server took its leave: ENHANCE_YOUR_CALM"}
    assert scene.wire.closed


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"", "the server hung up"),
        (b"\0\0\1\0\0\0\0\0\0x", "ProtocolError: "),  # data of no stream
        (b"\0\0\5\4\0\0\0\0\0later", "FrameDataMissingError: "),  # settings cut off
    ],
)
async def test_what_breaks_fails_all_at_once(scene: Scene, autojump_clock: MockClock, said: bytes, why: str) -> None:
    await scene.ask(b"/1", b"/2", b"/3")
    begun = trio.current_time()
    await (scene.server.stream.send_all(said) if said else scene.server.stream.send_stream.aclose())
    await wait_all_tasks_blocked()
    assert [str(answer).startswith(f"RemoteProtocolError: {why}") for answer in scene.answers.values()] == [True] * 3
    assert scene.wire.closed and scene.connection.is_closed() and trio.current_time() == begun
    await scene.ask(b"/4")
    assert scene.answers[b"/4"] == "ConnectionNotAvailable: "


async def test_a_whole_answer_is_kept_though_the_connection_breaks_behind_it(scene: Scene) -> None:
    await scene.ask(b"/1", b"/2")
    await scene.server.answer(b"/2")
    await scene.server.stream.send_stream.aclose()
    await wait_all_tasks_blocked()
    assert scene.answers == {b"/1": "RemoteProtocolError: the server hung up", b"/2": b"fine"}


async def test_half_a_frame_closes_the_connection(scene: Scene, autojump_clock: MockClock) -> None:
    """A cancelled write goes on, for WRITE_S: a server that read half of it would misread all that follows."""
    await scene.ask(b"/1", b"/2")
    scene.wire.stuck = True
    begun = trio.current_time()
    scope = await scene.ask_in_vain(b"/stuck")
    await scene.ask(b"/behind")
    scope.cancel()
    await wait_all_tasks_blocked()
    assert not scene.answers and not scene.wire.closed
    await trio.sleep(WRITE_S)
    await wait_all_tasks_blocked()
    assert scene.wire.closed and trio.current_time() == begun + WRITE_S
    why = "RemoteProtocolError: WriteTimeout: slow"
    assert scene.answers == dict.fromkeys((b"/1", b"/2", b"/behind"), why)


async def test_a_question_cancelled_behind_a_write_leaves_whole_frames(scene: Scene, autojump_clock: MockClock) -> None:
    scene.wire.stuck = True
    await scene.ask(b"/1")
    scope = await scene.ask_in_vain(b"/2")
    scope.cancel()
    await wait_all_tasks_blocked()
    assert scene.connection._streams.keys() == {1}
    await trio.sleep(WRITE_S)
    await wait_all_tasks_blocked()
    assert scene.connection.is_closed()


async def test_no_more_streams_than_the_server_allows(begin: Begin) -> None:
    scene = await begin(streams_max=2)
    await scene.ask(b"/1", b"/2")
    assert not scene.connection.is_available()
    await scene.ask(b"/3")
    assert scene.answers == {b"/3": "ConnectionNotAvailable: "}
    await scene.server.answer(b"/1")
    await wait_all_tasks_blocked()
    assert scene.connection.is_available()
    scene.server.core.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 1})  # fewer than there are
    await scene.server.say()
    await wait_all_tasks_blocked()
    assert not scene.connection.is_available()
    await scene.server.answer(b"/2")
    await wait_all_tasks_blocked()
    await scene.ask(b"/4")
    await scene.server.answer(b"/4")
    await wait_all_tasks_blocked()
    assert (scene.answers[b"/2"], scene.answers[b"/4"]) == (b"fine", b"fine")


async def test_a_cancelled_stream_makes_room_here_and_there(begin: Begin) -> None:
    scene = await begin(streams_max=2)
    await scene.ask(b"/1")
    for number in range(20):
        (await scene.ask_in_vain(b"/vain%d" % number)).cancel()
        await wait_all_tasks_blocked()
    assert len(scene.server.asked) == 21 and scene.server.core.open_inbound_streams == 1
    await scene.server.answer(b"/1")
    await wait_all_tasks_blocked()
    assert scene.answers == {b"/1": b"fine"}


async def test_a_server_that_grants_no_stream_is_waited_for(begin: Begin, autojump_clock: MockClock) -> None:
    with trio.move_on_after(10) as waiting:
        await begin(streams_max=0)
    assert waiting.cancelled_caught


async def test_bodies_that_wait_for_the_servers_window_are_sent_by_and_by(begin: Begin) -> None:
    """None stands still for a window that was read by another."""
    scene = await begin(INITIAL_WINDOW_SIZE=1000)
    await scene.ask(b"/1", b"/2", b"/3", body=b"x" * 100_000)
    core = scene.server.core
    for path in (b"/2", b"/3", b"/1"):
        stream = scene.server.asked[path]
        core.increment_flow_control_window(100_000, stream)
        core.increment_flow_control_window(100_000)
        await scene.server.say()
        await wait_all_tasks_blocked()
        assert [event.stream_id for event in scene.server.events(StreamEnded)][-1] == stream
    came = [event.flow_controlled_length for event in scene.server.events(DataReceived)]
    assert sum(came) == 300_000
    for path in (b"/1", b"/2", b"/3"):
        await scene.server.answer(path)
    await wait_all_tasks_blocked()
    assert set(scene.answers.values()) == {b"fine"}


@pytest.mark.parametrize("reset", [False, True])
async def test_who_is_answered_before_all_was_asked_asks_no_more(begin: Begin, reset: bool) -> None:
    scene = await begin(INITIAL_WINDOW_SIZE=1000)
    await scene.ask(b"/1", b"/2", body=b"x" * 100_000)
    scene.server.head(b"/1")
    scene.server.data(b"/1", b"too large", end=True)
    if reset:  # which means no failure then
        scene.server.core.reset_stream(1, ErrorCodes.NO_ERROR)
    await scene.server.say()
    await wait_all_tasks_blocked()
    assert scene.answers == {b"/1": b"too large"}
    assert [event.stream_id for event in scene.server.events(StreamReset)] == ([] if reset else [1])
    await scene.server.answer(b"/2")
    await wait_all_tasks_blocked()
    assert scene.answers[b"/2"] == b"fine"


async def test_what_comes_before_and_behind_an_answer_is_no_part_of_it(scene: Scene) -> None:
    await scene.ask(b"/1")
    scene.server.core.send_headers(1, [(b":status", b"103"), (b"link", b"</a>")])
    scene.server.head(b"/1")
    scene.server.data(b"/1", b"fine")
    scene.server.core.send_headers(1, [(b"checksum", b"1")], end_stream=True)
    await scene.server.say()
    await wait_all_tasks_blocked()
    assert scene.answers == {b"/1": b"fine"}


async def test_a_reset_fails_one_alone(scene: Scene) -> None:
    await scene.ask(b"/1", b"/2")
    scene.server.core.reset_stream(1, ErrorCodes.REFUSED_STREAM)
    await scene.server.say()
    await scene.server.answer(b"/2")
    await wait_all_tasks_blocked()
    why = "RemoteProtocolError: the server reset the stream: REFUSED_STREAM"
    assert scene.answers == {b"/1": why, b"/2": b"fine"}


async def test_a_servers_ping_is_answered_while_anybody_waits(scene: Scene) -> None:
    await scene.ask(b"/1")
    scene.server.core.ping(b"12345678")
    await scene.server.say()
    await wait_all_tasks_blocked()
    assert len(scene.server.events(PingAckReceived)) == 1


async def test_a_connection_that_stays_silent_takes_no_more_questions(scene: Scene, autojump_clock: MockClock) -> None:
    await scene.ask(b"/patient")
    hasty, slow = await scene.ask_in_vain(b"/1"), await scene.ask_in_vain(b"/2")
    hasty.cancel()
    await wait_all_tasks_blocked()
    assert scene.connection.is_available()
    await trio.sleep(SILENT_S + 1)
    slow.cancel()
    await wait_all_tasks_blocked()
    assert not scene.connection.is_available() and not scene.wire.closed
    await scene.server.answer(b"/patient")
    await wait_all_tasks_blocked()
    assert scene.answers == {b"/patient": b"fine"} and scene.wire.closed


async def test_questions_with_short_deadlines_find_out_that_nobody_is_there(
    scene: Scene, autojump_clock: MockClock
) -> None:
    for _ in range(3):
        assert scene.connection.is_available()
        (scope := await scene.ask_in_vain(b"/short")).deadline = trio.current_time() + SILENT_S / 2 - 0.1
        await trio.sleep(SILENT_S / 2)
        assert scope.cancelled_caught
    assert scene.wire.closed


async def test_silence_while_nobody_asks_is_no_sign(scene: Scene, autojump_clock: MockClock) -> None:
    await scene.ask(b"/1")
    await scene.server.answer(b"/1")
    await trio.sleep(SILENT_S + 1)
    (await scene.ask_in_vain(b"/2")).cancel()
    await wait_all_tasks_blocked()
    assert scene.connection.is_available()


async def test_idle_it_expires_and_takes_its_leave(scene: Scene, autojump_clock: MockClock) -> None:
    await scene.ask(b"/1")
    await trio.sleep(10)
    assert not scene.connection.has_expired()
    await scene.server.answer(b"/1")
    await wait_all_tasks_blocked()
    assert scene.connection.is_idle() and not scene.connection.has_expired()
    await trio.sleep(4.1)
    assert scene.connection.has_expired()
    await scene.connection.aclose()
    await wait_all_tasks_blocked()
    assert scene.server.hung_up and type(scene.server.heard[-1]).__name__ == "ConnectionTerminated"


async def test_settings_that_nobody_knows_are_not_kept(scene: Scene) -> None:
    """h2 keeps them, and goes through all at each frame of settings: of 60,000, nine bytes took three milliseconds."""
    await scene.ask(b"/1")
    known = len(scene.connection._core.remote_settings)
    for code in range(100, 2_100, 100):
        unknown = b"".join(number.to_bytes(2, "big") + b"\0\0\0\1" for number in range(code, code + 100))
        await scene.server.throw(len(unknown).to_bytes(3, "big") + b"\4\0\0\0\0\0" + unknown)
    assert len(scene.connection._core.remote_settings) == known
    await scene.server.answer(b"/1")
    await wait_all_tasks_blocked()
    assert scene.answers == {b"/1": b"fine"}


async def test_no_server_makes_us_remember_all_headers_that_we_ever_sent(begin: Begin) -> None:
    scene = await begin(HEADER_TABLE_SIZE=2**32 - 1)
    table = scene.connection._core.encoder.header_table
    for number in range(100):
        (await scene.ask_in_vain(b"/%d/" % number + b"of-a-length" * 5)).cancel()
    assert table.maxsize == HEADERS_TABLE_BYTES_MAX and len(table.dynamic_entries) < 50
    await scene.ask(b"/1")
    await scene.server.answer(b"/1")
    await wait_all_tasks_blocked()
    assert scene.answers == {b"/1": b"fine"}


@pytest.mark.parametrize(
    "frame",
    [DataFrame(1), DataFrame(1, b"x"), PingFrame(0, b"12345678"), RstStreamFrame(99), SettingsFrame(0)],
)
async def test_a_flood_of_frames_that_bring_nothing_ends_the_connection(
    scene: Scene, frame: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http2_core, "EMPTY_FRAMES_MAX", 1_000)
    await scene.ask(b"/1")
    scene.server.head(b"/1")
    await scene.server.say()
    with suppress(trio.BrokenResourceError):
        for _ in range(11):
            await scene.server.throw(frame, times=100)
    assert scene.wire.closed and "DenialOfServiceError" in str(scene.answers[b"/1"])


async def test_each_question_may_bring_some_more_of_them(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2_core, "EMPTY_FRAMES_MAX", 1_000)
    for number in range(10):
        await scene.ask(b"/%d" % number)
        await scene.server.throw(PingFrame(0, b"12345678"), times=EMPTY_FRAMES_EACH - 5)
        await scene.server.answer(b"/%d" % number)
        await wait_all_tasks_blocked()
    assert set(scene.answers.values()) == {b"fine"}


async def test_no_error_repeats_what_the_server_may_have_repeated(scene: Scene) -> None:
    """A key that it was sent: the texts of errors are kept with jobs."""
    await scene.ask(b"/1")
    scene.server.core.config.validate_outbound_headers = False
    scene.server.head(b"/1", (b"content-length", b"the-key-itself"))
    await scene.server.say()
    await wait_all_tasks_blocked()
    assert "content-length" in str(scene.answers[b"/1"]) and "key" not in str(scene.answers[b"/1"])


async def test_an_answer_is_kept_though_what_is_owed_for_it_cannot_be_written(scene: Scene) -> None:
    """A server that hangs up behind its answer does not want to hear that its ping was received."""
    await scene.ask(b"/1")
    scene.server.core.ping(b"12345678")
    scene.server.head(b"/1")
    scene.server.data(b"/1", b"fine", end=True)
    scene.wire.broken = True
    await scene.server.say()
    await wait_all_tasks_blocked()
    assert scene.answers == {b"/1": b"fine"} and scene.connection.is_closed()


@pytest.mark.parametrize(
    "said", [GoAwayFrame(error_code=11), SettingsFrame(settings={SettingCodes.MAX_CONCURRENT_STREAMS: 0})]
)
async def test_a_server_that_takes_no_question_at_all_is_not_asked_in_a_circle(scene: Scene, said: Frame) -> None:
    """Told so behind its settings, before the first was written: the pool would open one connection after the other."""
    scene.nursery.start_soon(scene.connection._until, lambda: not scene.connection.is_available(), object())
    await scene.server.throw(said)
    await scene.ask(b"/1")
    assert str(scene.answers[b"/1"]).startswith("RemoteProtocolError: the server takes no questions")


async def test_one_that_was_never_asked_expires_too(scene: Scene, autojump_clock: MockClock) -> None:
    assert not scene.connection.has_expired()
    await trio.sleep(4.1)
    assert scene.connection.has_expired()


async def test_closing_fails_those_who_wait(scene: Scene) -> None:
    await scene.ask(b"/1", b"/2")
    await scene.connection.aclose()
    await wait_all_tasks_blocked()
    assert set(scene.answers.values()) == {"RemoteProtocolError: it was closed"}


@pytest.mark.parametrize(("name", "value"), [(b"x y", b""), (b"x", b"a\nb"), (b"x", b" a"), (b":path", b"/")])
async def test_what_cannot_be_sent_harms_no_other(scene: Scene, name: bytes, value: bytes) -> None:
    await scene.ask(b"/1")
    headers = [(b"Host", b"outside"), (b"X-New", b"of the compression's table"), (name, value)]
    url = httpcore.URL(b"https://outside/2")
    with pytest.raises(httpcore.LocalProtocolError):
        await scene.connection.handle_async_request(httpcore.Request(b"GET", url, headers=headers))
    await scene.ask(b"/3")
    assert scene.server.asked.keys() == {b"/1", b"/3"}


async def test_who_may_not_be_sent_after_all_opens_no_stream(scene: Scene) -> None:
    async def refuse(_: str, __: Any) -> None:
        raise ValueError

    with pytest.raises(ValueError):
        await scene.fetch(b"/1", trace=refuse)
    assert scene.connection.is_idle() and not scene.server.asked


@pytest.mark.parametrize("seed", range(20))
async def test_cancelled_anywhere_it_harms_no_other(begin: Begin, autojump_clock: MockClock, seed: int) -> None:
    """Questions with and without bodies, cancelled or answered in pieces at any time; the patient get all of theirs."""
    rng = random.Random(seed)
    scene = await begin(streams_max=40, INITIAL_WINDOW_SIZE=2000)
    core, done = scene.server.core, set[bytes]()

    async def serve() -> None:
        while True:
            await trio.sleep(rng.random())
            for path, stream in rng.sample(sorted(scene.server.asked.items()), min(5, len(scene.server.asked))):
                inside = core.streams.get(stream)
                if path in done or inside is None or inside.closed:
                    continue
                core.increment_flow_control_window(1000)
                core.increment_flow_control_window(1000, stream)
                if stream in {event.stream_id for event in scene.server.events(StreamEnded)}:
                    scene.server.head(path)
                    scene.server.data(path, path * 500)
                    await scene.server.say()
                    if not inside.closed:
                        scene.server.data(path, b"", end=True)
                    done.add(path)
                await scene.server.say()

    async def hasty(number: int) -> None:
        await trio.sleep(rng.random() * 5)
        with trio.move_on_after(rng.random() * 5):
            await scene.fetch(b"/hasty%d" % number, b"x" * rng.choice((0, 5000)))

    async def patient(number: int) -> None:
        path = b"/patient%d" % number
        await trio.sleep(rng.random() * 5)
        with trio.fail_after(300):
            assert await scene.fetch(path, b"x" * rng.choice((0, 5000))) == path * 500

    async with trio.open_nursery() as serving:
        serving.start_soon(serve)
        async with trio.open_nursery() as asking:
            for number in range(20):
                asking.start_soon(hasty, number)
                asking.start_soon(patient, number)
        serving.cancel_scope.cancel()
    assert scene.connection.is_idle() and scene.connection.is_available()


class Backend(httpcore.AsyncNetworkBackend):
    """Connects, or does not, once it may."""

    def __init__(self, refusal: Exception | None = None) -> None:
        self._refusal = refusal
        self.asked = 0
        self.go = trio.Event()

    async def connect_tcp(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        self.asked += 1
        await self.go.wait()
        raise self._refusal or AssertionError("who connects was to be cancelled")


async def test_who_waits_for_a_connection_is_not_cancelled_with_the_one_who_makes_it() -> None:
    backend = Backend()
    connection = Http2OrNot(ORIGIN, set(), network_backend=backend)
    request = httpcore.Request(b"GET", httpcore.URL(b"https://outside/"), headers=[(b"Host", b"outside")])
    again = 0

    async def wait() -> None:
        nonlocal again
        with pytest.raises(httpcore.ConnectionNotAvailable):
            await connection.handle_async_request(request)
        again += 1

    async with trio.open_nursery() as waiting:
        async with trio.open_nursery() as making:
            making.start_soon(connection.handle_async_request, request)
            await wait_all_tasks_blocked()
            for _ in range(3):
                waiting.start_soon(wait)
            await wait_all_tasks_blocked()
            assert connection.is_available()
            making.cancel_scope.cancel()
    assert (again, backend.asked, connection.is_available(), connection.is_closed()) == (3, 1, False, True)


async def test_who_waits_for_a_connection_that_is_refused_is_refused_too() -> None:
    backend = Backend(httpcore.ConnectError("refused"))
    connection = Http2OrNot(ORIGIN, set(), network_backend=backend)
    request = httpcore.Request(b"GET", httpcore.URL(b"https://outside/"), headers=[(b"Host", b"outside")])
    refused = 0

    async def wait() -> None:
        nonlocal refused
        with pytest.raises(httpcore.ConnectError, match="refused"):
            await connection.handle_async_request(request)
        refused += 1

    async with trio.open_nursery() as waiting:
        for _ in range(4):
            waiting.start_soon(wait)
        await wait_all_tasks_blocked()
        backend.go.set()
    assert (refused, backend.asked) == (4, 1)
