"""What is scraped, declared: sources with their limits, and flows with their parameters, chain and yield.

A flow is a row; a later flow is one more row, its retrieve functions, and the function that turns what they retrieve
into rows and events (see yields.py). The chain is tried in order, each source with its own credentials and limit.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

import pydantic
import trio
from pydantic import StringConstraints

from gcc.config import Settings
from gcc.config import Source as SourceSettings
from gcc.errors import ConfigError
from gcc.pipelines.events.types import POST_LOG, PROFILE_LOG, SCRAPE_REQUEST_LOG, TRACE_LOG, EventType
from gcc.pipelines.scraping.yields import Yields, of_profile
from gcc.platforms import INSTAGRAM, YOUTUBE, Platform
from gcc.sources.breakers import Breakers, Out
from gcc.sources.chain import Visit
from gcc.sources.instagram.graph_client import GraphApi
from gcc.sources.limits import Limit, Limiter, LimitsAway
from gcc.sources.snapshot import ProfileSnapshot
from gcc.sources.source import Source
from gcc.sources.table import SOURCES
from gcc.sources.youtube.data_client import DataApi
from gcc.tables import Table

LIMITS_LOOK_S = 1.0  # how often whoever waits for work looks whether limits that were away are back


@dataclass(frozen=True, slots=True)
class Apis:
    """The clients of the outside by source, and what is known of who is there."""

    clients: Mapping[str, Any]
    breakers: Breakers
    limiter: Limiter

    def out(self, sources: Collection[str]) -> Out | None:
        """None: one of `sources` may be asked. Else why not, and until when, see `Breakers.out`."""
        if why := self.limiter.away():
            return Out(LimitsAway.code, f"our limits are away: {why}", trio.current_time() + LIMITS_LOOK_S)
        return self.breakers.out(sources)


class Params(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class HandleParams(Params):
    """`handle` as the platform shows it, without "@"; where profiles are known by their ids also the id."""

    handle: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


Retrieve = Callable[[Any, Any, Visit], Awaitable[Any]]
"""Asks one source, by its client, for what the params name. It answers what the flow's `yields` takes."""


@dataclass(frozen=True, slots=True)
class Flow:
    """`workers` x `concurrency` jobs run at once; `chain` maps each source, in order, to how it is asked.

    `events` and `tables` tell what `yields` makes of an answer. `refreshes`: it brings a profile up to date by its
    handle; one flow of a platform does.
    """

    name: str
    platform: Platform
    params: type[Params]
    chain: Mapping[str, Retrieve]
    yields: Yields
    workers: int
    events: tuple[EventType, ...]
    tables: tuple[Table, ...]
    concurrency: int = 5
    refreshes: bool = False


async def _graph_profile(api: GraphApi, params: HandleParams, visit: Visit) -> ProfileSnapshot:
    return await api.profile(params.handle, visit)


async def _youtube_profile(api: DataApi, params: HandleParams, visit: Visit) -> ProfileSnapshot:
    return await api.profile(params.handle, visit)


_CRAWL_EVENTS = (PROFILE_LOG, POST_LOG, SCRAPE_REQUEST_LOG, TRACE_LOG)

FLOWS: Mapping[str, Flow] = {
    flow.name: flow
    for flow in (
        Flow(
            "refresh_profile_by_handle",
            INSTAGRAM,
            HandleParams,
            {"graphapi": _graph_profile},
            partial(of_profile, INSTAGRAM),
            workers=10,
            events=_CRAWL_EVENTS,
            tables=(INSTAGRAM.account, INSTAGRAM.post),
            refreshes=True,
        ),
        Flow(
            "refresh_yt_profiles",
            YOUTUBE,
            HandleParams,
            {"ytapi": _youtube_profile},
            partial(of_profile, YOUTUBE),
            workers=10,
            events=_CRAWL_EVENTS,
            tables=(YOUTUBE.account, YOUTUBE.post),
            refreshes=True,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What a platform scrapes, and from where, by name."""

    sources: Mapping[str, Source] = field(default_factory=lambda: SOURCES)
    flows: Mapping[str, Flow] = field(default_factory=lambda: FLOWS)

    @property
    def platforms(self) -> Mapping[str, Platform]:
        return {flow.platform.name: flow.platform for flow in self.flows.values()}

    @property
    def refreshing(self) -> Mapping[str, Flow]:
        """The flows that refresh a profile by its handle, by their platforms' names."""
        return {flow.platform.name: flow for flow in self.flows.values() if flow.refreshes}


REFRESHING = Catalogue().refreshing


def refresh_key(platform: Platform, handle: str) -> str:
    """The idempotency key of a refresh: one unfinished refresh a profile, whoever asked for it."""
    return f"refresh:{platform.name}:{platform.folded(handle)}"


def limits(settings: Settings, catalogue: Catalogue) -> dict[str, Limit]:
    """Each source's limit: the settings' where they name one, the declared one otherwise."""
    if unknown := sorted(set(settings.sources) - set(catalogue.sources)):
        raise ConfigError(f"sources.{unknown[0]} is no source; known are {', '.join(catalogue.sources)}")
    if unknown := sorted(set(settings.scraper.concurrency) - set(catalogue.flows)):
        raise ConfigError(f"scraper.concurrency.{unknown[0]} is no flow; known are {', '.join(catalogue.flows)}")
    chosen = {}
    for name, row in catalogue.sources.items():
        source = settings.sources.get(name)
        chosen[name] = Limit(source.calls, source.per_s) if source and source.calls else row.limit
    return chosen


def address(settings: Settings, row: Source, world_url: str | None) -> str:
    """Where a source is asked: at the settings' address, else the world's, else the API's own."""
    source = settings.sources.get(row.name) or SourceSettings()
    root = source.base_url or (world_url + row.world_path if world_url else row.base_url)
    return row.address(root, source.version)


def enabled(settings: Settings, row: Source) -> bool:
    """Whether it may be asked: what reads a platform without its consent only where it is switched on by name."""
    source = settings.sources.get(row.name) or SourceSettings()
    return not row.unofficial if source.enabled is None else source.enabled


def concurrency(settings: Settings, flow: Flow) -> int:
    return settings.scraper.concurrency.get(flow.name, flow.workers * flow.concurrency)


def overview(settings: Settings, catalogue: Catalogue) -> list[dict[str, Any]]:
    """The flow table as verbs and pages show it."""
    current = limits(settings, catalogue)
    return [
        {
            "name": flow.name,
            "platform": flow.platform.name,
            "sources": list(flow.chain),
            "params": flow.params.model_json_schema(),
            "workers": flow.workers,
            "concurrency": concurrency(settings, flow),
            "limits": {name: {"calls": current[name].calls, "per_s": current[name].per_s} for name in flow.chain},
            "events": [event.name for event in flow.events],
            "tables": [table.name for table in flow.tables],
        }
        for flow in catalogue.flows.values()
    ]
