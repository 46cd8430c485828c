"""What the outside refuses with is what the checkers know it by: of a refusal in other words they check nothing."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from gcc.clock import VirtualClock
from gcc.errors import GccError
from gcc.sources.http import Answer, Request
from gcc.sources.instagram import graph_parse
from gcc.sources.rapidapi import gateway
from gcc.sources.shopify import errors as shopify
from gcc.sources.table import SOURCES
from gcc.sources.verdicts import CredentialDead, CredentialRests
from gcc.sources.youtube import data_parse
from tests.simulation.faults import reply
from tests.simulation.throttles import KINDS, Kind
from tests.simulation.world import ROOT, World

NOW = dt.datetime(2026, 1, 1, 8, tzinfo=dt.UTC)
Judge = Callable[[Answer, dt.datetime], Any]
JUDGES: Mapping[str, Judge] = {"graphapi": graph_parse.judge, "ytapi": data_parse.judge, "shopify": shopify.judge}


def verdict(kind: Kind) -> GccError | None:
    """What the platform makes of its refusal."""
    world = World(VirtualClock(0, NOW))
    call = world.read(Request(kind.source, "GET", f"{ROOT}{SOURCES[kind.source].world_path}/any"))
    refusal = reply(kind.refusal(call, 90.0), 0.0)
    answer = Answer(refusal.status, refusal.headers, refusal.body, 0.0)
    if kind.source not in JUDGES:
        return gateway.refusal(answer, kind.source, NOW)
    try:
        JUDGES[kind.source](answer, NOW)
    except GccError as error:
        return error
    return None


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.source}-{kind.code}")
async def test_a_refusal_is_known_by_what_the_platform_tells_of_it(kind: Kind) -> None:
    error = verdict(kind)
    assert [each for each in KINDS if each.source == kind.source and each.says in str(error)] == [kind]
    if kind.scope is None:
        assert isinstance(error, CredentialDead)
    else:
        assert isinstance(error, CredentialRests) and error.scope == kind.scope
