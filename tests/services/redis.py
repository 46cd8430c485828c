"""A private Redis: in memory alone, on a free port."""

import os
import signal
from pathlib import Path

from tests.services.child import Child, PrivateFolder, ReservedPort, program

START_S = 15.0


class RedisNode:
    """One server. It keeps nothing: after `kill` and `start` it is empty, as after a real loss."""

    def __init__(self, tls: tuple[Path, Path] | None = None) -> None:
        """`tls`: certificate and key of one that speaks nothing else. Raises Missing without the program."""
        self._server = program("redis-server", package="redis-server")
        self._folder = PrivateFolder("redis")
        self._port = ReservedPort()
        self._child: Child | None = None
        number = str(self._port.number)
        self._words, self.url = ["--port", number], f"redis://127.0.0.1:{number}/0"
        if tls is not None:
            given = {"port": number, "cert-file": str(tls[0]), "key-file": str(tls[1]), "auth-clients": "no"}
            self._words = ["--port", "0", *(word for name in given for word in (f"--tls-{name}", given[name]))]
            self.url = f"rediss://127.0.0.1:{number}/0?ssl_ca_certs={tls[0]}"

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.alive

    async def start(self) -> None:
        """Start it on the port it had; returns when it takes connections. Main thread only."""
        self.kill()
        words = ["--bind", "127.0.0.1", *self._words, "--save", "", "--appendonly", "no"]
        self._child = Child([self._server, *words], self._folder.path / "log", os.environ)
        await self._child.until(self._port.listening, START_S)

    def kill(self) -> None:
        """kill -9, as a crash; returns when the process is gone."""
        if self._child:
            self._child.kill()
            self._child = None

    def pause(self) -> None:
        """Stop answering without closing a connection, until `resume`."""
        assert self._child, "start it first"
        self._child.signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._child, "start it first"
        self._child.signal(signal.SIGCONT)

    async def heal(self) -> None:
        """Undo what a test may have done to it: running, not paused."""
        if not self.alive:
            await self.start()
        self.resume()

    def close(self) -> None:
        self.kill()
        self._port.close()
        self._folder.close()
