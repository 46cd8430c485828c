"""What the Graph API's refusals mean: a table of codes, read from the top; the first row that fits holds. Pure.

Of a credential: it is dead where only a new token helps, and rests where the same one may work again. A permission may
be wanting to the token, or the thing asked for be one that nobody sees: another token tells. So it does of an object
that is not there, unless the message names the one in the path: the credential's own account. And only where it names
another one may that be the profile that is asked for.
"""

import datetime as dt
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import unquote

import msgspec

from gcc.errors import GccError
from gcc.sources.fields import Fields
from gcc.sources.http import RETRY_AFTER_S_MAX, Answer, retry_after_s
from gcc.sources.verdicts import (
    SourceFailed,
    Verdict,
    dead,
    failed,
    gone_or_may_not,
    limited,
    may_not,
    may_not_or_away,
    no_post,
    no_profile,
    rests,
    rests_a_day,
    unanswerable,
)
from gcc.supervisor.lifecycle import one_line

SOURCE = "graphapi"
_NAMED = re.compile(r"""(?:with id ['"]|not exist: ['"]?|username \(['"]?)([^\s'"),]+)""")  # in a message in lower case


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
    # what was asked for is not there
    Row((), (2207013,), "", no_profile),  # absent, personal or renamed: it does not tell which
    Row((110,), (), "", no_profile),
    Row((), (), "invalid user id", no_profile),
    Row((), (), "cannot find user", no_profile),
    Row((24,), (2207006,), "", no_post),
    # what was asked for cannot be answered, whoever asks
    Row((10,), (), "not enough viewers", unanswerable),
    Row((100,), (2108006,), "", unanswerable),  # a post older than the business account
    Row((1,), (), "reduce the amount of data", unanswerable),
    Row((36104,), (), "", unanswerable),  # media that is live
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
    Row((368,), (), "", rests),  # by policy
    Row((), (2207051,), "", rests),  # as an action that looks like spam
    Row((25,), (2207050,), "", rests_a_day),  # the asking account is restricted
    Row((5,), (), "", rests),  # from this address
    # it asked too much
    Row((4, 341, 17, 32, 613, *range(80000, 80015)), (), "", limited),  # app, user, page, custom; business use cases
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
    # the API itself, for now: 1, 2, -1, -2, is_transient, and what nobody has heard of
)


def refusal(answer: Answer, error: Fields, now: dt.datetime) -> GccError:
    """The verdict that the error's code, else the answer's status, stands for."""
    message = one_line(error.text("message") or "no message")[:200]
    told = f"{SOURCE}: HTTP {answer.status}, error {error.shown('code')}/{error.shown('error_subcode')}: {message}"
    return _verdict(answer, error)(told, _wait_s(answer, now))


def _verdict(answer: Answer, error: Fields) -> Verdict:
    if answer.status == 429:
        return limited
    code, subcode = error.code("code"), error.code("error_subcode")
    said = " ".join(error.text(name) or "" for name in ("message", "error_user_title")).lower()
    for row in ROWS:
        fits = (not row.codes or code in row.codes) and (not row.subcodes or subcode in row.subcodes)
        if fits and row.says in said:
            return row.verdict or _of_object(said, answer.url)
    return may_not if answer.status in (401, 403) else failed


def _of_object(said: str, url: str) -> Verdict:
    """What it means that the object is not there which the message names, or does not."""
    named = _NAMED.search(said)
    if named is None:
        return may_not
    return rests if named[1].rstrip(".") == unquote(url.rpartition("/")[2]).lower() else gone_or_may_not


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
