"""Webhooks of tenants: what they are told of, posted to their endpoints. See docs/webhooks.md."""

from gcc.pipelines.declared import BROKER, CONTROLS, SCHEMA, Pipeline
from gcc.pipelines.events.pipeline import WEBHOOKS as QUEUES
from gcc.pipelines.webhooks.pipeline import DELIVERER, WebhookPipeline

WEBHOOKS = Pipeline(
    "webhooks",
    role="relay",
    stages=("intake",),
    needs=(CONTROLS, SCHEMA),
    uses=(BROKER,),
    real=True,
    pausable=lambda _: {**QUEUES, DELIVERER: DELIVERER},
    build=lambda context: WebhookPipeline(context).run,
)
