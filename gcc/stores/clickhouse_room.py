"""Keeps the embedded engine away from a full disk.

Measured with chdb 4.4 (engine 26.9): a write() that fails while a part is made goes unnoticed. The insert is
acknowledged, a merge puts an empty part in place of good ones, and when the engine next starts it throws the broken
part away with all its rows. (To open or make a file on a full disk fails as it should.) So short of ROOM_BYTES
nothing is written: inserts are Transient, and background merges stand still until there is room again.
This holds for a disk that fills within seconds, not for one that is full from one moment to the next. A server is
left alone: it notices failed writes.
"""

import os
from pathlib import Path

from gcc.errors import ConfigError, Transient

ROOM_BYTES = 256 << 20
LOOK_S = 0.25
"""How often merges are reconsidered: the disk may fill by ROOM_BYTES in that time."""

_WRITING = ("insert", "create")


class Room:
    """The free space around `folder`, of which `bytes_min` must stay; None: somebody else looks after it."""

    def __init__(self, folder: Path | None, bytes_min: int = ROOM_BYTES) -> None:
        self._folder = folder
        self._bytes_min = bytes_min

    @property
    def enough(self) -> bool:
        return self._folder is None or self._free_bytes() >= self._bytes_min

    def require(self, what: str) -> None:
        """Transient when there is not enough; asked right before `what` writes."""
        if not self.enough:
            raise Transient(f"ClickHouse, {what}: {self._shortage()}")

    def require_for(self, sql: str) -> None:
        """As `require`, of a statement; those that write no rows, such as DROP, always may."""
        if sql.lstrip().lower().startswith(_WRITING):
            self.require("command")

    def require_to_start(self) -> None:
        """ConfigError: tables merge as soon as they are open, before anybody can stop them."""
        if not self.enough:
            raise ConfigError(f"ClickHouse folder {self._folder}: {self._shortage()}; make room or choose another")

    def _free_bytes(self) -> int:
        assert self._folder is not None
        place = next(path for path in (self._folder, *self._folder.parents) if path.exists())
        found = os.statvfs(place)
        return found.f_bavail * found.f_frsize

    def _shortage(self) -> str:
        return f"{self._free_bytes() >> 20} MiB are free on its disk, {self._bytes_min >> 20} MiB must be"
