"""What is run from a terminal, or by a test that may end it."""

import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

T = TypeVar("T")


async def unless_interrupted(run: Callable[[], Awaitable[T]]) -> T | None:
    """What it returns; None after SIGINT or SIGTERM: everything has been ended and cleared away all the same."""
    report = None
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:

            async def listen() -> None:
                async for _ in signals:
                    nursery.cancel_scope.cancel()

            nursery.start_soon(listen)
            report = await run()
            nursery.cancel_scope.cancel()
    return report
