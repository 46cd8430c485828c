"""A short torture, the same one each time, all of it under load.

A stop, the clients that nobody wishes for, a dead database, a full disk, a kill and a drain.
"""

import json
import subprocess
import sys
from pathlib import Path

import trio

ROOT = Path(__file__).parents[2]
ACTS = ("stop", "abuse", "kill_postmaster", "full_disk", "kill", "terminate")
SEED = 31
BOUND_S = 400  # generous: the machine may be busy


async def test_a_short_torture_ends_well() -> None:
    command = [sys.executable, "-m", "tests.torture", "--seed", str(SEED), "--acts", *ACTS]
    with trio.fail_after(BOUND_S):
        # A process of its own: it moves into a mount namespace. Cancelled, it gets SIGTERM and cleans up.
        done = await trio.run_process(
            command, capture_stdout=True, stderr=subprocess.STDOUT, check=False, cwd=ROOT,
            deliver_cancel=lambda process: terminated(process),
        )  # fmt: skip
    said = done.stdout.decode()
    report = json.loads(said.splitlines()[-1])
    assert (done.returncode, report["failures"]) == (0, []), said
    assert (report["missing"], report["doubled"], report["dead_lettered"]) == (0, 0, 0)
    assert report["checks"] >= 1
    assert {*ACTS} - {"full_disk"} <= {*report["acts"]}
    assert "full_disk" in report["acts"] or "no full disk: " in said


async def terminated(process: trio.Process) -> None:
    """Let it end its platform, its servers and its mount."""
    process.terminate()
    with trio.move_on_after(60):
        await process.wait()
    process.kill()
