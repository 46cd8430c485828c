"""Bugs of the scorer, planted as those of planted.py are."""

import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from gcc.channels.message import Frame
from gcc.channels.outbox import Emit
from gcc.errors import Transient
from gcc.pipelines.events.schemas import CreatorFollowerScore
from gcc.pipelines.scoring import batches
from gcc.pipelines.scoring.asked import Asked, answered
from gcc.pipelines.scoring.batches import Batches
from gcc.pipelines.scoring.record import Scored
from tests.simulation.planting import Patch, bug


@bug
def slice_refused_for_one(patch: Patch) -> None:
    """Who was scored together with one over whom a worker died is refused with it."""
    patch.setattr(batches, "SLICES", (500,))


@bug
def slice_of_a_dead_worker_forgotten(patch: Patch) -> None:
    """A slice over which a worker died is left out, and the rest of the batch is settled."""

    async def answers(self: Batches, asked: Sequence[Asked]) -> list[tuple[Asked, Scored]]:
        for part in self._slices(asked):
            await self._score(part, [])
        return [(each, self._known[each.key]) for each in asked if each.key in self._known]

    patch.setattr(Batches, "_answers", answers)


@bug
def answers_get_new_ids(patch: Patch) -> None:
    """A question that is delivered again is answered by another event."""
    times: dict[uuid.UUID, int] = {}

    def anew(asked: Asked, scored: Scored) -> CreatorFollowerScore:
        times[asked.id] = times.get(asked.id, 0) + 1
        if times[asked.id] == 1:
            return answered(asked, scored)
        return answered(replace(asked, id=uuid.uuid5(asked.id, str(times[asked.id]))), scored)

    patch.setattr(batches, "answered", anew)


@bug
def answers_lost_with_their_commit(patch: Patch) -> None:
    """Answers that could not be committed are taken for told."""
    made = Batches.__init__

    def careless(self: Batches, scorers: object, emit: Emit, *more: object) -> None:
        async def tried(frames: Sequence[Frame]) -> None:
            with suppress(Transient):
                await emit(frames)

        made(self, scorers, tried, *more)  # type: ignore[arg-type]

    patch.setattr(Batches, "__init__", careless)
