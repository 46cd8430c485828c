"""Schedules and syncs over HTTP: how they stand, what past runs did; a run, and what a guard refused let through."""

from quart import Response, request
from quart_trio import QuartTrio

from gcc.masking import masked_value
from gcc.web.ops.access import Access
from gcc.web.ops.actions import Body, LimitQuery, Why, Word, by, done, read_action, read_query
from gcc.web.ops.operations import Operations


class ScheduleBody(Body):
    name: Word
    why: Why


class SyncBody(Body):
    table: Word
    why: Why


def add_schedules(app: QuartTrio, access: Access, operations: Operations) -> None:
    """Give `app` the routes of schedules and syncs."""

    @app.get("/api/schedules")
    async def schedules() -> Response:
        access.check_reader(request)
        return done(masked_value(await operations.schedules()))  # errors of stores are in them

    @app.get("/api/schedules/<name>/runs")
    async def past_runs(name: str) -> Response:
        access.check_reader(request)
        return done(masked_value(await operations.past_runs(name, read_query(LimitQuery).limit)))

    @app.post("/api/schedules/run")
    async def run() -> Response:
        wanted = await read_action(access, ScheduleBody, "run")
        return done(masked_value(await operations.run_schedule(wanted.name, by(access, wanted.why))))

    @app.get("/api/sync")
    async def synced() -> Response:
        access.check_reader(request)
        return done(masked_value(await operations.synced()))

    @app.post("/api/sync/run")
    async def run_sync() -> Response:
        wanted = await read_action(access, SyncBody, "run")
        return done(masked_value(await operations.run_sync(wanted.table, by(access, wanted.why))))

    @app.post("/api/sync/accept")
    async def accept_sync() -> Response:
        wanted = await read_action(access, SyncBody, "accept")
        return done(masked_value(await operations.accept_sync(wanted.table, by(access, wanted.why))))
