"""Overrides and the action log in memory; passes tests/contract/test_controls.py like the real one.

Like a database, it outlives the processes that use it. `before` is where a test makes it go away.
"""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gcc.actors.controls import Action
from gcc.stores.postgres import transient
from tests.fakes.database import PLACE, steady


@dataclass
class FakeControls:
    before: Callable[[], Awaitable[None]] = field(default=steady)
    overrides: dict[str, Any] = field(default_factory=dict)
    log: dict[uuid.UUID, Action] = field(default_factory=dict)
    told: Callable[[str], None] = field(default=lambda _payload: None)
    """Called after each change, as NOTIFY does."""

    async def read(self) -> Mapping[str, Any]:
        await self._reach()
        return dict(self.overrides)

    async def write(self, name: str, value: Any | None, action: Action) -> None:
        await self._reach()
        if value is None:
            self.overrides.pop(name, None)
        else:
            self.overrides[name] = value
        self.log[action.id] = action
        self.told("")

    async def record(self, action: Action) -> None:
        await self._reach()
        self.log[action.id] = action
        self.told("")

    async def actions(self, limit: int) -> list[Action]:
        await self._reach()
        return sorted(self.log.values(), key=lambda action: (action.at, action.id), reverse=True)[:limit]

    async def _reach(self) -> None:
        with transient(PLACE):
            await self.before()
