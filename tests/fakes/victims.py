"""What workers score with in tests: it ends its process, or never ends, as the handles say. Importable by a worker."""

import os
import signal
import time
from collections.abc import Sequence

from gcc.pipelines.scoring.record import Follower, Scored

KILLS, HANGS = "kills_", "hangs_"


def score(followers: Sequence[Follower]) -> list[Scored]:
    """`refused` tells by which process."""
    for follower in followers:
        if follower.handle.startswith(KILLS):
            os.kill(os.getpid(), signal.SIGKILL)
        if follower.handle.startswith(HANGS):
            time.sleep(3600)
    return [Scored(None, {}, (), None, (), "victim", str(os.getpid())) for _ in followers]
