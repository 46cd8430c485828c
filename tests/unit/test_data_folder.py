"""The data folder is closed to others, and nothing that they planted in it is opened. Real files; some need root."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from gcc.errors import ConfigError
from gcc.stores import data_folder

STRANGER = 4711
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can plant what belongs to another user")


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


def test_a_new_one_is_closed_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        data_folder.make(tmp_path / "new" / "data")
    finally:
        os.umask(before)
    assert mode(tmp_path / "new" / "data") == 0o700


@pytest.mark.parametrize("was", [0o755, 0o750, 0o777, 0o2775, 0o701])
def test_one_of_ours_is_closed(tmp_path: Path, was: int) -> None:
    data = tmp_path / "data"
    for name in ("postgres", "postgres.new-a", "clickhouse", "objects"):
        (data / name).mkdir(parents=True)
    (data / "run.log").touch()
    data.chmod(was)
    data_folder.make(data)
    assert mode(data) & 0o777 == 0o700


def test_what_others_need_is_refused_and_stays_open(tmp_path: Path) -> None:
    """Such as /var instead of var, or /tmp."""
    (tmp_path / "var" / "spool").mkdir(parents=True)
    (tmp_path / "var").chmod(0o755)
    with pytest.raises(
        ConfigError,
        match=r"var is open to other users and holds 'spool', which is not ours; choose .*such as .*var/gcc$",
    ):
        data_folder.make(tmp_path / "var")
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o1777)
    with pytest.raises(ConfigError, match=r"tmp is open to other users; choose"):
        data_folder.make(tmp_path / "tmp")
    assert (mode(tmp_path / "var"), mode(tmp_path / "tmp")) == (0o755, 0o1777)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, why in ((tmp_path / "file", "File exists"), (tmp_path / "file" / "data", "Not a directory")):
        with pytest.raises(ConfigError, match=rf"data_dir {path} is not writable: {why}; choose another with --data"):
            data_folder.make(path)


@only_root
def test_that_of_another_user_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, STRANGER, STRANGER)
    with pytest.raises(ConfigError, match=rf"data_dir {tmp_path} belongs to user {STRANGER}; run as that user, or"):
        data_folder.make(tmp_path)


@only_root
@pytest.mark.parametrize("store", ["clickhouse", "objects", "postgres"])
def test_a_store_that_another_user_planted_is_refused(tmp_path: Path, store: str) -> None:
    target = tmp_path / "target"
    target.mkdir()
    data = tmp_path / "data"
    data.mkdir()
    (data / store).symlink_to(target)
    data_folder.make(data)  # a link of our own may lead to another disk
    os.chown(data / store, STRANGER, STRANGER, follow_symlinks=False)
    with pytest.raises(ConfigError, match=rf"{data / store} belongs to user {STRANGER}: somebody may have planted it"):
        data_folder.make(data)


def link(file: Path, target: Path) -> None:
    file.symlink_to(target)


def dangling(file: Path, target: Path) -> None:
    file.symlink_to(target.with_name("nothing"))


def looped(file: Path, target: Path) -> None:
    file.symlink_to(file)


def hard(file: Path, target: Path) -> None:
    file.hardlink_to(target)


def folder(file: Path, target: Path) -> None:
    file.mkdir()


def pipe(file: Path, target: Path) -> None:
    os.mkfifo(file)


def bound(file: Path, target: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(file))


def foreign(file: Path, target: Path) -> None:
    file.write_text("theirs")
    os.chown(file, STRANGER, STRANGER)


@pytest.mark.parametrize("store", ["clickhouse", "objects", "postgres"])
@pytest.mark.parametrize("plant", [link, dangling, looped, hard, pipe, bound])
def test_a_store_that_is_no_folder_is_refused(tmp_path: Path, store: str, plant: Callable[[Path, Path], None]) -> None:
    data, target = tmp_path / "data", tmp_path / "target"
    data.mkdir(mode=0o700)
    target.write_text("mine")
    plant(data / store, target)
    with pytest.raises(ConfigError, match=rf"{data}/{store} is no folder, nor a link to one.*; look at it and remove"):
        data_folder.make(data)
    assert target.read_text() == "mine"


@only_root
def test_a_link_that_another_user_planted_for_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ours").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "ours")
    data_folder.make(tmp_path / "data")
    (tmp_path / "ours").chmod(0o755)
    os.chown(tmp_path / "data", STRANGER, STRANGER, follow_symlinks=False)
    with pytest.raises(ConfigError, match=rf"{tmp_path}/data belongs to user {STRANGER}: somebody may have planted it"):
        data_folder.make(tmp_path / "data")
    assert mode(tmp_path / "ours") == 0o755


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_APPEND | os.O_CREAT])
@pytest.mark.parametrize(
    ("plant", "told"),
    [
        (link, "is a symbolic link"),
        (dangling, "is a symbolic link"),
        (hard, "has a second name"),
        (folder, "is a folder|is no regular file"),
        (pipe, "is no regular file"),
        (bound, "is no regular file"),
        pytest.param(foreign, f"belongs to user {STRANGER}", marks=only_root),
    ],
)
def test_only_a_regular_file_of_its_owner_is_opened(
    tmp_path: Path, plant: Callable[[Path, Path], None], told: str, flags: int
) -> None:
    data, target = tmp_path / "data", tmp_path / "target"
    data.mkdir()
    target.write_text("mine")
    plant(data / "postgres.log", target)
    with pytest.raises(ConfigError, match=rf"{data}/postgres.log ({told})"):
        data_folder.opened(data / "postgres.log", flags)
    assert target.read_text() == "mine"
    assert sorted(os.listdir(tmp_path)) == ["data", "target"]


def test_a_file_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        data_folder.opened(tmp_path / "postgres.log", os.O_RDONLY)
    with open(data_folder.opened(tmp_path / "postgres.log", os.O_WRONLY | os.O_CREAT), "wb") as file:
        file.write(b"words")
    assert mode(tmp_path / "postgres.log") & 0o077 == 0
    with open(data_folder.opened(tmp_path / "postgres.log", os.O_RDONLY), "rb") as file:
        assert file.read() == b"words"
