"""Who is let in: what accept(2) may answer, a port that is full, and how often a trouble is told."""

import errno
import os
import resource
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from structlog.testing import capture_logs

from gcc.web import accepting
from gcc.web.accepting import Door, Guest, connections_max

NO_ROOM = b"no room"
Log = Sequence[dict[str, Any]]


class Socket:
    def __init__(self) -> None:
        self.open = True

    def fileno(self) -> int:
        return 7 if self.open else -1

    def close(self) -> None:
        self.open = False

    def shutdown(self, how: int) -> None:
        pass


class Stream:
    """A client that reads what it is sent and hangs up `after_s` then."""

    def __init__(self, after_s: float = 0.0) -> None:
        self.socket = Socket()
        self.got = b""
        self._after_s = after_s

    async def send_all(self, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.got += data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        await trio.sleep(self._after_s)
        for _ in ():
            yield b""


class Listener:
    """Answers what it is told, then nothing."""

    def __init__(self, *answers: int | Stream) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def accept(self) -> Any:
        await trio.lowlevel.checkpoint()
        while not self.answers:  # noqa: ASYNC110 (a test fills it)
            await trio.sleep(0.01)
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, int):
            raise OSError(answer, os.strerror(answer))
        return answer


@asynccontextmanager
async def opened(listener: Listener, *, most: int = 100, busy: bool = False) -> AsyncIterator[Door]:
    """Each guest stays until it is closed; `busy`: with a request in hand."""

    async def serve(guest: Guest) -> None:
        if busy:
            guest.busy()
        while guest.stream.socket.fileno() >= 0:  # noqa: ASYNC110 (closing a fake tells nobody)
            await trio.sleep(0.01)

    door = Door("ops.port", most, refusal=lambda: NO_ROOM, serve=serve)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(door.run, listener, nursery)
        yield door
        nursery.cancel_scope.cancel()


def told(log: Log) -> list[str]:
    return [line["event"] for line in log]


TROUBLES = [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED, errno.EPROTO]


@pytest.mark.parametrize("number", TROUBLES)
async def test_an_accept_that_fails_is_tried_again_ever_slower_and_told_once(
    number: int, autojump_clock: trio.testing.MockClock
) -> None:
    listener = Listener(*[number] * 50, late := Stream())
    with capture_logs() as log:
        async with opened(listener, busy=True) as door:
            await trio.sleep(30)
            assert 25 < listener.asked < 40, "about once a second"
            await trio.sleep(20)
            assert (listener.answers, door.guests.here, late.socket.open) == ([], 1, True)
            assert told(log) == ["no connection can be accepted"]
            await trio.sleep(10)
    assert log[0]["port"] == "ops.port" and log[0]["error"] == os.strerror(number)
    assert told(log) == ["no connection can be accepted", "connections are accepted again"]
    assert log[1]["times"] == 50 and log[1]["lasted_s"] > 40


async def test_without_descriptors_those_who_wait_are_closed(autojump_clock: trio.testing.MockClock) -> None:
    waiting = [Stream(), Stream()]
    async with opened(Listener(*waiting, errno.EMFILE, late := Stream())):
        await trio.sleep(1)
        assert [stream.socket.open for stream in (*waiting, late)] == [False, True, True]


async def test_a_listener_that_is_broken_is_a_bug(autojump_clock: trio.testing.MockClock) -> None:
    with pytest.RaisesGroup(OSError, flatten_subgroups=True):
        async with opened(Listener(errno.EINVAL)):
            await trio.sleep(1)


async def test_a_full_port_closes_who_has_waited_longest(autojump_clock: trio.testing.MockClock) -> None:
    streams = [Stream() for _ in range(4)]
    listener = Listener(*streams[:3])
    with capture_logs() as log:
        async with opened(listener, most=3) as door:
            await trio.sleep(0.1)
            next(iter(door.guests.waiting)).idle()  # the first has just had an answer; its place in the row is its own
            await trio.sleep(accepting.IDLE_S_MIN)
            listener.answers = [streams[3]]
            await trio.sleep(10)
            assert [stream.socket.open for stream in streams] == [True, False, True, True]
    assert told(log) == [] and streams[1].got == b""


async def test_where_nobody_waits_the_newcomer_is_told_and_so_are_we_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    guests, late = [Stream(), Stream()], [Stream(0.3) for _ in range(5)]
    with capture_logs() as log:
        async with opened(Listener(*guests, *late), most=2, busy=True) as door:
            await trio.sleep(0.1)
            assert {stream.got for stream in late} == {NO_ROOM} and all(stream.socket.open for stream in late)
            await trio.sleep(1)
            assert not any(stream.socket.open for stream in late) and door.guests.here == 2
            await trio.sleep(20)
    assert told(log) == ["connections are refused: the port is full", "connections are taken again"]
    assert (log[0]["most"], log[1]["times"]) == (2, 5)


async def test_refused_clients_that_stay_are_bounded_in_time_and_number(
    autojump_clock: trio.testing.MockClock,
) -> None:
    late = [Stream(3600) for _ in range(accepting.LINGERING_MAX + 5)]
    async with opened(Listener(Stream(), *late), most=1, busy=True):
        await trio.sleep(accepting.LINGER_S / 2)
        assert [stream.socket.open for stream in late] == [True] * accepting.LINGERING_MAX + [False] * 5
        await trio.sleep(accepting.LINGER_S)
        assert not any(stream.socket.open for stream in late)


@pytest.mark.parametrize(("limit", "most"), [(256, 32), (1024, 256), (20_000, 1000), (resource.RLIM_INFINITY, 1000)])
def test_the_bound_leaves_descriptors_to_the_stores(monkeypatch: pytest.MonkeyPatch, limit: int, most: int) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert connections_max() == most
