"""Answers that were just given: who asks the same again within a second gets the same bytes.

In: who asks what; what was answered, as bytes, with what it uses. Out: that again, for known_s from when its stores
were asked. So any number of people who look at one page cost the database one look a second. Nobody gets what another
partner was answered. All is forgotten where something was crawled that somebody waits for, or erased: whoever has
refreshed a profile sees it as it is. Bounded in bytes.
"""

from dataclasses import dataclass
from typing import Any

import trio
from cachetools import TLRUCache

from gcc.stores.plans import Uses
from gcc.stores.tenant import Tenant
from gcc.web.api.kept import Kept

BYTES_MAX = 32 << 20
ENTRY_BYTES = 1000  # beside its body and what was asked
BODY_BYTES_MAX = 256 * 1024


@dataclass(frozen=True, slots=True)
class Given:
    kept: Kept
    uses: Uses | None
    until: float
    bytes: int


@dataclass(frozen=True, slots=True)
class Asked:
    """`when`: before its stores were asked."""

    key: tuple[Any, ...]
    when: float
    era: int


class Repeated:
    def __init__(self, known_s: float) -> None:
        """`known_s`: 0 remembers nothing."""
        self._known_s = known_s
        self._era = 0
        self._given: TLRUCache[tuple[Any, ...], Given] = TLRUCache(
            BYTES_MAX,
            ttu=lambda key, given, now: given.until,
            timer=trio.current_time,
            getsizeof=lambda given: given.bytes,
        )

    def asked(self, name: str, tenant: Tenant, request: Any, body: bytes) -> Asked:
        """`name`: of the route."""
        key = tenant.partner_id, tenant.plan, name, request.path, request.query_string, body
        return Asked(key, trio.current_time(), self._era)

    def get(self, asked: Asked) -> Given | None:
        try:  # not by `get`, which looks twice
            return self._given[asked.key]
        except KeyError:
            return None

    def keep(self, asked: Asked, kept: Kept, uses: Uses | None) -> None:
        """Unless all was forgotten since it was asked for."""
        size = ENTRY_BYTES + len(kept.body) + sum(map(len, asked.key[3:]))
        if self._known_s and asked.era == self._era and len(kept.body) <= BODY_BYTES_MAX:
            self._given[asked.key] = Given(kept, uses, asked.when + self._known_s, size)

    def forget(self, payload: str = "") -> None:
        """All of it; a callback of notifications."""
        self._era += 1
        self._given.clear()
