"""The Graph API's usage headers: percents of an hour's allowance, from what was really asked."""

import datetime as dt
from collections import deque

import msgspec

_HOUR_MIN = 60
_KEYS_MAX = 1000


def told(percent: int) -> list[tuple[str, str]]:
    """X-App-Usage."""
    shown = {"call_count": percent, "total_time": percent * 2 // 3, "total_cputime": percent // 2}
    return [("x-app-usage", _json(shown))]


class Usage:
    """Calls of the last hour, of one app and of each account. `allowed`: an hour's allowance of each."""

    def __init__(self, allowed: int) -> None:
        self._allowed = allowed
        self._calls: dict[str, deque[tuple[int, int]]] = {}  # by account, "" the app: (minute, calls in it)
        self._sums: dict[str, int] = {}

    def count(self, account: str, now: dt.datetime) -> None:
        """A call: the app's, and the account's unless it is ""."""
        minute = int(now.timestamp()) // 60
        for key in {"", account}:
            self._forget(key, minute)
            calls = self._calls[key]
            if calls and calls[-1][0] == minute:
                calls[-1] = (minute, calls[-1][1] + 1)
            else:
                calls.append((minute, 1))
            self._sums[key] += 1

    def percent(self, account: str, now: dt.datetime) -> int:
        self._forget(account, int(now.timestamp()) // 60)
        return self._sums[account] * 100 // self._allowed

    def minutes(self, account: str, now: dt.datetime) -> int:
        """Until there is room again; 0: there is."""
        if self.percent(account, now) < 100:
            return 0
        return max(self._calls[account][0][0] + _HOUR_MIN - int(now.timestamp()) // 60, 1)

    def headers(self, account: str, now: dt.datetime) -> tuple[tuple[str, str], ...]:
        """X-App-Usage, and for an account's own data X-Business-Use-Case-Usage."""
        found = told(self.percent("", now))
        if account:
            own = self.percent(account, now)
            use = {
                "type": "instagram", "call_count": own, "total_cputime": own // 3, "total_time": own // 2,
                "estimated_time_to_regain_access": self.minutes(account, now),
            }  # fmt: skip
            found.append(("x-business-use-case-usage", _json({account: [use]})))
        return tuple(found)

    def _forget(self, key: str, minute: int) -> None:
        """What is an hour old, and where there are too many accounts the one heard of first."""
        if key not in self._calls:
            while len(self._calls) >= _KEYS_MAX:
                oldest = next(name for name in self._calls if name)
                del self._calls[oldest], self._sums[oldest]
            self._calls[key], self._sums[key] = deque(), 0
        calls = self._calls[key]
        while calls and calls[0][0] <= minute - _HOUR_MIN:
            self._sums[key] -= calls.popleft()[1]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
