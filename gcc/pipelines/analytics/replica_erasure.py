"""Who is to be forgotten goes from the replicas, too: of each all that it holds of them, also what it held before.

In: who they are. Out: their rows are gone from ClickHouse. What a page that was on its way brought back goes with the
next round of the erasure. Raises Transient.
"""

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

from gcc.actors.replicated import SQL, ReplicatedTable
from gcc.actors.warehouse import Queries
from gcc.pipelines.events.erasure import PLACES
from gcc.pipelines.events.types import SCRAPE_REQUEST_LOG
from gcc.stores.erasures import PERSONS, Leaving

_IDS, _NAMES, _PLATFORM = "{ids:Array(String)}", "{names:Array(String)}", "{platform:String}"
_POSTS = "{posts:Array(String)}"
PERSONAL: Mapping[str, str] = {
    "scrape_request_log": f"platform = {_PLATFORM} and ({PLACES[SCRAPE_REQUEST_LOG]})",
    "credential": f"account in {_IDS}",
}
"""Replicas that name people in other ways than by a column of `PERSONS`."""


class ReplicaErasure:
    """`await forget(leaving)` answers how many rows went."""

    def __init__(self, queries: Queries, tables: Sequence[ReplicatedTable]) -> None:
        self._queries = queries
        self._tables = tables

    async def __call__(self, leaving: Leaving) -> int:
        values = {"platform": leaving.platform, "ids": sorted(leaving.ids), "names": sorted(leaving.names)}
        values["posts"] = sorted(leaving.posts)
        return sum([await self._forget(table, values) for table in self._tables])

    async def _forget(self, table: ReplicatedTable, values: Mapping[str, Any]) -> int:
        found = await self._queries.rows(SQL["columns"], {"database": table.database, "table": table.table})
        whose = whose_are(table, {row["name"] for row in found}, values["platform"])
        if not whose:
            return 0
        count, forget = (
            SQL[name].replace("{table}", table.name).replace("{whose}", whose) for name in ("whose", "forget")
        )
        ((rows,),) = [row.values() for row in await self._queries.rows(count, values)]
        if rows:
            await self._queries.command(forget, values)
        return int(rows)


def whose_are(table: ReplicatedTable, columns: Set[str], platform: str) -> str:
    """Which rows of the replica tell of them; none of another platform's."""
    if table.table in PERSONAL:
        return PERSONAL[table.table]
    return " or ".join(_persons(columns)) if table.platform in ("", platform) else ""


def _persons(columns: Set[str]) -> Iterator[str]:
    for column, handle in PERSONS.items():
        if column not in columns:
            continue
        name = "linked_platform" if column.startswith("linked_") else "platform"
        own = f"{name} = {_PLATFORM} and " if name in columns else ""
        known = f" or ({column} = '' and lower({handle}) in {_NAMES})" if handle in columns else ""
        yield f"({own}({column} in {_IDS}{known}))"
    if "post_shortcode" in columns:  # of a post that is in a list, and nobody told whose it is
        yield f"(platform = {_PLATFORM} and ifNull(platform_profile_id, '') = '' and post_shortcode in {_POSTS})"
