"""The data folder, and the files that we open in it: ours alone, whoever else works on this machine.

In: a path. Out: the folder, mode 0700, of the user we run as, and of one process at a time (it holds the lock on the
folder's postgres.lock); descriptors of regular files in it, of its owner. A link or another thing that somebody planted
there is refused and left as it is, so that nothing we write lands elsewhere.
ConfigError names the path, what is wrong with it, and the way out.
"""

import errno
import fcntl
import os
import pwd
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from gcc.errors import ConfigError

OTHERS = 0o077
"""What everybody but the owner may do."""
LOCK_S = 2.0
"""A process with much memory takes a moment to die of kill -9, and so to give up its lock."""

_POLL_S = 0.02
_STORES = ("clickhouse", "objects", "postgres")  # opened by their names, by what knows nothing of this
_ANOTHER = "choose another with --data"
_REFUSED = {
    errno.ELOOP: "is a symbolic link",
    errno.EISDIR: "is a folder",
    errno.ENXIO: "is no regular file",  # a pipe or socket that nobody reads
}


def make(folder: Path) -> None:
    """Create the data folder, or close one of ours to everybody else."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
        if found.st_uid != os.geteuid():
            raise ConfigError(f"data_dir {folder} belongs to {name_of(found.st_uid)}; run as that user, or {_ANOTHER}")
        for path in (folder, *(folder / store for store in _STORES)):
            _refuse_planted(path)
        if found.st_mode & OTHERS:
            _close(folder, found)
    except OSError as error:
        raise unwritable(folder, error) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"data_dir {folder} is not writable; {_ANOTHER}")


def _refuse_planted(path: Path) -> None:
    """What is no folder, or somebody else's. A link may lead to another disk: ours or root's is followed."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    servers = path.name == "postgres" and stat.S_ISDIR(found.st_mode)  # who is asked for its owner at its start
    if found.st_uid not in (os.geteuid(), 0) and not servers:
        raise planted(path, f"belongs to {name_of(found.st_uid)}")
    if not path.is_dir():
        raise planted(path, "is no folder, nor a link to one")


def _close(folder: Path, found: os.stat_result) -> None:
    """Take it from the others, unless they need it for something else: it was a slip to name /tmp or /var."""
    more = sorted(
        path.name
        for path in folder.iterdir()
        if path.is_dir() and path.name not in (*_STORES, "lost+found") and not path.name.startswith("postgres.new-")
    )
    if more or found.st_mode & stat.S_ISVTX:
        holds = f" and holds {more[0]!r}, which is not ours" if more else ""
        raise ConfigError(f"data_dir {folder} is open to other users{holds}; {_ANOTHER}, such as {folder / 'gcc'}")
    folder.chmod(0o700)


def opened(file: Path, flags: int) -> int:
    """A descriptor of a regular file with one name, of the folder's owner; O_CREAT makes it 0600.

    Raises ConfigError for anything else, FileNotFoundError and other OSErrors as os.open does. Without O_TRUNC.
    """
    try:
        # Nonblocking: of a pipe, nobody writes to. A regular file does not mind.
        fd = os.open(file, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in _REFUSED:
            raise planted(file, _REFUSED[error.errno]) from None
        raise
    found = os.fstat(fd)
    wrong = None
    if not stat.S_ISREG(found.st_mode):
        wrong = "is no regular file"
    elif found.st_uid != file.parent.stat().st_uid:
        wrong = f"belongs to {name_of(found.st_uid)}"
    elif found.st_nlink > 1:
        wrong = "has a second name (a hard link)"
    if wrong:
        os.close(fd)
        raise planted(file, wrong)
    return fd


@asynccontextmanager
async def owned(folder: Path) -> AsyncIterator[None]:
    """Make the folder and hold its lock. The kernel frees it when this process dies; no child inherits it."""
    make(folder)
    try:
        fd = opened(folder / "postgres.lock", os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        patience = trio.current_time() + LOCK_S
        while not _locked(fd):
            if trio.current_time() > patience:
                pid = os.pread(fd, 32, 0).decode().strip() or "unknown"
                raise ConfigError(f"data folder {folder} is in use by process {pid}; stop it or choose another")
            await trio.sleep(_POLL_S)
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            raise unwritable(folder, error) from error
        yield
    finally:
        os.close(fd)


def unwritable(folder: Path, error: OSError) -> ConfigError:
    return ConfigError(f"data_dir {folder} is not writable: {error.strerror}; {_ANOTHER}")


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def planted(file: Path, wrong: str) -> ConfigError:
    return ConfigError(f"{file} {wrong}: somebody may have planted it; look at it and remove it, or {_ANOTHER}")


def name_of(uid: int) -> str:
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"
