"""Fixtures come from the plugins below, one file a part of the world they stand for.

What the tests write lies in memory where there is room for it: they make and remove some thousand databases and
folders, and ext4 looks ever longer for a name's place the more files were removed within minutes.
"""

import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings
from structlog import processors

settings.register_profile("gcc", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # machines may be busy
settings.load_profile("gcc")

_PLAIN = [processors.add_log_level, processors.format_exc_info, processors.JSONRenderer()]
structlog.configure(processors=_PLAIN)  # the default draws each traceback in colours with all its variables: 0.3 s

MEMORY = "/dev/shm"
ROOM_BYTES = 6 << 30
if "TMPDIR" not in os.environ and os.path.isdir(MEMORY) and shutil.disk_usage(MEMORY).free > ROOM_BYTES:
    os.environ["TMPDIR"] = MEMORY
    tempfile.tempdir = None  # who has asked for it already asks again

# Of the hundreds of platforms and verbs that are started here, each would compile all of gcc again; and each run all
# tests, with what pytest writes into their assertions, a quarter of a minute.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

pytest_plugins = [
    "tests.fixtures_postgres",
    "tests.fixtures_clickhouse",
    "tests.fixtures_rabbitmq",
    "tests.fixtures_redis",
    "tests.fixtures_s3",
    "tests.fixtures_chromium",
    "tests.fixtures_identity",
]


@pytest.fixture(autouse=True)
def _logging_of_its_own() -> Iterator[None]:
    """A test that sets the logs up, as a verb does, leaves them to no other: their stream would be closed by then."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def pytest_collection_finish() -> None:
    """Modules and tests stay to the end: the collector need not walk them again and again, as in gcc/cli/run.py."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 20, 20)
