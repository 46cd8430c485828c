"""What the door of an API measures: each declared limit over every window, and the rate outside storms. Pure.

A storm is the time while a fault is in force, and while a wait lasts that one has asked for. Time is an argument.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import msgspec

from gcc.world.limits import Rule, Window

_KEYS_MAX = 1000  # tokens that are renewed now and then are ever new ones


class Storm:
    """Keeps the time that faults have taken, so that it can be left out."""

    def __init__(self) -> None:
        self._since_s = self._until_s = 0.0  # of the last one
        self._before_s = 0.0

    def lasts(self, until_s: float, now_s: float) -> None:
        """It blows until then, no longer and no shorter."""
        if now_s > self._until_s:
            self._before_s += self._until_s - self._since_s
            self._since_s = now_s
        self._until_s = max(until_s, now_s)

    def blows(self, now_s: float) -> bool:
        return now_s < self._until_s

    def past_s(self, now_s: float) -> float:
        """All stormy seconds until now."""
        return self._before_s + min(now_s, self._until_s) - self._since_s

    @property
    def until_s(self) -> float:
        return self._until_s


class Measure:
    """A declared limit and its windows: of each token or app that called, or the one of the source."""

    def __init__(self, rule: Rule, now_s: float, storm: Storm) -> None:
        self.rule = rule
        self._storm = storm
        self._since_s = now_s
        self._stormy_s = storm.past_s(now_s)
        self._windows = {"": Window(rule)} if rule.each == "source" else {}
        self._calm: Counter[str] = Counter()  # units outside storms, by key

    def window(self, bucket: str, token: str, app: str) -> Window | None:
        """Where such a call counts, if it does at all."""
        key = self._key(token, app)
        if self.rule.bucket not in ("", bucket) or (not key and self.rule.each != "source"):
            return None
        if key not in self._windows:
            if len(self._windows) >= _KEYS_MAX:
                del self._windows[next(iter(self._windows))]
            self._windows[key] = Window(self.rule)
        return self._windows[key]

    def take(self, bucket: str, token: str, app: str, units: int, now_s: float) -> float:
        """A call came: count it. The seconds until it would be allowed, where the limit is enforced, else 0.0."""
        window = self.window(bucket, token, app)
        if window is None:
            return 0.0
        wait_s = window.wait_s(now_s, units) if self.rule.enforced else 0.0
        window.take(now_s, units)
        if not self._storm.blows(now_s):
            self._calm[self._key(token, app)] += units
        return wait_s

    def rows(self, now_s: float) -> Iterator[dict[str, Any]]:
        calm_s = now_s - self._since_s - (self._storm.past_s(now_s) - self._stormy_s)
        for key, window in self._windows.items():
            yield {
                **msgspec.structs.asdict(self.rule),
                "key": key,
                "peak": window.peak,
                "total": window.total,
                "calm_s": calm_s,
                "allowed_per_s": self.rule.calls / self.rule.per_s,
                "achieved_per_s": self._calm[key] / calm_s if calm_s > 0 else None,
            }

    def _key(self, token: str, app: str) -> str:
        return "" if self.rule.each == "source" else token if self.rule.each == "token" else app
