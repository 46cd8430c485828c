"""The Graph API's refusals, in its own words and envelopes."""

from typing import Any

from gcc.world.answer import Answer, answer
from gcc.world.chance import key_of, letters, mix


class GraphError(Exception):
    """An answer of the API that is an error."""

    def __init__(self, refusal: Answer) -> None:
        super().__init__(refusal.body.decode())
        self.answer = refusal


def error(status: int, code: int, message: str, retry_after_s: int | None = None, **more: Any) -> Answer:
    """The Graph API's error envelope; `more` may also change its type."""
    trace = "A" + letters(mix(key_of(message), code))
    body = {"error": {"message": message, "type": "OAuthException", "code": code, **more, "fbtrace_id": trace}}
    return answer(status, body, retry_after_s)


def user_not_found(username: str) -> GraphError:
    """Absent, personal, private, renamed: it does not tell which."""
    return GraphError(error(
        400, 110, "Invalid user id", error_subcode=2207013, is_transient=False, error_user_title="Cannot find User",
        error_user_msg=f"The user with username: {username} cannot be found.",
    ))  # fmt: skip


def no_field(name: str, kind: str) -> GraphError:
    return refused(f"Tried accessing nonexisting field ({name}) on node type ({kind})")


def refused(message: str, **more: Any) -> GraphError:
    """Code 100: a parameter is wrong."""
    return GraphError(error(400, 100, f"(#100) {message}", **more))


def not_there(node: str) -> GraphError:
    """Gone, or not for this caller."""
    message = (
        f"Unsupported get request. Object with ID '{node}' does not exist, cannot be loaded due to missing "
        "permissions, or does not support this operation. Please read the Graph API documentation at "
        "https://developers.facebook.com/docs/graph-api"
    )
    return GraphError(error(400, 100, message, type="GraphMethodException", error_subcode=33))


def not_permitted() -> GraphError:
    return GraphError(error(403, 10, "(#10) Application does not have permission for this action"))


def media_gone() -> GraphError:
    return GraphError(error(
        400, 24, "The requested resource does not exist", error_subcode=2207006, is_transient=False,
        error_user_title="Media Not Found",
        error_user_msg="The media with the requested media ID cannot be found.",
    ))  # fmt: skip


def no_hashtag() -> GraphError:
    return GraphError(error(
        400, 24, "The requested resource does not exist", error_subcode=2207024, is_transient=False,
        error_user_title="Hashtag does not exist", error_user_msg="The hashtag you have entered cannot be found.",
    ))  # fmt: skip


def too_many_hashtags() -> GraphError:
    return GraphError(error(
        400, 18, "(#18) Max number of hashtags queried", error_subcode=2207034, is_transient=False,
        error_user_title="Too many hashtags",
        error_user_msg="You have queried the maximum of 30 unique hashtags within a rolling 7 day period.",
    ))  # fmt: skip


def too_much_data() -> GraphError:
    message = "Please reduce the amount of data you're asking for, then retry your request"
    return GraphError(error(500, 1, message))


def too_few_viewers() -> GraphError:
    return GraphError(error(400, 10, "(#10) Not enough viewers for the media to show insights"))


def before_business() -> GraphError:
    return GraphError(error(
        400, 100, "Invalid parameter", error_data={"blame_field_specs": [[""]]}, error_subcode=2108006,
        is_transient=False, error_user_title="Media posted before business account conversion",
        error_user_msg="The media was posted before the most recent time that the user's account was converted to a "
        "business account from a personal account.",
    ))  # fmt: skip


def not_crossposted() -> GraphError:
    return refused("The media was not shared to Facebook", error_subcode=2207086, is_transient=False)


def dead_token() -> Answer:
    message = "Error validating access token: Session has expired on Thursday, 01-Jan-26 04:00:00 PST."
    return error(400, 190, message, error_subcode=463)


def no_token() -> Answer:
    return error(400, 2500, "An active access token must be used to query information about the current user.")


_MESSAGES = {  # by code: the status, and what it says where the subcode has no words of its own
    "-2": (500, "Fatal"), "-1": (500, "Unknown error"), "1": (500, "An unknown error occurred"),
    "2": (500, "Service temporarily unavailable"), "3": (403, "Application does not have the capability"),
    "4": (403, "Application request limit reached"), "10": (403, "Application does not have permission"),
    "17": (400, "User request limit reached"), "24": (400, "The requested resource does not exist"),
    "32": (403, "Page request limit reached"), "100": (400, "Invalid parameter"), "102": (401, "Session key invalid"),
    "110": (400, "Invalid user id"), "190": (400, "Error validating access token"),
    "200": (403, "Permissions error"), "341": (403, "Application limit reached"),
    "368": (403, "Temporarily blocked for policies violations"),
    "613": (400, "Calls to this api have exceeded the rate limit."),
    "80002": (400, "There have been too many calls to this Instagram account."),
    "803": (404, "Some of the aliases you requested do not exist"),
}  # fmt: skip


def by_code(code: str, subcode: str | None) -> Answer | None:
    """The error of a code, with whatever subcode; None: none such is known."""
    if code not in _MESSAGES or not (subcode is None or (subcode.isascii() and subcode.isdigit())):
        return None
    status, message = _MESSAGES[code]
    more = {} if subcode is None else {"error_subcode": int(subcode)}
    return error(status, int(code), f"(#{code}) {message}", is_transient=code in ("-2", "-1", "1", "2"), **more)


def unknown_path(path: str) -> Answer:
    return error(400, 2500, f"Unknown path components: {path}")


def app_limit(retry_after_s: int) -> Answer:
    return error(429, 4, "(#4) Application request limit reached", retry_after_s, is_transient=True)


def user_limit(retry_after_s: int) -> Answer:
    return error(
        400, 17, "(#17) User request limit reached", retry_after_s,
        error_subcode=2446079, is_transient=True, error_user_title="Rate Limit Exceeded",
        error_user_msg="You've made too many requests. Please wait before trying again.",
    )  # fmt: skip


def app_limit_untold() -> Answer:
    """Without Retry-After: only the usage headers tell when."""
    return error(403, 4, "(#4) Application request limit reached", is_transient=True)


def account_limit() -> Answer:
    message = "(#80002) There have been too many calls to this Instagram account. Wait a bit and try again."
    return error(400, 80002, message, error_subcode=2446079, is_transient=True)
