"""Objects as files below a folder, by worker threads: a put is a file beside the one it becomes, then a rename."""

import errno
import fcntl
import itertools
import os
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import IO, ParamSpec, TypeVar

import trio

from gcc import threads
from gcc.channels.objects import CHUNK_BYTES, checked, missing, pieces
from gcc.errors import GccError, Permanent, Transient

P = ParamSpec("P")
T = TypeVar("T")

CLEANUP_S = 5.0
"""How long a failed put may take to remove its temporary file, shielded."""


class FolderObjects:
    """Objects as files below `root`. File work runs in threads. `fsync`: a put survives a power loss."""

    def __init__(self, root: Path, *, fsync: bool = False) -> None:
        self._root = root
        self._fsync = fsync

    async def put(self, key: str, data: bytes | AsyncIterable[bytes]) -> int:
        path = self._root / checked(key)
        size = 0
        async with AsyncExitStack() as stack:
            if aclose := getattr(data, "aclose", None):
                stack.push_async_callback(aclose)
            file = await _in_thread(key, _create, path.parent)
            try:
                async for chunk in pieces(data):
                    size += await _in_thread(key, file.write, chunk)
                await _in_thread(key, _commit, file, path, self._fsync)
            except BaseException:
                with trio.move_on_after(CLEANUP_S, shield=True), suppress(GccError):  # what came before counts
                    await _in_thread(key, _discard, file)
                raise
        return size

    async def get(self, key: str) -> AsyncGenerator[bytes, None]:
        file = await _in_thread(key, open, self._root / checked(key), "rb")
        with file:
            while chunk := await _in_thread(key, file.read, CHUNK_BYTES):
                yield chunk

    async def read(self, key: str, start: int = 0, size: int | None = None) -> bytes:
        return await _in_thread(key, _read, self._root / checked(key), start, size)

    async def delete(self, key: str) -> None:
        path = self._root / checked(key)
        await _in_thread(key, lambda: path.unlink(missing_ok=True))

    async def link(self, key: str, *, good_s: int, name: str, media_type: str) -> str | None:
        checked(key)
        return None

    async def keys(self, prefix: str) -> list[str]:
        folder = prefix.rpartition("/")[0]
        top = self._root / checked(folder) if folder else self._root
        found = await _in_thread(prefix, _walk, self._root, top)
        return sorted(key for key in found if key.startswith(prefix))


async def _in_thread(key: str, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """One piece of file work; not interrupted midway. OSErrors leave as ours, naming the key."""
    try:
        with threads.needed(f"object {key[:200]}"):
            return await trio.to_thread.run_sync(lambda: work(*args, **kwargs))
    except FileNotFoundError as error:
        raise missing(key) from error
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise Permanent(f"object {key}: a part of the key is a file where a folder is due, or a folder") from error
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise Permanent(f"object {key[:200]}...: the key is too long") from error
        raise Transient(f"object {key[:200]}: {error.strerror}") from error


def _create(folder: Path) -> IO[bytes]:
    """A file beside the one it will become, hidden by its dot, and locked; one that a killed process has left is used
    again: they would fill the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in itertools.count():
        file = (folder / f".{number}.part").open("ab")
        if _is_ours(file):
            file.truncate(0)
            return file
        file.close()
    raise AssertionError("counting ended")


def _is_ours(file: IO[bytes]) -> bool:
    """Lock it, unless somebody writes it, or has made an object of it meanwhile."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.stat(file.name), os.fstat(file.fileno()))
    except (BlockingIOError, FileNotFoundError):
        return False


def _read(path: Path, start: int, size: int | None) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(-1 if size is None else size)


def _commit(file: IO[bytes], path: Path, fsync: bool) -> None:
    file.flush()
    if fsync:
        os.fsync(file.fileno())
    os.replace(file.name, path)
    file.close()  # and unlock it: under its old name nobody finds it any more
    if fsync:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _discard(file: IO[bytes]) -> None:
    try:
        Path(file.name).unlink(missing_ok=True)
    finally:
        file.close()


def _walk(root: Path, top: Path) -> list[str]:
    found: list[str] = []
    for folder, _, names in os.walk(top):
        place = Path(folder).relative_to(root)
        found += ((place / name).as_posix() for name in names if not name.startswith("."))
    return found
