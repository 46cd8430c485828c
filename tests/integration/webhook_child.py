"""A process that delivers webhooks, for a test that kills it: `python -m tests.integration.webhook_child CONNINFO`."""

import sys

import trio

from gcc.channels.memory import Signal
from gcc.clock import SystemClock
from gcc.pipelines.webhooks.deliverer import Deliverer
from gcc.pipelines.webhooks.signing import Secrets
from gcc.sources.outbound import Guarded
from gcc.stores.postgres import Pool
from gcc.stores.webhooks import PostgresWebhooks
from gcc.supervisor.drain import Stage
from gcc.supervisor.lifecycle import Board

MASTER = b"m" * 32


async def deliver(conninfo: str) -> None:
    clock = SystemClock()
    deliverer = Deliverer(
        PostgresWebhooks(Pool(conninfo, 4, name="child"), clock), Guarded(allow_private=True), Secrets(MASTER), clock,
        arrived=Signal(), actor=Board(clock.now).actor("webhooks/deliverer"), stage=Stage("intake"),
    )  # fmt: skip
    await deliverer.run()


if __name__ == "__main__":
    trio.run(deliver, sys.argv[1])
