"""What a later day brings, given from outside of the package: an outside platform with its source and flow, a pipeline
with a role, a stage of the drain, a schedule and an actor that people pause. The tree runs them like its own."""

import datetime as dt
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import trio

from gcc.actors.scheduler import Schedule
from gcc.channels.jobs import NewJob
from gcc.clock import SystemClock
from gcc.config import Bind, load
from gcc.pipelines.declared import Context, Pipeline
from gcc.pipelines.listed import PIPELINES
from gcc.pipelines.scraping.flow import Flow, HandleParams
from gcc.pipelines.scraping.table import FLOWS, Catalogue
from gcc.pipelines.scraping.yields import Yield
from gcc.platforms import Platform
from gcc.platforms.platform import Site
from gcc.sources.chain import Outside, Question, SourceApi, Visit
from gcc.sources.http import Answer, Request
from gcc.sources.limits import Limit, Rule
from gcc.sources.source import Source
from gcc.sources.table import SOURCES
from gcc.supervisor.lifecycle import State
from gcc.tables import Table, Upsert
from gcc.tree import GATEWAY, Tree
from gcc.web.serving import serve
from tests.fakes.clickhouse_server import clickhouse_server

FACE = Table("face", key={"face_id": "text"}, latest={"friends": "bigint"})
FACES = Platform(
    "FACES",
    is_handle=str.isalpha,
    handle_rule="Letters.",
    handle_pattern="^[a-z]{1,30}$",
    id_pattern=re.compile("[0-9]+"),
    id_rule="digits",
    known_by_id=False,
    site=Site(hosts=("faces.example",), pages=()),
    recent_posts_max=1,
    account=FACE,
    post=Table("look", key={"look_id": "text"}, first={"face_id": "text"}),
)


class FacesApi:
    """The client of an API that nobody here has heard of."""

    def __init__(self, outside: Outside, base_url: str) -> None:
        self._outside = outside
        self._base_url = base_url
        self._source = SourceApi("faces", self._judge)

    @staticmethod
    def _judge(answer: Answer, at: dt.datetime) -> Any:
        return msgspec.json.decode(answer.body)

    async def face(self, handle: str, visit: Visit) -> dict[str, Any]:
        def build(credential: Any) -> Request:
            return Request("faces", "GET", f"{self._base_url}/{handle}", {"key": credential.secret["token"]})

        found: dict[str, Any] = await self._outside.ask(self._source, Question(handle, build), visit)
        return found


async def _face(api: FacesApi, params: HandleParams, visit: Visit) -> dict[str, Any]:
    return await api.face(params.handle, visit)


def of_face(face: dict[str, Any], new_id: Any) -> Yield:
    return Yield([Upsert(FACE, [{"face_id": face["id"], "friends": face["friends"]}])], [], {"id": face["id"]})


CATALOGUE = Catalogue(
    sources={**SOURCES, "faces": Source("faces", "https://faces.example", "/faces", (Rule(Limit(50, 1.0)),), FacesApi)},
    flows={
        **FLOWS,
        "refresh_face": Flow(
            "refresh_face", FACES.name, HandleParams, {"faces": _face}, of_face, workers=1, events=(), tables=(FACE,)
        ),
    },
)


class Census:
    """Counts faces, while its gate is open, until it is drained."""

    actor = "census/counter"

    def __init__(self, context: Context) -> None:
        self.context = context

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        context, stage = self.context, self.context.drain.stage("count")
        actor, gate = context.board.actor(self.actor), context.gates.gate(self.actor)
        with stage.member(self.actor):
            task_status.started()
            while not stage.begun.is_set():
                await gate.passed(stage, actor)
                async with context.real.pool.connection() as conn:
                    ((faces,),) = await (await conn.execute("select count(*) from face")).fetchall()
                actor.done = faces
                with trio.move_on_after(0.05):
                    await stage.begun.wait()
        actor.state = State.FINISHED


async def yearly() -> dict[str, Any]:
    return {"faces": "many"}


CENSUS = Pipeline(
    "census",
    role="census",
    stages=("count",),
    pausable=lambda _: {"faces": Census.actor},
    schedules=lambda _: [Schedule("census_report", "0 0 1 1 *", yearly, timeout_s=10)],
    build=lambda context: Census(context).run,
    real=True,
)
ROWS: Sequence[Pipeline] = (*PIPELINES[:2], CENSUS, *PIPELINES[2:], GATEWAY)


async def faces_api(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = json.dumps({"id": scope["path"].strip("/"), "friends": 7}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def outside() -> AsyncIterator[str]:
    async with trio.open_nursery() as nursery:
        ends = trio.Event()

        async def run(*, task_status: trio.TaskStatus[str]) -> None:
            await serve(faces_api, Bind(port=0), key="x", draining=ends, grace_s=1, task_status=task_status)

        yield await nursery.start(run)
        ends.set()


@pytest.fixture
def clickhouse_url(clickhouse_folder: Path) -> Iterator[str]:
    """Before the engine that all tests of this process share."""
    with clickhouse_server(clickhouse_folder) as url:
        yield url


@pytest.mark.parametrize("roles", [None, ["scraper", "census"]], ids=["all roles", "two"])
async def test_a_platform_a_source_a_flow_and_a_pipeline_from_outside(
    database: str, clickhouse_url: str, tmp_path: Path, roles: list[str] | None
) -> None:
    async with outside() as url:
        overrides = [
            f"postgres.url={database}", f"clickhouse.url={clickhouse_url}", f"data_dir={tmp_path}", "gateway.port=0",
            "ops.port=0", f"sources.faces.base_url={url}", *([f"roles={json.dumps(roles)}"] if roles else []),
        ]  # fmt: skip
        environ = {"GCC_SOURCES__FACES__TOKENS": '["a-token"]'}
        tree = Tree(
            load(None, overrides=overrides, environ=environ), SystemClock(), pipelines=ROWS, catalogue=CATALOGUE
        )
        counter = tree.context.board.actor(Census.actor)
        async with tree.real.pool.connection() as conn:
            await conn.execute("create table face (face_id text primary key, friends bigint)")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tree.run)
            with trio.fail_after(60):
                await tree.ready.wait()
                await tree.context.parts.jobs.enqueue([NewJob("refresh_face", "FACES", {"handle": "asha"})])
                while counter.done != 1:  # noqa: ASYNC110
                    await trio.sleep(0.05)
                while (told := await asked(tree, "GET", "/api/status"))["jobs"].get("COMPLETE") != 1:  # noqa: ASYNC110
                    await trio.sleep(0.05)
                assert told["jobs_by_flow"] == {"refresh_face": {"COMPLETE": 1}}
                assert "census" in [role["name"] for role in told["roles"]]
                assert roles or "census_report" in [line["name"] for line in told["schedules"]]
                (flow,) = [flow for flow in await asked(tree, "GET", "/api/flows") if flow["name"] == "refresh_face"]
                assert (flow["sources"], flow["tables"]) == (["faces"], ["face"])
                await asked(tree, "POST", "/api/pause", what="faces", why="a test")
                while counter.state is not State.PAUSED:  # noqa: ASYNC110
                    await trio.sleep(0.05)
            tree.drain.request("test")
    for pool in (tree.real.pool, tree.real.web_pool, tree.real.terms_pool):
        await pool.aclose()
    report = [stage.name for stage in tree.drain.report]
    assert report == ["intake", "scrapers", "count", "relay", "sinkers", "ports"]
    assert counter.state is State.FINISHED


async def asked(tree: Tree, method: str, path: str, **body: Any) -> Any:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {tree.ops.token}"}) as client:
        answer = await client.request(method, tree.context.urls["ops"] + path, json=body or None)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    return told.get("data", told)
