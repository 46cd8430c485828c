"""How often each of many callers may do a thing: at most so many in ANY window, counted in this process.

In: who wants it. Out: what is left of their window, and when there is more of it; answers tell it in the headers of
draft-ietf-httpapi-ratelimit-headers-10. Pure; times are of one clock. Callers with nothing in their window are
forgotten, so that the memory is that of the calls of one window; beyond CALLERS_MAX new ones are refused.
"""

import math
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import NamedTuple

from gcc.sources.window import Window

CALLERS_MAX = 100_000


class Counted(NamedTuple):
    """A caller's window after one more call."""

    policy: str
    calls: int
    per_s: int
    left: int
    more_in_s: float  # until there is one more than `left`
    granted: bool

    @property
    def wait_s(self) -> int:
        return max(1, math.ceil(self.more_in_s))


class Windows:
    def __init__(self, policy: str, per_s: int) -> None:
        """`policy`: what it is called in headers."""
        self._policy = policy
        self._per_s = per_s
        self._windows: OrderedDict[Hashable, tuple[Window, float]] = OrderedDict()  # (window, last granted at)

    def __len__(self) -> int:
        return len(self._windows)

    def take(self, caller: Hashable, calls: int, now: float) -> Counted:
        """Spend one of `calls`, if one is left."""
        self._forget(now)
        held = self._windows.get(caller)
        if held is None and len(self._windows) >= CALLERS_MAX:
            return Counted(self._policy, calls, self._per_s, 0, self._per_s, granted=False)
        window = Window() if held is None else held[0]
        used = window.used(now, self._per_s)
        if used >= calls:
            room_at = window.room_at(now, 1, self._per_s, calls, 0)
            return Counted(self._policy, calls, self._per_s, 0, room_at - now, granted=False)
        self._spend(caller, window, now)
        return self._left(window, calls, used + 1, now)

    def spend(self, caller: Hashable, now: float) -> None:
        """Count a call that was granted elsewhere."""
        self._forget(now)
        held = self._windows.get(caller)
        if held is None and len(self._windows) >= CALLERS_MAX:
            return
        window = Window() if held is None else held[0]
        window.used(now, self._per_s)  # forgets those before
        self._spend(caller, window, now)

    def since(self, caller: Hashable, at: float) -> int:
        """The calls from then on."""
        held = self._windows.get(caller)
        return 0 if held is None else held[0].since(at)

    def look(self, caller: Hashable, calls: int, now: float) -> Counted:
        """What is left, with nothing spent."""
        held = self._windows.get(caller)
        used = 0 if held is None else held[0].used(now, self._per_s)
        if held is None or not used:
            return Counted(self._policy, calls, self._per_s, calls, self._per_s, granted=True)
        return self._left(held[0], calls, used, now)

    def _spend(self, caller: Hashable, window: Window, now: float) -> None:
        window.spend(now, 1)
        self._windows[caller] = window, now
        self._windows.move_to_end(caller)

    def _left(self, window: Window, calls: int, used: int, now: float) -> Counted:
        left = max(0, calls - used)
        more_in_s = window.room_at(now, left + 1, self._per_s, calls, 0) - now
        return Counted(self._policy, calls, self._per_s, left, more_in_s, granted=True)

    def _forget(self, now: float) -> None:
        """Those whose last call has left the window: they stand first."""
        while self._windows:
            caller, (_, last) = next(iter(self._windows.items()))
            if last + self._per_s > now:
                return
            del self._windows[caller]


def headers(counted: Sequence[Counted]) -> dict[str, str]:
    """Those of draft-10, the tightest policy first."""
    if len(counted) == 1:
        (each,) = counted
        return {"ratelimit-policy": _policy(each.policy, each.calls, each.per_s), "ratelimit": _left(each)}
    tightest = sorted(counted, key=attrgetter("left"))
    return {
        "ratelimit-policy": ", ".join([_policy(each.policy, each.calls, each.per_s) for each in tightest]),
        "ratelimit": ", ".join([_left(each) for each in tightest]),
    }


@lru_cache(1024)
def _policy(name: str, calls: int, per_s: int) -> str:
    return f'"{name}";q={calls};w={per_s}'


def _left(each: Counted) -> str:
    return f'"{each.policy}";r={each.left};t={each.wait_s}'
