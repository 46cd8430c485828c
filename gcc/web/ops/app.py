"""The ops port: the dashboard's page and websocket, the status object, probes, metrics and the actions.

In: HTTP and websockets on loopback. Out: what `Composer` composed; the actions are in actions.py and letters.py.
Access is decided in access.py. Every error is the JSON envelope of the API, except for the page itself, which answers
people. Websockets are closed with 1001 when `draining` is set.
"""

import hashlib
import json
import mimetypes
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import trio
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from quart import Response, g, redirect, request, websocket
from quart.ctx import RequestContext
from quart.typing import ResponseReturnValue
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from gcc.errors import Permanent, Transient
from gcc.pipelines.analytics.modelling import Modelling
from gcc.stores.job_history import JobHistory
from gcc.web.api.errors import ApiError
from gcc.web.ops.access import Access, Refused
from gcc.web.ops.actions import add_actions
from gcc.web.ops.credentials import CredentialActions, add_credentials
from gcc.web.ops.exposed import ExposedStatus
from gcc.web.ops.hub import Client, HubFull
from gcc.web.ops.jobs import add_jobs
from gcc.web.ops.letters import add_letters
from gcc.web.ops.limits import Limits, add_limits
from gcc.web.ops.models import add_models
from gcc.web.ops.operations import Operations
from gcc.web.ops.registry import MODULE
from gcc.web.ops.schedules import add_schedules
from gcc.web.ops.scorer import Scores, add_scorer
from gcc.web.ops.snapshot import Composer
from gcc.web.ops.sources import Sources, add_sources
from gcc.web.ops.users import UserActions, add_users

STATIC = Path(__file__).parent / "static"
PLAIN = re.compile(r"[\w./+,:@=~' -]+")
MAIN, CHARTS = "app.js", "vendor/uPlot.iife.min.js"  # what index.html names itself
OVERVIEW = "overview"  # of static/pages the one that lies at /
BODY_BYTES_MAX = 16 * 1024
SEND_S = 5.0  # a websocket client that takes nothing for this long is dropped
LOOK_S = 12.0  # less than the page waits
LINEAGE_S = 60.0  # who asks first after a change waits until all models' SQL is read
BODY_S = 10.0  # a request's body has so long to come
GOING_AWAY, NOT_TAKEN = 1001, 1008
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
}


def ops_app(
    composer: Composer,
    operations: Operations,
    *,
    history: JobHistory,
    sources: Sources,
    limits: Limits,
    credentials: CredentialActions,
    users: UserActions,
    scores: Scores,
    models: Sequence[Modelling] = (),
    token: str,
    command: str = MODULE,
    draining: trio.Event,
) -> QuartTrio:
    """The app, for gcc.web.serving. Whoever runs the tree runs `composer.run` beside it. `command` begins its verbs."""
    platform = composer.platform
    app = OpsApp("gcc.web.ops", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES_MAX
    app.config["BODY_TIMEOUT"] = BODY_S
    access = Access(token, lambda: platform.urls.get("ops", ""))
    _guard(app, access, composer)
    _page(app, access, command)
    _probes(app, composer)
    add_actions(app, access, operations, platform)
    add_schedules(app, access, operations)
    add_jobs(app, access, operations, history, platform.kept)
    add_letters(app, access, operations)
    add_sources(app, access, sources)
    add_limits(app, access, operations, limits)
    add_credentials(app, access, credentials)
    add_users(app, access, users)
    add_models(app, access, operations, models)
    add_scorer(app, access, scores)

    @app.get("/api/status")
    async def status() -> Response:
        access.check_reader(request)
        return _json(composer.status())

    @app.websocket("/ws")
    async def feed() -> None:
        access.check_reader(websocket)
        try:
            with composer.hub.client() as client:
                await _feed(client, draining, composer)
        except HubFull:
            raise Refused(
                503, "TOO_MANY_VIEWERS", "Too many viewers", f"{composer.hub.clients_max} pages are open; close one"
            ) from None

    return app


class OpsApp(QuartTrio):
    """Quart, whose GETs end within LOOK_S: what only looks has no reason to wait for a store that hangs. Those of
    lineage, which is made when somebody asks, end within LINEAGE_S."""

    async def dispatch_request(self, request_context: RequestContext | None = None) -> ResponseReturnValue:
        if request.method not in ("GET", "HEAD"):
            return await super().dispatch_request(request_context)
        within_s = LINEAGE_S if request.path.endswith("/lineage") else LOOK_S
        with trio.move_on_after(within_s):
            return await super().dispatch_request(request_context)
        told = f"the store that was asked does not answer within {within_s:g} s: it hangs, or is busy; try again"
        raise Transient(told)


async def _feed(client: Client, draining: trio.Event, composer: Composer) -> None:
    """Send every message until the client leaves (the scope around is cancelled), speaks, is stuck, or we drain.

    Nothing that a client may say has a meaning here. The last message of a drain tells what each stage waited
    for: `drain --wait` reports it.
    """
    spoken_to = False
    async with trio.open_nursery() as nursery:

        async def close_at_drain() -> None:
            await draining.wait()
            nursery.cancel_scope.cancel()

        async def close_when_spoken_to() -> None:
            nonlocal spoken_to
            await websocket.receive()
            spoken_to = True
            nursery.cancel_scope.cancel()

        nursery.start_soon(close_at_drain)
        nursery.start_soon(close_when_spoken_to)
        while True:
            message = await client.next()
            with trio.move_on_after(SEND_S) as patience:
                await websocket.send(message)
            if patience.cancelled_caught:
                nursery.cancel_scope.cancel()
    if spoken_to:
        await websocket.close(NOT_TAKEN, "this feed takes no messages")
        return
    if draining.is_set():
        with trio.move_on_after(SEND_S):
            await websocket.send(composer.encoded())
    await websocket.close(GOING_AWAY, "the process drains")


def _guard(app: QuartTrio, access: Access, composer: Composer) -> None:
    """Host check before, error envelopes and security headers after every answer."""

    metrics = composer.platform.metrics

    @app.before_request
    async def before_request() -> None:
        g.began_s = trio.current_time()
        g.request_id = str(composer.platform.clock.new_id())
        access.check_host(request)

    @app.before_websocket
    async def before_websocket() -> None:
        g.request_id = str(composer.platform.clock.new_id())
        access.check_host(websocket)

    @app.errorhandler(Refused)
    async def refused(error: Refused) -> Response:
        return _error(error.status, error.code, error.title, error.detail)

    @app.errorhandler(ApiError)
    async def not_from_there(error: ApiError) -> Response:
        return _error(error.code.status, error.code.name, error.code.title, error.detail)

    @app.errorhandler(Permanent)
    async def cannot(error: Permanent) -> Response:
        return _error(409, "CANNOT", "Cannot be done", str(error))

    @app.errorhandler(Transient)
    async def not_now(error: Transient) -> Response:
        return _error(503, "STORE_UNAVAILABLE", "A store is away", str(error))

    @app.errorhandler(HTTPException)
    async def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        answer = _error(status, error.name.upper().replace(" ", "_"), error.name, error.description or error.name)
        for name, value in error.get_headers():
            if name.lower() == "allow":
                answer.headers[name] = value
        return answer

    @app.after_request
    async def after(response: Response) -> Response:
        response.headers.update(HEADERS)
        response.headers["x-bb-requestid"] = g.request_id
        if "began_s" in g:  # not of a websocket
            route = request.url_rule.rule if request.url_rule else "unmatched"
            metrics.request(request.method, route, response.status_code, trio.current_time() - g.began_s)
        return response

    @app.after_websocket
    async def after_websocket(response: Any) -> Any:
        return response and await after(response)  # there is none where it was accepted


def _page(app: QuartTrio, access: Access, command: str) -> None:
    """The page at /, and at /NAME and below it for each module in static/pages; all files are read once, now.

    Where they show a verb, it begins with `command`, unless that has what would be more than text in HTML or a script.
    """
    files = {path.relative_to(STATIC).as_posix(): path.read_bytes() for path in STATIC.rglob("*") if path.is_file()}
    if PLAIN.fullmatch(command):
        files = {name: body.replace(MODULE.encode(), command.encode()) for name, body in files.items()}
    index, locked = files.pop("index.html"), files.pop("locked.html")
    modules = sorted(name for name in files if name.endswith(".js") and name not in (MAIN, CHARTS))
    preloads = "\n".join(f'<link rel="modulepreload" href="/static/{name}">' for name in modules)
    index = index.replace(b"<!-- modules -->", preloads.encode())
    kinds = {name: mimetypes.guess_type(name)[0] or "text/plain" for name in files}  # now: it opens files of the system
    tags = {name: hashlib.sha256(body).hexdigest()[:16] for name, body in files.items()}

    async def page(**_rest: str) -> Any:
        given = request.args.get("token")
        if given is not None and access.valid(given):
            rest = [(name, value) for name, value in request.args.items(multi=True) if name != "token"]
            answer: Any = redirect(quote(request.path) + (f"?{urlencode(rest)}" if rest else ""), 303)
            answer.set_cookie(access.cookie_name(request), given, httponly=True, samesite="Strict", path="/")
        elif given is None and access.has_cookie(request):
            answer = Response(index, mimetype="text/html")
        else:
            answer = Response(locked, 401, mimetype="text/html")
        answer.headers["Cache-Control"] = "no-store"
        return answer

    names = [name.removeprefix("pages/").removesuffix(".js") for name in modules if name.startswith("pages/")]
    for path in ("/", *(f"/{name}{rest}" for name in names if name != OVERVIEW for rest in ("", "/<path:rest>"))):
        app.add_url_rule(path, endpoint="page", view_func=page, methods=["GET"])

    @app.errorhandler(404)
    async def no_such_page(error: HTTPException) -> Response:
        """A browser gets the page, which says so and shows what there is."""
        if "text/html" in request.headers.get("accept", "") and access.has_cookie(request):
            answer = Response(index, 404, mimetype="text/html")
            answer.headers["Cache-Control"] = "no-store"
            return answer
        return _error(404, "NOT_FOUND", error.name, error.description or error.name)

    @app.get("/static/<path:name>")
    async def static(name: str) -> Response:
        if name not in files:
            return _error(404, "NOT_FOUND", "Not found", f"There is no file {name!r}")
        answer = Response(files[name], mimetype=kinds[name])
        answer.headers["Cache-Control"] = "no-cache"  # ask each time: a new version must show at once
        answer.set_etag(tags[name])
        await answer.make_conditional(request)
        return answer


def _probes(app: QuartTrio, composer: Composer) -> None:
    platform = composer.platform
    status = CollectorRegistry()
    status.register(ExposedStatus(composer.status))

    @app.get("/live")
    async def live() -> Response:
        return _json({"live": True})

    @app.get("/ready")
    async def ready() -> Response:
        state, away = platform.state(), composer.away is not None  # why is for those with the token: it names places
        told = {"state": state, "degraded": composer.degraded(), "database": "away" if away else ""}
        return _json({key: value for key, value in told.items() if value}, 503 if away or state != "ready" else 200)

    @app.get("/metrics")
    async def metrics() -> Response:
        text = platform.metrics.exposed() + generate_latest(status)
        return Response(text, content_type=CONTENT_TYPE_LATEST)


def _json(value: Any, status: int = 200) -> Response:
    answer = Response(json.dumps(value), status, mimetype="application/json")
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _error(status: int, code: str, title: str, detail: str) -> Response:
    error = {"code": code, "title": title, "detail": detail, "errors": [], "request_id": g.request_id}
    return _json({"status": "ERROR", "data": None, "error": error}, status)
