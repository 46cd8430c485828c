"""`doctor` on a real Redis: what it says of it, and what it finds wrong."""

from collections.abc import Iterator

import pytest
import redis as redis_py

from gcc.cli import checkup_redis
from gcc.clock import SystemClock
from gcc.config import Settings
from tests.services.redis import RedisNode

SECRET = "hunter2-of-redis"


@pytest.fixture
def client(redis: str) -> Iterator[redis_py.Redis]:
    with redis_py.Redis.from_url(redis, decode_responses=True) as client:
        before = client.config_get("maxmemory-policy", "appendonly")
        yield client
        for name, value in before.items():
            client.config_set(name, value)


async def found(url: str, **settings: object) -> dict[str, tuple[str, str]]:
    """name -> (state, what was found)"""
    told = Settings.model_validate({"redis": {"url": url}, **settings})
    findings = await checkup_redis.examine(told, SystemClock(), 10.0)
    return {finding.name: (finding.state, f"{finding.found} {finding.mend}") for finding in findings}


async def test_one_that_is_well(redis: str) -> None:
    findings = await found(redis)
    assert {name: state for name, (state, _) in findings.items()} == {
        "redis": "ok", "redis clock": "ok", "redis memory": "ok",
    }  # fmt: skip
    assert "version" in findings["redis"][1] and "127.0.0.1" in findings["redis"][1]


async def test_one_that_evicts_and_forgets(redis: str, client: redis_py.Redis) -> None:
    day = {"sources": {"ytapi": {"calls": 100, "per_s": 86_400}}}
    client.config_set("maxmemory-policy", "allkeys-lru")
    findings = await found(redis, **day)
    assert findings["redis memory"][0] == "warn" and "allkeys-lru" in findings["redis memory"][1]
    assert findings["redis disk"][0] == "warn" and "ytapi" in findings["redis disk"][1]
    client.config_set("appendonly", "yes")
    assert "redis disk" not in await found(redis, **day)


async def test_one_that_is_away_or_refuses(redis: str, redis_node: RedisNode) -> None:
    with_password = redis.replace("//", f"//me:{SECRET}@")
    for break_it in (lambda: None, redis_node.kill):
        break_it()
        findings = await found(with_password)
        assert findings["redis"][0] == "fail" and "redis at 127.0.0.1" in findings["redis"][1]
        assert SECRET not in str(findings)


async def test_without_one_nothing_is_said() -> None:
    assert await found("") == {}
