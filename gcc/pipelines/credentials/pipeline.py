"""The listeners of credentials, each on its queue.

In: deliveries. Out: credentials, jobs that probe one, dead letters without secrets.
"""

import trio

from gcc.actors.consumer import Handler
from gcc.actors.patience import Patience
from gcc.channels.batch import BatchLimits
from gcc.pipelines.credentials.listeners import Expired, NewTokens, Probes
from gcc.pipelines.declared import Context
from gcc.pipelines.events.pipeline import consumer, declare
from gcc.stores.connections import PostgresGrants

FEW = BatchLimits(rows=50, age_s=0.2, rows_max=500)
"""They come one by one, and somebody waits for what they bring."""


class CredentialsPipeline:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until the stage "intake" of the drain has begun and what was taken is stored."""
        context, parts = self._context, self._context.parts
        await declare(parts, Patience(context.board.actor("credentials"), context.clock.rng))
        sources = context.catalogue.sources
        grants = None if parts.real is None else PostgresGrants(parts.real.pool, parts.real.keys)
        handlers: dict[str, Handler] = {
            "identity_token_q": NewTokens(parts.credentials, parts.dead_letters, context.clock, sources, grants),
            "credentials_validate_q": Probes(parts.jobs, parts.dead_letters, sources),
            "access_token_expired_q": Expired(grants, parts.dead_letters, context.clock),
        }
        async with trio.open_nursery() as nursery:
            for queue, handler in handlers.items():
                await nursery.start(consumer(context, queue, handler, FEW, stage="intake").run)
            task_status.started()
