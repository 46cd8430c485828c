"""The Trio shell around `policy`: starts children in order, watches, restarts and stops them in reverse.

In: children (async functions that call `started()` when they can work). Out: their lines on the board.
A child's exit is judged by the policy. A restart first dismisses all lives that it touches, at once, so
that a second exit of the same tick counts for nothing; then a task of its own stops what is left of them,
waits out the backoff and begins them again, while siblings go on and exits are still heard.

A child that keeps failing ends the supervisor with RestartsExceeded; so a supervisor is a child like any
other and its parent decides. Only `Exception` is handled: KeyboardInterrupt and the like pass (in the
group that the nursery makes), after the other children were stopped.
"""

import random
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import trio

from gcc.supervisor.backoff import Backoff
from gcc.supervisor.lifecycle import Actor, Board, State, one_line
from gcc.supervisor.policy import Intensity, Policy, Restart, Strategy

STOPPING_CHECK_S = 0.5  # `stopping` is a question, not an event: a backoff asks it this often


class RestartsExceeded(Exception):
    """A child kept failing and its supervisor has given up. `name` is the child's; the cause is its last error."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(message)
        self.name = name


@dataclass(frozen=True, slots=True)
class Child:
    """`run(*, task_status)` calls `started()` when it can work. `name` is its line on the board.

    When all children are stopped, those started earlier are left alone until this one has ended, or
    for `stop_s` after its cancellation.
    """

    name: str
    run: Callable[..., Awaitable[None]]
    restart: Restart = Restart.PERMANENT
    stop_s: float = 10.0


class Supervisor:
    """Keeps `children` alive by `strategy` and `intensity`, with `backoff` (jittered by `rng`) before restarts.

    While `stopping()` is true nothing is restarted: exits are recorded, and run() returns when all have ended.
    """

    def __init__(
        self,
        name: str,
        children: Sequence[Child],
        *,
        board: Board,
        rng: random.Random,
        strategy: Strategy = Strategy.ONE_FOR_ONE,
        intensity: Intensity = Intensity(),  # noqa: B008 (frozen)
        backoff: Backoff = Backoff(0.1, 30.0),  # noqa: B008 (frozen)
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        names = [child.name for child in children]
        if len(set(names)) != len(names):
            raise ValueError(f"children of {name} must have different names: {', '.join(names)}")
        self.name = name
        self.children = tuple(children)
        self.strategy = strategy
        self.intensity = intensity
        self.backoff = backoff
        self.board = board
        self.rng = rng
        self.stopping = stopping

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start the children, call `started()` when each has been started once, return when all ended for good.

        Raises the error of a child whose first start failed, as it is, or RestartsExceeded; by then all
        other children have been stopped. Cancelled: stops the children, last started first.
        """
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            watch = _Watch(self, nursery)
            try:
                failure = await watch.oversee(task_status)
            finally:
                await watch.stop()
                nursery.cancel_scope.cancel()  # restarts that still back off
        if failure is not None:  # raised out here, the nursery does not wrap it
            raise failure


class _Life:
    """One incarnation of a child, and the task status that the child calls."""

    def __init__(self, post: "_Post") -> None:
        self.post = post
        # The child feels no cancellation from outside: the supervisor does, and passes it on by stop(),
        # child by child in reverse order. So this shield lasts no longer than stop() lets it.
        self.scope = trio.CancelScope(shield=True)
        self.started_at: float | None = None
        self.settled = trio.Event()  # started, or ended before
        self.ended = trio.Event()
        self.error: Exception | None = None
        self.dismissed = False  # the supervisor has decided about this life: its exit is no news

    def started(self, value: object = None) -> None:
        """Called by the child when it can work. `value` is for starters that want one; we do not."""
        if self.started_at is not None:
            raise RuntimeError(f"{self.post.child.name} called started() twice")
        self.started_at = trio.current_time()
        self.settled.set()
        self.post.met = True
        if not self.dismissed:
            self.post.actor.state = State.RUNNING

    async def stop(self) -> None:
        """Cancel the child and wait until it has ended. The caller says how long."""
        self.dismissed = True
        self.scope.cancel()
        await self.ended.wait()


@dataclass(eq=False, slots=True)
class _Post:
    """A child's place under its supervisor, through all its lives."""

    child: Child
    actor: Actor
    life: _Life | None = None
    turn: int | None = None  # number of the restart that is to begin it; None when none is
    met: bool = False  # has been started once
    gone: bool = False  # its last life has ended, or is to be the last

    @property
    def lives(self) -> bool:
        return self.life is not None and not self.life.ended.is_set()


class _Watch:
    """One run of a supervisor."""

    def __init__(self, supervisor: Supervisor, nursery: trio.Nursery) -> None:
        self._supervisor = supervisor
        self._nursery = nursery
        self._posts = {c.name: _Post(c, supervisor.board.actor(c.name)) for c in supervisor.children}
        self._policy = Policy(supervisor.strategy, supervisor.intensity)
        self._exits: deque[_Life] = deque()  # at most one a life
        self._news = trio.Event()
        self._restarts = 0

    async def oversee(self, task_status: trio.TaskStatus[None]) -> Exception | None:
        """Return why the supervisor must give up, or None when all children have ended for good."""
        posts = self._posts.values()
        told = False
        self._restart(list(posts), delay_s=0.0)
        while True:
            if not told and all(post.met or post.gone for post in posts):
                told = True
                task_status.started()
            if all(post.gone for post in posts):
                return None
            await self._news.wait()  # without a deadline: to wait for exits is what a supervisor does
            self._news = trio.Event()
            while self._exits:
                if failure := self._judge(self._exits.popleft()):
                    return failure

    async def stop(self) -> None:
        """Stop all children in reverse order; none is begun any more."""
        for post in self._posts.values():
            post.turn = None
        for post in reversed(self._posts.values()):
            if post.life is not None:
                with trio.move_on_after(post.child.stop_s, shield=True):
                    await post.life.stop()
            if not post.gone:
                self._retire(post)

    def _judge(self, life: _Life) -> Exception | None:
        """Act on one exit; return why the supervisor must give up, if it must."""
        if life.dismissed:
            return None
        post, error, now = life.post, life.error, trio.current_time()
        name = post.child.name
        if self._supervisor.stopping():
            self._retire(post)
            self._retire_waiting()
            return None
        if not post.met and error is not None:
            self._retire(post)
            return error
        verdict = self._policy.judge(post.child.restart, failed=error is not None, now=now)
        if verdict == "forget":
            self._retire(post)
            return None
        if verdict == "escalate":
            self._retire(post)
            post.actor.state = State.FAILED  # also where it kept returning
            return self._exceeded(name, error)
        ran_s = 0.0 if life.started_at is None else now - life.started_at
        failures = self._policy.failures_in_a_row(name, ran_s=ran_s)
        names = self._policy.affected(list(self._posts), name)
        posts = [self._posts[affected] for affected in names]
        group = [post for post in posts if post.lives or not post.gone]
        self._restart(group, delay_s=self._supervisor.backoff.delay_s(failures, self._supervisor.rng))
        return None

    def _exceeded(self, name: str, error: Exception | None) -> RestartsExceeded:
        limit = self._supervisor.intensity
        restarts = f"more than {limit.max_restarts} restarts in {limit.window_s:g} s"
        last = one_line(error) if error else "it returned, though permanent"
        exceeded = RestartsExceeded(name, f"{self._supervisor.name}: {name} needs {restarts}; last: {last}")
        exceeded.__cause__ = error
        return exceeded

    def _retire(self, post: _Post) -> None:
        """Begin no more lives of it. Its line says so when the last one has ended."""
        post.gone, post.turn = True, None
        if not post.lives:
            failed = post.life is not None and post.life.error is not None
            post.actor.state = State.FAILED if failed else State.FINISHED

    def _retire_waiting(self) -> None:
        for post in self._posts.values():
            if post.turn is not None:
                self._retire(post)

    def _restart(self, group: list[_Post], delay_s: float) -> None:
        """Decide, in one step, that the group (in start order) is to be stopped and begun again.

        Whoever waited for an earlier restart waits for this one from now on.
        """
        self._restarts += 1
        lives = [post.life for post in group if post.life is not None]
        for life in lives:
            life.dismissed = True
        for post in group:
            if post.gone or (post.life is not None and post.child.restart is Restart.TEMPORARY):
                self._retire(post)  # it is waited for, and not begun again
            else:
                post.turn = self._restarts
                post.actor.state = State.BACKOFF if post.life is not None else State.STARTING
        self._nursery.start_soon(self._revive, group, lives, self._restarts, delay_s)

    async def _revive(self, group: list[_Post], lives: list[_Life], turn: int, delay_s: float) -> None:
        """Stop what still lives, last first; wait; begin those whose turn this still is, in order."""
        for life in reversed(lives):
            await life.stop()  # without a deadline: a child must not have two lives at once
        stopping, due = self._supervisor.stopping, trio.current_time() + delay_s
        while (left_s := due - trio.current_time()) > 0 and not stopping():  # noqa: ASYNC110 (a bounded poll)
            await trio.sleep(min(left_s, STOPPING_CHECK_S))
        for post in group:
            if stopping():
                self._retire_waiting()
            if post.turn == turn:
                life = self._begin(post)
                await life.settled.wait()  # without a deadline: how long a start may take is the child's affair
                if life.started_at is None:
                    return  # its exit decides about the rest of the group
                self._news.set()
        self._news.set()

    def _begin(self, post: _Post) -> _Life:
        if post.life is not None:
            post.actor.restarted(self._supervisor.intensity.window_s)
        post.actor.state = State.STARTING
        post.turn = None
        post.life = _Life(post)
        self._nursery.start_soon(self._live, post.life, name=post.child.name)
        return post.life

    async def _live(self, life: _Life) -> None:
        """Run one life to its end and report it."""
        child, actor = life.post.child, life.post.actor
        try:
            with life.scope:
                await child.run(task_status=life)
            if life.started_at is None and not life.dismissed and not self._supervisor.stopping():
                raise RuntimeError(f"{child.name} ended before it called started()")
        except Exception as error:
            life.error = error
            actor.crashed(error)
        finally:
            life.settled.set()
            life.ended.set()
            if life.post.gone:
                self._retire(life.post)
        self._exits.append(life)
        self._news.set()
