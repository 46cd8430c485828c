"""Log lines of a terminal stand above a bar of progress, each on a line of its own."""

import sys

import pytest
import structlog
from rich.console import Console
from rich.progress import Progress

from gcc.cli import logs
from gcc.config import Settings


def test_a_line_that_comes_beside_a_bar_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(Settings())
    try:
        console = Console(stderr=True, force_terminal=True, width=100)
        with Progress("{task.description}", console=console, auto_refresh=False) as progress:
            progress.add_task("first crawl")
            progress.refresh()
            structlog.get_logger().info("milestone")
    finally:
        structlog.reset_defaults()
    lines = capsys.readouterr().err.replace("\r", "\n").splitlines()
    (line,) = [line for line in lines if "milestone" in line]
    assert "first crawl" not in line


def test_a_stream_that_takes_nothing_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, text: str) -> None:
            raise OSError(28, "No space left on device")

        def flush(self) -> None:
            raise OSError(28, "No space left on device")

    logs.configure(Settings())
    try:
        monkeypatch.setattr(sys, "stderr", Full())
        structlog.get_logger().info("lost")
    finally:
        structlog.reset_defaults()
