"""A real RabbitMQ for tests: `rabbitmq` is the amqp URL of a fresh vhost, dropped after the test.

`rabbitmq_node` is the broker itself, for tests that kill, pause or starve it; the next test finds it well again. Its
`http_url` is its management plugin's, to look at queues and to close connections.

Each pytest process has a broker of its own, started by the first test that needs one: with one for all workers, a
test that kills it would fail the tests of its neighbours. GCC_TEST_RABBITMQ_URL (amqp://USER:PASSWORD@HOST:PORT)
names a broker from outside; its vhosts are made through its management plugin, at GCC_TEST_RABBITMQ_HTTP_URL or at
port 15672 of the same host, by the same user, who must be an administrator. Nothing else in it is touched.
"""

import os
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import trio

from tests.services.private import healed, private
from tests.services.rabbitmq import RabbitMQNode, Vhosts

URL, HTTP_URL = "GCC_TEST_RABBITMQ_URL", "GCC_TEST_RABBITMQ_HTTP_URL"


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RabbitMQNode]:
    """The private broker of this process."""
    yield from private(RabbitMQNode, URL)


@pytest.fixture
def rabbitmq_node(rabbitmq_server: RabbitMQNode) -> Iterator[RabbitMQNode]:
    """The private broker, to kill (`kill`, `start`), to stop for a while (`pause`, `resume`), to fill its memory."""
    yield from healed(rabbitmq_server)


@pytest.fixture
def rabbitmq(request: pytest.FixtureRequest) -> Iterator[str]:
    """amqp://user:password@127.0.0.1:port/vhost of a vhost that is the test's alone."""
    if URL in os.environ:
        yield from _elsewhere(os.environ[URL])
        return
    node: RabbitMQNode = request.getfixturevalue("rabbitmq_server")
    trio.run(node.heal)
    url = node.vhosts.add()
    yield url
    if node.alive:  # else it lies in the folder, with which it goes
        trio.run(node.heal)
        node.vhosts.drop(url)


def _elsewhere(given: str) -> Iterator[str]:
    parts = urlsplit(given)
    login = parts.netloc.rpartition("@")[0]
    http = os.environ.get(HTTP_URL, f"http://{login}@{parts.hostname}:15672")
    vhosts = Vhosts(f"{parts.scheme}://{parts.netloc}", http)
    try:
        url = vhosts.add()
        yield url
        vhosts.drop(url)
    finally:
        vhosts.close()
