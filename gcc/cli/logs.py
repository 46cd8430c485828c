"""Where log lines go: stderr, JSON a line, or a readable console where stderr is a terminal."""

import logging
import sys
from contextlib import suppress
from typing import TextIO, cast

import structlog

from gcc.config import Settings
from gcc.masking import masked_text


class _Lossy:
    """stderr, whose lines are lost where it cannot take them: a full disk must not end what is logged.

    As it is at that moment: while a bar of progress is there, its stand-in puts each line above the bar.
    """

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


def _without_secrets(logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Whoever raised an exception of a bug may have put anything into its text."""
    if "exception" in event:
        event["exception"] = masked_text(event["exception"])
    return event


def configure(settings: Settings) -> None:
    """Set structlog (and the standard logging under libraries) up for this process."""
    level = logging.getLevelNamesMapping()[settings.logging.level.upper()]
    terminal = sys.stderr.isatty()
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(
                fmt="%H:%M:%S" if terminal else "iso", utc=not terminal, key="timestamp" if terminal else "at"
            ),
            structlog.processors.format_exc_info,
            _without_secrets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _Lossy())),
    )
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    for library in ("urllib3", "clickhouse_connect"):  # their warnings are told by who called, once and not at each try
        logging.getLogger(library).setLevel(logging.ERROR)
