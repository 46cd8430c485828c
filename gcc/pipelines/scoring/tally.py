"""What the scorer of this process has done, as the dashboard and /metrics read it."""

import datetime as dt
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from gcc.clock import Clock
from gcc.metrics import Metrics
from gcc.pipelines.scoring.asked import Asked
from gcc.pipelines.scoring.record import Scored
from gcc.supervisor.lifecycle import storable

REFUSALS_KEPT = 20
NAMED = {0.0: "real", 0.33: "weak", 1.0: "fake", None: "none"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A follower without a score, and why."""

    at: dt.datetime
    platform: str
    creator: str
    follower: str
    why: str


@dataclass
class Tally:
    """`lost`: workers that died over a slice, by "killed" or "slow"; a failure of the scorer itself is "failed".
    `left`: followers that a newer version is to score again."""

    clock: Clock
    metrics: Metrics
    scored: Counter[str] = field(default_factory=Counter)
    versions: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    left: int = 0
    refusals: deque[Refusal] = field(default_factory=lambda: deque(maxlen=REFUSALS_KEPT))

    def committed(self, answers: Sequence[tuple[Asked, Scored]]) -> None:
        for asked, scored in answers:
            self.scored[NAMED.get(scored.score, "other")] += 1
            self.versions[scored.scorer_version] += 1
            if scored.score is None:
                creator, follower = asked.creator or asked.creator_id, asked.follower.handle or asked.follower_id
                why = storable(scored.refused or "")
                self.refusals.appendleft(Refusal(self.clock.now(), asked.platform, creator, follower, why))
        for name, number in Counter(NAMED.get(scored.score, "other") for _, scored in answers).items():
            self.metrics.scored.labels(name).inc(number)

    def worker_lost(self, how: str) -> None:
        self.lost[how] += 1
        self.metrics.workers_lost.labels(how).inc()

    def overview(self) -> dict[str, Any]:
        """As the dashboard shows it; since the process began."""
        return {
            "scored": dict(self.scored),
            "versions": dict(self.versions),
            "lost": dict(self.lost),
            "left": self.left,
            "refusals": [
                {
                    "at": refusal.at.isoformat(timespec="seconds"),
                    "platform": refusal.platform,
                    "creator": refusal.creator,
                    "follower": refusal.follower,
                    "why": refusal.why,
                }
                for refusal in self.refusals
            ],
        }
