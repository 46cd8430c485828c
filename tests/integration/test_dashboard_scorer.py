"""The page of the scorer, in a real browser: what stands, what was done here, who has no score, what is not known."""

import datetime as dt
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from gcc.channels.exchange import QueueDepth
from gcc.clock import SystemClock
from gcc.errors import Transient
from gcc.pipelines.scoring.asked import Asked
from gcc.pipelines.scoring.record import Follower, Scored
from gcc.pipelines.scoring.scorer import SCORER_VERSION
from gcc.pipelines.scoring.tally import Tally
from gcc.stores.clickhouse import ClickHouse
from gcc.web.ops.scorer import Scores
from tests.chromium import Page
from tests.integration.ops_platform import World, client, ops_port
from tests.integration.test_dashboard import shoot, text
from tests.integration.test_dashboard_pages import NASTY, opened

CLOCK = SystemClock()


class Stored:
    """The event store, as the page asks it."""

    def __init__(self) -> None:
        self.away = False
        self.built = True
        self.asked = 0

    async def rows(self, sql: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        self.asked += 1
        if self.away:
            raise Transient("ClickHouse: nobody answers")
        at = CLOCK.now() - dt.timedelta(minutes=4)
        if "group by version" in sql:
            counts = {"followers": 2000, "real": 1500, "weak": 200, "fake": 250, "refused": 50}
            return [{"version": SCORER_VERSION, "newest": at, **counts}, {"version": "0", "newest": at, **counts}]
        if "system.tables" in sql:
            return [{"built": self.built}]
        if "as mart" in sql:
            shares = {"fake": 0.125, "weak": 0.25, "real": 0.625, "fake_low": 0.0861, "fake_high": 0.178}
            line = {
                "profile_id": "77",
                "handle": NASTY,
                "n": 1234,
                "refused": 6,
                "followers_known": 5678,
                "scored_at": at,
            }
            few = {"profile_id": "78", "handle": "", "n": 99} | dict.fromkeys(shares)
            return [line | shares, line | few, line | few | {"profile_id": "79", "n": 0, "scored_at": None}]
        row = {"platform": "INSTAGRAM", "handle": "asha", "profile_id": "1", "follower_handle": NASTY}
        return [row | {"follower_profile_id": "2", "refused": NASTY, "scorer_version": "1", "at": at}]

    async def command(self, sql: str, params: Mapping[str, Any] | None = None) -> None:
        raise AssertionError("a page only looks")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    world.close()


def at_work(world: World) -> Tally:
    """A scorer that has answered three, one of them without a score, and lost three workers."""
    tally = Tally(CLOCK, world.metrics)
    asked = Asked(CLOCK.new_id(), "", "INSTAGRAM", "1", "asha", "2", Follower("ravi_9", "Ravi"))
    scores: list[tuple[float | None, str | None]] = [(0.0, None), (1.0, None), (None, "it has no name")]
    tally.committed([(asked, Scored(score, {}, (), None, (), "1", refused)) for score, refused in scores])
    for how in ("killed", "killed", "slow"):
        tally.worker_lost(how)
    actor = world.board.actor("scoring/scorer")
    actor.processed(3)
    others = [queue for queue in world.counts.queues if queue.queue != "creator_follower_in"]
    world.counts.queues[:] = [*others, QueueDepth("creator_follower_in", 4321, 0, 2.0)]
    return tally


async def test_what_stands_what_was_done_here_and_who_has_no_score(page: Page, world: World) -> None:
    stored = Stored()
    world.scores = Scores([at_work(world)], stored)
    async with ops_port(world) as port:
        for width, scheme in ((1400, "light"), (400, "dark")):
            await page.look(width=width, height=900, scheme=scheme)
            await opened(page, port.url, "/scorer")
            await page.until(f"{text('#versions')}.includes('1,500')")
            versions = await page.js(text("#versions"))
            assert "75.0 %" in versions and "of now" in versions and "older" in versions
            assert "2 were killed" in (lost := await page.js(text("#lost"))) and "1 was slow" in lost
            await page.until(f"{text('main')}.includes('4,321')")  # told by another message
            assert NASTY in await page.js(text("#refusals"))
            cells = "(row) => row.innerText.replace(/\\s+/g, ' ')"
            rows = "[...document.querySelectorAll('#shares tbody tr')]"
            rows += f".map({cells})"
            enough, few, nobody = await page.js(rows)
            for told in (NASTY, "1,234", "12.5 %", "8.6 % and 17.8 %", "25.0 %", "62.5 %", "5,678", " min ago"):
                assert told in enough
            assert "78" in few and "99" in few and "too few for shares: under 100" in few and "%" not in few
            assert "79" in nobody and "too few" in nobody and "ago" not in nobody
            assert await page.js("document.documentElement.scrollWidth <= innerWidth")
            await shoot(page, f"scorer-{width}-{scheme}")
        assert stored.asked == 4, "it is read anew every ten seconds at most"
        assert not page.complaints


async def test_what_is_not_known_is_told_and_the_rest_is_shown(page: Page, world: World) -> None:
    stored = Stored()
    stored.away = True
    world.scores = Scores([], stored)
    async with ops_port(world) as port:
        await opened(page, port.url, "/scorer")
        await page.until(f"{text('main')}.includes('nobody answers')")
        assert "in another process" in await page.js(text("main"))
        async with client(port) as asking:
            told = (await asking.get("/api/scorer")).json()["data"]
            assert (told["here"], told["stored"]) == (None, None) and told["version"] == SCORER_VERSION
        world.scores = Scores([], None)


async def test_shares_that_no_mart_has_counted_yet_are_no_trouble(page: Page, world: World) -> None:
    stored = Stored()
    stored.built = False
    world.scores = Scores([at_work(world)], stored)
    async with ops_port(world) as port:
        await opened(page, port.url, "/scorer")
        await page.until(f"{text('main')}.includes('is not built yet')")
        assert "1,500" in await page.js(text("#versions"))


async def test_shares_out_of_the_mart_with_the_handle_that_was_asked_about_last(clickhouse: ClickHouse) -> None:
    scores = Scores([], clickhouse)
    told = await scores.overview()
    assert (told["stored"]["shares"], told["stored_error"]) == (None, None), "no mart is built"
    await clickhouse.command(f"create view dbt.mart_instagram_creators_followers_fake_analysis as {MART}")
    for at, handle in enumerate(("was", "is", "")):
        row = {"event_id": str(CLOCK.new_id()), "event_timestamp": f"2026-01-0{at + 1} 00:00:00", "profile_id": "7"}
        row |= {"follower_profile_id": str(at), "handle": handle, "score": 1.0}
        await clickhouse.insert_ndjson("_e.creator_follower_score", json.dumps(row).encode(), token=str(CLOCK.new_id()))
    (known, unknown) = (await Scores([], clickhouse).overview())["stored"]["shares"]
    assert (known["profile_id"], known["handle"], known["fake"], known["fake_high"]) == ("7", "is", 0.2, 0.3)
    assert (unknown["profile_id"], unknown["handle"], unknown["fake"]) == ("8", "", None)


MART = """
select toString(8 - number) as profile_id, toUInt64(100 - number) as n, number > 0 as enough,
    if(enough, 0.2, null) as fake_share, if(enough, 0.1, null) as weak_share, if(enough, 0.7, null) as real_share,
    if(enough, 0.1, null) as fake_share_low, if(enough, 0.3, null) as fake_share_high, toUInt64(9) as followers_known,
    toUInt64(1) as refused, toDateTime64('2026-01-01 00:00:00', 6, 'UTC') + toIntervalSecond(number) as scored_at
from numbers(2)
"""


async def test_only_who_may_read_is_told(world: World) -> None:
    async with ops_port(world) as port:
        async with client(port, token=None) as stranger:
            assert (await stranger.get("/api/scorer")).status_code in (401, 403)
        async with client(port) as asking:
            told = (await asking.get("/api/scorer")).json()["data"]
            assert "has not opened the event store" in told["stored_error"]
