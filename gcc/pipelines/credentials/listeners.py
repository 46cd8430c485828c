"""What the messages of credentials do. In: lines of JSON, of any shape. Out: what they ask for; refused ones as dead
letters, with their secrets masked: no replay brings those back, their sender has to send them again.
"""

import datetime as dt
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec
import structlog

from gcc.channels.deadletters import Burial, DeadLetters
from gcc.channels.jobs import Jobs
from gcc.channels.message import Delivery, Frame
from gcc.clock import Clock
from gcc.errors import Permanent
from gcc.masking import MASK, masked_text, masked_value
from gcc.pipelines.events.reading import lines
from gcc.pipelines.scraping.upkeep import PROBED, probe_of
from gcc.pipelines.webhooks.events import connection_expired
from gcc.sources.credentials import KINDS, Credentials, Facts
from gcc.sources.fields import Fields
from gcc.sources.source import Source
from gcc.sources.verdicts import OddAnswer
from gcc.stores.connections import Given

NAME_CHARS_MAX, PART_CHARS_MAX = 300, 5000
OF_PLATFORM = {
    "INSTAGRAM": ("graphapi", "facebook"),
    "YOUTUBE": ("ytanalytics", "google"),
    "SHOPIFY": ("shopify", "shopify"),
}
"""The source and the kind of a platform's token, where the message names none."""
ACCOUNTS = ("account", "account_id", "ig_user_id", "channel_id", "shop", "profile_id")
PARTS = ("refresh_token", "client_id", "client_secret", "ig_user_id")
"""What a secret holds beside its token, by the names that a message has for it."""
SHOWN = frozenset((
    "event_id", "event_timestamp", "issued_at", "platform", "source", "kind", "handle", "app", "app_id", "scopes",
    "expires_at", "expires_in", "data_access_expires_at", "data_access_expires_in", *ACCOUNTS,
))  # fmt: skip
"""The names of a message under which no secret stands."""

log = structlog.get_logger()

Do = Callable[[Fields], Awaitable[None]]


class Grants(Protocol):
    """See `gcc.stores.connections.PostgresGrants`."""

    async def given(self, grant_id: uuid.UUID) -> Given | None: ...

    async def taken(self, grant_id: uuid.UUID, given: Given) -> None: ...


class Expiring(Protocol):
    """See `gcc.stores.connections.PostgresGrants`."""

    async def expire(self, ids: Sequence[uuid.UUID], told: Callable[[uuid.UUID, int, str], Frame]) -> int: ...


class Refused(Permanent):
    """This message cannot be followed."""


async def each(batch: Sequence[Delivery], dead_letters: DeadLetters, do: Do) -> int:
    """Do what each line says; how many were. Those that cannot be followed are buried, masked. Raises Transient."""
    done, burials = 0, []
    for delivery in batch:
        for _, line in lines(delivery.frame.body):
            try:
                await do(Fields(msgspec.json.decode(line), "message"))
            except (Permanent, OddAnswer, msgspec.DecodeError, RecursionError) as error:
                burials.append(Burial(delivery.queue, delivery.frame, _masked(line), 1, masked_text(str(error))))
            else:
                done += 1
    await dead_letters.bury(burials)
    return done


def _masked(line: bytes) -> bytes:
    """Of an object what stands under the names that are no secrets; anything else may be one, whatever it is called."""
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return msgspec.json.encode(MASK)
    return msgspec.json.encode({name: masked_value(found[name]) if name in SHOWN else MASK for name in found})


class NewTokens:
    """identity.dx/new_access_token_rk: stores a token, or puts a new one in the place of an old one.

    The same message again changes nothing, also where its token was renewed or replaced since, nor does one that tells
    of an earlier time (issued_at, else event_timestamp) than the token has that is held.
    """

    def __init__(
        self,
        credentials: Credentials,
        dead_letters: DeadLetters,
        clock: Clock,
        sources: Mapping[str, Source],
        grants: Grants | None = None,
    ) -> None:
        """`grants`: where tokens lie of which a message tells only a reference."""
        self._credentials = credentials
        self._dead_letters = dead_letters
        self._clock = clock
        self._sources = sources
        self._grants = grants

    async def handle(self, batch: Sequence[Delivery]) -> int:
        return await each(batch, self._dead_letters, self._store)

    async def _store(self, told: Fields) -> None:
        source, kind = OF_PLATFORM.get((told.text("platform") or "").upper(), ("", "token"))
        source, kind = told.text("source") or source, told.text("kind") or kind
        if source not in self._sources or not self._sources[source].has_credentials:
            raise Refused(f"there is no source {source[:NAME_CHARS_MAX]!r} that has credentials")
        if kind not in KINDS:
            raise Refused(f"there is no kind {kind[:NAME_CHARS_MAX]!r} of credentials")
        if "token_ref" in told:
            await self._take(told, source, kind)
            return
        token = told.text("access_token") or told.text("token")
        if not token:
            raise Refused("it holds no access_token")
        account = next(filter(None, (told.number_or_text(name) for name in ACCOUNTS)), None)
        handle = told.text("handle", chars_max=NAME_CHARS_MAX) or account
        if not handle:
            raise Refused(f"it names neither a handle nor an account ({', '.join(ACCOUNTS)})")
        secret = {"token": token} | {
            name: part for name in PARTS if (part := told.number_or_text(name, chars_max=PART_CHARS_MAX))
        }
        if source == "graphapi" and account:
            secret.setdefault("ig_user_id", account)
        await self._put(told, source, handle, secret, kind, account)

    async def _take(self, told: Fields, source: str, kind: str) -> None:
        """The secret of a connection, whose id names the credential. It was taken before: nothing, or its end, is left
        to do."""
        ref = _uuid(told.text("token_ref") or "")
        given = None if self._grants is None or ref is None else await self._grants.given(ref)
        account = next(filter(None, (told.number_or_text(name) for name in ACCOUNTS)), None)
        if given is None or ref is None or self._grants is None or account is None:
            raise Refused("its token_ref is of a table that is not here, or it names no account")
        if given.secret is not None:
            await self._put(told, source, str(given.connection_id), given.secret, kind, account)
        await self._grants.taken(ref, given)

    async def _put(
        self, told: Fields, source: str, handle: str, secret: Mapping[str, Any], kind: str, account: str | None
    ) -> None:
        issued_at = told.epoch("issued_at") or told.epoch("event_timestamp")
        since = min(issued_at or self._clock.now(), self._clock.now())
        facts = Facts(
            kind=kind,
            app=told.number_or_text("app") or told.number_or_text("app_id") or "",
            account=account,
            scopes=tuple(told.texts("scopes")),
            expires_at=_end(told, "expires_at", "expires_in", since),
            data_access_expires_at=_end(told, "data_access_expires_at", "data_access_expires_in", since),
        )
        if await self._credentials.put(source, handle, secret, facts, once=True, issued_at=issued_at):
            log.info("credential stored", source=source, credential=handle, kind=kind)


def _end(told: Fields, at: str, in_s: str, since: dt.datetime) -> dt.datetime | None:
    """A moment, or so many seconds `since` then; 0 is Facebook's word for never."""
    if moment := told.time(at):
        return moment
    seconds = told.count(in_s)
    return since + dt.timedelta(seconds=min(seconds, 10**9)) if seconds else None


class Expired:
    """identity.dx/access_token_expired_rk: a connection whose token has died, and the word to its partner.

    Other credentials are no partner's.
    """

    def __init__(self, connections: Expiring | None, dead_letters: DeadLetters, clock: Clock) -> None:
        """`connections`: None where there are none."""
        self._connections = connections
        self._dead_letters = dead_letters
        self._clock = clock

    async def handle(self, batch: Sequence[Delivery]) -> int:
        return await each(batch, self._dead_letters, self._expire)

    async def _expire(self, told: Fields) -> None:
        connection_id = _uuid(told.text("handle") or "")
        if connection_id is not None and self._connections is not None:
            await self._connections.expire([connection_id], partial(connection_expired, self._clock))


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


class Probes:
    """beat.dx/credentials_validate_rk: a job that probes the credential, which retires and tells of a dead one."""

    def __init__(self, jobs: Jobs, dead_letters: DeadLetters, sources: Mapping[str, Source]) -> None:
        self._jobs = jobs
        self._dead_letters = dead_letters
        self._sources = sources

    async def handle(self, batch: Sequence[Delivery]) -> int:
        return await each(batch, self._dead_letters, self._probe)

    async def _probe(self, told: Fields) -> None:
        source = told.text("source") or OF_PLATFORM.get((told.text("platform") or "").upper(), ("", ""))[0]
        handle = told.text("handle", chars_max=NAME_CHARS_MAX) or told.number_or_text("account")
        if source not in PROBED:
            raise Refused(
                f"credentials of {source[:NAME_CHARS_MAX]!r} are not probed; those of {', '.join(PROBED)} are"
            )
        if not handle:
            raise Refused("it names no handle of a credential")
        await self._jobs.enqueue([probe_of(source, handle)])
