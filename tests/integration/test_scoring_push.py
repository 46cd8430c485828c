"""Whom the scorer is asked about, on the real stores: edges without a score, and scores of an older version."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import trio

from gcc.actors.leader import Leader
from gcc.channels.exchange import QueueDepth
from gcc.clock import SystemClock
from gcc.config.sections import Scorer
from gcc.errors import LeaseLost
from gcc.pipelines.scoring import push as pushing
from gcc.pipelines.scoring.push import FollowerPush
from gcc.pipelines.scoring.scorer import SCORER_VERSION
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.leadership import PostgresLeadership
from gcc.stores.postgres import Pool
from gcc.supervisor.lifecycle import Board

EDGE = {"source": "lama", "platform": "INSTAGRAM", "target_profile_id": "c1", "relationship_type": "FOLLOWS"}


class Bench:
    """Nobody takes from the queue; `waiting` are the events that its depth tells, one look after the other."""

    def __init__(self, clickhouse: ClickHouse, pool: Pool) -> None:
        self.clickhouse, self.pool, self.clock = clickhouse, pool, SystemClock()
        self.leader = Leader("x", PostgresLeadership(pool), Board(self.clock.now).actor("leader"), self.clock)
        self.waiting: list[int] = []

    def push(self, **settings: int) -> FollowerPush:
        exchange: Any = self
        return FollowerPush(self.clickhouse.builders, self.pool, self.leader, exchange, self.clock, Scorer(**settings))

    async def depths(self) -> list[QueueDepth]:
        await trio.lowlevel.checkpoint()
        events = self.waiting.pop(0) if self.waiting else 0
        return [QueueDepth("creator_follower_in", events, 0, 0.0), QueueDepth("post_log_events_q", 9, 0, 0.0)]

    async def store(self, table: str, *rows: Mapping[str, Any]) -> None:
        now = self.clock.now().strftime("%Y-%m-%d %H:%M:%S.%f")
        if table.startswith("_e."):
            rows = tuple({"event_id": str(self.clock.new_id()), "event_timestamp": now} | row for row in rows)
        body = "\n".join(map(json.dumps, rows)).encode()
        await self.clickhouse.insert_ndjson(table, body, token=str(self.clock.new_id()))

    async def edges(self, *followers: str, creator: str = "c1", **more: Any) -> None:
        rows = (
            EDGE
            | {"target_profile_id": creator, "target_dimensions": {"handle": f"h_{creator}"}}
            | {"source_profile_id": each, "source_dimensions": {"handle": f"h_{each}", "full_name": each} | more}
            for each in followers
        )
        await self.store("_e.profile_relationship_log_events", *rows)

    async def score(self, follower: str, version: str = SCORER_VERSION, **more: Any) -> None:
        named = {"profile_id": "c1", "follower_profile_id": follower, "follower_handle": f"h_{follower}"}
        row = named | {"score": 1.0, "scorer_version": version, "account": {"posts": 3}} | more
        await self.store("_e.creator_follower_score", row)

    def relaying(self, push: FollowerPush, monkeypatch: pytest.MonkeyPatch) -> list[list[dict[str, Any]]]:
        """What was asked by each commit, which leaves the outbox at once."""
        commit, pages = push._commit, list[list[dict[str, Any]]]()

        async def committed(told: Any) -> None:
            await commit(told)
            if told:
                pages.append(await self.asked())

        monkeypatch.setattr(push, "_commit", committed)
        return pages

    async def asked(self) -> list[dict[str, Any]]:
        """What the outbox has for the scorer, and then no more."""
        async with self.pool.connection() as connection:
            statement = "delete from outbox returning routing_key, body, events, counted"
            rows = await (await connection.execute(statement)).fetchall()
        assert {(key, counted) for key, _, _, counted in rows} <= {("creator_follower_in", 0)}
        found = [json.loads(line) for _, body, _, _ in rows for line in bytes(body).splitlines()]
        assert len(found) == sum(events for _, _, events, _ in rows)
        return sorted(found, key=lambda each: each["follower_handle"])


@pytest.fixture
async def bench(clickhouse: ClickHouse, pool: Pool) -> AsyncIterator[Bench]:
    bench = Bench(clickhouse, pool)
    async with trio.open_nursery() as nursery:
        await nursery.start(bench.leader.run)
        yield bench
        nursery.cancel_scope.cancel()


async def test_followers_without_a_score_are_asked_about_with_what_is_known_of_them(bench: Bench) -> None:
    await bench.edges("f1", "f1", "f2", profile_pic_url="https://x/1.jpg", is_private=True)
    await bench.edges("f2", creator="c2")
    await bench.edges("")  # it has a handle: who it is, is not told
    await bench.score("f2")
    crawled = {"profile_id": "f1", "handle": "h_f1", "followers": 5, "following": 9, "media_count": 0, "_version": 1}
    await bench.store("beat_replica.instagram_account", crawled)
    assert await bench.push().unscored() == {"asked": 3}
    nobody, f1, f2 = await bench.asked()
    assert f1["account"] == {"followers": 5, "following": 9, "posts": 0, "picture": True, "private": True}
    assert f1["account"]["picture"] is f1["account"]["private"] is True, "1 is no flag to whom it is sent"
    told = {"platform": "INSTAGRAM", "profile_id": "c1", "handle": "h_c1"}
    told |= {"follower_profile_id": "f1", "follower_handle": "h_f1", "follower_full_name": "f1"}
    assert told.items() <= f1.items()
    assert (f2["profile_id"], f2["account"]) == ("c2", {})
    assert "follower_profile_id" not in nobody and nobody["follower_handle"] == "h_"
    for follower in (f1, f2, nobody):
        named = {name: follower.get(name, "") for name in ("profile_id", "follower_profile_id", "follower_handle")}
        await bench.store("_e.creator_follower_score", named | {"score": None, "refused": "so", "scorer_version": "1"})
    assert await bench.push().unscored() == {"asked": 0}, "a refusal is an answer"


async def test_the_queue_is_bounded_and_nobody_is_asked_about_twice(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.edges("f1", "f2", "f3")
    bench.waiting = [5, 5]
    push = bench.push(waiting_max=2)
    monkeypatch.setattr(pushing, "LOOK_S", 0.01)
    commit = push._commit
    pages, sent = [], []

    async def committed(told: Any) -> None:
        """The scorer is quick."""
        await commit(told)
        if told:
            pages.append(len(told))
            sent.extend(await bench.asked())
            await bench.store(
                "_e.creator_follower_score",
                *(json.loads(each) | {"score": 0.0, "scorer_version": "1"} for each in map(_named, told)),
            )

    monkeypatch.setattr(push, "_commit", committed)
    assert await push.unscored() == {"asked": 3}
    assert pages == [2, 1]
    assert sorted(each["follower_handle"] for each in sent) == ["h_f1", "h_f2", "h_f3"]


async def test_what_a_broker_does_not_show_is_not_asked_about_twice_in_a_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its queues look empty, and no answer is stored yet: others have all of it in hand."""
    monkeypatch.setattr(pushing, "PUSH_S", 20.0)
    await bench.edges("f1", "f2", "f3", "f4", "f5")
    push = bench.push(waiting_max=2)
    pages = bench.relaying(push, monkeypatch)
    assert await push.unscored() == {"asked": 5}
    assert [each["follower_profile_id"] for page in pages for each in page] == ["f1", "f2", "f3", "f4", "f5"]


async def test_of_who_has_no_id_any_number_is_asked_about_in_parts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    nameless = [{"handle": f"n{number}"} for number in range(9)]
    for dimensions in nameless:
        await bench.edges("", **dimensions)
    await bench.edges("f1", "f2")
    await bench.edges("f2", creator="c2")
    push = bench.push(waiting_max=2)
    pages = bench.relaying(push, monkeypatch)
    assert await push.unscored() == {"asked": 12}
    sizes = list(map(len, pages))
    assert sum(sizes) == 12 and max(sizes) < 6 and sizes[-1] == 3, "the last id goes with all its creators"


async def test_a_range_may_end_at_any_id(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are others' texts, and values of the next query."""
    odd = [
        "\\",
        "\\'",
        "'",
        "a\tb",
        "a\nb",
        "a\\nb",
        '"',
        "%s",
        "{x}",
        "\ufffd",
        "\U0001f600",
        "\x01",
        "\x7f",
        "`",
        "\r",
    ]
    for follower in odd:
        await bench.edges(follower)
    push = bench.push(waiting_max=1)
    pages = bench.relaying(push, monkeypatch)
    assert await push.unscored() == {"asked": len(odd)}
    assert sorted(each["follower_profile_id"] for page in pages for each in page) == sorted(odd)


async def test_a_range_of_edges_costs_what_it_has_and_not_what_there_is(bench: Bench) -> None:
    await bench.clickhouse.command(
        "insert into _e.profile_relationship_log_events"
        " (event_id, event_timestamp, platform, source_profile_id, target_profile_id, source_dimensions)"
        " select generateUUIDv4(), now64(6, 'UTC') - 1, 'INSTAGRAM', toString(100000 + number), 'c1',"
        " concat('{\"handle\":\"h', toString(number), '\"}') from numbers(90000)"
    )
    (found,) = await bench.clickhouse.builders.rows(
        pushing._SQL["range"], {"platform": "INSTAGRAM", "since": "150000", "limit": 1000}
    )
    assert found == {"until": "150999", "edges": 1000}
    values = {"platform": "INSTAGRAM", "since": "150000", "until": "150999", "parts": 1, "part": 0}
    plan = await bench.clickhouse.builders.rows("explain indexes = 1 " + pushing._SQL["unscored"], values)
    told = " ".join(row["explain"] for row in plan)
    granules = [(int(read), int(of)) for read, of in re.findall(r"Granules: (\d+)/(\d+)", told)]
    read, of = granules[-1]  # by the key, after partitions
    assert read <= 2 and of >= 11, told
    assert len(await bench.clickhouse.builders.rows(pushing._SQL["unscored"], values)) == 1000


async def test_others_who_ask_without_end_delay_a_run_and_prevent_none(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.waiting = [1] * 10_000
    monkeypatch.setattr(pushing, "SETTLE_S", 0.05)
    monkeypatch.setattr(pushing, "LOOK_S", 0.01)
    await bench.edges("f1")
    assert await bench.push().unscored() == {"asked": 1}


async def test_while_nothing_is_relayed_everybody_waits(bench: Bench) -> None:
    await bench.edges("f1", "f2", "f3")
    assert await bench.push().unscored() == {"asked": 3}
    assert await bench.push().again() == {"asked": 0, "waiting": 3}
    assert len(await bench.asked()) == 3


async def test_whom_no_message_can_name_is_not_asked_about_for_ever(bench: Bench) -> None:
    await bench.edges("f" * 299, "f\0", "f" * 198)
    await bench.edges("f1", creator="c" * 201)
    assert await bench.push().unscored() == {"asked": 1}


def _named(message: bytes) -> str:
    told = json.loads(message)
    return json.dumps({name: told.get(name, "") for name in ("profile_id", "follower_profile_id", "follower_handle")})


async def test_what_takes_too_long_is_left_for_the_next_time(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.waiting = [1] * 10_000
    monkeypatch.setattr(pushing, "PUSH_S", 0.05)
    monkeypatch.setattr(pushing, "LOOK_S", 0.01)
    assert await bench.push().unscored() == {"asked": 0, "left": True}


async def test_whom_an_older_version_scored_is_asked_about_again_a_few_at_a_time(bench: Bench) -> None:
    for number in range(3):
        await bench.score(f"f{number}", "old", event_timestamp=f"2026-01-0{number + 1} 00:00:00")
    newer = str(int(SCORER_VERSION) + 1)  # of a deployment that is under way
    await bench.score("f8", newer, event_timestamp="2026-01-01 00:00:00")
    await bench.score("f9")
    bench.waiting = [7]
    assert await bench.push(again_max=2).again() == {"asked": 0, "waiting": 7}
    assert await bench.push(again_max=2).again() == {"asked": 2}
    oldest, later = await bench.asked()
    assert (oldest["follower_profile_id"], oldest["account"]) == ("f0", {"posts": 3})
    assert later["follower_profile_id"] == "f1"


async def test_whose_answer_could_not_be_replaced_is_not_asked_about_for_ever(bench: Bench) -> None:
    """What others published: the answer to a question about them would be another row, or no newer one."""
    await bench.score("f1", "0", follower_handle="x" * 301)
    await bench.score("f" * 201, "0")
    await bench.score("f2", "0", profile_id="c" * 201)
    await bench.score("f3", "0", profile_id="")
    await bench.score("f4", "0", platform="instagram")
    await bench.score("f5\0", "0")
    await bench.score("f6", "0", event_timestamp="2199-01-01 00:00:00")
    await bench.score("", "0", follower_handle="")
    assert await bench.push().again() == {"asked": 0}
    await bench.score("f7", "0", follower_handle="x" * 300)
    assert await bench.push().again() == {"asked": 1}


async def test_where_no_scorer_of_this_version_is_seen_a_handful_is_asked_about(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scorers of an older version alone would answer the same followers anew every ten minutes, for ever."""
    monkeypatch.setattr(pushing, "PROBE", 2)
    for number in range(5):
        await bench.score(f"f{number}", "0", event_timestamp="2026-01-01 00:00:00")
    await bench.score("f8", event_timestamp="2026-01-01 00:00:00")  # it has gone since
    assert await bench.push().again() == {"asked": 2}
    assert [each["again_for"] for each in await bench.asked()] == [int(SCORER_VERSION)] * 2
    await bench.score("f9")
    assert await bench.push().again() == {"asked": 5}
    assert len(await bench.asked()) == 5


async def test_who_does_not_lead_asks_nobody(bench: Bench) -> None:
    await bench.edges("f1")
    push = bench.push()
    push._leader = Leader("x", PostgresLeadership(bench.pool), Board(bench.clock.now).actor("idle"), bench.clock)
    with pytest.raises(LeaseLost):
        await push.unscored()
    assert await bench.asked() == []
