"""Every unit test of a model, sql/models/**/NAME.yml, on the real engine: who writes a model adds YAML alone."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from gcc.actors.transformer import Transformer
from gcc.clock import SystemClock
from gcc.pipelines.analytics import models, unit_tests
from gcc.stores.clickhouse import ClickHouse
from gcc.supervisor.lifecycle import Board
from tests.fixtures_clickhouse import empty, store_of

TESTS = unit_tests.read()


ZONE = "Asia/Kolkata"
GRAPH = {model.name: model for model in models.read(variables={"timezone": ZONE})}


@pytest.fixture(scope="module")
def built(clickhouse_folder: Path) -> Iterator[ClickHouse]:
    """A store with all models in it, of empty sources: the types of inputs are theirs. It is built once, which takes
    seconds, and stays open for all tests: opening takes as long as a test."""
    clickhouse = store_of(clickhouse_folder)

    async def build() -> None:
        clock = SystemClock()
        await clickhouse.open()
        await empty(clickhouse)
        transformer = Transformer(clickhouse.builders, [*GRAPH.values()], Board(clock.now).actor("x"), clock, zone=ZONE)
        assert [run for run in await transformer.run_models() if not run.ok] == []

    trio.run(build)
    yield clickhouse
    trio.run(clickhouse.aclose)


@pytest.mark.parametrize("test", TESTS, ids=str)
async def test_what_a_model_says(built: ClickHouse, test: unit_tests.UnitTest) -> None:
    assert await unit_tests.differences(built.builders, test, GRAPH[test.model]) == []
