"""Ids sort by the time of minting, and a seed replays them."""

import datetime as dt
import uuid

import trio
import trio.testing

from gcc.clock import SystemClock, VirtualClock


def test_ids_are_uuid7_of_their_millisecond() -> None:
    clock = SystemClock()
    before = clock.now()
    minted = [clock.new_id() for _ in range(200)]
    for new_id in minted:
        assert (new_id.version, new_id.variant) == (7, uuid.RFC_4122)
        at = dt.datetime.fromtimestamp((new_id.int >> 80) / 1000, dt.UTC)
        assert abs((at - before).total_seconds()) < 5
    assert len(set(minted)) == 200


async def test_virtual_time_follows_the_mock_clock(autojump_clock: trio.testing.MockClock) -> None:
    clock = VirtualClock(seed=1)
    begin = clock.now()
    await trio.sleep(3600)
    assert clock.now() - begin == dt.timedelta(hours=1)


async def test_a_seed_replays_ids_and_jitter(autojump_clock: trio.testing.MockClock) -> None:
    a, b, other = VirtualClock(seed=7), VirtualClock(seed=7), VirtualClock(seed=8)
    assert [a.new_id() for _ in range(5)] == [b.new_id() for _ in range(5)]
    assert a.jitter(10) == b.jitter(10)
    assert a.new_id() != other.new_id()


def test_jitter_shortens_by_at_most_its_spread() -> None:
    clock = SystemClock()
    delays = [clock.jitter(10.0, spread=0.3) for _ in range(200)]
    assert all(7.0 <= delay <= 10.0 for delay in delays)
    assert len(set(delays)) > 100
