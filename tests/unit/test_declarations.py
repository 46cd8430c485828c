"""What the declared schedules do, on stand-ins for what they run."""

import uuid
from collections.abc import Callable
from typing import Any, cast

import pytest

from gcc.actors.sync import SyncResult
from gcc.errors import LeaseLost, Permanent, Transient
from gcc.pipelines.analytics.declarations import SYNCED, schedules

TABLES = [declared.table for declared in SYNCED]


class Stage:
    """Transformer and sync: each table ends as `ends` says."""

    def __init__(self, ends: dict[str, Exception]) -> None:
        self.ends = ends
        self.asked: list[str] = []

    async def run_models(self, select: object = ()) -> list[object]:
        return []

    async def sync(self, table: str) -> SyncResult:
        self.asked.append(table)
        if table in self.ends:
            raise self.ends[table]
        return SyncResult(table, 1, 0.1, uuid.UUID(int=1))

    async def recount(self) -> dict[str, Any]:
        return {}


def everything(stage: Stage) -> Callable[[], Any]:
    found = schedules(*(cast(Any, stage) for _ in range(6)))
    return next(schedule.run for schedule in found if schedule.name == "models_and_syncs")


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (Transient("away"), None),
        (Permanent("would shrink"), None),
        (ValueError("a bug"), None),
        (Transient("away"), ValueError("a bug")),
        (Transient("away"), Permanent("would shrink")),
    ],
    ids=repr,
)
async def test_a_table_that_is_not_synced_leaves_the_others_their_turns(
    first: Exception, last: Exception | None
) -> None:
    stage = Stage({TABLES[0]: first} | ({TABLES[-1]: last} if last else {}))
    with pytest.raises(type(last or first), match=str(last or first)):
        await everything(stage)()
    assert stage.asked == TABLES


async def test_all_are_told_and_a_lost_term_ends_it() -> None:
    assert [done["table"] for done in (await everything(Stage({}))())["syncs"]] == TABLES
    stage = Stage({TABLES[0]: LeaseLost("the term is over")})
    with pytest.raises(LeaseLost):
        await everything(stage)()
    assert stage.asked == TABLES[:1]
