"""What bench.models builds from: `python -m bench.models_data FOLDER --profiles N` makes it inside the embedded engine.

In: how many profiles. Out: a folder of the engine, migrated, with daily snapshots of 90 days and 12 posts of each, and
as much of the other sources as gives every model rows; seven of ten profiles are Instagram's. A folder is good while it
is young: models look back from now. Half made, it is not there: it is renamed when all is.
"""

import argparse
import datetime as dt
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import trio

from gcc import statements
from gcc.statements import SQL
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.clickhouse_clients import Builds

DAYS = 90
AGE_DAYS_MAX = 2.5
"""Growth over a week asks for a value of the last three days."""
CHANGED = ("changed_profiles", "changed_posts")
"""Statements that belong to the bench: what comes in while models stand."""

_SQL = statements.load("models_data", Path(__file__).parent)
_DAYS_AT_ONCE = 30  # of snapshots, so that an insert touches few partitions


def cached(profiles: int, step_days: int) -> Path:
    """The folder of so many profiles, whether it is there or not; one that is old is removed."""
    folder = Path(tempfile.gettempdir()) / f"gcc-bench-models-{profiles}-{step_days}"
    if folder.exists() and time.time() - folder.stat().st_ctime > AGE_DAYS_MAX * 86400:
        shutil.rmtree(folder)
    return folder


def linked(folder: Path, copy: Path) -> None:
    """A copy that may be changed: parts are never written to, so that links to them do."""

    def link_or_copy(source: str, target: str) -> str:
        if source.endswith((".bin", ".mrk", ".mrk2", ".cmrk", ".cmrk2", ".idx", ".cidx")):
            os.link(source, target)
        else:
            shutil.copy2(source, target)
        return target

    shutil.copytree(folder, copy, copy_function=link_or_copy, symlinks=True)


async def make(folder: Path, profiles: int, step_days: int) -> None:
    """In this process, which has no other engine."""
    half = folder.with_name(f"{folder.name}.half")
    if half.exists():
        shutil.rmtree(half)
    builds = Builds(at_once=1, threads=2, memory_mb=6000, spill_mb=3000, query_s_max=3600)
    store = ClickHouse(half, writers=1, readers=1, query_s_max=3600, fsync=False, builds=builds)
    await store.open()
    await store.migrate(SQL / "clickhouse")
    values = {"profiles": profiles, "now": dt.datetime.now(dt.UTC).replace(microsecond=0)}
    for name, statement in _SQL.items():
        if name in CHANGED:
            continue
        began = time.perf_counter()
        spans = range(0, DAYS, _DAYS_AT_ONCE) if name == "profile_log" else [0]
        for first in spans:
            span = {"first": first, "end": min(first + _DAYS_AT_ONCE, DAYS), "step": step_days}
            used = {key: value for key, value in {**values, **span}.items() if f"{{{key}:" in statement}
            await store.builders.command(statement, used)
        print(f"{name:<26}{time.perf_counter() - began:7.1f} s", file=sys.stderr, flush=True)
    began = time.perf_counter()
    for table in ("`_e`.profile_log_events", "`_e`.post_log_events"):
        await store.builders.command(f"optimize table {table} final")
    for table in ("bench_profile", "bench_post"):
        await store.builders.command(f"drop table default.{table} sync")
    print(f"{'merged':<26}{time.perf_counter() - began:7.1f} s", file=sys.stderr, flush=True)
    await store.aclose()
    half.rename(folder)


def changes(part: int) -> list[str]:
    """The statements of 15 minutes' changes; another part of the profiles each time, of 0 to 95."""
    return [_SQL[name].replace("{part:UInt8}", str(part)) for name in CHANGED]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--profiles", type=int, required=True)
    parser.add_argument("--step-days", type=int, default=1, help="between two snapshots of a profile")
    given = parser.parse_args()
    trio.run(make, given.folder, given.profiles, given.step_days)


if __name__ == "__main__":
    main()
