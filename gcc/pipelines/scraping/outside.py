"""The way to the outside: fetcher, limits and credentials, and one client for each source."""

from collections.abc import Mapping, Sequence

from gcc.clock import Clock
from gcc.config import Settings
from gcc.metrics import Metrics
from gcc.pipelines.scraping.limiting import DrainingLimiter
from gcc.pipelines.scraping.table import SOURCES, Apis, base_url
from gcc.sources.breakers import Breakers
from gcc.sources.chain import Outside
from gcc.sources.credentials import Credentials
from gcc.sources.http import Fetcher
from gcc.sources.instagram.graph_client import GraphApi
from gcc.sources.limits import Limiter
from gcc.sources.youtube.data_client import DataApi
from gcc.supervisor.drain import Stage
from gcc.supervisor.lifecycle import Board


def apis(
    settings: Settings,
    *,
    fetcher: Fetcher,
    limiter: Limiter,
    credentials: Credentials,
    clock: Clock,
    board: Board,
    metrics: Metrics,
    intake: Stage,
    world_url: str | None,
) -> Apis:
    """Clients of all sources over one fetcher; `world_url` stands in for the real addresses."""
    breakers = Breakers(board, clock.rng)
    timeouts = {name: source.timeout_s for name, source in settings.sources.items()}
    limited = DrainingLimiter(limiter, intake)
    outside = Outside(fetcher, limited, credentials, clock, metrics, timeouts, breakers)
    graph, youtube = (base_url(settings, name, world_url) for name in SOURCES)
    return Apis(GraphApi(outside, graph), DataApi(outside, youtube), breakers, limiter)


async def seed_credentials(
    settings: Settings, credentials: Credentials, world_tokens: Mapping[str, Sequence[str]]
) -> None:
    """Store the tokens of the environment and the world's; a known one is left as it is.

    A Graph API token is given as "IG_USER_ID:TOKEN": it asks in the name of that account.
    """
    for name in SOURCES:
        source = settings.sources.get(name)
        tokens = (*(source.tokens if source else ()), *world_tokens.get(name, ()))
        for number, token in enumerate(tokens, start=1):
            asks_as, colon, secret = token.rpartition(":")
            await credentials.put(
                name, f"{name}-{number}", {"token": secret, "ig_user_id": asks_as} if colon else {"token": token}
            )
