"""Packing events into frames: nothing lost, nothing split, both limits kept."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from gcc.channels.message import FRAME_BYTES_MAX, FRAME_EVENTS_MAX, Route, frames

ROUTE = Route("beat.dx", "x")
LINES = st.lists(st.integers(1, 40_000).map(lambda size: b"x" * size), max_size=30) | st.lists(
    st.just(b"{}"), max_size=350
)


@given(LINES)
def test_frames_hold_all_lines_in_order_within_their_limits(lines: list[bytes]) -> None:
    packed = list(frames(ROUTE, lines, uuid.uuid4))
    assert [line for frame in packed for line in frame.body.split(b"\n")] == lines
    assert len({frame.id for frame in packed}) == len(packed)
    for frame in packed:
        count = len(frame.body.split(b"\n"))
        assert frame.events == count <= FRAME_EVENTS_MAX
        assert len(frame.body) < FRAME_BYTES_MAX or count == 1


def test_frames_are_as_few_as_the_limits_allow() -> None:
    assert [frame.events for frame in frames(ROUTE, [b"{}"] * 250, uuid.uuid4)] == [100, 100, 50]
