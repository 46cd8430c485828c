"""The way to the outside: fetcher, limits and credentials, and one client for each source."""

from collections.abc import Mapping, Sequence

import structlog

from gcc.config import Settings, tokens_variable
from gcc.pipelines.declared import Context
from gcc.pipelines.scraping import own_snapshots
from gcc.pipelines.scraping.limiting import DrainingLimiter
from gcc.pipelines.scraping.table import Apis, address, derives, enabled
from gcc.sources.breakers import Breakers
from gcc.sources.chain import Outside
from gcc.sources.credentials import Facts
from gcc.sources.http import Fetcher
from gcc.sources.source import Source
from gcc.stores.credentials import PostgresCredentials
from gcc.stores.known import PostgresKnown
from gcc.stores.sealing import Unsealable
from gcc.stores.vault import Vault

log = structlog.get_logger()


def apis(context: Context, fetcher: Fetcher) -> Apis:
    """Clients of all sources that may be asked; a world that runs here stands in for the real addresses."""
    parts, sources = context.parts, context.catalogue.sources
    breakers = Breakers(context.board, context.clock.rng, renewals=parts.credentials.renewals)
    timeouts = {name: source.timeout_s for name, source in context.settings.sources.items()}
    limited = DrainingLimiter(parts.limiter, context.drain.stage("intake"))
    rules = {name: row.limits for name, row in sources.items()}
    known = PostgresKnown(parts.real.pool) if parts.real else None
    outside = Outside(
        fetcher, limited, parts.credentials, context.clock, context.metrics, timeouts, breakers, rules, known,
        context.precedence,
    )  # fmt: skip
    world_url = context.urls.get("world")
    clients = {
        name: row.client(outside, address(context.settings, row, world_url))
        for name, row in sources.items()
        if enabled(context.settings, row)
    }
    underived = frozenset(name for name, row in sources.items() if not derives(context.settings, row))
    if parts.real is not None and "ytapi" not in underived:
        clients[own_snapshots.NAME] = own_snapshots.OwnSnapshots(parts.real.pool, context.clock)
    return Apis(clients, breakers, parts.limiter, underived)


async def seed_credentials(
    settings: Settings,
    sources: Mapping[str, Source],
    credentials: PostgresCredentials,
    vault: Vault,
    world_tokens: Mapping[str, Sequence[str]],
) -> None:
    """Store the tokens of the environment and the world's; one that was given before is left as it is, and so is what
    followed it. A source without any is told.

    A Graph API token is given as "IG_USER_ID:TOKEN": it asks in the name of that account.
    """
    own = [name for name, row in sources.items() if row.has_credentials]
    for name in own:
        source = settings.sources.get(name)
        tokens = (*(source.tokens if source else ()), *world_tokens.get(name, ()))
        for number, token in enumerate(tokens, start=1):
            asks_as, _, secret = token.rpartition(":")
            known = {"token": secret, "ig_user_id": asks_as} if asks_as else {"token": token}
            try:
                await credentials.put(name, f"{name}-{number}", known, Facts(account=asks_as or None), once=True)
            except Unsealable as error:
                log.error("credential is left as it is", source=name, credential=f"{name}-{number}", why=str(error))
    held = {each.source for each in await vault.listed()}
    asked = {row.shares or name for name, row in sources.items() if enabled(settings, row) and row.needs_credentials}
    for name in sorted(asked - held) if settings.has_role("scraper") else ():
        log.warning("no credential: its jobs wait", source=name, mend=f"set {tokens_variable(name)}")
