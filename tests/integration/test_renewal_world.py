"""Renewal and probes over HTTP against the world: the token that it answers with is the one that asks from then on."""

import datetime as dt

import pytest

from gcc.sources.credentials import Facts, NoCredential
from gcc.sources.instagram.graph_errors import SOURCE
from gcc.sources.tokens.client import TokenApi
from gcc.sources.verdicts import Refused
from gcc.world.graph_tokens import owners
from tests.integration.test_graph_client import CAST, Stopped, asking

OWNER, _, TOKEN = next(each for each in owners(CAST) if each[1] == "instagram")
NOW = Stopped(1).now()


def ends(in_days: int) -> Facts:
    return Facts(kind="instagram", account=OWNER.profile_id, expires_at=NOW + dt.timedelta(days=in_days))


async def test_a_token_of_sixty_days_is_renewed_and_asks_on() -> None:
    async with asking() as bench:
        tokens = TokenApi(bench.outside, bench.url)
        await bench.credentials.put(SOURCE, "near", {"token": TOKEN}, ends(2))
        renewed = await tokens.renew(SOURCE, "near", bench.visit)
        assert renewed.is_new and renewed.expires_at == NOW + dt.timedelta(days=60)
        held = await bench.credentials.held(SOURCE, "near")
        assert held is not None and held.secret["token"] == f"{TOKEN}~1"
        assert (await bench.api.probe("near", bench.visit)).alive
        assert not (await tokens.renew(SOURCE, "near", bench.visit)).is_new
        assert not any(TOKEN in repr(trace) for trace in bench.visit.traces)


async def test_one_that_the_api_does_not_know_is_retired_by_its_renewal_and_by_a_probe() -> None:
    async with asking() as bench:
        tokens = TokenApi(bench.outside, bench.url)
        await bench.credentials.put(SOURCE, "gone", {"token": "gone-token"}, ends(2))
        with pytest.raises(Refused, match=r"gone cannot be renewed: .*its owner logs in again"):
            await tokens.renew(SOURCE, "gone", bench.visit)
        await bench.credentials.put(SOURCE, "gone", {"token": "gone-too"}, ends(30))
        assert not (await bench.api.probe("gone", bench.visit)).alive
        with pytest.raises(NoCredential, match="gone waits for a new token"):
            while True:
                picked = await bench.credentials.pick(SOURCE, owner=OWNER.profile_id)
                await bench.credentials.disable(picked, rest_s=None, reason="not this one")
