"""Who is calling: `Authorization: Bearer TOKEN` into a Tenant.

In: the header, and where it came from. Out: a Tenant, or ApiError UNAUTHORIZED; never a guess: where neither memory nor
database answers, Transient leaves (503). A token is one of four: signed for a session (gcc/web/identity/tokens.py),
an API key, a service's of the settings, or the development token of the embedded config (gcc/config/sections.py refuses
it beyond loopback).

L1, in this process, keeps what tokens say until they end, and who asks for half a minute, as long as the bus
(gcc/web/identity/bus.py) is heard; strangers.py keeps what opens nothing. Role and plan are of now: the role is the
user's, the plan is computed from the contracts at each request.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, TypeVar
from uuid import UUID

import trio
from cachetools import TLRUCache

from gcc.addresses import network_of
from gcc.clock import Clock
from gcc.config.sections import Auth, Service
from gcc.errors import Transient
from gcc.stores.plans import contract_of
from gcc.stores.postgres_identity import Caller, Partner, PostgresIdentity
from gcc.stores.postgres_identity_keys import KeyCaller, NewKey, PostgresKeys
from gcc.stores.tenant import Contract, Tenant
from gcc.web.api.errors import ApiError, Code
from gcc.web.at_once import OVER, Pause
from gcc.web.gateway.strangers import Strangers
from gcc.web.identity import keys
from gcc.web.identity.bus import Bus
from gcc.web.identity.tokens import SKEW_S, AccessTokens, Claims, Ended, Untrue, is_now

CHALLENGE = 'Bearer realm="gcc"'
FOREIGN = "the token is not valid; send it as a login, a refresh or a new key told it, without quotes"
DEVELOPMENT = Tenant(partner_id=1, plan="PAID")
NOBODYS = 0
"""The partner of staff and services, which has no data."""
CONTRACTS_S = 12 * 3600.0
SEEN_S, PRUNE_MINUTES = 60.0, 60
CLAIMS_BYTES, CALLER_BYTES, NETWORK_BYTES, PARTNER_BYTES, CONTRACT_BYTES = 900, 1200, 300, 1000, 1000
"""Upper bounds of what each takes in L1; a session with its token was measured at 1,850."""

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Known:
    """In L1: read when the bus had counted `since`; what it is `about` may change, `until` (trio's time) it is kept."""

    value: Any
    bytes: int
    until: float
    since: int = 0
    about: tuple[str, ...] = ()


class Authenticator:
    def __init__(
        self,
        identity: PostgresIdentity,
        api_keys: PostgresKeys,
        tokens: AccessTokens,
        bus: Bus,
        clock: Clock,
        auth: Auth,
        dev_token: str,
        services: Mapping[str, Service],
        strangers: Strangers,
    ) -> None:
        """An empty `dev_token` opens nothing, nor does a service's."""
        self._strangers = strangers
        self._identity = identity
        self._partner_of: Callable[[int], Awaitable[Partner | None]] = identity.partner
        self._api_keys = api_keys
        self._tokens = tokens
        self._bus = bus
        self._clock = clock
        self._known_s = auth.known_s
        self._dev_token = dev_token.encode()
        self._services = [
            (digest_of(service.token), Tenant(NOBODYS, "PAID", "SERVICE", service=name))
            for name, service in services.items()
            if service.token
        ]
        # Each counts as its share at least, so that the bound of bytes bounds the entries, too.
        share = auth.known_bytes / auth.known
        self._l1: TLRUCache[object, Known] = TLRUCache(
            auth.known_bytes,
            ttu=lambda key, known, now: known.until,
            timer=trio.current_time,
            getsizeof=lambda known: max(share, known.bytes),
        )
        self._seen: set[UUID] = set()  # sessions that asked, and keys, since it was written down
        self._keys_used: set[UUID] = set()

    async def tenant(self, authorizations: Sequence[str], ip: str | None, pause: Pause = OVER) -> Tenant:
        """Who sends these Authorization headers from there; from memory without a wait.

        Raises ApiError UNAUTHORIZED, PARTNER_SUSPENDED, RATE_LIMITED; Transient.
        """
        scheme, _, token = authorizations[0].partition(" ") if len(authorizations) == 1 else ("", "", "")
        if scheme.lower() != "bearer":
            raise ApiError(Code.UNAUTHORIZED, "send one header Authorization: Bearer TOKEN")
        token = token.strip()
        # In constant time: how long the comparison takes tells nothing about the token.
        if self._dev_token and hmac.compare_digest(token.encode(), self._dev_token):
            return DEVELOPMENT
        if (service := self._service(token)) is not None:
            return service
        return await self._of(token, ip, pause)

    async def _of(self, token: str, ip: str | None, pause: Pause) -> Tenant:
        """Whom the token of a session, or a key, is of."""
        if token.startswith(keys.PREFIX):
            key = await self._key(token, ip, pause)
            contract = await self.contract(key.partner_id, pause)
            if contract.plan == "FREE":
                raise ApiError(Code.PLAN_REQUIRED, "your plan is FREE; API keys need SAAS")
            until = None if key.expires_at is None else key.expires_at.timestamp()
            return Tenant(key.partner_id, contract.plan, key.role, key_id=key.id, contract=contract, until=until)
        caller, until = await self._caller(token, pause)
        contract = await self.contract(caller.partner_id, pause)
        return Tenant(
            caller.partner_id,
            contract.plan,
            caller.role,
            caller.account_id,
            caller.user_id,
            caller.id,
            contract=contract,
            until=until,
        )

    async def run(self) -> None:
        """Write down each minute who asked: for each request it would cost more than the request. Each hour, drop what
        nobody needs any more. Until cancelled; while the database is away nothing is written."""
        minutes = 0
        while True:
            await trio.sleep(SEEN_S)
            with suppress(Transient):
                await self.note_seen()
                if minutes % PRUNE_MINUTES == 0:
                    await self._identity.prune()
            minutes += 1

    async def note_seen(self) -> None:
        """Raises Transient; then the next time tells of these, too."""
        sessions, used = frozenset(self._seen), frozenset(self._keys_used)
        if sessions:
            await self._identity.seen(sessions)
            self._seen -= sessions
        if used:
            await self._api_keys.used(used)
            self._keys_used -= used

    async def contract(self, partner_id: int, pause: Pause = OVER) -> Contract:
        """The best that holds now. Raises ApiError PARTNER_SUSPENDED."""
        partner = await self.partner(partner_id, pause)
        if partner is None or partner.suspended:
            raise ApiError(Code.PARTNER_SUSPENDED, "the partner is suspended; ask those who run the platform")
        return contract_of(partner, self._clock.now())

    async def partner(self, partner_id: int, pause: Pause = OVER) -> Partner | None:
        return await self._remembered(
            ("partner", partner_id),
            lambda: self._partner_of(partner_id),
            lambda partner: (f"contract {partner_id}",),
            lambda partner: PARTNER_BYTES + CONTRACT_BYTES * len(partner.contracts),
            CONTRACTS_S,
            pause,
        )

    async def _caller(self, token: str, pause: Pause) -> tuple[Caller, float]:
        """And until when the token is good, in Unix time."""
        try:
            claims = self._claims(token)
        except Ended:
            raise ApiError(
                Code.UNAUTHORIZED, "the token has ended; refresh it (POST /auth/refresh), or log in"
            ) from None
        except Untrue:
            raise ApiError(Code.UNAUTHORIZED, FOREIGN) from None
        if claims.sid in self._strangers:
            raise ApiError(Code.UNAUTHORIZED, "the session has ended; log in again")
        caller = await self._remembered(
            ("session", claims.sid.int),  # a UUID hashes itself anew each time
            lambda: self._session(claims),
            lambda caller: (f"session {caller.id}", f"user {caller.user_id}"),
            lambda caller: CALLER_BYTES,
            self._known_s,
            pause,
        )
        if caller is None or caller.expires_at <= self._clock.now():
            raise ApiError(Code.UNAUTHORIZED, "the session has ended; log in again")
        if (caller.user_id, caller.partner_id) != (claims.sub, claims.pid):
            raise ApiError(Code.UNAUTHORIZED, FOREIGN)
        return caller, claims.exp

    async def _key(self, token: str, ip: str | None, pause: Pause) -> KeyCaller:
        caller = None
        known = keys.known(token) if keys.is_whole(token) else None
        if known is not None and known.digest not in self._strangers:
            caller = await self._remembered(
                ("key", known.digest),
                lambda: self._asked(known, ip),
                lambda caller: (f"key {caller.id}",),
                lambda caller: CALLER_BYTES + NETWORK_BYTES * len(caller.cidrs),
                self._known_s,
                pause,
            )
        if caller is None or (caller.expires_at is not None and caller.expires_at <= self._clock.now()):
            raise ApiError(Code.UNAUTHORIZED, "the key is unknown, was revoked or has ended; an owner makes another")
        if caller.cidrs and not within(ip, caller.cidrs):
            raise ApiError(
                Code.UNAUTHORIZED, f"the key may not be used from {ip or 'there'}; its owner named other networks"
            )
        return caller

    def _service(self, token: str) -> Tenant | None:
        """All are compared, and digests of one length, for the same reason."""
        asked, found = digest_of(token) if self._services else b"", None
        for digest, tenant in self._services:
            if hmac.compare_digest(asked, digest):
                found = tenant
        return found

    async def _asked(self, key: NewKey, ip: str | None) -> KeyCaller | None:
        """Whose it is, of the database. Raises ApiError RATE_LIMITED; not where a service asks without an address."""
        if ip is None:
            return await self._used(key)
        address = network_of(ip)
        async with self._strangers.turn(address):
            caller: KeyCaller | None = self._recalled(("key", key.digest))  # of whoever asked with it just before
            if caller is None and key.digest not in self._strangers:
                self._strangers.admit(address)
                caller = await self._used(key, address)
            return caller

    async def _used(self, key: NewKey, address: str = "") -> KeyCaller | None:
        caller = await self._api_keys.caller(key)
        if caller is None:
            self._strangers.missed(key.digest, address)
        else:
            self._keys_used.add(caller.id)
        return caller

    async def _session(self, claims: Claims) -> Caller | None:
        caller = await self._identity.session(claims.pid, claims.sid)
        if caller is None:
            self._strangers.missed(claims.sid)
        else:
            self._seen.add(claims.sid)
        return caller

    def _claims(self, token: str) -> Claims:
        """What it says. Raises Untrue. Verified once: while they are kept, a digest stands for the signature."""
        now = self._clock.now().timestamp()
        digest = digest_of(token)
        if (known := self._kept(digest)) is not None:
            claims: Claims = known.value
            if not is_now(claims, now):
                raise Ended("its time is over")
            return claims
        claims = self._tokens.verified(token, now)
        self._keep(digest, Known(claims, CLAIMS_BYTES, trio.current_time() + claims.exp + SKEW_S - now))
        return claims

    async def _remembered(
        self,
        key: tuple[str, object],
        read: Callable[[], Awaitable[Value | None]],
        about: Callable[[Value], tuple[str, ...]],
        size: Callable[[Value], int],
        life_s: float,
        pause: Pause,
    ) -> Value | None:
        """From L1, or from the database into it, unless it changed while it was read."""
        known: Value | None = self._recalled(key)
        if known is not None:
            return known
        await pause
        since = self._bus.count
        found = await read()
        if found is not None and self._holds(since, about(found)):
            self._keep(key, Known(found, size(found), trio.current_time() + life_s, since, about(found)))
        return found

    def _holds(self, since: int, about: tuple[str, ...]) -> bool:
        """Whether what was read since then may be kept."""
        return self._bus.trusted() and self._bus.stands(since, about)

    def _recalled(self, key: object) -> Any:
        """What L1 has of it, if that may be believed."""
        known = self._kept(key) if self._bus.trusted() else None
        return known.value if known is not None and self._bus.stands(known.since, known.about) else None

    def _kept(self, key: object) -> Known | None:
        """Not by `get`, which looks twice: half of what a known session costs."""
        try:
            return self._l1[key]
        except KeyError:
            return None

    def _keep(self, key: object, known: Known) -> None:
        if known.bytes <= self._l1.maxsize:
            self._l1[key] = known


def digest_of(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def within(ip: str | None, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Whether the address is in one of them; what is none is in none. IPv4 within IPv6 is IPv4."""
    try:
        address = ip_address(ip or "")
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return any((mapped or address) in network for network in networks)
