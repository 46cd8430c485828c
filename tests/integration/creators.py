"""Creators who let the platform in: a world with its consent pages, a gateway that sends browsers there, a browser."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import trio

from gcc.channels.message import Delivery, Frame, Route
from gcc.clock import SystemClock
from gcc.config import World as WorldSettings
from gcc.metrics import Metrics
from gcc.pipelines.credentials.listeners import Expired, NewTokens
from gcc.sources.chain import Outside, Visit
from gcc.sources.consents import ConsentApi
from gcc.sources.http import HttpFetcher
from gcc.sources.instagram.graph_client import GraphApi
from gcc.sources.instagram.graph_errors import SOURCE
from gcc.sources.limits import InProcessLimiter, Limit
from gcc.sources.table import SOURCES
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.connections import PostgresGrants
from gcc.stores.credentials import PostgresCredentials
from gcc.stores.postgres import Pool
from gcc.stores.sealing import Key, Keys
from gcc.web.identity.connections import Connecting
from gcc.world.graph_tokens import login_of
from gcc.world.model import Cast, Creator, Platform
from gcc.world.server import apps, people, serve_world
from tests.certificates import PLAIN
from tests.integration.api_serving import Api, serving_api
from tests.integration.identity_people import IDENTITY, PAGE, As, execute

SETTINGS = WorldSettings(enabled=True, port=0, creators=40, history_days=0, calls_per_s=10_000)
CASTS = people(SETTINGS, SystemClock().now().date())
CONNECT = f"{IDENTITY}/connect"
RETURN = f"{PAGE}/creators?tab=1"
KEYS = Keys([Key(b"s" * 32).written()], Path("/"))


def stranger(platform: Platform = "INSTAGRAM", nth: int = 0) -> Creator:
    """A creator who has never let anybody in."""
    cast: Cast = CASTS[platform]
    found = [
        creator
        for creator, _ in cast.ranked
        if creator.state == "public" and cast.slot(creator) >= 8 and login_of(cast, creator) is None
    ]
    return found[nth]


@dataclass
class Ground:
    """The gateway, the world, and the listeners that the gateway's events are for."""

    api: Api
    world: str
    fetcher: HttpFetcher
    pool: Pool

    def __post_init__(self) -> None:
        clock = SystemClock()
        self.credentials = PostgresCredentials(self.pool, clock, KEYS)
        self.grants = PostgresGrants(self.pool, KEYS)
        self.buried: list[str] = []
        self.tokens = NewTokens(self.credentials, self, clock, SOURCES, self.grants)
        self.expired = Expired(self.grants, self, clock)
        limiter = InProcessLimiter({SOURCE: Limit(100_000, 1.0)})
        outside = Outside(self.fetcher, limiter, self.credentials, clock, Metrics(), {})
        self.graph, self.visit = GraphApi(outside, f"{self.world}/graph/v25.0"), Visit()

    async def start(self, who: As, account_id: object, platform: str = "instagram", to: str = RETURN) -> httpx.Response:
        return await who.call("POST", f"/connect/{platform}/start", account_id=str(account_id), return_to=to)

    async def page(self, who: As, account_id: object, platform: str = "instagram") -> str:
        response = await self.start(who, account_id, platform)
        assert response.status_code == 200, response.text
        return str(response.json()["data"]["authorize_url"])

    async def consent(self, page: str, account: str, decision: str = "allow") -> str:
        """What a browser does with the page: where the platform sends it then."""
        async with httpx.AsyncClient(trust_env=False, verify=PLAIN) as browser:
            shown = await browser.get(page)
            assert shown.status_code == 200 and "<form" in shown.text
            answer = await browser.post(page, data={"account": account, "decision": decision})
            assert answer.status_code == 302, answer.text
            return answer.headers["location"]

    async def back(self, location: str, **options: Any) -> httpx.Response:
        return await self.api.client.get(location.partition("#")[0], **options)

    async def connect(self, who: As, account_id: object, creator: Creator) -> str:
        """The connection's id."""
        page = await self.page(who, account_id, creator.platform.lower())
        return told(await self.back(await self.consent(page, creator.handle)))["connected"]

    async def events(self, key: str) -> list[Frame]:
        rows = await execute(self.pool, "select frame_id, body from outbox where routing_key = %s order by id", key)
        return [Frame(frame_id, Route("identity.dx", key), 1, bytes(body)) for frame_id, body in rows]

    async def listen(self) -> int:
        """The listener hears all new tokens that were ever told of."""
        heard = [Delivery("identity_token_q", 1, frame, 1) for frame in await self.events("new_access_token_rk")]
        return await self.tokens.handle(heard)

    async def bury(self, burials: Any) -> None:
        self.buried += [f"{burial.reason} {burial.body.decode()}" for burial in burials]

    async def bury_outbox(self, refused: Any, leader: Any = None) -> None:
        raise AssertionError("listeners have no outbox")


def told(response: httpx.Response) -> Mapping[str, str]:
    """With what the browser comes back to the page that it was to return to."""
    assert response.status_code == 303, response.text
    where = response.headers["location"]
    assert where.startswith(f"{RETURN}&"), where
    return dict(parse_qsl(urlsplit(where).query))


@asynccontextmanager
async def ground(pool: Pool, clickhouse: ClickHouse, fetcher: HttpFetcher | None = None) -> AsyncIterator[Ground]:
    draining = trio.Event()
    async with trio.open_nursery() as nursery, fetcher or HttpFetcher() as asking:
        world = await nursery.start(partial(serve_world, SETTINGS, SystemClock(), draining=draining, grace_s=2.0))
        api = ConsentApi(asking, SystemClock(), apps(SETTINGS), lambda: world)
        async with serving_api(pool, clickhouse, cors_origins=(PAGE,), connecting=Connecting(api, KEYS)) as served:
            del served.client.headers["authorization"]
            yield Ground(served, world, asking, pool)
        draining.set()
