"""Asking the outside: breaker -> credential -> limits -> fetch -> trace -> judge, and from one source to the next.

`Outside.ask` asks one source, with one credential after the other while they are rate limited, dead, get no answer, or
may not ask this; whose fault it is, `doubts` tell. `first_of` goes down a flow's chain of sources. What ends a question
for good (NotFound) ends it at once; everything else leaves as Transient, with the wait that is known.
"""

import datetime as dt
import math
import uuid
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

import structlog
import trio

from gcc.clock import Clock
from gcc.errors import Transient
from gcc.metrics import Metrics
from gcc.sources.breakers import Breakers, SourceClosed
from gcc.sources.calls import Call
from gcc.sources.credentials import Credential, Credentials, NoCredential
from gcc.sources.doubts import Doubts
from gcc.sources.http import Answer, Fetcher, Request
from gcc.sources.known import InProcessKnown, Known, RowsAway
from gcc.sources.limits import Limit, Limiter, LimitRefused, Reading, Rule, Take, allowed
from gcc.sources.precedence import Precedence
from gcc.sources.verdicts import (
    DAY_S,
    CredentialDead,
    CredentialRefused,
    CredentialRests,
    MaybeAway,
    NeedsOwner,
    OddAnswer,
    QuestionFailed,
    RateLimited,
    Refused,
    SourcesExhausted,
    Unsendable,
    Unserved,
    failed,
)
from gcc.supervisor.lifecycle import Board, one_line

T = TypeVar("T")
STORE_AWAY_S = 1.0  # when to ask again after the credentials could not be read or written
REST_S = 3600.0  # how long a credential rests where the source named no time
DOUBTED_S = 300.0  # and how long one that was refused so much that it is probably its own fault
FOR_S_MIN, FOR_S_MAX = 1.0, 86_400.0  # for how long an answer may narrow a limit
_SECRET_PARAMS = frozenset((
    "access_token", "refresh_token", "token", "key", "api_key", "apikey", "client_secret", "appsecret_proof",
))  # fmt: skip
_NO_SECRETS = frozenset({"ig_user_id", "client_id", "shop"})  # of what a credential's secret may hold
_SECRET_CHARS_MIN = 6  # shorter ones protect nothing, and could be a part of any word
_SAFE_HEADERS = frozenset({"accept", "accept-language", "content-type", "user-agent", "x-rapidapi-host"})


log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class SourceApi:
    """One outside API: its name in limits, credentials and events, and its judge.

    The judge turns an answer (and the time of day) into decoded JSON, or raises one of the verdicts. `usage` reads
    what any answer tells of the other side's limits; it raises nothing.
    """

    name: str
    judge: Callable[[Answer, dt.datetime], Any]
    usage: Callable[[Answer], Sequence[Reading]] = lambda answer: ()


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a source: `text` tells it, in the same words whoever asks, and `build` makes the request.

    It costs `units` of the source's limits of all calls and of those of `bucket`. `owner` is the account whose own
    credential must ask; None: any may. `using`: this credential asks, and no other one, whether it is out or not.
    `judge` stands in for the source's where an endpoint answers in its own way. `secret_answer`: what is asked for is
    a secret itself; else those of the credential are masked wherever an answer repeats them. `before` is awaited when
    its limits are taken, just before it is asked: it may raise, and nothing is asked then.
    """

    text: str
    build: Callable[[Credential], Request]
    bucket: str = ""
    units: int = 1
    owner: str | None = None
    using: Credential | None = None
    judge: Callable[[Answer, dt.datetime], Any] | None = None
    secret_answer: bool = False
    before: Callable[[], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """One request that was made: the payload of a trace event. Holds no secret; status None: no answer came.

    `request` tells the size of its body, "" where it had none.
    """

    id: uuid.UUID
    source: str
    method: str
    uri: str
    headers: dict[str, str]
    request: str
    response_status: int | None
    response_size: int
    time_taken: float  # seconds
    at: dt.datetime


@dataclass(slots=True)
class Visit:
    """One attempt's context: for which flow, how urgent, how long it may wait for limits, what it asked so far."""

    flow: str = ""
    priority: int = 0
    wait_s_max: float = 5.0
    traces: list[Trace] = field(default_factory=list)  # a few a crawl; committed with its end, failures too
    passed: list[Transient] = field(default_factory=list)  # why the sources before did not answer, a few too


@dataclass(slots=True)
class _Asking:
    """A question, and what it was told with each credential whose fault that may be, or not: another one tells."""

    question: str
    renewals: int  # of the source's credentials, as it began
    tried: list[uuid.UUID] = field(default_factory=list)
    refused: list[tuple[Credential, CredentialRefused]] = field(default_factory=list)
    unanswered: list[tuple[Credential, MaybeAway]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Probed:
    """What became of a probe: False: it is dead, and was retired. `reason` tells what stands in its way."""

    credential: Credential
    alive: bool
    reason: str


class Outside:
    """How every client asks. `timeouts` holds the seconds for one request by source, 15 where it has none.

    Without `breakers` it has its own, on no board. `rules` are the limits of each source; one that is not named has a
    limit of its own name for all calls. `known` is what our own rows tell the clients; nothing, by default.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        limiter: Limiter,
        credentials: Credentials,
        clock: Clock,
        metrics: Metrics,
        timeouts: Mapping[str, float],
        breakers: Breakers | None = None,
        rules: Mapping[str, Sequence[Rule]] | None = None,
        known: Known | None = None,
        precedence: Precedence | None = None,
    ) -> None:
        self._fetcher = fetcher
        self._limiter = limiter
        self._credentials = credentials
        self._clock = clock
        self._metrics = metrics
        self._timeouts = timeouts
        self._breakers = breakers or Breakers(Board(clock.now), clock.rng)
        self._rules = rules or {}
        self._doubts: defaultdict[str, Doubts] = defaultdict(Doubts)  # by source
        self.known = known or InProcessKnown()
        self._precedence = precedence or Precedence()

    @property
    def clock(self) -> Clock:
        return self._clock

    def timeout_s(self, source: str) -> float:
        return self._timeouts.get(source, 15.0)

    async def ask(self, source: SourceApi, question: Question, visit: Visit) -> Any:
        """The decoded JSON of one answer of `source`.

        Each credential asks once at most; a rate limited one rests, with all that the verdict says of it (its app, the
        source), a dead one is retired, one that may not ask this rests if another one may. Raises SourceClosed,
        LimitRefused (ours; nothing was asked), NoCredential, NeedsOwner, QuestionFailed, SourceFailed or another
        Transient, NotFound. Cancelled: a call of the limit may be spent; traces of whole answers stay in `visit`.
        """
        asking, doubts = _Asking(question.text, self._credentials.renewals(source.name)), self._doubts[source.name]
        with self._breakers.of(source.name).asking():
            while True:
                async with self._precedence.step(visit.priority):
                    credential, call = await self._take(source.name, question, asking, visit)
                asking.tried.append(credential.id)
                try:
                    decoded = await self._answer(source, question, credential, call, visit)
                except MaybeAway as error:
                    asking.unanswered.append((credential, error))
                except CredentialRefused as error:
                    if doubts.refused(credential.id, question.text):
                        await self._take_out(source.name, credential, error, DOUBTED_S)
                    else:
                        asking.refused.append((credential, error))
                        self._end_if_agreed(doubts, asking)
                except (CredentialRests, CredentialDead) as error:
                    rest_s = error.retry_after_s or (DAY_S if _stops(error) else REST_S)
                    await self._take_out(source.name, credential, error, rest_s, question.bucket)
                    if question.using is not None:
                        raise
                except (Refused, Unserved):
                    await self._answered(source.name, credential, asking)
                    raise
                else:
                    await self._answered(source.name, credential, asking)
                    return decoded

    async def probe(
        self, source: SourceApi, handle: str, build: Callable[[Credential], Request], visit: Visit, *, bucket: str = ""
    ) -> "Probed":
        """Ask what `build` makes with this credential of the source, also if it is out: an answer brings it back.

        Raises Refused (there is none of this name) and what `ask` raises of the source, or of the limit.
        """
        with _our_store(source.name):
            credential = await self._credentials.held(source.name, handle)
        if credential is None:
            raise Refused("CREDENTIAL_NOT_FOUND", f"{source.name} has no credential {handle!r}")

        def answered(answer: Answer, now: dt.datetime) -> None:
            """Whatever is in it: a good answer, to what is not asked for its own sake, need not hold what others do."""
            try:
                source.judge(answer, now)
            except OddAnswer:
                if answer.status != 200:
                    raise

        try:
            question = Question(f"probe of {handle}", build, bucket, using=credential, judge=answered)
            await self.ask(source, question, visit)
        except CredentialDead as dead:
            return Probed(credential, False, one_line(str(dead)))
        except (CredentialRests, QuestionFailed, Refused) as error:  # it is answered, if not well
            return Probed(credential, True, one_line(str(error)))
        with _our_store(source.name):
            await self._credentials.revive(credential)
        return Probed(credential, True, "")

    @property
    def credentials(self) -> Credentials:
        return self._credentials

    async def _take(self, source: str, question: Question, asking: _Asking, visit: Visit) -> tuple[Credential, Call]:
        """One that was not tried yet and may ask now: each of its limits is taken.

        One whose own limits have no room is passed over for another; where all ready ones are so, the first is waited
        for whose turn it will be.
        """
        deadline = trio.current_time() + visit.wait_s_max
        full: list[tuple[float, Credential]] = []  # (seconds until there is room, whose)
        while (credential := await self._pick(source, question, asking, [each.id for _, each in full])) is not None:
            try:
                return credential, await self._take_all(
                    source, question, credential, asking, visit, deadline, others=True
                )
            except _Full as none:
                full.append((none.retry_after_s or 0.0, credential))
        _, credential = min(full, key=lambda each: each[0])
        return credential, await self._take_all(source, question, credential, asking, visit, deadline, others=False)

    async def _take_all(
        self,
        source: str,
        question: Question,
        credential: Credential,
        asking: _Asking,
        visit: Visit,
        deadline: float,
        *,
        others: bool,
    ) -> Call:
        """Take of the question's whole stack of limits. _Full: one of the credential's own has no room; unless there
        are no `others`, it is not waited for. LimitRefused: one of all."""
        takes = [
            (rule, _take(rule, limited, question.units, credential))
            for limited in _limited(source, question, credential)
            for rule in self._rules_of(limited)
            if rule.bucket in ("", question.bucket)
        ]
        own = [take.name for rule, take in takes if rule.each != "source"] if others else []
        wait_s = max(0.0, deadline - trio.current_time())
        try:
            return await self._limiter.take(
                [take for _, take in takes], priority=visit.priority, flow=visit.flow, wait_s_max=wait_s, hurried=own
            )
        except LimitRefused as refusal:
            if refusal.name in own:
                raise _Full(str(refusal), retry_after_s=refusal.retry_after_s) from refusal
            if not any(take.name == refusal.name for rule, take in takes if rule.bucket):  # else others go on
                self._breakers.of(source).refused(refusal, asking.renewals)
            raise

    def _rules_of(self, source: str) -> Sequence[Rule]:
        return self._rules.get(source) or (Rule(Limit(1, 1.0)),)  # how many there are, the limiter knows

    async def _pick(
        self, source: str, question: Question, asking: _Asking, full: Collection[uuid.UUID]
    ) -> Credential | None:
        """One that was not tried yet, and none of `full`; None: only these are left. Where none is left at all, that
        tells of the source, of the question, or of neither."""
        try:
            with _our_store(source):
                return await self._chosen(source, question, [*asking.tried, *full])
        except NoCredential as none:
            if full and not isinstance(none, _StoreAway):
                return None
            if asking.unanswered and not asking.refused and not isinstance(none, _StoreAway):
                _, last = asking.unanswered[-1]
                raise self._breakers.of(source).failed(failed(str(last), last.retry_after_s)) from none
            if asking.refused and none.retry_after_s is None:
                raise QuestionFailed(f"no credential may ask this: {asking.refused[-1][1]}") from none
            self._breakers.of(source).told(none)
            if not (asking.refused or question.bucket or question.owner or question.using):  # else others may be asked
                self._breakers.of(source).refused(none, asking.renewals)
            raise

    async def _chosen(self, source: str, question: Question, without: Collection[uuid.UUID]) -> Credential:
        if question.using is None:
            return await self._credentials.pick(source, bucket=question.bucket, owner=question.owner, without=without)
        if question.using.id in without:
            raise NoCredential(f"{source}: only {question.using.handle} may ask this")
        return question.using

    def _end_if_agreed(self, doubts: Doubts, asking: _Asking) -> None:
        """Raise what the refusals mean once it is known that they tell of the question."""
        if not doubts.agreed([credential.id for credential, _ in asking.refused], asking.question):
            return
        last = asking.refused[-1][1]
        if last.agreed is not None and all(error.agreed is not None for _, error in asking.refused):
            raise last.agreed
        raise QuestionFailed(f"no credential may ask this: {last}")

    async def _answered(self, source: str, credential: Credential, asking: _Asking) -> None:
        """The credential got an answer: so it is theirs that those before it were refused one, or got none."""
        doubts = self._doubts[source]
        doubts.answered(credential.id)
        try:
            for refused, refusal in asking.refused:
                await self._take_out(source, refused, refusal, REST_S)
            for unanswered, silence in asking.unanswered:  # once may be chance
                if doubts.refused(unanswered.id, asking.question):
                    await self._take_out(source, unanswered, silence, DOUBTED_S)
        except NoCredential:  # our store is away: the next question finds it out again, and this one is answered
            pass

    async def _take_out(
        self, source: str, credential: Credential, error: Transient, rest_s: float, bucket: str = ""
    ) -> None:
        """Let it, or what the verdict says of it, rest, or retire it; told once, to the log and, unless it only asked
        too much, to the board."""
        dead, reason = isinstance(error, CredentialDead), one_line(str(error))
        scope = error.scope if isinstance(error, CredentialRests) else "credential"
        with _our_store(source):
            was_in = await self._credentials.disable(
                credential, rest_s=None if dead else rest_s, reason=reason, scope=scope, bucket=bucket
            )
        if not was_in:
            return
        told = {"source": source, "credential": credential.handle, "reason": reason}
        told |= {} if scope == "credential" else {"scope": scope, "app": credential.app, "bucket": bucket}
        if _stops(error):
            log.error("source stops", rest_s=rest_s, mend="see what the platform blocked, then enable it again", **told)
            self._breakers.of(source).told(f"stopped for {rest_s / 3600:,.0f} hours: {reason}")
            return
        if isinstance(error, RateLimited):
            log.info("credential rests", rest_s=rest_s, **told)
            return
        what = "retired" if dead else "rests"
        log.warning(f"credential {what}", rest_s=None if dead else rest_s, **told)
        self._breakers.of(source).told(f"credential {credential.handle} {what}: {reason}")

    async def _answer(
        self, source: SourceApi, question: Question, credential: Credential, call: Call, visit: Visit
    ) -> Any:
        """Ask once, and tell the source's breaker whether it was there."""
        breaker, judge = self._breakers.of(source.name), question.judge or source.judge
        request = replace(question.build(credential), passage=call)
        if question.before:
            await question.before()
        self._credentials.used(credential)
        try:
            async with call:
                answer = await self._fetch(request, visit)
            async with self._precedence.step(visit.priority):
                await self._heed(source, answer, credential)
                secret = question.secret_answer and answer.status == 200
                decoded = judge(answer if secret else _without_secrets(answer, credential), self._clock.now())
        except (MaybeAway, Unsendable, LimitRefused):
            raise  # the other credentials tell; or nothing was asked
        except (CredentialRests, CredentialDead, CredentialRefused, QuestionFailed, Unserved, Refused):
            breaker.answered()
            raise
        except Transient as error:
            if isinstance(error, OddAnswer) and not self._doubts[source.name].odd(question.text):
                raise QuestionFailed(str(error)) from error
            if (verdict := breaker.failed(error)) is error:
                raise
            raise verdict from error
        breaker.answered()
        return decoded

    async def _heed(self, source: SourceApi, answer: Answer, credential: Credential) -> None:
        """Narrow our limits to what the answer tells of the other side's."""
        for reading in source.usage(answer):
            for_s = min(max(reading.for_s, FOR_S_MIN), FOR_S_MAX) if math.isfinite(reading.for_s) else FOR_S_MIN
            for rule in self._rules_of(credential.source):
                if (rule.each, rule.bucket) == (reading.scope, reading.bucket):
                    with suppress(LimitRefused):  # they are away: the next question is told
                        what = _take(rule, credential.source, 1, credential)
                        await self._limiter.narrow(what, allowed(reading.share_used), for_s, one_line(reading.why))

    async def _fetch(self, request: Request, visit: Visit) -> Answer:
        """Fetch, count and trace, whether an answer comes or not."""
        at, begun = self._clock.now(), trio.current_time()
        try:
            answer = await self._fetcher.fetch(request)
        except Transient:
            self._metrics.calls.labels(request.source, "none").inc()
            visit.traces.append(self._trace(request, None, 0, trio.current_time() - begun, at))
            raise
        self._metrics.calls.labels(request.source, str(answer.status)).inc()
        self._metrics.call_seconds.labels(request.source).observe(answer.elapsed_s)
        visit.traces.append(self._trace(request, answer.status, len(answer.body), answer.elapsed_s, at))
        return answer

    def _trace(self, request: Request, status: int | None, size: int, time_taken: float, at: dt.datetime) -> Trace:
        headers = {name: value for name, value in request.headers.items() if name.lower() in _SAFE_HEADERS}
        sent = f"{len(request.body)} bytes" if request.body else ""  # it may hold secrets
        return Trace(
            self._clock.new_id(), request.source, request.method, safe_uri(request), headers, sent, status, size,
            time_taken, at,
        )  # fmt: skip


def _stops(error: Transient) -> bool:
    """Whether nobody may ask this source any more: what asks on with another credential makes it worse."""
    return isinstance(error, CredentialRests) and error.scope == "source"


class _Full(LimitRefused):
    """A limit of the credential's own has no room: another one may have."""


def _take(rule: Rule, source: str, units: int, credential: Credential) -> Take:
    return rule.take(source, units, credential=credential.handle, app=credential.app)


def _limited(source: str, question: Question, credential: Credential) -> list[str]:
    """Whose limits a call takes of: who shares the credentials of another source shares its limits. Where a source is
    asked about another one's credential, to renew it, those of both."""
    return list(dict.fromkeys([source, credential.source] if question.using else [credential.source]))


class _StoreAway(NoCredential):
    """Nobody knows which credentials there are."""


@contextmanager
def _our_store(source: str) -> Iterator[None]:
    """A lost store of ours says nothing about the question: it leaves as a NoCredential, which costs no attempt."""
    try:
        yield
    except (NoCredential, NeedsOwner):
        raise
    except Transient as lost:
        raise _StoreAway(f"{source}: the credentials are away: {lost}", retry_after_s=STORE_AWAY_S) from lost


def _without_secrets(answer: Answer, credential: Credential) -> Answer:
    """Some APIs repeat a token: in the error text that refuses it, in the address of the next page."""
    body = answer.body
    for name, value in credential.secret.items():
        if name not in _NO_SECRETS and isinstance(value, str) and len(value) >= _SECRET_CHARS_MIN:
            for form in (value, quote(value, safe=""), value.replace("/", "\\/")):  # plain, in a URL, in JSON
                body = body.replace(form.encode(), b"***")
    return answer if body is answer.body else replace(answer, body=body)


def safe_uri(request: Request) -> str:
    """The request's URL with its parameters, the secret ones as ***, and without user and password."""
    shown = {name: "***" if name.lower() in _SECRET_PARAMS else value for name, value in request.params.items()}
    return f"{request.shown_url}?{urlencode(shown, safe='*(){},.:')}" if shown else request.shown_url


async def first_of(chain: Sequence[tuple[str, Callable[[], Awaitable[T]]]], *, patience_s: float = 0.0) -> T:
    """The result of the first source of `chain` (name, attempt) that answers, tried in order.

    A limit of ours that has room again within `patience_s` ends it at once (LimitRefused): the job comes back then, and
    does not spend the next source, which may be a worse one. RowsAway and what is not Transient (NotFound) end it, too.
    Of those that do not serve it (Unserved) nothing more is hoped: where all are such, Refused with the first one's
    code. When each of the others is closed to us for now (SourceClosed, LimitRefused, NoCredential), the refusal with
    the shortest known wait is raised. Otherwise SourcesExhausted, listing the reasons, with the wait until the first of
    them wants to be asked again.
    """
    failures: list[tuple[str, Transient]] = []
    for name, attempt in chain:
        try:
            return await attempt()
        except RowsAway:
            raise
        except LimitRefused as failure:
            if failure.retry_after_s is not None and failure.retry_after_s < patience_s:
                raise
            failures.append((name, failure))
        except Transient as failure:
            failures.append((name, failure))
    unserved = [(name, failure) for name, failure in failures if isinstance(failure, Unserved)]
    if unserved and len(unserved) == len(failures):
        raise Refused(unserved[0][1].code, "; ".join(str(failure) for _, failure in unserved))
    failures = [(name, failure) for name, failure in failures if not isinstance(failure, Unserved)]
    refusals = [failure for _, failure in failures if isinstance(failure, SourceClosed | LimitRefused | NoCredential)]
    if refusals and len(refusals) == len(failures):
        raise min(refusals, key=_wait_s)
    reasons = "; ".join(f"{name}: {type(failure).__name__}: {failure}" for name, failure in failures)
    wait_s = min(failure.retry_after_s or 0.0 for _, failure in failures)
    raise SourcesExhausted(f"no source of the chain answered ({reasons})", retry_after_s=wait_s or None)


def _wait_s(failure: Transient) -> float:
    return float("inf") if failure.retry_after_s is None else failure.retry_after_s
