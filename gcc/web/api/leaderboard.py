"""The leaderboard service: who leads a platform, a category or a language in a month.

It reads the table that the last sync left. A cursor belongs to that snapshot: after the next sync it is
refused (CURSOR_EXPIRED), because places have moved and pages would skip or repeat creators.
"""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec
from quart import Request

from gcc.pipelines.analytics.dictionary import Kind, dictionary
from gcc.platforms.steps import Step, crossed
from gcc.stores import leaderboard_read
from gcc.stores.leaderboard_read import Scope
from gcc.stores.postgres import Pool
from gcc.stores.tenant import Tenant
from gcc.web.api import cursor, parse, shapes
from gcc.web.api.envelope import Answer, Due, not_yet
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.naming import Naming
from gcc.web.api.route import Route

PATH = "/leaderboard-service/api/leaderboard/platform/{platform}"


class _Key(msgspec.Struct, frozen=True, array_like=True):
    rank: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
    profile_id: cursor.Text


_START = _Key(0, "")


class Leaderboard:
    def __init__(self, pool: Pool, naming: Naming, due: Due) -> None:
        self.pool = pool
        self.due = due
        self.naming = naming

    def routes(self) -> list[Route]:
        return [
            Route(
                "POST", PATH + path, name, summary, handler,
                data=list[shapes.LeaderboardRow], body=shapes.LeaderboardBody, parts=self.naming.platform | parts,
                part_schemas=self.naming.part_schemas,
                errors=(Code.INVALID_PLATFORM, Code.INVALID_DATE, Code.INVALID_CURSOR,
                        Code.CURSOR_EXPIRED, *errors),
                description="Ordered by rank, then profile id. Creators whose rank cannot be computed are not listed.",
            )
            for path, name, summary, handler, parts, errors in (
                ("", "rankPlatform", "The creators of a platform by rank", self.overall, {}, ()),
                ("/category/{category}", "rankCategory", "The creators of a category by rank", self.by_category,
                 {"category": "In any spelling; an unknown one has no creators."}, (Code.INVALID_PARAMETER,)),
                ("/language/{language}", "rankLanguage", "The creators of a language by rank", self.by_language,
                 {"language": "Its code or its name; an unknown one has no creators."}, (Code.INVALID_PARAMETER,)),
            )
        ]  # fmt: skip

    async def overall(self, tenant: Tenant, request: Request, platform: str) -> Answer:
        return await self._page(request, platform, "platform", self.naming.platform_named(platform).platform.name)

    async def by_category(self, tenant: Tenant, request: Request, platform: str, category: str) -> Answer:
        return await self._page(request, platform, "category", category)

    async def by_language(self, tenant: Tenant, request: Request, platform: str, language: str) -> Answer:
        return await self._page(request, platform, "language", language)

    async def _page(self, request: Request, named: str, scope: Scope, value: str) -> Answer:
        platform = self.naming.platform_named(named).platform.name
        if len(value) > shapes.GROUP_LENGTH_MAX or "\0" in value:
            reason = f"at most {shapes.GROUP_LENGTH_MAX} characters, none of them NUL"
            raise ApiError(Code.INVALID_PARAMETER, f"{scope}: {reason}", errors=[{"path": scope, "reason": reason}])
        body = await parse.body(shapes.LeaderboardBody, request)
        query = cursor.scope("leaderboard", platform, scope, value.lower(), body.metric, body.month)
        snapshot, after = (None, _START) if body.cursor is None else cursor.decode(body.cursor, query, _Key)
        page = await leaderboard_read.page(
            self.pool,
            platform,
            metric=body.metric,
            scope=scope,
            value=value if scope == "platform" else dictionary().canonical(scope, value) or value,
            month=None if body.month is None else dt.date.fromisoformat(f"{body.month}-01"),
            after=(after.rank, after.profile_id),
            limit=body.limit + 1,
        )
        if snapshot is not None and snapshot != str(page.snapshot_id):
            raise cursor.expired("leaderboard")
        rows = [row | _called(row) for row in page.rows[: body.limit]]
        more = None
        if len(page.rows) > body.limit:
            more = cursor.encode(str(page.snapshot_id), query, _Key(rows[-1]["rank"], rows[-1]["profile_id"]))
        note = None
        if page.as_of is None:
            note = not_yet("leaderboard", self.due("sync_leaderboard_prod"))
        elif not page.total:
            note = f"nobody is ranked by {body.metric} in this {scope}, in {body.month or 'the latest month there is'}"
        steps = list(_between_months(platform, body.metric, rows[0]["month"])) if rows else ()
        return Answer(rows, "postgres", as_of=page.as_of, cursor=more, total=page.total, note=note, steps=steps)


def _called(row: Mapping[str, Any]) -> dict[str, str | None]:
    """The groups of a creator as people call them: the table holds canonical values."""
    kinds: tuple[Kind, ...] = ("category", "language")
    return {kind: row[kind] and (dictionary().label(kind, row[kind]) or row[kind]) for kind in kinds}


def _between_months(platform: str, metric: str, month: str) -> Iterator[Step]:
    """The steps between the figures of `month` (YYYY-MM) and those of the one before, whose ranks stand beside them."""
    first = dt.date.fromisoformat(f"{month}-01")
    before = (first - dt.timedelta(days=1)).replace(day=1)
    last = (first + dt.timedelta(days=31)).replace(day=1) - dt.timedelta(days=1)
    return crossed(platform, metric, before, last)
