"""The door of one API: its limits and faults, and the measure of all who come. Pure; time is an argument.

A call is measured as it arrives, refused or not, against each declared limit (settings `world.limits`, POST /limits).
"""

import math
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from gcc.clock import Clock
from gcc.world.answer import Answer, Query
from gcc.world.api import Api, Headers
from gcc.world.faults import Fault, Faults
from gcc.world.limits import Bucket, Quota, Rule, Used
from gcc.world.measure import Measure, Storm

COUNTED = ("calls", "refused", "faults")
_RATE_WINDOW_S = 10


@dataclass(frozen=True, slots=True)
class Call:
    """A request, and who asks and for what, as the API reads it."""

    method: str
    path: str
    query: Query
    headers: Headers
    body: bytes
    token: str | None
    app: str
    bucket: str
    units: int


class Door:
    """What stands before one API."""

    def __init__(self, api: Api, clock: Clock, *, seed: int, calls_per_s: float, quota_times: float) -> None:
        self.api = api
        self.counts: Counter[str] = Counter()
        self._clock = clock
        self._faults = Faults(api, seed)
        self._bucket = Bucket(calls_per_s)
        self._quotas = {bucket: Quota(math.ceil(units * quota_times)) for bucket, units in api.daily.items()}
        self._measures: list[Measure] = []
        self._storm = Storm()
        self._seconds: deque[list[int]] = deque(maxlen=_RATE_WINDOW_S)  # [second, calls in it]

    def declare(self, rule: Rule, now_s: float) -> None:
        """Measure this limit from now on, one of the same callers, bucket and length anew."""
        same = (rule.each, rule.bucket, rule.per_s)
        self._measures = [
            each for each in self._measures if (each.rule.each, each.rule.bucket, each.rule.per_s) != same
        ]
        self._measures.append(Measure(rule, now_s, self._storm))

    def add_fault(self, fault: Fault, now_s: float) -> list[str]:
        """The fault is in force at once. The tokens that are dead now."""
        self._faults.add(fault, now_s)
        self._storm.lasts(self._faults.until_s(now_s), now_s)
        return self._faults.dead_tokens(now_s)

    def read(self, method: str, path: str, query: Query, headers: Headers, body: bytes) -> Call:
        token = self.api.token(query, headers)
        bucket, units = self.api.cost(method, path, query, body)
        return Call(
            method, path, query, headers, body, token, "" if token is None else self.api.app(token), bucket, units
        )

    def admit(self, call: Call, now_s: float) -> Answer | None:
        """A refusal, or None: the API may answer."""
        self._count(now_s)
        refusal = self._refuse(call, now_s)
        self.counts["refused"] += refusal is not None
        return refusal

    def strike(self, call: Call, now_s: float) -> Fault | None:
        """What goes wrong with a call that was let in, if anything does."""
        fault = self._faults.strike(call.token or "", call.app, call.bucket, now_s)
        self.counts["faults"] += fault is not None
        return fault

    def answer(self, call: Call, fault: Fault | None, now_s: float) -> Answer:
        """The API's own answer, or what the fault makes of it."""
        rng = self._faults.rng
        match fault:
            case Fault(kind="429", scope=scope):
                of_user = scope == "token" or (scope == "source" and rng.random() < 0.5)
                return self._waits(self.api.refuse_rate(1 + int(rng.random() * 2), of_user=of_user), now_s)
            case Fault(kind="error"):
                return self._waits(fault.error_of(self.api), now_s)
            case Fault(kind="500"):
                return self.api.fail(500)
            case Fault(kind="timeout"):
                return self.api.fail(504)
            case Fault(kind="garbage"):
                return _garbage(self._good(call), rng.random())
            case Fault(kind="empty"):
                return _emptied(self._good(call), self.api.lists, missing=rng.random() < 0.5)
        good = self._good(call)
        used = self._fullest(call, now_s) if self._measures else None
        if fault is not None and fault.kind == "usage":
            rule = used.rule if used else Rule(self.api.source, 100, 3600.0)
            used = Used(rule, round(rule.calls * fault.share), fault.seconds)
        if used is None or good.status >= 400:
            return good
        told = tuple(self.api.usage(used))
        own = tuple(header for header in good.headers if header[0] not in dict(told))
        return replace(good, headers=own + told)

    def stats(self, now_s: float) -> dict[str, Any]:
        recent = sum(calls for second, calls in self._seconds if second > now_s - _RATE_WINDOW_S)
        return {**{name: self.counts[name] for name in COUNTED}, "per_s": recent / _RATE_WINDOW_S}

    def limits(self, now_s: float) -> Iterable[dict[str, Any]]:
        """How full each declared limit ever was, a row for each that called."""
        for measure in self._measures:
            yield from measure.rows(now_s)

    def quotas(self) -> Iterable[dict[str, Any]]:
        """What is used of each day's quota, a row for each app."""
        for bucket, quota in self._quotas.items():
            for app, used in quota.used.items():
                row = {"bucket": bucket, "key": app, "units_per_day": quota.units_per_day, "used": used}
                yield {"source": self.api.source, **row}

    def _refuse(self, call: Call, now_s: float) -> Answer | None:
        token, app = call.token, call.app
        known = self.api.open or self.api.lets_in(token)
        wait_s, of_user = self._bucket.take(now_s), False
        for measure in self._measures:
            own_wait_s = measure.take(
                call.bucket, (token or "") if known else "", app if known else "", call.units, now_s
            )
            if own_wait_s > wait_s:
                wait_s, of_user = own_wait_s, measure.rule.each == "token"
        if wait_s > 0:
            return self.api.refuse_rate(math.ceil(wait_s), of_user=of_user)
        if not known:
            return self.api.refuse_token(token)
        killer = self._faults.killer(token, now_s)
        if killer is not None:
            return self.api.refuse_token(token, expired=killer.kind == "expire")
        quota = self._quotas.get(call.bucket)
        if quota is not None and not quota.take(app, self._clock.now(), call.units):
            return self.api.refuse_quota(call.bucket)
        return None

    def _good(self, call: Call) -> Answer:
        return self.api.answer(call.method, call.path, call.query, call.headers, call.body)

    def _fullest(self, call: Call, now_s: float) -> Used | None:
        """Of the limits that this call counts to, the one with the least room."""
        windows = (each.window(call.bucket, call.token or "", call.app) for each in self._measures)
        return max((w.used(now_s) for w in windows if w is not None), key=lambda used: used.share, default=None)

    def _waits(self, refusal: Answer, now_s: float) -> Answer:
        """The storm lasts as long as a fault asks its callers to wait."""
        if refusal.retry_after_s is not None:
            self._storm.lasts(max(self._storm.until_s, now_s + refusal.retry_after_s), now_s)
        return refusal

    def _count(self, now_s: float) -> None:
        self.counts["calls"] += 1
        if not self._seconds or self._seconds[-1][0] != int(now_s):
            self._seconds.append([int(now_s), 0])
        self._seconds[-1][1] += 1


def _garbage(good: Answer, draw: float) -> Answer:
    """A page for people, or an answer that was cut off: 200 and useless, either way."""
    if draw < 0.5:
        return Answer(200, b"<!DOCTYPE html><html><body>Sorry, something went wrong.</body></html>", "text/html")
    return Answer(200, good.body[: len(good.body) // 2], good.content_type)


def _emptied(good: Answer, lists: Iterable[str], *, missing: bool) -> Answer:
    """Its lists of these names empty or, where `missing`, not there at all."""
    try:
        body = msgspec.json.decode(good.body)
    except msgspec.DecodeError:
        return good
    waiting = [body]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            for name in [name for name in lists if isinstance(each.get(name), list)]:
                if missing:
                    del each[name]
                else:
                    each[name] = []
        waiting += each.values() if isinstance(each, dict) else each if isinstance(each, list) else ()
    return replace(good, body=msgspec.json.encode(body))
