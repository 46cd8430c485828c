"""The discovery service: one profile, its posts, its growth.

A profile that is missing or stale is scraped within the request, through the refresher. Where that
cannot be done now, a stale profile is answered with its honest age rather than nothing; who forces a
refresh gets the refusal instead. What the source said does not exist is not asked for again for a while, and of handles
that nobody follows a tenant may ask for a few a minute: else whoever guesses names would use up what all share.
"""

import dataclasses
import datetime as dt
import re
import uuid
import zoneinfo
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated, Any, Literal

import msgspec
import trio
from quart import Request

from gcc.clock import Clock
from gcc.config import Settings
from gcc.errors import Transient
from gcc.pipelines.scraping.limiting import take_full_refresh
from gcc.pipelines.scraping.refresh import Refreshed, Refresher
from gcc.pipelines.scraping.table import refresh_key
from gcc.platforms import INSTAGRAM, Platform
from gcc.platforms.steps import crossed
from gcc.sources.limits import Limiter, LimitRefused
from gcc.stores import gate, profiles_read
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.gate import Row
from gcc.stores.plans import Uses
from gcc.stores.postgres import Pool
from gcc.stores.profiles_read import SYNCED_METRICS, Found, Known
from gcc.stores.tenant import Tenant
from gcc.web.api import cursor, parse, shapes
from gcc.web.api.deprecation import Deprecated
from gcc.web.api.envelope import Answer, Due, not_yet
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.metering import Meter
from gcc.web.api.naming import Naming, Shown, invalid_handle
from gcc.web.api.route import Route
from gcc.web.api.tenant_limits import TenantLimits
from gcc.web.at_once import OVER

PROFILE = "/discovery-service/api/profile/{platform}/{handle}"
OLDER = dt.date(2026, 12, 1), dt.date(2027, 12, 1)
"""Since when the paths of the platform before this one are not to be asked any more, and when they end."""
WAIT_SHARE = 0.8
"""A scrape is waited for at most this share of the request's deadline: the rest is for answering."""
COUNT_S = 2.0
"""How long the counting of a refresh may take, whoever has stopped waiting."""

_PUTTING_UP_WITH_STALE = (
    Code.RATE_LIMITED,
    Code.SOURCE_LIMITED,
    Code.SCRAPE_TIMEOUT,
    Code.SOURCE_UNAVAILABLE,
    Code.DRAINING,
)
ID = re.compile(shapes.PROFILE_ID)
Span = tuple[dt.date, dt.date, str | None]
"""The first and the last day, and why not more."""
_NAMING = (Code.INVALID_PLATFORM, Code.INVALID_HANDLE, Code.PROFILE_NOT_FOUND)


class PostKey(msgspec.Struct, frozen=True, array_like=True):
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
        meter: Meter,
    ) -> None:
        self.stale_after = dt.timedelta(seconds=settings.web.stale_after_s)
        self.wait_s = min(settings.web.scrape_wait_s, WAIT_SHARE * settings.gateway.deadline_s)
        self.not_found_s = settings.web.not_found_s
        self.unknown_handles = TenantLimits(
            "unknown-handles", "handles that nobody follows", settings.web.unknown_handles, per_s=60
        )
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
        self.meter = meter

    def routes(self) -> list[Route]:
        naming = self.naming
        profile, series, posts = (
            Route(
                "GET", PROFILE, "getProfile", "A profile with the figures of its recent posts", self.profile,
                data=naming.profile, query=shapes.ProfileQuery, parts=naming.parts, part_schemas=naming.part_schemas,
                forced_rate="scrape", conditional=True, repeats=True, picks=True,
                errors=(*_NAMING, Code.PROFILE_UNAVAILABLE, Code.SOURCE_LIMITED, Code.CONCURRENCY_LIMIT,
                        Code.SOURCE_UNAVAILABLE, Code.SCRAPE_TIMEOUT, Code.DRAINING, Code.QUOTA_SPENT),
                description="A profile that is missing or stale is scraped first; meta.source is then `scrape`."
                " What its source does not know is not asked for again for a while, unless forced.",
            ),
            Route(
                "GET", PROFILE + "/timeseries", "getProfileTimeSeries", "A metric of a profile over time", self.series,
                data=list[shapes.SeriesPoint], query=shapes.SeriesQuery,
                parts=naming.parts, part_schemas=naming.part_schemas,
                errors=(*_NAMING, Code.INVALID_DATE, Code.ANALYTICS_UNAVAILABLE), deadline_s=10.0,
                description="Ascending; days without a snapshot are absent. Plan FREE: the last 90 days.",
            ),
            Route(
                "GET", PROFILE + "/posts", "listProfilePosts", "The posts of a profile, newest first", self.posts,
                data=naming.posts, query=shapes.PostsQuery, parts=naming.parts, part_schemas=naming.part_schemas,
                errors=(*_NAMING, Code.INVALID_CURSOR),
            ),
        )  # fmt: skip
        by_handle = dataclasses.replace(
            profile, path="/discovery/{platform}/byhandle/{handle}", name="getProfileByHandle",
            deprecated=Deprecated(*OLDER, successor=PROFILE),
        )  # fmt: skip
        by_id = dataclasses.replace(
            series, path="/analytics/timeseries/{profile_id}", name="getTimeSeriesById", handler=self.series_by_id,
            query=shapes.SeriesByIdQuery, parts={"profile_id": "Of the profile at its platform."},
            errors=(*series.errors, Code.CONFLICT), deprecated=Deprecated(*OLDER, successor=series.path),
        )  # fmt: skip
        return [profile, series, posts, by_handle, by_id]

    async def profile(self, tenant: Tenant, request: Any, platform: str, handle: str) -> Answer:
        shown, handle = self.naming.profile_named(platform, handle)
        query = parse.query(shapes.ProfileQuery, request)
        forced = query.force_refresh or query.full_refresh
        found = await self._find(tenant, shown, handle)
        if found is not None and not forced and self.clock.now() - found.row["scraped_at"] <= self.stale_after:
            return replace(_whole(tenant, shown, found, "postgres"), repeats=True)
        uses: Uses = {
            "PROFILE_VIEW": "" if found is None else _subject(shown, found.row),
            **({"REFRESH": ""} if forced else {}),
        }
        # Nothing is scraped for who may not see it; what is left is held until this is answered, and counted.
        request.closing = await self.meter.admit(tenant, uses, f"{shown.platform.name} {handle}")
        try:
            if query.full_refresh and shown.platform is INSTAGRAM:
                await self._take_full_refresh(handle)
            await self._counted(tenant, shown.platform, handle, known=found is not None, forced=forced)
        except ApiError as error:
            if found is None or forced or error.code not in _PUTTING_UP_WITH_STALE:
                raise
            return _whole(tenant, shown, found, "postgres")
        found = await self._find(tenant, shown, handle)
        if found is None:  # the source knows it by another name now
            raise ApiError(
                Code.PROFILE_UNAVAILABLE, f"{shown.platform.name} answered without a profile called {handle!r}"
            )
        return _whole(tenant, shown, found, "scrape")

    async def series(self, tenant: Tenant, request: Request, platform: str, handle: str) -> Answer:
        shown, handle = self.naming.profile_named(platform, handle)
        query = parse.query(shapes.SeriesQuery, request)
        span = self._span(tenant, query)
        return await self._series(query, span, shown.platform, await self._known(shown.platform, handle))

    async def series_by_id(self, tenant: Tenant, request: Request, profile_id: str) -> Answer:
        query = parse.query(shapes.SeriesByIdQuery, request)
        platforms = self.naming.platforms if query.platform is None else [self._platform(query.platform)]
        if not ID.fullmatch(profile_id):
            reason = "it is no profile's id"
            raise ApiError(
                Code.INVALID_PARAMETER, f"profile_id: {reason}", errors=[{"path": "profile_id", "reason": reason}]
            )
        span = self._span(tenant, query)
        found = await profiles_read.identify_id(self.pool, platforms, profile_id)
        match list(found.items()):
            case []:
                raise ApiError(Code.PROFILE_NOT_FOUND, f"no profile with the id {profile_id!r} is known here")
            case [(platform, known)]:
                return await self._series(query, span, self._platform(platform), known)
            case _:
                told = f"{' and '.join(sorted(found))} have a profile with the id {profile_id!r}; ask with ?platform="
                raise ApiError(Code.CONFLICT, told)

    def _span(self, tenant: Tenant, query: shapes.SeriesQuery) -> Span:
        """The days that the plan shows of those asked for. Raises ApiError, PlanTooSmall."""
        gate.admit(tenant.plan, query.metric)
        today = self.clock.now().astimezone(self.zone).date()
        asked, last = query.span(today)
        first = max(asked, gate.first_day(tenant.plan, today) or asked)
        return first, last, f"plan {tenant.plan} shows nothing before {first}" if first > asked else None

    async def _series(self, query: shapes.SeriesQuery, days: Span, platform: Platform, known: Known) -> Answer:
        first, last, clipped = days
        nothing = f"nothing is known of its {query.metric} from {first} to {last}"
        steps = list(crossed(platform.name, query.metric, first, last))
        if query.metric in SYNCED_METRICS:
            points, as_of = await profiles_read.synced_series(
                self.pool, platform.name, known.profile_id, query.metric, first, last, query.granularity
            )
            if points == b"[]":
                why = not_yet("series", self.due("sync_time_series")) if as_of is None else nothing
                return Answer([], "postgres", as_of=as_of, note=_noted(why, clipped))
            return Answer(msgspec.Raw(points), "postgres", as_of=as_of, note=clipped, steps=steps)
        span = self._midnight(first), self._midnight(last + dt.timedelta(days=1))
        try:
            found, as_of = await profiles_read.event_series(
                self.clickhouse,
                platform.name,
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
        note = _noted(None if found else nothing, clipped)
        return Answer(found, "clickhouse", as_of=as_of, note=note, steps=steps if found else ())

    async def posts(self, tenant: Tenant, request: Request, platform: str, handle: str) -> Answer:
        shown, handle = self.naming.profile_named(platform, handle)
        query = parse.query(shapes.PostsQuery, request)
        known = await self._known(shown.platform, handle)
        scope = cursor.scope(tenant, "posts", shown.platform.name, known.profile_id)
        after = None
        if query.cursor is not None:
            key = cursor.decode(query.cursor, scope, PostKey)[1]
            after = key.publish_time, key.post_id
        rows, total = await profiles_read.posts(
            tenant, self.pool, shown.platform, shown.columns, known.profile_id, after=after, limit=query.limit + 1
        )
        page = rows[: query.limit]
        more = None
        if len(rows) > query.limit:
            last = PostKey(page[-1]["publish_time"], page[-1][shown.platform.post_id])
            more = cursor.encode(cursor.LIVE, scope, last)
        note = (
            None if total else "it was not crawled yet" if known.scraped_at is None else "its source told of no posts"
        )
        return Answer(page, "postgres", as_of=known.scraped_at, cursor=more, total=total, note=note)

    def _platform(self, name: str) -> Platform:
        return self.naming.platform_named(name).platform

    async def _find(self, tenant: Tenant, shown: Shown, handle: str) -> Found | None:
        return await profiles_read.find(tenant, self.pool, shown.platform, shown.columns, handle)

    async def _known(self, platform: Platform, handle: str) -> Known:
        known = await profiles_read.identify(self.pool, platform, handle)
        if known is None:
            raise ApiError(Code.PROFILE_NOT_FOUND, f"no {platform.name} profile called {handle!r} is known here")
        return known

    async def _counted(self, tenant: Tenant, platform: Platform, handle: str, *, known: bool, forced: bool) -> None:
        """A scrape that was forced is one refresh, however many asked for it; also of who no longer waits for it, as it
        goes on, but not where it did not end well. Raises ApiError."""
        scrapes: list[uuid.UUID] = []
        try:
            await self._refresh(tenant, platform, handle, known, forced, scrapes.append)
        except ApiError:
            scrapes.clear()
            raise
        finally:
            if forced and scrapes:
                with trio.fail_after(COUNT_S, shield=True):
                    await self.meter.count(tenant, {"REFRESH": str(scrapes[0])}, OVER)

    async def _refresh(
        self,
        tenant: Tenant,
        platform: Platform,
        handle: str,
        known: bool,
        forced: bool,
        begun: Callable[[uuid.UUID], None],
    ) -> None:
        """Have the profile scraped now; ApiError where that does not end well."""
        if self.state() == "draining":
            raise ApiError(Code.DRAINING, "nothing is scraped while the platform shuts down")
        key = refresh_key(platform, handle)
        if not forced and (code := await profiles_read.lately_not_found(self.pool, key, self.not_found_s)):
            raise _not_found(platform.name, handle, visible=code != "NOT_VISIBLE")
        unknown = not known and await profiles_read.identify(self.pool, platform, handle) is None
        with self._joining(key) as first:
            if unknown and first:  # refused without a checkpoint: nobody can have joined it
                self.unknown_handles.take(tenant)
            refreshed = await self.refresher.refresh(
                platform.name, platform.folded(handle), wait_s=self.wait_s, begun=begun
            )
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


def _whole(tenant: Tenant, shown: Shown, found: Found, source: Literal["postgres", "scrape"]) -> Answer:
    uses: Uses = {"PROFILE_VIEW": _subject(shown, found.row)}
    gated = gate.hidden(tenant.plan, shown.columns.profile)
    as_of = found.row["scraped_at"]
    return Answer(found.row, source, as_of=as_of, gated=gated, version=found.version, uses=uses)


def _subject(shown: Shown, row: Row) -> str:
    return f"{shown.platform.name}/{row[shown.platform.profile_id]}"


def _noted(*notes: str | None) -> str | None:
    return "; ".join(note for note in notes if note) or None


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
                Code.SOURCE_LIMITED,
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
