"""A real Redis for tests: `redis` is its URL, redis://127.0.0.1:port/0, of a database emptied before each test.

`redis_node` is the server itself, for tests that kill or pause it; the next test finds it well again. Each pytest
process has one of its own. GCC_TEST_REDIS_URL names one from outside: its database is EMPTIED, too, so give it a
number that nobody else uses, and another one to each worker.
"""

import os
import time
from collections.abc import Iterator

import pytest
import redis as redis_py
import trio

from tests.services.private import healed, private
from tests.services.redis import RedisNode

URL = "GCC_TEST_REDIS_URL"


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisNode]:
    """The private server of this process."""
    yield from private(RedisNode, URL)


@pytest.fixture
def redis_node(redis_server: RedisNode) -> Iterator[RedisNode]:
    """The private server, to kill (`kill`, `start`) and to stop for a while (`pause`, `resume`)."""
    yield from healed(redis_server)


@pytest.fixture
def redis(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty database."""
    if URL in os.environ:
        url = os.environ[URL]
    else:
        node: RedisNode = request.getfixturevalue("redis_server")
        trio.run(node.heal)
        url = node.url
    with redis_py.Redis.from_url(url) as client:
        client.flushdb()
    yield url


@pytest.fixture
def old_redis(redis: str) -> str:
    """The URL of one that has been up for long: one that has just started grants nothing."""
    with redis_py.Redis.from_url(redis) as client:
        while client.info("server")["uptime_in_seconds"] < 3:
            time.sleep(0.02)
    return redis
