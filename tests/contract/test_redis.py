"""Redis itself, as limits use it: scripts and their answers, over connections that are lost and given up."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis as redis_py
import trio

from gcc.errors import Transient
from gcc.stores.redis import Redis, Script
from tests.certificates import certificate
from tests.services.redis import RedisNode

ECHO = Script("return {KEYS[1], ARGV[1]}")
SLOW = Script("local n = 0 while n < 3e7 do n = n + 1 end return 'slow'")
FULL = Script("return string.rep('x', tonumber(ARGV[1]))")


@pytest.fixture
def client(redis: str) -> Iterator[Redis]:
    client = Redis(redis, connections=3)
    yield client
    client.close()


async def test_everybody_gets_the_answer_to_their_own_question(client: Redis, redis: str) -> None:
    async def ask(number: int) -> None:
        for _ in range(20):
            assert await client.run(ECHO, [f"k{number}"], [number]) == [b"k%d" % number, b"%d" % number]

    async with trio.open_nursery() as nursery:
        for number in range(30):
            nursery.start_soon(ask, number)
    with redis_py.Redis.from_url(redis) as other:
        ours = [each for each in other.client_list() if each["name"] == "gcc"]
        assert 1 <= len(ours) <= 3, "kept, and no more than may be"


async def test_who_leaves_takes_their_answer_with_them(client: Redis) -> None:
    for _ in range(5):
        with trio.move_on_after(0.01):
            await client.run(SLOW, [], [])
        assert await client.run(ECHO, ["k"], [1]) == [b"k", b"1"]
    assert client.lost is None


async def test_a_script_that_the_server_has_forgotten_is_sent_again(client: Redis, redis: str) -> None:
    await client.run(ECHO, ["k"], [1])
    with redis_py.Redis.from_url(redis) as other:
        other.script_flush()
    assert await client.run(ECHO, ["k"], [2]) == [b"k", b"2"]


async def test_large_answers_come_whole(client: Redis) -> None:
    for size in (1, 65_536, 10_000_000):
        assert len(await client.run(FULL, [], [size])) == size


async def test_connections_that_the_server_has_closed_are_no_loss(
    client: Redis, redis: str, redis_node: RedisNode
) -> None:
    await client.run(ECHO, ["k"], [1])
    redis_node.kill()
    await redis_node.start()
    assert await client.run(ECHO, ["k"], [1]) == [b"k", b"1"]
    redis_node.kill()
    for _ in range(2):
        with pytest.raises(Transient, match="redis at 127"):
            await client.run(ECHO, ["k"], [1])
    await redis_node.start()
    with pytest.raises(Transient):
        await client.run(ECHO, ["k"], [1])
    assert await client.look() == 1 and await client.run(ECHO, ["k"], [1]) == [b"k", b"1"]


async def test_over_tls_as_well(tmp_path: Path) -> None:
    node = RedisNode(certificate(tmp_path))
    try:
        await node.start()
        client = Redis(node.url)
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(client.run, ECHO, [f"k{number}"], [number])
        assert len(await client.run(FULL, [], [10_000_000])) == 10_000_000
        client.close()
        stranger = Redis(node.url.partition("?")[0])
        with pytest.raises(Transient, match="certificate verify failed"):
            await stranger.run(ECHO, ["k"], [1])
    finally:
        node.close()
