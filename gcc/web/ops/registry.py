"""DATA/supervisor.json: how the other verbs find the process that runs on a data folder, and how it was started.

It holds pid, URL and token, and config and set: the file and the overrides of its settings.
"""

import json
import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gcc.stores import data_folder

REGISTRY = "supervisor.json"
MODULE = "python -m gcc.supervisor"


def program(*, started_as: str = sys.argv[0], prefix: str = sys.prefix) -> str:
    """How a verb begins in a terminal where this process was started itself."""
    if Path(started_as).name == "gcc-platform":
        return "gcc-platform"
    return f".venv/bin/{MODULE}" if Path(prefix) == Path.cwd() / ".venv" else MODULE


def command(data_dir: Path, **how: str) -> str:
    """The same, for the verbs that find the process which works in `data_dir`."""
    verbs = program(**how)
    return verbs if data_dir == Path.cwd() / "var" else f"{verbs} --data {shlex.quote(str(data_dir))}"


def write_registry(
    file: Path, *, url: str, token: str, config: Path | None = None, overrides: Sequence[str] = ()
) -> None:
    """Readable by its owner alone; it is there whole or not at all. ConfigError: it cannot be written."""
    start = {"config": config and str(config), "set": list(overrides)}
    text = json.dumps({"pid": os.getpid(), "url": url, "token": token, **start})
    new = file.with_suffix(".new")
    try:
        new.unlink(missing_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(text)
        new.replace(file)
    except OSError as error:
        with suppress(OSError):
            new.unlink()
        if isinstance(error, IsADirectoryError):
            raise data_folder.planted(Path(error.filename2 or error.filename), "is a folder") from error
        raise data_folder.unwritable(file.parent, error) from error


def remove_registry(file: Path) -> None:
    """At the end, as far as it can be: who finds it left is told that nobody answers there."""
    with suppress(OSError):
        file.unlink()


def read_registry(file: Path) -> str:
    """Its text. Raises OSError or ValueError where it cannot be read, ConfigError where it is no file of its folder's
    owner."""
    with open(data_folder.opened(file, os.O_RDONLY), encoding="utf-8") as found:
        return found.read()
