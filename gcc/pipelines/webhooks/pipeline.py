"""Webhooks of tenants: webhook_out_q -> a delivery for each endpoint -> posts.

In: events of the outbox. Out: rows of webhook_delivery, posts, dead letters. Without a master for the secrets events
still arrive, and wait: see `master`.
"""

import base64

import trio

from gcc.actors.patience import Patience
from gcc.channels.batch import BatchLimits
from gcc.channels.memory import Signal
from gcc.config import Settings
from gcc.pipelines.declared import Context
from gcc.pipelines.events.pipeline import WEBHOOKS, consumer, declare
from gcc.pipelines.webhooks.deliverer import Deliverer
from gcc.pipelines.webhooks.events import Arrivals
from gcc.pipelines.webhooks.signing import Secrets
from gcc.sources.outbound import Guarded
from gcc.stores.sealing import Keys
from gcc.stores.webhooks import PostgresWebhooks

DELIVERER = "webhooks/deliverer"
KEY_FILE = "webhooks.key"
MISSING = "webhooks.secret is not set, so nothing can be signed: set GCC_WEBHOOKS__SECRET, the same in every process"
FEW = BatchLimits(rows=50, age_s=0.2, rows_max=500)


def master(settings: Settings) -> bytes | None:
    """What the secrets of endpoints are derived from: of the settings, or, where the database is this process's own,
    of a file beside it, which is made here. None: there is none. ConfigError: the file cannot be read."""
    if settings.webhooks.secret:
        return base64.b64decode(settings.webhooks.secret)
    if settings.postgres.url != "embedded":
        return None
    keys = Keys((), settings.data_dir / KEY_FILE)
    keys.load(make=True)
    return keys.key.bytes


def outbound(settings: Settings) -> Guarded:
    """The way to the endpoints; see also its `allowed`."""
    return Guarded(ports=settings.webhooks.ports, allow_private=settings.webhooks.allow_private)


class WebhookPipeline:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until the stage "intake" of the drain has begun and what was taken is done."""
        context, parts, settings = self._context, self._context.parts, self._context.settings
        await declare(parts, Patience(context.board.actor("webhooks"), context.clock.rng))
        webhooks, arrived = PostgresWebhooks(context.real.pool, context.clock), Signal()
        arrivals = Arrivals(webhooks, parts.dead_letters, arrived)
        secret, actor = master(settings), context.board.actor(DELIVERER)
        async with trio.open_nursery() as nursery:
            for queue in WEBHOOKS:
                await nursery.start(consumer(context, queue, arrivals, FEW, stage="intake").run)
            if secret is None:
                actor.told(MISSING)
            else:
                deliverer = Deliverer(
                    webhooks,
                    outbound(settings),
                    Secrets(secret),
                    context.clock,
                    arrived=arrived,
                    actor=actor,
                    stage=context.drain.stage("intake"),
                    gate=context.gates.gate(DELIVERER),
                )
                await nursery.start(deliverer.run)
            task_status.started()
