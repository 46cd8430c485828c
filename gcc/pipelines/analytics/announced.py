"""The consumers of what schedules announce: changed accounts, and alerts, each on its queue.

In: deliveries. Out: derived columns of the current state, posts to the webhook, dead letters.
"""

import trio

from gcc.actors.patience import Patience
from gcc.channels.batch import BatchLimits
from gcc.pipelines.analytics.account_upserts import ANNOUNCED, DerivedColumns
from gcc.pipelines.analytics.alerts import Webhook
from gcc.pipelines.declared import Context
from gcc.pipelines.events.pipeline import consumer, declare
from gcc.sources.outbound import Guarded

CHANGES = BatchLimits(rows=200, age_s=1.0, rows_max=2000)
POSTS = BatchLimits(rows=5, age_s=0.2, rows_max=5)
"""A batch must be done within the consumer's deadline, also where each post takes its ten seconds."""


class AnnouncedPipeline:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until the stage "intake" of the drain has begun and what was taken is written, or given back."""
        context, parts = self._context, self._context.parts
        await declare(parts, Patience(context.board.actor("announced"), context.clock.rng))
        operators = Guarded(allow_private=True)  # alerts.url may lead into the operator's own network
        webhook = Webhook(operators, parts.dead_letters, context.clock, context.settings.alerts)
        async with trio.open_nursery() as nursery:
            for row in ANNOUNCED:
                changes = DerivedColumns(row, context.real.pool, parts.dead_letters)
                await nursery.start(consumer(context, row.queue, changes, CHANGES, stage="intake").run)
            await nursery.start(consumer(context, "alert_q", webhook, POSTS, stage="intake").run)
            task_status.started()
