"""Where planted bugs are kept by their names: planted.py and planted_limits.py hold them."""

from collections.abc import Callable

import pytest

Patch = pytest.MonkeyPatch
BUGS: dict[str, Callable[[Patch], None]] = {}


def bug(plant: Callable[[Patch], None]) -> Callable[[Patch], None]:
    BUGS[plant.__name__] = plant
    return plant
