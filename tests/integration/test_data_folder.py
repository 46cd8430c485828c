"""The data folder of a real platform: nobody else can read it, and what others planted in theirs stays as it is."""

import fcntl
import os
import stat
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import pytest
import trio

from tests.process import Launch, command, launched, platform, verb

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


async def test_no_store_opens_before_the_folder_is_ours(tmp_path: Path) -> None:
    with (tmp_path / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711\n")
        lock.flush()
        code, _, stderr = await verb("run", tmp_path, settings=SMALL)
    refusal = f"gcc: data folder {tmp_path} is in use by process 4711; stop it or choose another"
    assert (code, stderr.splitlines()[-1]) == (2, refusal)
    assert os.listdir(tmp_path) == ["postgres.lock"]


async def test_of_three_starts_at_once_one_wins(tmp_path: Path) -> None:
    data = tmp_path / "data"
    ends: list[tuple[int, str]] = []

    async def lose(launch: Launch) -> None:
        ends.append(await launch.ended())
        if len(ends) == 2:
            nursery.cancel_scope.cancel()

    async with AsyncExitStack() as stack:
        logs = [tmp_path / name for name in "abc"]
        launches = [await stack.enter_async_context(launched(data, *SMALL, log=log)) for log in logs]
        async with trio.open_nursery() as nursery:
            for launch in launches:
                nursery.start_soon(lose, launch)
        (winner,) = [launch for launch in launches if launch.process.returncode is None]
        running = await winner.ready()
        refusal = f"gcc: data folder {data} is in use by process {winner.process.pid}; stop it or choose another"
        assert [(code, stderr.splitlines()[1:]) for code, stderr in ends] == [(2, [refusal])] * 2  # after "starting"
        assert await running.stop() == 0


@pytest.mark.parametrize("name", ["supervisor.json", "supervisor.new", "objects", "postgres", "clickhouse"])
async def test_what_is_in_the_place_of_ours_is_one_sentence(tmp_path: Path, name: str) -> None:
    """A folder for a file, a file for a folder."""
    of_file = name.startswith("supervisor")
    (tmp_path / name).mkdir() if of_file else (tmp_path / name).touch()
    code, _, stderr = await verb("run", tmp_path, settings=SMALL)
    wrong = "is a folder" if of_file else "is no folder, nor a link to one"
    refusal = f"gcc: {tmp_path / name} {wrong}: somebody may have planted it; look at it and remove it, or choose"
    assert (code, stderr.splitlines()[-1]) == (2, refusal + " another with --data")
    assert "Traceback" not in stderr
    assert (tmp_path / name).exists()
    assert not [left for left in os.listdir(tmp_path) if ".new" in left and left != name]


@pytest.mark.parametrize("name", ["doctor", "check"])
async def test_what_opens_the_files_of_a_stopped_platform_holds_its_lock(tmp_path: Path, name: str) -> None:
    (tmp_path / "clickhouse").mkdir()
    elsewhere = ("postgres.url=postgresql://127.0.0.1:1/gcc",)
    with (tmp_path / "postgres.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, report, stderr = await verb(name, tmp_path, settings=elsewhere)
    assert "is in use by process" in (str(report) if name == "doctor" else stderr)
    assert code == (1 if name == "doctor" else 2)
    assert os.listdir(tmp_path / "clickhouse") == []


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
