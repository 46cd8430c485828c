"""A server as a direct child of this process, which ends when we do, in whatever way we end.

The kernel sends SIGKILL to the child when the *thread* that started it dies (`setpriv --pdeathsig`): start it in the
main thread. Nothing in it outlives a run, so stopping is SIGKILL as well, and takes milliseconds.
"""

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import trio

POLL_S = 0.02
ENDED_S = 10.0
FRESH_S = 60.0
"""A folder gets its lock a moment after it is made; a younger one is left alone."""


class Missing(Exception):
    """A program that a server needs is not installed; the message is for people and names the package."""


class Failed(Exception):
    """A server did not start, or ended; the message holds the end of its log."""


class Child:
    """One process in a session of its own, so that Ctrl-C reaches only us. Its output goes to the end of `log`."""

    def __init__(self, command: Sequence[str], log: Path, env: Mapping[str, str]) -> None:
        """Raises Missing without setpriv."""
        self.name = Path(command[0]).name
        setpriv = program("setpriv", package="util-linux")
        self._log = log
        with log.open("ab") as output:
            self._log_start = output.tell()
            self._process = subprocess.Popen(
                [setpriv, "--pdeathsig", "KILL", "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=log.parent,
                env=dict(env),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL to it and to what it started; returns when it is gone."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(ENDED_S)

    async def until(self, ready: Callable[[], bool], patience_s: float) -> None:
        """Wait for `ready()`, a quick look. Failed when the process ends first or the patience does."""
        with trio.move_on_after(patience_s):
            while self.alive:
                if ready():
                    return
                await trio.sleep(POLL_S)
            raise Failed(f"{self.name} ended with code {self._process.returncode}: {self.last_words()}")
        raise Failed(f"{self.name} does not answer after {patience_s:g} s: {self.last_words()}")

    def last_words(self) -> str:
        with self._log.open("rb") as log:
            log.seek(max(self._log_start, self._log.stat().st_size - 4096))
            return " | ".join(log.read().decode(errors="replace").splitlines()[-10:])


class PrivateFolder:
    """A folder of ours below the temporary one. What owners that were killed left is removed by the next who comes."""

    def __init__(self, name: str) -> None:
        for folder in Path(tempfile.gettempdir()).glob(f"gcc-private-{name}-*"):
            with suppress(OSError):  # of somebody else, or gone meanwhile
                if time.time() - folder.stat().st_mtime > FRESH_S and (held := _locked(folder)) is not None:
                    shutil.rmtree(folder, ignore_errors=True)
                    os.close(held)
        self.path = Path(tempfile.mkdtemp(prefix=f"gcc-private-{name}-"))
        self._held = _locked(self.path)

    def close(self) -> None:
        """Remove it."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._held is not None:
            os.close(self._held)
            self._held = None


def _locked(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock until it is closed or we die; None where another has it."""
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        return None
    return held


class ReservedPort:
    """A free port of 127.0.0.1 that stays ours while its server is down: bound by us, never listened on.

    The kernel gives a bound port to nobody who asks for any, yet a server that asks for this one may have it, since
    both sides set SO_REUSEADDR (as servers do).
    """

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]

    def listening(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.number)) == 0

    def close(self) -> None:
        self._socket.close()


def program(name: str, *, package: str, beside: str = "") -> str:
    """Its path: below the folder `beside` where it is there, else on the PATH. Raises Missing."""
    found = shutil.which(name, path=beside) if beside else None
    found = found or shutil.which(name, path=os.environ.get("PATH", os.defpath) + ":/usr/sbin")
    if found is None:
        raise Missing(f"{name} is not installed; apt-get install {package}")
    return found
