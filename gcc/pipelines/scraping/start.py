"""What happens once in a platform's life: past snapshots are imported, everybody followed is crawled for the
first time, and when all of that is stored the first page's marts are built and synced, a demo's tenant is made of it
and followers of some creators are scored, and all else is built.

Each step is remembered as a milestone and can be cut anywhere: the next start goes on from there. A step that raises
something unexpected is told, and tried again with growing pauses: all else runs without it.
"""

import json
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any

import structlog
import trio

from gcc import statements
from gcc.actors import bugs
from gcc.actors.patience import Patience
from gcc.errors import ConfigError, Transient
from gcc.pipelines.declared import Context
from gcc.pipelines.scraping import demo
from gcc.pipelines.scraping.producers import enqueue_first_crawl
from gcc.stores.postgres import Pool
from gcc.supervisor.drain import intake_open
from gcc.supervisor.lifecycle import State, one_line

SQL = statements.load("history")
LOOK_S = 0.5
STORED_S = 30.0
FOLLOWERS_S = 60.0
FIRST_PAGE, THE_REST = "first_page", "after_first_page"
"""Schedules: what is shown first, and all else."""
PUSH = "fake_follower_push"

log = structlog.get_logger()


class FirstStart:
    def __init__(self, context: Context) -> None:
        self._context = context
        self._actor = context.board.actor("first start")
        self._patience = Patience(self._actor, context.clock.rng)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until all steps are done, or until the drain begins."""
        task_status.started()
        with intake_open(self._context.drain.stage("intake")):
            await self._until_done("history_imported", self._begin)
            await self._until_done("first_crawl_enqueued", self._enqueue_crawl)
            await self._until_done("first_crawl_stored", self._wait_until_stored)
            if self._context.schedulers:  # else the marts are built where the schedules run
                await self._until_done("first_models", self._build_marts)
            if self._context.settings.demo and self._context.settings.world.enabled:
                await self._until_done("demo_tenant", self._seed_demo)
                if self._context.schedulers:
                    await self._until_done("demo_followers", self._score_followers)
            if self._context.schedulers:
                await self._until_done("all_models", self._build_the_rest)

    async def _until_done(self, milestone: str, step: Callable[[], Awaitable[dict[str, Any]]]) -> None:
        said = ""
        while True:
            try:
                if await self._rows("milestone", name=milestone):
                    return
                detail = await step()
                await self._reach(milestone, detail)
            except Transient as error:
                before, said = said, one_line(error)
                if before != said:  # once, however often it is tried
                    log.warning("milestone is not reached", name=milestone, error=said)
                await self._patience.wait_after(error)
            except Exception as error:
                await self._patience.wait_after(Transient(bugs.told(self._actor, error, milestone=milestone)))
            else:
                self._patience.reset()
                self._actor.state = State.RUNNING
                log.info("milestone", name=milestone, **detail)

    async def _begin(self) -> dict[str, Any]:
        then = "history is imported, all are crawled once, series and leaderboards are built: about a minute"
        log.info("first start", then=then)
        return await self._import_past()

    async def _import_past(self) -> dict[str, Any]:
        imported = 0
        for name, chunks in self._context.past().items():
            async with aclosing(chunks):  # type: ignore[type-var]
                report = await self._context.real.history.run(name, chunks)
            imported += report.imported
            if report.rejected_total or report.warnings:
                first = next(iter(report.rejected), None)
                told = {"rejected": report.rejected_total, "first": first, "warnings": report.warnings}
                log.warning("history import", name=name, rows=report.rows, **told)
            self._actor.processed(report.imported)
        return {"imported": imported}

    async def _enqueue_crawl(self) -> dict[str, Any]:
        context = self._context
        return {"jobs": await enqueue_first_crawl(context.real.pool, context.parts.jobs, context.catalogue.refreshing)}

    async def _wait_until_stored(self) -> dict[str, Any]:
        while True:
            ((ended, jobs),) = await self._rows("first_crawl")
            ((idle,),) = await self._rows("idle")
            self._patience.reset()  # the store answers; what is waited for now is the crawl
            if ended == jobs and idle:
                return {"jobs": jobs}
            await trio.sleep(LOOK_S)

    async def _seed_demo(self) -> dict[str, Any]:
        return await demo.seed(self._context.real.pool, self._context.clock)

    async def _score_followers(self) -> dict[str, Any]:
        """Of some creators, so that a demo has something to tell; what takes too long is scored all the same, and told
        by later builds."""
        context, (scheduler,) = self._context, self._context.schedulers
        jobs = await demo.ask_for_followers(context.real.pool, context.parts.jobs)
        with trio.move_on_after(FOLLOWERS_S):
            while not ((await self._rows("followers_came"))[0][0] and (await self._rows("idle"))[0][0]):  # noqa: ASYNC110
                await trio.sleep(LOOK_S)
        run = await scheduler.trigger(PUSH)
        if run.status == "CANCELLED":
            raise Transient(f"schedule {run.schedule} was cut off")
        return {"jobs": jobs, "status": run.status, "asked": (run.detail or {}).get("asked")}

    async def _build_marts(self) -> dict[str, Any]:
        began = trio.current_time()
        (scheduler,) = self._context.schedulers
        run = await scheduler.trigger(FIRST_PAGE)
        if run.status != "COMPLETE":
            raise Transient(f"schedule {run.schedule} ended {run.status}: {(run.detail or {}).get('error')}")
        seconds = round(trio.current_time() - began, 1)
        urls = self._context.urls
        log.info(
            "series and leaderboards are ready", seconds=seconds, **{"ask": urls["docs"]} if "docs" in urls else {}
        )
        return {"seconds": seconds}

    async def _build_the_rest(self) -> dict[str, Any]:
        """What of it fails is told by its schedule, and built by those of its tags."""
        (scheduler,) = self._context.schedulers
        with trio.move_on_after(STORED_S):  # what a demo made up, and who is scored, may be on the way
            while not (await self._rows("idle"))[0][0]:  # noqa: ASYNC110 (others store, too)
                await trio.sleep(LOOK_S)
        run = await scheduler.trigger(THE_REST)
        if run.status == "CANCELLED":
            raise Transient(f"schedule {run.schedule} was cut off")
        error = (run.detail or {}).get("error")
        return {"status": run.status} | ({"error": error} if error else {})

    async def _rows(self, statement: str, **arguments: Any) -> list[tuple[Any, ...]]:
        async with self._context.real.pool.connection() as conn:
            return await (await conn.execute(SQL[statement], arguments)).fetchall()

    async def _reach(self, milestone: str, detail: dict[str, Any]) -> None:
        async with self._context.real.pool.connection() as conn:
            await conn.execute(SQL["reach"], {"name": milestone, "detail": json.dumps(detail)})


async def keep_apart(pool: Pool, *, world: bool, mix: bool) -> None:
    """Remember whether the world or the real APIs fill this database. ConfigError: the other one did, and not `mix`."""
    async with pool.connection() as conn:
        await conn.execute(SQL["fill"], {"world": world})
        ((filled,),) = await (await conn.execute(SQL["milestone"], {"name": "filled_by"})).fetchall()
    if mix or (isinstance(filled, dict) and filled.get("world") is world):
        return
    by, asked = ("the real APIs", "the stand-in world") if world else ("the stand-in world", "the real APIs")
    raise ConfigError(
        f"the database was filled from {by}, and this start would ask {asked} (world.enabled = {str(world).lower()}):"
        " made-up creators would stand among real ones; name another data folder (--data) or database,"
        " or mean it: --set world.mix=true"
    )
