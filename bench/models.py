"""How long models take, and how much memory: `python -m bench.models`. 500,000 profiles x 90 days, 6M posts.

What they are built from is made once, and kept in a folder for some days (bench.models_data). All models are built
whole, as the platform builds them: two at a time, a thread each, with their tests; parts are merged afterwards, which
is told apart. Then comes what 15 minutes bring (a profile in 96, with its posts): core models are built, which are the
incremental figure, and then all the others.

Each model: seconds, of which for its tests; rows; peak memory as the engine tells it (of what took less than 0.25 s
nobody knows); and what of its seconds was neither its SELECT nor its tests. `cpu_s` is of the process with the engine's
threads: on a machine that others use it tells more than the seconds. `peak_mb` is its resident memory.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trio

from bench import models_data
from bench.proc import cpu_s, rss_mb
from gcc.actors.modelled import Model, ModelRun
from gcc.actors.transformer import Transformer
from gcc.clock import SystemClock
from gcc.config import Settings
from gcc.pipelines.analytics import models
from gcc.pipelines.analytics.model_tests import ModelTests
from gcc.statements import SQL
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.clickhouse_clients import Builds
from gcc.supervisor.lifecycle import Board

LOOK_S = 0.1
MERGES_AGAIN_S = 30.0
"""After one merge the next is chosen within this time."""
BUILT_LONG_AGO = """
insert into dbt.model_run select * replace (now64(6, 'UTC') + interval 5 minute as started_at) from dbt.model_run
"""
"""Watermarks look five minutes back: what was built whole a moment ago would be built again as changed."""


class Tested(ModelTests):
    """The tests, and how long those of each model took."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.seconds: dict[str, float] = {}

    async def of_build(self, run_id: Any, model: Model, table: str, **named: Any) -> None:
        began = time.perf_counter()
        try:
            await super().of_build(run_id, model, table, **named)
        finally:
            self.seconds[model.name] = time.perf_counter() - began


class Timed:
    """Runs of models, with what the process took meanwhile."""

    def __init__(self, transformer: Transformer, tests: Tested) -> None:
        self._transformer = transformer
        self._tests = tests
        self.peak_mb = 0.0

    async def run(self, select: Sequence[str] = ()) -> tuple[list[ModelRun], dict[str, float], float, float]:
        """What became of each model, seconds of its tests, and of all the seconds and the CPU's."""
        pid = os.getpid()
        self._tests.seconds.clear()
        began, cpu_began = time.perf_counter(), cpu_s(pid)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, pid)
            runs = await self._transformer.run_models(select)
            nursery.cancel_scope.cancel()
        for run in runs:
            if not run.ok:
                print(f"FAILED {run.error}", flush=True)
        return runs, {**self._tests.seconds}, time.perf_counter() - began, cpu_s(pid) - cpu_began

    async def _watch(self, pid: int) -> None:
        while True:
            self.peak_mb = max(self.peak_mb, rss_mb(pid))
            await trio.sleep(LOOK_S)


async def bench(folder: Path, settings: Settings, only: Sequence[str], *, with_tests: bool) -> dict[str, Any]:
    clock, zone, analytics = SystemClock(), settings.reports.timezone, settings.analytics
    builds = Builds(
        analytics.model_threads,
        analytics.query_threads,
        analytics.model_memory_mb,
        analytics.model_spill_mb,
        analytics.model_s_max,
    )
    store = ClickHouse(folder, writers=1, readers=2, query_s_max=600, fsync=False, builds=builds)
    await store.open()
    await store.migrate(SQL / "clickhouse")  # what came later than the folder
    graph = models.read(variables={"timezone": zone})
    tests = Tested(store.builders, graph, clock, zone=zone)
    transformer = Transformer(
        store.builders,
        graph,
        Board(clock.now).actor("models"),
        clock,
        zone=zone,
        threads=analytics.model_threads,
        tests=tests if with_tests else None,
    )
    timed = Timed(transformer, tests)
    whole, whole_tests, models_s, models_cpu_s = await timed.run(only)
    print(f"whole: {models_s:.1f} s, {models_cpu_s:.1f} s of CPU", flush=True)
    tell(whole, whole_tests)
    merged_cpu_s = await merged(store)
    await store.builders.command(BUILT_LONG_AGO)
    for statement in models_data.changes(1):
        await store.builders.command(statement)
    core, core_tests, core_s, core_cpu_s = await timed.run(only or ["tag:core"])
    print(f"core, 15 minutes' changes: {core_s:.1f} s, {core_cpu_s:.1f} s of CPU", flush=True)
    tell(core, core_tests)
    known = {run.model for run in core}
    rest, rest_tests, rest_s, rest_cpu_s = await timed.run([m.name for m in graph if m.name not in known] or only)
    print(f"the others: {rest_s:.1f} s, {rest_cpu_s:.1f} s of CPU", flush=True)
    tell(rest, rest_tests)
    await store.aclose()
    built = [run.overhead_s for run in (*core, *rest) if run.seconds]
    return {
        "models_s": round(models_s, 1),
        "models_cpu_s": round(models_cpu_s, 1),
        "merged_cpu_s": round(merged_cpu_s, 1),
        "tests_s": round(sum(whole_tests.values()), 1),
        "incremental_s": round(core_s, 1),
        "incremental_cpu_s": round(core_cpu_s, 1),
        "others_s": round(rest_s, 1),
        "overhead_ms": round(statistics.fmean(built) * 1000, 1),
        "peak_mb": round(timed.peak_mb),
    }


async def merged(store: ClickHouse) -> float:
    """Wait until what was built is merged; seconds of CPU. What comes in while it lasts takes turns with it."""
    began, cpu_began = time.perf_counter(), cpu_s(os.getpid())
    idle_since = trio.current_time()
    while trio.current_time() - idle_since < MERGES_AGAIN_S:
        await trio.sleep(LOOK_S)
        if await store.builders.rows("select 1 from system.merges limit 1"):
            idle_since = trio.current_time()
    took_s, took_cpu_s = time.perf_counter() - began, cpu_s(os.getpid()) - cpu_began
    print(f"merged after the run: {took_s:.1f} s, {took_cpu_s:.1f} s of CPU", flush=True)
    return took_cpu_s


def tell(runs: Sequence[ModelRun], tests: dict[str, float]) -> None:
    print(f"{'':<46}{'s':>8}{'tests s':>9}{'rows':>12}{'peak MB':>9}{'overhead ms':>13}")
    for run in sorted(runs, key=lambda run: -run.seconds):
        if run.seconds or not run.ok:
            print(
                f"{run.model:<46}{run.seconds:8.2f}{tests.get(run.model, 0):9.2f}{run.rows:12,}"
                f"{run.peak_bytes / 2**20:9.0f}{run.overhead_s * 1000:13.1f}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profiles", type=int, default=500_000)
    parser.add_argument("--step-days", type=int, default=1, help="between two snapshots of a profile")
    parser.add_argument("--without-tests", action="store_true", help="do not look at what was built")
    parser.add_argument("models", nargs="*", help="only these, by name or tag:...; they read what is there")
    given = parser.parse_args()
    folder = models_data.cached(given.profiles, given.step_days)
    if not folder.exists():  # in a process of its own: an engine has one folder
        sizes = ["--profiles", str(given.profiles), "--step-days", str(given.step_days)]
        subprocess.run([sys.executable, "-m", "bench.models_data", str(folder), *sizes], check=True)
    with tempfile.TemporaryDirectory(prefix="gcc-bench-", dir=folder.parent) as spare:
        copy = Path(spare) / "clickhouse"
        models_data.linked(folder, copy)
        result = trio.run(lambda: bench(copy, Settings(), given.models, with_tests=not given.without_tests))
    print(json.dumps(result))


if __name__ == "__main__":
    main()
