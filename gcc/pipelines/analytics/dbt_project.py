"""The models as a project for dbt: the same SQL files, and in YAML what their headers say.

In: `sql/models` and the macros of `sql/dbt`. Out: a folder with dbt_project.yml, profiles.yml, macros/ and models/
(with schema.yml, sources.yml, unit_tests.yml), for dbt-core 1.9 with dbt-clickhouse 1.10; docs/dbt.md tells how to run
it. No SQL is changed: what a model needs besides is a macro.
"""

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from gcc import statements
from gcc.actors.modelled import Model
from gcc.errors import ConfigError
from gcc.pipelines.analytics import models, unit_tests
from gcc.pipelines.analytics.model_tests import references
from gcc.stores.clickhouse_clients import Builds

PROJECT = "gcc"
MACROS = statements.SQL / "dbt" / "macros"
CUSTOM_SETTINGS: Mapping[str, object] = {**Builds().settings, "async_insert": 0, "session_timezone": "UTC"}

_SOURCE = re.compile(r"""source\(\s*['"](\w+)['"]\s*,\s*['"](\w+)['"]\s*\)""")


def export(target: Path, *, variables: Mapping[str, Any], folder: Path = models.MODELS) -> int:
    """Write the project of the models below `folder` into `target`, which is new or empty; returns how many models.

    `variables`: what the settings give, see models.read. ConfigError: something stands in `target`, or a bad model.
    """
    if target.exists() and any(target.iterdir()):
        raise ConfigError(f"{target} is not empty; name a new folder, or remove what stands there")
    graph = models.read(folder, variables=variables)
    of = references(graph)
    shutil.copytree(folder, target / "models", ignore=shutil.ignore_patterns("macros", "*.yml", "*.toml"))
    shutil.copytree(MACROS, target / "macros" / "builds")
    if (folder / "macros").exists():
        shutil.copytree(folder / "macros", target / "macros" / "models")
    files = {
        "dbt_project.yml": _project(models.all_variables(folder, variables)),
        "profiles.yml": _profiles(),
        "models/sources.yml": {"sources": _sources(folder.rglob("*.sql"))},
        "models/schema.yml": {"models": [_model(model, of[model.name]) for model in graph]},
        "models/unit_tests.yml": {
            "unit_tests": [_unit_test(test) for test in unit_tests.read(folder) if not test.not_in_dbt]
        },
    }
    for name, content in files.items():
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)
        (target / name).write_text(text, "utf-8")
    return len(graph)


def _project(variables: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": PROJECT,
        "version": "1.0.0",
        "profile": PROJECT,
        "model-paths": ["models"],
        "macro-paths": ["macros"],
        "vars": dict(variables),
        "flags": {"send_anonymous_usage_stats": False},
    }


def _profiles() -> dict[str, Any]:
    """Where the database is, is said by the environment: an export names no host and no password."""
    output = {
        "type": "clickhouse",
        "schema": models.DATABASE,
        "host": "{{ env_var('CLICKHOUSE_HOST', '127.0.0.1') }}",
        "port": "{{ env_var('CLICKHOUSE_PORT', '8123') | int }}",
        "user": "{{ env_var('CLICKHOUSE_USER', 'default') }}",
        "password": "{{ env_var('CLICKHOUSE_PASSWORD', '') }}",
        "threads": 1,
        "custom_settings": dict(CUSTOM_SETTINGS),
    }
    return {PROJECT: {"target": "own", "outputs": {"own": output}}}


def _sources(paths: Iterable[Path]) -> list[dict[str, Any]]:
    found = {match for path in paths for match in _SOURCE.findall(path.read_text("utf-8"))}
    databases = sorted({database for database, _ in found})
    return [
        {
            "name": name,
            "schema": name,
            "tables": [{"name": table} for database, table in sorted(found) if database == name],
        }
        for name in databases
    ]


def _model(model: Model, referring: Iterable[tuple[str, Iterable[tuple[str, str]]]]) -> dict[str, Any]:
    config: dict[str, Any] = {"materialized": model.materialized, "tags": sorted(model.tags)}
    if model.materialized != "view":
        config["order_by"] = list(model.unique_key)
        config["engine"] = "ReplacingMergeTree(built_at)" if model.strategy == "keys" else "MergeTree()"
    if model.partition_by:
        config["partition_by"] = [model.partition_by]
    if model.strategy:
        config["incremental_strategy"] = "append" if model.strategy == "keys" else "insert_overwrite"
    asked = {
        "key": list(model.unique_key),
        "values": {column: list(words) for column, words in model.values.items()},
        "references": [[column, [[f"ref('{name}')", field] for name, field in there]] for column, there in referring],
        "final": model.strategy == "keys",
        "mart": not model.name.startswith("stg_"),
    }
    return {
        "name": model.name,
        "description": model.description,
        "config": config,
        "data_tests": [{"rules": asked}],
    }


def _unit_test(test: unit_tests.UnitTest) -> dict[str, Any]:
    return {
        "name": f"{test.model}__{test.name}",
        "model": test.model,
        "given": [{"input": said, "rows": list(rows)} for said, rows in test.inputs.items()],
        "expect": {"rows": [dict(row) for row in test.expect]},
        "overrides": {
            "vars": dict(test.variables),
            "macros": {"is_incremental": test.incremental},
        },
    }
