"""What an answer of an outside API means for the caller: the errors that judges and parsers raise.

A source's judge maps its own codes onto these, so that the chain knows no vendor. Texts never hold secrets.
Each says whom it concerns: the credential (it is retired or rests, and the next one is asked), the question (it gets
no answer), or the source (only this feeds its breaker).
"""

from collections.abc import Callable
from typing import Literal

from gcc.errors import GccError, Permanent, Transient


class Refused(Permanent):
    """The question itself has no answer, at any source: `code` is the API's error code for it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NotFound(Refused):
    """What was asked for does not exist (PROFILE_NOT_FOUND, ...)."""


class InvalidHandle(Refused):
    """No such handle can exist; nothing was asked."""

    def __init__(self, message: str) -> None:
        super().__init__("INVALID_HANDLE", message)


class CredentialDead(Transient):
    """This credential works no more until a new token arrives: only that mends it."""


RestScope = Literal["credential", "bucket", "app", "source"]
"""Who rests: the credential, the credential for the question's bucket alone, all of its app, or all of the source."""


class CredentialRests(Transient):
    """This credential may not ask for now: the same one may again, by itself or when a person has mended it outside.

    `retry_after_s` is the wait, where one is known; `scope` tells who else may not, or that it is only this bucket.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None, scope: RestScope = "credential") -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.scope = scope


class RateLimited(CredentialRests):
    """This credential asked too much; `retry_after_s` is the wait the other side named, if it did."""

    code = "LIMITED"


class CredentialRefused(Transient):
    """This credential may not ask this, or nobody may: only another credential tells which.

    `agreed` is what it means for the question where they all say so.
    """

    def __init__(self, message: str, *, agreed: Refused | None = None) -> None:
        super().__init__(message)
        self.agreed = agreed


class Unsendable(CredentialRefused):
    """No request can hold what this one is made of, such as a line's end in a key: nothing was asked."""


class MaybeAway(Transient):
    """The source, or what stands before it, answers nothing to this credential, or to all: another one tells which.

    Where none tells more, it is the source (SourceFailed, with `retry_after_s`).
    """


class Unserved(Transient):
    """This source has no answer to the question, and never will; another one may. Where none has, the job ends so."""

    code = "UNSERVED"


class NotVisible(Unserved):
    """The source does not show it: it is absent, or hidden from this source, and nothing tells which."""

    code = "NOT_VISIBLE"


class NeedsOwner(Unserved):
    """Only the account's own credential is answered this, and there is none."""

    code = "NEEDS_OWNER"


class QuestionFailed(Transient):
    """This question gets no answer from this source, whoever asks: a parameter it refuses, a thing that nobody sees."""


class SourceFailed(Transient):
    """The source cannot answer now: 5xx, unparsable bytes, nothing to any credential.

    `retry_after_s` is the wait that it named, AWAY_S_MAX at most: it may be back sooner than it said.
    """


class OddAnswer(SourceFailed):
    """A good answer without what was asked for: the question's failure (QuestionFailed), until many others get one."""


class SourcesExhausted(Transient):
    """Every source of a chain was tried; the text lists each one's reason."""


# How the rows of a judge's table make one: of the text that tells what happened, and the wait that the answer names.

Verdict = Callable[[str, float | None], GccError]
DAY_S = 86_400.0
AWAY_S_MAX = 600.0


def plain(kind: Callable[[str], GccError]) -> Verdict:
    """Of a kind that knows no wait."""
    return lambda told, _: kind(told)


def resting(kind: type[CredentialRests], scope: RestScope = "credential", otherwise_s: float | None = None) -> Verdict:
    """`scope` rests, for `otherwise_s` where no wait is named."""
    return lambda told, wait_s: kind(told, retry_after_s=wait_s or otherwise_s, scope=scope)


def missing(code: str) -> Verdict:
    """What was asked for does not exist: PROFILE_NOT_FOUND, ..."""
    return lambda told, _: NotFound(code, told)


def missing_or_may_not(code: str) -> Verdict:
    """It does not exist, if all credentials are told so."""
    return lambda told, _: CredentialRefused(told, agreed=NotFound(code, told))


dead = plain(CredentialDead)
rests = resting(CredentialRests)
rests_a_day = resting(CredentialRests, otherwise_s=DAY_S)
limited = resting(RateLimited)
may_not = plain(CredentialRefused)
not_visible = plain(NotVisible)
unanswerable = plain(QuestionFailed)


def may_not_or_away(told: str, wait_s: float | None) -> GccError:
    return MaybeAway(told, retry_after_s=wait_s)


def failed(told: str, wait_s: float | None) -> SourceFailed:
    return SourceFailed(told, retry_after_s=None if wait_s is None else min(wait_s, AWAY_S_MAX))
