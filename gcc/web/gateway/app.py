"""The gateway: one port, the layers every request passes, the services behind it.

In: HTTP. Out: envelopes (gcc/web/api/envelope.py), counted and timed by route. An exception is an
answer, never the end of the server; a client that hangs up cancels its request's queries, and so does
the deadline. Of Quart its routes and its answers are used; requests are those of hot.py. The layers are one
function here, so that their order can be read and a request costs no more than it must.
"""

import math
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import structlog
import trio
from prometheus_client import CONTENT_TYPE_LATEST
from quart import Request, Response
from quart_trio import QuartTrio
from werkzeug.exceptions import RequestEntityTooLarge

import gcc
from gcc.channels.objects import Objects
from gcc.clock import Clock
from gcc.config import RateClass, Settings
from gcc.metrics import Metrics
from gcc.pipelines.api_jobs.told import told_of
from gcc.pipelines.scraping.refresh import Refresher
from gcc.sources.limits import Limiter
from gcc.sources.precedence import Precedence
from gcc.sources.turns import URGENT
from gcc.stores.api_jobs import PostgresApiJobs
from gcc.stores.api_jobs_asked import TenantsApiJobs
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.plans import VIEWS, Uses
from gcc.stores.postgres import Pool
from gcc.stores.tenant import Tenant
from gcc.web import access
from gcc.web.api import encoding, envelope, etags, fields, parse, shapes, windows
from gcc.web.api.blocks import Store
from gcc.web.api.discovery import Discovery
from gcc.web.api.docs import Docs
from gcc.web.api.envelope import Answer, Due
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.jobs import Jobs, job_path
from gcc.web.api.kept import Kept
from gcc.web.api.leaderboard import Leaderboard
from gcc.web.api.metering import Meter
from gcc.web.api.naming import SHOWN, Naming, Shown
from gcc.web.api.partner_usage import PartnerUsage
from gcc.web.api.rates import Rates
from gcc.web.api.route import Route
from gcc.web.api.windows import Counted
from gcc.web.at_once import at_once
from gcc.web.gateway import errors, hot
from gcc.web.gateway.auth import Authenticator
from gcc.web.gateway.cors import Cors
from gcc.web.gateway.elsewhere import ASSUMED, RemoteIdentity
from gcc.web.gateway.hot import Answered, Streamed, Told
from gcc.web.gateway.identity import Identity
from gcc.web.gateway.proxies import Proxies
from gcc.web.gateway.repeated import Repeated
from gcc.web.gateway.upstream import Upstream, upstreams
from gcc.web.gateway.writing import Writing, key_of
from gcc.web.identity.bus import Bus
from gcc.web.identity.connections import Connecting
from gcc.web.identity.tokens import Secret

REQUEST_ID = "x-bb-requestid"
TIMEOUT_MS_MIN = 50
CLOSE_S = 1.0
# How long the database may take to answer a heartbeat, and how long that counts: any number of heartbeats costs it one
# statement.
PING_S, PINGED_EVERY_S = 2.0, 1.0
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

log = structlog.get_logger()


def gateway_app(
    settings: Settings,
    *,
    pool: Pool,
    platform: Pool,
    clickhouse: ClickHouse,
    refresher: Refresher,
    limiter: Limiter,
    clock: Clock,
    metrics: Metrics,
    precedence: Precedence,
    state: Callable[[], str],
    keys: Sequence[Secret],
    bus: Bus,
    connecting: Connecting,
    objects: Objects,
    remote: RemoteIdentity | None = None,
    call_windows: Store | None = None,
    repeated: Repeated | None = None,
    due: Due = lambda schedule: None,
    shown: Sequence[Shown] = SHOWN,
) -> "Gateway":
    """The ASGI app of the gateway port. `pool` is held to one partner at a time, `platform` sees all. `state` tells
    starting, ready or draining, whenever asked; `due` see `Due`. `keys` sign tokens, `bus` tells of sessions that end,
    `connecting` lets creators in; `remote` knows who asks, where another host does. `call_windows`: see `Rates`.
    `repeated`: what was just answered; None: nothing is answered twice.

    While draining, methods that write get 503; what only reads is answered until the server ends.
    """
    identity = Identity(settings, pool, platform, clock, keys, bus, connecting, remote)
    gateway = Gateway(
        settings,
        identity.authenticator,
        Rates(settings.limits.classes, call_windows),
        repeated or Repeated(0),
        pool=pool,
        platform=platform,
        clock=clock,
        metrics=metrics,
        precedence=precedence,
        state=state,
    )
    docs, meter = Docs(gcc.__version__), gateway.meter
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
        meter=meter,
    )
    asked = TenantsApiJobs(pool, clock)
    leaderboard = Leaderboard(pool, naming, due, asked, meter)
    jobs = Jobs(asked, PostgresApiJobs(pool, objects, told_of(clock)), objects)
    usage = PartnerUsage(meter, identity.authenticator, identity.partners, bus, naming, pool, clock)
    parts = (identity, discovery, leaderboard, usage, jobs, gateway, docs)
    for part in parts:
        for route in part.routes():
            gateway.add(route)
    gateway.schema = docs.describe(gateway.routed.values())
    gateway.upstreams = upstreams(settings, clock, identity.name_of, gateway.routed, gateway.add)
    return gateway


class Gateway(QuartTrio):
    """Quart with the gateway's layers in place of its own request handling."""

    begins_at_once = True

    def __init__(
        self,
        settings: Settings,
        authenticator: Authenticator,
        rates: Rates,
        repeated: Repeated,
        *,
        pool: Pool,
        platform: Pool,
        clock: Clock,
        metrics: Metrics,
        precedence: Precedence,
        state: Callable[[], str],
    ) -> None:
        super().__init__("gcc.web.gateway", static_folder=None)
        self.body_bytes_max = settings.gateway.body_bytes_max
        self.url_map.merge_slashes = False  # a redirect is no envelope
        self.paths = hot.matcher(self.url_map)
        self.deadline_s = settings.gateway.deadline_s
        self.dev_token = settings.web.dev_token
        self.cors = Cors(settings.gateway.cors_origins)
        self.authenticator = authenticator
        self.rates = rates
        self.proxies = Proxies(settings.gateway.trusted_proxies, settings.gateway.proxy_header)
        self.meter = Meter(pool, clock)
        self.pool = pool
        self.writing = Writing(pool, platform, clock)
        self.repeated = repeated
        self.clock = clock
        self.metrics = metrics
        self.precedence = precedence
        self.state = state
        self.log = log.bind()  # now, not at each request
        self.answered_at_s = -math.inf  # the database, to the last heartbeat that asked it
        self.beats = True
        self.routed: dict[str, Route] = {}  # by name
        self.upstreams: list[Upstream] = []
        self.schema = ""  # of all answers: what changes where their shape does

    def routes(self) -> list[Route]:
        return [
            Route("GET", "/heartbeat", "getHeartbeat", "Whether requests are welcome: load balancers ask this",
                  self.heartbeat, data=shapes.State, errors=(Code.STARTING, Code.DRAINING), who="OPEN", rate="open",
                  at_once=True),
            Route("PUT", "/heartbeat", "setHeartbeat", "Have load balancers send no more requests here, or some again",
                  self.set_heartbeat, data=shapes.State, query=shapes.Beat, who="OPERATOR", rate="write",
                  description="Of this process alone, until it ends: GET /heartbeat answers 503, all else as before."),
            Route("GET", "/metrics", "getMetrics", "What this process counts and times, for Prometheus",
                  self.exposed, who="OPERATOR", local=True, rate="open", media_type="text/plain",
                  description="Without a token for programs of this machine itself; not through a proxy on it."),
        ]  # fmt: skip

    async def exposed(self, tenant: Tenant | None, request: Request) -> Response:
        return Response(self.metrics.exposed(), content_type=CONTENT_TYPE_LATEST)

    def add(self, route: Route) -> None:
        self.routed[route.name] = route
        self.add_url_rule(
            route.path.replace("{", "<").replace("}", ">"),
            route.name,
            methods=[route.method],
            provide_automatic_options=False,
        )

    async def aclose(self) -> None:
        for upstream in self.upstreams:
            await upstream.aclose()

    async def set_heartbeat(self, tenant: Tenant, request: Request) -> Answer:
        self.beats = parse.query(shapes.Beat, request).beat
        log.warning("the heartbeat was set", beat=self.beats, by=str(tenant.user_id))
        return Answer({"state": self.state()}, "process", as_of=self.clock.now())

    async def heartbeat(self, tenant: None, request: Any) -> Answer:
        state = self.state()
        if not self.beats:
            raise ApiError(Code.DRAINING, "an operator wants no more requests sent here; what comes is answered")
        if state == "ready":
            if trio.current_time() >= self.answered_at_s + PINGED_EVERY_S:
                await request.pause
                with trio.move_on_after(PING_S) as patience:
                    async with self.pool.connection() as connection:
                        await connection.execute("select")
                if patience.cancelled_caught:
                    raise ApiError(Code.STORE_UNAVAILABLE, f"the database does not answer within {PING_S:g} s")
                self.answered_at_s = trio.current_time()
            return Answer({"state": state}, "process", as_of=self.clock.now())
        raise ApiError(Code.DRAINING if state == "draining" else Code.STARTING, f"the platform is {state}")

    async def asgi_app(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.proxies.look_behind(scope)
            scope["headers"] = hot.without_claims(scope["headers"])
            asked: Any = hot.Asked(scope, receive, self.paths, self.body_bytes_max)
            try:
                response = await self.handle_request(asked)
                if response is not None:
                    await hot.send_answer(response, asked, send)
            finally:
                if asked.closing is not None:
                    with trio.move_on_after(CLOSE_S, shield=True):
                        await asked.closing()
            return
        if scope["type"] != "websocket":
            await super().asgi_app(scope, receive, send)
            return
        refusal = ApiError(Code.NO_WEBSOCKET, "this port has no websockets; /docs lists what there is")
        status, headers, body = envelope.whole_failure(refusal, str(self.clock.new_id()))
        await send({"type": "websocket.http.response.start", "status": status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": body})

    __call__ = asgi_app  # Quart's own only calls it

    async def handle_request(self, request: Any) -> Answered | None:  # type: ignore[override]
        """The outer layers: recovery, CORS, request id, log, deadline; those of `_answer` are inside. None: the client
        has hung up."""
        began = trio.current_time()
        route = None if request.url_rule is None else self.routed[request.url_rule.endpoint]
        request.id = request_id = self._request_id(request)
        counted: list[Counted] = []
        try:
            if self.dev_token:  # everybody may know it; only this machine may use it
                access.check(request.scope, origins=self.cors.origins)
            response = self.cors.preflight(request)
            if response is None:
                answer = self._answer(route, request, counted)
                response = await at_once(request.pause, answer, partial(self._patiently, route, request))
                if response is None:
                    return None
        except Exception as error:
            response = errors.answer(error, request_id, request.headers.get("accept", ""))
            if isinstance(error, ApiError) and error.counted is not None:
                counted.append(error.counted)
            elif not counted:
                counted.append(self.rates.look(request.scope))
        if route is not None and not route.secret and response.status_code < 400 and isinstance(response, Told):
            response.encode(request.takes, request.remote_addr)
        self._tell_limits(response, counted)
        if route is not None and route.deprecated is not None:
            response.headers.update(route.deprecated.told(request.view_args or {}))
        self.cors.mark(request, response)
        response.headers[REQUEST_ID] = request_id
        response.headers["x-content-type-options"] = "nosniff"
        response.headers.setdefault("cache-control", "no-store")
        self._record(route, request, response, request_id, trio.current_time() - began)
        return response

    async def _patiently(
        self, route: Route | None, request: Any, answer: Awaitable[Answered | None]
    ) -> Answered | None:
        """What must wait for something; None as soon as the client hangs up."""
        is_gone = False

        def gone() -> None:
            nonlocal is_gone
            is_gone = True
            waiting.cancel()

        with trio.CancelScope(deadline=trio.current_time() + self._deadline_s(route, request)) as waiting:
            request.on_hang_up(gone)
            async with self.precedence.step(URGENT):
                return await answer
        if is_gone:
            return None
        raise trio.TooSlowError

    async def _answer(self, route: Route | None, request: Any, counted: list[Counted]) -> Answered | None:
        """The inner layers, in the order in which they refuse: size, token, rate, drain, path, role, shape, plan."""
        if (
            request.method not in SAFE_METHODS
            and int(request.headers.get("content-length", "0")) > self.body_bytes_max
            and not (route is not None and route.is_proxied)
        ):
            raise RequestEntityTooLarge
        tenant, is_open = None, self._is_open(route, request)
        if not is_open:
            tenant = await self.authenticator.tenant(
                request.headers.getlist("authorization"), request.remote_addr, request.pause
            )
        if route is not None and route.deprecated is not None:
            self.metrics.deprecated(route.path, None if tenant is None else tenant.partner_id)
        rate: RateClass = ("open" if is_open else "read") if route is None else route.counts_as(request.is_forced)
        counted.append(await self.rates.take(rate, tenant, request.scope, request.pause))
        writes = request.method not in SAFE_METHODS if route is None else route.writes
        if writes and self.state() == "draining":
            raise ApiError(Code.DRAINING, "nothing is written while the platform shuts down")
        if route is None:
            raise request.routing_exception or ApiError(Code.NOT_FOUND, "there is no such path")
        route.admit_role(tenant)
        request.takes = encoding.accepted(request.headers.get("accept-encoding", ""))
        if not request.takes.plain and (route.secret or not request.takes.gzip):
            forms = "identity" if route.secret else "identity or gzip"
            raise ApiError(Code.NOT_ACCEPTABLE, f"Accept-Encoding leaves nothing; take {forms}")
        key = key_of(route, request)
        await parse.shape(route, request)
        route.admit_plan(tenant)
        tell = partial(self._told, route, tenant, request)
        if route.unit:
            await request.pause
            return await self.writing.answer(route, tenant, request, key, tell)
        asked = None
        if route.repeats and tenant is not None and not tenant.assumed:
            body = b"" if route.body is None else await request.get_data()
            asked = self.repeated.asked(route.name, tenant, request, body)
            if (given := self.repeated.get(asked)) is not None:
                return await self._counted(tenant, given.uses, request, tell(given.kept))
        if not route.at_once:
            await request.pause
        answer = await route.handler(tenant, request, **(request.view_args or {}))
        uses = answer.uses if isinstance(answer, Answer) else None
        if asked is not None and isinstance(answer, Answer) and answer.repeats:
            etag = self._etag(route, tenant, request, answer)
            answer = Kept(_body(request, answer), envelope.JSON, etag=etag)
            self.repeated.keep(asked, answer, uses)
        return await self._counted(tenant, uses, request, tell(answer))

    def _is_open(self, route: Route | None, request: Any) -> bool:
        """Whether nobody need say who they are; neither to hear which methods an open path has."""
        if route is not None:
            return route.who == "OPEN" or (route.local and self.proxies.asked_here(request.scope))
        others = getattr(request.routing_exception, "valid_methods", None) or ()
        return any(self.routed[self.paths(request.path, each)[0].endpoint].who == "OPEN" for each in others)

    async def _counted(self, tenant: Tenant | None, uses: Uses | None, request: Any, response: Answered) -> Answered:
        """What is known already is no view; what was done for it is done. Raises QUOTA_SPENT."""
        if uses and response.status_code == 304:
            uses = {module: subject for module, subject in uses.items() if module not in VIEWS}
        if uses and tenant is not None:
            await self.meter.count(tenant, uses, request.pause)
        return response

    def _told(
        self, route: Route, tenant: Tenant | None, request: Any, answer: Answer | Kept | Response | Streamed
    ) -> Answered:
        """What is not changed is told before it is serialised."""
        if isinstance(answer, Response | Streamed):
            return answer
        if tenant is not None and tenant.assumed and isinstance(answer, Answer):
            answer = replace(answer, note="; ".join(filter(None, (ASSUMED, answer.note))))
        etag = answer.etag if isinstance(answer, Kept) else self._etag(route, tenant, request, answer)
        if etag and etags.is_known(request, etag):
            return Told(b"", status=304, headers=etags.headers(etag))
        if isinstance(answer, Kept):
            response = Told(answer.body, content_type=answer.content_type, headers=answer.headers, kept=answer)
        else:
            response = Told(_body(request, answer), content_type=envelope.JSON)
            if answer.location is not None:
                response.status_code = 201
                response.headers["location"] = answer.location
            if answer.job is not None:
                response.status_code = 202
                response.headers["location"] = job_path(answer.job)
        if etag:
            response.headers.update(etags.headers(etag))
        return response

    def _etag(self, route: Route, tenant: Tenant | None, request: Any, answer: Answer) -> str:
        if answer.version is None or not route.conditional:
            return ""
        plan = "" if tenant is None else tenant.plan
        return etags.tag(self.schema, plan, request.path, request.query_string, answer.version)

    @staticmethod
    def _tell_limits(response: Answered, counted: Sequence[Counted]) -> None:
        if not counted:
            return
        told = windows.headers(counted)
        if source := response.headers.get("ratelimit"):  # it has nothing left, or it would not tell
            told["ratelimit"] = f"{source}, {told['ratelimit']}"
        response.headers.update(told)

    def _deadline_s(self, route: Route | None, request: Request) -> float:
        """The shortest of those of the settings, the route and the client; what is no number is refused later."""
        own = None if route is None else route.deadline
        deadline_s = self.deadline_s if own is None else min(own, self.deadline_s)
        asked_ms = request.headers.get(parse.TIMEOUT_HEADER)
        if asked_ms is None or not parse.TIMEOUT_MS.fullmatch(asked_ms):
            return deadline_s
        return min(deadline_s, max(TIMEOUT_MS_MIN, int(asked_ms)) / 1000)

    def _request_id(self, request: Request) -> str:
        """The client's own id if it is a UUID (logs of both sides then meet), else a new one."""
        given = request.headers.get(REQUEST_ID, "")
        try:
            return str(uuid.UUID(given)) if len(given) == 36 else str(self.clock.new_id())
        except ValueError:
            return str(self.clock.new_id())

    def _record(
        self, route: Route | None, request: Request, response: Answered, request_id: str, took_s: float
    ) -> None:
        path = "unmatched" if route is None else route.path
        self.metrics.request(request.method, path, response.status_code, took_s)
        self.log.debug(
            "request",
            request_id=request_id,
            method=request.method,
            route=path,
            path=request.path,
            status=response.status_code,
            took_ms=round(took_s * 1000, 2),
        )


def _body(request: Any, answer: Answer) -> bytes:
    return envelope.success(answer if request.chosen is None else fields.shown(answer, request.chosen))
