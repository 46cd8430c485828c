"""Contexts for pipelines that a test runs alone, with no more parts than these use."""

from dataclasses import fields
from typing import Any

from gcc.actors.gates import Gates
from gcc.clock import SystemClock
from gcc.config import Settings
from gcc.pipelines.declared import Context, Parts
from gcc.pipelines.scraping.table import Catalogue
from gcc.supervisor.drain import Drain
from gcc.supervisor.lifecycle import Board
from tests.fakes.controls import FakeControls


def partly(kind: type, **given: Any) -> Any:
    """A record with these fields; None is in all others that it must have."""
    return kind(**dict.fromkeys(field.name for field in fields(kind)) | given)


def context(settings: Settings, drain: Drain, parts: Parts) -> Context:
    clock = SystemClock()
    board = Board(clock.now)
    gates = Gates(FakeControls(), board.actor("controls"), clock)
    return Context(settings, clock, board, parts, gates, drain, Catalogue())
