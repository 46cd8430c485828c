"""A real Redis for tests: `redis` is its URL, redis://127.0.0.1:port/0, of a database emptied before each test.

`redis_node` is the server itself, for tests that kill or pause it; the next test finds it well again. Each pytest
process has one of its own. GCC_TEST_REDIS_URL names one from outside: its database is EMPTIED, too, so give it a
number that nobody else uses, and another one to each worker.
"""

import os
from collections.abc import Iterator

import pytest
import redis as redis_py
import trio

from tests.services.child import Missing
from tests.services.redis import RedisNode

URL = "GCC_TEST_REDIS_URL"


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisNode]:
    """The private server of this process."""
    if URL in os.environ:
        pytest.skip(f"{URL} names a server that is not ours to kill; unset it to run this test")
    try:
        node = RedisNode()
    except Missing as missing:
        pytest.skip(str(missing))
    try:
        trio.run(node.start)
        yield node
    finally:
        node.close()


@pytest.fixture
def redis_node(redis_server: RedisNode) -> Iterator[RedisNode]:
    """The private server, to kill (`kill`, `start`) and to stop for a while (`pause`, `resume`)."""
    trio.run(redis_server.heal)
    yield redis_server
    if redis_server.alive:  # else the next test that needs it starts it
        trio.run(redis_server.heal)


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
