"""Ctrl-C while the command is imported, which takes a second: there is nothing to clean up, nor to tell."""

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130


def while_importing() -> None:
    """End quietly at Ctrl-C from now on, if this process is the platform's command; until `imported`."""
    if _is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def imported() -> None:
    """Ctrl-C is a KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_command() -> bool:
    called, *words = sys.argv or [""]
    if called == "-m":  # until Python has found the module that stands behind it
        return sys.orig_argv[-len(words) - 1].endswith("gcc.supervisor")
    return os.path.basename(called) == "gcc-platform"


def _end(_number: int, _frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)
