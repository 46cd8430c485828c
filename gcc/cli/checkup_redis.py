"""What `doctor` asks of Redis: is it there, does it tell the same time, does it keep what it is given.

In: settings. Out: findings, as in gcc/cli/checkup.py. Nothing is written. A thread that hangs is left behind: it ends
with its timeouts.
"""

from functools import partial
from typing import Any

import trio

from gcc.cli.checkup import skew, within
from gcc.cli.finding import Finding
from gcc.clock import Clock
from gcc.config import Settings
from gcc.pipelines.scraping.table import catalogue_of, limits
from gcc.sources.limits import Limit
from gcc.stores.limits import FORGOTTEN_S
from gcc.stores.redis import asked, place


async def examine(settings: Settings, clock: Clock, deadline_s: float) -> list[Finding]:
    """All that the server of redis.url tells; nothing where there is none."""
    if not settings.redis.url:
        return []

    async def look() -> list[Finding]:
        ask = partial(asked, settings.redis.url, clock)
        info, times = await trio.to_thread.run_sync(ask, abandon_on_cancel=True)
        return [
            Finding("redis", "ok", f"version {info['redis_version']}, {place(settings.redis.url)}"),
            skew("redis clock", *times),
            _memory(info),
            *_persistence(settings, info),
        ]

    return await within(deadline_s, "redis", look)


def _memory(info: dict[str, Any]) -> Finding:
    policy = info["maxmemory_policy"]
    if policy == "noeviction":
        return Finding("redis memory", "ok", "evicts nothing")
    mend = "redis-cli config set maxmemory-policy noeviction (and in its file): an evicted key is a forgotten limit"
    return Finding("redis memory", "warn", f"its maxmemory-policy is {policy}", mend)


def _persistence(settings: Settings, info: dict[str, Any]) -> list[Finding]:
    """Short windows are waited for after a restart; long ones must be on its disk."""
    long = [
        name
        for name, limit in limits(settings, catalogue_of(settings)).items()
        if isinstance(limit, Limit) and limit.per_s > FORGOTTEN_S
    ]
    if not long or info.get("aof_enabled"):
        return []
    found = f"keeps nothing through a restart; limits over more than {FORGOTTEN_S:g} s need that: {', '.join(long)}"
    return [Finding("redis disk", "warn", found, "redis-cli config set appendonly yes (and in its file)")]
