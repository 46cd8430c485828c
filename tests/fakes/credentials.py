"""The credentials port in memory. Passes tests/contract/test_credentials.py."""

import base64
import datetime as dt
import uuid
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import trio

from gcc.clock import Clock
from gcc.sources.credentials import (
    BY_HAND,
    GIVEN_MAX,
    NEVER,
    UNKNOWN,
    Credential,
    Facts,
    Rest,
    RestKey,
    Standing,
    choose,
    rest_key,
    standing,
)
from gcc.sources.verdicts import RestScope
from gcc.stores.sealing import Keys

KEY = base64.b64encode(bytes(32)).decode()
KEYS = Keys([KEY], Path("none"))
"""For stores of tests that seal."""


@dataclass(slots=True)
class _Row:
    credential: Credential
    ready_at: float = 0.0  # of Trio's clock; NEVER: retired
    reason: str | None = None
    issued_at: dt.datetime | None = None
    given: list[Mapping[str, Any]] = field(default_factory=list)  # the last ones


class FakeCredentials:
    def __init__(self, clock: Clock, shares: Mapping[str, str] | None = None) -> None:
        self._clock = clock
        self._shares = shares or {}
        self._rows: dict[tuple[str, str], _Row] = {}
        self._rests: dict[tuple[str, RestKey], Rest] = {}  # by source
        self._renewals: Counter[str] = Counter()
        self.uses: Counter[str] = Counter()  # by handle
        self._renewing: dict[uuid.UUID, float] = {}  # since when

    async def pick(
        self, source: str, *, bucket: str = "", owner: str | None = None, without: Collection[uuid.UUID] = ()
    ) -> Credential:
        await trio.lowlevel.checkpoint()
        lender = self._shares.get(source, source)
        rests = {key: rest for (of, key), rest in self._rests.items() if of == lender}
        rows = [row for row in self._rows.values() if row.credential.source == lender]
        standings = [standing(self._standing(row), rests, bucket) for row in rows]
        return choose(source, standings, trio.current_time(), self._clock.rng, owner=owner, without=without)

    def used(self, credential: Credential) -> None:
        self.uses[credential.handle] += 1

    def _standing(self, row: _Row) -> Standing:
        ends = {
            "its token has expired": row.credential.expires_at,
            "its owner's consent to data access has expired": row.credential.data_access_expires_at,
        }
        over = [why for why, end in ends.items() if end is not None and end <= self._clock.now()]
        if over and row.ready_at != NEVER:
            return Standing(row.credential, NEVER, over[0])
        return Standing(row.credential, row.ready_at, row.reason)

    async def disable(
        self,
        credential: Credential,
        *,
        rest_s: float | None,
        reason: str,
        scope: RestScope = "credential",
        bucket: str = "",
    ) -> bool:
        await trio.lowlevel.checkpoint()
        row, now_s = self._rows.get((credential.source, credential.handle)), trio.current_time()
        is_old = row is None or row.credential.version != credential.version
        if scope != "credential" and rest_s is not None:
            if scope == "bucket" and is_old:
                return False
            place = (credential.source, rest_key(credential, scope, bucket))
            before = self._rests.get(place, Rest(0.0, ""))
            self._rests[place] = Rest(max(before.until, now_s + rest_s), reason)
            return before.until <= now_s
        if row is None or is_old or row.ready_at == NEVER:
            return False
        was_in = row.ready_at <= now_s
        row.ready_at = NEVER if rest_s is None else max(row.ready_at, now_s + rest_s)
        row.reason = reason
        return was_in

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
        await trio.lowlevel.checkpoint()
        row = self._rows.get((source, handle))
        if row and (
            (once and dict(secret) in row.given) or (issued_at and row.issued_at and issued_at < row.issued_at)
        ):
            return False
        given = [*([each for each in row.given if each != secret] if row else []), dict(secret)][-GIVEN_MAX:]
        is_same = row is not None and row.credential.secret == dict(secret)
        is_new = self._replace(row, source, handle, secret, None if once and is_same else facts)
        self._rows[source, handle].given = given
        if is_new:
            self._rows[source, handle].issued_at = min(issued_at or self._clock.now(), self._clock.now())
        return is_new

    def _replace(
        self, row: _Row | None, source: str, handle: str, secret: Mapping[str, Any], facts: Facts | None
    ) -> bool:
        known = asdict(facts or UNKNOWN)
        if row is None:
            new = Credential(self._clock.new_id(), source, handle, dict(secret), **known)
        elif row.credential.secret == dict(secret):
            row.credential = replace(row.credential, **known) if facts else row.credential
            return False
        else:
            changes = known if facts else {"expires_at": None, "data_access_expires_at": None}
            new = replace(row.credential, secret=dict(secret), version=row.credential.version + 1, **changes)
        self._rows[source, handle] = _Row(new)
        self._renewals[source] += 1
        return True

    async def held(self, source: str, handle: str) -> Credential | None:
        await trio.lowlevel.checkpoint()
        row = self._rows.get((self._shares.get(source, source), handle))
        if row and row.ready_at == NEVER and row.credential.expires_at:
            return replace(row.credential, expires_at=min(row.credential.expires_at, self._clock.now()))
        return row.credential if row else None

    async def revive(self, credential: Credential) -> bool:
        await trio.lowlevel.checkpoint()
        row = self._same(credential)
        if row is None or row.ready_at <= trio.current_time() or (row.reason or "").startswith(BY_HAND):
            return False
        row.ready_at, row.reason = 0.0, None
        self._renewals[credential.source] += 1
        return True

    async def renewing(self, credential: Credential, *, alone_s: float) -> float | None:
        await trio.lowlevel.checkpoint()
        if self._same(credential) is None:
            return None
        now, asked_at = trio.current_time(), self._renewing.get(credential.id)
        if asked_at is None or now - asked_at >= alone_s:
            self._renewing[credential.id] = now
        return None if asked_at is None else now - asked_at

    async def renewed(self, credential: Credential, secret: Mapping[str, Any], facts: Facts) -> bool:
        await trio.lowlevel.checkpoint()
        if (row := self._same(credential)) is None:
            return False
        self._renewing.pop(credential.id, None)
        row.issued_at = self._clock.now()
        version = row.credential.version + 1
        row.credential = replace(row.credential, secret=dict(secret), version=version, **asdict(facts))
        if row.ready_at == NEVER and not (row.reason or "").startswith(BY_HAND):
            row.ready_at, row.reason = 0.0, None
        self._renewals[credential.source] += 1
        return True

    def _same(self, credential: Credential) -> _Row | None:
        row = self._rows.get((credential.source, credential.handle))
        return row if row and row.credential.version == credential.version else None

    def renewals(self, source: str) -> int:
        return self._renewals[self._shares.get(source, source)]
