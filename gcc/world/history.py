"""Reads a running world's past, as a stranger would: NDJSON over HTTP, for the history import."""

from collections.abc import AsyncIterator, Mapping

import httpx

from gcc.errors import Transient

READ_S = 30.0


async def _past(world_url: str, platform: str, days: int) -> AsyncIterator[bytes]:
    try:
        async with (
            httpx.AsyncClient(trust_env=False, timeout=READ_S) as client,
            client.stream("GET", f"{world_url}/history/{platform}", params={"days": days}) as answer,
        ):
            answer.raise_for_status()
            async for chunk in answer.aiter_bytes():
                yield chunk
    except (httpx.HTTPError, OSError) as error:  # a client reads files, too: there may be no descriptor left
        raise Transient(f"the world's history of {platform}: {type(error).__name__}: {error}") from error


def history(world_url: str, days: int) -> Mapping[str, AsyncIterator[bytes]]:
    """The last `days` days of each platform, by name; read lazily. Transient: the world is gone."""
    return {f"world {platform}": _past(world_url, platform, days) for platform in ("INSTAGRAM", "YOUTUBE")}
