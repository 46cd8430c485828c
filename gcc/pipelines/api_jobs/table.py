"""The kinds of API jobs that there are."""

from gcc.pipelines.api_jobs.kind import Kind
from gcc.pipelines.api_jobs.leaderboard import LEADERBOARD_EXPORT

KINDS: dict[str, Kind] = {kind.name: kind for kind in (LEADERBOARD_EXPORT,)}
