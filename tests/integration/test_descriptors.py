"""The limit of open files: raised to what the machine allows, and named where that is too little."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from gcc.cli import descriptors
from gcc.config import Settings
from tests.process import command, platform


def started_with(limits: tuple[int, int], words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["prlimit", f"--nofile={limits[0]}:{limits[1]}", *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_limit_below_what_the_settings_need_is_refused_with_the_number(tmp_path: Path) -> None:
    words = command("run", tmp_path / "data", settings=("redis.url=redis://127.0.0.1:1", "redis.connections=200"))
    ended = started_with((256, 256), words)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.startswith("gcc: this process may open 256 files and needs 534 (")
    assert "Redis 200" in ended.stderr
    assert "ulimit -n 534" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_a_soft_limit_is_raised_as_far_as_the_hard_one_allows() -> None:
    program = (
        "import json, resource; from gcc.config import Settings; from gcc.cli.descriptors import allow_files\n"
        "allow_files(Settings()); print(json.dumps(resource.getrlimit(resource.RLIMIT_NOFILE)))"
    )
    ended = started_with((256, 700), [sys.executable, "-c", program])
    assert json.loads(ended.stdout) == [700, 700]


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({}, {"itself": 50, "PostgreSQL": 24, "ClickHouse": 64, "calls": 100, "ports": 64}),
        (
            {"roles": ["relay"], "exchange": {"url": "amqp://x"}, "clickhouse": {"url": "http://x", "readers": 8}},
            {"itself": 50, "PostgreSQL": 24, "ClickHouse": 11, "RabbitMQ": 3, "ports": 32},
        ),
    ],
)
def test_what_is_needed_is_what_the_settings_name(settings: dict[str, object], parts: dict[str, int]) -> None:
    assert descriptors.needed(Settings.model_validate(settings)) == parts


async def test_a_running_platform_has_the_hard_limit(tmp_path: Path) -> None:
    async with platform(tmp_path / "data", "world.creators=1", "world.history_days=0") as running:
        soft, hard = resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE)
        assert soft == hard
        assert await running.stop() == 0
