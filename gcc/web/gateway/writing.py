"""The innermost layer of what writes: one transaction, in which an Idempotency-Key is honoured and activity is noted.

In: a request that all other layers have let in. Out: what its handler answers, once all that it wrote is committed;
what it refuses has written nothing. With a key: what was answered to that call before, or ApiError
IDEMPOTENCY_IN_PROGRESS, IDEMPOTENCY_MISMATCH. The answer is kept in the transaction of what it tells of. So a call that
was cut off, whenever, may be sent again: it is done by then, and answered as it was, or nothing of it is.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace

import msgspec
from quart import Request, Response

from gcc.clock import Clock
from gcc.stores import idempotency, unit
from gcc.stores.idempotency import Call
from gcc.stores.postgres import Pool
from gcc.stores.tenant import Tenant
from gcc.web.api import activity, envelope
from gcc.web.api.envelope import Answer
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.kept import Kept
from gcc.web.api.route import KEY_CHARS_MAX, KEY_HEADER, KEY_PATTERN, Route
from gcc.web.gateway.hot import Answered, Streamed, Told

REPLAYED = "idempotency-replayed"
Tell = Callable[[Answer | Response], Answered]

_KEY = re.compile(KEY_PATTERN)


class Writing:
    def __init__(self, pool: Pool, platform: Pool, clock: Clock) -> None:
        """`platform`: of the role that sees all partners, for what staff writes."""
        self._pool = pool
        self._platform = platform
        self._clock = clock

    async def answer(
        self, route: Route, tenant: Tenant | None, request: Request, key: str | None, tell: Tell
    ) -> Answered:
        """`key`: of `key_of`; `tell` makes an answer of what the handler tells."""
        staff = route.who == "OPERATOR"
        pool = self._platform if staff else self._pool
        async with unit.begun(pool, None if staff or tenant is None else tenant.partner_id):
            if key is None or tenant is None:
                return tell(await self._handled(pool, route, tenant, request))
            call = await _call(route, tenant, request, key)
            match await idempotency.claim(pool, call):
                case idempotency.Earlier() as earlier:
                    return _again(earlier, call)
                case "TAKEN":
                    detail = "the first call with this key has not ended; ask again for its answer"
                    raise ApiError(Code.IDEMPOTENCY_IN_PROGRESS, detail, retry_after_s=1.0)
            answer = await self._handled(pool, route, tenant, request)
            response = tell(answer)
            await idempotency.keep(
                pool,
                call,
                status=response.status_code,
                location=response.headers.get("location"),
                body=await _body(response if not route.shown_once else tell(_shown_again(route, answer))),
            )
            return response

    async def _handled(self, pool: Pool, route: Route, tenant: Tenant | None, request: Request) -> Answer | Response:
        answer = await route.handler(tenant, request, **(request.view_args or {}))
        assert not isinstance(answer, Kept), "what is kept in memory is nothing that was written"
        if route.activity and tenant is not None:
            await activity.note(pool, self._clock, route, tenant, request, answer)
        return answer


def key_of(route: Route, request: Request) -> str | None:
    """That of a call which takes one. ApiError INVALID_PARAMETER, IDEMPOTENCY_REQUIRED."""
    if not route.takes_key:
        return None
    given = request.headers.getlist(KEY_HEADER.lower())
    if not given:
        if route.key_required:
            raise ApiError(Code.IDEMPOTENCY_REQUIRED, f"send {KEY_HEADER}: a new UUID for each new call")
        return None
    text = given[0].strip(" \t")
    if len(given) > 1 or not _KEY.fullmatch(text):
        reason = f"send one, of 1 to {KEY_CHARS_MAX} visible ASCII characters, bare or in quotes"
        raise ApiError(
            Code.INVALID_PARAMETER, f"{KEY_HEADER}: {reason}", errors=[{"path": KEY_HEADER, "reason": reason}]
        )
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text


async def _call(route: Route, tenant: Tenant, request: Request, key: str) -> Call:
    who = [tenant.partner_id, tenant.user_id, tenant.key_id, tenant.service, route.name, key]
    asked = [request.method, request.path, request.query_string]
    body = await request.get_data(cache=False, as_text=False, parse_form_data=False)
    return Call(tenant.partner_id, _digest(msgspec.json.encode(who)), _digest(msgspec.json.encode(asked) + body))


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).digest()


def _again(earlier: idempotency.Earlier, call: Call) -> Told:
    if earlier.fingerprint != call.fingerprint:
        detail = "another call was made with this key; a new call needs a new key"
        raise ApiError(Code.IDEMPOTENCY_MISMATCH, detail)
    if not earlier.body:
        raise ApiError(Code.GONE, "this was done; what was answered told of somebody who has been erased since")
    response = Told(earlier.body, status=earlier.status, content_type=envelope.JSON)
    response.headers[REPLAYED] = "true"
    if earlier.location is not None:
        response.headers["location"] = earlier.location
    return response


def _shown_again(route: Route, answer: Answer | Response) -> Answer:
    assert isinstance(answer, Answer), "what is shown once is a field of data"
    return replace(answer, data=answer.data | dict.fromkeys(route.shown_once))


async def _body(response: Answered) -> bytes:
    assert not isinstance(response, Streamed), "nothing is written here for a service that is elsewhere"
    return response.body if isinstance(response, Told) else await response.get_data(as_text=False)
