"""The gateway: what brands ask, as a row of the tree."""

from gcc.pipelines.declared import CLICKHOUSE, REDIS, Pipeline
from gcc.web.gateway.port import GatewayPort

GATEWAY = Pipeline(
    "web/gateway",
    role="web",
    stages=("ports",),
    ready_without=(CLICKHOUSE, REDIS),  # for a few answers, and for rates: it says so where one is away
    rooms=("web",),
    real=True,
    build=lambda context: GatewayPort(context).run,
)
