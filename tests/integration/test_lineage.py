"""Where each column of a model comes from: idioms of models, and the models of this repository, built."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from gcc.actors.modelled import Model
from gcc.actors.transformer import Transformer
from gcc.actors.warehouse import Parameters
from gcc.clock import SystemClock
from gcc.errors import ConfigError, Permanent, Transient
from gcc.pipelines.analytics import lineage, models
from gcc.pipelines.analytics.lineage import Lineage, Origin
from gcc.pipelines.analytics.origins import origins
from gcc.pipelines.analytics.synced import SYNCED
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from gcc.stores.synced_tables import SyncedTables
from gcc.supervisor.lifecycle import Board

COLUMNS = {"_e.t": ["a", "b", "c", "m"], "_e.u": ["a", "d"]}

LISTS = {"mart_genre_dictionary", "mart_post_location"}
"""Models that hold a list, which stands in a macro and comes from no event."""


def model(sql: str) -> Model:
    return Model("m", "", "view", "", frozenset(), (), "", 0, (), "", lambda scope: sql)


def of(sql: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for origin in origins(model(sql), COLUMNS):
        found.setdefault(origin.column, set()).add(f"{origin.parent}.{origin.parent_column}")
    found.pop("*", None)
    return found


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("select a, b + c as x from _e.t", {"a": "_e.t.a", "x": "_e.t.b _e.t.c"}),
        ("select * from _e.u", {"a": "_e.u.a", "d": "_e.u.d"}),
        ("select count() as n, 1 as one from _e.t", {"n": "_e.t.*", "one": "_e.t.*"}),
        ("with x as (select a from _e.t), y as (select count() as n from x) select n from y", {"n": "_e.t.*"}),
        ("select 'x' as k", {"k": "."}),
        ("with x as (select a, arrayJoin(b) as e from _e.t) select e from x limit 1 by a", {"e": "_e.t.b"}),
        ("select a from (select a from _e.t union all select m['x'] as a from _e.t)", {"a": "_e.t.a _e.t.m"}),
        ("select t.a as a, u.d as d from _e.t as t final left join _e.u as u on u.a = t.a settings join_use_nulls = 1",
         {"a": "_e.t.a", "d": "_e.u.d"}),
        ("select argMaxIf(t.c, t.a, t.a > 1) as c, quantileExactInclusive(0.5)(b) as med from _e.t as t",
         {"c": "_e.t.a _e.t.c", "med": "_e.t.b"}),
        ("select row_number() over (partition by c order by a desc) as r from _e.t qualify r < 3",
         {"r": "_e.t.a _e.t.c"}),
        ("select if(a > 1, (select max(d) from _e.u), 0) as z from _e.t", {"z": "_e.t.a _e.u.d"}),
        ("select r.1 as p from (select arrayJoin([('a', 'b')]) as r)", {"p": "."}),
    ],
)  # fmt: skip
def test_idioms(sql: str, expected: dict[str, str]) -> None:
    assert of(sql) == {column: set(parents.split()) for column, parents in expected.items()}


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("select x from _e.t array join b as x", "ARRAY JOIN"),
        ("with 3 as k select a + k as z from _e.t", "WITH k"),
        ("select groupArraySorted(3)((a, b)) as x from _e.t", "cannot be read"),
        ("select nowhere from _e.t", "nowhere"),
    ],
)
def test_what_would_be_misread_is_refused(sql: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as error:
        origins(model(sql), COLUMNS)
    assert str(error.value).startswith("m: ")


ELSEWHERE = {
    ("trending_content", "genre_rank"): ("mart_genre_trending_content", "rank"),
    ("linked_social", "linked_platform"): ("mart_linked_socials", "other_platform"),
    ("linked_social", "linked_profile_id"): ("mart_linked_socials", "other_profile_id"),
}
"""Columns of synced tables that are not called as their mart's are."""


@pytest.mark.parametrize("sql", ["select from", "drop table x", "select " + "(" * 2000 + "1" + ")" * 2000 + " as k"])
def test_a_model_that_the_parser_trips_over_takes_its_own_lineage_alone(sql: str) -> None:
    assert {origin.column for origin in lineage._origins([model(sql), model("select a from _e.t")], COLUMNS)} == {
        "a",
        "*",
    }


async def test_every_column_of_every_model_ends_in_events_or_replicas(clickhouse: ClickHouse, pool: Pool) -> None:
    clock = SystemClock()
    graph = models.read(variables={"timezone": "Asia/Kolkata"})
    transformer = Transformer(clickhouse.builders, graph, Board(clock.now).actor("t"), clock, zone="Asia/Kolkata")
    assert [run for run in await transformer.run_models() if not run.ok] == []
    lineage = Lineage(clickhouse.builders, graph)
    for each in graph:
        rows = await lineage.of(each.name)
        columns = await clickhouse.rows(
            "select name from system.columns where database = 'dbt' and table = {name:String}", {"name": each.name}
        )
        assert {row["column"] for row in rows if row["depth"] == 1} == {row["name"] for row in columns}
        parents = {(f"dbt.{row['model']}", row["column"]) for row in rows}
        written = {row["model"] for row in rows if not row["parent"]}
        assert written <= LISTS
        leaves = {
            row["parent"] for row in rows if row["parent"] and (row["parent"], row["parent_column"]) not in parents
        }
        lists = {f"dbt.{name}" for name in LISTS}  # whole rows of one come from nowhere
        assert {leaf.partition(".")[0] for leaf in leaves - lists} <= {"_e", "beat_replica", "coffee_replica"}

    await synced_columns_end_there(clickhouse, pool)


async def synced_columns_end_there(clickhouse: ClickHouse, pool: Pool) -> None:
    """Of each column that is served: one of the columns it is made of at least is of an event or a replica."""
    parents: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for row in await clickhouse.rows("select * from dbt.column_lineage"):
        parents.setdefault((f"dbt.{row['model']}", row["column"]), set()).add((row["parent"], row["parent_column"]))

    def ends(column: tuple[str, str], seen: set[tuple[str, str]]) -> set[str]:
        """The databases of its leaves; '': it is made there."""
        if column not in parents:
            return {column[0].partition(".")[0]}
        return set().union(*(ends(each, seen | {each}) for each in parents[column] - seen))

    tables, nowhere = SyncedTables(pool, leader="x"), {}
    for declared in SYNCED:
        for name in await tables.columns(declared.table):
            mart, column = ELSEWHERE.get((declared.table, name), (declared.mart, name))
            found = ends((f"dbt.{mart}", column), set())
            if not found & {"_e", "beat_replica", "coffee_replica"}:
                nowhere[f"{declared.table}.{name}"] = sorted(found)
    assert sorted(nowhere) == []


async def test_it_is_made_anew_when_a_text_changed(clickhouse: ClickHouse, tmp_path: Path) -> None:
    clock = SystemClock()

    async def built(sql: str) -> Lineage:
        (tmp_path / "m.sql").write_text(f"-- description: x\n{sql}")
        graph = models.read(tmp_path, variables={})
        await Transformer(clickhouse.builders, graph, Board(clock.now).actor("t"), clock, zone="UTC").run_models()
        return Lineage(clickhouse.builders, graph)

    first = await built("select event_id as a from _e.profile_log_events")
    assert (await first.refresh(), await first.refresh()) == (True, False)
    expected = {"model": "m", "column": "a", "parent": "_e.profile_log_events", "parent_column": "event_id", "depth": 1}
    assert await first.of("m", "a") == [expected]
    second = await built("select handle as b from _e.profile_log_events")
    assert await second.of("m") == [expected | {"column": "b", "parent_column": "handle"}]
    with pytest.raises(Permanent, match="there are b"):
        await second.of("m", "a")


async def test_what_was_read_of_models_is_kept_where_it_could_not_be_stored_and_while_some_are_not_built(
    clickhouse: ClickHouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def origins_of(graph: Sequence[Model], columns: Mapping[str, Sequence[str]]) -> list[Origin]:
        read.append(len(graph))
        return real(graph, columns)

    class AwayOnce:
        """A store that is away when the first rows are to be stored."""

        rows = clickhouse.rows

        async def command(self, sql: str, params: Parameters | None = None) -> None:
            if len(read) == 1 and not failed:
                failed.append(sql)
                raise Transient("away")
            await clickhouse.command(sql, params)

    failed: list[str] = []
    real = lineage._origins
    monkeypatch.setattr(lineage, "_origins", origins_of)
    for name, text in (("stg_a", "select 1 as a"), ("stg_b", "select a from {{ ref('stg_a') }}")):
        (tmp_path / f"{name}.sql").write_text(f"-- description: x\n-- tags: {name}\n{text}")
    graph = models.read(tmp_path, variables={})
    transformer = Transformer(
        clickhouse.builders, graph, Board(SystemClock().now).actor("t"), SystemClock(), zone="UTC"
    )
    await transformer.run_models(["stg_a"])
    found = Lineage(AwayOnce(), graph)
    with pytest.raises(Transient, match="away"):
        await found.refresh()
    assert [await found.refresh() for _ in range(2)] == [True, False] and read == [1]
    await transformer.run_models(["stg_b"])
    assert [await found.refresh() for _ in range(2)] == [True, False] and read == [1, 1], "each model once"
