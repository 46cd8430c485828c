"""The only way to the outside: a request in, an answer in memory out, whatever its status.

A pool of connections for each source, so that one that hangs holds none of another (keep-alive, bounded, HTTP/2 where
it is offered, no redirects, no cookies, no proxy from the environment): httpcore's, the engine of httpx, without the
client around it, which took a third of an exchange's time; its HTTP/2 is our own (gcc/sources/http2.py). What gives no
whole answer (a lost connection, a deadline, a body beyond 8 MiB) is Transient.
Judging the answer is the source's matter.
"""

import datetime as dt
import json
import logging
import math
import re
import ssl
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cache, partial
from types import TracebackType
from typing import Any, Final, Protocol, Self

import httpcore
import httpx
import msgspec
import trio

from gcc import threads
from gcc.errors import Transient
from gcc.sources.http2 import Http2OrNot
from gcc.sources.verdicts import SourceFailed, Unsendable

BODY_BYTES_MAX = 8 << 20
_USERINFO = re.compile(r"(?<=://).*@", re.DOTALL)  # to the last @: a password may hold any character
_PLAIN_BEGINS = (b"{", b"[", b"<")  # what stands before an API may call its page compressed though it is not
RETRY_AFTER_S_MAX = 86_400.0  # no outside API closes for longer than its daily quota
# At level INFO httpx logs whole URLs, wherever it is used as a client.
logging.getLogger("httpx").setLevel(logging.WARNING)
HTTPCORE: Final = "1.0.9"
"""The version whose private names `_Pool` and `Http2OrNot` were checked against; a test compares it."""
_HEADERS = {"accept": "*/*", "accept-encoding": "gzip", "user-agent": "gcc-platform"}
_LOST = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol)
LOOK_S = 1.0
KEEPALIVE_S = 4.0  # below the 5 s after which common servers hang up on idle connections


class Passage(Protocol):
    """Who follows a request on its way; see gcc/sources/calls.py."""

    async def sending(self) -> None:
        """It has a connection, and is about to be written. What this raises is raised by `fetch`."""

    def answered(self) -> None:
        """The head of its answer came."""


@dataclass(frozen=True, slots=True)
class Request:
    """A question to `source`. URL, parameters, headers and body may hold secrets: the repr shows none of them.

    `body` is sent as it is; its type is told by the headers. `timeout_s` is for the whole exchange, from waiting for a
    connection to the last byte. `head_only`: what follows the answer's head is nobody's matter, and not waited for.
    """

    source: str
    method: str
    url: str = field(repr=False)
    params: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_s: float = 15.0
    body: bytes = field(default=b"", repr=False)
    passage: Passage | None = field(default=None, repr=False, compare=False)
    head_only: bool = False

    @property
    def shown_url(self) -> str:
        """The URL as it may be told: without the user and password that a base_url may hold, in whatever form."""
        return _USERINFO.sub("", self.url)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: header names in lower case, the body decompressed, seconds from asking to the last byte.

    `url` is what was asked, as it may be told: without parameters, user and password.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_s: float
    url: str = ""


class Fetcher(Protocol):
    async def fetch(self, request: Request) -> Answer:
        """The answer, of any status; redirects are answers too.

        Raises Transient when none came whole. Cancelled: the connection is dropped.
        """


class _Pool(httpcore.AsyncConnectionPool):
    """httpcore's looks at all its connections, and at the socket of each idle one, whenever a request comes or goes: a
    fifth of a crawl's time. This one does where no connection is ready, and once in LOOK_S."""

    def __init__(self, tls: ssl.SSLContext, *, connections_max: int) -> None:
        # with fewer kept alive, a busy crawl opens one for most calls
        super().__init__(max_connections=connections_max, max_keepalive_connections=connections_max)
        self._tls = tls
        self._without_http2: set[str] = set()
        self._looked_at = -math.inf

    def create_connection(self, origin: httpcore.Origin) -> httpcore.AsyncConnectionInterface:
        return Http2OrNot(origin, self._without_http2, ssl_context=self._tls, keepalive_expiry=KEEPALIVE_S)

    def _assign_requests_to_connections(self) -> list[httpcore.AsyncConnectionInterface]:
        served = all(self._reused(request) for request in self._requests if request.is_queued())
        if served and trio.current_time() < self._looked_at + LOOK_S:
            return []
        self._looked_at = trio.current_time()
        return super()._assign_requests_to_connections()

    def _reused(self, waiting: Any) -> bool:
        for connection in self._connections:
            if (
                connection.is_available()
                and connection.can_handle_request(waiting.request.url.origin)
                and not connection.has_expired()
            ):
                waiting.assign_to_connection(connection)
                return True
        return False


@cache
def whom_everybody_trusts() -> ssl.SSLContext:
    """Read once: it takes 20 ms."""
    return httpx.create_ssl_context(trust_env=False)


class HttpFetcher:
    """The real fetcher, over a pool for each source; use as an async context manager or call aclose()."""

    def __init__(self, *, connections_max: int = 100, tls: ssl.SSLContext | None = None) -> None:
        """`connections_max` of each source. `tls`: whom to trust, if not those whom everybody does."""
        self._connections_max = connections_max
        self._tls = tls or whom_everybody_trusts()
        self._pools: dict[str, _Pool] = {}

    def _pool(self, source: str) -> _Pool:
        if source not in self._pools:
            self._pools[source] = _Pool(self._tls, connections_max=self._connections_max)
        return self._pools[source]

    async def fetch(self, request: Request) -> Answer:
        begun = trio.current_time()
        try:
            with trio.fail_after(request.timeout_s), threads.needed(request.source):  # one resolves the host's name
                status, headers, body = await self._exchange(request)
        except trio.TooSlowError:
            raise Transient(f"{request.source}: no answer within {request.timeout_s:g} s") from None
        except (
            UnicodeError,
            httpx.InvalidURL,
            httpcore.LocalProtocolError,
        ) as error:  # its text repeats what may be a secret
            why = getattr(error, "reason", None) or type(error).__name__
            raise Unsendable(f"{request.source}: no request can hold its host, parameters or headers: {why}") from None
        except _LOST as error:
            # `from None`: the cause would carry the request with its secrets into tracebacks
            raise Transient(f"{request.source}: {type(error).__name__}: {_why(error)}") from None
        return Answer(status, headers, body, trio.current_time() - begun, request.shown_url)

    async def _exchange(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        body = bytearray()
        passage = request.passage
        # httpcore reads through generators in generators: only what is raised inside the innermost one ends them
        # all, so a body that is too large is left by cancelling the next read, not by leaving the loop.
        with trio.CancelScope() as reading:
            asked = _written(request)
            async with self._pool(request.source).stream(
                asked.method,
                httpcore.URL(
                    scheme=asked.url.raw_scheme,
                    host=asked.url.raw_host,
                    port=asked.url.port,
                    target=asked.url.raw_path,
                ),
                headers=asked.headers.raw,
                content=request.body or None,
                extensions={"trace": partial(_followed, passage)} if passage else None,
            ) as reply:
                if passage:
                    passage.answered()
                if request.head_only:
                    reading.cancel()
                async for chunk in reply.aiter_stream():
                    if len(body) + len(chunk) > BODY_BYTES_MAX:
                        reading.cancel()
                    else:
                        body += chunk
        headers = dict(httpx.Headers(reply.headers))
        if request.head_only:
            return reply.status, headers, b""
        if reading.cancel_called:
            raise _too_large(request)
        packed = headers.get("content-encoding", "").lower() in ("gzip", "x-gzip", "deflate")
        plain = not packed or body[:1] in _PLAIN_BEGINS
        return reply.status, headers, bytes(body) if plain else _unpack(body, request)

    async def aclose(self) -> None:
        for pool in self._pools.values():
            await pool.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _written(request: Request) -> httpx.Request:
    """With its parameters in the URL, and the user and password of that in a header."""
    headers = httpx.Headers(_HEADERS)
    headers.update(request.headers)
    asked = httpx.Request(request.method, request.url, params=dict(request.params), headers=headers,
                          content=request.body or None)  # fmt: skip
    if asked.url.userinfo:
        asked = next(httpx.BasicAuth(asked.url.username, asked.url.password).sync_auth_flow(asked))
    return asked


async def _followed(passage: Passage, event: str, _: Any) -> None:
    """Hears all that httpcore does for a request ("http2.send_request_headers.started")."""
    if event.endswith(".send_request_headers.started"):
        await passage.sending()


def _why(error: Exception) -> str:
    """Its text; where it has none, that of what it came of: a certificate that nobody knows."""
    deepest: BaseException = error
    while not str(deepest) and (cause := deepest.__cause__ or deepest.__context__):
        deepest = cause
    return str(deepest) or "the connection was lost"


def _unpack(packed: bytearray, request: Request) -> bytes:
    """The decompressed body; it grows no further than a plain one may."""
    unpacking = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # gzip or zlib, by its header
    try:
        body = unpacking.decompress(packed, BODY_BYTES_MAX + 1)
    except zlib.error as error:
        raise Transient(f"{request.source}: compressed body cannot be read: {error}") from None
    if len(body) > BODY_BYTES_MAX:
        raise _too_large(request)
    if packed and not unpacking.eof:
        raise Transient(f"{request.source}: compressed body is cut off")
    return body


def _too_large(request: Request) -> Transient:
    return Transient(f"{request.source}: answer too large, more than {BODY_BYTES_MAX >> 20} MiB")


def decode(answer: Answer, source: str) -> Any:
    """The body's JSON. SourceFailed where it is none.

    One bad character costs itself, not the answer: bytes that are no UTF-8 become U+FFFD; half a character, a control
    character or a number beyond any type are left to the reader of that field.
    """
    try:
        return msgspec.json.decode(answer.body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return _LENIENT.decode(answer.body.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError) as error:
        raise SourceFailed(f"{source}: HTTP {answer.status} with a body that is no JSON: {error}") from None


def _integer(digits: str) -> int | float:
    """As Python refuses to read an integer of thousands of digits, one beyond 64 bits becomes a float."""
    return int(digits) if len(digits) < 20 else float(digits)


_LENIENT = json.JSONDecoder(strict=False, parse_int=_integer)


def retry_after_s(answer: Answer, now: dt.datetime) -> float | None:
    """The seconds named by Retry-After (a number or a date), 1 s to a day; None where it names none."""
    text = answer.headers.get("retry-after", "").strip()
    try:
        wait_s = float(text)
    except ValueError:
        try:
            date = parsedate_to_datetime(text)
            wait_s = (date.replace(tzinfo=date.tzinfo or dt.UTC) - now).total_seconds()
        except (ValueError, OverflowError):
            return None
    # at least 1 s: an API that says 0 and refuses again would have us ask in a circle
    return min(max(wait_s, 1.0), RETRY_AFTER_S_MAX) if math.isfinite(wait_s) else None
