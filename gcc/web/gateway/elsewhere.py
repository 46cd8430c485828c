"""Who is calling, where another host knows it (services.identity.url): tokens and partners are asked for there.

In: a token and where it came from; a partner's number. Out: a Tenant, as of our own identities (auth.py), whose memory,
bus and bounds hold here, too. What comes back is read as strictly as any foreign input. Where nothing whole comes:
Transient (503), never a guess, but for the plan of a partner of whom nothing is known: that is FREE, and the answer
says so. The host is spared while it fails (spared.py).
"""

import datetime as dt
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta

from gcc.addresses import network_of
from gcc.clock import Clock
from gcc.config import Settings
from gcc.config.services import IDENTITY
from gcc.errors import Permanent, Transient
from gcc.sources.http import Answer, Fetcher, Request
from gcc.stores.plans import contract_of
from gcc.stores.postgres_identity import Partner
from gcc.stores.tenant import Contract, Tenant, free
from gcc.web.api.errors import ApiError, Code
from gcc.web.at_once import Pause
from gcc.web.gateway.auth import CALLER_BYTES, Authenticator, digest_of
from gcc.web.gateway.spared import Spared

ASK_S = 3.0
TOKEN_CHARS_MAX = 4096
CONTRACTS_MAX = 1000
ASSUMED = "your plan could not be asked for, and is taken for FREE"

Time = Annotated[dt.datetime, Meta(tz=True)]
Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Limits = dict[str, Annotated[int, Meta(ge=0)]]
Data = TypeVar("Data")


class Whole(msgspec.Struct, Generic[Data], frozen=True):
    data: Data


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a token is of."""

    partner_id: Number
    plan: Literal["FREE", "SAAS", "PAID", "PRO"]
    role: Literal["VIEWER", "EDITOR", "OWNER", "OPERATOR"]
    account_id: UUID | None = None
    user_id: UUID | None = None
    session_id: UUID | None = None
    key_id: UUID | None = None
    expires_at: Time | None = None


class _Contract(msgspec.Struct, frozen=True):
    plan: Literal["SAAS", "PAID", "PRO"]
    starts_at: Time
    ends_at: Time
    limits: Limits = {}


class _Partner(msgspec.Struct, frozen=True):
    id: int
    contracts: Annotated[list[_Contract], Meta(max_length=CONTRACTS_MAX)]
    name: str = ""
    suspended: bool = False
    limits: Limits = {}


class _Error(msgspec.Struct, frozen=True):
    code: str


class _Refused(msgspec.Struct, frozen=True):
    error: _Error


class RemoteIdentity:
    """What the service of identities says. `url`: where its paths begin; `token`: what it knows us by."""

    def __init__(self, url: str, token: str, fetcher: Fetcher, clock: Clock) -> None:
        self._url = url.rstrip("/")
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        self._fetcher = fetcher
        self._spared = Spared(IDENTITY, clock)

    async def told(self, token: str, ip: str | None) -> Told | None:
        """Whom the token is of; None: it opens nothing there. Raises ApiError, Transient."""
        body = {"token": token} if ip is None else {"token": token, "ip": ip}
        answer = await self._ask("POST", "/auth/verify/token", msgspec.json.encode(body))
        return None if answer.status in (404, 422) else self._read(answer, Whole[Told]).data

    async def partner(self, partner_id: int) -> Partner | None:
        """None: there is no such partner. Raises Transient."""
        answer = await self._ask("GET", f"/partner/{partner_id}")
        if answer.status == 404:
            return None
        found = self._read(answer, Whole[_Partner]).data
        if found.id != partner_id:
            raise self._odd(f"it answered of partner {found.id}, not of {partner_id}")
        contracts = tuple(
            Contract(
                "PAID" if each.plan == "PRO" else each.plan,
                each.starts_at.astimezone(dt.UTC),
                each.ends_at.astimezone(dt.UTC),
                each.limits,
            )
            for each in found.contracts
        )
        return Partner(found.name, found.suspended, contracts, free(found.limits))

    async def _ask(self, method: str, path: str, body: bytes = b"") -> Answer:
        request = Request(IDENTITY, method, self._url + path, headers=self._headers, timeout_s=ASK_S, body=body)
        with self._spared.asking():
            try:
                answer = await self._fetcher.fetch(request)
            except (Transient, Permanent) as error:
                self._spared.failed(str(error))
                raise Transient("the service of identities does not answer") from error
            if answer.status == 429:
                wait = answer.headers.get("retry-after", "")
                raise Transient(
                    "the service of identities has no calls left for us",
                    retry_after_s=float(wait) if wait.isdecimal() and len(wait) < 4 else 1.0,
                )
            if answer.status == 403 and (code := _code(answer)) in (Code.PARTNER_SUSPENDED, Code.PLAN_REQUIRED):
                self._spared.succeeded()
                raise ApiError(code, "the service of identities refuses it")
            if answer.status not in (200, 404, 422):
                raise self._odd(f"it answered {answer.status}")
            return answer

    def _read(self, answer: Answer, kind: type[Any]) -> Any:
        try:
            found = msgspec.json.decode(answer.body, type=kind)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise self._odd(f"its answer is odd: {error}") from None
        self._spared.succeeded()
        return found

    def _odd(self, why: str) -> Transient:
        self._spared.failed(why)
        return Transient("the service of identities does not answer well")


def _about(told: Told) -> tuple[str, ...]:
    """What may end it."""
    ends = {"session": told.session_id, "user": told.user_id, "key": told.key_id}
    return (f"contract {told.partner_id}", *(f"{kind} {id}" for kind, id in ends.items() if id is not None))


def _code(answer: Answer) -> Code | None:
    try:
        return Code.__members__.get(msgspec.json.decode(answer.body, type=_Refused).error.code)
    except (msgspec.MsgspecError, UnicodeError):
        return None


class RemoteAuthenticator(Authenticator):
    """Ours, but for where it looks. What it is told another process may have remembered: see `Bus.settled`."""

    def __init__(self, remote: RemoteIdentity, *ours: Any) -> None:
        super().__init__(*ours)
        self._remote = remote
        self._partner_of = remote.partner

    async def _of(self, token: str, ip: str | None, pause: Pause) -> Tenant:
        told = await self._told(token, ip, pause)
        if told is None or (told.expires_at is not None and told.expires_at <= self._clock.now()):
            raise ApiError(Code.UNAUTHORIZED, "the token is not valid, or has ended; log in again")
        assumed = False
        try:
            contract = await self.contract(told.partner_id, pause)
        except Transient:
            contract, assumed = free({}), True
        return Tenant(
            told.partner_id,
            contract.plan,
            told.role,
            told.account_id,
            told.user_id,
            told.session_id,
            told.key_id,
            contract=contract,
            until=None if told.expires_at is None else told.expires_at.timestamp(),
            assumed=assumed,
        )

    async def _told(self, token: str, ip: str | None, pause: Pause) -> Told | None:
        if not (0 < len(token) <= TOKEN_CHARS_MAX and token.isascii() and token.isprintable()):
            return None
        key = "told", (digest_of(token), ip)  # keys are good from some addresses alone
        if key in self._strangers:
            return None
        return await self._remembered(
            key,
            lambda: self._asked_there(key, token, ip),
            _about,
            lambda told: CALLER_BYTES,
            self._known_s,
            pause,
        )

    async def _asked_there(self, key: tuple[str, object], token: str, ip: str | None) -> Told | None:
        """Raises ApiError, also RATE_LIMITED for an address with many unknown ones; Transient."""
        address = network_of(ip or "")
        async with self._strangers.turn(address):
            told: Told | None = self._recalled(key)  # of whoever asked with it just before
            if told is None and key not in self._strangers:
                self._strangers.admit(address)
                told = await self._remote.told(token, ip)
                if told is None:
                    self._strangers.missed(key, address)
                else:
                    self._doubt(told)
            return told

    def _doubt(self, told: Told) -> None:
        """Forget contracts that are not those of now: where the bus is not that host's, nobody else tells."""
        partner = "partner", told.partner_id
        known: Partner | None = self._recalled(partner)
        if known is not None and contract_of(known, self._clock.now()).plan != (
            "PAID" if told.plan == "PRO" else told.plan
        ):
            self._l1.pop(partner, None)

    def _holds(self, since: int, about: tuple[str, ...]) -> bool:
        return super()._holds(since, about) and self._bus.settled(about)


def remote_identity(settings: Settings, fetcher: Fetcher, clock: Clock) -> RemoteIdentity | None:
    """None: identities are ours."""
    service = settings.services.get(IDENTITY)
    return RemoteIdentity(service.url, service.password, fetcher, clock) if service and service.url else None
