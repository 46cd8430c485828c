"""Fixtures come from the plugins below, one file a part of the world they stand for."""

from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

settings.register_profile("gcc", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # machines may be busy
settings.load_profile("gcc")

pytest_plugins = [
    "tests.fixtures_postgres",
    "tests.fixtures_clickhouse",
    "tests.fixtures_rabbitmq",
    "tests.fixtures_redis",
    "tests.fixtures_s3",
]


@pytest.fixture(autouse=True)
def _logging_of_its_own() -> Iterator[None]:
    """A test that sets the logs up, as a verb does, leaves them to no other: their stream would be closed by then."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)
