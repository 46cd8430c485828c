"""The gateway on a real port over real stores, and a client that holds every answer against the document.

Whatever a test asks, the answer must be an envelope, its data must fit the declared rows, its error code
must be one that the route documents, and the request id must be there. Only the scraping behind a
refresh is scripted here: its own tests are elsewhere.
"""

import base64
import datetime as dt
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

import httpx
import pydantic
import trio
import werkzeug.routing
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from gcc.channels.objects import Objects
from gcc.clock import SystemClock
from gcc.config import Gateway as GatewaySettings
from gcc.config import Limits, RateClass, Settings, Web, Webhooks
from gcc.config.sections import Service
from gcc.metrics import Metrics
from gcc.pipelines.scraping.limiting import FULL_REFRESH
from gcc.pipelines.scraping.refresh import Refreshed
from gcc.sources.consents import App, ConsentApi
from gcc.sources.http import HttpFetcher
from gcc.sources.limits import InProcessLimiter
from gcc.sources.precedence import Precedence
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from gcc.stores.sealing import Key, Keys
from gcc.web import serving
from gcc.web.api import openapi, shapes
from gcc.web.api.openapi import EVERYWHERE, PLACELESS, errors_of
from gcc.web.api.route import Route
from gcc.web.gateway.app import Gateway, gateway_app
from gcc.web.gateway.elsewhere import remote_identity
from gcc.web.gateway.repeated import Repeated
from gcc.web.identity.bus import Bus
from gcc.web.identity.connections import Connecting
from gcc.web.identity.tokens import Secret
from tests.certificates import PLAIN
from tests.fakes.days import FakeDays
from tests.fakes.objects import MemoryObjects
from tests.fixtures_postgres import of_requests

TOKEN = "gcc-dev"
KEY = Secret(b"k" * 32)
WEBHOOKS_MASTER = b"m" * 32
NO_OBJECTS = MemoryObjects()
Calls = Mapping[RateClass | Literal["staff"], int]
MANY: Calls = dict.fromkeys((*get_args(RateClass), "staff"), 1_000_000)
"""A test asks more often than people may."""
APPS = {platform: App("gcc", "secret") for platform in ("INSTAGRAM", "YOUTUBE")}
REGISTERED = Connecting(
    ConsentApi(HttpFetcher(), SystemClock(), APPS, str), Keys([Key(b"c" * 32).written()], Path("/"))
)
"""Every platform has registered us, and none is asked."""
NOW = dt.datetime(2026, 10, 15, 20, 0, tzinfo=dt.UTC)  # the 16th, 01:30, in Kolkata


class StillClock(SystemClock):
    """The system's chance, a time that stands still."""

    def now(self) -> dt.datetime:
        return NOW


@dataclass
class ScriptedRefresher:
    """Answers `refreshed`; before that runs `scrape`, which may write what a scrape would. Each has an id of its own,
    but what `shares` one."""

    refreshed: Refreshed = field(default_factory=lambda: Refreshed("FAILED", "nothing was to be scraped"))
    scrape: Callable[[], Awaitable[object]] | None = None
    asked: list[tuple[str, str, float]] = field(default_factory=list)
    shares: uuid.UUID | None = None

    async def refresh(
        self, platform: str, handle: str, *, wait_s: float, begun: Callable[[uuid.UUID], None]
    ) -> Refreshed:
        self.asked.append((platform, handle, wait_s))
        begun(self.shares or uuid.uuid4())
        if self.scrape is not None:
            await self.scrape()
        return self.refreshed


@dataclass
class Api:
    """The served gateway, on a pool of the role of requests.

    `call` checks what holds for every answer; `client` asks without looking.
    """

    app: Gateway
    client: httpx.AsyncClient
    refresher: ScriptedRefresher
    metrics: Metrics
    state: str
    limiter: InProcessLimiter

    async def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        response = await self.client.request(method, path, **options)
        uuid.UUID(response.headers["x-bb-requestid"])
        assert "Origin" in response.headers["vary"] and response.headers["cache-control"]
        if response.status_code == 304:
            assert not response.content and response.headers["etag"]
            return response
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
        assert ("etag" in response.headers) <= route.conditional
        if response.is_success:
            assert set(content) == {"status", "data", "meta"} and content["status"] == "SUCCESS"
            # Over the wire integers and floats, dates and texts may meet; nothing else may.
            if not (route.picks and "fields" in response.url.params):
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


_documents: dict[tuple[str, ...], dict[str, Any]] = {}
_make_document = openapi.document


def _made_once(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """The document of the same routes, of which each test has its own: it takes 90 ms, and a test hardly more."""
    listed = list(routes)
    key = (version, *(repr({**vars(each), "handler": None}) for each in listed))
    if key not in _documents:
        _documents[key] = _make_document(listed, version)
    return _documents[key]


openapi.document = _made_once

_compile_builder = werkzeug.routing.Rule._compile_builder


@cache
def _builder(trace: tuple[tuple[bool, str], ...], append_unknown: bool) -> Callable[..., tuple[str, str]]:
    rule = werkzeug.routing.Rule("/")
    rule._trace = list(trace)
    return _compile_builder(rule, append_unknown)


def _compiled_once(rule: werkzeug.routing.Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
    """What makes URLs of a rule, for each app the same: to compile it for all takes 60 ms."""
    if rule.defaults:
        return _compile_builder(rule, append_unknown)
    return _builder(tuple(rule._trace), append_unknown)


werkzeug.routing.Rule._compile_builder = _compiled_once  # type: ignore[method-assign, assignment]


@asynccontextmanager
async def serving_api(
    pool: Pool,
    clickhouse: ClickHouse,
    *,
    dev_token: str = TOKEN,
    rates: Calls = MANY,
    services: Mapping[str, Service] = MappingProxyType({}),
    connecting: Connecting = REGISTERED,
    requests: str | None = None,
    objects: Objects = NO_OBJECTS,
    repeated: Repeated | None = None,
    **gateway: Any,
) -> AsyncIterator[Api]:
    settings = Settings(
        roles=("web",),
        gateway=GatewaySettings(port=0, **gateway),
        web=Web(dev_token=dev_token, scrape_wait_s=3.0),
        limits=Limits(classes=dict(rates)),
        services=dict(services),
        webhooks=Webhooks(secret=base64.b64encode(WEBHOOKS_MASTER).decode()),
    )
    refresher, metrics = ScriptedRefresher(), Metrics()
    web_pool = Pool(requests or of_requests(pool.conninfo), 8, name="web test")
    limiter = InProcessLimiter(FULL_REFRESH, FakeDays(StillClock()))
    states: list[Api] = []
    fetcher, clock = HttpFetcher(), StillClock()
    app = gateway_app(
        settings,
        pool=web_pool,
        platform=pool,
        clickhouse=clickhouse,
        refresher=refresher,
        limiter=limiter,
        clock=clock,
        precedence=Precedence(),
        metrics=metrics,
        state=lambda: states[0].state,
        keys=[KEY],
        bus=Bus(pool),
        connecting=connecting,
        objects=objects,
        remote=remote_identity(settings, fetcher, clock),
        repeated=repeated,
        due={"sync_leaderboard_prod": "2026-10-16T20:15:00Z"}.get,
    )
    assert isinstance(app, Gateway)
    async with served(app, settings) as url:
        headers = {"authorization": f"Bearer {TOKEN}", "content-type": "application/json"}
        async with httpx.AsyncClient(
            base_url=url, headers=headers, timeout=20, trust_env=False, verify=PLAIN
        ) as client:
            api = Api(app, client, refresher, metrics, "ready", limiter)
            states.append(api)
            yield api
    await web_pool.aclose()
    await app.aclose()
    await fetcher.aclose()


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
