"""The credentials port: which token to ask with, and what became of it.

A random ready one of the source is used: of the account itself where a question needs its owner's, of those that may
ask of anybody otherwise. A rate limit, a permission it has not and the like take it out for a while, a dead token until
a new one arrives, each with its reason. A rest has a scope: this credential, this credential for one bucket of
questions, all of its app, all of the source. Secrets are handed to clients and nobody else: no repr, error or trace
shows them.
"""

import datetime as dt
import math
import random
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from gcc.errors import Transient
from gcc.sources.verdicts import NeedsOwner, RestScope

NEVER = math.inf
BY_HAND = "by hand: "
"""How the reason begins for which a person took one out."""
GIVEN_MAX = 20
TOLD_MAX = 5  # so many credentials that are out are told with their reasons


class NoCredential(Transient):
    """No credential of the source may be used now; `retry_after_s` is when the first one may, None if unknown.

    The text tells why, of each that is out.
    """

    code = "NO_CREDENTIAL"


@dataclass(frozen=True, slots=True)
class Kind:
    """`asks_anything`: not only its own account's data. `mend`: what to do when one of them is dead or ends.

    `of`: the sources that take one; empty: any.
    """

    asks_anything: bool
    mend: str
    of: Sequence[str] = ()


KINDS: Mapping[str, Kind] = {
    "token": Kind(True, "put a new token in its place"),
    "key": Kind(True, "put a new key in its place"),
    "facebook": Kind(True, "its owner logs in and consents again: no call renews a Facebook token", ["graphapi"]),
    "instagram": Kind(False, "its owner logs in again", ["graphapi"]),
    "google": Kind(False, "its owner consents again", ["ytanalytics"]),
    "shopify": Kind(False, "its shop installs the app again", ["shopify"]),
    "shopify_app": Kind(False, "see to the custom app's client id and secret in the shop's admin", ["shopify"]),
}
"""What a credential may be. How each is renewed is in gcc/sources/renewal.py."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of a credential beside its secret.

    `app` is whom it was given to ('': the one app of its source), `account` whose own it is (an Instagram user id, a
    channel id, a shop). `expires_at` is the secret's end, `data_access_expires_at` that of its owner's consent.
    """

    kind: str = "token"
    app: str = ""
    account: str | None = None
    scopes: tuple[str, ...] = ()
    expires_at: dt.datetime | None = None
    data_access_expires_at: dt.datetime | None = None


UNKNOWN = Facts()


@dataclass(frozen=True, slots=True)
class Credential(Facts):
    """`handle` is what people call it; `secret` ({"token": ...}) is hidden from the repr; `version` counts secrets."""

    id: uuid.UUID
    source: str
    handle: str
    secret: Mapping[str, Any] = field(repr=False)
    version: int = 1


@dataclass(frozen=True, slots=True)
class Standing:
    """A credential, and why and until when it is out: `ready_at` is on Trio's clock.

    It is in the past if it may be used, and NEVER if it waits for a new token.
    """

    credential: Credential
    ready_at: float
    reason: str | None


RestKey = tuple[RestScope, str, str]
"""Whom a rest is for: its scope, the credential's id or the app, the bucket."""


@dataclass(frozen=True, slots=True)
class Rest:
    """One that is not of a credential alone; `until` is on Trio's clock."""

    until: float
    reason: str


class Credentials(Protocol):
    async def pick(
        self, source: str, *, bucket: str = "", owner: str | None = None, without: Collection[uuid.UUID] = ()
    ) -> Credential:
        """A random one of `source` that is ready for `bucket`, none of `without`; of `owner`'s own where one is named.

        Raises NoCredential, NeedsOwner (there is none of the owner's), Transient when the store is lost.
        """

    def used(self, credential: Credential) -> None:
        """Count a question that is asked with it: about so many are told to people, the last few not at once."""

    async def disable(
        self,
        credential: Credential,
        *,
        rest_s: float | None,
        reason: str,
        scope: RestScope = "credential",
        bucket: str = "",
    ) -> bool:
        """Take out, for so long, what `scope` says of it; the later of two ends holds. True if that was in.

        None: this credential until a new token arrives. The store measures the time: the wall clocks of processes
        jump, and differ. Does nothing to a credential whose secret was replaced meanwhile: the verdict was on the old
        one.
        """

    async def put(
        self,
        source: str,
        handle: str,
        secret: Mapping[str, Any],
        facts: Facts | None = None,
        *,
        once: bool = False,
        issued_at: dt.datetime | None = None,
    ) -> bool:
        """Store it under (source, handle). Only a new or changed secret enables it again; True if it was one.

        Without `facts` its kind, app, account and scopes stay as they were; the ends of another secret do not.
        `once`: whoever gives it may do so again (at each start, by a message that comes twice), and knows nothing of
        what followed. If it was one of the last GIVEN_MAX that were given, nothing changes. `issued_at`: when it was
        made, now unless it is told; if what is held is newer, nothing changes.
        """

    async def held(self, source: str, handle: str) -> Credential | None:
        """One by its name, whether it is out or not. None: there is none. Transient: its key is not here."""

    async def revive(self, credential: Credential) -> bool:
        """It was answered: what it was retired for, or rested for, is over, unless a person took it out. True if it
        was out."""

    async def renewing(self, credential: Credential, *, alone_s: float) -> float | None:
        """Note that a new secret is asked for. Answers how many seconds ago one was asked for before whose answer never
        came here; None: none was. Within `alone_s` of that nothing is noted: whoever asked may still wait."""

    async def renewed(self, credential: Credential, secret: Mapping[str, Any], facts: Facts) -> bool:
        """Store the secret that follows this one, which is dropped with that. False: another one is there already.

        A dead one lives again. Its rests go on, and what a person took out stays out.
        """

    def renewals(self, source: str) -> int:
        """How often this process was told that a credential of `source` may be used again: it grows, by any number."""


def rest_key(credential: Credential, scope: RestScope, bucket: str) -> RestKey:
    """Whom a verdict of this scope on this credential lets rest."""
    match scope:
        case "app":
            return scope, credential.app, ""
        case "source":
            return scope, "", ""
    return scope, str(credential.id), bucket


def standing(own: Standing, rests: Mapping[RestKey, Rest], bucket: str) -> Standing:
    """How a credential stands for `bucket`: its own standing, or a rest of something that it is a part of."""
    latest = own
    for key in _parts_of(own.credential, bucket):
        if (rest := rests.get(key)) and rest.until > latest.ready_at:
            latest = Standing(own.credential, rest.until, f"{_named(key)}: {rest.reason}")
    return latest


def _parts_of(credential: Credential, bucket: str) -> Iterator[RestKey]:
    for scope in ("bucket", "app", "source"):
        yield rest_key(credential, scope, bucket)


def _named(key: RestKey) -> str:
    match key:
        case "bucket", _, bucket:
            return f"its calls of {bucket}" if bucket else "its calls of no bucket"
        case "app", app, _:
            return f"all of app {app}" if app else "all of its app"
    return "all of the source"


def choose(
    source: str,
    all_of_it: Iterable[Standing],
    now_s: float,
    rng: random.Random,
    *,
    owner: str | None = None,
    without: Collection[uuid.UUID] = (),
) -> Credential:
    """The rule of `pick`, pure: a random one that is ready at `now_s` of Trio's clock. Raises as that does."""
    standings = [each for each in all_of_it if _may_ask(each.credential, owner)]
    if owner is not None and not standings:
        raise NeedsOwner(f"{source}: its owner's credential is needed: credentials add {source} NAME --account {owner}")
    ready = [each.credential for each in standings if each.ready_at <= now_s and each.credential.id not in without]
    if ready:
        return rng.choice(ready)
    out = sorted((each for each in standings if each.ready_at > now_s), key=lambda each: each.ready_at)
    why = _told(out)
    returns = [each.ready_at for each in out if each.ready_at < NEVER]
    raise NoCredential(
        f"{source}: no credential is ready" + (f": {why}" if why else ""),
        retry_after_s=min(returns) - now_s if returns else None,
    )


def _may_ask(credential: Credential, owner: str | None) -> bool:
    """A kind that nobody knows here is its owner's: it asks nothing that it was not given for."""
    if owner is not None:
        return credential.account == owner
    return credential.kind in KINDS and KINDS[credential.kind].asks_anything


def _told(out: Sequence[Standing]) -> str:
    """Those that are out with their reasons, of which several may have the same."""
    handles: dict[tuple[bool, str], list[str]] = {}
    for each in out[:TOLD_MAX]:
        handles.setdefault((each.ready_at < NEVER, each.reason or "no reason is known"), []).append(
            each.credential.handle
        )
    told = []
    for (rests, reason), alike in handles.items():
        state = (
            ("rests" if rests else "waits for a new token")
            if len(alike) == 1
            else ("rest" if rests else "wait for new tokens")
        )
        told.append(f"{', '.join(alike)} {state} ({reason})")
    return "; ".join(told + ([f"and {len(out) - TOLD_MAX} more"] if len(out) > TOLD_MAX else []))
