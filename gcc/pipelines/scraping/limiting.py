"""A limiter that keeps nobody waiting once the drain has begun: who waits for a limit gives the job back."""

from collections.abc import Sequence
from functools import partial

from gcc.sources.limits import Limiter, LimitRefused, LimitUse, Take
from gcc.supervisor.drain import Stage, take_until


class DrainingLimiter:
    """See `gcc.sources.limits.Limiter`; `stage` is the one at which claiming stops."""

    def __init__(self, limiter: Limiter, stage: Stage) -> None:
        self._limiter = limiter
        self._stage = stage

    async def take(
        self,
        takes: Sequence[Take],
        *,
        priority: int = 0,
        flow: str = "",
        wait_s_max: float,
        hurried: Sequence[str] = (),
    ) -> None:
        ask = partial(self._limiter.take, takes, priority=priority, flow=flow, hurried=hurried)
        if self._stage.begun.is_set():  # work in hand goes on where it needs not wait
            await ask(wait_s_max=0.0)
            return

        async def take() -> bool:
            await ask(wait_s_max=wait_s_max)
            return True

        if not await take_until(self._stage, take):
            raise LimitRefused(f"{takes[0].name}: the platform drains; the job goes back", retry_after_s=0.0)

    async def narrow(self, what: Take, share: float, for_s: float, why: str) -> None:
        await self._limiter.narrow(what, share, for_s, why)

    def away(self) -> str | None:
        return self._limiter.away()

    def usage(self) -> list[LimitUse]:
        return self._limiter.usage()
