"""RapidAPI's gateway, as it stands before the APIs that are sold there: keys, plans, its refusals and usage headers."""

from collections.abc import Sequence

from gcc.world.answer import Answer, Query, answer
from gcc.world.api import Api, Headers
from gcc.world.limits import Used

_MESSAGES = {  # a fault's code -> status and message
    "notSubscribed": (403, "You are not subscribed to this API."),
    "invalidKey": (401, "Invalid API key. Go to https://docs.rapidapi.com for more info."),
    "blocked": (403, "Blocked User. Please contact your API provider."),
    "daily": (429, "You have exceeded the DAILY quota for Requests on your current plan, BASIC."),
    "monthly": (429, "You have exceeded the MONTHLY quota for Requests on your current plan, BASIC."),
    "tooMany": (429, "Too many requests"),
    "noEndpoint": (404, "Endpoint '/v9' does not exist"),
    "unreachable": (502, "API is unreachable, please contact the API provider"),
    "timedOut": (504, "The request to the API has timed out."),
}


class RapidApi(Api):
    """An API behind the gateway; one that is not (`plain`) refuses in the same words, in an envelope of its own."""

    def __init__(self, source: str, *, plain: bool = False) -> None:
        self.source = source
        self.tokens = keys(source)
        self._key, self._told = ("x-access-key", "detail") if plain else ("x-rapidapi-key", "message")

    def token(self, query: Query, headers: Headers) -> str | None:
        return headers.get(self._key.encode(), b"").decode("latin-1") or None

    def no_endpoint(self, path: str) -> Answer:
        return self.refusal(404, f"Endpoint '{path}' does not exist")

    def refuse_token(self, token: str | None, *, expired: bool = False) -> Answer:
        return self.refusal(*_MESSAGES["invalidKey" if token is None or self._told == "detail" else "notSubscribed"])

    def refuse_rate(self, retry_after_s: int, *, of_user: bool) -> Answer:
        return self.refusal(*_MESSAGES["tooMany"], retry_after_s)

    def refuse_quota(self, bucket: str = "") -> Answer:
        return self.refusal(*_MESSAGES["daily"], 3600)

    def error(self, code: str, subcode: str | None) -> Answer | None:
        return self.refusal(*_MESSAGES[code]) if code in _MESSAGES and subcode is None else None

    def usage(self, used: Used) -> Sequence[tuple[str, str]]:
        """Of the plan's requests; the reset is in seconds."""
        left = max(used.rule.calls - used.units, 0)
        told = {"limit": used.rule.calls, "remaining": left, "reset": round(used.reset_s)}
        return [(f"x-ratelimit-requests-{name}", str(value)) for name, value in told.items()]

    def fail(self, status: int) -> Answer:
        return self.refusal(status, _MESSAGES["unreachable"][1])

    def refusal(self, status: int, message: str, retry_after_s: int | None = None) -> Answer:
        return answer(status, {self._told: message}, retry_after_s)


def keys(source: str) -> tuple[str, ...]:
    return tuple(f"world-{source}-{number}" for number in range(1, 4))
