"""What the fixtures of private servers have in common: one server a pytest process, found well by every test."""

import os
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import pytest
import trio

from tests.services.child import Missing


class Node(Protocol):
    """A server that tests may kill (`alive` is False then), pause or starve."""

    @property
    def alive(self) -> bool: ...

    async def start(self) -> None: ...

    async def heal(self) -> None:
        """Undo whatever was done to it."""

    def close(self) -> None: ...


N = TypeVar("N", bound=Node)


def private(make: Callable[[], N], url: str) -> Iterator[N]:
    """A node of this process's own; the test is skipped where environment variable `url` names one from outside."""
    if url in os.environ:
        pytest.skip(f"{url} names a server that is not ours to kill; unset it to run this test")
    try:
        node = make()
    except Missing as missing:
        pytest.skip(str(missing))
    try:
        trio.run(node.start)
        yield node
    finally:
        node.close()


def healed(node: N) -> Iterator[N]:
    """The node for a test that may hurt it. Killed and left so, it is started by the next one that needs it."""
    trio.run(node.heal)
    yield node
    if node.alive:
        trio.run(node.heal)
