"""The errors of the platform, named by what the caller does about them.

Adapters translate driver errors into these at the edge (`raise ... from`). A bug is any other exception. Met while one
job, message or run is handled, it is that one's failure (gcc/actors/bugs.py); a bug of a stage's own loop reaches the
supervisor, which restarts what owns the broken state.
"""

import difflib
from collections.abc import Iterable

NAMES_TOLD = 20
"""So many are read; of more those are told that are like what was written."""


class GccError(Exception):
    """Base of every expected error: its text names the thing, the value and the way out."""


class Transient(GccError):
    """Try again later: a lost connection, a refused call, a store that is down.

    `retry_after_s` is the wait the other side asked for, None where it named none.
    """

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Permanent(GccError):
    """Trying again changes nothing: fail the job, dead-letter the message."""


class TooMuch(Permanent):
    """The rows of one insert are of more partitions, or take more memory, than one insert may: send them in parts."""


class LeaseLost(GccError):
    """Somebody else owns this work now: drop what you hold, silently."""


class ConfigError(GccError):
    """The platform refuses to start: one sentence that names the key or path and the way out."""


def there_are(names: Iterable[str], wanted: str) -> str:
    """The names that somebody may have meant who wrote one that there is not, in words for the end of a sentence."""
    known = list(dict.fromkeys(names))
    if len(known) <= NAMES_TOLD:
        return f"there are {', '.join(known)}" if known else "there are none"
    like = [*difflib.get_close_matches(wanted, known, 5, 0.6), *(name for name in known if wanted and wanted in name)]
    told = list(dict.fromkeys(like))[:NAMES_TOLD]
    if told:
        return f"like it, of {len(known)}: {', '.join(told)}"
    return f"there are {', '.join(known[:NAMES_TOLD])} and {len(known) - NAMES_TOLD} more"
