"""How long scores of followers are kept: as long as events of their type would be, by `retention` of the settings.

In: `_e.creator_follower_score`, a state without partitions: a follower's newest score. Out: scores that are older are
removed from ClickHouse, counted as every removal is (removal.py). Raises Transient, LeaseLost when another process
leads.
"""

import datetime as dt

from gcc.clock import Clock
from gcc.config import Settings
from gcc.pipelines.events.check import Rows
from gcc.pipelines.events.removal import Removal
from gcc.pipelines.events.retention import SCORES_SETTING
from gcc.pipelines.events.types import CREATOR_FOLLOWER_SCORE, KEPT_DAYS, timestamp

SCORES = CREATOR_FOLLOWER_SCORE.table


class ScoreRetention:
    """A round is `await retention()`: how many went."""

    def __init__(self, removal: Removal, clock: Clock, settings: Settings) -> None:
        self._removal = removal
        self._clock = clock
        self._kept_days = settings.retention.get(SCORES_SETTING, KEPT_DAYS)

    async def __call__(self) -> int:
        if not self._kept_days:
            return 0
        await self._removal.finish()
        before = self._clock.now() - dt.timedelta(days=self._kept_days)
        words = "event_timestamp < {before:DateTime64(6, 'UTC')}"
        return await self._removal.remove(Rows(SCORES, words, {"before": timestamp(before)}))
