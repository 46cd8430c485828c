"""When a batch is due: a pure rule, so every case is a line."""

from hypothesis import given
from hypothesis import strategies as st

from gcc.channels.batch import BYTES_MAX, Batch, BatchLimits

LIMITS = BatchLimits(rows=10, age_s=5.0, rows_max=30)


def batch(*rows: int, at: float = 0.0) -> Batch[int]:
    filled: Batch[int] = Batch(LIMITS)
    for count in rows:
        filled.add(count, count, 1, at)
    return filled


def test_an_empty_batch_is_never_due() -> None:
    assert not batch().due(1e9)
    assert batch().deadline == float("inf")


def test_due_by_size() -> None:
    assert not batch(9).due(0.0)
    assert batch(9, 1).due(0.0)
    assert batch(200).due(0.0)


def test_due_and_full_by_bytes() -> None:
    filled = batch(1)
    filled.add(1, 1, BYTES_MAX, 0.0)
    assert filled.due(0.0)
    assert not filled.has_room(1)
    filled.take()
    assert (filled.bytes, filled.has_room(1)) == (0, True)


def test_due_by_the_age_of_its_first_row() -> None:
    waiting = batch(1, at=100.0)
    waiting.add(1, 1, 1, 104.0)
    assert waiting.deadline == 105.0
    assert not waiting.due(104.9)
    assert waiting.due(105.0)


def test_taking_empties_it_and_resets_its_age() -> None:
    full = batch(4, 6)
    assert full.take() == [4, 6]
    assert (full.rows, full.deadline, full.due(1e9)) == (0, float("inf"), False)


@given(st.lists(st.integers(1, 40), min_size=1))
def test_room_never_lets_a_batch_past_its_bound_by_more_than_its_first_item(rows: list[int]) -> None:
    filled: Batch[int] = Batch(LIMITS)
    for count in rows:
        if filled.has_room(count):
            filled.add(count, count, 1, 0.0)
    assert filled.rows <= max(LIMITS.rows_max, rows[0])
