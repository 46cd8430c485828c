"""A limiter that keeps nobody waiting once the drain has begun: who waits for a limit gives the job back."""

from gcc.sources.limits import Limiter, LimitRefused, LimitUse
from gcc.supervisor.drain import Stage, take_until


class DrainingLimiter:
    """See `gcc.sources.limits.Limiter`; `stage` is the one at which claiming stops."""

    def __init__(self, limiter: Limiter, stage: Stage) -> None:
        self._limiter = limiter
        self._stage = stage

    async def take(self, name: str, *, priority: int = 0, wait_s_max: float) -> None:
        if self._stage.begun.is_set():  # work in hand goes on where it needs not wait
            await self._limiter.take(name, priority=priority, wait_s_max=0.0)
            return

        async def take() -> bool:
            await self._limiter.take(name, priority=priority, wait_s_max=wait_s_max)
            return True

        if not await take_until(self._stage, take):
            raise LimitRefused(f"{name}: the platform drains; the job goes back", retry_after_s=0.0)

    def away(self) -> str | None:
        return self._limiter.away()

    def usage(self) -> list[LimitUse]:
        return self._limiter.usage()
