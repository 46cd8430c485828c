"""Three gateways as users start them: what ends in one ends in all, with the bus cut, with Redis killed, at once."""

import statistics
from itertools import cycle
from pathlib import Path

from bench.revocation import FIFTY, Gateways, gateways
from gcc.web.identity.bus import SILENCE_S
from tests.integration.identity_people import bearer
from tests.services.redis import RedisNode

FORCED = "/discovery-service/api/profile/INSTAGRAM/somebody?force_refresh=true"
BUSY_S = 1.0  # what a busy machine may take for an answer


async def test_what_has_ended_opens_nowhere_also_with_the_bus_cut(tmp_path: Path, database: str) -> None:
    async with gateways(tmp_path, database) as three:
        ended = [await three.ended(await three.session(), ender) for ender in three.urls * 3]
        assert statistics.median(each.after_s for each in ended) < SILENCE_S / 2, "it was told, and not only forgotten"
        assert await three.refreshed_at_once(FIFTY) == 1
        cut = await three.ended_unheard()
        assert SILENCE_S / 4 < cut.after_s < SILENCE_S + BUSY_S, "it was remembered, and not for longer"


async def test_without_redis_people_go_on_and_nothing_is_called_outside(
    tmp_path: Path, database: str, old_redis: str, redis_node: RedisNode
) -> None:
    async with gateways(tmp_path, database, f"redis.url={old_redis}") as three:
        token = await three.session()
        redis_node.kill()
        await three.ended(await three.session(), three.urls[1])
        for url in three.urls:
            assert await three.opens(url, token)
            assert await forced(three, url, token) == (503, "STORE_UNAVAILABLE", '"scrape";r=0;t=')
        await redis_node.start()
        for url, _ in zip(cycle(three.urls), range(9), strict=False):
            assert await three.opens(url, token)
            assert await forced(three, url, token) == (503, "STORE_UNAVAILABLE", '"scrape";r=0;t=')


async def forced(three: Gateways, url: str, token: str) -> tuple[int, str, str]:
    """(status, code, what is told to be left) of a call that would cost one outside."""
    answer = await three.client.get(url + FORCED, headers=bearer(token))
    retry_after = answer.headers["retry-after"]
    return answer.status_code, answer.json()["error"]["code"], answer.headers["ratelimit"].removesuffix(retry_after)
