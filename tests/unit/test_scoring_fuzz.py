"""What others may send to the scorer, bent in every place: each line is a row or a dead letter, the same each time."""

import random
import uuid
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from gcc.channels.message import Delivery, Frame
from gcc.pipelines.events.routes import CREATOR_FOLLOWER_IN
from gcc.pipelines.scoring.record import Follower, Scored
from gcc.pipelines.scoring.scorer import score_batch
from tests.fakes.scorers import FakeWorkers
from tests.torture.mutations import Mutations
from tests.unit.test_scoring_batches import QUEUE, Ground

CASES = 400
PAYLOAD = {
    "profile_id": "c1", "handle": "asha", "follower_handle": "ravi_9", "follower_full_name": "Ravi Kumar",
    "follower_profile_id": "5", "platform": "INSTAGRAM", "event_id": str(uuid.UUID(int=7)),
    "event_timestamp": "2026-01-01 00:00:00", "again_for": 1,
    "account": {"followers": 3, "following": 700, "posts": 0, "picture": True, "private": False, "age_days": 40},
}  # fmt: skip
NEIGHBOUR = {"profile_id": "c", "follower_handle": "neighbour", "follower_full_name": "Asha"}


class Here(FakeWorkers):
    """The scorer itself, in this process."""

    async def score(self, followers: Sequence[Follower]) -> list[Scored]:
        return score_batch(followers)


def untimed(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where the message tells no time, that of the answer is its own."""
    return [{name: value for name, value in event.items() if name != "event_timestamp"} for event in events]


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_each_line_is_a_row_or_a_dead_letter_and_the_same_each_time(seed: int) -> None:
    rng = random.Random(seed)
    bend = Mutations(rng)
    for _ in range(CASES):
        body = bend.body({name: value for name, value in PAYLOAD.items() if rng.random() < 0.85})
        ground = Ground(Here())
        bodies = (body, msgspec.json.encode(NEIGHBOUR))
        batch = [
            Delivery(QUEUE, number, Frame(uuid.UUID(int=number + 1), CREATOR_FOLLOWER_IN, 1, each), 1)
            for number, each in enumerate(bodies)
        ]
        await ground.batches.handle(batch)
        events, letters = ground.events(), ground.reasons()  # events as the sink reads them
        assert any(event["follower_handle"] == "neighbour" for event in events), body
        assert len(events) - 1 + len(letters) + ground.tally.left, body
        assert all((event["score"] is None) == bool(event["refused"]) for event in events), body
        ground.emitted.clear()
        await ground.batches.handle(batch)
        assert (untimed(ground.events()), ground.reasons()) == (untimed(events), letters), body
