"""`models [list]`, as declared where no platform runs; `models show NAME`, `models lineage NAME[.COLUMN]`,
`models run [NAME|tag:TAG ...] [--full]` and `models backfill --from DAY --to DAY [NAME|tag:TAG ...]`: by the running
platform. `models test [NAME ..]`: whether what stands of them is right, by the running platform.
`models export-dbt DIR`: the SQL models as a project for dbt, as these settings have them; nothing needs to run.
"""

import argparse
import datetime as dt
import json
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gcc.cli.client import NotRunning, find, many, printable, sentence, settings_of
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
        print(f"{'model, what it reads before it':<{wide}}  {HEAD}")
        for row in rows:
            print(f"{row['name']:<{wide}}  {_standing(row)}".rstrip())
        states = Counter(row["state"] for row in rows)
        print("; ".join(f"{n:,} {state}{MEANS.get(state, '')}" for state, n in states.items()))
    return 1 if any(row["state"] == "failed" for row in rows) else 0


HEAD = f"{'state':<8}  {'kind':<11}  {'last build':>10}  {'rows':>12}  as of, UTC"
MEANS = {
    "outdated": " (its text, or that of what it reads, has changed since it was built)",
    "unbuilt": " (not built yet: its schedule has not run)",
    "failed": " (the last build; models show NAME tells why)",
}


def _standing(row: dict[str, Any]) -> str:
    seconds = "" if row["seconds"] is None else f"{row['seconds']:.2f} s"
    rows = "" if row["rows"] is None or row["materialized"] == "view" else f"{row['rows']:,}"
    fresh = (row["fresh_at"] or "-")[:16].replace("T", " ")
    error = sentence(row["error"]) if row["error"] else ""
    return f"{row['state']:<8}  {row['materialized']:<11}  {seconds:>10}  {rows:>12}  {fresh:<16}  {error}"


def _show(arguments: argparse.Namespace) -> int:
    name = _one(arguments, "NAME")
    row = find(arguments).ask("GET", f"/api/models/{quote(name, safe='')}")["data"]
    if arguments.json:
        print(json.dumps({"models": [row]}))
        return 0
    for word, told in _facts(row).items():
        if told:
            print(f"{word:<12} {sentence(told)}")
    for finding in row["findings"]:
        if not finding["ok"]:
            print(_found(finding))
    print(f"\n{printable(row['sql'])}")
    return 0


def _facts(row: dict[str, Any]) -> dict[str, str]:
    """What is known of a model, in words for people; an empty one is not told."""
    kind = " ".join([row["materialized"], *(["by", row["strategy"]] if row["strategy"] else [])])
    tests = row["tests"] or {}
    return {
        "model": f"{row['name']}, tag {', '.join(row['tags'])}",
        "kind": f"{kind} of {row['partition_by']}" if row["partition_by"] else kind,
        "a row a": ", ".join(row["unique_key"]),
        "": row["description"],
        "state": row["state"] + MEANS.get(row["state"], "") + f": {row['error']}" * bool(row["error"]),
        "last build": _built(row),
        "as of": _fresh(row),
        "tests": f"{many(tests['looked'], 'rule')} looked at, {tests['failed']} failed, {tests['warned']} warned"
        if tests
        else "none yet",
        "reads": ", ".join(row["parents"]),
        "is read by": ", ".join(row["children"]),
        "synced as": ", ".join(row["synced"]),
    }


def _built(row: dict[str, Any]) -> str:
    if row["seconds"] is None:
        return "never"
    peak = f", {row['peak_bytes'] / 1e6:,.0f} MB at the peak" if row["peak_bytes"] else ""
    rows = "" if row["materialized"] == "view" else f", {many(row['rows'], 'row')}"
    return f"{row['seconds']:.2f} s{rows}{peak}"


def _fresh(row: dict[str, Any]) -> str:
    if not row["fresh_at"]:
        return ""
    promised = f"; at most {row['age_s_max'] / 60:,.0f} min old" if row["age_s_max"] else ""
    return f"{row['fresh_at'][:16].replace('T', ' ')}Z{promised}{', which it is not' if row['late'] else ''}"


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
        wide = max((len(row["model"]) for row in models), default=0)
        for row in models:
            stands = not row["seconds"] and not row["rows"]
            built = "as it stood" if stands else f"{row['seconds']:>8.2f} s  {many(row['rows'], 'row'):>15}"
            print(f"{row['model']:<{wide}}  {sentence(row['error']) if row.get('error') else built}")
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
        print(_found(finding))
    models = len({finding["model"] for finding in findings})
    print(f"{many(len(findings), 'test')} of {many(models, 'model')}, {len(failed):,} failed")
    return 1 if failed else 0


def _found(finding: dict[str, Any]) -> str:
    what = f"{finding['test']} {finding['column']}".strip()
    said = f", such as {sentence(finding['said'])}" if finding["said"] else ""
    return f"{finding['severity']:<6} {finding['model']:<36} {what}: {finding['found']:,} wrong{said}"


def _export_dbt(arguments: argparse.Namespace) -> int:
    settings, target = settings_of(arguments), Path(_one(arguments, "DIR"))
    written = dbt_project.export(target, variables={"timezone": settings.reports.timezone})
    if arguments.json:
        print(json.dumps({"models": written, "folder": str(target), "settings": settings.told_by}))
    else:
        print(f"by {settings.told_by}: {written} models in {target}")
        print(f"look at them without a server: cd {target} && dbt parse --profiles-dir .")
        print(f"build them: cd {target} && CLICKHOUSE_HOST=... CLICKHOUSE_PORT=8123 dbt build --profiles-dir .")
    return 0
