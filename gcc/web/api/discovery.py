"""The discovery service: one profile, its posts, its growth.

A profile that is missing or stale is scraped within the request, through the refresher. Where that
cannot be done now, a stale profile is answered with its honest age rather than nothing; who forces a
refresh gets the refusal instead. What the source said does not exist is not asked for again for a while, and of handles
that nobody follows a tenant may ask for a few a minute: else whoever guesses names would use up what all share.
"""

import datetime as dt
import zoneinfo
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec
from quart import Request

from gcc.clock import Clock
from gcc.config import Settings
from gcc.errors import Transient
from gcc.pipelines.scraping.limiting import take_full_refresh
from gcc.pipelines.scraping.refresh import Refreshed, Refresher
from gcc.pipelines.scraping.table import refresh_key
from gcc.platforms import INSTAGRAM, Platform
from gcc.platforms.steps import crossed
from gcc.sources.limits import Limit, Limiter, LimitRefused
from gcc.stores import profiles_read
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from gcc.stores.profiles_read import SYNCED_METRICS, Known, Row
from gcc.stores.tenant import Tenant
from gcc.web.api import cursor, parse, shapes
from gcc.web.api.envelope import Answer, Due, not_yet
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.naming import Naming, Shown, invalid_handle
from gcc.web.api.route import Route
from gcc.web.api.tenant_limits import TenantLimits

PROFILE = "/discovery-service/api/profile/{platform}/{handle}"
WAIT_SHARE = 0.8
"""A scrape is waited for at most this share of the request's deadline: the rest is for answering."""

_PUTTING_UP_WITH_STALE = (Code.RATE_LIMITED, Code.SCRAPE_TIMEOUT, Code.SOURCE_UNAVAILABLE, Code.DRAINING)
_NAMING = (Code.INVALID_PLATFORM, Code.INVALID_HANDLE, Code.PROFILE_NOT_FOUND)


class _PostKey(msgspec.Struct, frozen=True, array_like=True):
    publish_time: Annotated[dt.datetime, msgspec.Meta(tz=True)] | None
    post_id: cursor.Text


class Discovery:
    def __init__(
        self,
        settings: Settings,
        naming: Naming,
        *,
        pool: Pool,
        clickhouse: ClickHouse,
        refresher: Refresher,
        limiter: Limiter,
        clock: Clock,
        state: Callable[[], str],
        due: Due,
    ) -> None:
        self.stale_after = dt.timedelta(seconds=settings.web.stale_after_s)
        self.wait_s = min(settings.web.scrape_wait_s, WAIT_SHARE * settings.gateway.deadline_s)
        self.not_found_s = settings.web.not_found_s
        self.unknown_handles = TenantLimits("handles that nobody follows", Limit(settings.web.unknown_handles, 60.0))
        self.waiting: Counter[str] = Counter()  # refresh_key -> requests that wait for its scrape
        self.zone = zoneinfo.ZoneInfo(settings.reports.timezone)
        self.pool = pool
        self.clickhouse = clickhouse
        self.refresher = refresher
        self.limiter = limiter
        self.clock = clock
        self.state = state
        self.due = due
        self.naming = naming

    def routes(self) -> list[Route]:
        naming = self.naming
        return [
            Route(
                "GET", PROFILE, "getProfile", "A profile with the figures of its recent posts", self.profile,
                data=naming.profile, query=shapes.ProfileQuery, parts=naming.parts, part_schemas=naming.part_schemas,
                errors=(*_NAMING, Code.PROFILE_UNAVAILABLE, Code.RATE_LIMITED, Code.CONCURRENCY_LIMIT,
                        Code.SOURCE_UNAVAILABLE, Code.SCRAPE_TIMEOUT, Code.DRAINING),
                description="A profile that is missing or stale is scraped first; meta.source is then `scrape`."
                " What its source does not know is not asked for again for a while, unless forced.",
            ),
            Route(
                "GET", PROFILE + "/timeseries", "getProfileTimeSeries", "A metric of a profile over time", self.series,
                data=list[shapes.SeriesPoint], query=shapes.SeriesQuery,
                parts=naming.parts, part_schemas=naming.part_schemas,
                errors=(*_NAMING, Code.INVALID_DATE, Code.ANALYTICS_UNAVAILABLE),
                description="Ascending; days without a snapshot are absent.",
            ),
            Route(
                "GET", PROFILE + "/posts", "listProfilePosts", "The posts of a profile, newest first", self.posts,
                data=naming.posts, query=shapes.PostsQuery, parts=naming.parts, part_schemas=naming.part_schemas,
                errors=(*_NAMING, Code.INVALID_CURSOR),
            ),
        ]  # fmt: skip

    async def profile(self, tenant: Tenant, request: Request, platform: str, handle: str) -> Answer:
        shown, handle = self.naming.profile_named(platform, handle)
        query = parse.query(shapes.ProfileQuery, request)
        forced = query.force_refresh or query.full_refresh
        row = await self._find(tenant, shown, handle)
        if row is not None and not forced and self.clock.now() - row["scraped_at"] <= self.stale_after:
            return Answer(row, "postgres", as_of=row["scraped_at"])
        try:
            if query.full_refresh and shown.platform is INSTAGRAM:
                await self._take_full_refresh(handle)
            await self._refresh(tenant, shown.platform, handle, known=row is not None, forced=forced)
        except ApiError as error:
            if row is None or forced or error.code not in _PUTTING_UP_WITH_STALE:
                raise
            return Answer(row, "postgres", as_of=row["scraped_at"])
        row = await self._find(tenant, shown, handle)
        if row is None:  # the source knows it by another name now
            raise ApiError(
                Code.PROFILE_UNAVAILABLE, f"{shown.platform.name} answered without a profile called {handle!r}"
            )
        return Answer(row, "scrape", as_of=row["scraped_at"])

    async def series(self, tenant: Tenant, request: Request, platform: str, handle: str) -> Answer:
        shown, handle = self.naming.profile_named(platform, handle)
        query = parse.query(shapes.SeriesQuery, request)
        first, last = query.span(self.clock.now().astimezone(self.zone).date())
        known = await self._known(shown.platform, handle)
        nothing = f"nothing is known of its {query.metric} from {first} to {last}"
        steps = list(crossed(shown.platform.name, query.metric, first, last))
        if query.metric in SYNCED_METRICS:
            points, as_of = await profiles_read.synced_series(
                self.pool, shown.platform.name, known.profile_id, query.metric, first, last, query.granularity
            )
            note = None if points else not_yet("series", self.due("sync_time_series")) if as_of is None else nothing
            return Answer(points, "postgres", as_of=as_of, note=note, steps=steps if points else ())
        span = self._midnight(first), self._midnight(last + dt.timedelta(days=1))
        try:
            points, as_of = await profiles_read.event_series(
                self.clickhouse,
                shown.platform.name,
                known.profile_id,
                query.metric,
                span,
                query.granularity,
                self.zone.key,
            )
        except Transient as error:
            raise ApiError(
                Code.ANALYTICS_UNAVAILABLE,
                f"{query.metric} is read from the analytics database, which does not answer; try again",
                retry_after_s=error.retry_after_s,
            ) from error
        note = None if points else nothing
        return Answer(points, "clickhouse", as_of=as_of, note=note, steps=steps if points else ())

    async def posts(self, tenant: Tenant, request: Request, platform: str, handle: str) -> Answer:
        shown, handle = self.naming.profile_named(platform, handle)
        query = parse.query(shapes.PostsQuery, request)
        known = await self._known(shown.platform, handle)
        scope = cursor.scope("posts", shown.platform.name, known.profile_id)
        after = None
        if query.cursor is not None:
            key = cursor.decode(query.cursor, scope, _PostKey)[1]
            after = key.publish_time, key.post_id
        rows, total = await profiles_read.posts(
            self.pool, shown.platform, shown.columns, known.profile_id, after=after, limit=query.limit + 1
        )
        page = rows[: query.limit]
        more = None
        if len(rows) > query.limit:
            last = _PostKey(page[-1]["publish_time"], page[-1][shown.platform.post_id])
            more = cursor.encode(cursor.LIVE, scope, last)
        note = (
            None if total else "it was not crawled yet" if known.scraped_at is None else "its source told of no posts"
        )
        return Answer(page, "postgres", as_of=known.scraped_at, cursor=more, total=total, note=note)

    async def _find(self, tenant: Tenant, shown: Shown, handle: str) -> Row | None:
        return await profiles_read.find(tenant, self.pool, shown.platform, shown.columns, handle)

    async def _known(self, platform: Platform, handle: str) -> Known:
        known = await profiles_read.identify(self.pool, platform, handle)
        if known is None:
            raise ApiError(Code.PROFILE_NOT_FOUND, f"no {platform.name} profile called {handle!r} is known here")
        return known

    async def _refresh(self, tenant: Tenant, platform: Platform, handle: str, *, known: bool, forced: bool) -> None:
        """Have the profile scraped now; ApiError where that does not end well."""
        if self.state() == "draining":
            raise ApiError(Code.DRAINING, "nothing is scraped while the platform shuts down")
        key = refresh_key(platform, handle)
        if not forced and (code := await profiles_read.lately_not_found(self.pool, key, self.not_found_s)):
            raise _not_found(platform.name, handle, visible=code != "NOT_VISIBLE")
        unknown = not known and await profiles_read.identify(self.pool, platform, handle) is None
        with self._joining(key) as first:
            if unknown and first:  # refused without a checkpoint: nobody can have joined it
                await self.unknown_handles.take(tenant)
            refreshed = await self.refresher.refresh(platform.name, platform.folded(handle), wait_s=self.wait_s)
        if refreshed.outcome != "COMPLETE":
            raise _refusal(refreshed, platform.name, handle)

    async def _take_full_refresh(self, handle: str) -> None:
        """Spend one of each limit of a full refresh, or none. Refused at once."""
        try:
            await take_full_refresh(self.limiter, INSTAGRAM.folded(handle))
        except LimitRefused as refused:
            told = f"code 2: {refused}"
            raise ApiError(Code.CONCURRENCY_LIMIT, told, retry_after_s=refused.retry_after_s or 1.0) from refused

    @contextmanager
    def _joining(self, key: str) -> Iterator[bool]:
        """Around one request's wait for a scrape: whether it is the first, or shares one that others wait for."""
        first = key not in self.waiting
        self.waiting[key] += 1
        try:
            yield first
        finally:
            self.waiting[key] -= 1
            if not self.waiting[key]:
                del self.waiting[key]

    def _midnight(self, day: dt.date) -> dt.datetime:
        return dt.datetime.combine(day, dt.time(), self.zone)


def _not_found(platform: str, handle: str, *, visible: bool) -> ApiError:
    """`visible`: it would be seen if it were there."""
    if visible:
        return ApiError(Code.PROFILE_NOT_FOUND, f"{platform} has no profile called {handle!r}")
    hidden = "absent, personal or renamed: its official API does not tell which"
    return ApiError(Code.PROFILE_NOT_FOUND, f"{handle!r} is not visible by the official API of {platform} ({hidden})")


def _refusal(refreshed: Refreshed, platform: str, handle: str) -> ApiError:
    match refreshed.outcome:
        case "NOT_FOUND" | "NOT_VISIBLE" as outcome:
            return _not_found(platform, handle, visible=outcome == "NOT_FOUND")
        case "INVALID":
            return invalid_handle(refreshed.reason)
        case "LIMITED":
            return ApiError(
                Code.RATE_LIMITED,
                f"no call to {platform} is free now: {refreshed.reason}",
                retry_after_s=refreshed.retry_after_s or 1.0,
            )
        case "TIMEOUT":
            return ApiError(Code.SCRAPE_TIMEOUT, f"{platform} was not asked for {handle!r} in time: {refreshed.reason}")
        case _:
            return ApiError(
                Code.SOURCE_UNAVAILABLE,
                f"{platform} could not be asked: {refreshed.reason}",
                retry_after_s=refreshed.retry_after_s,
            )
