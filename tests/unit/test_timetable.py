"""The timetable: every row has something to do, or says what it waits for."""

from collections import Counter

import pytest

from gcc.actors.scheduler import Schedule
from gcc.errors import ConfigError
from gcc.pipelines import timetable
from gcc.pipelines.analytics.synced import SYNCED
from gcc.pipelines.scraping.stale import PRODUCERS, TRACKED
from gcc.pipelines.scraping.table import FLOWS
from gcc.pipelines.timetable import NAMED, NOT_YET, ROWS, overridden


def test_there_are_76_with_names_of_their_own() -> None:
    groups = (
        timetable.MODEL_RUNS, timetable.PRODUCERS_OF_INSTAGRAM, timetable.PRODUCERS_OF_YOUTUBE, timetable.SYNCS,
        timetable.ASSETS, timetable.OPERATIONAL,
    )  # fmt: skip
    assert [len(group) for group in groups] == [11, 17, 12, 15, 7, 14]
    assert len({row.name for row in NAMED}) == 76
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_can_be_kept(row: timetable.Row) -> None:
    async def nothing() -> dict[str, object]:
        return {}

    Schedule(row.name, row.cron, nothing)
    produced = {producer.name for producer in PRODUCERS} | TRACKED.keys()
    match row.kind:
        case "produce":
            assert row.waits_for or row.name in produced
        case "sync":
            assert row.what in {table.table for table in SYNCED}
        case "models":
            assert timetable.does(row) == f"builds the models of tag {row.what.removeprefix('tag:')}"
            assert all(word.startswith("tag:") for word in row.words)


def test_every_table_and_producer_has_its_row() -> None:
    synced = Counter(row.what for row in timetable.SYNCS if row.kind == "sync")
    assert synced == Counter(table.table for table in SYNCED)
    rows = {row.name for row in ROWS if row.kind == "produce"}
    assert {producer.name for producer in PRODUCERS} | TRACKED.keys() <= rows
    assert {producer.flow for producer in PRODUCERS} <= FLOWS.keys()


def test_every_row_tells_people_what_it_does() -> None:
    assert [row.name for row in ROWS if not timetable.does(row)] == []
    assert timetable._DOES.keys() <= {row.name for row in ROWS}


def test_settings_may_leave_a_row_to_people() -> None:
    changed = {row.name: row.cron for row in overridden(ROWS, {"dbt_core": "by hand"})}
    assert changed["dbt_core"] is None and changed["dbt_hourly"] == "22 * * * *"


def test_what_is_not_there_yet_is_named() -> None:
    assert all(NOT_YET.values())
    assert {row.name for row in ROWS} >= NOT_YET.keys()


def test_settings_may_use_the_names_of_before() -> None:
    crons = {"core_models": "1 * * * *", "stale_profiles": "2 3 * * *", "sync_leaderboard": "4 5 * * *"}
    changed = {row.name: row.cron for row in overridden(ROWS, crons)}
    assert changed["dbt_core"] == "1 * * * *"
    assert changed["insta_profiles_tracked"] == changed["yt_profiles_tracked"] == "2 3 * * *"
    assert changed["sync_leaderboard_prod"] == "4 5 * * *"
    with pytest.raises(ConfigError, match=r"analytics\.schedules\.dbt_cor: no such schedule"):
        overridden(ROWS, {"dbt_cor": "* * * * *"})
