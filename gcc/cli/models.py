"""`models export-dbt DIR`: the SQL models as a project for dbt, as these settings have them. Nothing needs to run."""

import argparse
import json
from pathlib import Path

from gcc.cli.client import settings_of
from gcc.errors import ConfigError
from gcc.pipelines.analytics import dbt_project


def main(arguments: argparse.Namespace) -> int:
    return _export_dbt(arguments)


def _export_dbt(arguments: argparse.Namespace) -> int:
    if len(arguments.words) != 1:
        raise ConfigError("models export-dbt needs a folder: models export-dbt DIR")
    settings, target = settings_of(arguments), Path(arguments.words[0])
    written = dbt_project.export(target, variables={"timezone": settings.reports.timezone})
    if arguments.json:
        print(json.dumps({"models": written, "folder": str(target), "settings": settings.told_by}))
    else:
        print(f"by {settings.told_by}: {written} models in {target}")
        print(f"build them: cd {target} && CLICKHOUSE_HOST=... CLICKHOUSE_PORT=8123 dbt build --profiles-dir .")
    return 0
