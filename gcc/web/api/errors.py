"""Every error that the API answers, in one table: code, HTTP status, title.

Codes are stable: clients branch on them. The title says what kind of thing went wrong, the detail (of
one answer) names the thing and the value. docs and tests read this table too.
"""

import enum
from collections.abc import Sequence
from typing import TypedDict

from gcc.web.api.windows import Counted


class Fault(TypedDict):
    """One part of a request that is wrong: where ("limit", "cursor", "body.month") and why."""

    path: str
    reason: str


class Code(enum.Enum):
    def __init__(self, status: int, title: str) -> None:
        self.status = status
        self.title = title

    MALFORMED_REQUEST = 400, "This is no request that can be read"
    IDEMPOTENCY_REQUIRED = 400, "This call needs an Idempotency-Key"
    UNAUTHORIZED = 401, "No valid token"
    LOGIN_FAILED = 401, "E-mail and password do not fit"
    REFRESH_REUSED = 401, "This refresh token was used before"
    QUOTA_SPENT = 402, "The allowance of this period is used up"
    FORBIDDEN = 403, "Your role does not allow this"
    PLAN_REQUIRED = 403, "Your plan does not include this"
    PARTNER_SUSPENDED = 403, "This partner is suspended"
    ORIGIN_REFUSED = 403, "This page may not ask here"
    NO_WEBSOCKET = 403, "There is no websocket here"
    NOT_FOUND = 404, "There is nothing at this path"
    PROFILE_NOT_FOUND = 404, "This profile does not exist"
    POST_NOT_FOUND = 404, "This post does not exist"
    NO_DATA = 404, "Nothing is known of this yet"
    METHOD_NOT_ALLOWED = 405, "This path does not answer this method"
    NOT_ACCEPTABLE = 406, "There is no answer in a form that is accepted"
    REQUEST_TIMEOUT = 408, "The request did not come in time"
    CONFLICT = 409, "This is there already, or two things of that name are"
    CURSOR_EXPIRED = 409, "The data behind the cursor was replaced"
    IDEMPOTENCY_IN_PROGRESS = 409, "The first call with this Idempotency-Key still runs"
    JOB_NOT_READY = 409, "This job has not ended"
    JOB_ENDED = 409, "This job has ended"
    LAST_OWNER = 409, "A partner keeps one owner at least"
    LIMIT_REACHED = 409, "There are as many as there may be"
    GONE = 410, "This was here and is kept no longer"
    PRECONDITION_FAILED = 412, "It was changed meanwhile"
    BODY_TOO_LARGE = 413, "The request body is too large"
    URI_TOO_LONG = 414, "The URL is too long"
    UNSUPPORTED_MEDIA_TYPE = 415, "The body is in a form that is not taken here"
    HOST_NOT_ALLOWED = 421, "This name is not this machine's"
    INVALID_BODY = 422, "The request body is not valid"
    INVALID_PARAMETER = 422, "A parameter is not valid"
    INVALID_HANDLE = 422, "This cannot be a handle"
    INVALID_PLATFORM = 422, "This platform is not served"
    INVALID_CURSOR = 422, "The cursor is not valid"
    INVALID_DATE = 422, "A date is not valid"
    INVALID_CSV = 422, "The CSV is not valid"
    INVALID_URL = 422, "The URL is not valid"
    WEAK_PASSWORD = 422, "This password is too easy to guess"
    TOKEN_INVALID = 422, "This link or code is not valid, or was used"
    IDEMPOTENCY_MISMATCH = 422, "This Idempotency-Key belongs to another call"
    RATE_LIMITED = 429, "You asked too often"
    LOGIN_THROTTLED = 429, "There were too many attempts"
    SOURCE_LIMITED = 429, "The source takes no more calls now"
    CONCURRENCY_LIMIT = 429, "Concurrency Limit Exceeded"
    HEADERS_TOO_LARGE = 431, "The headers are too large"
    INTERNAL = 500, "The platform made a mistake"
    NOT_IMPLEMENTED = 501, "This is not understood here"
    PROFILE_UNAVAILABLE = 502, "The source answered without this profile"
    UPSTREAM_FAILED = 502, "The service behind this did not answer well"
    SOURCE_UNAVAILABLE = 503, "The source of this data does not answer"
    STORE_UNAVAILABLE = 503, "The database does not answer"
    ANALYTICS_UNAVAILABLE = 503, "The analytics database does not answer"
    STARTING = 503, "The platform is starting"
    DRAINING = 503, "The platform is shutting down"
    BUSY = 503, "There is no room for more now"
    SCRAPE_TIMEOUT = 504, "The profile was not fetched in time"
    TIMEOUT = 504, "The request took too long"


def _sendable(text: str) -> str:
    """Of what a client sent a part is told back: half of a surrogate pair, which no answer can have, as \\udxxx."""
    return text.encode("utf-8", "backslashreplace").decode()


class ApiError(Exception):
    """Ends a request with an error envelope. Its texts are shown to the caller: no secrets, no addresses."""

    def __init__(
        self,
        code: Code,
        detail: str,
        *,
        errors: Sequence[Fault] = (),
        retry_after_s: float | None = None,
        counted: Counted | None = None,
    ) -> None:
        """`counted`: the window that is full, which tells when to come back."""
        self.code = code
        self.detail = _sendable(detail)
        super().__init__(f"{code.name}: {self.detail}")
        self.errors = tuple(Fault(path=_sendable(each["path"]), reason=_sendable(each["reason"])) for each in errors)
        self.retry_after_s = retry_after_s if counted is None else counted.wait_s
        self.counted = counted
