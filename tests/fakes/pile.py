"""What the fakes' indexes are made of: items in the order of a key, of which any may leave at any time."""

import heapq
import itertools
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Pile(Generic[T]):
    """Hashable items under keys, the least key first, equal keys in the order of putting; O(log n) each.

    An item that is put again or removed leaves its old entry in the heap, where it is skipped when met.
    """

    def __init__(self) -> None:
        self._entry_of: dict[T, int] = {}  # the entry that counts
        self._heap: list[tuple[Any, int, T]] = []
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._entry_of)

    def __iter__(self) -> Iterator[T]:
        return iter(self._entry_of)

    def put(self, item: T, key: Any) -> None:
        """Add the item, or move it to another key."""
        number = next(self._numbers)
        self._entry_of[item] = number
        heapq.heappush(self._heap, (key, number, item))
        if len(self._heap) > 2 * len(self._entry_of) + 100:
            self._heap = [entry for entry in self._heap if self._counts(entry)]
            heapq.heapify(self._heap)

    def remove(self, item: T) -> None:
        """Take the item out, if it is in."""
        self._entry_of.pop(item, None)

    def least(self) -> tuple[Any, T]:
        """The least key and its item, which stays. IndexError: empty."""
        while not self._counts(self._heap[0]):
            heapq.heappop(self._heap)
        key, _, item = self._heap[0]
        return key, item

    def pop(self) -> T:
        """Take out the item of the least key. IndexError: empty."""
        _, item = self.least()
        del self._entry_of[item]
        heapq.heappop(self._heap)
        return item

    def pop_while(self, wanted: Callable[[Any], bool]) -> list[T]:
        """Take out items, the least first, for as long as their keys are wanted."""
        popped = []
        while self._entry_of and wanted(self.least()[0]):
            popped.append(self.pop())
        return popped

    def _counts(self, entry: tuple[Any, int, T]) -> bool:
        return self._entry_of.get(entry[2]) == entry[1]
