"""Who asks with what opens nothing. Anybody may make keys up, so an address has so many unknown ones a minute.

In: digests of keys, ids of sessions, addresses. Out: what is known to open nothing, or ApiError RATE_LIMITED. What has
opened nothing never will: it is written before it is given out, and does not come back once it has ended. So it is
asked for, and counted, once in a window. Each process counts for itself, since it is its look-ups that are spared.
"""

from collections.abc import Hashable
from weakref import WeakValueDictionary

import trio
from cachetools import TTLCache

from gcc.web.api.errors import ApiError, Code
from gcc.web.api.windows import Windows

WINDOW_S = 60
REMEMBERED = 10_000


class Strangers:
    def __init__(self, calls: int) -> None:
        """`calls`: unknown keys of an address in a window."""
        self._calls = calls
        self._windows = Windows("unknown", WINDOW_S)
        self._missed: TTLCache[Hashable, None] = TTLCache(REMEMBERED, WINDOW_S, timer=trio.current_time)
        self._turns: WeakValueDictionary[str, trio.Lock] = WeakValueDictionary()

    def __contains__(self, what: Hashable) -> bool:
        return what in self._missed

    def turn(self, address: str) -> trio.Lock:
        """One key of an address is looked up at a time: of many at once no more than are counted."""
        return self._turns.setdefault(address, trio.Lock())

    def admit(self, address: str) -> None:
        """Within its turn, before the database is asked. Raises ApiError."""
        counted = self._windows.look(address, self._calls, trio.current_time())
        if not counted.left:
            told = f"{self._calls} unknown keys from your address in any {WINDOW_S} s are allowed"
            raise ApiError(Code.RATE_LIMITED, told, counted=counted)

    def missed(self, what: Hashable, address: str = "") -> None:
        """The database does not know it. `address`: it counts there."""
        self._missed[what] = None
        if address:
            self._windows.spend(address, trio.current_time())
