"""A private Redis: in memory alone, on a free port."""

import os
import signal

from tests.services.child import Child, PrivateFolder, ReservedPort, program

START_S = 15.0


class RedisNode:
    """One server. It keeps nothing: after `kill` and `start` it is empty, as after a real loss."""

    def __init__(self) -> None:
        """Raises Missing without the program."""
        self._server = program("redis-server", package="redis-server")
        self._folder = PrivateFolder("redis")
        self._port = ReservedPort()
        self._child: Child | None = None
        self.url = f"redis://127.0.0.1:{self._port.number}/0"

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.alive

    async def start(self) -> None:
        """Start it on the port it had; returns when it takes connections. Main thread only."""
        self.kill()
        words = ["--bind", "127.0.0.1", "--port", str(self._port.number), "--save", "", "--appendonly", "no"]
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
