"""The credentials port: which token to ask with, and what became of it.

A random ready one of the source is used. A rate limit takes it out for a while, a dead token until a new
one arrives. Secrets are handed to clients and nobody else: no repr, error or trace shows them.
"""

import datetime as dt
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
    """An enabled credential and the time (UTC) until which a rate limit keeps it out, None for none."""

    credential: Credential
    disabled_till: dt.datetime | None


class Credentials(Protocol):
    async def pick(self, source: str, *, without: Collection[uuid.UUID] = ()) -> Credential:
        """A random ready one of `source`, none of `without`. Raises NoCredential, Transient when the store is lost."""

    async def disable(self, credential: Credential, *, until: dt.datetime | None, reason: str) -> None:
        """Take it out until then; None: until a new token arrives. The later of two times holds.

        Does nothing when its secret was replaced meanwhile: the verdict was on the old one.
        """

    async def put(self, source: str, handle: str, secret: Mapping[str, Any]) -> bool:
        """Store it under (source, handle). Only a new or changed secret enables it again; True if it was one."""


def choose(
    source: str, enabled: Iterable[Lent], now: dt.datetime, rng: random.Random, without: Collection[uuid.UUID]
) -> Credential:
    """The rule of `pick`, pure: a random one that is ready at `now`. Raises NoCredential."""
    candidates = [lent for lent in enabled if lent.credential.id not in without]
    ready = [lent.credential for lent in candidates if lent.disabled_till is None or lent.disabled_till <= now]
    if ready:
        return rng.choice(ready)
    waits_s = [(till - now).total_seconds() for lent in enabled if (till := lent.disabled_till) is not None]
    retry_after_s = max(min(waits_s), 0.0) if waits_s else None
    raise NoCredential(f"{source}: no credential is ready", retry_after_s=retry_after_s)
