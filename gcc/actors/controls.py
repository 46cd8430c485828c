"""Live overrides and the action log: what people changed while the platform runs, who and why.

An override has a name: `pause:<actor>` is true, `concurrency:<flow>` a number, `limit:<name>` an object (see
gcc/pipelines/scraping/limiting.py); where there is none, nothing is overridden. Losing the store is Transient.
"""

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

PAUSE = "pause:"
CONCURRENCY = "concurrency:"
LIMIT = "limit:"
CONCURRENCY_MAX = 1000


@dataclass(frozen=True, slots=True)
class Action:
    """What a person did: `verb` ("pause", "retry", ...) to `target` (an actor, a flow, a filter in words).

    `things` counts what it was done to; None where that is not counted, or not known because it was cut off.
    """

    id: uuid.UUID
    at: dt.datetime
    who: str
    why: str
    verb: str
    target: str
    things: int | None = None
    detail: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON shows it."""
        at = self.at.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return {**asdict(self), "id": str(self.id), "at": at}


class Controls(Protocol):
    async def read(self) -> Mapping[str, Any]:
        """Every override: name -> value."""

    async def write(self, name: str, value: Any | None, action: Action) -> None:
        """Set an override, or remove it (None), and note `action`, in one transaction."""

    async def record(self, action: Action) -> None:
        """Note an action without an override. The same id again replaces its `things` and `detail`."""

    async def actions(self, limit: int) -> list[Action]:
        """The last ones, newest first."""
