"""The load under which things are done to the platform: forced refreshes of both platforms, and imports."""

import itertools
import json
from contextlib import suppress
from typing import Any

import httpx
import trio

from tests.process import PlatformProcess

PROFILES = "/discovery-service/api/profile"
PLATFORMS = ("INSTAGRAM", "YOUTUBE")
CALLERS = 4  # for each platform
IMPORT_DAYS = 400
IMPORT_EVERY_S = 2.0
PAUSE_S = 0.2
"""After a refusal or a lost connection; the platform may be gone for seconds."""

Creator = dict[str, Any]


async def put_under_load(running: PlatformProcess, creators: dict[str, list[Creator]]) -> None:
    """Until cancelled. `creators` by platform, as /truth answers. Refusals and lost connections are expected."""
    async with trio.open_nursery() as nursery:
        for platform, caller in itertools.product(PLATFORMS, range(CALLERS)):
            nursery.start_soon(_refresh, running, platform, creators[platform][caller::CALLERS])
        nursery.start_soon(_import, running, creators)


async def served(running: PlatformProcess, platform: str, handle: str) -> bool:
    """A forced refresh went all the way: claimed, scraped from the world, committed, answered."""
    try:
        answer = await running.api("GET", f"{PROFILES}/{platform}/{handle}?force_refresh=true")
    except (httpx.TransportError, KeyError):  # KeyError: it starts and has no gateway yet
        return False
    return answer.status_code == 200


async def _refresh(running: PlatformProcess, platform: str, creators: list[Creator]) -> None:
    for creator in itertools.cycle(creators):
        if not await served(running, platform, creator["handle"]):
            await trio.sleep(PAUSE_S)


async def _import(running: PlatformProcess, creators: dict[str, list[Creator]]) -> None:
    """The same few files in turn: what one try did not bring in, a later one does; nothing comes in twice."""
    for number in itertools.cycle(range(10)):
        creator = creators[PLATFORMS[number % 2]][number]
        with suppress(httpx.TransportError):
            await running.client.post(
                running.running.url + "/api/import-history",
                content=_history(PLATFORMS[number % 2], creator),
                headers=running.running.headers,
            )
        await trio.sleep(IMPORT_EVERY_S)


def _history(platform: str, creator: Creator) -> bytes:
    """NDJSON: a snapshot a day, of years that the world's own history does not reach."""
    rows = (
        {
            "platform": platform,
            "profile_id": creator["profile_id"],
            "handle": creator["handle"],
            "timestamp": f"{2015 + day // 336}-{1 + day // 28 % 12:02}-{1 + day % 28:02}",
            "followers": 1000 + day,
        }
        for day in range(IMPORT_DAYS)
    )
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)
