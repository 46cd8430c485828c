"""`check --parity` on real stores: what is lost or other on one side is told, with its table and day."""

import datetime as dt
from collections.abc import AsyncIterator

import pytest

from gcc.actors.transformer import Transformer
from gcc.channels.memory import Signal
from gcc.channels.message import Frame
from gcc.clock import SystemClock
from gcc.config import Settings
from gcc.errors import Permanent
from gcc.metrics import Metrics
from gcc.pipelines.analytics import models
from gcc.pipelines.analytics.parity import NO_AUDIT, ParityCheck, ParityReport, parity, places
from gcc.pipelines.declared import Real
from gcc.pipelines.events.audit import audited
from gcc.pipelines.events.emit import post_frames
from gcc.pipelines.events.history import HistoryImport
from gcc.pipelines.events.sinks import Sink
from gcc.pipelines.events.types import BINDINGS, POST_LOG, PROFILE_LOG
from gcc.sources.snapshot import PostSnapshot
from gcc.stores import outbox, upserts
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.deadletters import StoredDeadLetters
from gcc.stores.postgres import Pool
from gcc.stores.postgres_exchange import PostgresExchange
from gcc.supervisor.lifecycle import Board
from tests.contexts import partly
from tests.fakes.objects import MemoryObjects

ZONE = "Asia/Kolkata"
NAME = "a\x00b\\u0000 \u2764"


class Later(SystemClock):
    """What was just committed is settled by then."""

    def now(self) -> dt.datetime:
        return super().now() + dt.timedelta(hours=20)


class Ground:
    """Two sides: 200 snapshots of 100 profiles are imported, then 100 posts crawled; both are audited."""

    def __init__(self, pool: Pool, clickhouse: ClickHouse) -> None:
        self.pool, self.clickhouse, self.clock = pool, clickhouse, SystemClock()
        self.exchange = PostgresExchange(pool, StoredDeadLetters(pool, MemoryObjects(), self.clock), Signal())
        self.today = self.clock.now().date()

    async def emit(self) -> None:
        await self.exchange.declare(BINDINGS)
        days = [self.today - dt.timedelta(days=ago) for ago in (2, 1)]

        async def content() -> AsyncIterator[bytes]:
            yield b"platform,profile_id,handle,timestamp,followers,engagement_rate\n"
            for day in days:
                for number in range(1, 101):
                    yield f"INSTAGRAM,{number},h{number},{day},{1000 * day.day + number},0.{number:03}\n".encode()

        await HistoryImport(self.pool, self.clock, Signal(), audit=audited).run("test", content())
        await self.commit(post_frames([self.post(number) for number in range(100)], self.clock.new_id))

    def post(self, number: int) -> PostSnapshot:
        return PostSnapshot(
            platform="INSTAGRAM", source="graphapi", at=self.clock.now(), profile_id="1", handle="h1",
            shortcode=f"s{number}", post_id=f"p{number}", publish_time=self.clock.now(),
            metrics={"likes": number, "engagement_rate": 0.1}, dimensions={"caption": NAME, "tagged": ["somebody"]},
        )  # fmt: skip

    async def commit(self, frames: list[Frame]) -> None:
        async with self.pool.transaction() as conn:
            await outbox.put(conn, frames)
            await upserts.write(conn, audited(frames))

    async def store(self) -> None:
        while await self.exchange.relay():
            pass
        dead = StoredDeadLetters(self.pool, MemoryObjects(), self.clock)
        for event_type in (PROFILE_LOG, POST_LOG):
            sink = Sink(event_type, self.clickhouse, dead, Metrics())
            while taken := await self.exchange.take(event_type.queue, frames_max=10):
                await sink.handle(taken)
                await self.exchange.acknowledge(taken)

    async def build(self) -> None:
        graph = models.read(variables={"timezone": ZONE})
        transformer = Transformer(
            self.clickhouse.builders, graph, Board(self.clock.now).actor("x"), self.clock, zone=ZONE
        )
        assert [run for run in await transformer.run_models(("tag:core",)) if not run.ok] == []

    async def ask(self) -> ParityReport:
        return await parity(self.pool, self.clickhouse, None, Later(), ZONE)

    async def execute(self, statement: str) -> None:
        async with self.pool.connection() as conn:
            await conn.execute(statement.encode())


@pytest.fixture
async def ground(pool: Pool, clickhouse: ClickHouse) -> Ground:
    ground = Ground(pool, clickhouse)
    await ground.emit()
    return ground


async def test_both_sides_say_the_same(ground: Ground) -> None:
    await ground.store()
    await ground.build()
    report = await ground.ask()
    assert (report.troubles, report.waits_for, report.well) == ([], [], True)
    counts = {(day.table, day.audited, day.stored) for day in report.days}
    assert counts == {("profile_log", 100, 100), ("post_log", 100, 100)}
    assert (report.spots, report.spots_equal) == (300, 300)
    newest = report.ranks[-3:]
    assert {(ranks.platform, ranks.metric): (ranks.compared, ranks.equal) for ranks in newest} == {
        ("INSTAGRAM", "followers"): (100, 100),
        ("INSTAGRAM", "engagement_rate"): (100, 100),
        ("INSTAGRAM", "views"): (0, 0),
    }


@pytest.mark.parametrize(
    ("table", "loss"),
    [
        ("post_log", "delete from _e.post_log_events where shortcode = 's7'"),
        ("profile_log", "delete from _e.profile_log_events where followers = {}"),
    ],
)
async def test_one_lost_row_of_a_hundred_is_told_with_day_and_table(ground: Ground, table: str, loss: str) -> None:
    await ground.store()
    yesterday = ground.today - dt.timedelta(days=1)
    await ground.clickhouse.command(loss.format(1000 * yesterday.day + 7))
    report = await ground.ask()
    (day,) = [day for day in report.days if day.differs]
    assert (day.table, day.audited, day.stored) == (table, 100, 99)
    assert f"{table}, {day.day}: 100 events are audited, 99 are stored" in report.troubles
    assert day.day == str(yesterday if table == "profile_log" else ground.today)
    assert not report.well


async def test_what_is_stored_and_was_not_audited_is_told(ground: Ground) -> None:
    await ground.store()
    await ground.execute("delete from post_log where shortcode = 's7'")
    report = await ground.ask()
    assert report.troubles == [f"post_log, {ground.today}: 99 events are audited, 100 are stored"]


async def test_what_is_on_its_way_is_waited_for(ground: Ground) -> None:
    report = await ground.ask()
    assert (report.troubles, report.well) == ([], False)
    assert report.waits_for[0] == "300 events that are on their way"


async def test_another_value_is_told(ground: Ground) -> None:
    await ground.store()
    await ground.execute("update post_log set metrics = jsonb_set(metrics, '{likes}', '8') where shortcode = 's7'")
    report = await ground.ask()
    (trouble,) = report.troubles
    assert trouble.startswith(f"post_log, {ground.today}: event ") and trouble.endswith(" says other metrics")
    assert report.spots_equal == report.spots - 1


async def test_other_ranks_are_told(ground: Ground) -> None:
    await ground.store()
    await ground.build()
    await ground.execute(
        "update profile_log set metrics = jsonb_set(metrics, '{followers}', '5000000') where profile_id = '1'"
    )
    report = await ground.ask()
    ranks = [trouble for trouble in report.troubles if trouble.startswith("mart_leaderboard_rank")]
    assert ranks and "INSTAGRAM: 0 of 100 ranks by followers" in ranks[-1]


async def test_without_an_audit_there_is_nothing_to_compare(pool: Pool, clickhouse: ClickHouse) -> None:
    with pytest.raises(Permanent, match=r"postgres\.audit = true"):
        await parity(pool, clickhouse, None, SystemClock(), ZONE)
    assert "docs/migration.md" in NO_AUDIT


async def test_the_audit_keeps_no_lists_of_others(ground: Ground) -> None:
    async with ground.pool.connection() as conn:
        rows = await (await conn.execute("select distinct dimensions from post_log")).fetchall()
    assert rows == [({"caption": "a\ufffdb\\u0000 \u2764"},)]


def test_places_share_ties_and_skip() -> None:
    known = {
        ("P", name, "m"): {"followers": followers, "engagement_rate": 0.1}
        for name, followers in (("a", 100), ("b", 100), ("c", 90), ("d", None), ("e", 2000))
    }
    assert places(known, list(known), "followers", 0) == {
        ("P", "e", "m"): 1, ("P", "a", "m"): 2, ("P", "b", "m"): 2, ("P", "c", "m"): 4,
    }  # fmt: skip
    assert places(known, list(known), "engagement_rate", 1000) == {("P", "e", "m"): 1}


async def test_whom_the_models_may_not_have_read_is_left_out_of_ranks(ground: Ground) -> None:
    await ground.store()
    await ground.build()
    await ground.execute("update profile_log set event_timestamp = now() where profile_id <= '4'")
    report = await ground.ask()
    assert {(ranks.compared, ranks.equal) for ranks in report.ranks[-3:]} == {(65, 65), (0, 0)}
    await ground.execute("update profile_log set event_timestamp = now()")
    assert "a build of the leaderboard" in (await ground.ask()).waits_for[-1]


async def test_the_schedule_fails_where_the_two_differ_and_does_nothing_without_an_audit(ground: Ground) -> None:
    real = partly(Real, pool=ground.pool, clickhouse=ground.clickhouse)
    off, on = (Settings.model_validate({"postgres": {"audit": audit}}) for audit in (False, True))
    assert await ParityCheck(real, Later(), off)() == {"audit": "off"}
    await ground.store()
    await ground.build()
    assert (await ParityCheck(real, Later(), on)())["waits_for"] == []
    await ground.execute("delete from post_log where shortcode = 's7'")
    with pytest.raises(Permanent, match=rf"post_log, {ground.today}: 99 events are audited, 100 are stored"):
        await ParityCheck(real, Later(), on)()
