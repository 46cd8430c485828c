"""The door of one API: its limits and faults, and what it counts of those who come."""

import math
from collections import Counter, deque
from typing import Any

from gcc.clock import Clock
from gcc.world.answer import Answer, Query
from gcc.world.api import Api, Headers
from gcc.world.faults import Faults, Kind
from gcc.world.limits import Bucket, Quota

COUNTED = ("calls", "refused", "faults")
_RATE_WINDOW_S = 10


class Door:
    """What stands before one API."""

    def __init__(self, api: Api, *, seed: int, calls_per_s: float, quota_times: float) -> None:
        self.api = api
        self.faults = Faults(api.source, seed, api.tokens)
        self.counts: Counter[str] = Counter()
        self._bucket = Bucket(calls_per_s)
        self._quotas = {bucket: Quota(round(units * quota_times)) for bucket, units in api.daily.items()}
        self._seconds: deque[list[int]] = deque(maxlen=_RATE_WINDOW_S)  # [second, calls in it]

    def admit(
        self, method: str, path: str, query: Query, headers: Headers, body: bytes, clock: Clock, now_s: float
    ) -> Answer | None:
        """A refusal, or None: the API may answer."""
        self._count(now_s)
        wait_s = self._bucket.take(now_s)
        if wait_s > 0:
            self.counts["refused"] += 1
            return self.api.refuse_rate(math.ceil(wait_s), of_user=False)
        token = self.api.token(query, headers)
        if not self.api.open and (not self.api.lets_in(token) or token in self.faults.dead_tokens(now_s)):
            self.counts["refused"] += 1
            return self.api.refuse_token(token)
        bucket, units = self.api.cost(method, path, query, body)
        quota = self._quotas.get(bucket)
        if quota is not None and not quota.take(self.api.app(token or ""), clock.now(), units):
            self.counts["refused"] += 1
            return self.api.refuse_quota(bucket)
        return None

    def struck(self, now_s: float) -> Kind | None:
        kind = self.faults.strike(now_s)
        self.counts["faults"] += kind is not None
        return kind

    def stats(self, now_s: float) -> dict[str, Any]:
        recent = sum(calls for second, calls in self._seconds if second > now_s - _RATE_WINDOW_S)
        return {**{name: self.counts[name] for name in COUNTED}, "per_s": recent / _RATE_WINDOW_S}

    def _count(self, now_s: float) -> None:
        self.counts["calls"] += 1
        if not self._seconds or self._seconds[-1][0] != int(now_s):
            self._seconds.append([int(now_s), 0])
        self._seconds[-1][1] += 1
