"""The gateway's port: brands' programs and their people ask here."""

from collections.abc import Sequence
from functools import partial

import trio

from gcc.pipelines.declared import Context
from gcc.pipelines.scraping import SCRAPING
from gcc.pipelines.scraping.producers import OnDemand
from gcc.stores.postgres_jobs import DONE_CHANNEL
from gcc.web.api.naming import SHOWN, Shown
from gcc.web.gateway.app import gateway_app
from gcc.web.port import keep_open
from gcc.web.serving import serve


class GatewayPort:
    def __init__(self, context: Context, shown: Sequence[Shown] = SHOWN) -> None:
        """`shown`: how the platforms look that are answered for."""
        self._context = context
        self._shown = shown
        self._ports = context.drain.stage("ports")
        scraped = partial(context.real.processes.anybody, SCRAPING.role)
        self._refresher = OnDemand(
            context.real.web_pool, context.parts.jobs, self._ports, context.catalogue.refreshing,
            scraped=scraped, precedence=context.precedence,
        )  # fmt: skip
        context.real.notifications.on(DONE_CHANNEL, self._refresher.job_done)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serves until the stage "ports" of the drain has begun and the requests in hand are answered."""
        context = self._context
        app = gateway_app(
            context.settings,
            pool=context.real.web_pool,
            clickhouse=context.real.clickhouse,
            refresher=self._refresher,
            limiter=context.parts.limiter,
            clock=context.clock,
            metrics=context.metrics,
            precedence=context.precedence,
            state=context.state,
            due=self._due,
            shown=self._shown,
        )

        def opened(url: str) -> None:
            context.urls.update(gateway=url, docs=url + "/docs")

        listen = partial(serve, app, context.settings.gateway, key="gateway.port")
        await keep_open("web/gateway", listen, self._ports, opened, task_status)

    def _due(self, schedule: str) -> str | None:
        """When it runs next (RFC 3339); None: by hand, or another process leads."""
        lines = (line for scheduler in self._context.schedulers for line in scheduler.overview())
        return next((line["next_run"] for line in lines if line["name"] == schedule), None)
