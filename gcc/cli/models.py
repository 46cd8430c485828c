"""`models [list]`, as declared where no platform runs; `models show NAME`, `models lineage NAME[.COLUMN]`,
`models run [NAME|tag:TAG ...] [--full]` and `models backfill --from DAY --to DAY [NAME|tag:TAG ...]`: by the running
platform. `models test [NAME ..]`: whether what stands of them is right, by the running platform.
`models export-dbt DIR`: the SQL models as a project for dbt, as these settings have them; nothing needs to run.
"""

import argparse
import datetime as dt
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gcc.cli.client import NotRunning, find, printable, sentence, settings_of
from gcc.errors import ConfigError
from gcc.pipelines.analytics import dbt_project
from gcc.pipelines.analytics.modelling import described
from gcc.pipelines.analytics.models import read

BY_HAND = "by hand"
"""Why, where nobody says."""


def main(arguments: argparse.Namespace) -> int:
    verbs = {
        "list": _list,
        "show": _show,
        "lineage": _lineage,
        "run": _run,
        "backfill": _backfill,
        "test": _test,
        "export-dbt": _export_dbt,
    }
    return verbs[arguments.action](arguments)


def _one(arguments: argparse.Namespace, what: str) -> str:
    if len(arguments.words) != 1:
        raise ConfigError(f"write models {arguments.action} {what}")
    return str(arguments.words[0])


def _list(arguments: argparse.Namespace) -> int:
    """Exit code 1: a model failed."""
    if arguments.words:
        raise ConfigError("models list takes no name; write models show NAME")
    settings = settings_of(arguments)
    try:
        rows = find(arguments).ask("GET", "/api/models", holds=list)["data"]
        told = "as it runs"
    except NotRunning:
        graph = read(variables={"timezone": settings.reports.timezone})
        rows = [described(model, None, "unknown") for model in graph]
        told = f"nothing runs on {settings.data_dir}; as a start would, by {settings.told_by}"
    if arguments.json:
        print(json.dumps({"settings": told, "models": rows}))
    else:
        print(told)
        wide = max((len(row["name"]) for row in rows), default=0)
        for row in rows:
            print(f"{row['name']:<{wide}}  {_standing(row)}".rstrip())
    return 1 if any(row["state"] == "failed" for row in rows) else 0


def _standing(row: dict[str, Any]) -> str:
    seconds = "" if row["seconds"] is None else f"{row['seconds']:.2f} s"
    rows = "" if row["rows"] is None or row["materialized"] == "view" else f"{row['rows']:,} rows"
    fresh = (row["fresh_at"] or "-")[:16].replace("T", " ")
    error = sentence(row["error"]) if row["error"] else ""
    return f"{row['state']:<8}  {row['materialized']:<11}  {seconds:>9}  {rows:>16}  {fresh:<16}  {error}"


def _show(arguments: argparse.Namespace) -> int:
    name = _one(arguments, "NAME")
    row = find(arguments).ask("GET", f"/api/models/{quote(name, safe='')}")["data"]
    if arguments.json:
        print(json.dumps({"models": [row]}))
        return 0
    for key, value in row.items():
        if key != "sql" and value not in (None, []):
            print(f"{key}: {', '.join(map(str, value)) if isinstance(value, list) else value}")
    print(f"\n{printable(row['sql'])}")
    return 0


def _lineage(arguments: argparse.Namespace) -> int:
    name, _, column = _one(arguments, "NAME.COLUMN").partition(".")
    running, path = find(arguments), f"/api/models/{quote(name, safe='')}/lineage"
    answer = running.ask("GET", path, holds=list, column=column) if column else running.ask("GET", path, holds=list)
    rows = answer["data"]
    if arguments.json:
        print(json.dumps({"lineage": rows}))
        return 0
    for row in rows:
        parent = f"{row['parent']}.{row['parent_column']}" if row["parent"] else "(made here)"
        print(f"{'  ' * (row['depth'] - 1)}{row['model']}.{row['column']} <- {parent}")
    return 0


def _run(arguments: argparse.Namespace) -> int:
    body = {"select": arguments.words, "full": arguments.full, "why": arguments.why or BY_HAND}
    return _ended(arguments, "run", body)


def _backfill(arguments: argparse.Namespace) -> int:
    if not (arguments.first and arguments.last):
        raise ConfigError("write models backfill --from DAY --to DAY [NAME|tag:TAG ...]")
    period = {"first": _day(arguments.first), "last": _day(arguments.last)}
    return _ended(arguments, "backfill", {"select": arguments.words, "why": arguments.why or BY_HAND, **period})


def _ended(arguments: argparse.Namespace, verb: str, body: dict[str, Any]) -> int:
    """Exit code 1: not all were built."""
    ended = find(arguments).act(f"/api/models/{verb}", body)
    detail = ended["detail"] or {}
    models = detail.get("models") or []
    if arguments.json:
        print(json.dumps(ended | {"models": models}))
    else:
        for row in models:
            told = sentence(row["error"]) if row.get("error") else f"{row['seconds']:.2f} s  {row['rows']:,} rows"
            print(f"{row['model']}  {told}")
        error = f": {sentence(str(detail['error']))}" if detail.get("error") else ""
        print(f"{ended['name']}  {ended['status']}{error}")
    return 0 if ended["status"] == "COMPLETE" and not any(row.get("error") for row in models) else 1


def _day(word: str) -> str:
    try:
        return dt.date.fromisoformat(word).isoformat()
    except ValueError:
        raise ConfigError(f"{sentence(word)!r} is no day; write 2026-01-31") from None


def _test(arguments: argparse.Namespace) -> int:
    """Exit code 1: an error was found; warnings are told."""
    findings = find(arguments).act("/api/models/test", {"names": arguments.words}, holds=list)
    failed = [finding for finding in findings if not finding["ok"] and finding["severity"] == "error"]
    if arguments.json:
        wrong = {finding["model"] for finding in failed}
        names = dict.fromkeys(finding["model"] for finding in findings)
        print(json.dumps({"models": [{"name": name, "ok": name not in wrong} for name in names], "tests": findings}))
        return 1 if failed else 0
    for finding in (finding for finding in findings if not finding["ok"]):
        what = f"{finding['test']} {finding['column']}".strip()
        said = f", such as {sentence(finding['said'])}" if finding["said"] else ""
        print(f"{finding['severity']:<6} {finding['model']:<36} {what}: {finding['found']:,} wrong{said}")
    models = len({finding["model"] for finding in findings})
    print(f"{len(findings):,} tests of {models:,} models, {len(failed):,} failed")
    return 1 if failed else 0


def _export_dbt(arguments: argparse.Namespace) -> int:
    settings, target = settings_of(arguments), Path(_one(arguments, "DIR"))
    written = dbt_project.export(target, variables={"timezone": settings.reports.timezone})
    if arguments.json:
        print(json.dumps({"models": written, "folder": str(target), "settings": settings.told_by}))
    else:
        print(f"by {settings.told_by}: {written} models in {target}")
        print(f"build them: cd {target} && CLICKHOUSE_HOST=... CLICKHOUSE_PORT=8123 dbt build --profiles-dir .")
    return 0
