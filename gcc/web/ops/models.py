"""The models over HTTP: how they stand, one of them, where its columns come from, what is promised of them and kept; a
run, a backfill, their tests."""

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field
from quart import Response, request
from quart_trio import QuartTrio

from gcc.errors import Permanent
from gcc.masking import masked_value
from gcc.pipelines.analytics.model_tests import Finding
from gcc.pipelines.analytics.modelling import Modelling
from gcc.web.ops.access import Access
from gcc.web.ops.actions import Body, Why, Word, by, done, read_action, read_query
from gcc.web.ops.operations import Operations

SELECTED_MAX = 500
DEPTH_MAX = 100

Select = Annotated[list[Word], Field(max_length=SELECTED_MAX)]


class RunBody(Body):
    select: Select = Field(default_factory=list)
    full: Annotated[bool, Field(strict=True)] = False
    why: Why


class BackfillBody(Body):
    first: dt.date
    last: dt.date
    select: Select = Field(default_factory=list)
    why: Why


class TestBody(Body):
    """A look at what stands changes nothing, so it needs no reason."""

    names: Select = Field(default_factory=list)


class LineageQuery(Body):
    """Of all columns, where none is named; `depth`: so many steps, else down to events and replicas."""

    column: Word | None = None
    depth: Annotated[int, Field(ge=1, le=DEPTH_MAX)] | None = None


def add_models(app: QuartTrio, access: Access, operations: Operations, here: Sequence[Modelling]) -> None:
    """Give `app` the routes of the models. `here`: none in a process without the role analytics."""

    def modelling() -> Modelling:
        if not here:
            raise Permanent("this process has no models: it lacks the role analytics")
        return here[-1]

    @app.get("/api/models")
    async def models_listed() -> Response:
        access.check_reader(request)
        return done(masked_value(await modelling().listed()))  # errors of stores are in them

    @app.get("/api/models/<name>")
    async def model_shown(name: str) -> Response:
        access.check_reader(request)
        return done(masked_value(await modelling().shown(name)))

    @app.get("/api/models/<name>/lineage")
    async def model_lineage(name: str) -> Response:
        access.check_reader(request)
        wanted = read_query(LineageQuery)
        return done(await modelling().lineage(name, wanted.column, wanted.depth))

    @app.get("/api/quality")
    async def quality() -> Response:
        access.check_reader(request)
        return done(masked_value(await modelling().quality()))

    @app.get("/api/volumes")
    async def volumes() -> Response:
        access.check_reader(request)
        return done(await modelling().volumes())

    @app.post("/api/models/run")
    async def models_run() -> Response:
        wanted = await read_action(access, RunBody, "run")
        models = modelling()
        models.refuse_unknown(wanted.select)
        await operations.noted("run", f"models {' '.join(wanted.select) or 'all'}", by(access, wanted.why))
        return done(masked_value(await models.run(wanted.select, whole=wanted.full)))

    @app.post("/api/models/test")
    async def models_test() -> Response:
        wanted = await read_action(access, TestBody, "test")
        return done(masked_value([_shown(finding) for finding in await modelling().test(wanted.names)]))

    @app.post("/api/models/backfill")
    async def models_backfill() -> Response:
        wanted = await read_action(access, BackfillBody, "backfill")
        models = modelling()
        models.refuse_unknown(wanted.select)
        what = " ".join([f"models {wanted.first} to {wanted.last}", *wanted.select])
        await operations.noted("backfill", what, by(access, wanted.why))
        return done(masked_value(await models.backfill((wanted.first, wanted.last), wanted.select)))


def _shown(finding: Finding) -> dict[str, Any]:
    return {**vars(finding), "ok": finding.found == 0}
