"""The gateway: one port, the layers every request passes, the services behind it.

In: HTTP. Out: envelopes (gcc/web/api/envelope.py), counted and timed by route. An exception is an
answer, never the end of the server; a client that hangs up cancels its request's queries, and so does
the deadline. Quart routes and parses; its hooks, signals, sessions and contexts are not used: the layers are one
function here, so that their order can be read and a request costs no more than it must.
"""

import uuid
from collections.abc import Callable, Sequence
from typing import Any

import structlog
import trio
from quart import Request, Response
from quart.ctx import RequestContext
from quart_trio import QuartTrio

import gcc
from gcc.clock import Clock
from gcc.config import Settings
from gcc.metrics import Metrics
from gcc.pipelines.scraping.refresh import Refresher
from gcc.sources.limits import Limiter
from gcc.sources.precedence import Precedence
from gcc.sources.turns import URGENT
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from gcc.web import access
from gcc.web.api import envelope, shapes
from gcc.web.api.discovery import Discovery
from gcc.web.api.docs import Docs
from gcc.web.api.envelope import Answer, Due
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.leaderboard import Leaderboard
from gcc.web.api.naming import SHOWN, Naming, Shown
from gcc.web.api.route import Route
from gcc.web.gateway import errors
from gcc.web.gateway.auth import authenticate
from gcc.web.gateway.cors import Cors

REQUEST_ID = "x-bb-requestid"
PING_S = 2.0  # how long the database may take to answer a heartbeat
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

log = structlog.get_logger()


def gateway_app(
    settings: Settings,
    *,
    pool: Pool,
    clickhouse: ClickHouse,
    refresher: Refresher,
    limiter: Limiter,
    clock: Clock,
    metrics: Metrics,
    precedence: Precedence,
    state: Callable[[], str],
    due: Due = lambda schedule: None,
    shown: Sequence[Shown] = SHOWN,
) -> QuartTrio:
    """The ASGI app of the gateway port. `state` tells starting, ready or draining, whenever asked; `due` see `Due`.

    While draining, methods that write get 503; what only reads is answered until the server ends.
    """
    gateway = Gateway(settings, pool=pool, clock=clock, metrics=metrics, precedence=precedence, state=state)
    docs = Docs(gcc.__version__)
    naming = Naming(shown)
    discovery = Discovery(
        settings,
        naming,
        pool=pool,
        clickhouse=clickhouse,
        refresher=refresher,
        limiter=limiter,
        clock=clock,
        state=state,
        due=due,
    )
    for routes in (discovery.routes(), Leaderboard(pool, naming, due).routes(), gateway.routes(), docs.routes()):
        for route in routes:
            gateway.add(route)
    docs.describe(gateway.routed.values())
    return gateway


class Gateway(QuartTrio):
    """Quart with the gateway's layers in place of its own request handling."""

    def __init__(
        self,
        settings: Settings,
        *,
        pool: Pool,
        clock: Clock,
        metrics: Metrics,
        precedence: Precedence,
        state: Callable[[], str],
    ) -> None:
        super().__init__("gcc.web.gateway", static_folder=None)
        self.config["MAX_CONTENT_LENGTH"] = settings.gateway.body_bytes_max
        self.config["BODY_TIMEOUT"] = None  # the deadline holds for the body too
        self.url_map.merge_slashes = False  # a redirect is no envelope
        self.deadline_s = settings.gateway.deadline_s
        self.dev_token = settings.web.dev_token
        self.cors = Cors(settings.gateway.cors_origins)
        self.pool = pool
        self.clock = clock
        self.metrics = metrics
        self.precedence = precedence
        self.state = state
        self.routed: dict[str, Route] = {}  # by name

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/heartbeat", "getHeartbeat", "Whether requests are welcome: load balancers ask this",
                  self.heartbeat, data=shapes.State, errors=(Code.STARTING, Code.DRAINING), open=True)
        ]  # fmt: skip

    def add(self, route: Route) -> None:
        self.routed[route.name] = route
        self.add_url_rule(
            route.path.replace("{", "<").replace("}", ">"),
            route.name,
            methods=[route.method],
            provide_automatic_options=False,
        )

    async def heartbeat(self, tenant: None, request: Request) -> Answer:
        state = self.state()
        if state == "ready":
            with trio.move_on_after(PING_S) as patience:
                async with self.pool.connection() as connection:
                    await connection.execute("select")
            if patience.cancelled_caught:
                raise ApiError(Code.STORE_UNAVAILABLE, f"the database does not answer within {PING_S:g} s")
            return Answer({"state": state}, "process", as_of=self.clock.now())
        raise ApiError(Code.DRAINING if state == "draining" else Code.STARTING, f"the platform is {state}")

    async def asgi_app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            await super().asgi_app(scope, receive, send)
            return
        refusal = ApiError(Code.NO_WEBSOCKET, "this port has no websockets; /docs lists what there is")
        status, headers, body = envelope.whole_failure(refusal, str(self.clock.new_id()))
        await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})

    async def handle_request(self, request: Request) -> Response:
        """All layers, outermost first: recovery and envelope, CORS, request id, deadline, then the rest inside."""
        began = trio.current_time()
        RequestContext(self, request).match_request()  # and nothing else of it: it is never entered
        request_id = self._request_id(request)
        try:
            if self.dev_token:  # everybody may know it; only this machine may use it
                access.check(request.scope, origins=self.cors.origins)
            response = self.cors.preflight(request)
            if response is None:
                with trio.fail_after(self.deadline_s):
                    async with self.precedence.step(URGENT):
                        response = await self._answer(request)
        except Exception as error:
            response = errors.answer(error, request_id)
        self.cors.mark(request, response)
        response.headers[REQUEST_ID] = request_id
        response.headers["x-content-type-options"] = "nosniff"
        response.headers.setdefault("cache-control", "no-store")
        self._record(request, response, request_id, trio.current_time() - began)
        return response

    async def _answer(self, request: Request) -> Response:
        """Auth, drain, routing, the handler."""
        rule = request.url_rule
        route = self.routed[rule.endpoint] if rule is not None else None
        tenant = None if route is not None and route.open else authenticate(request.headers, self.dev_token)
        writes = request.method not in SAFE_METHODS and not (route is not None and route.reads)
        if writes and self.state() == "draining":
            raise ApiError(Code.DRAINING, "nothing is written while the platform shuts down")
        if route is None:
            raise request.routing_exception or ApiError(Code.NOT_FOUND, "there is no such path")
        parts: dict[str, Any] = request.view_args or {}
        answer = await route.handler(tenant, request, **parts)
        if isinstance(answer, Response):
            return answer
        return Response(envelope.success(answer), content_type=envelope.JSON)

    def _request_id(self, request: Request) -> str:
        """The client's own id if it is a UUID (logs of both sides then meet), else a new one."""
        given = request.headers.get(REQUEST_ID, "")
        try:
            return str(uuid.UUID(given)) if len(given) == 36 else str(self.clock.new_id())
        except ValueError:
            return str(self.clock.new_id())

    def _record(self, request: Request, response: Response, request_id: str, took_s: float) -> None:
        route = self.routed[request.url_rule.endpoint].path if request.url_rule is not None else "unmatched"
        self.metrics.request(request.method, route, response.status_code, took_s)
        log.debug(
            "request",
            request_id=request_id,
            method=request.method,
            route=route,
            path=request.path,
            status=response.status_code,
            took_ms=round(took_s * 1000, 2),
        )
