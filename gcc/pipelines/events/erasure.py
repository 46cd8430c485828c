"""Erasure: profiles that are to be forgotten go from every store, and stay away.

In: who they are (`erase`, see gcc/stores/erasures.py). Out: their rows are gone from PostgreSQL, with their own tokens,
the jobs that name them and the objects of these; their events from ClickHouse, counted for `check` (see removal.py);
their media; and the marts are built anew from what is left. No crawl stores anything of them again
(gcc/pipelines/scraping/erased.py). What was on its way meanwhile, in a queue or in an attempt, goes with a later round:
the new ones are looked for each time, for two days, and all of them once a day, when also goes what an import or a
replay has brought back.

Dead letters are left as they are: each holds events of many.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gcc.channels.objects import Objects
from gcc.clock import Clock
from gcc.pipelines.events.check import Rows
from gcc.pipelines.events.removal import Removal
from gcc.pipelines.events.types import (
    ASSET_LOG,
    POST_ACTIVITY_LOG,
    POST_LOG,
    PROFILE_LOG,
    PROFILE_RELATIONSHIP_LOG,
    SCRAPE_REQUEST_LOG,
    SENTIMENT_LOG,
    TRACE_LOG,
    YT_ACTIVITY_LOG,
    EventType,
)
from gcc.stores.erasures import NAMED_BY, Leaving, PostgresErasures

_IDS, _NAMES = "{ids:Array(String)}", "{names:Array(String)}"
_OWN = f"profile_id in {_IDS}"
PLACES: Mapping[EventType, str] = {
    PROFILE_LOG: _OWN,
    POST_LOG: _OWN,
    SENTIMENT_LOG: _OWN,
    ASSET_LOG: _OWN,
    POST_ACTIVITY_LOG: f"{_OWN} or actor_profile_id in {_IDS}",
    PROFILE_RELATIONSHIP_LOG: f"source_profile_id in {_IDS} or target_profile_id in {_IDS}",
    YT_ACTIVITY_LOG: f"actor_channel_id in {_IDS}",
    SCRAPE_REQUEST_LOG: (
        f"arrayExists(param -> has({_NAMES}, lower(JSONExtractString(params, param)))"
        f" or hasAny(arrayMap(each -> lower(each), JSONExtract(params, param, 'Array(String)')), {_NAMES}),"
        f" {list(NAMED_BY)})"
    ),
}
"""Where a profile stands in the events of its platform."""
ASKED = f"hasAny(splitByRegexp('[^a-z0-9._@-]+', lower(decodeURLComponent(uri))), {_NAMES})"
"""And in those of what was asked outside, which name no platform."""


class Erasure:
    """A round is `await erasure()`; see Schedule. Raises Transient, LeaseLost when another process leads."""

    def __init__(
        self,
        erasures: PostgresErasures,
        removal: Removal,
        objects: Objects,
        clock: Clock,
        rebuild: Callable[[], Awaitable[Any]],
    ) -> None:
        self._erasures = erasures
        self._removal = removal
        self._objects = objects
        self._clock = clock
        self._rebuild = rebuild

    async def __call__(self, *, every: bool = False) -> dict[str, Any]:
        """Answers how much went now, by kind. `every`: of those, too, who went long ago."""
        await self._removal.finish()
        gone = Counter[str]()
        due = await self._erasures.due(every=every)
        for leaving in due:
            gone["rows"] += await self._erasures.forget_rows(leaving)
            gone["credentials"] += await self._erasures.forget_credentials(leaving)
            jobs = await self._erasures.forget_jobs(leaving)
            gone["jobs"] += len(jobs)
            gone["objects"] += await self._forget_objects(leaving, jobs)
            gone["events"] += await self._forget_events(leaving)
        if gone["events"] or gone["rows"]:
            await self._rebuild()
        for leaving in due:
            await self._erasures.gone(leaving)
        return {"profiles": sum(len(leaving.ids) for leaving in due), **{kind: n for kind, n in gone.items() if n}}

    async def _forget_events(self, leaving: Leaving) -> int:
        settled, gone = self._clock.now(), 0
        values = {"platform": leaving.platform, "ids": list(leaving.ids), "names": list(leaving.names)}
        for event_type, where in PLACES.items():
            rows = Rows(event_type.table, f"platform = {{platform:String}} and ({where})", values)
            gone += await self._removal.remove(rows.settled(settled))
        return gone + await self._removal.remove(Rows(TRACE_LOG.table, ASKED, values).settled(settled))

    async def _forget_objects(self, leaving: Leaving, jobs: list[str]) -> int:
        platform, gone = leaving.platform.lower(), 0
        media = [f"media/{platform}/{profile_id}/" for profile_id in leaving.ids]
        pictures = [f"assets/profile/{platform}/{profile_id}." for profile_id in leaving.ids]
        for prefix in (*media, *pictures, *(f"exports/{job}.csv" for job in jobs)):
            for key in await self._objects.keys(prefix):
                await self._objects.delete(key)
                gone += 1
        return gone
