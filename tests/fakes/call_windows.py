"""Windows of calls in memory, shared by all processes that a test plays; on its clock."""

from collections import defaultdict
from collections.abc import Callable

import trio

from gcc.errors import Transient
from gcc.stores.call_windows import Taken


class FakeCallWindows:
    """See `gcc.stores.call_windows.CallWindows`. A question takes `way_s()` until the calls
    are counted, and an answer as long."""

    def __init__(self, way_s: Callable[[], float] = lambda: 0.0) -> None:
        self._way_s = way_s
        self._taken: defaultdict[str, list[float]] = defaultdict(list)
        self.asked = 0
        self.away = False

    async def take(self, window: str, calls: int, per_s: float, wanted: int) -> Taken:
        if self.away:
            raise Transient("away", retry_after_s=1.0)
        self.asked += 1
        await trio.sleep(self._way_s())
        now = trio.current_time()
        kept = [at for at in self._taken[window] if at > now - per_s]
        free = max(0, calls - len(kept))
        taken = min(wanted, free, max(1, free // 20))
        kept += [now] * taken
        self._taken[window] = kept
        more_in_s = kept[max(0, len(kept) - calls)] + per_s - now
        await trio.sleep(self._way_s())
        return Taken(taken, free - taken, more_in_s)
