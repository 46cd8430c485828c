"""Finds actors that are stuck: work waits for them, and nothing has moved for too long.

In: the board's watched blocks (`Actor.watched`) and their beats. Out: a stuck block is cancelled and ends with
Stuck, which its supervisor handles like any crash; where its tasks stood is kept in the actor's line. A block
that does not react to its cancellation goes on, and stays visible as stuck.
"""

import traceback
from collections import Counter
from collections.abc import Iterator

import trio

from gcc.supervisor.lifecycle import STACK_CHARS_MAX, Actor, Board, State, Stuck, Watch

FRAMES_MAX = 12  # of each task, the innermost


class Watchdog:
    """Looks at each watched block every `every_s`.

    A block is found stuck between `stuck_after_s` and 2 * `every_s` later than that. The watchdog counts its
    own rounds, not the time between them: a process that itself stood still (SIGSTOP) found nobody stuck.
    """

    def __init__(self, board: Board, every_s: float = 5.0) -> None:
        self._board = board
        self._every_s = every_s

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Never returns."""
        task_status.started()
        while True:
            await trio.sleep(self._every_s)
            for actor in self._board.actors():
                for watch in actor.watches:
                    self._look(actor, watch)

    def _look(self, actor: Actor, watch: Watch) -> None:
        if watch.stuck:
            return
        idle = not watch.work_waits() or actor.state is State.PAUSED or actor.breaker == "open"
        if idle or actor.beats != watch.beats_seen:
            watch.beats_seen, watch.waited_s = actor.beats, 0.0
            return
        watch.waited_s += self._every_s
        if watch.waited_s >= watch.stuck_after_s:
            watch.stuck = Stuck(actor.name, watch.waited_s, stack_of(watch.task))
            actor.last_stack = watch.stuck.stack
            actor.erred(watch.stuck)
            watch.scope.cancel()


def stack_of(task: trio.lowlevel.Task) -> str:
    """Where the task and all below it wait, outermost call first; tasks that stand alike are told once. Bounded."""
    tasks = list(_family(task))
    alike = Counter(where for _, where in tasks)
    named = {where: name for name, where in reversed(tasks)}
    parts = [f"{named[where]}{f' and {n - 1} more' if n > 1 else ''}:\n{where}" for where, n in alike.items()]
    text = "\n".join(parts)
    return text if len(text) <= STACK_CHARS_MAX else text[: STACK_CHARS_MAX - 1] + "…"


def _family(task: trio.lowlevel.Task) -> Iterator[tuple[str, str]]:
    """(name, where it waits) of the task and, after it, of each in its nurseries, and so on."""
    frames = traceback.StackSummary.extract(task.iter_await_frames())
    yield task.name, "".join(traceback.StackSummary.from_list(frames[-FRAMES_MAX:]).format())
    for nursery in task.child_nurseries:
        for child in sorted(nursery.child_tasks, key=lambda child: child.name):
            yield from _family(child)
