"""Work that begins at once, in the task that finds it, and goes on in a task of its own only where it must wait.

An answer from memory waits for nothing, and a task, its cancel scopes and its turns of the loop would cost more than
it does. So whoever has such work drives its first part itself (`begin`): up to its end, or up to where it awaits its
`Pause`, which stands before whatever may wait. Then it is given to a task, which goes on with it (`go_on`).
"""

import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, TypeVar

Result = TypeVar("Result")
Work = Coroutine[Any, Any, Result]

PAUSE = "gcc.pause"
"""The extension of an ASGI scope by which an app finds its request's pause."""


class Pause:
    """Of one piece of work. Awaited before anything of Trio's is; over once it is in a task of its own."""

    __slots__ = ("is_over",)

    def __init__(self, *, is_over: bool = False) -> None:
        self.is_over = is_over

    def __await__(self) -> Generator[Any, Any, None]:
        if not self.is_over:
            self.is_over = True
            yield self


OVER = Pause(is_over=True)
"""Of work that is in a task of its own."""


def begin(work: Work[Result]) -> tuple[bool, Result | None]:
    """Whether it has come to its end, and with what; else it stands at its pause. Raises what it raises."""
    try:
        waits_for = work.send(None)
    except StopIteration as ended:
        return True, ended.value
    if not isinstance(waits_for, Pause):
        work.close()
        raise RuntimeError(f"{work!r} waits without a pause before it")
    return False, None


async def go_on(work: Work[Result]) -> Result:
    """The rest of what was begun and paused."""
    return await _rest(work)


@types.coroutine
def _rest(work: Work[Result]) -> Generator[Any, Any, Result]:
    result: Result = yield from work
    return result


@types.coroutine
def _stand(pause: Pause) -> Generator[Any, Any, None]:
    yield pause


async def at_once(
    pause: Pause, work: Work[Result], patiently: Callable[[Awaitable[Result]], Awaitable[Result]]
) -> Result:
    """What `work` ends with. Where it must wait it goes on within `patiently`: its deadline, and what else costs time.

    Part of work that has the same pause.
    """
    if pause.is_over:
        return await patiently(work)
    has_ended, result = begin(work)
    if has_ended:
        return result  # type: ignore[return-value]
    await _stand(pause)
    return await patiently(go_on(work))
