"""What was admitted of a partner's allowance and is not counted yet: requests that still wait for a scrape."""

from collections import Counter
from collections.abc import Iterable, Mapping

import trio

from gcc.stores.plans import Module


class Held:
    """Of one partner, in this process. `freed`: set once somebody has given back, and then a new one."""

    def __init__(self) -> None:
        self.freed = trio.Event()
        self._names: dict[Module, Counter[str]] = {}

    def leaves(self, left: Mapping[Module, float], name: str) -> bool:
        """Whether there is room beside what others hold; who holds the same `name` is counted once with it."""
        return all(len(self._names.get(module, Counter()).keys() - {name}) < room for module, room in left.items())

    def take(self, modules: Iterable[Module], name: str) -> None:
        for module in modules:
            self._names.setdefault(module, Counter())[name] += 1

    def give_back(self, modules: Iterable[Module], name: str) -> None:
        for module in modules:
            self._names[module][name] -= 1
            self._names[module] += Counter()  # drops those that nobody holds
        self.freed.set()
        self.freed = trio.Event()
