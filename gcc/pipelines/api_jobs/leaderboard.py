"""The export of a leaderboard: a month's ranking as rows of a file, as its pages have them.

It belongs to one snapshot. Where a sync swaps the table meanwhile it begins anew, so that no file mixes two.
"""

import datetime as dt
import uuid
from collections.abc import Mapping

import msgspec

from gcc.channels.api_jobs import BATCH, ApiJob, CannotBeDone
from gcc.pipelines.analytics.dictionary import called
from gcc.pipelines.api_jobs.kind import File, Form, Kind
from gcc.pipelines.api_jobs.parquet import Type
from gcc.stores import leaderboard_read
from gcc.stores.api_jobs import Begun
from gcc.stores.leaderboard_read import Metric, Scope

COLUMNS: Mapping[str, Type] = {
    "rank": "integer",
    "previous_rank": "integer",
    "platform": "text",
    "profile_id": "text",
    "handle": "text",
    "full_name": "text",
    "followers": "integer",
    "engagement_rate": "number",
    "views": "integer",
    "category": "text",
    "language": "text",
    "country": "text",
    "month": "text",
}


class LeaderboardExport(msgspec.Struct, frozen=True, kw_only=True):
    platform: str
    metric: Metric
    scope: Scope
    value: str
    month: dt.date | None
    limit: int
    format: Form = "csv"


class _Place(msgspec.Struct, frozen=True):
    snapshot_id: uuid.UUID
    month: dt.date
    rank: int
    profile_id: str
    listed: int


async def step(job: ApiJob, params: LeaderboardExport, begun: Begun) -> None:
    place = None if job.place is None else msgspec.convert(job.place, _Place)
    page = await _page(params, place, begun)
    if place is not None and page.snapshot_id != place.snapshot_id:
        place, begun.told.anew = None, True
        page = await _page(params, None, begun)
    if page.snapshot_id is None:
        raise CannotBeDone("NO_DATA", "no leaderboard has been made yet")
    begun.told.rows = [[row[name] for name in COLUMNS] for row in (each | called(each) for each in page.rows)]
    begun.told.done = len(page.rows)
    begun.told.total = min(page.total, params.limit)
    listed = len(page.rows) + (0 if place is None else place.listed)
    if not page.rows or listed >= begun.told.total:
        begun.last = True
        return
    last = page.rows[-1]
    month = dt.date.fromisoformat(f"{last['month']}-01")
    begun.place = _Place(page.snapshot_id, month, last["rank"], last["profile_id"], listed)


async def _page(params: LeaderboardExport, place: _Place | None, begun: Begun) -> leaderboard_read.Page:
    return await leaderboard_read.page(
        begun.tenant,
        begun.connection,
        params.platform,
        metric=params.metric,
        scope=params.scope,
        value=params.value,
        month=params.month if place is None else place.month,
        after=(0, "") if place is None else (place.rank, place.profile_id),
        limit=min(BATCH, params.limit - (0 if place is None else place.listed)),
    )


LEADERBOARD_EXPORT = Kind(
    "leaderboard_export", LeaderboardExport, step, file=lambda params: File(COLUMNS, params.format)
)
