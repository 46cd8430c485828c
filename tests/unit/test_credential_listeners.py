"""Tokens that come by message are stored, wishes to probe become jobs; what is neither is buried without secrets."""

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing

from gcc.channels.deadletters import Burial
from gcc.channels.memory import Signal
from gcc.channels.message import Delivery, Frame, Route
from gcc.clock import VirtualClock
from gcc.pipelines.credentials.listeners import NewTokens, Probes
from gcc.pipelines.events.emit import StatusEvents
from gcc.sources.credentials import Facts
from gcc.sources.table import SOURCES
from tests.fakes.credentials import FakeCredentials
from tests.fakes.database import Connection, Database
from tests.fakes.jobs import FakeJobs

SECRET = "EAAG-hush-hush"


class Bench:
    def __init__(self) -> None:
        self.clock = VirtualClock(seed=1)
        self.database = Database(self.clock)
        connection = Connection(self.database)
        self.buried: list[str] = []
        self.credentials = FakeCredentials(self.clock)
        self.jobs = FakeJobs(
            connection, StatusEvents(self.clock), lease_s=60, lost_max=3, outbox_written=Signal()
        )  # fmt: skip
        self.tokens = NewTokens(self.credentials, self, self.clock, SOURCES)
        self.probes = Probes(self.jobs, self, SOURCES)

    def delivery(self, *messages: Any) -> Delivery:
        lines = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in messages]
        frame = Frame(self.clock.new_id(), Route("identity.dx", "new_access_token_rk"), len(lines), b"\n".join(lines))
        return Delivery("identity_token_q", 1, frame, 1)

    async def bury(self, burials: Sequence[Burial]) -> None:
        self.buried += [f"{burial.reason} {burial.body.decode()}" for burial in burials]

    async def bury_outbox(self, refused: Any, leader: Any = None) -> None:
        raise AssertionError("listeners have no outbox")


async def test_a_token_is_stored_with_what_is_known_of_it(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    message = {
        "platform": "INSTAGRAM", "account_id": 17841400000000001, "handle": "asha", "access_token": SECRET,
        "app_id": "1029", "scopes": ["instagram_basic"], "expires_in": 5_184_000,
    }  # fmt: skip
    begun = bench.clock.now()
    for _ in range(2):
        assert await bench.tokens.handle([bench.delivery(message)]) == 1
        await trio.sleep(3600)
    held = await bench.credentials.held("graphapi", "asha")
    assert held is not None
    account = "17841400000000001"
    assert held.secret == {"token": SECRET, "ig_user_id": account}
    assert (held.kind, held.account, held.app, held.scopes) == ("facebook", account, "1029", ("instagram_basic",))
    assert held.expires_at == begun + dt.timedelta(days=60), "counted from when it came first"
    assert held.version == 1, "the second one said nothing new"
    await bench.tokens.handle([bench.delivery(message | {"access_token": f"{SECRET}-2", "kind": "instagram"})])
    held = await bench.credentials.held("graphapi", "asha")
    assert held is not None and (held.version, held.kind) == (2, "instagram")


async def test_a_message_that_comes_again_brings_back_no_burnt_token(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench()
    message = {"platform": "SHOPIFY", "shop": "made-up.myshopify.com", "access_token": SECRET, "refresh_token": "r1"}
    await bench.tokens.handle([bench.delivery(message)])
    held = await bench.credentials.held("shopify", "made-up.myshopify.com")
    assert held is not None
    await bench.credentials.renewed(held, {"token": "renewed", "refresh_token": "r2"}, Facts(kind="shopify"))
    assert await bench.tokens.handle([bench.delivery(message)]) == 1
    held = await bench.credentials.held("shopify", "made-up.myshopify.com")
    assert held is not None and held.secret == {"token": "renewed", "refresh_token": "r2"}
    assert not bench.buried


async def test_messages_in_any_order_leave_the_newest_token(autojump_clock: trio.testing.MockClock) -> None:
    bench, minute = Bench(), dt.timedelta(minutes=1)
    now = bench.clock.now()
    message = {"platform": "INSTAGRAM", "handle": "asha", "account": "17"}
    for named, ago in (("event_timestamp", 2), ("event_timestamp", 3), ("issued_at", 1), ("event_timestamp", 2)):
        told = {named: (now - ago * minute).isoformat(), "access_token": f"{SECRET}-{ago}", "expires_in": 3600}
        assert await bench.tokens.handle([bench.delivery(message | told)]) == 1
    held = await bench.credentials.held("graphapi", "asha")
    assert held is not None and held.secret["token"] == f"{SECRET}-1"
    assert held.expires_at == now - minute + dt.timedelta(hours=1), "counted from when it was issued"
    assert not bench.buried


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (
            {"source": "graphapi", "handle": "a", "token_ref": "17"},
            "its token_ref is of a table that is not here",
        ),
        ({"source": "nowhere", "handle": "a", "access_token": SECRET}, "no source 'nowhere'"),
        ({"handle": "a", "access_token": SECRET}, "no source ''"),
        ({"source": "tokens", "handle": "a", "access_token": SECRET}, "no source 'tokens'"),
        ({"source": "graphapi", "kind": "odd", "handle": "a", "access_token": SECRET}, "no kind 'odd'"),
        ({"source": "graphapi", "access_token": SECRET}, "neither a handle nor an account"),
        ({"source": "graphapi", "handle": "a", "access_token": [SECRET]}, "holds no access_token"),
        ({"source": "graphapi", "handle": "a", "value": SECRET}, "holds no access_token"),
        ({"source": "graphapi", "handle": "a", "data": {"jeton": [SECRET]}}, "holds no access_token"),
        ([SECRET], "should be an object"),
        (f'{{"access_token": "{SECRET}"'.encode(), "Input data was truncated"),
        (b"\xff", "JSON is malformed"),
        (b"[" * 100_000, ""),
    ],
)
async def test_what_cannot_be_followed_is_buried_masked_and_its_neighbours_are_done(message: Any, why: str) -> None:
    bench = Bench()
    good = {"source": "ytapi", "kind": "key", "handle": "main", "access_token": "AIza-good"}
    assert await bench.tokens.handle([bench.delivery(message, good)]) == 1
    (letter,) = bench.buried
    assert why in letter and SECRET not in letter
    assert (await bench.credentials.pick("ytapi")).secret == {"token": "AIza-good"}


async def test_a_wish_to_probe_becomes_one_job() -> None:
    bench = Bench()
    wish = {"source": "graphapi", "handle": "asha"}
    assert (
        await bench.probes.handle([bench.delivery(wish, wish), bench.delivery({"platform": "INSTAGRAM", **wish})]) == 3
    )
    (row,) = bench.database.jobs.values()
    assert (row.job.flow, row.job.params) == ("probe_credential", {"source": "graphapi", "credential": "asha"})
    assert not bench.buried


@pytest.mark.parametrize("message", [{}, {"source": "graphapi"}, {"source": "odd", "handle": "a"}, [], b"{"])
async def test_a_wish_of_nothing_is_buried(message: Any) -> None:
    bench = Bench()
    assert await bench.probes.handle([bench.delivery(message)]) == 0
    assert len(bench.buried) == 1 and not bench.database.jobs
