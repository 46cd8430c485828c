"""The OpenAPI document of the gateway's port without the port: the same routes, none of which is ever called."""

from typing import Any

import gcc
from gcc.clock import SystemClock
from gcc.config import Settings
from gcc.metrics import Metrics
from gcc.sources.precedence import Precedence
from gcc.web.api import openapi
from gcc.web.gateway.app import gateway_app
from gcc.web.gateway.elsewhere import remote_identity
from gcc.web.identity.connections import Connecting
from gcc.web.identity.tokens import Secret


def document(settings: Settings) -> dict[str, Any]:
    store: Any = None  # there is none here
    clock = SystemClock()
    app = gateway_app(
        settings,
        pool=store,
        platform=store,
        clickhouse=store,
        refresher=store,
        limiter=store,
        clock=clock,
        metrics=Metrics(),
        precedence=Precedence(),
        state=lambda: "starting",
        keys=[Secret(b"")],  # signs nothing
        bus=store,
        connecting=Connecting(store, store),
        objects=store,
        remote=remote_identity(settings, store, clock),
    )
    return openapi.document(app.routed.values(), gcc.__version__)
