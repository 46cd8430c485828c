"""The credentials port in memory. Passes tests/contract/test_credentials.py."""

import uuid
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import trio

from gcc.clock import Clock
from gcc.sources.credentials import NEVER, Credential, Standing, choose


@dataclass(slots=True)
class _Row:
    credential: Credential
    ready_at: float = 0.0  # of Trio's clock; NEVER: retired
    reason: str | None = None


class FakeCredentials:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rows: dict[tuple[str, str], _Row] = {}
        self._renewals: Counter[str] = Counter()

    async def pick(self, source: str, *, without: Collection[uuid.UUID] = ()) -> Credential:
        await trio.lowlevel.checkpoint()
        rows = [row for row in self._rows.values() if row.credential.source == source]
        standings = [Standing(row.credential, row.ready_at, row.reason) for row in rows]
        return choose(source, standings, trio.current_time(), self._clock.rng, without)

    async def disable(self, credential: Credential, *, rest_s: float | None, reason: str) -> bool:
        await trio.lowlevel.checkpoint()
        row = self._rows.get((credential.source, credential.handle))
        if row is None or row.credential.secret != credential.secret or row.ready_at == NEVER:
            return False
        now_s = trio.current_time()
        was_in = row.ready_at <= now_s
        row.ready_at = NEVER if rest_s is None else max(row.ready_at, now_s + rest_s)
        row.reason = reason
        return was_in

    async def put(self, source: str, handle: str, secret: Mapping[str, Any]) -> bool:
        await trio.lowlevel.checkpoint()
        row = self._rows.get((source, handle))
        if row is not None and row.credential.secret == dict(secret):
            return False
        known = row.credential.id if row else self._clock.new_id()
        self._rows[source, handle] = _Row(Credential(known, source, handle, dict(secret)))
        self._renewals[source] += 1
        return True

    def renewals(self, source: str) -> int:
        return self._renewals[source]
