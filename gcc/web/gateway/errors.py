"""Any exception of a request into an answer: the panic recovery and the error envelope of the gateway.

What a handler refuses (ApiError) is shown as it is. Everything else is shown without its text, which may
name hosts or data; the log has it, under the request id.
"""

import math

import structlog
import trio
from werkzeug.datastructures import MIMEAccept
from werkzeug.exceptions import HTTPException, MethodNotAllowed, RequestEntityTooLarge
from werkzeug.http import parse_accept_header

from gcc.errors import Transient
from gcc.stores.gate import PlanTooSmall
from gcc.web.api import envelope
from gcc.web.api.errors import ApiError, Code
from gcc.web.gateway.auth import CHALLENGE
from gcc.web.gateway.hot import Told
from gcc.web.identity.passwords import Busy

log = structlog.get_logger()


def answer(error: Exception, request_id: str, accept: str) -> Told:
    """The error envelope, or the same as problem details (RFC 9457) where `accept` prefers them; with Retry-After where
    a wait is known and WWW-Authenticate on 401."""
    refusal = _refusal(error, request_id)
    problem = _prefers_problems(accept)
    response = Told(
        envelope.problem(refusal, request_id) if problem else envelope.failure(refusal, request_id),
        status=refusal.code.status,
        content_type=envelope.PROBLEM if problem else envelope.JSON,
    )
    response.headers["vary"] = "Accept"
    if refusal.code is Code.UNAUTHORIZED:
        response.headers["www-authenticate"] = CHALLENGE
    if refusal.retry_after_s is not None:
        wait_s = max(1, math.ceil(refusal.retry_after_s))
        response.headers["retry-after"] = str(wait_s)
        if refusal.code is Code.SOURCE_LIMITED:
            response.headers["ratelimit"] = f'"source";r=0;t={wait_s}'
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        response.headers["allow"] = ", ".join(sorted(error.valid_methods))
    return response


def _prefers_problems(accept: str) -> bool:
    """Whether they are named, and plain JSON is not named as the better."""
    if envelope.PROBLEM not in accept.lower():
        return False
    asked = parse_accept_header(accept, MIMEAccept)
    qualities = {media.lower(): quality for media, quality in asked}
    return qualities.get(envelope.PROBLEM, 0.0) > 0 and qualities[envelope.PROBLEM] >= qualities.get(envelope.JSON, 0.0)


def _refusal(error: Exception, request_id: str) -> ApiError:
    match error:
        case ApiError():
            return error
        case HTTPException():
            return _of_http(error)
        case PlanTooSmall():
            return ApiError(Code.PLAN_REQUIRED, str(error), errors=[{"path": error.field, "reason": str(error)}])
        case trio.TooSlowError():
            return ApiError(Code.TIMEOUT, "the answer was not ready in time; its queries were cancelled")
        case Busy():
            return ApiError(Code.BUSY, str(error), retry_after_s=error.retry_after_s)
        case Transient():
            log.warning("store unavailable", request_id=request_id, error=str(error))
            return ApiError(
                Code.STORE_UNAVAILABLE, "a store does not answer; try again", retry_after_s=error.retry_after_s
            )
        case _:
            log.error("request failed", request_id=request_id, exc_info=error)
            return ApiError(Code.INTERNAL, "the log has the cause under this request id")


def _of_http(error: HTTPException) -> ApiError:
    """What Quart itself refuses: before a handler, or while it reads the body."""
    if isinstance(error, RequestEntityTooLarge):
        return ApiError(Code.BODY_TOO_LARGE, "send a smaller request body")
    if isinstance(error, MethodNotAllowed):
        return ApiError(Code.METHOD_NOT_ALLOWED, f"use {' or '.join(sorted(error.valid_methods or ()))}")
    if error.code == 404:
        return ApiError(
            Code.NOT_FOUND, "there is no such path; /docs lists what there is, in lower case and with no / at the end"
        )
    return ApiError(Code.INVALID_PARAMETER, error.name)
