"""The credentials port: which token to ask with, and what became of it.

A random ready one of the source is used. A rate limit, a permission it has not and the like take it out for a while,
a dead token until a new one arrives, each with its reason. Secrets are handed to clients and nobody else: no repr,
error or trace shows them.
"""

import math
import random
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from gcc.errors import Transient

NEVER = math.inf
TOLD_MAX = 5  # so many credentials that are out are told with their reasons


class NoCredential(Transient):
    """No credential of the source may be used now; `retry_after_s` is when the first one may, None if unknown.

    The text tells why, of each that is out.
    """

    code = "NO_CREDENTIAL"


@dataclass(frozen=True, slots=True)
class Credential:
    """`handle` is what people call it; `secret` ({"token": ...}) is hidden from the repr."""

    id: uuid.UUID
    source: str
    handle: str
    secret: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Standing:
    """A credential, and why and until when it is out: `ready_at` is on Trio's clock.

    It is in the past if it may be used, and NEVER if it waits for a new token.
    """

    credential: Credential
    ready_at: float
    reason: str | None


class Credentials(Protocol):
    async def pick(self, source: str, *, without: Collection[uuid.UUID] = ()) -> Credential:
        """A random ready one of `source`, none of `without`. Raises NoCredential, Transient when the store is lost."""

    async def disable(self, credential: Credential, *, rest_s: float | None, reason: str) -> bool:
        """Take it out for so long; None: until a new token arrives. The later of two ends holds. True if it was in.

        The store measures it: the wall clocks of processes jump, and differ. Does nothing when its secret was
        replaced meanwhile: the verdict was on the old one.
        """

    async def put(self, source: str, handle: str, secret: Mapping[str, Any]) -> bool:
        """Store it under (source, handle). Only a new or changed secret enables it again; True if it was one."""

    def renewals(self, source: str) -> int:
        """How often this process was told that a credential of `source` may be used again: it grows, by any number."""


def choose(
    source: str, all_of_it: Iterable[Standing], now_s: float, rng: random.Random, without: Collection[uuid.UUID]
) -> Credential:
    """The rule of `pick`, pure: a random one that is ready at `now_s` of Trio's clock. Raises NoCredential."""
    standings = list(all_of_it)
    ready = [each.credential for each in standings if each.ready_at <= now_s and each.credential.id not in without]
    if ready:
        return rng.choice(ready)
    out = sorted((each for each in standings if each.ready_at > now_s), key=lambda each: each.ready_at)
    why = "; ".join(map(_told, out[:TOLD_MAX])) + (f"; and {len(out) - TOLD_MAX} more" if len(out) > TOLD_MAX else "")
    returns = [each.ready_at for each in out if each.ready_at < NEVER]
    raise NoCredential(
        f"{source}: no credential is ready" + (f": {why}" if why else ""),
        retry_after_s=min(returns) - now_s if returns else None,
    )


def _told(standing: Standing) -> str:
    state = "rests" if standing.ready_at < NEVER else "waits for a new token"
    return f"{standing.credential.handle} {state} ({standing.reason or 'no reason is known'})"
