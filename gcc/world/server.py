"""The world: a real HTTP server on loopback that stands in for the outside APIs.

A plain ASGI app, because it shares a process with the crawler it feeds: a route, a door, an answer.
The door of a source asks in this order: its calls per second (429 with Retry-After), the caller's
token, its daily quota, an injected fault; only then the API itself answers. /truth, /history, /faults and
/stats are the world's own and pass no door.

It is asked from this machine only, and by no foreign page (gcc/web/access.py). What is no outside API's own
error is the platform's envelope. Held requests (a `timeout` fault) end when the caller leaves, after a minute,
or when the process drains. Nothing else waits but for the settings' latency.
"""

import datetime as dt
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any

import msgspec
import structlog
import trio

from gcc.clock import Clock
from gcc.config import Bind
from gcc.config import World as Settings
from gcc.errors import ConfigError, Permanent
from gcc.sources.consents import App
from gcc.web import access
from gcc.web.api import envelope
from gcc.web.api.errors import ApiError, Code
from gcc.web.serving import serve
from gcc.world import faults, shopify, truth, truth_instagram, truth_youtube
from gcc.world.answer import Answer, Query, answer, query_of
from gcc.world.apis import APIS, Casts
from gcc.world.consents import CLIENTS
from gcc.world.creators import generate
from gcc.world.door import COUNTED, Door
from gcc.world.limits import Rule
from gcc.world.model import Cast, Platform
from gcc.world.planted import persons
from gcc.world.recorded import read_casts

log = structlog.get_logger()
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_BODY_BYTES_MAX = 64 * 1024
_BODY_S_MAX = 10.0
_SHOWN = (*COUNTED, "per_s")
_TRUTHS: Mapping[Platform, Any] = {"INSTAGRAM": truth_instagram, "YOUTUBE": truth_youtube}
_ENDPOINTS = {
    **{row.source: row.endpoint for row in APIS},
    "truth": "GET /truth/{platform}/{handle}, GET /truth/SHOPIFY/{store}, GET /truth/{platform}?limit&offset",
    **{
        f"truth of {platform}": (
            f"GET /truth/{platform}/{{handle}}/{'|'.join(of.OF_ACCOUNT)}?limit&offset, "
            f"GET /truth/{platform}/{'|'.join(of.OF_NAME)}/{{name}}?limit&offset"
        )
        for platform, of in _TRUTHS.items()
    },
    "tokens": "GET /tokens: whom each API lets in",
    "history": "GET /history/{platform}?days=90 (NDJSON)",
    "faults": 'POST /faults {"source", "kind", "rate", "seconds", "code", "subcode", "scope", "bucket", ...}',
    "limits": 'POST /limits {"source", "each": "source"|"token"|"app", "bucket", "calls", "per_s", "enforced"}',
    "stats": "GET /stats: calls, refusals and faults; how full each limit and each day's quota ever was",
}


class World:
    """The ASGI app over the casts of both platforms. Raises ConfigError naming world.limits."""

    def __init__(
        self,
        casts: Casts,
        clock: Clock,
        settings: Settings,
        *,
        draining: trio.Event,
    ) -> None:
        self._casts = casts
        self._clock = clock
        self._draining = draining
        self._doors = {
            row.room: Door(
                row.make(casts, settings, clock),
                clock,
                seed=settings.seed,
                calls_per_s=settings.calls_per_s,
                quota_times=settings.quota_times,
            )
            for row in APIS
        }
        self._by_source = {door.api.source: door for door in self._doors.values()}
        self._latency_s = settings.latency_s
        try:
            for limit in settings.limits:
                self._declare(Rule(**limit.model_dump()))
        except Permanent as wrong:
            raise ConfigError(f"world.limits: {wrong}") from None
        self._posts = {"faults": self._add_fault, "limits": self._add_limit}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            access.check(scope)
            await self._asked(scope, receive, send)
        except ApiError as refusal:
            await _refuse(send, refusal, self._clock)

    async def _asked(self, scope: Scope, receive: Receive, send: Send) -> None:
        room, _, rest = str(scope["path"])[1:].partition("/")
        query = query_of(scope["query_string"])
        door = self._doors.get(room)
        if door is not None:
            found = await self._outside(door, "/" + rest, query, scope, receive)
        elif scope["method"] == "GET" and room == "history":
            await self._history(rest, query, receive, send)
            return
        else:
            found = await self._own(room, rest, query, scope, receive)
        await _send(send, found)

    async def _outside(self, door: Door, path: str, query: Query, scope: Scope, receive: Receive) -> Answer:
        method = scope["method"]
        body = b"" if method == "GET" else await _body(receive)
        now_s = trio.current_time()
        call = door.read(method, path, query, dict(scope["headers"]), body)
        refusal = door.admit(call, now_s)
        fault = None if refusal else door.strike(call, now_s)
        if self._latency_s:
            await trio.sleep(self._latency_s)
        if fault is not None and fault.wait_s:
            await self._hold(receive, fault.wait_s)
        return refusal or door.answer(call, fault, now_s)

    async def _hold(self, receive: Receive, wait_s: float) -> None:
        """Keep a caller waiting: so long, until it leaves, or until the process drains."""
        with trio.move_on_after(wait_s):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
                await self._draining.wait()
                nursery.cancel_scope.cancel()

    async def _own(self, room: str, rest: str, query: Query, scope: Scope, receive: Receive) -> Answer:
        if scope["method"] == "POST" and room in self._posts and not rest:
            return await self._post(self._posts[room], scope, receive)
        if scope["method"] != "GET":
            raise ApiError(Code.METHOD_NOT_ALLOWED, f"{scope['method'][:20]} is not known here")
        if room == "truth":
            return self._truth(rest, query)
        if room == "tokens" and not rest:
            return answer(200, {source: door.api.given_out() for source, door in self._by_source.items()})
        if room == "stats" and not rest:
            return answer(200, self._stats(trio.current_time()))
        if not room:
            return answer(200, {"endpoints": _ENDPOINTS, "today": self._casts["INSTAGRAM"].today.isoformat()})
        raise ApiError(Code.NOT_FOUND, f"no {room[:40]!r} in this world; GET / lists what there is")

    def _truth(self, rest: str, query: Query) -> Answer:
        platform, _, handle = rest.partition("/")
        limit, offset = _whole(query, "limit", 100, 10_000), _whole(query, "offset", 0, 10**9)
        if platform.upper() == "SHOPIFY":
            return self._orders(handle, offset, offset + limit)
        cast = self._cast(platform)
        if not handle:
            return answer(200, truth.listing(cast, limit, offset))
        handle, _, kind = handle.partition("/")
        if kind:
            return self._truth_of(cast, handle, kind, offset, offset + limit)
        creator = cast.remembered(handle)
        if creator is None:
            raise ApiError(Code.PROFILE_NOT_FOUND, f"no {cast.platform} creator {handle[:80]!r}")
        tell = truth_youtube.profile if cast.platform == "YOUTUBE" else truth.profile
        return answer(200, tell(cast, creator))

    def _orders(self, store: str, start: int, stop: int) -> Answer:
        api = self._by_source[shopify.SOURCE].api
        orders = api.truth(store) if isinstance(api, shopify.ShopifyApi) else None
        if orders is None:
            raise ApiError(Code.NOT_FOUND, f"no store {store[:80]!r}; there are {', '.join(shopify.STORES)}")
        return answer(200, {"total": len(orders), "data": orders[start:stop]})

    def _truth_of(self, cast: Cast, first: str, second: str, start: int, stop: int) -> Answer:
        """Of a name, as comments/{shortcode}, or of an account, as {handle}/followers."""
        of = _TRUTHS[cast.platform]
        if first in of.OF_NAME:
            part = of.OF_NAME[first](cast, second, start, stop)
            if part is None:
                raise ApiError(Code.NOT_FOUND, f"no {first[:20]} of {second[:80]!r}")
            return answer(200, {"total": part[0], "data": part[1]})
        creator = cast.remembered(first)
        if creator is None or second not in of.OF_ACCOUNT:
            raise ApiError(Code.PROFILE_NOT_FOUND, f"no {second[:20]!r} of a {cast.platform} creator {first[:80]!r}")
        total, data = of.OF_ACCOUNT[second](cast, creator, start, stop)
        return answer(200, {**of.about(cast, creator), "total": total, "data": data})

    async def _history(self, platform: str, query: Query, receive: Receive, send: Send) -> None:
        cast = self._cast(platform)
        days = _whole(query, "days", truth.HISTORY_DAYS, 3650)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_until_gone, receive, nursery.cancel_scope)
            await _stream(send, truth.history(cast, days))
            nursery.cancel_scope.cancel()

    async def _post(self, take: Callable[[bytes], Any], scope: Scope, receive: Receive) -> Answer:
        sent_as = access.header(scope, b"content-type") or "application/json"
        if sent_as.partition(";")[0].strip().lower() != "application/json":
            raise ApiError(Code.UNSUPPORTED_MEDIA_TYPE, f"send application/json, not {sent_as[:80]!r}")
        try:
            return answer(200, take(await _body(receive)))
        except (msgspec.DecodeError, Permanent) as wrong:
            raise ApiError(Code.MALFORMED_REQUEST, str(wrong)) from None

    def _add_fault(self, body: bytes) -> dict[str, Any]:
        fault = faults.read(body, {source: door.api for source, door in self._by_source.items()})
        dead = self._by_source[fault.source].add_fault(fault, trio.current_time())
        return {**msgspec.to_builtins(fault), "dead_tokens": dead}

    def _add_limit(self, body: bytes) -> dict[str, Any]:
        """A limit begins to be measured, or begins anew."""
        rule = msgspec.json.decode(body, type=Rule)
        self._declare(rule)
        return msgspec.structs.asdict(rule)

    def _declare(self, rule: Rule) -> None:
        door = self._by_source.get(rule.source)
        if door is None:
            raise Permanent(f"source {rule.source[:40]!r} is none of {', '.join(self._by_source)}")
        door.declare(rule, trio.current_time())

    def _stats(self, now_s: float) -> dict[str, Any]:
        stats = {source: door.stats(now_s) for source, door in self._by_source.items()}
        return {
            **{name: {source: stats[source][name] for source in stats} for name in _SHOWN},
            "limits": [row for door in self._doors.values() for row in door.limits(now_s)],
            "quotas": [row for door in self._doors.values() for row in door.quotas()],
        }

    def _cast(self, platform: str) -> Cast:
        for name, cast in self._casts.items():
            if name == platform.upper():
                return cast
        raise ApiError(Code.NOT_FOUND, f"no platform {platform[:40]!r}; there are INSTAGRAM and YOUTUBE")


def people(settings: Settings, today: dt.date) -> dict[Platform, Cast]:
    """The creators of these settings as of `today`. Blocks: half a second generated, three recorded.

    Raises ConfigError when `recorded` is no folder of recorded creators.
    """
    casts = _casts(settings, today)
    for cast in casts.values():
        cast.post("")  # finds whose each post is, before anybody waits for it
    return casts


def _casts(settings: Settings, today: dt.date) -> dict[Platform, Cast]:
    if settings.recorded is None:
        instagram, youtube = persons(
            generate("INSTAGRAM", settings.seed, settings.creators, settings.odd),
            generate("YOUTUBE", settings.seed, settings.creators, settings.odd),
            settings.seed,
        )
        return {"INSTAGRAM": Cast("INSTAGRAM", instagram, today), "YOUTUBE": Cast("YOUTUBE", youtube, today)}
    recorded = read_casts(settings.recorded, settings.seed, today)
    for line in recorded.report():
        log.info("world.recorded", table=line)
    if settings.recorded_max is None:
        return recorded.casts
    return {platform: cast.top(settings.recorded_max) for platform, cast in recorded.casts.items()}


def tokens(settings: Settings) -> dict[str, Sequence[str]]:
    """What it lets in, by source; as a source's tokens are given (a Graph API token as "IG_USER_ID:TOKEN")."""
    if not settings.enabled:
        return {}
    return {row.source: row.tokens(settings) for row in APIS if row.tokens is not None}


def apps(settings: Settings) -> dict[str, App]:
    """What its platforms have registered us as."""
    return {platform: App(client.id, client.secret) for platform, client in CLIENTS.items() if settings.enabled}


async def serve_world(
    settings: Settings,
    clock: Clock,
    *,
    draining: trio.Event,
    grace_s: float = 5.0,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """The actor: builds the world and serves it until `draining`; `started(url)` when it can be asked.

    Raises ConfigError naming world.port, world.recorded or world.limits.
    """
    casts = await trio.to_thread.run_sync(people, settings, clock.now().date())
    world = World(casts, clock, settings, draining=draining)
    bind = Bind(port=settings.port)
    await serve(world, bind, key="world.port", draining=draining, grace_s=grace_s, task_status=task_status)


def _whole(query: Query, name: str, default: int, largest: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > largest:
        raise ApiError(Code.MALFORMED_REQUEST, f"{name} must be a whole number from 0 to {largest}, got {text[:40]!r}")
    return int(text)


async def _send(send: Send, found: Answer) -> None:
    headers = [
        (b"content-type", found.content_type.encode()),
        (b"content-length", str(len(found.body)).encode()),
    ]
    if found.retry_after_s is not None:
        headers.append((b"retry-after", str(found.retry_after_s).encode()))
    headers += [(name.encode(), value.encode()) for name, value in found.headers]
    await send({"type": "http.response.start", "status": found.status, "headers": headers})
    await send({"type": "http.response.body", "body": found.body})


async def _refuse(send: Send, refusal: ApiError, clock: Clock) -> None:
    status, headers, body = envelope.whole_failure(refusal, str(clock.new_id()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _body(receive: Receive) -> bytes:
    body = bytearray()
    with trio.move_on_after(_BODY_S_MAX):
        while True:
            message = await receive()
            body += message.get("body", b"")
            if len(body) > _BODY_BYTES_MAX:
                raise ApiError(Code.BODY_TOO_LARGE, f"the body is larger than {_BODY_BYTES_MAX} bytes")
            if not message.get("more_body", False):
                return bytes(body)
    raise ApiError(Code.REQUEST_TIMEOUT, f"the body did not come within {_BODY_S_MAX:g} s")


async def _until_gone(receive: Receive, scope: trio.CancelScope) -> None:
    """Cancels the scope when the caller has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()


async def _stream(send: Send, pieces: Iterable[bytes]) -> None:
    headers = [(b"content-type", b"application/x-ndjson")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for piece in pieces:
        if piece:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await trio.lowlevel.checkpoint()  # others run between two pieces
    await send({"type": "http.response.body", "body": b""})


async def _live(receive: Receive, send: Send) -> None:
    """The lifespan protocol: nothing to open, nothing to close."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
