"""Windows that several processes fill together, each by blocks of calls that it takes from Redis.

In: who wants to call. Out: what is left of their window, as windows.py has it. A block is counted when it is taken, and
spent within SPENT_S, against a window that is longer by as much: so in ANY window there are at most as many calls as
may be; what is not spent is lost. So a block is no more than half of the calls of the last second here. What
Redis has refused is refused here, until there is room.

Redis away: Transient, or each process goes on with a share of the calls, for which all that it has granted counts. As
Redis is lost or comes back there may be up to twice as many calls in a window.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol

import trio

from gcc.errors import Transient
from gcc.stores.call_windows import Taken
from gcc.web.api.windows import CALLERS_MAX, Counted, Windows
from gcc.web.at_once import OVER, Pause

SPENT_S = 1.0


class Store(Protocol):
    async def take(self, window: str, calls: int, per_s: float, wanted: int) -> Taken: ...


@dataclass(slots=True)
class Block:
    of: int  # calls a window, when it was taken
    unspent: int
    until: float  # they are spent
    left: int  # beside it
    full_until: float  # where none is left: there may be one more
    more_at: float  # there is


class SharedWindows:
    def __init__(self, policy: str, per_s: int, store: Store, alone: float) -> None:
        """`alone`: which share of the calls each process grants while `store` is away; 0: none."""
        self._policy, self._per_s = policy, per_s
        self._store = store
        self._alone = alone
        self._granted = Windows(policy, per_s)  # here
        self._blocks: OrderedDict[Hashable, Block] = OrderedDict()  # the one taken last is the last
        self._asking: dict[Hashable, trio.Event] = {}

    async def take(self, caller: Hashable, calls: int, pause: Pause = OVER) -> Counted:
        """Spend one of `calls`, if one is left; of a block without a wait. Transient: nobody knows."""
        try:
            while (counted := self._here(caller, calls)) is None:
                await pause
                await self._ask(caller, calls)
            return counted
        except Transient:
            if not self._alone:
                raise
            return self._granted.take(caller, int(calls * self._alone), trio.current_time())

    def _here(self, caller: Hashable, calls: int) -> Counted | None:
        """What is known without asking."""
        now, block = trio.current_time(), self._blocks.get(caller)
        if block is None or block.of != calls:
            return None
        if block.unspent and now < block.until:
            block.unspent -= 1
            self._granted.spend(caller, now)
        elif block.left or now >= block.full_until:
            return None
        else:
            return Counted(self._policy, calls, self._per_s, 0, block.more_at - now, granted=False)
        return Counted(self._policy, calls, self._per_s, block.unspent + block.left, block.more_at - now, granted=True)

    async def _ask(self, caller: Hashable, calls: int) -> None:
        """Take a block; or wait for whoever takes one."""
        if (asking := self._asking.get(caller)) is not None:
            await asking.wait()
            return
        asked_at = trio.current_time()
        self._forget(asked_at)
        if caller not in self._blocks and len(self._blocks) >= CALLERS_MAX:
            raise Transient(f"{CALLERS_MAX} callers within {self._per_s} s are as many as are told apart")
        asking = self._asking[caller] = trio.Event()
        try:
            wanted = max(1, self._granted.since(caller, asked_at - 1.0) // 2)
            taken = await self._store.take(f"{self._policy}:{caller}", calls, self._per_s + SPENT_S, wanted)
            soonest, more_at = asked_at + taken.more_in_s, trio.current_time() + taken.more_in_s
            self._blocks[caller] = Block(calls, taken.calls, asked_at + SPENT_S, taken.left, soonest, more_at)
            self._blocks.move_to_end(caller)
        finally:
            del self._asking[caller]
            asking.set()

    def _forget(self, now: float) -> None:
        """Blocks that say nothing any more: their windows are over."""
        while self._blocks:
            caller, block = next(iter(self._blocks.items()))
            if block.until + self._per_s > now:
                return
            del self._blocks[caller]
