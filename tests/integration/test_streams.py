"""A platform whose standard streams are closed, full or without a reader runs as any other, and drains."""

import os
from pathlib import Path

import pytest

from tests.clusters import started_before
from tests.process import Status, launched

NO_READER = ""
SMALL = ("world.enabled=false", 'roles=["relay"]')


async def ready(status: Status) -> bool:
    return bool(status["state"] == "ready")


def standard(pid: int) -> list[str]:
    """What descriptors 0, 1 and 2 of a process lead to."""
    return [os.readlink(f"/proc/{pid}/fd/{number}") for number in range(3)]


@pytest.mark.parametrize(
    "streams", [NO_READER, ">/dev/full", ">/dev/full 2>/dev/full", ">&-", ">&- 2>&-", "<&- >&- 2>&-"]
)
async def test_it_runs_on_without_a_place_for_its_words(tmp_path: Path, streams: str) -> None:
    async with launched(await started_before(tmp_path), *SMALL, streams=streams) as launch:
        if streams == NO_READER:
            assert launch.process.stdout is not None
            await launch.process.stdout.aclose()
        running = await launch.reachable()
        await running.until(ready, "ready")
        if ">&-" in streams:
            assert standard(running.process.pid)[1] == "/dev/null"
            assert not [place for place in standard(running.process.pid) if place.startswith("socket:")]
        assert await running.stop() == 0
        assert "Traceback" not in launch.log.read_text()


@pytest.mark.parametrize("wrong", ["ops.prot=1", "postgres.url=postgresql://127.0.0.1:1/x?port=a"])
@pytest.mark.parametrize("streams", ["2>/dev/full", ">&- 2>&-"])
async def test_a_refusal_that_cannot_be_told_is_one_by_its_exit_code(tmp_path: Path, wrong: str, streams: str) -> None:
    async with launched(tmp_path, wrong, streams=streams) as launch:
        assert (await launch.ended())[0] == 2
