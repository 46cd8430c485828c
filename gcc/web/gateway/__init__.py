"""The gateway: what brands ask, as a row of the tree."""

from gcc.pipelines.declared import CLICKHOUSE, Pipeline
from gcc.web.gateway.port import GatewayPort

GATEWAY = Pipeline(
    "web/gateway",
    role="web",
    stages=("ports",),
    uses=(CLICKHOUSE,),  # a few answers: it says so where that is away
    rooms=("web",),
    real=True,
    build=lambda context: GatewayPort(context).run,
)
