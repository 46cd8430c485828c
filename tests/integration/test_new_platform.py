"""A third platform, declared here and not in the package: its row, its tables, a flow, and how the API shows it. From
there on its past is imported, its profiles are followed, crawled, refreshed and answered for like any other's."""

import datetime as dt
import random
import re
import uuid
from functools import partial
from typing import Any, Literal

import httpx
import pytest
from quart_trio import QuartTrio

from gcc.actors.scraper import Retries
from gcc.channels.jobs import Crawl, Room
from gcc.channels.memory import Signal
from gcc.clock import SystemClock
from gcc.config import Settings, Web
from gcc.metrics import Metrics
from gcc.pipelines.events.emit import StatusEvents
from gcc.pipelines.events.history import HistoryImport
from gcc.pipelines.events.history_form import AS_IT_TELLS
from gcc.pipelines.scraping.flow import Flow, HandleParams
from gcc.pipelines.scraping.producers import OnDemand, StaleProfiles, import_and_crawl
from gcc.pipelines.scraping.table import FLOWS, Apis, Catalogue
from gcc.pipelines.scraping.work import FlowWork
from gcc.pipelines.scraping.yields import of_profile
from gcc.platforms import Platform
from gcc.platforms.platform import AVERAGES, Site, words
from gcc.sources.chain import Visit
from gcc.sources.precedence import Precedence
from gcc.sources.snapshot import PostSnapshot, ProfileSnapshot
from gcc.stores.postgres import Pool
from gcc.stores.postgres_jobs import PostgresJobs
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.drain import Stage
from gcc.tables import Table
from gcc.web.api import shapes
from gcc.web.api.naming import SHOWN, Shown
from gcc.web.gateway.app import gateway_app
from gcc.web.identity.bus import Bus
from tests.fakes.erasures import NobodyErased
from tests.integration.api_serving import KEY, REGISTERED

AT = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
PIPES = Platform(
    "PIPES",
    is_handle=lambda text: re.fullmatch("[a-z]{1,30}", text, re.IGNORECASE) is not None,
    handle_rule="Letters.",
    handle_pattern="^@?[A-Za-z]{1,30}$",
    id_pattern=re.compile("P[0-9]+"),
    id_rule="P and digits",
    known_by_id=False,
    site=Site(hosts=words("pipes.example"), pages=words("about")),
    recent_posts_max=2,
    account=Table(
        "pipes_account",
        key={"pipe_id": "text"},
        first={"id": "uuid"},
        latest={"handle": "text", "scraped_at": "timestamptz", "source": "text", **AVERAGES},
        known={"followers": "bigint", "mood": "text"},
        newer="scraped_at",
    ),
    post=Table(
        "pipes_post",
        key={"puff_id": "text"},
        first={"pipe_id": "text"},
        latest={"scraped_at": "timestamptz"},
        known={"likes": "bigint", "publish_time": "timestamptz"},
        newer="scraped_at",
    ),
)


class Puff(shapes.Row):
    puff_id: str
    likes: int | None
    publish_time: dt.datetime | None


class PipesPost(Puff):
    platform: Literal["PIPES"]
    pipe_id: str


class PipesProfile(shapes.Row):
    platform: Literal["PIPES"]
    id: uuid.UUID
    pipe_id: str
    handle: str
    mood: str | None
    followers: int | None
    avg_likes: float | None
    scraped_at: dt.datetime
    recent_posts: list[Puff]


async def ask(api: dict[str, ProfileSnapshot], params: HandleParams, visit: Visit) -> ProfileSnapshot:
    return api[params.handle.lower()]


FLOW = Flow(
    "refresh_pipes",
    PIPES.name,
    HandleParams,
    {"pipesapi": ask},
    partial(of_profile, PIPES),
    workers=1,
    events=(),
    tables=(PIPES.account, PIPES.post),
    refreshes=PIPES,
)
CATALOGUE = Catalogue(flows={**FLOWS, FLOW.name: FLOW})


def pipe(handle: str, profile_id: str, *likes: int | None) -> ProfileSnapshot:
    posts = [
        PostSnapshot(
            "PIPES", "pipesapi", AT, f"{profile_id}-{number}", "", profile_id, handle,
            AT - dt.timedelta(days=number), {"likes": count}, {},
        )
        for number, count in enumerate(likes)
    ]  # fmt: skip
    return ProfileSnapshot("PIPES", "pipesapi", AT, profile_id, handle, {"followers": 5}, {"mood": "calm"}, posts)


@pytest.fixture
async def pipes(pool: Pool) -> Pool:
    async with pool.connection() as conn:
        for table in (PIPES.account, PIPES.post):
            columns = ", ".join(f"{name} {kind}" for name, kind in table.columns.items())
            await conn.execute(f"create table {table.name} ({columns}, primary key ({next(iter(table.key))}))".encode())
    return pool


async def crawl(jobs: PostgresJobs, api: dict[str, ProfileSnapshot]) -> list[str]:
    """Work off all jobs; the handles that were asked for."""
    nothing: Any = None
    clock = SystemClock()
    work = FlowWork(
        FLOW,
        Apis({"pipesapi": api}, nothing, nothing),
        nothing,
        NobodyErased(),
        clock,
        Retries(2, Backoff(1, 1)),
        random.Random(0),
    )
    claimed = await jobs.claim({FLOW.name: Room(9)})
    for job in claimed:
        found = await work(job)
        assert isinstance(found, Crawl)
        await jobs.complete(job, found)
    return sorted(job.params["handle"] for job in claimed)


async def test_a_platform_of_a_later_day(pipes: Pool) -> None:
    clock, flows = SystemClock(), CATALOGUE.refreshing
    jobs = PostgresJobs(pipes, clock, StatusEvents(clock), lease_s=60, lost_max=3, outbox_written=Signal())
    api = {"asha": pipe("Asha", "P1", 9, None, 4, 8, 6), "ravi": pipe("ravi", "P2")}

    # its past is imported, and who is in it crawled
    async def file() -> Any:
        yield b"platform,profile_id,handle,timestamp,followers\npipes,P1,https://pipes.example/Asha,2026-10-01,3\n"
        yield b"PIPES,7,ravi,2026-10-01,3\nPIPES,,ravi,,\nINSTAGRAM,1,ravi,2026-10-01,3\nOTHER,1,ravi,2026-10-01,3\n"

    history = HistoryImport(pipes, clock, Signal(), tuple(CATALOGUE.platforms.values()))
    report = await import_and_crawl(history, pipes, jobs, flows, "past", file(), AS_IT_TELLS, False)
    assert (report.imported, report.followed) == (2, 1)
    assert [(fault["line"], fault["field"]) for fault in report.rejected] == [(3, "profile_id"), (6, "platform")]
    assert "P and digits" in report.rejected[0]["reason"]
    assert "INSTAGRAM, YOUTUBE, PIPES" in report.rejected[1]["reason"]
    assert await crawl(jobs, api) == ["Asha", "ravi"]

    async def later() -> Any:
        yield b"platform,profile_id,handle,timestamp,followers\nPIPES,,ASHA,2026-10-02,4\n"

    report = await import_and_crawl(history, pipes, jobs, flows, "by handle", later(), AS_IT_TELLS, False)
    assert (report.imported, report.followed) == (1, 0), "its id is known from the crawl"
    assert await crawl(jobs, api) == ["ravi"], "who came by handle counts as followed since its crawl"

    # it is refreshed when it is stale
    assert (await StaleProfiles(pipes, jobs, stale_s=10**9, flows=flows)())["stale"] == 1  # the other platform's
    assert (await StaleProfiles(pipes, jobs, stale_s=1, flows=flows)())["stale"] == 3
    assert await crawl(jobs, api) == ["Asha", "ravi"]

    # and the API answers for it
    nothing: Any = None
    shown = (*SHOWN, Shown(PIPES, PipesProfile, PipesPost, Puff))
    app: QuartTrio = gateway_app(
        Settings(web=Web(dev_token="t", stale_after_s=10**9)),
        pool=pipes,
        platform=pipes,
        clickhouse=nothing,
        objects=nothing,
        refresher=OnDemand(pipes, jobs, Stage("ports"), flows),
        limiter=nothing,
        clock=clock,
        metrics=Metrics(),
        precedence=Precedence(),
        state=lambda: "ready",
        keys=[KEY],
        bus=Bus(pipes),
        connecting=REGISTERED,
        shown=shown,
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app), base_url="http://x", headers={"authorization": "Bearer t"}
    ) as client:
        found = (await client.get("/discovery-service/api/profile/pipes/@ASHA")).json()["data"]
        told = PipesProfile.model_validate(found)
        assert (told.platform, told.pipe_id, told.followers, told.mood, told.avg_likes) == ("PIPES", "P1", 5, "calm", 6)
        assert [post.likes for post in told.recent_posts] == [9, None], "two of five"
        posts = (await client.get("/discovery-service/api/profile/PIPES/asha/posts?limit=2")).json()
        assert [PipesPost.model_validate(post).puff_id for post in posts["data"]] == ["P1-0", "P1-1"]
        after = posts["meta"]["cursor"]
        rest = await client.get("/discovery-service/api/profile/PIPES/asha/posts", params={"cursor": after})
        assert [post["puff_id"] for post in rest.json()["data"]] == ["P1-2", "P1-3", "P1-4"]
        refused = await client.get("/discovery-service/api/profile/PIPES/a1")
        assert refused.json()["error"]["code"] == "INVALID_HANDLE"
        document = (await client.get("/openapi.json")).json()
        parameter, *_ = document["paths"]["/discovery-service/api/profile/{platform}/{handle}"]["get"]["parameters"]
        assert parameter["schema"]["enum"] == ["INSTAGRAM", "YOUTUBE", "PIPES"]
        assert "PipesProfile" in document["components"]["schemas"]
