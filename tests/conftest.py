"""Fixtures come from the plugins below, one file a part of the world they stand for."""

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
