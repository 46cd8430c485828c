"""The gateway's requests and answers without a framework: what the layers and handlers use of Quart's, and no more.

In: an ASGI scope, whose server calls back when the client hangs up. Out: a request as handlers know it, matched to its
route, and the answer's bytes. Quart makes two tasks and some thirty objects for each request, and puts each header into
a list of its own kind: three quarters of what an answer from memory cost. Nothing is kept between requests.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import parse_qsl

import trio
from quart import Response
from quart.wrappers.response import DataBody
from werkzeug.datastructures import ImmutableMultiDict, MultiDict
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.http import parse_cookie
from werkzeug.routing import Map, Rule

from gcc.sources.passing import Torn
from gcc.web.api.encoding import GZIP_BYTES_MIN, Accepted, accepted, is_here, zipped
from gcc.web.api.fields import Chosen
from gcc.web.api.kept import Kept
from gcc.web.at_once import OVER, PAUSE, Pause
from gcc.web.exchange import HANG_UP, WHOLE

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Match = Callable[[str, str], tuple[Rule, Mapping[str, Any]]]

FORCING = ("force_refresh", "full_refresh")
NOT_FORCED = frozenset({"false", "0", "no", "off", "f", "n"})
MATCHES_MAX = 1000  # paths of at most 8 KiB


OF_CLIENTS = frozenset({b"x-bb-requestid", b"x-bb-clientid", b"x-bb-device-id", b"x-bb-timeout-ms"})


def without_claims(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Without those by which the gateway tells services who asks (x-bb-*), nor names that some read as one of them."""
    return [each for each in headers if each[0] in OF_CLIENTS or not (each[0].startswith(b"x-bb-") or b"_" in each[0])]


class Headers:
    """A request's, as the server gives them: names in small letters, of which callers ask, too."""

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        self._raw = raw
        self._first = dict(reversed(raw))

    def get(self, name: str, default: Any = None) -> Any:
        """The first of that name."""
        value = self._first.get(name.encode())
        return default if value is None else value.decode("latin-1")

    def getlist(self, name: str) -> list[str]:
        wanted = name.encode()
        return [value.decode("latin-1") for found, value in self._raw if found == wanted]

    def __contains__(self, name: str) -> bool:
        return name.encode() in self._first

    def __getitem__(self, name: str) -> str:
        return self._first[name.encode()].decode("latin-1")

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return ((name.decode("latin-1"), value.decode("latin-1")) for name, value in self._raw)


class Asked:
    """One request. Its body is read when a handler asks, and refused where it is longer than `body_bytes_max`."""

    id = ""  # once the gateway has given it one
    url_rule: Rule | None = None
    view_args: Mapping[str, Any] | None = None
    routing_exception: HTTPException | None = None
    takes: Accepted = accepted("")
    chosen: Chosen | None = None  # fields of the answer; None: all
    closing: Callable[[], Awaitable[None]] | None = None  # what is open for it elsewhere
    query: Any = None  # and what was sent: read into the models of the route (gcc/web/api/parse.py)
    sent: Any = None

    def __init__(self, scope: dict[str, Any], receive: Receive, match: Match, body_bytes_max: int) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query_string: bytes = scope["query_string"]
        self.headers = Headers(scope["headers"])
        self._receive, self._body_bytes_max = receive, body_bytes_max
        self._extensions = scope.get("extensions", {})  # other servers than ours have none of these
        self.pause: Pause = self._extensions.get(PAUSE) or OVER
        self._body: bytes | None = None
        try:
            self.url_rule, self.view_args = match(self.path, self.method)
        except HTTPException as refusal:
            self.routing_exception = refusal

    def on_hang_up(self, call: Callable[[], None]) -> None:
        """Where the server tells."""
        if tells := self._extensions.get(HANG_UP):
            tells(call)

    @property
    def sends_whole(self) -> Callable[[int, Mapping[str, str], bytes], Awaitable[None]] | None:
        """Where the server takes an answer whole."""
        whole: Callable[[int, Mapping[str, str], bytes], Awaitable[None]] | None = self._extensions.get(WHOLE)
        return whole

    @property
    def remote_addr(self) -> str | None:
        client = self.scope.get("client")
        return client[0] if client else None

    @cached_property
    def args(self) -> MultiDict[str, str]:
        text = self.query_string.decode("utf-8", "replace")
        return ImmutableMultiDict(parse_qsl(text, keep_blank_values=True, errors="werkzeug.url_quote"))

    @property
    def is_forced(self) -> bool:
        """Whether it asks its source anew, however fresh what is here is."""
        if not self.query_string:
            return False
        return any(self.args.get(name, "false").lower() not in NOT_FORCED for name in FORCING)

    @cached_property
    def cookies(self) -> Mapping[str, str]:
        return parse_cookie("; ".join(self.headers.getlist("cookie")))

    @property
    def host_url(self) -> str:
        return f"{self.scope['scheme']}://{self.headers.get('host', '')}/"

    @property
    def has_body(self) -> bool:
        return self.headers.get("content-length", "0") != "0" or "transfer-encoding" in self.headers

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes, of any length; who sends it waits for who takes it."""
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                await trio.sleep_forever()  # the client is gone: whoever waits is cancelled
            if message["body"]:
                yield message["body"]
            if not message["more_body"]:
                return

    async def get_data(self, cache: bool = False, as_text: bool = False, parse_form_data: bool = False) -> bytes:
        """The whole body."""
        if self._body is not None:
            return self._body
        if int(self.headers.get("content-length", "0")) > self._body_bytes_max:
            raise RequestEntityTooLarge
        body = bytearray()
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                await self.pause
                await trio.sleep_forever()  # the client is gone: whoever waits is cancelled
            body += message["body"]
            if len(body) > self._body_bytes_max:
                raise RequestEntityTooLarge
            if not message["more_body"]:
                self._body = bytes(body)
                return self._body


NONE: Mapping[str, str] = {}


class Told:
    """An answer that is bytes: what is needed of quart's Response, at a tenth of its cost."""

    def __init__(
        self,
        body: bytes,
        *,
        status: int = 200,
        content_type: str = "",
        headers: Mapping[str, str] = NONE,
        kept: Kept | None = None,
    ) -> None:
        """`content_type` is empty where no body belongs to the status; `kept`: the same, gzipped once."""
        self.body = body
        self.kept = kept
        self.status_code = status
        self.headers = TellingHeaders(headers)
        if content_type:
            self.headers["content-type"] = content_type

    def encode(self, takes: Accepted, address: str | None) -> None:
        """Take the form in which it leaves for `address`."""
        self.headers.add("vary", "Accept-Encoding")
        is_small = len(self.body) < GZIP_BYTES_MIN
        if not self.body or (takes.plain and (is_small or not takes.prefers_gzip or is_here(address or ""))):
            return
        if self.kept is None:
            self.body = zipped(self.body)
        else:
            self.body = self.kept.gzip = self.kept.gzip or zipped(self.body)
        self.headers["content-encoding"] = "gzip"


class TellingHeaders(dict[str, str]):
    """Names in small letters, one value each."""

    def add(self, name: str, value: str) -> None:
        self[name] = f"{self[name]}, {value}" if name in self else value


class Streamed:
    """An answer that comes from elsewhere, piece by piece; `pieces` may raise Torn."""

    def __init__(self, status: int, pieces: AsyncIterator[bytes]) -> None:
        self.status_code = status
        self.headers = TellingHeaders()
        self.pieces = pieces


Answered = Response | Told | Streamed


def matcher(routes: Map) -> Match:
    """Of a path and a method, or HTTPException; no route depends on a host. What was found last is remembered."""
    found = routes.bind("gateway", url_scheme="http")

    @lru_cache(MATCHES_MAX)
    def match(path: str, method: str) -> tuple[Rule, Mapping[str, Any]]:
        return found.match(path, method, return_rule=True)

    return match


async def send_answer(response: Answered, request: Asked, send: Send) -> None:
    if isinstance(response, Told) and (send_whole := request.sends_whole) is not None:
        await send_whole(response.status_code, response.headers, response.body)
        return
    told = response.headers.items()
    headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in told]
    if isinstance(response, Told) and "content-type" in response.headers:
        headers.append((b"content-length", b"%d" % len(response.body)))
    await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
    if isinstance(response, Told):
        await send({"type": "http.response.body", "body": response.body})
        return
    if isinstance(response, Streamed):
        await _stream(response, request, send)
        return
    body = response.response
    if isinstance(body, DataBody):
        await send({"type": "http.response.body", "body": body.data})
        return
    await request.pause
    with trio.CancelScope() as asked:
        request.on_hang_up(asked.cancel)
        async with body as pieces:
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _stream(response: Streamed, request: Asked, send: Send) -> None:
    """Up to its end, or without one: then the server closes the connection. A client that hangs up ends it: in the next
    read, as only what is raised in there ends all of the generators that httpx reads through; what is sent meanwhile
    waits no longer than the server lets it."""
    with trio.CancelScope() as asked:
        request.on_hang_up(asked.cancel)
        await send({"type": "http.response.body", "body": b"", "more_body": True})  # the head does not wait
        try:
            async for piece in response.pieces:
                with trio.CancelScope(shield=True):
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        except Torn:
            return
        await send({"type": "http.response.body", "body": b""})
