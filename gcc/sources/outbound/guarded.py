"""The way out for requests whose address others chose.

In: a request. Out: its answer in memory, or why there is none; see `Fetcher`, of which this is one. The host is looked
up once, and each address that the answer names must be public: one that is not refuses the whole, since whoever names
both means the other. The connection goes to an address that was checked, whatever the name leads to by then; TLS and
Host are told the URL's name. One request a connection; no redirect is followed, no proxy of the environment used, no
cookie kept, nothing unpacked. One deadline is for everything.

Errors name the host and say why in our words. They repeat nothing that was answered, by DNS or by the host: who chose
the address may read them, and would read our network.
"""

import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

import httpcore
import httpx
import trio

from gcc import threads
from gcc.errors import Transient
from gcc.sources.http import BODY_BYTES_MAX, Answer, Request, whom_everybody_trusts
from gcc.sources.outbound.addresses import not_public
from gcc.sources.outbound.target import NotAllowed, Target, shown, target_of

CONNECT_S = 3.0  # to each address
ADDRESSES_TRIED = 4
LOOKUPS = 8  # at once: a name server that hangs holds these threads, and nobody else's

Resolve = Callable[[str], Awaitable[list[str]]]
"""The addresses of a host, as text; OSError where there are none."""

_HEADERS = {"accept": "*/*", "accept-encoding": "identity", "user-agent": "gcc-platform"}


def resolved(limiter: trio.CapacityLimiter) -> Resolve:
    """The system's resolver, in threads of `limiter`."""

    async def resolve(host: str) -> list[str]:
        found = await trio.to_thread.run_sync(
            _looked_up, host, abandon_on_cancel=True, limiter=limiter
        )  # one that is abandoned keeps its place until the system gives up
        return list(dict.fromkeys(found))

    return resolve


def _looked_up(host: str) -> Iterable[str]:
    return [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]


class Guarded:
    """See the head of this file. `allow_private`: every URL is the operator's own, and may lead into its network.

    `tls`: whom to trust, if not those whom everybody does.
    """

    def __init__(
        self,
        *,
        ports: Collection[int] = (443,),
        allow_private: bool = False,
        body_bytes_max: int = BODY_BYTES_MAX,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve | None = None,
        network: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._ports = ports
        self._allow_private = allow_private
        self._body_bytes_max = body_bytes_max
        self._tls = tls or whom_everybody_trusts()
        self._resolve = resolve or resolved(trio.CapacityLimiter(LOOKUPS))
        self._network = network or httpcore.TrioBackend()

    def allowed(self, url: str) -> Target:
        """Where it leads, as far as that is known without asking anybody. NotAllowed."""
        target = target_of(url, ports=self._ports, own=self._allow_private)
        if target.address is not None:
            self._refuse_private(target, [str(target.address)])
        return target

    async def fetch(self, request: Request) -> Answer:
        """The answer, of any status. NotAllowed: nothing was sent. Transient: no answer came whole."""
        begun = trio.current_time()
        target = self.allowed(request.url)
        host = shown(target.host)
        try:
            with trio.fail_after(request.timeout_s), threads.needed(host):
                status, headers, body = await self._exchange(target, request)
        except trio.TooSlowError:
            raise Transient(f"{host}: no answer within {request.timeout_s:g} s") from None
        except httpcore.LocalProtocolError:
            raise NotAllowed(f"{host}: no request can hold such headers") from None
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            raise Transient(f"{host}: {_why(error)}") from None
        return Answer(status, headers, body, trio.current_time() - begun, request.shown_url)

    async def _exchange(self, target: Target, request: Request) -> tuple[int, dict[str, str], bytes]:
        line = _Line(self._network, await self._addresses(target))
        headers = {**_HEADERS, **{name.lower(): value for name, value in request.headers.items()}}
        headers |= {"host": target.authority, "connection": "close"}
        if request.body or request.method in ("POST", "PUT", "PATCH"):
            headers["content-length"] = str(len(request.body))
        url = httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=_path(target, request))
        asked = httpcore.Request(request.method, url, headers=_written(headers), content=request.body)
        try:
            connection = httpcore.AsyncHTTPConnection(url.origin, ssl_context=self._tls, network_backend=line)
            reply = await connection.handle_async_request(asked)
            body = b"" if request.head_only else await self._read(target, reply)
            return reply.status, dict(httpx.Headers(reply.headers)), body
        finally:
            await line.hang_up()

    async def _addresses(self, target: Target) -> list[str]:
        """Of the host, all checked. NotAllowed, Transient."""
        if target.address is not None:
            return [str(target.address)]
        try:
            found = await self._resolve(target.host)
        except (OSError, UnicodeError):
            found = []
        if not found:
            raise Transient(f"{shown(target.host)}: the name leads nowhere")
        self._refuse_private(target, found)
        return found[:ADDRESSES_TRIED]

    def _refuse_private(self, target: Target, found: Iterable[str]) -> None:
        if self._allow_private:
            return
        for text in found:
            try:
                what = not_public(ipaddress.ip_address(text))
            except ValueError:
                what = "no address"
            if what:
                raise NotAllowed(f"{shown(target.host)} leads to an address that is not public: it is {what}")

    async def _read(self, target: Target, reply: httpcore.Response) -> bytes:
        """See HttpFetcher: what is too large is left by cancelling the next read."""
        body = bytearray()
        with trio.CancelScope() as reading:
            async for chunk in reply.aiter_stream():
                if len(body) + len(chunk) > self._body_bytes_max:
                    reading.cancel()
                else:
                    body += chunk
        if reading.cancel_called:
            raise Transient(f"{shown(target.host)}: the answer is larger than {self._body_bytes_max} bytes")
        return bytes(body)


@dataclass(eq=False)
class _Line(httpcore.AsyncNetworkBackend):
    """A connection to the first of `addresses` that takes it, whatever host is asked for."""

    network: httpcore.AsyncNetworkBackend
    addresses: list[str]
    opened: httpcore.AsyncNetworkStream | None = None

    async def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        failed: Exception = httpcore.ConnectError()
        for address in self.addresses:
            try:
                self.opened = await self.network.connect_tcp(address, port, timeout=CONNECT_S)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
            else:
                return self.opened
        raise failed

    async def hang_up(self) -> None:
        """At once: nobody waits for what the other side still has to say."""
        if self.opened is not None:
            with trio.CancelScope(shield=True) as at_once:
                at_once.cancel()
                await self.opened.aclose()


def _path(target: Target, request: Request) -> str:
    if not request.params:
        return target.path
    return f"{target.path}{'&' if '?' in target.path else '?'}{httpx.QueryParams(dict(request.params))}"


def _written(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    try:
        return [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
    except UnicodeEncodeError:
        raise httpcore.LocalProtocolError("a header is not ASCII") from None


def _why(error: Exception) -> str:
    """In our words: theirs may repeat what was answered."""
    if isinstance(error, httpcore.ConnectTimeout):
        return "no connection in time"
    deepest: BaseException | None = error
    while deepest is not None:
        if isinstance(deepest, ssl.SSLCertVerificationError):
            return "its certificate is not trusted, or is another host's"
        if isinstance(deepest, ssl.SSLError):
            return "no TLS could be agreed on"
        deepest = deepest.__cause__ or deepest.__context__
    if isinstance(error, httpcore.ConnectError):
        return "it takes no connection"
    if isinstance(error, httpcore.ProtocolError):
        return "what it answered is no HTTP"
    return "the connection was lost"
