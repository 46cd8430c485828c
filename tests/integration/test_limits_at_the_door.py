"""Over HTTP, as the world's door sees it: what one limit of the other side costs, and what it leaves alone."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx
import pytest
import trio

from gcc.clock import SystemClock
from gcc.config import World as Settings
from gcc.metrics import Metrics
from gcc.sources.chain import Outside, Visit
from gcc.sources.credentials import Facts, NoCredential
from gcc.sources.http import HttpFetcher
from gcc.sources.instagram.graph_client import GraphApi
from gcc.sources.limits import InProcessLimiter, Limit
from gcc.sources.youtube.data_client import DataApi
from gcc.world.server import people, serve_world, tokens
from tests.certificates import PLAIN
from tests.fakes.credentials import FakeCredentials

CALLS, PER_S = 20, 0.5
SETTINGS = Settings(enabled=True, port=0, creators=40, calls_per_s=1e5, quota_times=0.02)


@asynccontextmanager
async def asking(source: str, client: Any, path: str, apps: Sequence[str]) -> AsyncIterator[tuple[Any, Any, Any]]:
    """(client, credentials, door): a credential of each of `apps`, in their order."""
    draining, clock = trio.Event(), SystemClock()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery, HttpFetcher() as fetcher:
            url = await nursery.start(partial(serve_world, SETTINGS, clock, draining=draining, grace_s=2.0))
            credentials = FakeCredentials(clock)
            for number, (app, token) in enumerate(zip(apps, tokens(SETTINGS)[source], strict=False)):
                user, _, secret = token.rpartition(":")
                given = {"token": secret, "ig_user_id": user}
                await credentials.put(source, f"{app}-{number}", given, Facts(app=app))
            limiter = InProcessLimiter({source: Limit(CALLS, PER_S)})
            outside = Outside(fetcher, limiter, credentials, clock, Metrics(), {})
            async with httpx.AsyncClient(base_url=url, verify=PLAIN) as door:
                yield client(outside, url + path), credentials, door
            draining.set()


async def test_a_spent_search_bucket_leaves_other_calls_at_full_rate() -> None:
    channels = [creator.profile_id for creator, _ in people(SETTINGS, SystemClock().now().date())["YOUTUBE"].ranked]
    async with asking("ytapi", DataApi, "/youtube/v3", ["a"]) as (api, _, door):
        with pytest.raises(NoCredential):
            for _ in range(4):  # two a day
                await api.search("travel", 1, Visit())
        limit = {"source": "ytapi", "calls": CALLS, "per_s": PER_S}
        (await door.post("/limits", json=limit)).raise_for_status()
        async with trio.open_nursery() as nursery:
            for number in range(4 * CALLS):
                nursery.start_soon(api.activities, channels[number % len(channels)], 1, Visit(wait_s_max=50.0))
        with pytest.raises(NoCredential):
            await api.search("travel", 1, Visit())
        (measured,) = (await door.get("/stats")).json()["limits"]
    assert measured["total"] >= 4 * CALLS, "all were answered"
    assert measured["peak"] == CALLS, "as many as we may, and never more"


async def test_the_throttle_of_an_app_rests_that_app_and_nothing_else() -> None:
    handles = [creator.handle for creator, _ in people(SETTINGS, SystemClock().now().date())["INSTAGRAM"].ranked]
    async with asking("graphapi", GraphApi, "/graph/v25.0", ["x", "x", "y"]) as (api, credentials, door):
        fault = {"source": "graphapi", "kind": "error", "code": 4, "scope": "token", "rate": 0.01, "seconds": 60}
        (await door.post("/faults", json=fault)).raise_for_status()  # the first token, which is of app x
        for handle in handles[:12]:
            assert (await api.profile(handle, Visit())).handle == handle
        told = (await door.get("/stats")).json()
        assert told["faults"]["graphapi"] == 1, "asked once, and no more"
        assert (await credentials.pick("graphapi")).app == "y"
        with pytest.raises(NoCredential):
            await credentials.pick("graphapi", without=[(await credentials.pick("graphapi")).id])
