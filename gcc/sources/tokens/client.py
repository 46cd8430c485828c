"""Renewing a token where its kind is renewed: asked with the token itself, and stored before anything else happens.

A refresh token that rotates is good for one answer. So what was answered is stored at once, in one statement that also
drops the old one, however long the database is away meanwhile (STORE_S); and that an answer is asked for is noted just
before, when our own limits have let it through: if it is lost, whoever asks again knows, and says so.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
import trio

from gcc.errors import Transient
from gcc.sources.chain import Outside, Question, SourceApi, Visit
from gcc.sources.credentials import KINDS, Credential, Facts
from gcc.sources.http import Answer, decode, retry_after_s
from gcc.sources.limits import LimitRefused
from gcc.sources.tokens.renewals import RENEWALS, SOURCE, problem, renewed, request
from gcc.sources.verdicts import CredentialDead, QuestionFailed, RateLimited, Refused, failed

STORE_S = 60.0
STORE_AGAIN_S = 0.5
ALONE_S = 120.0  # by then whoever asks has stored the answer, or never will
DEAD = frozenset({"invalid_grant", "190", "102"})
PASSING = frozenset({"1", "2", "temporarily_unavailable", "server_error"})
THROTTLED = frozenset({"4", "17", "32", "613", "slow_down"})

log = structlog.get_logger()


def judge(answer: Answer, now: dt.datetime) -> Any:
    """The decoded JSON of a renewal, or its verdict: the token is dead, we ask too much, nobody is there, or it is our
    own app's fault."""
    if answer.status == 200:
        return decode(answer, SOURCE)
    code, says = problem(answer.body)
    told = f"{SOURCE}: HTTP {answer.status}, {code}: {says[:300]}"
    wait_s = retry_after_s(answer, now)
    if answer.status == 429 or code in THROTTLED:
        raise RateLimited(told, retry_after_s=wait_s)
    if answer.status >= 500 or code in PASSING or not code:
        raise failed(told, wait_s)
    if code in DEAD:
        raise CredentialDead(told)
    raise QuestionFailed(told)


TOKENS = SourceApi(SOURCE, judge)


@dataclass(frozen=True, slots=True)
class Renewed:
    """`is_new` False: it was renewed already, or somebody put another secret in its place meanwhile."""

    credential: Credential
    is_new: bool
    expires_at: dt.datetime | None


class TokenApi:
    """`root` is '' for each kind's own host, or what stands in for all of them."""

    def __init__(self, outside: Outside, root: str) -> None:
        self._outside = outside
        self._root = root.rstrip("/")

    async def renew(self, source: str, handle: str, visit: Visit) -> Renewed:
        """Renew one by its name. Refused: there is none, it is of a kind that no call renews, or it is dead now.
        LimitRefused: somebody asks already.

        Cancelled after the answer came: it is stored all the same.
        """
        credentials = self._outside.credentials
        held = await credentials.held(source, handle)
        if held is None:
            raise Refused("CREDENTIAL_NOT_FOUND", f"{source} has no credential {handle!r}")
        if (renewal := RENEWALS.get(held.kind)) is None:
            mend = KINDS[held.kind].mend if held.kind in KINDS else "renew it by hand"
            raise Refused("NOT_RENEWABLE", f"credential {handle} of {source} is of kind {held.kind}: {mend}")
        now = self._outside.clock.now()
        if held.expires_at is not None and held.expires_at > now + dt.timedelta(seconds=renewal.near_s):
            return Renewed(held, False, held.expires_at)
        asked = request(held, self._root, self._outside.timeout_s(SOURCE))
        was_lost = False

        async def note() -> None:
            nonlocal was_lost
            asked_s = await credentials.renewing(held, alone_s=ALONE_S)
            if asked_s is not None and asked_s < ALONE_S:
                told = f"{source} {handle} is being renewed: a refresh token that rotates is good for one answer"
                raise LimitRefused(told, retry_after_s=ALONE_S - asked_s)
            if was_lost := asked_s is not None:
                log.warning("the answer of a renewal was lost, asking again", source=source, credential=handle)

        question = Question(
            f"renewal of {source} {handle}", lambda _: asked, using=held, secret_answer=True,
            before=note if renewal.rotates else None,
        )  # fmt: skip
        try:
            answer = await self._outside.ask(TOKENS, question, visit)
        except CredentialDead as error:
            lost = "; the answer of an earlier renewal was lost" if was_lost else ""
            mend = KINDS[held.kind].mend
            raise Refused("CREDENTIAL_DEAD", f"{source} {handle} cannot be renewed{lost}: {error}; {mend}") from error
        secret, facts = renewed(answer, held, self._outside.clock.now())
        return Renewed(held, await self._store(held, secret, facts), facts.expires_at)

    async def _store(self, held: Credential, secret: Mapping[str, Any], facts: Facts) -> bool:
        """Whether it is the one that is held now. Transient: it is lost, which is told."""
        with trio.move_on_after(STORE_S) as patience:
            patience.shield = True
            while True:
                try:
                    return await self._outside.credentials.renewed(held, secret, facts)
                except Transient as error:
                    last = error
                await trio.sleep(STORE_AGAIN_S)
        lost = f"the renewed secret of {held.source} {held.handle} could not be stored"
        log.error(lost, error=str(last), mend=KINDS[held.kind].mend)
        raise Transient(f"{lost}: {last}")
