"""The leaderboard service: who leads a platform, a category or a language in a month.

It reads the table that the last sync left. A cursor belongs to that snapshot: after the next sync it is
refused (CURSOR_EXPIRED), because places have moved and pages would skip or repeat creators.
"""

import datetime as dt
from collections.abc import Iterator
from typing import Annotated
from uuid import UUID

import msgspec
from quart import Request

from gcc.pipelines.analytics.dictionary import called, dictionary
from gcc.pipelines.api_jobs.leaderboard import COLUMNS, LEADERBOARD_EXPORT, LeaderboardExport
from gcc.platforms.steps import Step, crossed
from gcc.stores import gate, leaderboard_read
from gcc.stores.api_jobs_asked import TenantsApiJobs
from gcc.stores.leaderboard_read import Scope
from gcc.stores.postgres import Pool
from gcc.stores.tenant import Tenant
from gcc.web.api import cursor, parse, shapes
from gcc.web.api.envelope import Answer, Due, not_yet
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.jobs import JobRow, begun
from gcc.web.api.metering import Meter
from gcc.web.api.naming import Naming
from gcc.web.api.route import Route
from gcc.web.identity.pages import refusals

Asked = shapes.LeaderboardBody | shapes.LeaderboardQuery
PATH = "/leaderboard-service/api/leaderboard/platform/{platform}"


class RankKey(msgspec.Struct, frozen=True, array_like=True):
    rank: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
    profile_id: cursor.Text


_START = RankKey(0, "")


class Leaderboard:
    def __init__(self, pool: Pool, naming: Naming, due: Due, jobs: TenantsApiJobs, meter: Meter) -> None:
        self.pool = pool
        self.jobs = jobs
        self.meter = meter
        self.due = due
        self.naming = naming

    def routes(self) -> list[Route]:
        refusals = (Code.INVALID_PLATFORM, Code.INVALID_DATE, Code.INVALID_CURSOR, Code.CURSOR_EXPIRED)
        described = "Ordered by rank, then profile id. Creators whose rank cannot be computed are not listed."
        get = Route(
            "GET", PATH, "getRanks", "The creators of a platform, or of a group of it, by rank", self.ranks,
            data=list[shapes.LeaderboardRow], query=shapes.LeaderboardQuery, parts=self.naming.platform,
            part_schemas=self.naming.part_schemas, errors=refusals, conditional=True, repeats=True,
            description=described,
        )  # fmt: skip
        return [get] + [
            Route(
                "POST", PATH + path, name, summary, handler,
                data=list[shapes.LeaderboardRow], body=shapes.LeaderboardBody, parts=self.naming.platform | parts,
                part_schemas=self.naming.part_schemas,
                errors=(*refusals, *errors), reads=True, repeats=True, description=described,
            )
            for path, name, summary, handler, parts, errors in (
                ("", "rankPlatform", "The creators of a platform by rank", self.overall, {}, ()),
                ("/category/{category}", "rankCategory", "The creators of a category by rank", self.by_category,
                 {"category": "In any spelling; an unknown one has no creators."}, (Code.INVALID_PARAMETER,)),
                ("/language/{language}", "rankLanguage", "The creators of a language by rank", self.by_language,
                 {"language": "Its code or its name; an unknown one has no creators."}, (Code.INVALID_PARAMETER,)),
            )
        ] + [
            Route("POST", PATH + "/export", "exportLeaderboard", "A leaderboard as a file", self.export,
                  data=JobRow, body=shapes.LeaderboardExportBody, parts=self.naming.platform,
                  part_schemas=self.naming.part_schemas, who="EDITOR", plan="SAAS", rate="heavy", begins=True,
                  key_required=True, activity="JOB_CREATED", noted=("kind",),
                  errors=(Code.INVALID_PLATFORM, Code.INVALID_DATE, Code.LIMIT_REACHED, Code.QUOTA_SPENT),
                  description=f"A table of {', '.join(COLUMNS)}, of one moment, as GET /jobs/{{id}}/download has it."),
        ]  # fmt: skip

    async def ranks(self, tenant: Tenant, request: Request, platform: str) -> Answer:
        asked = parse.query(shapes.LeaderboardQuery, request)
        groups: tuple[tuple[Scope, str | None], ...] = ("category", asked.category), ("language", asked.language)
        match [(scope, value) for scope, value in groups if value is not None]:
            case []:
                return await self._of_platform(tenant, asked, platform)
            case [(scope, value)]:
                return await self._page(tenant, asked, platform, scope, value)
            case _:
                reason = "ask for a category or for a language"
                raise ApiError(Code.INVALID_PARAMETER, reason, errors=[{"path": "language", "reason": reason}])

    async def export(self, tenant: Tenant, request: Request, platform: str) -> Answer:
        body = await parse.body(shapes.LeaderboardExportBody, request)
        name = self.naming.platform_named(platform).platform.name
        scope, value = body.group
        params = LeaderboardExport(
            platform=name,
            metric=body.metric,
            scope=scope,
            value=_known(scope, name if value is None else value),
            month=_first_day(body.month),
            limit=body.limit,
            format=body.format,
        )
        with refusals():
            job = await self.jobs.add(tenant, LEADERBOARD_EXPORT.name, msgspec.to_builtins(params))
        await self._count_rows(tenant, params, job["id"])
        return begun(job)

    async def _count_rows(self, tenant: Tenant, params: LeaderboardExport, job_id: UUID) -> None:
        """As many as there are now: what is asked for is counted, whatever becomes of the job. Raises QUOTA_SPENT."""
        if tenant.contract is not None:
            page = await leaderboard_read.page(
                tenant, self.pool, params.platform, metric=params.metric, scope=params.scope, value=params.value,
                month=params.month, after=(0, ""), limit=1,
            )  # fmt: skip
            if rows := min(page.total, params.limit):
                await self.meter.count_of(tenant.partner_id, tenant.contract, {"EXPORT": str(job_id)}, rows)

    async def overall(self, tenant: Tenant, request: Request, platform: str) -> Answer:
        return await self._of_platform(tenant, await parse.body(shapes.LeaderboardBody, request), platform)

    async def by_category(self, tenant: Tenant, request: Request, platform: str, category: str) -> Answer:
        body = await parse.body(shapes.LeaderboardBody, request)
        return await self._page(tenant, body, platform, "category", category)

    async def by_language(self, tenant: Tenant, request: Request, platform: str, language: str) -> Answer:
        body = await parse.body(shapes.LeaderboardBody, request)
        return await self._page(tenant, body, platform, "language", language)

    async def _of_platform(self, tenant: Tenant, asked: Asked, named: str) -> Answer:
        return await self._page(tenant, asked, named, "platform", self.naming.platform_named(named).platform.name)

    async def _page(self, tenant: Tenant, asked: Asked, named: str, scope: Scope, value: str) -> Answer:
        platform = self.naming.platform_named(named).platform.name
        if len(value) > shapes.GROUP_LENGTH_MAX:
            reason = f"at most {shapes.GROUP_LENGTH_MAX} characters"
            raise ApiError(Code.INVALID_PARAMETER, f"{scope}: {reason}", errors=[{"path": scope, "reason": reason}])
        query = cursor.scope(tenant, "leaderboard", platform, scope, value.lower(), asked.metric, asked.month)
        snapshot, after = (None, _START) if asked.cursor is None else cursor.decode(asked.cursor, query, RankKey)
        gate.admit(tenant.plan, asked.metric)
        page = await leaderboard_read.page(
            tenant,
            self.pool,
            platform,
            metric=asked.metric,
            scope=scope,
            value=_known(scope, value),
            month=_first_day(asked.month),
            after=(after.rank, after.profile_id),
            limit=asked.limit + 1,
        )
        if snapshot is not None and snapshot != str(page.snapshot_id):
            raise cursor.expired("leaderboard")
        rows = page.rows[: asked.limit]
        for row in rows:
            row.update(called(row))
        more = None
        if len(page.rows) > asked.limit:
            more = cursor.encode(str(page.snapshot_id), query, RankKey(rows[-1]["rank"], rows[-1]["profile_id"]))
        note = None
        if page.as_of is None:
            note = not_yet("leaderboard", self.due("sync_leaderboard_prod"))
        elif not page.total:
            note = (
                f"nobody is ranked by {asked.metric} in this {scope}, in {asked.month or 'the latest month there is'}"
            )
        steps = list(_between_months(platform, asked.metric, rows[0]["month"])) if rows else ()
        return Answer(
            rows, "postgres", as_of=page.as_of, cursor=more, total=page.total, note=note, steps=steps,
            version=page.snapshot_id, repeats=True,
        )  # fmt: skip


def _known(scope: Scope, value: str) -> str:
    """The canonical value of a group, as it was written: an unknown one has no creators."""
    return value if scope == "platform" else dictionary().canonical(scope, value) or value


def _first_day(month: str | None) -> dt.date | None:
    return None if month is None else dt.date.fromisoformat(f"{month}-01")


def _between_months(platform: str, metric: str, month: str) -> Iterator[Step]:
    """The steps between the figures of `month` (YYYY-MM) and those of the one before, whose ranks stand beside them."""
    first = dt.date.fromisoformat(f"{month}-01")
    before = (first - dt.timedelta(days=1)).replace(day=1)
    last = (first + dt.timedelta(days=31)).replace(day=1) - dt.timedelta(days=1)
    return crossed(platform, metric, before, last)
