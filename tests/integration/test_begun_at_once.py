"""Apps that begin at once, over real sockets: what leaves whole, what must wait on the way, and what fails."""

import os
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from quart import Response

from gcc.web.at_once import OVER, PAUSE
from gcc.web.connection import Connection, Port
from gcc.web.gateway.hot import send_answer
from tests.integration.test_serving import GET, Handler, served, until_closed

BIG = b"x" * (8 << 20)  # more than the kernel takes at once


def begins_at_once(handler: Handler) -> Handler:
    handler.begins_at_once = True  # type: ignore[attr-defined]
    return handler


def answering(body: bytes) -> Handler:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return begins_at_once(app)


async def test_it_runs_in_the_task_that_read_its_request_up_to_its_pause() -> None:
    tasks: list[trio.lowlevel.Task] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        tasks.append(trio.lowlevel.current_task())
        if scope["path"] == "/waits":
            await scope["extensions"][PAUSE]
            tasks.append(trio.lowlevel.current_task())
            await trio.lowlevel.checkpoint()
        await answering(b"hello")(scope, receive, send)

    async with served(begins_at_once(app)) as server, await server.connect() as stream:
        for path in (b"/", b"/waits", b"/"):
            await stream.send_all(GET.replace(b"/ ", path + b" "))
            assert (await stream.receive_some()).endswith(b"hello")
    reader, first, then, again = tasks
    assert reader is first is again and then is not reader


async def test_what_the_kernel_does_not_take_follows_and_a_refusal_comes_behind_it() -> None:
    async with served(answering(BIG)) as server, await server.connect() as stream:
        await stream.send_all(GET + b"no request\r\n\r\n")
        answer = await until_closed(stream)
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200") and rest.startswith(BIG)
    assert rest[len(BIG) :].startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1 ") == 2


async def test_a_refusal_of_what_comes_later_waits_for_the_answer_that_is_on_its_way() -> None:
    async with served(answering(BIG)) as server, await server.connect() as stream:
        await stream.send_all(GET)
        got = await stream.receive_some(1000)
        await stream.send_all(b"no request\r\n\r\n")
        got += await until_closed(stream)
    _, _, rest = got.partition(b"\r\n\r\n")
    assert rest.startswith(BIG + b"HTTP/1.1 400 ")


async def test_many_that_are_sent_ahead_are_answered_in_turn() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].endswith("3"):
            await scope["extensions"][PAUSE]
            await trio.lowlevel.checkpoint()
        await answering(scope["path"].encode() + b";")(scope, receive, send)

    paths = [b"/%d" % number for number in range(40)]
    async with served(begins_at_once(app)) as server, await server.connect() as stream:
        await stream.send_all(b"".join(GET.replace(b"/ ", path + b" ") for path in paths))
        answers = b""
        with trio.fail_after(10):
            while answers.count(b";") < len(paths):
                answers += await stream.receive_some()
    bodies = [answer.rpartition(b"\n")[2] for answer in answers.split(b";")]
    assert bodies == [*paths, b""]


async def test_a_body_that_comes_later_is_waited_for() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        await answering(body)(scope, receive, send)

    async with served(begins_at_once(app)) as server, await server.connect() as stream:
        for pieces in ([b"hello"], [b"", b"hello"], [b"he", b"llo"], [b"h", b"e", b"l", b"l", b"o"]):
            first, *later = pieces
            await stream.send_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n" + first)
            for piece in later:
                await trio.testing.wait_all_tasks_blocked()
                await stream.send_all(piece)
            with trio.fail_after(5):
                assert (await stream.receive_some()).endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize("paused", [False, True])
async def test_one_that_fails_is_an_answer_of_500(paused: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if paused:
            await scope["extensions"][PAUSE]
        raise ValueError

    async with served(begins_at_once(app)) as server, await server.connect() as stream:
        await stream.send_all(GET)
        assert (await until_closed(stream)).startswith(b"HTTP/1.1 500 ")


async def test_one_that_waits_without_a_pause_is_a_failure_of_the_app_alone() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await trio.lowlevel.checkpoint()

    async with served(begins_at_once(app)) as server:
        for _ in range(2):
            async with await server.connect() as stream:
                await stream.send_all(GET)
                assert b"200" not in await until_closed(stream)


class Held:
    """As a guest of the door, of one socket."""

    owes = False

    def __init__(self, sock: trio.socket.SocketType) -> None:
        self.stream = trio.SocketStream(sock)

    @property
    def is_closed(self) -> bool:
        return self.stream.socket.fileno() < 0

    def close(self) -> None:
        self.stream.socket.close()


async def test_of_a_closed_connection_nothing_is_read_whosever_its_number_is_now() -> None:
    """Woken, it may find itself closed, and its number given to the next one: in one of two orders of a turn."""
    for _ in range(20):
        (ours, theirs), (door, bell) = trio.socket.socketpair(), trio.socket.socketpair()
        guest: Any = Held(ours)
        reading = Connection(Port(answering(b""), trio.Event(), None), guest)  # type: ignore[arg-type]
        next_one: list[tuple[trio.socket.SocketType, trio.socket.SocketType]] = []

        async def read(reading: Connection = reading) -> None:
            with suppress(trio.ClosedResourceError):
                assert await reading._receive() == b"old"

        async def make_room(
            door: trio.socket.SocketType = door, guest: Held = guest, next_one: list[Any] = next_one
        ) -> None:
            await trio.lowlevel.wait_readable(door)
            guest.close()
            next_one.append(trio.socket.socketpair())
            os.write(next_one[0][1].fileno(), b"of another")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            nursery.start_soon(make_room)
            await trio.testing.wait_all_tasks_blocked()
            os.write(theirs.fileno(), b"old")
            os.write(bell.fileno(), b"!")
        assert await next_one[0][0].recv(100) == b"of another"
        for sock in (theirs, door, bell, *next_one[0]):
            sock.close()


async def test_one_that_was_closed_before_it_is_read_has_ended() -> None:
    ours, theirs = trio.socket.socketpair()
    guest: Any = Held(ours)
    reading = Connection(Port(answering(b""), trio.Event(), None), guest)  # type: ignore[arg-type]
    guest.close()
    with pytest.raises(trio.ClosedResourceError):
        await reading._receive()
    theirs.close()


async def test_a_torn_answer_that_only_the_end_would_end_is_a_reset() -> None:
    async def torn(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half of it", "more_body": True})
        raise ValueError

    async with served(begins_at_once(torn)) as server, await server.connect() as stream:
        await stream.send_all(GET.replace(b"HTTP/1.1", b"HTTP/1.0"))
        with pytest.raises(trio.BrokenResourceError):
            while await stream.receive_some():
                pass


async def test_who_hangs_up_ends_what_is_made_for_it_piece_by_piece() -> None:
    hung_up: list[Any] = []
    made: list[int] = []
    request: Any = SimpleNamespace(pause=OVER, on_hang_up=hung_up.append)

    async def pieces() -> Any:
        for number in range(1000):
            made.append(number)
            yield b"x"
            await trio.lowlevel.checkpoint()

    async def send(message: Any) -> None:
        if len(made) == 3:
            hung_up[0]()

    await send_answer(Response(pieces()), request, send)
    assert made == [0, 1, 2]
