"""What things are done to: the processes of one data folder, and the disk that the folder stands on.

A disk of a size of ours is a small tmpfs, in a mount namespace of this process: whatever becomes of us,
the mount is gone with the last process that uses it. That needs root.
"""

import ctypes
import os
import signal
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import psycopg
import trio

from gcc.channels.message import FRAME_EVENTS_MAX

CLONE_NEWNS = 0x20000
DISK_BYTES = 2 << 30  # a limit: memory is used only for what stands there
FILL_FROM_BYTES = 512 << 20
FILL_BYTES_PER_S = 200 << 20  # not at once: see gcc/stores/clickhouse_room.py
SQUEEZE_S = 0.1
SERVERS_END_S = 30.0


def postgres_processes(data: Path) -> dict[int, str]:
    """pid -> title of every live process of the folder's server; its working directory tells it."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (folder / "cwd").readlink() == data / "postgres":
                found[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return found


def postmaster(data: Path) -> int | None:
    """The server's first process, None when there is none."""
    with suppress(OSError, ValueError):
        pid = int((data / "postgres" / "postmaster.pid").read_text().partition("\n")[0])
        if pid in postgres_processes(data):
            return pid
    return None


def backends(data: Path) -> list[int]:
    """The processes that serve connections."""
    return sorted(pid for pid, title in postgres_processes(data).items() if "[local]" in title)


def tell(pid: int, number: signal.Signals) -> bool:
    """False when the process is gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def workers_of(pid: int) -> list[int]:
    """The processes that score for it."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and b"spawn_main" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return sorted(found)


def ask(conninfo: str, creator: str, count: int) -> None:
    """Put questions about so many followers of a creator into the outbox, as any producer may."""
    line = f'{{"profile_id":"{creator}","follower_handle":"asha_%d","follower_full_name":"Asha Rao"}}'
    starts = range(0, count, FRAME_EVENTS_MAX)
    told = [[line % number for number in range(begin, min(begin + FRAME_EVENTS_MAX, count))] for begin in starts]
    statement = (
        "insert into outbox (frame_id, exchange, routing_key, events, body, counted)"
        " values (%s, 'beat.dx', 'creator_follower_in', %s, %s, 0)"
    )
    with psycopg.connect(conninfo) as connection, connection.cursor() as cursor:
        cursor.executemany(statement, [(uuid.uuid4(), len(lines), "\n".join(lines).encode()) for lines in told])


async def end_servers(data: Path) -> list[str]:
    """Wait until no server is left on the folder; kill what is, and name it: it should have ended with its owner."""
    with trio.CancelScope(shield=True):
        for pid in postgres_processes(data):
            tell(pid, signal.SIGCONT)
        with trio.move_on_after(SERVERS_END_S):
            while postgres_processes(data):  # noqa: ASYNC110 (nobody tells)
                await trio.sleep(SQUEEZE_S)
        left = postgres_processes(data)
        while found := postgres_processes(data):
            for pid in found:
                tell(pid, signal.SIGKILL)
            await trio.sleep(SQUEEZE_S)
    return list(left.values())


class Disk:
    """The tmpfs under a folder. Full means that its limit is what it holds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def resize(self, size_bytes: int) -> bool:
        """False when it holds more than that by now."""
        command = ["mount", "-o", f"remount,size={size_bytes}", str(self._folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    @property
    def used_bytes(self) -> int:
        found = os.statvfs(self._folder)
        return (found.f_blocks - found.f_bfree) * found.f_frsize

    @asynccontextmanager
    async def full(self) -> AsyncIterator[None]:
        """Fill it within some seconds, as disks do, and keep it full: what is deleted meanwhile makes no room."""
        left = FILL_FROM_BYTES
        async with trio.open_nursery() as nursery:

            async def keep_full() -> None:
                while True:
                    self.resize(self.used_bytes)
                    await trio.sleep(SQUEEZE_S)

            try:
                while left > 0:
                    self.resize(self.used_bytes + left)
                    await trio.sleep(SQUEEZE_S)
                    left -= int(FILL_BYTES_PER_S * SQUEEZE_S)
                nursery.start_soon(keep_full)
                yield
            finally:
                nursery.cancel_scope.cancel()
                if not self.resize(DISK_BYTES):
                    raise OSError(f"{self._folder} stays full")


@contextmanager
def disk_at(folder: Path) -> Iterator[Disk | str]:
    """A small disk mounted at `folder`, or why there is none: then the folder stands where it is."""
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0:
        yield "only root can mount a small disk"
        return
    if libc.unshare(CLONE_NEWNS) != 0:
        yield f"no mount namespace: {os.strerror(ctypes.get_errno())}"
        return
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    options = f"size={DISK_BYTES},mode=0755"
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "gcc-torture", str(folder)], capture_output=True, text=True, check=False
    )
    if made.returncode != 0:
        yield made.stderr.strip()
        return
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
