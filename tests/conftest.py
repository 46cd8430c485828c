"""Fixtures come from the plugins below, one file a part of the world they stand for."""

pytest_plugins = [
    "tests.fixtures_postgres",
    "tests.fixtures_clickhouse",
    "tests.fixtures_rabbitmq",
    "tests.fixtures_redis",
    "tests.fixtures_s3",
]
