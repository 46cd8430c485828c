"""How clients of ClickHouse are opened, and the settings they carry. Runs in a worker thread.

In: a folder of the embedded engine, or a server's URL. Out: clients of clickhouse-connect, which is the
same interface to both. A folder that is in use, not writable or otherwise refused is a ConfigError that
names it; errors of a server pass unchanged. When one client cannot be opened, those before it are closed.
"""

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ProgrammingError

from gcc.errors import ConfigError

CONNECT_S = 5
_MB = 1 << 20

# The engine shares a process (below 1 GB) with everything else: it starts at 300 MB, may allocate this much
# more, and spills to disk before that. A query that needs more fails as Transient; run a server for such data.
_ENGINE = {
    "max_server_memory_usage": 420 * _MB,
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


class Opener:
    """Opens clients of one ClickHouse; `query_s_max` is the engine's limit for each of their queries."""

    def __init__(self, target: str | Path, *, query_s_max: float) -> None:
        server = isinstance(target, str) and target.startswith(("http://", "https://"))
        self.url = str(target) if server else ""
        self.folder = None if server else Path(target).absolute()  # of the embedded engine
        self._query_s_max = query_s_max

    def open(self, sizes: Mapping[str, int]) -> dict[str, list[Client]]:
        """So many clients of each kind ("writers", "readers", ...). Raises ConfigError or the driver's error."""
        opened: dict[str, list[Client]] = {kind: [] for kind in sizes}
        try:
            for kind, size in sizes.items():
                while len(opened[kind]) < size:
                    opened[kind].append(self._client(_READ if kind == "readers" else {}))
        except Exception:
            for client in [client for members in opened.values() for client in members]:
                client.close()
            raise
        return opened

    def _client(self, extra: Mapping[str, Any]) -> Client:
        settings = {
            "async_insert": 0,  # on by default; it would answer before the rows are stored
            "max_execution_time": self._query_s_max,
            "session_timezone": "UTC",  # now() and today() do not depend on where the process runs
            **extra,
        }
        if self.folder:
            return _embedded(self.folder, {**settings, **_EMBEDDED_QUERY})
        try:
            return self._connected(settings)
        except (TypeError, ProgrammingError):  # it holds its text, which holds what follows
            if "?" not in self.url:
                raise
        raise ConfigError("clickhouse.url: what follows its '?' are no options of a connection; remove them")

    def _connected(self, settings: dict[str, Any]) -> Client:
        return clickhouse_connect.get_client(
            interface=self.url.partition(":")[0],
            dsn=self.url,
            settings=settings,
            tz_mode="aware",
            connect_timeout=CONNECT_S,
            send_receive_timeout=int(self._query_s_max) + CONNECT_S,
            query_retries=0,  # retrying is the caller's business
            autogenerate_session_id=False,  # a session would pin one server of a cluster
            dedicated_pool=True,
        )


def _embedded(folder: Path, settings: dict[str, Any]) -> Client:
    if "?" in str(folder):
        raise ConfigError(f"ClickHouse folder {folder} has a '?' in its name, which the engine cannot open")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"ClickHouse folder {folder} cannot be made: {error.strerror}") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(f"ClickHouse folder {folder} is not writable")
    try:
        return clickhouse_connect.get_client(
            interface="chdb", path=str(folder), chdb_options=_ENGINE, settings=settings, tz_mode="aware"
        )
    except ProgrammingError as error:
        raise ConfigError(_reason(folder, str(error))) from error


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
