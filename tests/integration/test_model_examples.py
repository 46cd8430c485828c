"""Every unit test of a model, sql/models/**/NAME.yml, on the real engine: who writes a model adds YAML alone."""

from pathlib import Path

import pytest
import trio

from gcc.actors.transformer import Transformer
from gcc.clock import SystemClock
from gcc.pipelines.analytics import models, unit_tests
from gcc.supervisor.lifecycle import Board
from tests.fixtures_clickhouse import empty, opened

TESTS = unit_tests.read()


ZONE = "Asia/Kolkata"
GRAPH = {model.name: model for model in models.read(variables={"timezone": ZONE})}


@pytest.fixture(scope="module")
def built(clickhouse_folder: Path) -> Path:
    """The engine's folder with all models in it, of empty sources: the types of inputs are theirs. Once: seconds."""

    async def build() -> None:
        clock = SystemClock()
        async with opened(clickhouse_folder) as clickhouse:
            await empty(clickhouse)
            transformer = Transformer(
                clickhouse.builders, [*GRAPH.values()], Board(clock.now).actor("x"), clock, zone=ZONE
            )
            assert [run for run in await transformer.run_models() if not run.ok] == []

    trio.run(build)
    return clickhouse_folder


@pytest.mark.parametrize("test", TESTS, ids=str)
async def test_what_a_model_says(built: Path, test: unit_tests.UnitTest) -> None:
    async with opened(built) as clickhouse:
        assert await unit_tests.differences(clickhouse.builders, test, GRAPH[test.model]) == []
