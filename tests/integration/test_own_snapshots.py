"""How a channel changed between our own snapshots, where its owner gave no token: read from the real synced table."""

import datetime as dt
import uuid
from collections.abc import AsyncIterator

import pytest

from gcc.clock import SystemClock
from gcc.errors import Transient
from gcc.pipelines.scraping.own_snapshots import OwnSnapshots
from gcc.sources.chain import Visit
from gcc.sources.credentials import NoCredential
from gcc.sources.verdicts import NeedsOwner, SourceFailed
from gcc.stores.postgres import Pool

CHANNEL = "UC" + "a" * 22
DAYS = {  # views, followers, media_count
    "2026-08-10": (100, 10, 1),
    "2026-08-11": (150, 12, 1),
    "2026-08-13": (190, None, 2),
    "2026-08-30": (900, 15, 3),
    "2026-09-02": (950, 14, 3),
}
READ = dt.date(2026, 8, 1), dt.date(2026, 9, 30)


@pytest.fixture
async def snapshots(pool: Pool) -> AsyncIterator[OwnSnapshots]:
    async with pool.connection() as connection:
        for day, figures in DAYS.items():
            await connection.execute(
                "insert into social_profile_time_series (platform, profile_id, date, views, followers, media_count)"
                " values ('YOUTUBE', %s, %s, %s, %s, %s)",
                (CHANNEL, day, *figures),
            )
        await connection.execute(
            "insert into sync_snapshot (table_name, snapshot_id, term, rows, as_of) values (%s, %s, 1, 5, now())",
            ("social_profile_time_series", uuid.uuid4()),
        )
    yield OwnSnapshots(pool, SystemClock())


async def test_days_with_the_day_that_they_differ_from(snapshots: OwnSnapshots) -> None:
    found = await snapshots.report("daily", CHANNEL, *READ, Visit(passed=[NeedsOwner("its owner's is needed")]))
    assert found.partial == "the differences of our own snapshots, as its owner gave no token"
    assert list(found.items.header) == ["day", "since", "views", "subscribers", "uploads"]
    assert found.items.rows == [
        ["2026-08-11", "2026-08-10", 50, 2, 0],
        ["2026-08-13", "2026-08-11", 40, None, 1],  # subscribers were hidden
        ["2026-08-30", "2026-08-13", None, None, 1],  # views count otherwise since the 24th
        ["2026-09-02", "2026-08-30", 50, -1, 0],
    ]


@pytest.mark.parametrize(
    ("passed", "why"),
    [
        ([], "the source of its owner's reports is switched off"),
        (
            [SourceFailed("ytanalytics: HTTP 503")],
            "its owner's report could not be had now (ytanalytics: HTTP 503)",
        ),
        (
            [NoCredential("ytanalytics: no credential is ready: asha rests", retry_after_s=9)],
            "its owner's report could not be had now (ytanalytics: no credential is ready: asha rests)",
        ),
    ],
)
async def test_each_cause_has_its_words(snapshots: OwnSnapshots, passed: list[Transient], why: str) -> None:
    found = await snapshots.report("daily", CHANNEL, *READ, Visit(passed=passed))
    assert found.partial == f"the differences of our own snapshots, as {why}"


async def test_the_first_day_may_differ_from_one_before(snapshots: OwnSnapshots) -> None:
    found = await snapshots.report("daily", CHANNEL, dt.date(2026, 9, 1), dt.date(2026, 9, 30), Visit())
    assert found.items.rows == [["2026-09-02", "2026-08-30", 50, -1, 0]]


async def test_months(snapshots: OwnSnapshots) -> None:
    found = await snapshots.report("monthly", CHANNEL, *READ, Visit())
    assert found.items.rows == [["2026-09-01", "2026-08-01", None, -1, 0]]  # in August views changed their meaning


@pytest.mark.parametrize(("channel", "first"), [("UC" + "b" * 22, READ[0]), (CHANNEL, dt.date(2026, 9, 10))])
async def test_without_two_to_compare_the_owner_is_needed(
    snapshots: OwnSnapshots, channel: str, first: dt.date
) -> None:
    with pytest.raises(NeedsOwner, match="no two snapshots"):
        await snapshots.report("daily", channel, first, READ[1], Visit())
