"""What the Data API's refusals mean: a table of reasons, read from the top; the first row that fits holds. Pure.

Google tells reasons in two shapes, `errors[].reason` and `details[].reason` (google.rpc.ErrorInfo), often in both,
and where it tells none, in `status`. A daily quota is that of a bucket (searches, figures, all else): only that rests,
till midnight Pacific. A key is dead where the API refuses it or its project: asking on would look like abuse.
"""

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from gcc.errors import GccError
from gcc.sources.fields import Fields
from gcc.sources.http import Answer, retry_after_s
from gcc.sources.verdicts import (
    QuestionFailed,
    RateLimited,
    Verdict,
    dead,
    failed,
    limited,
    may_not,
    missing,
    not_visible,
    plain,
    resting,
    unanswerable,
)
from gcc.supervisor.lifecycle import one_line

SOURCE = "ytapi"
MINUTE_S = 60.0  # Google counts what is no daily quota by the minute
_QUOTA_ZONE = ZoneInfo("America/Los_Angeles")
_OF_A_DAY = re.compile(r"per ?day|daily|quotaExceeded", re.IGNORECASE)


class CommentsOff(QuestionFailed):
    """Comments of this video are switched off: there are none to see."""


class StalePage(QuestionFailed):
    """The cursor is no longer good: pages have to be walked from the first one again."""


def until_quota_s(now: dt.datetime) -> float:
    """Seconds until the daily quota is full again: midnight Pacific time."""
    tomorrow = now.astimezone(_QUOTA_ZONE).date() + dt.timedelta(days=1)
    return (dt.datetime.combine(tomorrow, dt.time(), _QUOTA_ZONE) - now).total_seconds()


_spent = resting(RateLimited, "bucket")


@dataclass(frozen=True, slots=True)
class Row:
    """A refusal: a pattern of its reasons, and how its message begins, in lower case. `wait_s` where it names none."""

    reason: str
    verdict: Verdict
    says: str = ""
    wait_s: Callable[[dt.datetime], float] | None = None


def _a_minute(now: dt.datetime) -> float:
    return MINUTE_S


ROWS = (
    # the key is dead
    Row(r"keyInvalid|keyExpired|API_KEY_(INVALID|EXPIRED|NOT_FOUND)|authError|invalidCredentials|invalid_grant", dead),
    Row(r"ACCESS_TOKEN_EXPIRED|CONSUMER_INVALID|accountDeleted|authenticatedUserAccount(Closed|Suspended)", dead),
    Row(r"badRequest|INVALID_ARGUMENT", dead, says="api key"),  # only its message tells it from a bad parameter
    # the key's project or its restrictions
    Row(r"accessNotConfigured|SERVICE_DISABLED|BILLING_(DISABLED|NOT_ACTIVE)|billingNotEnabled", dead),
    Row(r"API_KEY_\w+_BLOCKED|ipRefererBlocked|\w*RefererBlocked", dead),
    Row(r"CONSUMER_\w+|(USER_)?PROJECT_\w+|RESOURCE_PROJECT_INVALID|project\w+|GCP_SUSPENDED", dead),
    Row(r"\w+Unreg|CREDENTIALS_MISSING|OVERLOADED_CREDENTIALS", dead),  # it counts as no key at all
    Row(r"account(Disabled|Unverified)|ACCOUNT_STATE_INVALID|USER_BLOCKED_BY_ADMIN", dead),
    # it asked too much
    Row(r"quotaExceeded|dailyLimitExceeded", _spent, wait_s=until_quota_s),
    Row(r"\w*(rateLimit|RateLimit|LimitExceeded)\w*|RATE_LIMIT_EXCEEDED|RESOURCE_(QUOTA_EXCEEDED|EXHAUSTED)", limited,
        wait_s=_a_minute),
    # what was asked for is not there, or is not shown
    # (account: whose subscriptions they are)
    Row(r"channel(NotFound|Closed|Suspended)|account(Closed|Suspended)", missing("PROFILE_NOT_FOUND")),
    Row(r"playlistNotFound|playlistItemsNotAccessible", missing("PLAYLIST_NOT_FOUND")),  # the latter: private
    Row(r"videoNotFound", missing("POST_NOT_FOUND")),
    Row(r"subscriptionForbidden|subscriber(NotFound|NotAccessible)", not_visible),  # whom it subscribes to is private
    Row(r"commentsDisabled", plain(CommentsOff)),
    # what was asked for cannot be answered, whoever asks
    Row(r"\w+Disabled|videoChartNotFound", unanswerable),  # ratings; the chart of a category
    Row(r"\w+NotAccessible|\w+Unsupported", unanswerable),  # what was watched, by anybody
    Row(r"invalidPageToken", plain(StalePage)),
    Row(r"notFound|NOT_FOUND|deleted|failedPrecondition|FAILED_PRECONDITION", unanswerable),
    # a permission, or the thing asked for
    Row(r"\w*[fF]orbidden\w*|insufficient\w+|unauthorized|ACCESS_TOKEN_\w+|PERMISSION_DENIED|UNAUTHENTICATED", may_not),
    Row(r"SERVICE_NOT_VISIBLE|\w+_POLICY_VIOLATED|ORG_RESTRICTION_\w+", may_not),
    Row(r"required", may_not, says="login required"),
    # a parameter of this question
    Row(r"badRequest|[iI]nvalid\w*|missing\w+|required|unknownPart|unsupported\w+|INVALID_ARGUMENT", unanswerable),
    # the API itself, for now: backendError, INTERNAL; else, if the status blames the question, that
)  # fmt: skip


def refusal(answer: Answer, error: Fields, now: dt.datetime) -> GccError:
    """The verdict that the error's reasons, else the answer's status, stand for."""
    wait_s = retry_after_s(answer, now)
    reasons = _reasons(error)
    message = one_line(error.text("message") or "no message")[:200]
    told = f"{error.source}: HTTP {answer.status}, {', '.join(reasons) or 'no reason'}: {message}"
    if answer.status == 429:
        if _OF_A_DAY.search(" ".join((message, *_quotas(error), *reasons))):
            return _spent(told, wait_s or until_quota_s(now))
        return limited(told, wait_s or MINUTE_S)
    for row in ROWS:
        if any(re.fullmatch(row.reason, reason) for reason in reasons) and message.lower().startswith(row.says):
            return row.verdict(told, wait_s or (row.wait_s(now) if row.wait_s else None))
    if answer.status in (401, 403):
        return may_not(told, wait_s)
    return (unanswerable if reasons and 400 <= answer.status < 500 else failed)(told, wait_s)


def _reasons(error: Fields) -> list[str]:
    """Each once, in order; a few, and short: they are told."""
    parts = [part for name in ("errors", "details") for part in error.objects(name)]
    found = [part.text("reason", chars_max=60) for part in parts[:20]] + [error.text("status", chars_max=60)]
    return list(dict.fromkeys(one_line(reason) for reason in found if reason))


def _quotas(error: Fields) -> list[str]:
    """The limits that it names as spent, such as SearchListPerDayPerProject."""
    named = (part.object("metadata").text("quota_limit", chars_max=200) for part in error.objects("details")[:20])
    return [name for name in named if name]
