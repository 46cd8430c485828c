"""What is scraped, and from where: all flows and sources by name, and what the settings say of them."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import trio

from gcc.config import Settings
from gcc.config import Source as SourceSettings
from gcc.errors import ConfigError
from gcc.pipelines.scraping import instagram, shopify, upkeep, youtube
from gcc.pipelines.scraping.flow import Flow
from gcc.pipelines.scraping.limiting import FULL_REFRESH
from gcc.pipelines.scraping.yields import POST_ACTIVITY_LOG, PROFILE_RELATIONSHIP, TRACKED_PROFILE
from gcc.platforms import Platform
from gcc.sources.breakers import Breakers, Out
from gcc.sources.instagram_web.client import WebClient
from gcc.sources.instagram_web.providers import PROVIDERS, declared
from gcc.sources.limits import Daily, Limit, Limiter, LimitsAway
from gcc.sources.source import Source
from gcc.sources.table import SOURCES, scraper
from gcc.tables import Table

FLOWS: Mapping[str, Flow] = {
    flow.name: flow for flow in (*instagram.FLOWS, *youtube.FLOWS, *shopify.FLOWS, *upkeep.FLOWS)
}

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")  # which a variable of the environment can name
LIMITS_LOOK_S = 1.0  # how often whoever waits for work looks whether limits that were away are back


@dataclass(frozen=True, slots=True)
class Apis:
    """The clients of the outside by source, of those that may be asked, and what is known of who is there."""

    clients: Mapping[str, Any]
    breakers: Breakers
    limiter: Limiter
    underived: Collection[str] = ()
    """Sources from whose answers no figures of our own may be computed."""

    def out(self, sources: Collection[str]) -> Out | None:
        """None: one of `sources` may be asked, or none ever. Else why not, and until when, see `Breakers.out`."""
        asked = [source for source in sources if source in self.clients]
        if not asked:
            return None
        if why := self.limiter.away():
            return Out(LimitsAway.code, f"our limits are away: {why}", trio.current_time() + LIMITS_LOOK_S)
        return self.breakers.out(asked)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What a platform scrapes, and from where, by name."""

    sources: Mapping[str, Source] = field(default_factory=lambda: SOURCES)
    flows: Mapping[str, Flow] = field(default_factory=lambda: FLOWS)

    @property
    def platforms(self) -> Mapping[str, Platform]:
        """Those whose profiles are followed."""
        return {flow.refreshes.name: flow.refreshes for flow in self.flows.values() if flow.refreshes}

    @property
    def refreshing(self) -> Mapping[str, Flow]:
        """The flows that refresh a profile by its handle, by their platforms' names."""
        return {flow.refreshes.name: flow for flow in self.flows.values() if flow.refreshes}


REFRESHING = Catalogue().refreshing


def catalogue_of(settings: Settings) -> Catalogue:
    """All of it, with who scrapes Instagram as the settings declare it: asked last, by the flows that ask the others.

    Raises ConfigError naming the setting.
    """
    sources, own = dict(SOURCES), []
    for name, given in settings.sources.items():
        if not (given.endpoints or given.like):
            continue
        provider = declared(name, given.host, given.like, given.endpoints)
        if name in PROVIDERS:
            sources[name] = replace(sources[name], client=partial(WebClient, provider))
        elif name in SOURCES:
            raise ConfigError(f"sources.{name}.endpoints: it has none; of {', '.join(PROVIDERS)} they can be set")
        elif not given.calls or not (given.host or given.like or given.base_url) or not _NAME.fullmatch(name):
            raise ConfigError(f"sources.{name} needs calls, and a host or base_url, and a name of a-z, 0-9 and -")
        else:
            sources[name] = scraper(provider, Limit(given.calls, given.per_s), given.base_url, given.like)
            own.append(name)
    return Catalogue(sources, {name: _asking(flow, own) for name, flow in FLOWS.items()})


def _asking(flow: Flow, scrapers: Sequence[str]) -> Flow:
    """The flow, asking these last, where it asks others like them: as it asks those."""
    like = next((retrieve for name, retrieve in flow.chain.items() if name in PROVIDERS), None)
    return replace(flow, chain={**flow.chain, **dict.fromkeys(scrapers, like)}) if like and scrapers else flow


def refresh_key(platform: Platform, handle: str) -> str:
    """The idempotency key of a refresh: one unfinished refresh a profile, whoever asked for it."""
    return f"refresh:{platform.name}:{platform.folded(handle)}"


def limits(settings: Settings, catalogue: Catalogue) -> dict[str, Limit | Daily]:
    """The limits of all sources by name: the settings' where they name one, the declared ones otherwise."""
    if unknown := sorted(set(settings.sources) - set(catalogue.sources)):
        raise ConfigError(f"sources.{unknown[0]} is no source; known are {', '.join(catalogue.sources)}")
    if unknown := sorted(set(settings.scraper.concurrency) - set(catalogue.flows)):
        raise ConfigError(f"scraper.concurrency.{unknown[0]} is no flow; known are {', '.join(catalogue.flows)}")
    chosen: dict[str, Limit | Daily] = dict(FULL_REFRESH)
    for name, row in catalogue.sources.items():
        source = settings.sources.get(name) or SourceSettings()
        if source.version and not row.has_version(source.version):
            told = f"sources.{name}.version is no version of its API"
            raise ConfigError(f"{told}: write it like {row.version}, or leave it out")
        others = [rule for rule in row.limits if rule.name(name) != name]
        if unknown := sorted(set(source.limits) - {rule.bucket or rule.each for rule in others}):
            raise ConfigError(f"sources.{name}.limits.{unknown[0]} is no limit; see docs/sources.md")
        chosen[name] = Limit(source.calls, source.per_s) if source.calls else row.rules[name]
        for rule in others:
            calls, limit = source.limits.get(rule.bucket or rule.each), rule.limit or chosen[name]
            if rule.limit or calls:
                chosen[rule.name(name)] = replace(limit, calls=calls or limit.calls)
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


def asked(settings: Settings, catalogue: Catalogue) -> list[str]:
    """The sources that may be asked, in their order."""
    return [name for name, row in catalogue.sources.items() if enabled(settings, row)]


def lenders(settings: Settings, catalogue: Catalogue) -> list[str]:
    """The sources whose credentials they use, and need: some are but another name of one, some have owners' alone."""
    rows = (catalogue.sources[name] for name in asked(settings, catalogue))
    return list(dict.fromkeys(row.shares or row.name for row in rows if row.needs_credentials))


def kept_days(settings: Settings, catalogue: Catalogue) -> dict[str, int]:
    """How many days what each source answered may be kept, of those that do not let us keep it for ever.

    The world, where it stands in for a source, has no such rules.
    """
    days = {}
    for name, row in catalogue.sources.items():
        source = settings.sources.get(name) or SourceSettings()
        declared = 0 if _is_made_up(settings, source) else row.kept_days or 0
        days[name] = declared if source.retention_days is None else source.retention_days
    return {name: kept for name, kept in days.items() if kept}


def derives(settings: Settings, row: Source) -> bool:
    """Whether figures of our own may be computed from what it answers; see `kept_days`."""
    source = settings.sources.get(row.name) or SourceSettings()
    return row.derives or _is_made_up(settings, source) if source.derive is None else source.derive


def _is_made_up(settings: Settings, source: SourceSettings) -> bool:
    return settings.world.enabled and not source.base_url


def states(catalogue: Catalogue) -> list[Table]:
    """The tables of current state that flows write."""
    return list({table.name: table for flow in catalogue.flows.values() for table in flow.tables}.values())


def states_by_platform(catalogue: Catalogue) -> dict[str, list[Table]]:
    """Of which flows write what they find on each platform."""
    found: dict[str, dict[str, Table]] = {}
    for flow in catalogue.flows.values():
        found.setdefault(flow.platform, {}).update({table.name: table for table in flow.tables})
    return {platform: list(tables.values()) for platform, tables in found.items()}


_OF_PROFILES = {"platform": "text", "profile_id": "text"}
SHARED_STATES = (
    TRACKED_PROFILE,
    PROFILE_RELATIONSHIP,
    POST_ACTIVITY_LOG,
    *(
        Table(name, key=_OF_PROFILES)
        for name in (
            *("leaderboard", "social_profile_time_series", "profile_handle", "profile_log", "asset_log"),
            *("curated_account", "campaign_profiles", "partner_profile_page_track", "connection"),
            *("social_profile_hashtags", "search_profile", "trending_content"),
            *("collection_post_metrics_summary", "collection_post_metrics_ts"),
        )
    ),
    Table("post_log", key={**_OF_PROFILES, "handle": "text"}),
    *(
        Table(name, key={**_OF_PROFILES, "linked_platform": "text", "linked_profile_id": "text"})
        for name in ("social_link", "linked_social")
    ),
    Table("profile_collection_item", key={"platform": "text", "platform_profile_id": "text"}),
    Table("post_collection_item", key={"platform": "text", "platform_profile_id": "text", "post_shortcode": "text"}),
)
"""And those of all platforms: of what the database fills itself no more is known here than whom it tells of."""


def concurrency(settings: Settings, flow: Flow) -> int:
    return settings.scraper.concurrency.get(flow.name, flow.workers * flow.concurrency)


def overview(settings: Settings, catalogue: Catalogue) -> list[dict[str, Any]]:
    """The flow table as verbs and pages show it."""
    current = limits(settings, catalogue)
    on = set(asked(settings, catalogue))
    return [
        {
            "name": flow.name,
            "platform": flow.platform,
            "sources": list(flow.chain),
            "params": flow.params.model_json_schema(),
            "workers": flow.workers,
            "concurrency": concurrency(settings, flow),
            "limits": {
                name: {"calls": current[name].calls, "per_s": current[name].per_s}
                for name in flow.chain
                if name in current  # our own snapshots are there beside the sources
            },
            "events": [event.name for event in flow.events],
            "tables": [table.name for table in flow.tables],
            "exports": bool(flow.header),
            "capability": flow.capability,
            "enabled": not on.isdisjoint(flow.chain),
            "off": [name for name in flow.chain if name in catalogue.sources and name not in on],
        }
        for flow in catalogue.flows.values()
    ]
