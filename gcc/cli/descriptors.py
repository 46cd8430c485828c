"""How many files and sockets this process may have open: as many as the machine allows, and enough for its settings."""

import resource
from collections.abc import Mapping

from gcc.config import Settings
from gcc.errors import ConfigError

ITSELF = 50  # its libraries, logs, wake-ups
LISTENERS = 4  # connections to PostgreSQL beside the pools: who listens, and who must not wait for a pool
ENGINE = 64  # the embedded ClickHouse at rest
OUTSIDE = 100  # calls of the scrapers
PORT = 32  # so few clients a port must be able to have at once


def allow_files(settings: Settings) -> None:
    """Raise the limit to the hard one. ConfigError: that is too low for what `settings` ask for."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    parts = needed(settings)
    total = sum(parts.values())
    if hard != resource.RLIM_INFINITY and hard < total:
        told = ", ".join(f"{part} {count}" for part, count in parts.items())
        raise ConfigError(
            f"this process may open {hard} files and needs {total} ({told}); allow that (ulimit -n {total},"
            " LimitNOFILE of systemd), or lower postgres.actor_pool, postgres.web_pool or redis.connections"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def needed(settings: Settings) -> Mapping[str, int]:
    """By part; what their pools may open at most."""
    chosen = settings.clickhouse
    parts = {
        "itself": ITSELF,
        "PostgreSQL": settings.postgres.actor_pool + settings.postgres.web_pool + LISTENERS,
        "ClickHouse": ENGINE if chosen.url == "chdb" else chosen.writers + chosen.readers + 1,
        "RabbitMQ": 0 if settings.exchange.url == "postgres" else 3,
        "Redis": settings.redis.connections if settings.redis.url else 0,
        "calls": OUTSIDE if settings.has_role("scraper") else 0,
        "ports": PORT * (1 + settings.has_role("web") + settings.world.enabled),
    }
    return {part: count for part, count in parts.items() if count}
