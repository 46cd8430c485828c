"""The model graph: what is read from files, their order, and what a mistake in a file says."""

import re
from pathlib import Path

import pytest

from gcc.actors.modelled import EVERYTHING, Model, Slice
from gcc.errors import ConfigError
from gcc.pipelines.analytics import models
from gcc.pipelines.scraping.table import Catalogue

ZONE = {"timezone": "Asia/Kolkata"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def write(folder: Path, name: str, body: str, **header: str) -> Path:
    header = {"description": "one row a thing", **header}
    if header.get("materialized", "view") != "view":
        header.setdefault("unique_key", "id")
    path = folder / f"{name}.sql"
    path.write_text("".join(f"-- {key}: {value}\n" for key, value in header.items()) + body)
    return path


def read(folder: Path) -> dict[str, Model]:
    return {model.name: model for model in models.read(folder, variables=ZONE)}


def test_parents_come_first_whatever_their_names(folder: Path) -> None:
    write(folder, "a_mart", "select * from {{ ref('b_middle') }} join {{ ref('z_staging') }} using id")
    write(folder, "b_middle", "select * from {{ ref('z_staging') }}")
    write(folder, "z_staging", "select * from {{ source('_e', 'things') }}")
    graph = read(folder)
    assert list(graph) == ["z_staging", "b_middle", "a_mart"]
    assert graph["a_mart"].parents == ("b_middle", "z_staging")
    assert graph["a_mart"].select(EVERYTHING) == "select * from dbt.b_middle join dbt.z_staging using id"
    assert graph["z_staging"].select(EVERYTHING) == "select * from _e.things"


def test_header(folder: Path) -> None:
    path = folder / "m.sql"
    path.write_text(
        "-- description: one row a thing\n--   and more of it: with a colon\n-- materialized: table\n"
        "-- tags: core, daily\n-- unique_key: platform, profile_id\nselect '{{ var('timezone') }}' -- not header: x\n"
    )
    model = read(folder)["m"]
    assert model.materialized == "table"
    assert model.tags == {"core", "daily"}
    assert model.unique_key == ("platform", "profile_id")
    assert model.select(EVERYTHING) == "select 'Asia/Kolkata' -- not header: x"


def test_an_incremental_model_asks_since_when(folder: Path) -> None:
    body = "select 1 from {{ this }}{% if is_incremental() %} where at >= {{ watermark() }}{% endif %}"
    write(folder, "m", body, materialized="incremental")
    model = read(folder)["m"]
    assert model.select(EVERYTHING) == "select 1 from dbt.m"
    expected = "select 1 from dbt.m where at >= toDateTime64('2026-01-02 03:04:05.600000', 6, 'UTC')"
    assert model.select(Slice(True, {"m": "2026-01-02 03:04:05.600000"})) == expected


def test_what_holds_each_key_once_is_read_without_final(folder: Path) -> None:
    write(folder, "known", "select 1 as id")
    write(folder, "known_too", "select 1 as id")
    write(
        folder,
        "m",
        "select id from {{ ref('known') }} as a final, {{ ref('known_too') }} as b final, {{ ref('known') }} final",
    )
    model = read(folder)["m"]
    assert model.select(EVERYTHING) == "select id from dbt.known as a final, dbt.known_too as b final, dbt.known final"
    once = Slice(once=frozenset({"known"}))
    assert model.select(once) == "select id from dbt.known as a, dbt.known_too as b final, dbt.known"
    write(folder, "n", "select id from {{ ref('known') }} as a final settings optimize_aggregation_in_order = 1")
    assert "final" in read(folder)["n"].select(once)


def test_a_fingerprint_covers_the_parents_and_nothing_of_the_prose(folder: Path) -> None:
    write(folder, "s", "select 1 as id")
    write(folder, "m", "select id from {{ ref('s') }}", materialized="table")
    write(folder, "other", "select 3 as id")
    before = {name: model.fingerprint for name, model in read(folder).items()}
    write(folder, "s", "select 1 as id", description="in other words", tags="core")
    assert {name: model.fingerprint for name, model in read(folder).items()} == before
    write(folder, "s", "select 2 as id")
    after = {name: model.fingerprint for name, model in read(folder).items()}
    assert {name for name in before if before[name] != after[name]} == {"s", "m"}


def test_partitions_of_a_period(folder: Path) -> None:
    (folder / "macros").mkdir()
    (folder / "macros" / "periods.sql").write_text((models.MODELS / "macros" / "periods.sql").read_text())
    how = {"materialized": "incremental", "strategy": "partitions", "partition_by": "month", "looks_back": "all"}
    write(folder, "m", "select 1{% if is_incremental() %} where {{ in_period('month') }}{% endif %}", **how)
    model = read(folder)["m"]
    assert (model.strategy, model.partition_by, model.looks_back) == ("partitions", "month", None)
    assert model.select(EVERYTHING) == "select 1"
    period = Slice(True, first="2026-01-01", end="2026-03-01")
    assert model.select(period) == "select 1 where (month >= toDate('2026-01-01') and month < toDate('2026-03-01'))"


def test_a_model_may_ask_since_when_another_stands(folder: Path) -> None:
    write(folder, "full", "select 1 as id", materialized="table")
    write(folder, "part", "select id from x where at >= {{ watermark('full') }}", materialized="table")
    part = read(folder)["part"]
    assert (part.parents, part.newer_than) == ((), ("full",))  # it may be built without it
    assert "'1970-01-01 00:00:00'" in part.select(EVERYTHING)
    assert "'2026-01-02 03:04:05'" in part.select(Slice(since={"full": "2026-01-02 03:04:05"}))


def test_macros_are_everybody_s_call_each_other_and_give_lists(folder: Path) -> None:
    macros = folder / "macros"
    macros.mkdir()
    (macros / "a.sql").write_text(
        "{% macro twice(x) %}{{ plus(x, x) }}, {{ var('n') }} from {{ ref('s') }}{% endmacro %}"
    )
    (macros / "b.sql").write_text(
        "{% macro plus(x, y) %}{{ x }} + {{ y }}{% endmacro %}\n"
        "{% macro tags() %}{{ return(['ad', 'pr']) }}{% endmacro %}"
    )
    (folder / "vars.toml").write_text("n = 12 # chosen\n")
    write(folder, "s", "select 1 as id")
    write(folder, "m", "select {{ twice(2) }}{% for tag in tags() %} -- {{ tag }}{% endfor %}")
    model = read(folder)["m"]
    assert model.select(EVERYTHING) == "select 2 + 2, 12 from dbt.s -- ad -- pr"
    assert model.parents == ("s",)
    (macros / "c.sql").write_text("{% macro plus(x) %}{% endmacro %}")
    with pytest.raises(ConfigError, match=r"c\.sql: macro 'plus' stands in .*b\.sql"):
        read(folder)
    (macros / "c.sql").write_text("{% macro wrong(x) %}")
    with pytest.raises(ConfigError, match=r"c\.sql"):
        read(folder)


def test_vars_are_given_once(folder: Path) -> None:
    write(folder, "m", "select 1")
    for text in ('timezone = "UTC"', "n = 1979-05-27", "n ="):
        (folder / "vars.toml").write_text(text)
        with pytest.raises(ConfigError, match=r"vars\.toml"):
            read(folder)


def test_a_circle_is_refused_by_its_files(folder: Path) -> None:
    write(folder, "a", "select * from {{ ref('b') }}")
    write(folder, "b", "select * from {{ ref('c') }}")
    write(folder, "c", "select * from {{ ref('a') }}")
    with pytest.raises(ConfigError) as error:
        read(folder)
    assert "circle" in str(error.value)
    assert all(f"{name}.sql" in str(error.value) for name in "abc")


@pytest.mark.parametrize(
    ("header", "body", "says"),
    [
        ({}, "select * from {{ ref('nowhere') }}", "nowhere.sql"),
        ({}, "select {{ undefined_name }}", "undefined_name"),
        ({}, "select {{ var('tenant') }}", "'tenant'"),
        ({}, "select * from {{ source('_e', 'x; drop table y') }}", "drop table"),
        ({}, "select {% if %}", "line 1 after the header"),
        ({}, "select {{ ''.__class__.__mro__ }}", "unsafe"),
        ({"materialized": "tabel"}, "select 1", "tabel"),
        ({"materialised": "table"}, "select 1", "materialised"),
        ({"description": ""}, "select 1", "description"),
        ({"materialized": "table", "unique_key": ""}, "select 1", "unique_key"),
        ({"materialized": "incremental"}, "select 1", "is_incremental()"),
        ({}, "select {{ watermark('nowhere') }}", "nowhere.sql"),
        ({"materialized": "table", "strategy": "keys"}, "select 1", "strategy"),
        ({"materialized": "incremental", "strategy": "partitions"}, "select 1", "partition_by"),
        ({"materialized": "incremental", "looks_back": "1"}, "select 1", "looks_back"),
        ({"partition_by": "month"}, "select 1", "partition_by"),
        ({"materialized": "incremental", "partition_by": "month"}, "select 1", "two partitions"),
        ({}, "select a.x from a left outer join b using (id)", "join_use_nulls"),
    ],
)
def test_a_mistake_names_its_file(folder: Path, header: dict[str, str], body: str, says: str) -> None:
    path = write(folder, "wrong", body, **header)
    with pytest.raises(ConfigError) as error:
        read(folder)
    assert str(path) in str(error.value)
    assert says in str(error.value)


HEAD = b"-- description: one row a thing\n"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "has no '-- description"),
        (HEAD, "no SELECT below"),
        ("-- description: é\nselect 1".encode("latin-1"), "byte 17 is no UTF-8"),
        (HEAD.decode().encode("utf-16"), "byte 1 is no UTF-8"),
        (HEAD + b"--   more of it\n" * 400_000 + b"select 1", "more than 256 KiB"),
        (HEAD + b"select {{ 1 / 0 }}", "division by zero"),
        (HEAD + b"select {{ ref() }}", "missing 1 required"),
        (HEAD + b"select * from {{ ref(['a']) }}", "list"),
        (HEAD + b"select {{ none() }}", "not callable"),
        (HEAD + b"{% include 'other.sql' %}", "no loader"),
        (HEAD + b"select {{ return([1]) }}", "outside a macro"),
        (HEAD + b"{% macro m() %}{{ m() }}{% endmacro %}select {{ m() }}", "without an end"),
        (HEAD + b"select {{ " + b"(" * 3000 + b"1" + b")" * 3000 + b" }}", "nested too deeply"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_no_model_can_be_is_told_and_names_its_file(folder: Path, content: bytes, says: str) -> None:
    path = folder / "wrong.sql"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as error:
        read(folder)
    assert str(error.value).startswith(f"{path}: ")
    assert says in str(error.value)


@pytest.mark.parametrize("name", ["wrong.sql", "macros/wrong.sql", "vars.toml"])
def test_what_cannot_be_read_names_its_file(folder: Path, name: str) -> None:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=rf"{re.escape(str(path))}: byte 1 is no UTF-8"):
        read(folder)
    path.unlink()
    path.mkdir()
    with pytest.raises(ConfigError, match=rf"{re.escape(str(path))}: cannot be read: Is a directory"):
        read(folder)


def test_files_may_be_as_other_systems_editors_write_them(folder: Path) -> None:
    body = "-- description: one row a thing\r\nselect 1 as {{ var('name') }}\r\n"
    (folder / "m.sql").write_bytes(b"\xef\xbb\xbf" + body.encode())
    (folder / "vars.toml").write_bytes(b'\xef\xbb\xbfname = "k"\r\n')
    assert read(folder)["m"].select(EVERYTHING) == "select 1 as k"


def test_a_name_is_given_once_and_is_a_word(folder: Path) -> None:
    (folder / "staging").mkdir()
    write(folder / "staging", "m", "select 1")
    write(folder, "m", "select 1")
    with pytest.raises(ConfigError, match="rename one"):
        read(folder)
    (folder / "m.sql").unlink()
    write(folder, "M-1", "select 1")
    with pytest.raises(ConfigError, match="lower_case_words"):
        read(folder)


TAGS = {"core", "recent", "collections", "hourly", "posts", "audience", "orders", "genre", "daily"}
UNSTAGED = {
    "mart_gcc_orders",
    "mart_staging_collection_comment",
    "mart_audience_info_follower",
    "mart_instagram_creators_followers_fake_analysis",
}
"""Marts of events that have no staging model: of sentiments, affiliates, shops' webhooks, followers' scores."""


def test_the_graph_of_this_repository_is_whole() -> None:
    graph = {model.name: model for model in models.read(variables=ZONE)}
    wanted = {"mart_instagram_account", "mart_youtube_account", "mart_time_series", "mart_leaderboard"}
    assert wanted <= graph.keys()
    assert {name: model.tags for name, model in graph.items() if len(model.tags & TAGS) != 1} == {}
    marts = {name: model.select(EVERYTHING) for name, model in graph.items() if not name.startswith("stg_")}
    assert {name for name, select in marts.items() if "_e." in select} <= UNSTAGED
    assert {name for name, select in marts.items() if "_replica." in select} == set()
    assert all(not model.parents for name, model in graph.items() if name.startswith("stg_"))


def test_jobs_may_be_of_every_platform_that_a_flow_has() -> None:
    graph = {model.name: model for model in models.read(variables=ZONE)}
    platforms = {flow.platform for flow in Catalogue().flows.values()}
    for name in ("stg_beat_scrape_request_log", "mart_staging_scrape_job"):
        assert platforms <= {*graph[name].values["platform"]}, name
