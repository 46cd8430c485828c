"""Events: from the outbox to the queues, and from the queues to the event store."""

from gcc.pipelines.declared import BROKER, CLICKHOUSE, CONTROLS, Pipeline
from gcc.pipelines.events.pipeline import CONSUMERS, LISTENERS, RelayPipeline, SinkPipeline

RELAY = Pipeline(
    "events/relay",
    role="relay",
    stages=("relay",),
    uses=(BROKER,),  # a broker that is away is waited for by who speaks to it
    pausable=lambda _: {"events/relay": "events/relay"},
    build=lambda context: RelayPipeline(context).run,
)
SINKERS = Pipeline(
    "events/sinkers",
    role="sinker",
    stages=("sinkers",),
    needs=(CONTROLS, CLICKHOUSE),
    uses=(BROKER,),
    pausable=lambda _: {queue: actor for queue, actor in CONSUMERS.items() if queue not in LISTENERS},
    build=lambda context: SinkPipeline(context).run,
)
