"""What to do about an error of ClickHouse: try again (Transient), give up (Permanent), refuse to start.

In: exceptions of clickhouse-connect and of its transport. Out: ours, raised from them, in one line that
says what was asked, ClickHouse's code and its reason.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from clickhouse_connect.driver.exceptions import ClickHouseError, DataError, NotSupportedError, ProgrammingError
from urllib3.exceptions import HTTPError

from gcc.errors import ConfigError, GccError, Permanent, Transient

MESSAGE_CHARS_MAX = 500

TRANSIENT = {
    3: "UNEXPECTED_END_OF_FILE",
    24: "CANNOT_WRITE_TO_OSTREAM",
    74: "CANNOT_READ_FROM_FILE_DESCRIPTOR",
    75: "CANNOT_WRITE_TO_FILE_DESCRIPTOR",
    76: "CANNOT_OPEN_FILE",
    95: "CANNOT_READ_FROM_SOCKET",
    96: "CANNOT_WRITE_TO_SOCKET",
    159: "TIMEOUT_EXCEEDED",
    160: "TOO_SLOW",
    164: "READONLY",
    173: "CANNOT_ALLOCATE_MEMORY",
    192: "UNKNOWN_USER",
    193: "WRONG_PASSWORD",
    194: "REQUIRED_PASSWORD",
    198: "DNS_ERROR",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    203: "NO_FREE_CONNECTION",
    204: "CANNOT_FSYNC",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    225: "NO_ZOOKEEPER",
    236: "ABORTED",
    241: "MEMORY_LIMIT_EXCEEDED",
    242: "TABLE_IS_READ_ONLY",
    243: "NOT_ENOUGH_SPACE",
    252: "TOO_MANY_PARTS",
    279: "ALL_CONNECTION_TRIES_FAILED",
    285: "TOO_FEW_LIVE_REPLICAS",
    286: "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE",
    290: "LIMIT_EXCEEDED",
    319: "UNKNOWN_STATUS_OF_INSERT",
    341: "UNFINISHED",
    394: "QUERY_WAS_CANCELLED",
    425: "SYSTEM_ERROR",
    439: "CANNOT_SCHEDULE_TASK",
    473: "DEADLOCK_AVOIDED",
    497: "ACCESS_DENIED",
    499: "S3_ERROR",
    516: "AUTHENTICATION_FAILED",
    999: "KEEPER_EXCEPTION",
    1002: "UNKNOWN_EXCEPTION",
}
"""Codes after which the same request may succeed. Among them are those that say nothing about the data:
good events are not dead-lettered because a disk is full or a grant is missing."""

STD_EXCEPTION = 1001
"""The engine's own failure where it speaks of the filesystem (no room for a directory), else perhaps the data's."""

REFUSED = {
    81: "UNKNOWN_DATABASE",
    192: "UNKNOWN_USER",
    193: "WRONG_PASSWORD",
    194: "REQUIRED_PASSWORD",
    516: "AUTHENTICATION_FAILED",
}
"""Codes that waiting does not mend when a process starts."""


@contextmanager
def translated(what: str, *, starting: bool = False) -> Iterator[None]:
    """Errors of the driver and its transport leave the block as ours; `starting` makes REFUSED a ConfigError."""
    try:
        yield
    except (ClickHouseError, HTTPError, OSError) as error:
        raise judged(error, what, starting=starting) from error


def judged(error: Exception, what: str, *, starting: bool = False) -> GccError:
    """Errors without a code come from the transport, or from wrong use of the driver."""
    code = getattr(error, "code", None)
    reason = str(error).partition("\n")[0].rpartition("DB::Exception: ")[2] or type(error).__name__
    message = f"ClickHouse, {what}: {f'code {code}: ' if code else ''}{reason}"[:MESSAGE_CHARS_MAX]
    if starting and code in REFUSED:
        return ConfigError(f"clickhouse.url: {message}")
    wrong_use = isinstance(error, (ProgrammingError, DataError, NotSupportedError))
    filesystem = code == STD_EXCEPTION and "filesystem error" in reason
    permanent = code not in TRANSIENT and not filesystem if code else wrong_use
    return Permanent(message) if permanent else Transient(message)
