"""A bug in the handling of one message, job, model or run: it is told once, with its traceback, and stays that one's.

In: exceptions that no contract names. Out: a log line, the actor's line on the board (`bugs` counts them) and one line
for whoever asks what became of the thing. Its neighbours go on. Bugs of a stage's own loop are not for here: they reach
the supervisor.
"""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from gcc.masking import masked_text
from gcc.supervisor.lifecycle import Actor, one_line, storable

CODE = "BUG"
TRACEBACK_CHARS_MAX = 8192

log = structlog.get_logger()


def told(actor: Actor, error: Exception, **of: object) -> str:
    """Log, count and show `error`, met while handling what `of` names; answers it in one line that any store takes,
    secrets masked."""
    line = masked_text(one_line(error))
    actor.bug(line, traceback_of(error))
    log.error("bug", actor=actor.name, **of, exc_info=error)
    return line


def traceback_of(error: Exception) -> str:
    """Where it came from, in text that any store takes: the last TRACEBACK_CHARS_MAX characters, secrets masked."""
    text = masked_text(storable("".join(traceback.format_exception(error))))
    return text[-TRACEBACK_CHARS_MAX:]


@contextmanager
def contained(actor: Actor, **of: object) -> Iterator[None]:
    """Whatever the block raises ends the block, is told, and goes no further; cancellations pass."""
    try:
        with parted(actor, **of):
            yield
    except Exception as error:
        told(actor, error, **of)


@contextmanager
def parted(actor: Actor, **of: object) -> Iterator[None]:
    """What the tasks of the block raised while they were cancelled is told, and the cancellation alone goes on.

    Otherwise it would come out of the scope that was cancelled, where nobody expects it.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        bugs, rest = group.split(Exception)
        if rest is None:
            raise
        if bugs is not None:
            told(actor, bugs, **of)
        raise rest from None
