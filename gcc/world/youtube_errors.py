"""The Data API's refusals: a table by reason, and its envelope."""

from typing import Any, NamedTuple

from gcc.world.answer import Answer, answer


class Refusal(NamedTuple):
    status: int
    domain: str
    message: str
    rpc: str | None = None


_PARAMETER, _USAGE = "youtube.parameter", "usageLimits"
REFUSALS = {
    "quotaExceeded": Refusal(
        403, "youtube.quota", "The request cannot be completed because you have exceeded your quota."
    ),
    "dailyLimitExceeded": Refusal(403, _USAGE, "Daily Limit Exceeded"),
    "rateLimitExceeded": Refusal(
        429, _USAGE, "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute'.", "RESOURCE_EXHAUSTED"
    ),
    "userRateLimitExceeded": Refusal(
        429, _USAGE, "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute per user'.",
        "RESOURCE_EXHAUSTED",
    ),
    "keyInvalid": Refusal(400, _USAGE, "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT"),
    "keyExpired": Refusal(400, _USAGE, "API key expired. Please renew the API key.", "INVALID_ARGUMENT"),
    "accessNotConfigured": Refusal(
        403, _USAGE, "YouTube Data API v3 has not been used in this project before or it is disabled.",
        "PERMISSION_DENIED",
    ),
    "ipRefererBlocked": Refusal(403, _USAGE, "The request did not come from an allowed address.", "PERMISSION_DENIED"),
    "authError": Refusal(401, "global", "Request had invalid authentication credentials.", "UNAUTHENTICATED"),
    "insufficientPermissions": Refusal(
        403, "global", "Request had insufficient authentication scopes.", "PERMISSION_DENIED"
    ),
    "forbidden": Refusal(403, "global", "The request is missing a valid API key.", "PERMISSION_DENIED"),
    "required": Refusal(401, "global", "Login Required.", "UNAUTHENTICATED"),
    "notFound": Refusal(404, "global", "The requested URL was not found.", "NOT_FOUND"),
    "channelNotFound": Refusal(404, "youtube.channel", "Channel not found."),
    "playlistNotFound": Refusal(
        404, "youtube.playlistItem",
        "The playlist identified with the request's <code>playlistId</code> parameter cannot be found.",
    ),
    "videoNotFound": Refusal(
        404, "youtube.commentThread",
        "The video identified by the <code>videoId</code> parameter could not be found.",
    ),
    "commentNotFound": Refusal(404, "youtube.comment", "The specified comment could not be found."),
    "commentsDisabled": Refusal(
        403, "youtube.commentThread",
        "The video identified by the <code>videoId</code> parameter has disabled comments.",
    ),
    "subscriptionForbidden": Refusal(
        403, "youtube.subscription", "The requester is not allowed to access the requested subscriptions."
    ),
    "subscriberNotFound": Refusal(404, "youtube.subscription", "The subscriber identified cannot be found."),
    "videoChartNotFound": Refusal(404, "youtube.video", "The requested video chart is not supported or available."),
    "missingRequiredParameter": Refusal(400, _PARAMETER, "The request is missing a required parameter."),
    "unknownPart": Refusal(400, "youtube.part", "The part is unknown."),
    "invalidFilters": Refusal(400, _PARAMETER, "The request specifies an invalid filter parameter."),
    "invalidParameter": Refusal(400, "global", "Invalid value.", "INVALID_ARGUMENT"),
    "badRequest": Refusal(
        400, "global", "The query is not supported. Check the documentation for supported queries.", "INVALID_ARGUMENT"
    ),
    "invalidPageToken": Refusal(400, _PARAMETER, "The request specifies an invalid page token."),
    "invalidSearchFilter": Refusal(400, "youtube.search", "The request contains an invalid combination of filters."),
    "backendError": Refusal(503, "global", "Internal error encountered.", "INTERNAL"),
}  # fmt: skip


class DataError(Exception):
    """An answer of the API that is an error."""

    def __init__(self, reason: str, message: str | None = None) -> None:
        super().__init__(reason)
        self.answer = error(reason, message)


def error(
    reason: str, message: str | None = None, *, status: int | None = None, retry_after_s: int | None = None
) -> Answer:
    """The refusal of a reason of the table; `message` and `status` where they are others than usual."""
    row = REFUSALS[reason]
    status, message = status or row.status, message or row.message
    body: dict[str, Any] = {
        "code": status,
        "message": message,
        "errors": [{"message": message, "domain": row.domain, "reason": reason}],
    }
    if row.rpc is not None:
        body["status"] = row.rpc
    return answer(status, {"error": body}, retry_after_s)
