"""The data folder of a real platform: nobody else can read it, and what others planted in theirs stays as it is."""

import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest
import trio

from tests.process import command, launched, platform, verb

SMALL = ("world.creators=2", "world.history_days=1", "sinker.batch_age_s=0.2")
STRANGER = 4711


def open_to_others(data: Path) -> set[str]:
    """What others might read or enter, could they get so far; the test's own log apart."""
    found = set()
    for folder, folders, files in os.walk(data):
        for path in (Path(folder) / name for name in (*folders, *files)):
            with suppress(FileNotFoundError):  # the stores are at work
                if path.lstat().st_mode & 0o077 and not path.is_symlink() and not path.is_socket():
                    found.add(path.relative_to(data).as_posix())
    return found - {"test.log"}


async def test_nothing_of_a_platform_that_runs_can_be_read_by_others(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o755)  # as made by an earlier version
    async with platform(data, *SMALL) as running:
        answer = await running.client.post(running.running.url + "/api/check", headers=running.running.headers)
        assert answer.status_code == 200
        assert stat.S_IMODE(data.stat().st_mode) == 0o700
        assert open_to_others(data) == set()
        assert {"clickhouse", "postgres", "postgres.lock", "postgres.log", "supervisor.json"} <= set(os.listdir(data))
        assert await running.stop() == 0


async def test_a_folder_has_one_process_also_where_its_stores_are_elsewhere(tmp_path: Path) -> None:
    """The second one is refused before it writes: the first is still found."""
    data = tmp_path / "data"
    elsewhere = ("postgres.url=postgresql://127.0.0.1:1/gcc", 'roles=["relay"]')  # where nobody answers: waited for
    async with launched(data, *elsewhere) as launch:
        running = await launch.reachable()
        registry = (data / "supervisor.json").read_text()
        code, _, stderr = await verb("run", data, settings=elsewhere)
        refusal = f"gcc: data folder {data} is in use by process {running.process.pid}; stop it or choose another"
        assert (code, stderr.splitlines()[-1]) == (2, refusal)
        assert (data / "supervisor.json").read_text() == registry
        assert await running.stop() == 0


@pytest.mark.parametrize(
    "bytes_max", [0, 60]
)  # of a file: none, or so many that the lock has room and what comes next has not
async def test_a_disk_that_is_full_is_one_sentence(tmp_path: Path, bytes_max: int) -> None:
    elsewhere = ("postgres.url=postgresql://127.0.0.1:1/gcc", 'roles=["relay"]')
    words = ["prlimit", f"--fsize={bytes_max}", *command("run", tmp_path / "data", settings=elsewhere)]
    with trio.fail_after(60):
        done = await trio.run_process(words, capture_stdout=True, capture_stderr=True, check=False)
    refusal = f"gcc: data_dir {tmp_path / 'data'} is not writable: File too large; choose another with --data"
    assert (done.returncode, done.stderr.decode().splitlines()[-1]) == (2, refusal)
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can plant what belongs to another user")
async def test_root_overwrites_nothing_by_links_in_the_folder_of_another_user(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in ("postgres.lock", "postgres.log"):
        (tmp_path / name).write_text("mine")
        (data / name).symlink_to(tmp_path / name)
        os.chown(data / name, STRANGER, STRANGER, follow_symlinks=False)
    os.chown(data, STRANGER, STRANGER)
    for name in ("run", "check"):
        with trio.fail_after(60):
            done = await trio.run_process(command(name, data), capture_stdout=True, capture_stderr=True, check=False)
        (data / "postgres").mkdir(exist_ok=True)  # for check: there has been a platform
        refusal = f"gcc: data_dir {data} belongs to user {STRANGER}; run as that user, or choose another with --data"
        assert (done.returncode, done.stderr.decode().splitlines()[-1]) == (2, refusal)
        assert [(tmp_path / file).read_text() for file in ("postgres.lock", "postgres.log")] == ["mine", "mine"]
