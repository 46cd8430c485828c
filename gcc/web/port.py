"""What every port of a process does: open, tell where, and close in the drain's stage "ports"."""

from collections.abc import Awaitable, Callable

import trio

from gcc.supervisor.drain import Stage
from gcc.supervisor.told import Told

PORTS_S = 3.0  # how long a request in hand may last when its port closes


async def keep_open(
    name: str,
    serve: Callable[..., Awaitable[None]],
    ports: Stage,
    opened: Callable[[str], None],
    task_status: trio.TaskStatus[None],
) -> None:
    """`serve(draining=, grace_s=, task_status=)` until the stage `ports` has begun; its URL goes to `opened`."""

    def tell(url: str) -> None:
        opened(url)
        task_status.started()

    with ports.member(name):
        await serve(draining=ports.begun, grace_s=PORTS_S, task_status=Told(tell))
