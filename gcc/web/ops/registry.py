"""DATA/supervisor.json: how the other verbs find the process that runs on a data folder (pid, URL, token)."""

import json
import os
from pathlib import Path

REGISTRY = "supervisor.json"


def write_registry(file: Path, *, url: str, token: str) -> None:
    """Readable by its owner alone; it is there whole or not at all."""
    text = json.dumps({"pid": os.getpid(), "url": url, "token": token})
    new = file.with_suffix(".new")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
    new.replace(file)
