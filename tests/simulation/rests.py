"""The checkers of credentials: who rests rests as long as the other side said, and nobody else does.

`Rests` is the credentials port of all processes, and keeps books beside it: whom the outside stopped, as its refusal
says, and whom the platform lets rest.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import trio

from gcc.clock import Clock
from gcc.sources.credentials import Credential, Facts, NoCredential
from gcc.sources.verdicts import RestScope
from tests.fakes.credentials import FakeCredentials
from tests.simulation.throttles import KINDS, Kind, Trouble
from tests.simulation.world import app_of

Key = tuple[str, ...]
NEVER = float("inf")


class Rests(FakeCredentials):
    """`complain` is told what is wrong."""

    def __init__(self, clock: Clock, shares: Mapping[str, str], complain: Callable[[str], None]) -> None:
        super().__init__(clock, shares)
        self._complain = complain
        self._lenders = shares
        self._refused: dict[Key, float] = {}  # by what the outside stopped, until when
        self._stopped: dict[Key, float] = {}  # those of them that the platform knows
        self._resting: dict[Key, float] = {}  # by what the platform lets rest, until when

    def refused(self, trouble: Trouble, token: str, bucket: str) -> None:
        """The outside is about to refuse this."""
        if trouble.kind.tells_its_end:
            until = NEVER if trouble.kind.scope is None else trouble.until
            self._refused[_told(trouble.kind, token, bucket)] = until

    async def pick(
        self, source: str, *, bucket: str = "", owner: str | None = None, without: Collection[uuid.UUID] = ()
    ) -> Credential:
        try:
            found = await super().pick(source, bucket=bucket, owner=owner, without=without)
        except NoCredential as none:
            self._nobody_is_free(self._lenders.get(source, source), bucket, owner, without, none)
            raise
        now = trio.current_time()
        if stops := [key for key in _parts(found, bucket) if self._stopped.get(key, 0.0) > now]:
            self._complain(f"{found.handle} of {source} is asked for {bucket!r}, although {stops[0]} may not")
        return found

    def _nobody_is_free(
        self, source: str, bucket: str, owner: str | None, without: Collection[uuid.UUID], none: NoCredential
    ) -> None:
        now = trio.current_time()
        for row in self._rows.values():
            credential = row.credential
            asks = credential.account == owner if owner is not None else credential.kind in ("token", "facebook")
            ends = credential.expires_at
            if credential.source != source or not asks or credential.id in without:
                continue
            if ends is not None and ends <= self._clock.now():
                continue
            if not any(self._resting.get(key, 0.0) > now for key in _parts(credential, bucket)):
                self._complain(f"{credential.handle} of {source} may ask for {bucket!r}, but {none}")

    async def disable(
        self,
        credential: Credential,
        *,
        rest_s: float | None,
        reason: str,
        scope: RestScope = "credential",
        bucket: str = "",
    ) -> bool:
        was_in = await super().disable(credential, rest_s=rest_s, reason=reason, scope=scope, bucket=bucket)
        row = self._same(credential)
        kind = next((each for each in KINDS if each.source == credential.source and each.says in reason), None)
        if kind and (None if rest_s is None else scope) != kind.scope:
            told = f"{kind.scope or 'for ever'}, but it is {scope} for {rest_s} s"
            self._complain(f"{credential.handle} of {credential.source} was told {reason!r}, so it rests: {told}")
        token = str(credential.secret["token"])
        until = NEVER if rest_s is None else trio.current_time() + rest_s
        if row is not None or scope in ("app", "source"):
            meant = _of(kind.scope if kind else scope, credential, bucket)
            self._resting[meant] = max(until, self._resting.get(meant, 0.0))
            if kind and (refused := self._refused.get(_told(kind, token, bucket))):
                self._stopped[meant] = max(refused, self._stopped.get(meant, 0.0))
        return was_in

    async def put(self, source: str, handle: str, secret: Mapping[str, Any], facts: Facts | None = None) -> bool:
        is_new = await super().put(source, handle, secret, facts)
        if is_new:
            self._forget(self._rows[source, handle].credential)
        return is_new

    async def revive(self, credential: Credential) -> bool:
        revived = await super().revive(credential)
        if revived:
            self._forget(credential)
        return revived

    def ending(self, near_s: Mapping[str, float]) -> list[tuple[str, str]]:
        """(source, handle) of those that end soon, by what is soon for their kind."""
        known = [row.credential for row in self._rows.values()]
        return [
            (each.source, each.handle)
            for each in known
            if each.expires_at and (each.expires_at - self._clock.now()).total_seconds() < near_s.get(each.kind, 0.0)
        ]

    def enable_all(self, ends: Mapping[str, dt.datetime]) -> None:
        """People see to everything that the other side stopped, and to what ends a wrong clock has noted of tokens."""
        self._rests.clear()
        self._refused.clear()
        self._stopped.clear()
        self._resting.clear()
        for row in self._rows.values():
            row.ready_at, row.reason = 0.0, None
            if end := ends.get(str(row.credential.secret["token"])):
                row.credential = replace(row.credential, expires_at=end)
            self._renewals[row.credential.source] += 1

    def _forget(self, credential: Credential) -> None:
        self._stopped.pop(_of("credential", credential, ""), None)
        self._resting.pop(_of("credential", credential, ""), None)


def _told(kind: Kind, token: str, bucket: str) -> Key:
    match kind.scope:
        case "app":
            return kind.source, kind.code, app_of(token)
        case "source":
            return kind.source, kind.code
        case "bucket":
            return kind.source, kind.code, token, bucket
    return kind.source, kind.code, token


def _of(scope: RestScope | None, credential: Credential, bucket: str) -> Key:
    match scope:
        case "app":
            return "app", credential.source, credential.app
        case "source":
            return "source", credential.source
        case "bucket":
            return "bucket", str(credential.id), bucket
    return "credential", str(credential.id)


def _parts(credential: Credential, bucket: str) -> list[Key]:
    scopes: tuple[RestScope, ...] = ("credential", "bucket", "app", "source")
    return [_of(scope, credential, bucket) for scope in scopes]
