"""Analytics: events -> models -> synced tables, by schedule, under one leader."""

from gcc.pipelines.analytics.pipeline import SCHEDULER, AnalyticsPipeline
from gcc.pipelines.declared import CLICKHOUSE, CONTROLS, Pipeline

ANALYTICS = Pipeline(
    "analytics",
    role="analytics",
    stages=("intake",),
    needs=(CONTROLS, CLICKHOUSE),
    real=True,
    pausable=lambda _: {SCHEDULER: SCHEDULER},
    build=lambda context: AnalyticsPipeline(context).run,
)
