"""A platform for tests of the ops port: modules that use it name this file in `pytest_plugins`."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.ops_platform import Port, World, ops_port


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    world.close()


@pytest.fixture
async def port(world: World) -> AsyncIterator[Port]:
    async with ops_port(world) as port:
        yield port
