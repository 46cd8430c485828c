"""The fan-out: everybody gets the latest, a slow client skips, and there is room for so many."""

import pytest
import trio
import trio.testing

from gcc.web.ops.hub import Hub, HubFull


async def test_a_client_that_is_behind_gets_the_latest_only() -> None:
    hub = Hub(2)
    hub.publish("one")
    with hub.client() as quick, hub.client() as slow:
        assert await quick.next() == "one"
        hub.publish("two")
        assert await quick.next() == "two"
        hub.publish("three")
        assert [await quick.next(), await slow.next()] == ["three", "three"]


async def test_next_waits_for_what_was_not_seen_yet(autojump_clock: trio.testing.MockClock) -> None:
    hub = Hub(1)
    with hub.client() as client:
        with trio.move_on_after(5) as patience:
            await client.next()
        assert patience.cancelled_caught
        async with trio.open_nursery() as nursery:

            async def later() -> None:
                await trio.sleep(1)
                hub.publish("same")
                await trio.sleep(1)
                hub.publish("same")

            nursery.start_soon(later)
            assert [await client.next(), await client.next()] == ["same", "same"]


async def test_only_so_many_clients_at_once() -> None:
    hub = Hub(1)
    with hub.client():
        with pytest.raises(HubFull), hub.client():
            pass
        assert hub.clients == 1
    with hub.client():
        assert hub.clients == 1
    assert hub.clients == 0
