"""A service that another host answers for: the gateway's layers stand before it as before one of ours.

In: a request that they have let in. Out: its answer, whose body is streamed as the request's is: whoever is slow slows
the other (gcc/sources/passing.py). Where no answer comes: ApiError UPSTREAM_FAILED, TIMEOUT, BUSY; one that is torn in
its body ends the connection without an end. While it fails it is spared (spared.py).
"""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import trio
from cachetools import TTLCache

from gcc.clock import Clock
from gcc.config import RateClass, Settings
from gcc.config.sections import Service
from gcc.config.services import SERVICES
from gcc.errors import Transient
from gcc.sources.passing import NoAnswer, Passed, Passing, Torn
from gcc.stores.tenant import Tenant
from gcc.web.api import parse
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.route import Route
from gcc.web.gateway import downstream
from gcc.web.gateway.hot import Streamed
from gcc.web.gateway.spared import Spared

SPARE_S = 0.05  # before the request's own deadline, so that the reason is told
NAMES, NAME_S = 10_000, 60.0
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

NameOf = Callable[[Tenant], Awaitable[str]]


class Upstream:
    """One service. `name_of` tells a person's name; it is asked once in NAME_S."""

    def __init__(self, name: str, service: Service, clock: Clock, name_of: NameOf) -> None:
        self.name = name
        self._passing = Passing(service.url)
        self._password = service.password
        self._name_of = name_of
        self._names: TTLCache[Any, str] = TTLCache(NAMES, NAME_S, timer=trio.current_time)
        self._spared = Spared(name, clock)
        self._own: list[re.Pattern[str]] = []  # paths of ours, in small letters

    async def aclose(self) -> None:
        await self._passing.aclose()

    def take_over(self, routed: dict[str, Route], add: Callable[[Route], None]) -> None:
        """All of its paths: what is ours of it, by name in `routed`, is never asked."""
        for name, route in routed.items():
            if route.path.startswith(f"/{self.name}-service/api/"):
                routed[name] = self._proxied(route, route.method)
                path = re.escape(route.path.lower())
                self._own.append(re.compile(re.sub(r"\\\{.*?\\\}", "[^/]+", path)))
        for method in METHODS:
            add(self._proxied(None, method))

    def _proxied(self, own: Route | None, method: Any) -> Route:
        """A route of it: held to what ours says of that path, if we have it; else whoever is in may ask."""
        ask: Any = self.ask
        if own is not None:
            return Route(
                own.method, own.path, own.name, own.summary, ask, who=own.who, plan=own.plan, rate=own.rate,
                forced_rate=own.forced_rate, deadline_s=own.deadline_s, reads=own.reads, is_proxied=True,
            )  # fmt: skip
        rate: RateClass = "read" if method in ("GET", "OPTIONS") else "write"
        path = f"/{self.name}-service/api/{{path:rest}}"
        name, summary, other = f"{self.name} {method}", f"What {self.name} answers", cast(Any, self.ask_other)
        return Route(method, path, name, summary, other, rate=rate, is_proxied=True)

    async def ask_other(self, tenant: Tenant | None, request: Any, **parts: str) -> Streamed:
        """The handler of what our table does not have, in no spelling that a service may take for one it has: then the
        role and the plan of that one would not be asked for."""
        plain = re.sub(r";[^/]*", "", request.path).rstrip("/").lower()
        if plain != request.path and any(own.fullmatch(plain) for own in self._own):
            raise ApiError(Code.NOT_FOUND, "there is no such path; write it as /docs has it")
        return await self.ask(tenant, request, **parts)

    async def ask(self, tenant: Tenant | None, request: Any, **parts: str) -> Streamed:
        """The handler of what it has."""
        called = await self._name(tenant)
        wait_s = max(0.0, trio.current_effective_deadline() - trio.current_time() - SPARE_S)
        told = downstream.Told(
            request.id, max(1, round(wait_s * 1000)), request.remote_addr or "", tenant, called, self._password
        )
        query = b"?" + request.query_string if request.query_string else b""
        try:
            with self._spared.asking():
                passed = await self._answered(request, tenant, query, told, wait_s)
        except Transient as resting:
            raise ApiError(Code.UPSTREAM_FAILED, str(resting), retry_after_s=resting.retry_after_s) from None
        self._spared.succeeded()
        request.closing = passed.aclose
        streamed = Streamed(passed.status, self._pieces(passed))
        for name, value in downstream.answered(passed.headers):
            streamed.headers.add(name.decode("latin-1"), value.decode("latin-1"))
        return streamed

    async def _answered(
        self, request: Any, tenant: Tenant | None, query: bytes, told: downstream.Told, wait_s: float
    ) -> Passed:
        """What has begun to come within `wait_s`. Raises ApiError."""
        try:
            with trio.move_on_after(wait_s) as patience:
                return await self._passing.send(
                    None if tenant is None else tenant.partner_id,
                    request.method,
                    request.scope["raw_path"] + query,
                    downstream.asked(request.scope["headers"], told),
                    request.pieces if request.has_body else None,
                )
            raise NoAnswer("LATE", "the deadline")
        except NoAnswer as failure:
            # who gives it little time, or a body drop by drop, tells nothing of the service
            is_its_own = patience.cancelled_caught and (request.has_body or parse.TIMEOUT_HEADER in request.headers)
            raise self._refusal(failure, is_its_own) from None

    def _refusal(self, failure: NoAnswer, is_its_own: bool) -> ApiError:
        """`is_its_own`: the client's."""
        if failure.kind == "FULL":
            return ApiError(
                Code.BUSY, f"{self.name} has as many requests as it takes, or as you may have there", retry_after_s=1.0
            )
        if failure.kind == "ODD":
            return ApiError(Code.MALFORMED_REQUEST, f"this cannot be passed on to {self.name}: {failure}")
        if not is_its_own:
            self._spared.failed(str(failure))
        code = Code.TIMEOUT if failure.kind == "LATE" else Code.UPSTREAM_FAILED
        return ApiError(code, f"{self.name} did not answer well; try again")

    async def _pieces(self, passed: Passed) -> AsyncIterator[bytes]:
        try:
            async for piece in passed.pieces:
                yield piece
        except Torn as error:
            self._spared.failed(f"its answer was torn: {error}")
            raise

    async def _name(self, tenant: Tenant | None) -> str:
        if tenant is None or tenant.user_id is None:
            return ""
        name = self._names.get(tenant.user_id)
        if name is None:
            name = self._names[tenant.user_id] = await self._name_of(tenant)
        return name


def upstreams(
    settings: Settings, clock: Clock, name_of: NameOf, routed: dict[str, Route], add: Callable[[Route], None]
) -> list[Upstream]:
    """Those of the settings, which have taken over what is theirs of the routes."""
    elsewhere = {name: service for name, service in settings.services.items() if service.url and name in SERVICES}
    found = [Upstream(name, service, clock, name_of) for name, service in elsewhere.items()]
    for upstream in found:
        upstream.take_over(routed, add)
    return found
