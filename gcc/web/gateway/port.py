"""The gateway's port: brands' programs and their people ask here."""

from collections.abc import Sequence
from functools import partial

import trio

from gcc.pipelines.declared import Context
from gcc.pipelines.scraping import SCRAPING
from gcc.pipelines.scraping.producers import OnDemand
from gcc.pipelines.scraping.table import address
from gcc.sources.consents import App, ConsentApi
from gcc.sources.http import Fetcher
from gcc.sources.tokens.renewals import SOURCE as TOKENS
from gcc.stores.call_windows import CallWindows
from gcc.stores.erasures import ERASED_CHANNEL
from gcc.stores.postgres_identity import INVALIDATE_CHANNEL
from gcc.stores.postgres_jobs import DONE_CHANNEL
from gcc.web.api.naming import SHOWN, Shown
from gcc.web.gateway.app import gateway_app
from gcc.web.gateway.elsewhere import remote_identity
from gcc.web.gateway.repeated import Repeated
from gcc.web.identity.bus import Bus
from gcc.web.identity.connections import Connecting
from gcc.web.identity.tokens import secrets_of
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
        self._repeated = Repeated(context.settings.web.repeated_s)
        for channel in (DONE_CHANNEL, ERASED_CHANNEL):
            context.real.notifications.on(channel, self._repeated.forget)
        self._bus = Bus(context.real.terms_pool)
        context.real.notifications.on(INVALIDATE_CHANNEL, self._bus.heard)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serves until the stage "ports" of the drain has begun and the requests in hand are answered."""
        async with self._context.parts.fetcher() as fetcher:
            await self._serve(fetcher, task_status)

    async def _serve(self, fetcher: Fetcher, task_status: trio.TaskStatus[None]) -> None:
        context = self._context
        app = gateway_app(
            context.settings,
            pool=context.real.web_pool,
            platform=context.real.pool,
            clickhouse=context.real.clickhouse,
            refresher=self._refresher,
            limiter=context.parts.limiter,
            clock=context.clock,
            metrics=context.metrics,
            precedence=context.precedence,
            state=context.state,
            keys=secrets_of(context.settings),
            bus=self._bus,
            call_windows=None if context.real.redis is None else CallWindows(context.real.redis),
            connecting=Connecting(ConsentApi(fetcher, context.clock, self._apps(), self._stand_in), context.real.keys),
            objects=context.parts.objects,
            remote=remote_identity(context.settings, fetcher, context.clock),
            due=self._due,
            repeated=self._repeated,
            shown=self._shown,
        )

        def opened(url: str) -> None:
            context.urls.update(gateway=url, docs=url + "/docs")

        listen = partial(serve, app, context.settings.gateway, key="gateway.port")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._bus.run)
            nursery.start_soon(app.authenticator.run)
            await keep_open("web/gateway", listen, self._ports, opened, task_status)
            nursery.cancel_scope.cancel()
        await app.aclose()

    def _apps(self) -> dict[str, App]:
        """What the platforms have registered us as: of the settings, else the world's."""
        own = self._context.settings.connect.items()
        given = {name.upper(): App(app.client_id, app.client_secret) for name, app in own if app.client_id}
        return {**self._context.apps, **given}

    def _stand_in(self) -> str:
        """What answers in the place of the platforms' own hosts: '' where nothing does."""
        context = self._context
        return address(context.settings, context.catalogue.sources[TOKENS], context.urls.get("world"))

    def _due(self, schedule: str) -> str | None:
        """When it runs next (RFC 3339); None: by hand, or another process leads."""
        lines = (line for scheduler in self._context.schedulers for line in scheduler.overview())
        return next((line["next_run"] for line in lines if line["name"] == schedule), None)
