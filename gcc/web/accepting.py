"""Who is let in at a port: accepts connections, bounds how many are open, and lives through a lack of descriptors.

In: a listening socket. Out: a task for each connection, given its `Guest`. A port that is full closes the guest that
has waited for its next request longest; where none has waited IDLE_S_MIN, the newcomer is refused and closed.
Where the process has no descriptor left, whoever waits for a next request is closed; where nobody does, accepting
pauses. Either trouble is told by one log line when it begins and one when it is over, however often it strikes.
"""

import errno
import math
import resource
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from itertools import takewhile

import structlog
import trio

log = structlog.get_logger()

CONNECTIONS_MAX = 1000
CONNECTIONS_MIN = 32  # with fewer descriptors than that takes nothing starts (gcc/cli/descriptors.py)
PORTS = 3
STORES = 256  # descriptors that are left to the stores and all else

IDLE_S_MIN = 1.0  # who waits for its next request for less may be about to send it
PAUSE_S = 0.05  # after an accept that failed; doubles up to PAUSE_S_MAX
PAUSE_S_MAX = 1.0
CALM_S = 5.0  # without a further strike, a trouble is over
LINGER_S = 1.0  # a refused client may take so long to read why
LINGERING_MAX = 32  # at a time; beyond them nobody is told why
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
LOST = frozenset({errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH})
"""What accept(2) says of one connection or of the network; the next one may be well."""


def connections_max() -> int:
    """How many connections a port takes where the settings do not say."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return CONNECTIONS_MAX
    return min(CONNECTIONS_MAX, max(CONNECTIONS_MIN, (limit - STORES) // PORTS))


class Guest:
    """One open connection. It is idle while the client owes the (whole head of the) next request."""

    def __init__(self, stream: trio.SocketStream, guests: "Guests") -> None:
        self.stream = stream
        self.idle_since_s = 0.0
        self.owes = False  # the rest of a request that has begun
        self._guests = guests
        self.idle()

    @property
    def is_closed(self) -> bool:
        return self.stream.socket.fileno() < 0

    def idle(self) -> None:
        self.busy()
        if not self.is_closed:
            self.idle_since_s = trio.current_time()
            self._guests.waiting[self] = None

    def busy(self) -> None:
        self._guests.waiting.pop(self, None)

    def close(self) -> None:
        """At once; whoever reads from or writes to it gets ClosedResourceError."""
        self.busy()
        self.stream.socket.close()


class Guests:
    """All open connections of a port. `waiting`: those that are idle, longest first."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.here = 0
        self.waiting: dict[Guest, None] = {}

    def make_room(self, idle_s: float) -> bool:
        """Close the one that has waited longest, if that is `idle_s` at least."""
        guest = next(iter(self.waiting), None)
        if guest is None or trio.current_time() - guest.idle_since_s < idle_s:
            return False
        guest.close()
        return True

    def since(self, idle_since_s: float) -> Iterator[Guest]:
        """Who has been idle since then at least."""
        return takewhile(lambda guest: guest.idle_since_s <= idle_since_s, self.waiting)

    def dismiss(self) -> None:
        """Close all that wait: there is no next request."""
        while self.make_room(0):
            pass


class Trouble:
    """Something that strikes again and again; told once when it begins, once when it is over. `key`: of the port."""

    def __init__(self, key: str, begins: str, over: str) -> None:
        self._key, self._begins, self._over = key, begins, over
        self._began_s: float | None = None
        self.over_at_s = math.inf
        self._times = 0

    def strikes(self, **why: object) -> None:
        self._times += 1
        if self._began_s is None:
            self._began_s = trio.current_time()
            log.warning(self._begins, port=self._key, **why)
        self.over_at_s = trio.current_time() + CALM_S

    def look(self) -> None:
        """Tell that it is over, if it is."""
        if self._began_s is not None and trio.current_time() >= self.over_at_s:
            lasted_s = round(trio.current_time() - self._began_s, 1)
            log.info(self._over, port=self._key, lasted_s=lasted_s, times=self._times)
            self._began_s, self._times, self.over_at_s = None, 0, math.inf


class Door:
    """`refusal` is sent to whom there is no room for; `serve` handles one guest and may raise nothing."""

    def __init__(
        self, key: str, most: int, *, refusal: Callable[[], bytes], serve: Callable[[Guest], Awaitable[None]]
    ) -> None:
        self.guests = Guests(most)
        self._refusal = refusal
        self._serve = serve
        self._lingering = 0
        self._full = Trouble(key, "connections are refused: the port is full", "connections are taken again")
        self._exhausted = Trouble(key, "no connection can be accepted", "connections are accepted again")

    async def run(self, listener: trio.SocketListener, nursery: trio.Nursery) -> None:
        """Accept until cancelled; connections are tasks of `nursery`."""
        pause_s = PAUSE_S
        while True:
            try:
                with trio.CancelScope(deadline=min(self._full.over_at_s, self._exhausted.over_at_s)):
                    stream = await listener.accept()
                    pause_s = PAUSE_S
                    self._let_in(stream, nursery)
            except OSError as error:
                if error.errno not in EXHAUSTED | LOST:
                    raise
                self._exhausted.strikes(error=error.strerror, open=self.guests.here)
                if error.errno not in EXHAUSTED or not self.guests.make_room(0):
                    await trio.sleep(pause_s)
                    pause_s = min(2 * pause_s, PAUSE_S_MAX)
            self._full.look()
            self._exhausted.look()

    def _let_in(self, stream: trio.SocketStream, nursery: trio.Nursery) -> None:
        if self.guests.here < self.guests.most or self.guests.make_room(IDLE_S_MIN):
            self.guests.here += 1
            nursery.start_soon(self._host, Guest(stream, self.guests))
            return
        self._full.strikes(most=self.guests.most)
        if self._lingering < LINGERING_MAX:
            self._lingering += 1
            nursery.start_soon(self._refuse, stream)
        else:
            stream.socket.close()

    async def _host(self, guest: Guest) -> None:
        try:
            await self._serve(guest)
        finally:
            guest.close()
            self.guests.here -= 1

    async def _refuse(self, stream: trio.SocketStream) -> None:
        """Say why, and let the client hang up first: closed with its request unread, it might never see the answer."""
        try:
            with trio.move_on_after(LINGER_S), suppress(OSError, trio.BrokenResourceError):
                await stream.send_all(self._refusal())
                stream.socket.shutdown(socket.SHUT_WR)
                async for _ in stream:
                    pass
        finally:
            self._lingering -= 1
            stream.socket.close()
