"""What RapidAPI's gateway says in place of an API behind it: a table of its messages, read from the top. Pure.

A credential is a key for one API: an account may be subscribed to others behind the gateway, so what its plan refuses
here retires or rests this credential alone.
"""

import datetime as dt
import re
from dataclasses import dataclass

from gcc.errors import GccError
from gcc.sources.fields import Fields
from gcc.sources.http import Answer, decode, retry_after_s
from gcc.sources.rapidapi.usage import full_again_s
from gcc.sources.verdicts import SourceFailed, Verdict, dead, failed, limited, rests
from gcc.supervisor.lifecycle import one_line

MESSAGE_BYTES_MAX = 4096  # the gateway's own answers are short; whatever is longer is the API's


@dataclass(frozen=True, slots=True)
class Row:
    """A refusal: a pattern in its message, in lower case, and the statuses it comes with; empty: any."""

    says: str
    verdict: Verdict
    statuses: tuple[int, ...] = ()


ROWS = (
    Row(r"not subscribed to this api", dead),
    Row(r"invalid api key|api key is invalid|missing rapidapi application key|key has been (disabled|revoked)", dead),
    Row(r"blocked user|user is blocked|account (is |has been )?(blocked|suspended|disabled)", dead),
    Row(r"upgrade your (plan|subscription) to (use|access)|(is )?disabled for your subscription", dead),
    Row(r"(daily|hourly|monthly|weekly) quota|exceeded the .*quota|quota (has been )?exceeded", limited),
    Row(r"too many requests|rate limit", limited),
    Row(r"payment|billing", rests, statuses=(402, 403)),
    # the API itself, or our address of it: never that what was asked for is absent
    Row(
        r"endpoint\b.*\bdoes ?n[o']t exists?|api doesn'?t exists?|no such api|host you'?ve? provided is invalid", failed
    ),
    Row(r"api is unreachable|request to the api has timed out|api \(not working\)|no longer available", failed),
)


def headers(host: str, key: str) -> dict[str, str]:
    """How a request names the API that it wants, and who asks."""
    return {"X-RapidAPI-Host": host, "X-RapidAPI-Key": key}


def refusal(answer: Answer, source: str, now: dt.datetime) -> GccError | None:
    """The verdict that the gateway's message stands for, whatever the status; None where the API itself answered."""
    message = _message(answer, source)
    told = f"{source}: HTTP {answer.status}: {message or 'no message'}"
    said = message.lower()
    for row in ROWS:
        if re.search(row.says, said) and (not row.statuses or answer.status in row.statuses):
            return row.verdict(told, wait_s(answer, now))
    if answer.status == 429:
        return limited(told, wait_s(answer, now))
    return None


def wait_s(answer: Answer, now: dt.datetime) -> float | None:
    """The seconds to wait: Retry-After's, else until the quotas that are spent are full again; None: not told."""
    named_s = retry_after_s(answer, now)
    return full_again_s(answer.headers) if named_s is None else named_s


def _message(answer: Answer, source: str) -> str:
    """What the body tells people, on one line; "" where it is no message of the gateway's."""
    if len(answer.body) > MESSAGE_BYTES_MAX:
        return ""
    try:
        body = Fields(decode(answer, source), source)
    except SourceFailed:
        return ""
    return one_line(" ".join(body.text(name) or "" for name in ("message", "messages", "info")).strip())[:200]
