"""Workers in this process, which die as they are told; see gcc.pipelines.scoring.workers."""

from collections.abc import Awaitable, Callable, Sequence

from gcc.pipelines.scoring.record import Follower, Reason, Scored
from gcc.pipelines.scoring.scorer import SCORER_VERSION
from gcc.pipelines.scoring.workers import WorkerDied
from tests.fakes.database import steady

KILLS = "kills_"
"""What the handles of those begin with over whom every worker dies."""


class FakeWorkers:
    """`before()` may sleep, and raise. `slices` tells how large those were that were asked for."""

    def __init__(self, before: Callable[[], Awaitable[None]] = steady) -> None:
        self._before = before
        self.slices: list[int] = []
        self.troubled: str | None = None

    async def score(self, followers: Sequence[Follower]) -> list[Scored]:
        self.slices.append(len(followers))
        await self._before()
        if any(follower.handle.startswith(KILLS) for follower in followers):
            raise WorkerDied("the process that scored ended (exit code -9)")
        return [plain(follower) for follower in followers]

    async def trouble(self) -> str | None:
        """At no time, and by no chance."""
        return self.troubled


def plain(follower: Follower) -> Scored:
    """An answer at no cost, which depends on the follower alone."""
    if not follower.full_name:
        return Scored(None, {}, (), None, (), SCORER_VERSION, "it has no name")
    digits = sum(letter.isdigit() for letter in follower.handle)
    fake = 1.0 if digits > 4 else 0.33 if digits == 4 else 0.0
    reasons = (Reason("more_than_4_digits", digits, "more than 4"),)
    account_score = None if follower.account.followers is None else 1 / (1 + follower.account.followers)
    return Scored(fake, {"more_than_4_digits": int(digits > 4)}, reasons, account_score, (), SCORER_VERSION)
