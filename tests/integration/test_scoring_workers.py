"""The processes that score, as they are: killed, hanging, idle, and gone when we are."""

import os
import re
import signal
from pathlib import Path

import pytest
import trio

from gcc.pipelines.scoring.record import Follower
from gcc.pipelines.scoring.scorer import SCORER_VERSION, score_batch
from gcc.pipelines.scoring.workers import WorkerDied, open_workers
from tests.fakes import victims
from tests.fakes.victims import HANGS, KILLS

RAVI = Follower("ravi.kumar", "Ravi Kumar")


def children() -> set[int]:
    """Processes of ours that live, but for the one that cleans up behind them."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            spawned = b"spawn_main" in (stat.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(parent) == os.getpid() and state != "Z" and spawned:
            found.add(int(stat.parent.name))
    return found


def loaded(pid: int) -> set[str]:
    """Packages of which a process has a file that is compiled."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    return set(re.findall(r"site-packages/(\w+)/", maps))


def rss_mb(pid: int) -> int:
    (kb,) = re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    return int(kb) // 1024


async def until_gone(pids: set[int]) -> None:
    with trio.fail_after(30):
        while children() & pids:  # noqa: ASYNC110 - other processes, which tell nobody
            await trio.sleep(0.02)


async def test_a_follower_is_scored_in_another_process_as_here() -> None:
    async with open_workers(1, idle_s=60, slow_s=60) as workers:
        assert await workers.score([RAVI]) == score_batch([RAVI])
        assert (await workers.score([RAVI]))[0].scorer_version == SCORER_VERSION
        (pid,) = children()
        assert not {"psycopg_binary", "chdb", "pydantic_core"} & loaded(pid), "nothing of the platform around it"
        assert rss_mb(pid) < 200
    assert not children() & {pid}


async def test_one_that_is_killed_or_kills_itself_is_told_and_the_next_one_scores() -> None:
    async with open_workers(1, idle_s=60, slow_s=60, score=victims.score) as workers:
        (first,) = await workers.score([RAVI])
        os.kill(int(first.refused or ""), signal.SIGKILL)
        await until_gone({int(first.refused or "")})
        (second,) = await workers.score([RAVI])  # it was idle: nobody had to be told
        assert second.refused != first.refused
        with pytest.raises(WorkerDied, match="exit code -9"):
            await workers.score([RAVI, Follower(f"{KILLS}all", "A")])
        assert len(await workers.score([RAVI, RAVI])) == 2


async def test_one_that_was_killed_while_it_was_idle_hides_no_trouble_of_ours() -> None:
    with trio.fail_after(30), pytest.raises(ZeroDivisionError):
        async with open_workers(1, idle_s=60, slow_s=60, score=victims.score) as workers:
            (first,) = await workers.score([RAVI])
            os.kill(int(first.refused or ""), signal.SIGKILL)
            await until_gone({int(first.refused or "")})
            raise ZeroDivisionError


async def test_it_is_told_whether_anybody_is_scored() -> None:
    async with open_workers(1, idle_s=60, slow_s=60) as workers:
        assert await workers.trouble() is None
    async with open_workers(1, idle_s=60, slow_s=60, score=victims.nobody) as workers:
        assert await workers.trouble() == "the process that scored ended (exit code 137)"


async def test_that_is_told_while_all_processes_have_work_and_more_waits() -> None:
    """Else a batch would be over before it is known, each time."""
    async with open_workers(1, idle_s=60, slow_s=3600, score=victims.score) as workers:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(workers.score, [Follower(f"{HANGS}on", "A")])
            with trio.fail_after(60):
                assert await workers.trouble() is None
            nursery.cancel_scope.cancel()


async def test_one_that_is_slow_is_ended() -> None:
    async with open_workers(1, idle_s=60, slow_s=2.0, score=victims.score) as workers:
        await workers.score([RAVI])
        before = children()
        with pytest.raises(WorkerDied, match="no answer within 2 s") as died:
            await workers.score([Follower(f"{HANGS}on", "A")])
        assert died.value.slow
        assert not children() & before


async def test_no_more_work_at_once_than_there_are_processes_for_and_idle_ones_end() -> None:
    async with open_workers(2, idle_s=0.2, slow_s=60, score=victims.score) as workers:
        pids: set[int] = set()

        async def score() -> None:
            pids.add(int((await workers.score([RAVI] * 100))[0].refused or ""))

        async with trio.open_nursery() as nursery:
            for _ in range(12):
                nursery.start_soon(score)
        assert len(pids) <= 2
        await until_gone(pids)
        assert len(await workers.score([RAVI])) == 1


async def test_who_is_cancelled_leaves_no_process_behind() -> None:
    async with open_workers(1, idle_s=60, slow_s=60, score=victims.score) as workers:
        await workers.score([RAVI])
        (pid,) = children()
        with trio.move_on_after(0.2):
            await workers.score([Follower(f"{HANGS}on", "A")])
        await until_gone({pid})
