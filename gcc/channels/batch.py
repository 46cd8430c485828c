"""When a batch is due: pure, no clock, no channel. Time arrives as an argument.

A batch is due when it has `rows` rows or its first row is `age_s` old. When it falls due by size under
backlog it goes on taking what already waits, up to `rows_max`. It never splits what was added.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class BatchLimits:
    rows: int = 1000
    age_s: float = 5.0
    rows_max: int = 20_000


@dataclass(slots=True)
class Batch(Generic[T]):
    limits: BatchLimits
    items: list[T] = field(default_factory=list)
    rows: int = 0
    opened_at: float | None = None

    def add(self, item: T, rows: int, now: float) -> None:
        if self.opened_at is None:
            self.opened_at = now
        self.items.append(item)
        self.rows += rows

    @property
    def deadline(self) -> float:
        """When its age makes it due; infinite while it is empty."""
        return float("inf") if self.opened_at is None else self.opened_at + self.limits.age_s

    def due(self, now: float) -> bool:
        return bool(self.items) and (self.rows >= self.limits.rows or now >= self.deadline)

    def has_room(self, rows: int) -> bool:
        """Whether `rows` more rows keep within `rows_max`; an empty batch takes anything."""
        return not self.items or self.rows + rows <= self.limits.rows_max

    def take(self) -> Sequence[T]:
        """The items; the batch is empty again."""
        items, self.items, self.rows, self.opened_at = self.items, [], 0, None
        return items
