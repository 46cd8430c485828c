"""The gateway on a real port over real stores, and a client that holds every answer against the document.

Whatever a test asks, the answer must be an envelope, its data must fit the declared rows, its error code
must be one that the route documents, and the request id must be there. Only the scraping behind a
refresh is scripted here: its own tests are elsewhere.
"""

import datetime as dt
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pydantic
import trio
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from gcc.clock import SystemClock
from gcc.config import Gateway as GatewaySettings
from gcc.config import Settings, Web
from gcc.metrics import Metrics
from gcc.pipelines.scraping.limiting import FULL_REFRESH
from gcc.pipelines.scraping.refresh import Refreshed
from gcc.sources.limits import InProcessLimiter
from gcc.sources.precedence import Precedence
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from gcc.web import serving
from gcc.web.api import shapes
from gcc.web.api.openapi import EVERYWHERE, PLACELESS, errors_of
from gcc.web.gateway.app import Gateway, gateway_app
from tests.fakes.days import FakeDays

TOKEN = "gcc-dev"
NOW = dt.datetime(2026, 10, 15, 20, 0, tzinfo=dt.UTC)  # the 16th, 01:30, in Kolkata


class StillClock(SystemClock):
    """The system's chance, a time that stands still."""

    def now(self) -> dt.datetime:
        return NOW


@dataclass
class ScriptedRefresher:
    """Answers `refreshed`; before that runs `scrape`, which may write what a scrape would."""

    refreshed: Refreshed = field(default_factory=lambda: Refreshed("FAILED", "nothing was to be scraped"))
    scrape: Callable[[], Awaitable[object]] | None = None
    asked: list[tuple[str, str, float]] = field(default_factory=list)

    async def refresh(self, platform: str, handle: str, *, wait_s: float) -> Refreshed:
        self.asked.append((platform, handle, wait_s))
        if self.scrape is not None:
            await self.scrape()
        return self.refreshed


@dataclass
class Api:
    """The served gateway. `call` checks what holds for every answer; `client` asks without looking."""

    app: Gateway
    client: httpx.AsyncClient
    refresher: ScriptedRefresher
    metrics: Metrics
    state: str
    limiter: InProcessLimiter

    async def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        response = await self.client.request(method, path, **options)
        uuid.UUID(response.headers["x-bb-requestid"])
        content = response.json()
        try:
            rule, _ = self.app.url_map.bind("", url_scheme="http").match(
                httpx.URL(path).path, method=method, return_rule=True
            )
        except HTTPException:
            known = {code.name for code in (*PLACELESS, *EVERYWHERE)} | {"UNAUTHORIZED", "DRAINING"}
            assert content["error"]["code"] in known
            return response
        route = self.app.routed[rule.endpoint]
        if response.is_success:
            assert set(content) == {"status", "data", "meta"} and content["status"] == "SUCCESS"
            # Over the wire integers and floats, dates and texts may meet; nothing else may.
            pydantic.TypeAdapter(route.data).validate_python(content["data"])
            shapes.Meta.model_validate(content["meta"])
        else:
            error = shapes.ErrorEnvelope.model_validate(content).error
            assert (error.code, response.status_code) in {(code.name, code.status) for code in errors_of(route)}
            assert error.request_id == response.headers["x-bb-requestid"]
        return response

    async def get(self, path: str, **options: Any) -> httpx.Response:
        return await self.call("GET", path, **options)

    async def refused_raw(self, path: str, headers: dict[str, str]) -> tuple[int, str, str]:
        """(status, code, detail) of a GET that never reaches a route."""
        response = await self.client.get(path, headers=headers)
        error = shapes.ErrorEnvelope.model_validate(response.json()).error
        assert error.request_id == response.headers["x-bb-requestid"]
        return response.status_code, error.code, error.detail

    async def refused(self, method: str, path: str, **options: Any) -> tuple[int, str, str]:
        """(status, code, detail) of a call that must fail."""
        response = await self.call(method, path, **options)
        error = response.json()["error"]
        return response.status_code, error["code"], error["detail"]


@asynccontextmanager
async def served(app: QuartTrio, settings: Settings) -> AsyncIterator[str]:
    """The app's URL while the block runs."""
    draining = trio.Event()
    async with trio.open_nursery() as nursery:

        async def serve(*, task_status: trio.TaskStatus[str]) -> None:
            await serving.serve(
                app, settings.gateway, key="gateway.port", draining=draining, grace_s=5.0, task_status=task_status
            )

        yield await nursery.start(serve)
        draining.set()


@asynccontextmanager
async def serving_api(
    pool: Pool, clickhouse: ClickHouse, *, dev_token: str = TOKEN, **gateway: Any
) -> AsyncIterator[Api]:
    settings = Settings(
        roles=("web",), gateway=GatewaySettings(port=0, **gateway), web=Web(dev_token=dev_token, scrape_wait_s=3.0)
    )
    refresher, metrics = ScriptedRefresher(), Metrics()
    limiter = InProcessLimiter(FULL_REFRESH, FakeDays(StillClock()))
    states: list[Api] = []
    app = gateway_app(
        settings,
        pool=pool,
        clickhouse=clickhouse,
        refresher=refresher,
        limiter=limiter,
        clock=StillClock(),
        precedence=Precedence(),
        metrics=metrics,
        state=lambda: states[0].state,
        due={"sync_leaderboard_prod": "2026-10-16T20:15:00Z"}.get,
    )
    assert isinstance(app, Gateway)
    async with served(app, settings) as url:
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=20, trust_env=False) as client:
            api = Api(app, client, refresher, metrics, "ready", limiter)
            states.append(api)
            yield api


async def add_instagram(pool: Pool, handle: str, **columns: Any) -> None:
    row = {
        "id": uuid.uuid5(uuid.NAMESPACE_OID, handle),
        "profile_id": f"ig-{handle.lower()}",
        "handle": handle,
        "followers": 1000,
        "email": "someone@example.org",
        "audience_gender": '{"f": 0.6, "m": 0.4}',
        "keywords": ["food", "travel"],
        "source": "graph",
        "scraped_at": NOW - dt.timedelta(hours=1),
        **columns,
    }
    await insert(pool, "instagram_account", [row])


async def add_youtube(pool: Pool, channel_id: str, handle: str | None, **columns: Any) -> None:
    row = {
        "id": uuid.uuid5(uuid.NAMESPACE_OID, channel_id),
        "channel_id": channel_id,
        "handle": handle,
        "title": f"Channel {handle}",
        "subscribers": 5000,
        "source": "data_api",
        "scraped_at": NOW - dt.timedelta(hours=1),
        **columns,
    }
    await insert(pool, "youtube_account", [row])


async def add_posts(pool: Pool, profile_id: str, published: list[dt.datetime | None]) -> None:
    await insert(
        pool,
        "instagram_post",
        [
            {
                "post_id": f"{profile_id}-{number:03}",
                "shortcode": f"s{number}",
                "profile_id": profile_id,
                "likes": number,
                "hashtags": ["a", "b"],
                "publish_time": at,
                "source": "graph",
                "scraped_at": NOW,
            }
            for number, at in enumerate(published)
        ],
    )


async def insert(pool: Pool, table: str, rows: list[dict[str, Any]]) -> None:
    async with pool.transaction() as conn:
        for row in rows:
            names, marks = ", ".join(row), ", ".join(f"%({name})s" for name in row)
            await conn.execute(f"insert into {table} ({names}) values ({marks})".encode(), row)  # noqa: S608


async def mark_synced(pool: Pool, table: str, *, as_of: dt.datetime = NOW) -> uuid.UUID:
    """What the end of a sync writes: a new snapshot of `table`."""
    snapshot_id = uuid.uuid4()
    async with pool.transaction() as conn:
        await conn.execute("delete from sync_snapshot where table_name = %s", [table])
    await insert(
        pool,
        "sync_snapshot",
        [{"table_name": table, "snapshot_id": snapshot_id, "term": 1, "rows": 1, "as_of": as_of}],
    )
    return snapshot_id
