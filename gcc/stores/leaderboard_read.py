"""Pages of the leaderboard, which a sync replaces whole: what is read belongs to one snapshot.

Column names come from the tables below, never from a request. Raises errors.Transient when the store
does not answer; a cancelled caller's query is cancelled.
"""

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any, Literal

from gcc import statements
from gcc.stores import gate
from gcc.stores.postgres import Connection, Pool
from gcc.stores.tenant import Tenant

SQL = statements.load("leaderboard")

Metric = Literal["followers", "engagement_rate", "views"]
Scope = Literal["platform", "category", "language"]

_METRICS: tuple[Metric, ...] = ("followers", "engagement_rate", "views")
_SUFFIXES: dict[Scope, str] = {"platform": "", "category": "_by_cat", "language": "_by_lang"}
_COLUMNS = {
    (metric, scope): {"rank": f"{metric}_rank{suffix}", "previous_rank": f"{metric}_rank{suffix}_prev", "scope": scope}
    for metric in _METRICS
    for scope, suffix in _SUFFIXES.items()
}
_BESIDE = ("snapshot_id", "as_of", "total", "place")


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[dict[str, Any]]
    total: int
    snapshot_id: uuid.UUID | None  # None: never synced
    as_of: dt.datetime | None


async def page(
    tenant: Tenant,
    asked: Pool | Connection,
    platform: str,
    *,
    metric: Metric,
    scope: Scope,
    value: str,
    month: dt.date | None,
    after: tuple[int, str],
    limit: int,
) -> Page:
    """Up to `limit` rows ranked after (rank, profile_id) `after`, where column `scope` is `value` (any case).

    `month` None is the latest there is. Rows without a rank are not listed or counted. `asked` is a connection where it
    belongs to the caller's transaction.
    """
    sql = SQL["page"].format(**_COLUMNS[metric, scope], limit=int(limit))
    where = {
        "platform": platform,
        "scope": value,
        "month": month,
        "after_rank": after[0],
        "after_profile_id": after[1],
    }
    rows = await asked.rows(sql, where)
    if not rows:
        return Page([], 0, None, None)
    snapshot_id, as_of, total, _ = (rows[0][name] for name in _BESIDE)
    listed = [row for row in rows if row["rank"] is not None]
    for row in listed:
        for name in _BESIDE:
            del row[name]
    return Page(gate.seen(tenant.plan, listed), total, snapshot_id, as_of)
