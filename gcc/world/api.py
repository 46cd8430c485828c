"""What the door asks of an API that it stands before: whom it lets in, what it answers, how it refuses. Pure."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from gcc.world.answer import Answer, Query
from gcc.world.limits import Used

Headers = Mapping[bytes, bytes]
"""Of a request, names in lower case."""


class Api(ABC):
    """One outside API. What a subclass leaves out is an API without it: one bucket, no daily quota, no usage headers.

    It gets a room in the path by its row in apis.py. The door asks `token`, then `cost`, and where nothing refuses,
    `answer`.
    """

    source: str
    tokens: Sequence[str]
    open = False
    """Whether it answers callers without a token."""
    lists: ClassVar[Sequence[str]] = ("data", "items")
    """Names of the lists in its answers, for a fault that empties them."""
    daily: ClassVar[Mapping[str, int]] = {}
    """Units of a bucket that an app may take between two midnights in California."""

    @abstractmethod
    def token(self, query: Query, headers: Headers) -> str | None:
        """The caller's, wherever this API takes it from."""

    @abstractmethod
    def answer(self, method: str, path: str, query: Query, headers: Headers, body: bytes) -> Answer:
        """`path` is what follows the room. Never raises: whatever a caller sends has an answer."""

    @abstractmethod
    def refuse_token(self, token: str | None, *, expired: bool = False) -> Answer:
        """None: there was none. `expired`: it was good, and has run out."""

    @abstractmethod
    def refuse_rate(self, retry_after_s: int, *, of_user: bool) -> Answer: ...

    @abstractmethod
    def fail(self, status: int) -> Answer:
        """A failure that is nobody's fault, and refusals of HTTP: a method it does not know, too large a body."""

    def refuse_quota(self, bucket: str = "") -> Answer:
        """The bucket of this day is spent."""
        return self.refuse_rate(3600, of_user=False)

    def lets_in(self, token: str | None) -> bool:
        """Whether it knows the token; `tokens` are those that faults may kill."""
        return token in self.tokens

    def given_out(self) -> list[dict[str, Any]]:
        """The tokens, and whatever a test or a person must know of each to use it."""
        return [{"token": token} for token in self.tokens]

    def error(self, code: str, subcode: str | None) -> Answer | None:
        """An error of its own table, in its envelope, for POST /faults; None: it has none of this code."""
        return None

    def usage(self, used: Used) -> Sequence[tuple[str, str]]:
        """The headers by which its good answers tell how full a limit is."""
        return ()

    def app(self, token: str) -> str:
        """Whose quota a token spends: of an app, where several tokens share one."""
        return token

    def cost(self, method: str, path: str, query: Query, body: bytes) -> tuple[str, int]:
        """(bucket, units) of a call; "" is the bucket of all that has none of its own."""
        return "", 1
