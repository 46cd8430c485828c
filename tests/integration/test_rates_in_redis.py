"""Four processes count their callers in one Redis, which is killed and comes back."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import trio

from gcc.errors import Transient
from gcc.stores.call_windows import CallWindows
from gcc.stores.redis import Redis
from gcc.web.api.blocks import SharedWindows
from tests.services.redis import RedisNode

NODES, CALLS, PER_S = 4, 40, 1
PATIENCE_S = 60.0


class Processes:
    """Each has a connection of its own, and asks for every call, at once and for ever."""

    def __init__(self, url: str, alone: float) -> None:
        self.clients = [Redis(url, connections=2) for _ in range(NODES)]
        self.windows = [SharedWindows("read", PER_S, CallWindows(each), alone) for each in self.clients]
        self.granted: list[float] = []
        self.unknown = 0  # calls of which nobody knew whether they may
        self.told = dict.fromkeys(self.windows, 0)  # how many calls a window has
        self._answered = trio.Event()

    async def ask(self, windows: SharedWindows) -> None:
        while True:
            try:
                counted = await windows.take("me", CALLS)
                self.told[windows] = counted.calls
                if counted.granted:
                    self.granted.append(trio.current_time())
                wait_s = 0.001 if counted.granted else counted.more_in_s
            except Transient:
                self.unknown += 1
                wait_s = 0.01
            self._answered.set()
            self._answered = trio.Event()
            await trio.sleep(wait_s)

    async def look(self, redis: Redis) -> None:
        """As gcc/parts.py has it done."""
        while True:
            with suppress(Transient):
                await redis.look()
            await trio.sleep(0.2)

    async def more(self, calls: int) -> None:
        """Until so many more were granted."""
        wanted = len(self.granted) + calls
        await self.until(lambda: len(self.granted) >= wanted)

    async def until(self, condition: Callable[[], bool]) -> None:
        with trio.fail_after(PATIENCE_S):
            while not condition():
                await self._answered.wait()

    def most(self, since: float = 0.0) -> int:
        """In any window."""
        granted = sorted(at for at in self.granted if at >= since)
        most = first = 0
        for last, at in enumerate(granted):
            while at - granted[first] >= PER_S - 1e-3:
                first += 1
            most = max(most, last - first + 1)
        return most


@asynccontextmanager
async def asking(url: str, alone: float) -> AsyncIterator[Processes]:
    processes = Processes(url, alone)
    async with trio.open_nursery() as nursery:
        for redis, windows in zip(processes.clients, processes.windows, strict=True):
            nursery.start_soon(processes.look, redis)
            nursery.start_soon(processes.ask, windows)
        yield processes
        nursery.cancel_scope.cancel()
    for redis in processes.clients:
        redis.close()


async def test_what_costs_others_is_never_called_more_often_whatever_dies(
    redis_node: RedisNode, old_redis: str
) -> None:
    async with asking(redis_node.url, alone=0.0) as processes:
        await processes.more(2 * CALLS)
        redis_node.kill()
        granted = len(processes.granted)
        await processes.until(lambda: processes.unknown > 100)
        assert len(processes.granted) <= granted + NODES, "but for blocks that had been taken"
        await redis_node.start()
        await processes.more(2 * CALLS)
    assert 0.9 * CALLS <= processes.most() <= CALLS


async def test_what_costs_nobody_goes_on_with_a_quarter_each(redis_node: RedisNode, old_redis: str) -> None:
    async with asking(redis_node.url, alone=0.25) as processes:
        await processes.more(2 * CALLS)
        assert processes.most() <= CALLS
        redis_node.kill()
        killed_at = trio.current_time()
        await processes.more(3 * CALLS)
        assert processes.most(killed_at + PER_S) <= CALLS and processes.most() <= 2 * CALLS
        await redis_node.start()
        await processes.until(lambda: set(processes.told.values()) == {CALLS})
        again_at = trio.current_time()
        await processes.more(3 * CALLS)
        assert processes.most(again_at + PER_S) <= CALLS and processes.most() <= 2 * CALLS
    assert not processes.unknown
