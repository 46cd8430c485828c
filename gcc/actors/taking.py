"""Takes leased work on, as much as there is room for: the loop of actors whose pieces run side by side.

In: pieces, claimed from a store. Out: whatever is done with each. A store that is away is waited for. At drain, and for
a pause, nothing more is claimed, and what was claimed is done.
"""

import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import trio

from gcc.actors.gates import Gate
from gcc.actors.patience import Patience
from gcc.channels.memory import Signal
from gcc.errors import Transient
from gcc.supervisor.drain import Stage, take_until
from gcc.supervisor.lifecycle import Actor, State

T = TypeVar("T")


async def take_on(
    claim: Callable[[int], Awaitable[Sequence[T]]],
    do: Callable[[T], Awaitable[None]],
    *,
    at_once: int,
    poll_s: float,
    news: Signal,
    actor: Actor,
    stage: Stage,
    gate: Gate,
    rng: random.Random,
    task_status: trio.TaskStatus[None],
) -> None:
    """Runs until the stage has begun and what was claimed is done. `claim(room)` raises Transient, `do` nothing.

    Where nothing was to be had, `news` tells that there is something, or `poll_s` later it is looked for.
    """
    patience = Patience(actor, rng)

    async def done(piece: T) -> None:
        try:
            await do(piece)
        finally:
            actor.in_flight -= 1
            news.set()  # there is a place

    with stage.member(actor.name):
        actor.state = State.RUNNING
        actor.in_flight = 0
        task_status.started()
        async with trio.open_nursery() as pieces:
            while not stage.begun.is_set():
                await gate.passed(stage, actor)
                room, claimed = at_once - actor.in_flight, list[T]()
                try:
                    if room > 0 and gate.is_open and not stage.begun.is_set():
                        claimed.extend(await claim(room))  # a moment: a drain does not cut it short
                except Transient as error:
                    await take_until(stage, partial(patience.wait_after, error))
                    continue
                patience.reset()
                for piece in claimed:
                    actor.in_flight += 1
                    pieces.start_soon(done, piece)
                if not claimed:
                    await take_until(stage, partial(news.wait, poll_s))
    actor.state = State.FINISHED
