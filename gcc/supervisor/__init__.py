"""Supervision of Trio actors: who is restarted when, how all stop in order, and what each is doing.

An actor is `async def run(*, task_status)`; it calls `started()` when it can work. Supervisors start their
children in order, each when the one before can work; restart those that end, by a strategy, after a jittered
backoff; give up when one keeps failing, which is then their own supervisor's affair; and stop them in reverse.

    policy      which exit brings whom back, and when it is enough: pure
    backoff     how long before the next try: pure
    breaker     when to stop asking what does not answer: pure
    supervisor  the Trio shell around policy and backoff
    lifecycle   the board: one line an actor (state, restarts, errors, rates, where it stood when it broke)
    watchdog    finds actors for which work waits and nothing moves, and has them restarted
    drain       the orderly end, in stages: stop taking, finish what is held

The package needs Trio and nothing else of this repository (`__main__` apart, which is the platform's command).
Alone it is used like this:

>>> import datetime, random, trio, trio.testing
>>> from gcc.supervisor import Backoff, Board, Child, Supervisor
>>> lives = 0
>>> async def fetcher(*, task_status):
...     global lives
...     lives += 1
...     print(f"life {lives} of the fetcher")
...     task_status.started()
...     if lives < 3:
...         raise OSError("connection lost")
...     await trio.sleep_forever()
>>> async def main():
...     board = Board(lambda: datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))  # or any time of day
...     children = [Child("fetcher", fetcher)]
...     root = Supervisor("root", children, board=board, rng=random.Random(1), backoff=Backoff(0.1, 5.0))
...     with trio.move_on_after(60):  # cancelled, it stops its children, last started first
...         await root.run()
...     line = board.actor("fetcher")
...     print(line.state, line.restarts, line.last_error)
>>> trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))  # 60 s that take no time
life 1 of the fetcher
life 2 of the fetcher
life 3 of the fetcher
finished 2 OSError: connection lost
"""

from gcc.supervisor.backoff import Backoff
from gcc.supervisor.breaker import Breaker
from gcc.supervisor.drain import Drain, Stage, intake_open, take_until
from gcc.supervisor.lifecycle import Actor, Board, State, Stuck
from gcc.supervisor.policy import Intensity, Restart, Strategy
from gcc.supervisor.supervisor import Child, RestartsExceeded, Supervisor
from gcc.supervisor.watchdog import Watchdog

__all__ = [
    "Actor",
    "Backoff",
    "Board",
    "Breaker",
    "Child",
    "Drain",
    "Intensity",
    "Restart",
    "RestartsExceeded",
    "Stage",
    "State",
    "Strategy",
    "Stuck",
    "Supervisor",
    "Watchdog",
    "intake_open",
    "take_until",
]
