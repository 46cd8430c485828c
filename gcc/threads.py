"""Worker threads that the machine does not give: that passes, and says nothing against the message or job at hand."""

from collections.abc import Iterator
from contextlib import contextmanager

from gcc.errors import Transient

REFUSAL = "can't start new thread"
"""All that Python tells it by."""


@contextmanager
def needed(what: str) -> Iterator[None]:
    """Around what starts a thread, also within libraries. Transient, named by `what`: none could be started."""
    try:
        yield
    except RuntimeError as error:
        if str(error) != REFUSAL:
            raise
        raise Transient(
            f"{what}: no thread could be started; look at ulimit -u and the container's pids.max"
        ) from error
