"""When a batch is due: pure, no clock, no channel. Time arrives as an argument.

A batch is due when it has `rows` rows or `bytes_max` bytes, or its first row is `age_s` old. When it falls due by rows
under backlog it goes on taking what already waits, up to `rows_max`. It never splits what was added.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")

BYTES_MAX = 16 << 20
"""Of one batch, before what comes last, and of one insert: to parse that takes the store some three times as much."""


@dataclass(frozen=True, slots=True)
class BatchLimits:
    rows: int = 1000
    age_s: float = 5.0
    rows_max: int = 20_000
    bytes_max: int = BYTES_MAX


@dataclass(slots=True)
class Batch(Generic[T]):
    limits: BatchLimits
    items: list[T] = field(default_factory=list)
    rows: int = 0
    bytes: int = 0
    opened_at: float | None = None

    def add(self, item: T, rows: int, size: int, now: float) -> None:
        """`size` in bytes."""
        if self.opened_at is None:
            self.opened_at = now
        self.items.append(item)
        self.rows += rows
        self.bytes += size

    @property
    def deadline(self) -> float:
        """When its age makes it due; infinite while it is empty."""
        return float("inf") if self.opened_at is None else self.opened_at + self.limits.age_s

    def due(self, now: float) -> bool:
        full = self.rows >= self.limits.rows or self.bytes >= self.limits.bytes_max
        return bool(self.items) and (full or now >= self.deadline)

    def has_room(self, rows: int) -> bool:
        """Whether `rows` more rows keep within `rows_max`, and no bound is reached; an empty batch takes anything."""
        fits = self.rows + rows <= self.limits.rows_max and self.bytes < self.limits.bytes_max
        return not self.items or fits

    def take(self) -> Sequence[T]:
        """The items; the batch is empty again."""
        items, self.items, self.rows, self.bytes, self.opened_at = self.items, [], 0, 0, None
        return items
