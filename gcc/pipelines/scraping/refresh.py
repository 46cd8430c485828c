"""The port through which a request asks for a profile to be scraped now."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol
from uuid import UUID

Outcome = Literal["COMPLETE", "NOT_FOUND", "NOT_VISIBLE", "INVALID", "LIMITED", "FAILED", "TIMEOUT"]


@dataclass(frozen=True, slots=True)
class Refreshed:
    """How a scrape on demand ended.

    COMPLETE: the profile is stored. NOT_FOUND: the source knows no such profile. NOT_VISIBLE: it is absent, or hidden
    from us, and nothing tells which. INVALID: the source refuses the handle. LIMITED: no call is free before
    `retry_after_s`. FAILED: it could not be asked, or did not answer, and `reason` says why. TIMEOUT: not done within
    the wait; it may still be done later.
    """

    outcome: Outcome
    reason: str
    retry_after_s: float | None = None


class Refresher(Protocol):
    async def refresh(self, platform: str, handle: str, *, wait_s: float, begun: Callable[[UUID], None]) -> Refreshed:
        """Have `handle` (or an id, where profiles are known by it) scraped, and wait at most `wait_s` for the end.

        `begun` is told the scrape's id once it is asked for, the same to all who share it. Cancelled: the scrape itself
        goes on. Raises errors.Transient when it cannot even be asked for.
        """
        ...
