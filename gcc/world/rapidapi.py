"""RapidAPI's gateway, as it stands before the APIs that are sold there: keys, plans, its refusals and usage headers."""

from abc import abstractmethod
from collections.abc import Sequence

from gcc.world.answer import Answer, Query, answer
from gcc.world.api import Api, Headers
from gcc.world.limits import Used

_INVALID_KEY = "Invalid API key. Go to https://docs.rapidapi.com/docs/keys for more info."
_MESSAGES = {  # a fault's code -> status and message
    "notSubscribed": (403, "You are not subscribed to this API."),
    "invalidKey": (401, _INVALID_KEY),
    "blocked": (403, "Blocked User. Please contact your API provider."),
    "daily": (429, "You have exceeded the DAILY quota for Requests on your current plan, BASIC."),
    "monthly": (429, "You have exceeded the MONTHLY quota for Requests on your current plan, BASIC."),
    "tooMany": (429, "Too many requests"),
    "noEndpoint": (404, "Endpoint '/v9' does not exist"),
    "unreachable": (502, "API is unreachable, please contact the API provider"),
    "timedOut": (504, "The request to the API has timed out."),
}


class RapidApi(Api):
    """An API behind the gateway: a subclass says what it answers to GET, None where it has no such endpoint."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = keys(source)

    @abstractmethod
    def get(self, path: str, query: Query) -> Answer | None: ...

    def token(self, query: Query, headers: Headers) -> str | None:
        return headers.get(b"x-rapidapi-key", b"").decode("latin-1") or query.get("rapidapi-key")

    def answer(self, method: str, path: str, query: Query, headers: Headers, body: bytes) -> Answer:
        found = self.get(path, query) if method == "GET" else None
        return _message(404, f"Endpoint '{path}' does not exist") if found is None else found

    def refuse_token(self, token: str | None, *, expired: bool = False) -> Answer:
        return _message(401, _INVALID_KEY) if token is None else _message(*_MESSAGES["notSubscribed"])

    def refuse_rate(self, retry_after_s: int, *, of_user: bool) -> Answer:
        return _message(429, "Too many requests", retry_after_s)

    def error(self, code: str, subcode: str | None) -> Answer | None:
        return _message(*_MESSAGES[code]) if code in _MESSAGES and subcode is None else None

    def usage(self, used: Used) -> Sequence[tuple[str, str]]:
        """Of the plan's requests; the reset is in seconds."""
        left = max(used.rule.calls - used.units, 0)
        told = {"limit": used.rule.calls, "remaining": left, "reset": round(used.reset_s)}
        return [(f"x-ratelimit-requests-{name}", str(value)) for name, value in told.items()]

    def fail(self, status: int) -> Answer:
        return _message(status, "API is unreachable, please contact the API provider")


def keys(source: str) -> tuple[str, ...]:
    return tuple(f"world-{source}-{number}" for number in range(1, 4))


def _message(status: int, message: str, retry_after_s: int | None = None) -> Answer:
    return answer(status, {"message": message}, retry_after_s)
