"""What an answer of an outside API means for the caller: the errors that judges and parsers raise.

A source's judge maps its own codes onto these, so that the chain knows no vendor. Texts never hold secrets.
"""

from gcc.errors import Permanent, Transient


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


class RateLimited(Transient):
    """This credential asked too much; `retry_after_s` is the wait the other side named, if it did."""


class CredentialDead(Transient):
    """This credential works no more until a new token arrives."""


class SourceFailed(Transient):
    """The source cannot answer now: 5xx, missing permission, unparsable bytes, an unexpected shape."""


class SourcesExhausted(Transient):
    """Every source of a chain was tried; the text lists each one's reason."""
