"""Analytics: events -> models -> synced tables, by schedule, under one leader."""

from gcc.pipelines.analytics.announced import AnnouncedPipeline
from gcc.pipelines.analytics.pipeline import REPLICA, AnalyticsPipeline
from gcc.pipelines.declared import BROKER, CLICKHOUSE, CONTROLS, SCHEMA, Pipeline
from gcc.pipelines.events.pipeline import ANNOUNCED as QUEUES
from gcc.pipelines.timetable import SCHEDULER

ANALYTICS = Pipeline(
    "analytics",
    role="analytics",
    stages=("intake",),
    needs=(CONTROLS, CLICKHOUSE),
    real=True,
    pausable=lambda _: {SCHEDULER: SCHEDULER, REPLICA: REPLICA},
    build=lambda context: AnalyticsPipeline(context).run,
)
ANNOUNCED = Pipeline(
    "announced",
    role="analytics",
    stages=("intake",),
    needs=(CONTROLS, SCHEMA),
    uses=(BROKER,),
    real=True,
    pausable=lambda _: QUEUES,
    build=lambda context: AnnouncedPipeline(context).run,
)
