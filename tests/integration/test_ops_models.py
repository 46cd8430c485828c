"""The models over HTTP: what their pages ask, in the form that they show, secrets masked; and what is refused."""

import pytest

from tests.integration.ops_platform import Modelled, Port, World, client
from tests.integration.test_ops_actions import actions, get, post

pytest_plugins = ["tests.fixtures_ops"]


ROW = {"name": "mart_x", "parents": [], "error": "no answer of http://u:pw@host/?token=abc"}
MASKED = {**ROW, "error": "no answer of http://•••@host/?token=•••"}


@pytest.mark.parametrize("path", ["models", "models/mart_x", "models/mart_x/lineage", "quality", "volumes"])
async def test_a_process_without_analytics_knows_no_models(port: Port, path: str) -> None:
    async with client(port) as http:
        answer = await http.get(f"/api/{path}")
    assert answer.status_code == 409
    assert answer.json()["error"]["detail"] == "this process has no models: it lacks the role analytics"


@pytest.mark.parametrize("path", ["models", "models/mart_x", "models/mart_x/lineage", "quality", "volumes"])
async def test_who_has_no_token_is_told_nothing(world: World, port: Port, path: str) -> None:
    world.models.append(Modelled([ROW]))
    async with client(port, token=None) as http:
        assert (await http.get(f"/api/{path}")).status_code == 401


async def test_models_and_one_of_them_are_told(world: World, port: Port) -> None:
    child = {**ROW, "name": "mart_y", "parents": ["mart_x"], "error": None}
    world.models.append(Modelled([ROW, child]))
    assert await get(port, "models") == ([MASKED, child], {})
    assert (await get(port, "models/mart_x"))[0] == {**MASKED, "children": ["mart_y"]}
    async with client(port) as http:
        answer = await http.get("/api/models/mart_z")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "CANNOT")


async def test_lineage_is_told_as_deep_as_is_asked(world: World, port: Port) -> None:
    models = Modelled([ROW])
    models.origins = [
        {"model": "mart_x", "column": "a", "parent": "dbt.stg_x", "parent_column": "a", "depth": 1},
        {"model": "stg_x", "column": "a", "parent": "_e.x", "parent_column": "a", "depth": 2},
    ]
    world.models.append(models)
    assert (await get(port, "models/mart_x/lineage", column="a"))[0] == models.origins
    assert (await get(port, "models/mart_x/lineage", depth="1"))[0] == models.origins[:1]
    async with client(port) as http:
        for query in ("depth=0", "depth=x", "deep=1"):
            assert (await http.get(f"/api/models/mart_x/lineage?{query}")).status_code == 422


async def test_quality_and_volumes_are_told(world: World, port: Port) -> None:
    models = Modelled([])
    models.told = {"promises": [{"tag": "core", "late": ["mart_x"]}], "wrong": [{"said": "token=abc"}]}
    models.volumes_told = [{"table": "post_log_events", "events": 7, "low": None, "high": None, "ok": True}]
    world.models.append(models)
    assert (await get(port, "quality"))[0] == {**models.told, "wrong": [{"said": "token=•••"}]}
    assert (await get(port, "volumes"))[0] == models.volumes_told


async def test_a_run_leaves_its_row_and_a_test_none(world: World, port: Port) -> None:
    models = Modelled([ROW])
    world.models.append(models)
    status, ended = await post(port, "models/run", {"select": ["tag:core"], "full": True, "why": "a new rule"})
    assert (status, ended["status"]) == (200, "COMPLETE")
    async with client(port) as http:
        assert (await http.post("/api/models/test", json={"names": ["mart_x"]})).json()["data"] == []
    assert models.asked == [("run", ["tag:core"], True), ("test", ["mart_x"], False)]
    assert actions(world) == [("API", "a new rule", "run", "models tag:core", None)]
