"""Pipelines that could not run as they are declared are refused before anything is opened."""

from collections.abc import Collection
from pathlib import Path

import pytest

from gcc.clock import SystemClock
from gcc.config import Settings
from gcc.errors import ConfigError
from gcc.pipelines.declared import CLICKHOUSE, REDIS, WORLD, Context, Pipeline, Run
from gcc.tree import ALL, Tree


def row(name: str, needs: Collection[str] = (), uses: Collection[str] = ()) -> Pipeline:
    def build(_: Context) -> Run:
        raise AssertionError("it is refused before")

    return Pipeline(name, "a role", ("intake",), build, needs=needs, uses=uses)


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (
            [row("a", needs=["stores/clikhouse"])],
            "pipeline a needs 'stores/clikhouse', which is none of stores/postgres",
        ),
        ([row("a", uses=["stores/radis"])], "pipeline a needs 'stores/radis'"),
        ([row("a", needs=["a"])], "need each other, and none could begin: a, a"),
        ([row("a", needs=["b"]), row("b", needs=["a"])], "need each other"),
        ([row("a"), row("a")], "two have one name: a, a"),
        ([row("controls")], "two have one name"),
    ],
)
def test_pipelines_that_could_not_run_as_declared_are_refused(tmp_path: Path, rows: list[Pipeline], told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Tree(Settings(data_dir=tmp_path), SystemClock(), pipelines=[*rows, *ALL])
    assert told in str(caught.value)


def test_what_a_start_may_lack_and_pipelines_of_other_roles_may_be_needed(tmp_path: Path) -> None:
    rows = [row("a", needs=[WORLD, CLICKHOUSE], uses=[REDIS]), row("b", needs=["a", "analytics"])]
    Tree(Settings(data_dir=tmp_path, roles=["web"]), SystemClock(), pipelines=[*rows, *ALL])
