"""A request of somebody else's that is passed on as it is, and its answer passed back: both bodies as they come.

In: a method, a target, headers, the pieces of a body. Out: the answer's head, and its body's pieces; nothing is kept,
unpacked or followed. Where no answer begins: NoAnswer; where one breaks off: Torn. Asked once more is a GET or HEAD
without a body whose answer has not begun. Whoever leaves before the end closes what was opened. Nobody holds more than
SHARE_MAX of the connections: who takes answers slowly, or asks for slow ones, leaves room for others.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import httpx
import trio

CONNECTIONS_MAX = 100
SHARE_MAX = 25
CONNECT_S = 2.0
ROOM_S = 2.0  # how long a request waits for one of the connections
STALL_S = 15.0  # who neither takes nor sends anything for so long is gone
_REPEATABLE = frozenset({"GET", "HEAD"})

Headers = Sequence[tuple[bytes, bytes]]


class NoAnswer(Exception):
    """`kind`: all connections are taken, or all that one may have; it took too long; it is not there, or answers what
    is no HTTP; or what was to be passed on is no HTTP that can be written."""

    def __init__(self, kind: Literal["FULL", "LATE", "BROKEN", "ODD"], why: str) -> None:
        super().__init__(why)
        self.kind = kind


class Torn(Exception):
    """What is streamed has broken off: its receiver must see that it is not whole."""


@dataclass(frozen=True, slots=True)
class Passed:
    """An answer's head; `pieces` may raise Torn. `aclose` it in any case."""

    status: int
    headers: Headers
    pieces: AsyncIterator[bytes]
    aclose: Callable[[], Awaitable[None]]


class Passing:
    """To one service. `url`: where its paths begin."""

    def __init__(self, url: str) -> None:
        self._url = httpx.URL(url.rstrip("/"))
        self._client = httpx.AsyncClient(
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=CONNECTIONS_MAX),
            timeout=httpx.Timeout(STALL_S, connect=CONNECT_S, pool=ROOM_S),
            verify=_tls(url),
            trust_env=False,
        )
        self._shares: WeakValueDictionary[Hashable, trio.CapacityLimiter] = WeakValueDictionary()

    async def aclose(self) -> None:
        await self._client.aclose()

    async def send(
        self,
        whose: Hashable,
        method: str,
        target: bytes,
        headers: Headers,
        body: Callable[[], AsyncIterator[bytes]] | None,
    ) -> Passed:
        """`whose` share of the connections it takes one of. `target` goes as it is, byte by byte. Raises NoAnswer."""
        share, mine = self._shares.setdefault(whose, trio.CapacityLimiter(SHARE_MAX)), object()
        with trio.move_on_after(ROOM_S) as patience:
            await share.acquire_on_behalf_of(mine)
        if patience.cancelled_caught:
            raise NoAnswer("FULL", f"{SHARE_MAX} requests of one are under way")
        try:
            passed = await self._send(method, target, headers, body)
        except BaseException:
            share.release_on_behalf_of(mine)
            raise

        async def aclose() -> None:
            try:
                await passed.aclose()
            finally:
                share.release_on_behalf_of(mine)

        return replace(passed, aclose=aclose)

    async def _send(
        self, method: str, target: bytes, headers: Headers, body: Callable[[], AsyncIterator[bytes]] | None
    ) -> Passed:
        extensions = {
            "timeout": self._client.timeout.as_dict(),
            "target": self._url.raw_path.rstrip(b"/") + target,
        }
        again = method in _REPEATABLE and body is None
        while True:
            content = None if body is None else body()
            asked = httpx.Request(method, self._url, headers=list(headers), content=content, extensions=extensions)
            try:
                answer = await self._client.send(asked, stream=True, follow_redirects=False)
            except httpx.PoolTimeout as error:
                raise NoAnswer("FULL", type(error).__name__) from None
            except httpx.TimeoutException as error:
                raise NoAnswer("LATE", type(error).__name__) from None
            except httpx.LocalProtocolError as error:
                raise NoAnswer("ODD", str(error)[:200]) from None
            except httpx.TransportError as error:
                if not again:
                    raise NoAnswer("BROKEN", type(error).__name__) from None
                again = False
            else:
                return Passed(answer.status_code, answer.headers.raw, _pieces(answer), answer.aclose)


async def _pieces(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_raw():
            yield piece
    except httpx.TransportError as error:
        raise Torn(type(error).__name__) from None


def _tls(url: str) -> ssl.SSLContext | bool:
    """Made where it is needed: it takes 20 ms."""
    return httpx.create_ssl_context(trust_env=False) if urlsplit(url).scheme == "https" else False
