"""What workers score with in tests: it ends its process, or never ends, as the handles say. Importable by a worker."""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from gcc.pipelines.scoring.record import Follower, Scored
from gcc.pipelines.scoring.scorer import score_batch

KILLS, HANGS, ONCE = "kills_", "hangs_", "once_"
"""What follows ONCE is the path of a file that the first one makes over whom a worker dies."""
OUT_OF_MEMORY = 137


def score(followers: Sequence[Follower]) -> list[Scored]:
    """`refused` tells by which process."""
    for follower in followers:
        if follower.handle.startswith(KILLS):
            os.kill(os.getpid(), signal.SIGKILL)
        if follower.handle.startswith(HANGS):
            time.sleep(3600)
    return [Scored(None, {}, (), None, (), "victim", str(os.getpid())) for _ in followers]


def nobody(followers: Sequence[Follower]) -> list[Scored]:
    """As where no memory is left."""
    os._exit(OUT_OF_MEMORY)


def mortal(followers: Sequence[Follower]) -> list[Scored]:
    """As the scorer, but for those over whom the process ends as where no memory is left."""
    for follower in followers:
        if follower.handle.startswith(KILLS):
            os._exit(OUT_OF_MEMORY)
        mark = Path(follower.handle.removeprefix(ONCE))
        if follower.handle.startswith(ONCE) and not mark.exists():
            mark.touch()
            os._exit(OUT_OF_MEMORY)
    return score_batch(followers)
