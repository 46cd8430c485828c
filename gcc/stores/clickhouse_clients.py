"""How clients of ClickHouse are opened, and the settings they carry. Runs in a worker thread.

In: a folder of the embedded engine, or a server's URL. Out: clients of clickhouse-connect, which is the
same interface to both. A folder that is in use, not writable or otherwise refused is a ConfigError that
names it; errors of a server pass unchanged, the driver's own without what the URL holds. When one client cannot be
opened, those before it are closed.
"""

import fcntl
import importlib
import os
import resource
from collections.abc import Mapping
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ProgrammingError
from clickhouse_connect.driver.httpclient import HttpClient

from gcc.errors import ConfigError
from gcc.passwords import encoded, masked

CONNECT_S = 5
ADDRESS_BYTES_MIN = 2 << 30
"""With fewer no start of the embedded engine, on two processors, came to its end."""
_MB = 1 << 20

# The engine shares a process (below 1 GB) with everything else: it starts at 300 MB, may allocate this much
# more, and as much as the models that are built at once may have, and spills to disk before that. A query that needs
# more fails as Transient; run a server for such data.
_ENGINE_MEMORY_MB = 420
_ENGINE = {
    "mark_cache_size": 16 * _MB,
    "primary_index_cache_size": 16 * _MB,
    "index_mark_cache_size": 4 * _MB,
    "query_condition_cache_size": 4 * _MB,
    "compiled_expression_cache_size": 8 * _MB,
    "background_pool_size": 2,
}

_EMBEDDED_QUERY = {
    "max_threads": 2,
    "max_memory_usage": 300 * _MB,
    "max_bytes_before_external_group_by": 100 * _MB,
    "max_bytes_before_external_sort": 100 * _MB,
}
_READ = {
    "date_time_output_format": "iso",  # of text formats: streams carry times with their zone
    "max_block_size": 8192,  # rows: bounds what a stream holds
}

_NO_OPTIONS = {
    "interface", "host", "port", "username", "password", "database", "settings",  # stand elsewhere
    "token_provider", "pool_mgr", "headers",  # no text
    "dedicated_pool", "tz_mode", "rename_response_column",  # ours
}  # fmt: skip
_OPTIONS = frozenset({*signature(HttpClient).parameters, "user", "user_name", "compression"} - _NO_OPTIONS)


@dataclass(frozen=True)
class Builds:
    """What builds models, with clients of its own: so many statements at once, each within these bounds.

    Their settings are the clients' own: given with each statement, they cost milliseconds.
    """

    at_once: int = 2
    threads: int = 1
    memory_mb: int = 1500
    spill_mb: int = 1000  # above, groups go to disk; sorts from an eighth on
    query_s_max: float = 600.0

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "join_use_nulls": 1,  # what an outer join does not find is null, not 0 or ''
            "do_not_merge_across_partitions_select_final": 1,  # a key is in one partition: FINAL looks at each alone
            "optimize_move_to_prewhere_if_final": 1,  # of the key alone: fewer versions to compare
            "optimize_aggregation_in_order": 0,  # over FINAL it takes 2.5 times as long
            "optimize_read_in_window_order": 1,  # a window over a table as it lies keeps nothing and sorts nothing
            # Each block becomes a part, and parts are merged again: as few as leave a statement its memory.
            "min_insert_block_size_rows": 1 << 20,
            "min_insert_block_size_bytes": self.memory_mb * _MB // 32,
            "optimize_on_insert": 0,  # looking for doubled keys, which no SELECT makes, takes as long as writing
            "max_partitions_per_insert_block": 400,
            "max_threads": self.threads,
            "max_memory_usage": self.memory_mb * _MB,
            "max_bytes_before_external_group_by": self.spill_mb * _MB,
            # Of ranks one sort follows another, and both hold all rows for a while, beside what was joined before.
            "max_bytes_before_external_sort": self.spill_mb * _MB // 8,
        }


class Opener:
    """Opens clients of one ClickHouse; `query_s_max` is the engine's limit for each of their queries, but builds."""

    def __init__(self, target: str | Path, *, query_s_max: float, builds: Builds = Builds()) -> None:
        server = isinstance(target, str) and target.startswith(("http://", "https://"))
        self.url = str(target) if server else ""
        self.folder = None if server else Path(target).absolute()  # of the embedded engine
        self._query_s_max = query_s_max
        self._builds = builds

    def open(self, sizes: Mapping[str, int]) -> dict[str, list[Client]]:
        """So many clients of each kind ("writers", "readers", ...). Raises ConfigError or the driver's error."""
        opened: dict[str, list[Client]] = {kind: [] for kind in sizes}
        try:
            for kind, size in sizes.items():
                while len(opened[kind]) < size:
                    opened[kind].append(self._client(kind))
        except Exception:
            for client in [client for members in opened.values() for client in members]:
                client.close()
            raise
        return opened

    def query_s_max(self, kind: str) -> float:
        return self._builds.query_s_max if kind == "builders" else self._query_s_max

    def _client(self, kind: str) -> Client:
        query_s_max = self.query_s_max(kind)
        own = {"readers": _READ, "builders": self._builds.settings}.get(kind, {})
        settings = {
            "async_insert": 0,  # on by default; it would answer before the rows are stored
            "max_execution_time": query_s_max,
            "session_timezone": "UTC",  # now() and today() do not depend on where the process runs
        }
        if self.folder:
            memory_mb = _ENGINE_MEMORY_MB + self._builds.at_once * self._builds.memory_mb
            engine = {**_ENGINE, "max_server_memory_usage": memory_mb * _MB}
            return _embedded(self.folder, engine, {**settings, **_EMBEDDED_QUERY, **own})
        settings |= own
        values = _values(self.url)
        try:
            return clickhouse_connect.get_client(
                interface=self.url.partition(":")[0],
                dsn=self.url,
                settings=settings,
                tz_mode="aware",
                connect_timeout=CONNECT_S,
                send_receive_timeout=int(query_s_max) + CONNECT_S,
                query_retries=0,  # retrying is the caller's business
                autogenerate_session_id=False,  # a session would pin one server of a cluster
                dedicated_pool=True,
            )
        except ProgrammingError as error:  # of a value that it cannot use, or a setting that the server keeps
            reason = masked(str(error), encoded(self.url), words=values)
        raise ProgrammingError(reason)  # without the other, which holds what is masked


def _values(url: str) -> set[str]:
    """The values of the options in a URL. ConfigError: one of them is none."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    users = {"user", "user_name"}.intersection(options)
    doubled = len(users) + (parts.username is not None) > 1 or {"compress", "compression"} <= {*options}
    if doubled or not _OPTIONS.issuperset(options):  # unnamed: they may be of a password with a '?'
        raise ConfigError("clickhouse.url: what follows its '?' are no options of a connection; remove them")
    return set(options.values())


def _embedded(folder: Path, engine: dict[str, int], settings: dict[str, Any]) -> Client:
    if "?" in str(folder):
        raise ConfigError(f"ClickHouse folder {folder} has a '?' in its name, which the engine cannot open")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"ClickHouse folder {folder} cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"ClickHouse folder {folder} is not writable")
    require_engine()
    try:
        return clickhouse_connect.get_client(
            interface="chdb", path=str(folder), chdb_options=engine, settings=settings, tz_mode="aware"
        )
    except (ProgrammingError, RuntimeError, ValueError, MemoryError) as error:
        raise ConfigError(_reason(folder, str(error))) from error


def require_engine() -> None:
    """Load the embedded engine, which starts for a moment as it is loaded. ConfigError: it cannot here.

    chdb says of whatever goes wrong that it is not installed: the cause is in what it met before. Where it has too few
    addresses, it or a library beside it ends the process.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < ADDRESS_BYTES_MIN:
        raise ConfigError(
            f"the embedded ClickHouse (chdb) does not start here: a process may have {limit >> 20} MiB of addresses,"
            f" and it takes more than {ADDRESS_BYTES_MIN >> 20}; raise that (ulimit -v), or set clickhouse.url"
        )
    try:
        importlib.import_module("chdb")
    except Exception as error:
        cause: BaseException = error
        while cause.__context__ is not None:
            cause = cause.__context__
        why = str(cause).partition("\n")[0][:300] or type(cause).__name__
        raise ConfigError(
            f"the embedded ClickHouse (chdb) does not start here: {why}; if it speaks of no other cause, set the"
            " variable TZ to a name such as UTC, raise the limits of memory and threads, or set clickhouse.url"
        ) from error


def _reason(folder: Path, error: str) -> str:
    """The engine says only that it failed; its lock on the folder's `status` file tells the usual reason."""
    if "already initialized with path" in error:
        return f"ClickHouse folder {folder}: this process has another folder open, and there is one engine a process"
    try:
        with (folder / "status").open("rb+") as status:
            fcntl.flock(status, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return f"ClickHouse folder {folder} is in use by another process; stop that one first"
    except OSError:
        pass
    return f"ClickHouse folder {folder} cannot be opened: {error.partition(chr(10))[0][:300]}"
