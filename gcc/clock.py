"""The only source of wall time, ids and chance. Injected everywhere, so that a seed replays a run.

Waiting is not done here: actors wait with trio (`trio.sleep`, deadlines), which a test's MockClock
moves. `SystemClock` reads the machine; `VirtualClock` derives wall time from `trio.current_time()`,
so one virtual hour of sleeping is one virtual hour of timestamps.
"""

import abc
import datetime as dt
import random
import uuid

import trio


class Clock(abc.ABC):
    """Wall time (aware, UTC), UUIDv7 ids and chance, all from one place."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    @abc.abstractmethod
    def now(self) -> dt.datetime:
        """The time of day, timezone-aware UTC."""

    def new_id(self) -> uuid.UUID:
        """A UUIDv7 (RFC 9562): 48 bits of milliseconds, then chance; sorts by time of minting."""
        millis = int(self.now().timestamp() * 1000)
        value = (millis & (2**48 - 1)) << 80 | self.rng.getrandbits(80)
        value = value & ~(0xF << 76) | 0x7 << 76  # version 7
        value = value & ~(0x3 << 62) | 0x2 << 62  # RFC variant
        return uuid.UUID(int=value)

    def jitter(self, delay_s: float, *, spread: float = 0.5) -> float:
        """`delay_s`, up to `spread` shorter: equal delays of many waiters drift apart."""
        return delay_s * (1.0 - spread * self.rng.random())


class SystemClock(Clock):
    """The machine's clock, and chance that the system has seeded: ids are no secrets, and each event has one."""

    def __init__(self) -> None:
        super().__init__(random.Random())

    def now(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC)


class VirtualClock(Clock):
    """Time as trio's (virtual) clock has it, counted from `epoch`; chance from `seed`."""

    def __init__(self, seed: int, epoch: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)) -> None:
        super().__init__(random.Random(seed))
        self.epoch = epoch

    def now(self) -> dt.datetime:
        return self.epoch + dt.timedelta(seconds=trio.current_time())
