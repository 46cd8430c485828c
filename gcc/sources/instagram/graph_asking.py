"""One call of the Graph API: whose login asks where, and what to do about names and sizes that the API refuses.

A field or metric that does not fit fails the whole call: it is left out for a day, and the call is made without it.
"""

import datetime as dt
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from gcc.sources.chain import Outside, Probed, Question, SourceApi, Visit
from gcc.sources.credentials import Credential
from gcc.sources.http import Request
from gcc.sources.instagram import graph_parse
from gcc.sources.instagram.graph_errors import SOURCE, NamesRefused, TooMuchData
from gcc.sources.instagram.graph_metrics import Unfit, version_of
from gcc.sources.instagram.graph_usage import usage
from gcc.sources.verdicts import CredentialDead, QuestionFailed

T = TypeVar("T")
Params = Callable[[Sequence[str]], Mapping[str, str]]
"""The parameters of a call, of those of its names that fit."""
GRAPH = SourceApi(SOURCE, graph_parse.judge, usage)
_OF_INSTAGRAM_LOGIN = {"//graph.facebook.com/": "//graph.instagram.com/", "/graph/": "/graph_instagram/"}
"""Where an Instagram login asks instead: of the real API, and of the world."""


class NothingFits(QuestionFailed):
    """The API refuses every name that the call would ask for."""


class Size:
    """How much is asked for at once: half of it, and half again, where that is too much data for the API."""

    def __init__(self, size: int) -> None:
        self._size = size

    async def fitting(self, ask: Callable[[int], Awaitable[T]]) -> T:
        while True:
            try:
                return await ask(self._size)
            except TooMuchData:
                if self._size == 1:
                    raise
                self._size //= 2


class Asking:
    """`root` is the API's address with its version."""

    def __init__(self, outside: Outside, root: str) -> None:
        self.version = version_of(root)
        self._outside = outside
        self._root = root
        self._unfit = Unfit()

    async def ask(
        self,
        text: str,
        path: str | None,
        parse: Callable[[Any, dt.datetime], T],
        visit: Visit,
        *,
        params: Params,
        names: Sequence[str] = (),
        of: str = "",
        owner: str | None = None,
        bucket: str = "",
        of_post: bool = False,
        alone: bool = False,
    ) -> T:
        """What `parse` makes of the answer at `path`; None: the account that asks.

        `names` are the fields or metrics, of a kind `of` objects, of which `params` gets those that fit. `of_post`: the
        path names a post. `alone`: a question without an answer is about its names, whatever the API says of it. Raises
        NothingFits where none does, and what `Outside.ask` raises.
        """
        fitting: list[str] = []  # as they were asked for last
        unfit_here: set[str] = set()
        login = ""

        def build(credential: Credential) -> Request:
            nonlocal login
            login = credential.kind
            fitting[:] = [name for name in self._unfit.fitting(f"{login} {of}", names) if name not in unfit_here]
            if names and not fitting:
                raise NothingFits(f"{SOURCE}: all of {', '.join(names)} were refused lately")
            return self._request(credential, path, params(fitting))

        judge = graph_parse.judging(parse, names=fitting, of_post=of_post)
        question = Question(text, build, bucket=bucket, owner=owner, judge=judge)
        while True:
            try:
                found: T = await self._outside.ask(GRAPH, question, visit)
                return found
            except NamesRefused as refused:
                unfit_here |= refused.names
                if refused.everywhere:
                    self._unfit.add(f"{login} {of}", refused.names)
            except QuestionFailed:
                if alone:
                    self._unfit.add(f"{login} {of}", names)
                raise

    async def probe(self, handle: str, visit: Visit) -> Probed:
        """Whether this credential is answered at all."""
        fields = {"fields": "id"}
        return await self._outside.probe(
            GRAPH, handle, lambda credential: self._request(credential, None, fields), visit
        )

    def _request(self, credential: Credential, path: str | None, params: Mapping[str, str]) -> Request:
        token = credential.secret.get("token")
        account = credential.account or credential.secret.get("ig_user_id")
        if not token or not account:
            lacks = "its account: add it anew with --account, or given as ACCOUNT:TOKEN" if token else "its token"
            raise CredentialDead(f"{SOURCE}: credential {credential.handle!r} lacks {lacks}")
        root = _root_of(self._root, credential)
        return Request(
            source=SOURCE,
            method="GET",
            url=f"{root}/{quote(path or str(account), safe='/')}",
            params={**params, "access_token": str(token)},
            timeout_s=self._outside.timeout_s(SOURCE),
        )


def _root_of(root: str, credential: Credential) -> str:
    for facebook, instagram in _OF_INSTAGRAM_LOGIN.items() if credential.kind == "instagram" else ():
        root = root.replace(facebook, instagram)
    return root
