"""A private S3: moto's server, in a process of its own, in memory alone, on a free port."""

import os
import sys

import httpx

from tests.services.child import Child, PrivateFolder, ReservedPort

START_S = 30.0
ACCESS_KEY, SECRET_KEY = "gcc", "gcc-secret"  # it takes any
REGION = "us-east-1"
PAGE_KEYS = 3
"""Of one page of a listing; Amazon's have 1,000."""


class S3Node:
    """One server. It keeps nothing after `close`."""

    def __init__(self) -> None:
        self._folder = PrivateFolder("s3")
        self._port = ReservedPort()
        self._child: Child | None = None
        self.url = f"http://127.0.0.1:{self._port.number}"

    async def start(self) -> None:
        """Returns when it takes connections. Main thread only."""
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._port.number)]
        few = {"MOTO_S3_DEFAULT_MAX_KEYS": str(PAGE_KEYS)}
        self._child = Child(command, self._folder.path / "log", {**os.environ, **few})
        await self._child.until(self._port.listening, START_S)

    def make_bucket(self, name: str) -> None:
        httpx.put(f"{self.url}/{name}", trust_env=False).raise_for_status()

    def close(self) -> None:
        if self._child:
            self._child.kill()
        self._port.close()
        self._folder.close()
