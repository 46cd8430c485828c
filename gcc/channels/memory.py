"""Named bounded channels inside one process, and the wake-up signal between its actors.

A `Channels` is one pipeline's set: the dashboard reads how full each is. Sizes are in items; give one
only with a reason (DESIGN.md: every buffer is bounded).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import trio


@dataclass(frozen=True, slots=True)
class ChannelUse:
    name: str
    used: int
    size: int
    consumer: str | None = None  # the actor that takes from it, where the name of a queue does not tell


class Channels:
    """Opens channels by name and tells how full they are. Opening a name again replaces it."""

    def __init__(self) -> None:
        self._uses: dict[str, Callable[[], ChannelUse]] = {}

    def open(self, name: str, size: int) -> tuple[trio.MemorySendChannel[Any], trio.MemoryReceiveChannel[Any]]:
        """A trio memory channel of `size` items, listed under `name`."""
        send, receive = trio.open_memory_channel[Any](size)

        def use() -> ChannelUse:
            return ChannelUse(name, receive.statistics().current_buffer_used, size)

        self._uses[name] = use
        return send, receive

    def watch(self, name: str, use: Callable[[], ChannelUse]) -> None:
        """List something else that fills and empties (a pool, a window) beside the channels."""
        self._uses[name] = use

    def uses(self) -> list[ChannelUse]:
        return [use() for use in self._uses.values()]


class Signal:
    """A wake-up without content: many `set()` before a `wait()` count once; one waiter at a time."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Return True when set (and clear it), False after `timeout_s`."""
        with trio.move_on_after(float("inf") if timeout_s is None else timeout_s):
            await self._event.wait()
            self._event = trio.Event()
            return True
        return False
