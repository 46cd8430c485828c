"""A sample of the fuzz, the same one each time and a fresh one, and proof that it would find what it looks for."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
import structlog.testing

from gcc.channels.message import Delivery, Frame
from gcc.errors import Permanent
from gcc.pipelines.events import sinks
from gcc.pipelines.events.reading import LineReader
from gcc.pipelines.events.sinks import Sink
from gcc.pipelines.events.types import EVENT_TYPES
from tests.fakes.strict_tables import StrictTables
from tests.torture import fuzz

FIXED = [0, 1]
FRESH = random.SystemRandom().randrange(2**31)
CASES = 20 * len(EVENT_TYPES)


@pytest.mark.parametrize("seed", [*FIXED, FRESH], ids=["0", "1", "fresh"])
async def test_whatever_a_producer_sends_is_stored_or_refused(seed: int) -> None:
    found = await fuzz.chunk(seed, 0, CASES)
    assert not found.complaints, "\n".join(
        [f"python -m tests.torture.fuzz --seed {seed} --cases {CASES}", *found.complaints]
    )
    assert found.cases == CASES and found.neighbours and found.stored and found.errors and found.buried


Patch = pytest.MonkeyPatch
read = LineReader.read
decode = msgspec.json.decode


def reader_raises(patch: Patch) -> None:
    def raising(self: LineReader, line: bytes, frame: Frame, number: int) -> bytes:
        decode(line)  # UnicodeDecodeError and RecursionError among what it raises
        return read(self, line, frame, number)

    def unguarded(self: LineReader, line: bytes, frame: Frame, number: int) -> bytes:
        try:
            return raising(self, line, frame, number)
        except UnicodeDecodeError as error:
            raise KeyError("an invalid byte") from error

    patch.setattr(LineReader, "read", unguarded)


def blank_bodies_pass_in_silence(patch: Patch) -> None:
    sift = Sink._sift

    async def silent(self: Sink, delivery: Delivery, rows: Any, refused: Any) -> None:
        if delivery.frame.body.strip():
            await sift(self, delivery, rows, refused)

    patch.setattr(Sink, "_sift", silent)


def batches_are_refused_whole(patch: Patch) -> None:
    async def whole(self: Sink, table: str, rows: list[Any], refused: list[Any], **more: Any) -> list[Any]:
        try:
            await self._insert(table, [row.line for row in rows])
        except Permanent as error:
            refused += [(row, str(error)) for row in rows]
            return []
        return rows

    patch.setattr(Sink, "_insert_halving", whole)
    patch.setattr(LineReader, "rewritten", lambda self, line, frame, number: line)


def all_json_passes(patch: Patch) -> None:
    def lax(self: LineReader, line: bytes, frame: Frame, number: int) -> bytes:
        decode(line, type=dict[str, Any])
        return line

    patch.setattr(LineReader, "read", lax)
    patch.setattr(LineReader, "rewritten", lax)


def errors_are_dropped(patch: Patch) -> None:
    async def dropped(self: Sink, refused: Sequence[Any]) -> None:
        pass

    patch.setattr(Sink, "_bury", dropped)


def error_rows_are_made_of_what_was_read(patch: Patch) -> None:
    patch.setattr(sinks, "error_line", lambda line, *more: line)


PLANTED = [
    reader_raises, blank_bodies_pass_in_silence, batches_are_refused_whole, all_json_passes,
    errors_are_dropped, error_rows_are_made_of_what_was_read,
]  # fmt: skip


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
async def test_a_planted_defect_is_found(plant: Callable[[Patch], None], monkeypatch: Patch) -> None:
    plant(monkeypatch)
    with structlog.testing.capture_logs():
        for number in range(20):
            if (await fuzz.chunk(0, number, CASES)).complaints:
                return
    raise AssertionError("nothing was found")


async def test_the_strict_tables_are_those_of_the_types() -> None:
    columns = StrictTables().columns
    assert set(columns) == {event_type.table for event_type in EVENT_TYPES}
    for event_type in EVENT_TYPES:
        fields = {each.name for each in msgspec.structs.fields(event_type.schema)}
        assert set(columns[event_type.table]) == fields | {"extra", "insert_timestamp"}
