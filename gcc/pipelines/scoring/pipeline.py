"""The scorer: creator_follower_in -> worker processes -> creator_out.

In: followers of creators. Out: an event for each, by the outbox; dead letters. Any number of processes with the role
"scorer" share the queue; each has as many workers as its machine has cores, unless it is told otherwise.
"""

import os
from collections.abc import Collection, Mapping

import trio

from gcc import statements
from gcc.actors.patience import Patience
from gcc.channels.batch import BatchLimits
from gcc.pipelines.declared import BROKER, CONTROLS, SCHEMA, Context, Pipeline
from gcc.pipelines.events.pipeline import SCORERS, consumer, declare
from gcc.pipelines.scoring.batches import Batches, Creators
from gcc.pipelines.scoring.tally import Tally
from gcc.stores import profiles_read
from gcc.stores.postgres import Pool

QUEUE = "creator_follower_in"
FOLLOWERS = BatchLimits(rows=2000, age_s=0.5, rows_max=5000, bytes_max=2 << 20)
"""By their bytes, too: of other producers' messages nobody tells how many followers they have."""
_SQL = statements.load("history")


def processes_of(workers: int) -> int:
    """How many score at once; 0: as many as this process may use cores."""
    return workers or len(os.sched_getaffinity(0))


class ScoringPipeline:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._tally = Tally(context.clock, context.metrics)
        context.tallies.append(self._tally)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until the stage "intake" of the drain has begun and what was taken is answered, or given back."""
        context, parts = self._context, self._context.parts
        actor = context.board.actor(SCORERS[QUEUE])
        await declare(parts, Patience(context.board.actor("scoring"), context.clock.rng))
        async with parts.scorers() as scorers:
            batches = Batches(
                scorers,
                parts.emit,
                parts.dead_letters,
                parts.erasures,
                context.clock,
                self._tally,
                actor,
                _none_known if parts.real is None else self._creators(parts.real.pool),
            )
            await consumer(context, QUEUE, batches, FOLLOWERS, stage="intake").run(task_status=task_status)

    def _creators(self, pool: Pool) -> Creators:
        platforms = tuple(self._context.catalogue.platforms.values())
        statement = _SQL["ids_of_handles"].replace("{named}", profiles_read.named(platforms))

        async def known(creators: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], str]:
            asked = sorted(creators)
            arguments = {"platforms": [each for each, _ in asked], "handles": [handle for _, handle in asked]}
            async with pool.connection() as conn:
                rows = await (await conn.execute(statement, arguments)).fetchall()
            return {(platform, handle): profile_id for platform, handle, profile_id in rows}

        return known


async def _none_known(creators: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], str]:
    await trio.lowlevel.checkpoint()
    return {}


SCORING = Pipeline(
    "scoring",
    role="scorer",
    stages=("intake",),
    needs=(CONTROLS, SCHEMA),
    uses=(BROKER,),
    pausable=lambda _: SCORERS,
    build=lambda context: ScoringPipeline(context).run,
)
"""Here, not in the folder's __init__.py: the workers import the scorer from the same folder, and none of this."""
