"""A short torture, the same one each time, all of it under load.

A stop, the clients that nobody wishes for, dead workers, a dead database, a full disk, a drain and a kill; and on
RabbitMQ a dead broker and dead workers.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import trio

ROOT = Path(__file__).parents[2]
ACTS = ("stop", "abuse", "kill_workers", "kill_postmaster", "full_disk", "terminate", "kill")
ON_RABBITMQ = ("kill_broker", "kill_workers")
SEED = 31
BOUND_S = 400  # generous: the machine may be busy


async def test_a_short_torture_ends_well() -> None:
    said, report = await tortured("tests.torture", "--seed", str(SEED), "--acts", *ACTS, bound_s=BOUND_S)
    assert (report["missing"], report["doubled"], report["dead_lettered"]) == (0, 0, 0)
    assert report["checks"] >= 1
    assert {*ACTS} - {"full_disk"} <= {*report["acts"]}
    assert "full_disk" in report["acts"] or "no full disk: " in said


async def test_workers_die_on_rabbitmq_and_all_is_well() -> None:
    """Every follower that was asked about is scored."""
    words = ("--rabbitmq", "--seed", str(SEED), "--acts", *ON_RABBITMQ)
    _, report = await tortured("tests.torture", *words, bound_s=BOUND_S)
    assert (report["missing"], report["doubled"], report["dead_lettered"]) == (0, 0, 0)
    assert {*ON_RABBITMQ} <= {*report["acts"]}


async def tortured(module: str, *words: str, bound_s: float) -> tuple[str, dict[str, Any]]:
    """What it said, and its report, of one that ended well."""
    with trio.fail_after(bound_s):
        # A process of its own: it starts servers in its main thread, and may move into a mount namespace. Cancelled, it
        # gets SIGTERM and cleans up.
        done = await trio.run_process(
            [sys.executable, "-m", module, *words], capture_stdout=True, stderr=subprocess.STDOUT, check=False,
            cwd=ROOT, deliver_cancel=lambda process: terminated(process),
        )  # fmt: skip
    said = done.stdout.decode()
    report = json.loads(said.splitlines()[-1])
    assert (done.returncode, report["failures"]) == (0, []), said
    return said, report


async def terminated(process: trio.Process) -> None:
    """Let it end its platform, its servers and its mount."""
    process.terminate()
    with trio.move_on_after(60):
        await process.wait()
    process.kill()
