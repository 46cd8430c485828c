"""What the Graph API's refusals mean: a table of codes, read from the top; the first row that fits holds. Pure.

Of a credential: it is dead where only a new token helps, and rests where the same one may work again, alone or with all
of its app. A permission may be wanting to the token, or the thing asked for be one that nobody sees: another token
tells. So it does of an object that is not there, unless the message names the one in the path: the credential's own
account. And only where it names another one may that be the profile that is asked for.

A handle that business discovery does not know may be absent, personal or renamed: no code tells which.
"""

import datetime as dt
import re
from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass
from urllib.parse import unquote

import msgspec

from gcc.errors import GccError
from gcc.sources.fields import Fields
from gcc.sources.http import RETRY_AFTER_S_MAX, Answer, retry_after_s
from gcc.sources.verdicts import (
    DAY_S,
    CredentialRests,
    QuestionFailed,
    RateLimited,
    SourceFailed,
    Verdict,
    dead,
    failed,
    limited,
    may_not,
    may_not_or_away,
    missing,
    missing_or_may_not,
    not_visible,
    plain,
    resting,
    rests,
    rests_a_day,
    unanswerable,
)
from gcc.supervisor.lifecycle import one_line

SOURCE = "graphapi"
_NAMED = re.compile(r"""(?:with id ['"]|not exist: ['"]?|username \(['"]?)([^\s'"),]+)""")  # in a message in lower case
_NAME_AT = re.compile(r"metric\[(\d{1,3})\] must be one of")
_EVERYWHERE = re.compile(
    "must be one of|does not support|no longer supported|nonexisting field|should be specified|[Ii]ncompatible"
)
_NO_FIELD = re.compile(r"nonexisting field \((\w+)\)")


class NamesRefused(QuestionFailed):
    """These of the names of fields or metrics that were asked for are refused; without them there may be an answer.

    `everywhere`: they fit neither this version nor this kind of object; else it may be that they do not fit this one.
    """

    def __init__(self, message: str, names: Set[str], *, everywhere: bool) -> None:
        super().__init__(message)
        self.names = names
        self.everywhere = everywhere


class TooMuchData(QuestionFailed):
    """The page is too large for the API: a smaller one may do."""


class NoInsights(QuestionFailed):
    """There are none of this media, and no fault is in asking: it has too few viewers, or, `for_good`, is older than
    its business account."""

    def __init__(self, message: str, *, for_good: bool = False) -> None:
        super().__init__(message)
        self.for_good = for_good


def _too_old(told: str, wait_s: float | None) -> GccError:
    return NoInsights(f"{told} (the media is older than the business account)", for_good=True)


@dataclass(frozen=True, slots=True)
class Row:
    """A refusal: its code, subcode and a part of its message, in lower case; empty: any.

    `verdict` None: that of an object that is not there, see `_of_object`.
    """

    codes: Collection[int]
    subcodes: Collection[int]
    says: str
    verdict: Verdict | None


ROWS = (
    # what was asked for is not there, or not to be seen here
    Row((), (2207013,), "", not_visible),
    Row((110,), (), "", not_visible),
    Row((), (), "invalid user id", not_visible),
    Row((), (), "cannot find user", not_visible),
    Row((24,), (2207006,), "", missing("POST_NOT_FOUND")),
    Row((24,), (2207024,), "", missing("HASHTAG_NOT_FOUND")),
    # what was asked for cannot be answered, whoever asks
    Row((10,), (), "not enough viewers", plain(NoInsights)),
    Row((), (2108006,), "", _too_old),
    Row((1,), (), "reduce the amount of data", plain(TooMuchData)),
    Row((36104,), (), "", unanswerable),  # media that is live; a field that only business discovery has
    Row((-1,), (2207086,), "", unanswerable),  # insights of Facebook where there are none
    # the token is dead, or its user must do something first, after which it lives again
    Row((), (459, 464, 490), "", rests_a_day),  # a checkpoint, an unconfirmed user
    Row((102, 190), (), "", dead),
    Row((2500,), (), "active access token must be used", dead),
    Row((), (458, 460, 463, 467, 492), "", dead),  # app removed, password changed, expired, invalid, session ended
    Row((101,), (), "", dead),  # its app does not exist
    # its app wants a secret's proof or a signature
    Row((100,), (), "appsecret_proof", rests),
    Row((104,), (), "", rests),
    # blocked for a time
    Row((368,), (), "", resting(CredentialRests, "source", DAY_S)),  # by policy: whoever asks on asks for worse
    Row((), (2207051,), "", rests),  # as an action that looks like spam
    Row((25,), (2207050,), "", rests_a_day),  # the asking account is restricted
    Row((5,), (), "", rests),  # from this address
    # it asked too much
    Row((18,), (), "", resting(RateLimited, "bucket", DAY_S)),  # 30 hashtags in 7 days
    Row((4, 341), (), "", resting(RateLimited, "app")),
    Row((17, 32, 613, *range(80000, 80015)), (), "", limited),  # user, page, custom; business use cases
    # an object, by its name
    Row((100,), (33,), "", None),
    Row((803,), (), "", None),
    Row((100,), (), "object does not exist", None),
    Row((100,), (), "object with id", None),
    # a permission, or the thing asked for
    Row((3, 10, *range(200, 300)), (), "", may_not),
    Row((100,), (), "permission", may_not),
    # a parameter of this question
    Row((24, 100), (), "", unanswerable),
    # an address that is wrong for this credential's account, or for all
    Row((2500,), (), "", may_not_or_away),
    # a token, without its code
    Row((), (), "access token", may_not_or_away),
    # the API itself, for now: 1, 2, -1, -2, and what nobody has heard of, unless it says that it stays so
)


def refusal(
    answer: Answer, error: Fields, now: dt.datetime, *, names: Sequence[str] = (), of_post: bool = False
) -> GccError:
    """The verdict that the error's code, else the answer's status, stands for; `names`, `of_post`: see `judging`."""
    message = one_line(error.text("message") or "no message")[:200]
    codes = [shown for name in ("code", "error_subcode") if (shown := error.shown(name)) != "None"]
    told = f"{SOURCE}: HTTP {answer.status}, error {'/'.join(codes) or 'without a code'}: {message}"
    said = error.text("message") or ""
    if names and error.code("code") == 100 and (unfit := _unfit(said, names)):
        return NamesRefused(told, unfit, everywhere=_EVERYWHERE.search(said) is not None)
    return _verdict(answer, error, of_post)(told, _wait_s(answer, now))


def _unfit(said: str, names: Sequence[str]) -> set[str]:
    """Which of `names` the message says are none here; it may list those that would be."""
    if at := _NAME_AT.search(said):
        number = int(at[1])
        return {names[number]} if number < len(names) else set()
    if field := _NO_FIELD.search(said):
        return {field[1]} & set(names)
    said = said.partition("following values:")[0]
    return set(re.findall(r"\w+", said)) & set(names) if "metric" in said else set()


def _verdict(answer: Answer, error: Fields, of_post: bool) -> Verdict:
    code, subcode = error.code("code"), error.code("error_subcode")
    said = " ".join(error.text(name) or "" for name in ("message", "error_user_title")).lower()
    for row in ROWS:
        fits = (not row.codes or code in row.codes) and (not row.subcodes or subcode in row.subcodes)
        if fits and row.says in said:
            # the message may be "invalid parameter" alone
            told = f"{said} {error.text('error_user_msg') or ''}".lower()
            return row.verdict or (missing_or_may_not("POST_NOT_FOUND") if of_post else _of_object(told, answer.url))
    if answer.status == 429:
        return limited
    if answer.status in (401, 403):
        return may_not
    return unanswerable if answer.status == 400 and error.flag("is_transient") is False else failed


def _of_object(said: str, url: str) -> Verdict:
    """What it means that the object is not there which the message names, or does not."""
    named = _NAMED.search(said)
    if named is None:
        return may_not
    return rests if named[1].rstrip(".") in unquote(url).lower().split("/") else missing_or_may_not("PROFILE_NOT_FOUND")


def _wait_s(answer: Answer, now: dt.datetime) -> float | None:
    """What Retry-After names, else the longest wait (in minutes) of the usage header; None where both are silent."""
    if (named_s := retry_after_s(answer, now)) is not None:
        return named_s
    try:
        usage = msgspec.json.decode(answer.headers.get("x-business-use-case-usage", ""))
        uses = [use for account in usage.values() for use in account]
        minutes = max(Fields(use, SOURCE).count("estimated_time_to_regain_access") or 0 for use in uses)
    except (msgspec.MsgspecError, AttributeError, TypeError, ValueError, RecursionError, SourceFailed):
        return None
    return min(minutes * 60.0, RETRY_AFTER_S_MAX) or None
