"""Erasure: profiles that are to be forgotten go from every store, and stay away.

In: who they are (`erase`, see gcc/stores/erasures.py). Out: their rows are gone from PostgreSQL, also where they are
known by a handle alone, or a list names a post of theirs, with their own tokens, the jobs that name them and the
objects of these; their events from ClickHouse, counted for `check` (see removal.py), and what was asked outside for
these jobs; what replicas hold of them (gcc/pipelines/analytics/replica_erasure.py); their media; their rows of the
sheets that tell of others; their handles in the lists of other people's posts; what callers would be answered again of
them, and that something was done to them; and the marts are built anew from what is left. No crawl stores anything of
them again (gcc/pipelines/scraping/erased.py). What was on its way meanwhile, in a queue or in an attempt, goes with a
later round: the new ones are looked for each time, for two days, and all of them once a day, when also goes what an
import or a replay has brought back.

Dead letters are left as they are: each holds events of many. So is what others wrote of them, in captions and comments.
"""

import csv
import io
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from gcc.channels.objects import Objects
from gcc.clock import Clock
from gcc.pipelines.events.check import Rows
from gcc.pipelines.events.removal import Removal
from gcc.pipelines.events.types import (
    ASSET_LOG,
    CREATOR_FOLLOWER_SCORE,
    PARTNER_ACTIVITY_LOG,
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
from gcc.sources.snapshot import OTHERS
from gcc.stores.erasures import HANDLES, IDENTIFIED_BY, NAMED_BY, PERSONS, Leaving, PostgresErasures

_IDS, _NAMES = "{ids:Array(String)}", "{names:Array(String)}"
_OWN = f"profile_id in {_IDS}"
_ACTOR = "JSONExtractString(dimensions, 'actor_handle')"


def _person(column: str, handle: str) -> str:
    """By the id, or where it is not told by the handle."""
    return f"{column} in {_IDS} or ({column} = '' and lower({handle}) in {_NAMES})"


PLACES: Mapping[EventType, str] = {
    PROFILE_LOG: _OWN,
    POST_LOG: _person("profile_id", "handle"),
    SENTIMENT_LOG: _OWN,
    ASSET_LOG: _OWN,
    POST_ACTIVITY_LOG: f"{_OWN} or {_person('actor_profile_id', _ACTOR)}",
    PROFILE_RELATIONSHIP_LOG: (
        f"{_person('source_profile_id', 'source_handle')} or {_person('target_profile_id', 'target_handle')}"
    ),
    YT_ACTIVITY_LOG: f"actor_channel_id in {_IDS}",
    CREATOR_FOLLOWER_SCORE: f"{_OWN} or {_person('follower_profile_id', 'follower_handle')}",
    SCRAPE_REQUEST_LOG: (
        f"arrayExists(param -> has({_NAMES}, lower(JSONExtractString(params, param)))"
        f" or hasAny(arrayMap(each -> lower(each), JSONExtract(params, param, 'Array(String)')), {_NAMES}),"
        f" {list(NAMED_BY)})"
        f" or arrayExists(param -> has({_IDS}, JSONExtractString(params, param)), {list(IDENTIFIED_BY)})"
    ),
}
"""Where a profile stands in the events of its platform."""
ASKED = (
    f"hasAny(splitByRegexp('[^a-zA-Z0-9_-]+', decodeURLComponent(uri)), {_IDS})"
    " or hasAny(extractAll(lower(decodeURLComponent(uri)),"
    r" '(?:username\\(|[?&][a-z_]*(?:user|handle|name)[a-z_]*=)(@?[a-z0-9._-]+)'), " + _NAMES + ")"
)
"""And in those of what was asked outside, which name no platform: by an id, or a handle where one stands. Elsewhere in
an address a handle may be one of our own words ("media"): there the job tells for which it was asked."""
_NOTED = "JSONExtractKeysAndValuesRaw(metadata)"
NOTED = (
    "upper(JSONExtractString(metadata, 'platform')) in ('', {platform:String})"
    f" and (arrayExists(each -> has({_IDS}, JSONExtractString(metadata, each)), {[*PERSONS, 'thing_id']})"
    f" or arrayExists(each -> has({_NAMES}, lower(JSONExtractString(metadata, each))), {list(HANDLES)}))"
)
"""And in what partners did."""
JOBS_AT_ONCE = 1000
EXPORTS = "exports/"
IN_MARTS = ("events", "rows", "replicas", "names")
"""Kinds of what goes, of which marts are made."""


class Erasure:
    """A round is `await erasure()`; see Schedule. Raises Transient, LeaseLost when another process leads."""

    def __init__(
        self,
        erasures: PostgresErasures,
        removal: Removal,
        objects: Objects,
        clock: Clock,
        rebuild: Callable[[], Awaitable[Any]],
        forget_replicas: Callable[[Leaving], Awaitable[int]],
        settle: Callable[[], Awaitable[None]],
        drop_spares: Callable[[], Awaitable[None]],
    ) -> None:
        """`settle`: waits for those who carry what stood in marts before, and drops what they replaced. `drop_spares`:
        drops what builds before this round have replaced."""
        self._forget_replicas = forget_replicas
        self._erasures = erasures
        self._removal = removal
        self._objects = objects
        self._clock = clock
        self._rebuild = rebuild
        self._settle = settle
        self._drop_spares = drop_spares
        self._owed = False  # the last build failed: it is tried again, also where nothing more goes
        self._carried = False  # marts are built anew, and tables may still have what was read of them before

    async def __call__(self, *, every: bool = False) -> dict[str, Any]:
        """Answers how much went now, by kind. `every`: of those, too, who went long ago."""
        await self._removal.finish()
        gone = Counter[str]()
        due = await self._erasures.due(every=every)
        if due:
            await self._drop_spares()
        # Of who is not gone yet a round that was cut short may have left what marts say.
        self._owed |= any(each.erased_at is None for each in await self._erasures.listed())
        for each in due:
            leaving = replace(each, posts=await self._posts(each))
            gone["rows"] += await self._erasures.forget_rows(leaving)
            gone["credentials"] += await self._erasures.forget_credentials(leaving)
            jobs = await self._erasures.forget_jobs(leaving)
            gone["jobs"] += len(jobs)
            gone["replicas"] += await self._forget_replicas(leaving)
            gone["objects"] += await self._forget_objects(leaving, jobs)
            gone["events"] += await self._forget_events(leaving)
            gone["names"] += await self._forget_names(leaving)
            gone["sheets"] += await self._forget_exported(leaving)
            gone["answers"] += await self._erasures.forget_answers(leaving)
            gone["notes"] += await self._erasures.forget_noted(leaving) + await self._forget_noted(leaving)
        self._owed |= any(gone[kind] for kind in IN_MARTS)
        if self._owed:
            await self._rebuild()
            self._owed, self._carried = False, True
        if self._carried:
            await self._settle()
            for leaving in due:
                await self._erasures.forget_rows(leaving)
            self._carried = False
        for leaving in due:
            await self._erasures.gone(leaving)
        return {"profiles": sum(len(leaving.ids) for leaving in due), **{kind: n for kind, n in gone.items() if n}}

    async def _posts(self, leaving: Leaving) -> set[str]:
        """Before they go: shortcodes of all of theirs that were ever seen."""
        seen = await self._removal.ids(_of_platform(POST_LOG, _values(leaving)), "shortcode")
        return {*seen, *await self._erasures.posts(leaving)}

    async def _forget_events(self, leaving: Leaving) -> int:
        settled, gone = self._clock.now(), await self._forget_asked(leaving)
        values = _values(leaving)
        for event_type in PLACES:
            gone += await self._removal.remove(_of_platform(event_type, values).settled(settled))
        return gone

    async def _forget_asked(self, leaving: Leaving) -> int:
        """What was asked outside, before what tells for which jobs it was."""
        settled, values = self._clock.now(), _values(leaving)
        gone = await self._removal.remove(Rows(TRACE_LOG.table, ASKED, values).settled(settled))
        jobs = await self._removal.ids(_of_platform(SCRAPE_REQUEST_LOG, values), "scl_id")
        for begin in range(0, len(jobs), JOBS_AT_ONCE):
            of = {"jobs": jobs[begin : begin + JOBS_AT_ONCE]}
            rows = Rows(TRACE_LOG.table, "origin_id in {jobs:Array(String)}", of)
            gone += await self._removal.remove(rows.settled(settled))
        return gone

    async def _forget_names(self, leaving: Leaving) -> int:
        """From the lists of other people's posts."""
        settled, gone = self._clock.now(), 0
        for name in OTHERS:
            listed = f"JSONExtract(dimensions, '{name}', 'Array(String)')"
            words = f"platform = {{platform:String}} and hasAny(arrayMap(each -> lower(each), {listed}), {_NAMES})"
            others = f"arrayFilter(each -> not has({_NAMES}, lower(each)), {listed})"
            kept = f"arrayStringConcat(arrayMap(each -> toJSONString(each), {others}), ',')"
            was = rf"extract(dimensions, '(\"{name}\"\\s*:\\s*\\[[^\\]]*\\])')"
            value = f"replaceOne(dimensions, {was}, concat('\"{name}\":[', {kept}, ']'))"
            rows = Rows(POST_LOG.table, words, _values(leaving)).settled(settled)
            gone += await self._removal.rewrite(rows, "dimensions", value)
        return gone

    async def _forget_noted(self, leaving: Leaving) -> int:
        """To whom something was done, of the events of who did it."""
        kept = f"arrayFilter(each -> not has({[*PERSONS, *HANDLES, 'thing_id']}, each.1), {_NOTED})"
        pairs = f"arrayMap(each -> toJSONString(each.1) || ':' || each.2, {kept})"
        value = f"concat('{{', arrayStringConcat({pairs}, ','), '}}')"
        rows = Rows(PARTNER_ACTIVITY_LOG.table, NOTED, _values(leaving)).settled(self._clock.now())
        return await self._removal.rewrite(rows, "metadata", value)

    async def _forget_exported(self, leaving: Leaving) -> int:
        """Their rows of the sheets of others; how many sheets held any. An id is of one platform alone."""
        changed = 0
        for key in await self._objects.keys(EXPORTS) if leaving.exported else ():
            text = (await self._objects.read(key)).decode(errors="surrogateescape")
            rows = list(csv.reader(io.StringIO(text)))
            places = [place for place, name in enumerate(rows[0] if rows else ()) if name in PERSONS]
            told = [{row[place] for place in places if place < len(row)} for row in rows]
            kept = [row for row, persons in zip(rows, told, strict=True) if leaving.exported.isdisjoint(persons)]
            if len(kept) < len(rows):
                sheet = io.StringIO()
                csv.writer(sheet).writerows(kept)
                await self._objects.put(key, sheet.getvalue().encode(errors="surrogateescape"))
                changed += 1
        return changed

    async def _forget_objects(self, leaving: Leaving, jobs: list[str]) -> int:
        platform, gone = leaving.platform.lower(), 0
        media = [f"media/{platform}/{profile_id}/" for profile_id in leaving.ids]
        pictures = [f"assets/profile/{platform}/{profile_id}." for profile_id in leaving.ids]
        for prefix in (*media, *pictures, *(f"{EXPORTS}{job}.csv" for job in jobs)):
            for key in await self._objects.keys(prefix):
                await self._objects.delete(key)
                gone += 1
        return gone


def _of_platform(event_type: EventType, values: Mapping[str, Any]) -> Rows:
    return Rows(event_type.table, f"platform = {{platform:String}} and ({PLACES[event_type]})", values)


def _values(leaving: Leaving) -> dict[str, Any]:
    return {"platform": leaving.platform, "ids": sorted(leaving.ids), "names": sorted(leaving.names)}
