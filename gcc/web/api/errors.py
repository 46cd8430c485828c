"""Every error that the API answers, in one table: code, HTTP status, title.

Codes are stable: clients branch on them. The title says what kind of thing went wrong, the detail (of
one answer) names the thing and the value. docs and tests read this table too.
"""

import enum
from collections.abc import Sequence
from typing import TypedDict


class Fault(TypedDict):
    """One part of a request that is wrong: where ("limit", "cursor", "body.month") and why."""

    path: str
    reason: str


class Code(enum.Enum):
    def __init__(self, status: int, title: str) -> None:
        self.status = status
        self.title = title

    BAD_REQUEST = 400, "This is no request that can be read"
    UNAUTHORIZED = 401, "No valid token"
    ORIGIN_NOT_ALLOWED = 403, "This page may not ask here"
    NO_WEBSOCKET = 403, "There is no websocket here"
    NOT_FOUND = 404, "There is nothing at this path"
    PROFILE_NOT_FOUND = 404, "This profile does not exist"
    METHOD_NOT_ALLOWED = 405, "This path does not answer this method"
    REQUEST_TIMEOUT = 408, "The request did not come in time"
    CURSOR_EXPIRED = 409, "The data behind the cursor was replaced"
    BODY_TOO_LARGE = 413, "The request body is too large"
    NOT_JSON = 415, "This is not JSON"
    URL_TOO_LONG = 414, "The URL is too long"
    HOST_NOT_ALLOWED = 421, "This name is not this machine's"
    INVALID_BODY = 422, "The request body is not valid"
    INVALID_PARAMETER = 422, "A parameter is not valid"
    INVALID_HANDLE = 422, "This cannot be a handle"
    INVALID_PLATFORM = 422, "This platform is not served"
    INVALID_CURSOR = 422, "The cursor is not valid"
    INVALID_DATE = 422, "A date is not valid"
    RATE_LIMITED = 429, "A limit is reached"
    CONCURRENCY_LIMIT = 429, "Concurrency Limit Exceeded"
    HEADERS_TOO_LARGE = 431, "The headers are too large"
    INTERNAL = 500, "The platform made a mistake"
    NOT_IMPLEMENTED = 501, "This is not understood here"
    PROFILE_UNAVAILABLE = 502, "The source answered without this profile"
    SOURCE_UNAVAILABLE = 503, "The source of this data does not answer"
    STORE_UNAVAILABLE = 503, "The database does not answer"
    ANALYTICS_UNAVAILABLE = 503, "The analytics database does not answer"
    TOO_MANY_CONNECTIONS = 503, "There is no room for another connection"
    STARTING = 503, "The platform is starting"
    DRAINING = 503, "The platform is shutting down"
    SCRAPE_TIMEOUT = 504, "The profile was not fetched in time"
    TIMEOUT = 504, "The request took too long"


class ApiError(Exception):
    """Ends a request with an error envelope. Its texts are shown to the caller: no secrets, no addresses."""

    def __init__(
        self, code: Code, detail: str, *, errors: Sequence[Fault] = (), retry_after_s: float | None = None
    ) -> None:
        super().__init__(f"{code.name}: {detail}")
        self.code = code
        self.detail = detail
        self.errors = tuple(errors)
        self.retry_after_s = retry_after_s
