"""The credentials port: which token to ask with, and what became of it.

A random ready one of the source is used. A rate limit takes it out for a while, a dead token until a new
one arrives. Secrets are handed to clients and nobody else: no repr, error or trace shows them.
"""

import random
import uuid
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from gcc.errors import Transient


class NoCredential(Transient):
    """No credential of the source may be used now; `retry_after_s` is when the first one may, None if unknown."""


@dataclass(frozen=True, slots=True)
class Credential:
    """`handle` is what people call it; `secret` ({"token": ...}) is hidden from the repr."""

    id: uuid.UUID
    source: str
    handle: str
    secret: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Lent:
    """An enabled credential and the time (of Trio's clock) when its last rest is over, None if it never rested."""

    credential: Credential
    ready_at: float | None


class Credentials(Protocol):
    async def pick(self, source: str, *, without: Collection[uuid.UUID] = ()) -> Credential:
        """A random ready one of `source`, none of `without`. Raises NoCredential, Transient when the store is lost."""

    async def disable(self, credential: Credential, *, rest_s: float | None, reason: str) -> None:
        """Take it out for so long; None: until a new token arrives. The later of two ends holds.

        The store measures it: the wall clocks of processes jump, and differ. Does nothing when its secret was
        replaced meanwhile: the verdict was on the old one.
        """

    async def put(self, source: str, handle: str, secret: Mapping[str, Any]) -> bool:
        """Store it under (source, handle). Only a new or changed secret enables it again; True if it was one."""


def choose(
    source: str, enabled: Iterable[Lent], now_s: float, rng: random.Random, without: Collection[uuid.UUID]
) -> Credential:
    """The rule of `pick`, pure: a random one that is ready at `now_s` of Trio's clock. Raises NoCredential."""
    candidates = [lent for lent in enabled if lent.credential.id not in without]
    ready = [lent.credential for lent in candidates if lent.ready_at is None or lent.ready_at <= now_s]
    if ready:
        return rng.choice(ready)
    waits_s = [lent.ready_at - now_s for lent in enabled if lent.ready_at is not None]
    retry_after_s = max(min(waits_s), 0.0) if waits_s else None
    raise NoCredential(f"{source}: no credential is ready", retry_after_s=retry_after_s)
