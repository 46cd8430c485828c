"""Connection strings of PostgreSQL, as people write them: what they mean, and what may be shown of them.

In: the string of a setting. Out: its parts over our defaults, the place as people may see it, or ConfigError, without
its text: it holds a password.
"""

import os
import re
from contextlib import suppress
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import PGconn

from gcc.errors import ConfigError
from gcc.passwords import HIDDEN, is_host, is_odd, odd, passwords, shown

# A peer that vanished without a word is noticed after about a minute, in a query or between queries.
_TCP = {"keepalives_idle": "30", "keepalives_interval": "10", "keepalives_count": "3", "tcp_user_timeout": "60000"}

_IMPOSSIBLE = re.compile(rb'invalid (?:integer value .* for connection option "(?P<option>\w+)"|(?P<name>\w+))')
_URL = ("postgresql://", "postgres://")
_TEXTS = {"client_encoding": "utf8"}
"""As statements and values are written, whatever the database's is."""
_WHOLE = frozenset({"connect_timeout", "keepalives", *_TCP})


def parameters(conninfo: str, key: str = "postgres.url") -> dict[str, Any]:
    """The parts of a connection string of people's, the setting `key`, as `read_parts`. ConfigError: one of them
    cannot be meant.

    A password may stand where a host or the database should, see gcc/passwords.py. Of keywords, where nothing is
    percent-encoded, only what looks like one is refused: host=h,password=...
    """
    found = written = read_parts(conninfo, key)
    is_url = conninfo.startswith(_URL)
    if is_url:  # as it stands before decoding: what is encoded is meant
        with suppress(psycopg.ProgrammingError):  # a name in its query is encoded, too
            written = conninfo_to_dict(conninfo.replace("%", "%25"))
    for name, part in (("host", "host"), ("hostaddr", "host"), ("dbname", "database")):
        for piece in _several(written.get(name)):
            if passwords(piece) or (is_url and (_is_odd_host if part == "host" else is_odd)(piece)):
                raise ConfigError(f"{key} {odd(part)}")
    if not all(host.startswith(("/", "@")) or is_host(host) for host in _several(found.get("host"))):
        raise ConfigError(f"{key} has no possible host; write postgresql://host:5432/database?option=value")
    return found


def odd_parts(parameters: dict[str, Any]) -> set[str]:
    """What people may not see of them, nor of what a server repeats."""
    return {piece for value in parameters.values() for piece in (str(value), *_several(value)) if is_odd(piece)}


def read_parts(conninfo: str, key: str = "postgres.url") -> dict[str, Any]:
    """The connection string's parts over our defaults. ConfigError (without its text: it holds a password).

    Of several hosts the one that takes writes is meant, if nothing else is said.
    """
    try:
        given = conninfo_to_dict(conninfo)
    except psycopg.ProgrammingError:
        raise ConfigError(f"{key} is no PostgreSQL connection string; write postgresql://host/database") from None
    several = "," in str(given.get("host") or given.get("hostaddr") or "")
    found = {**_TCP, **({"target_session_attrs": "read-write"} if several else {}), **given, **_TEXTS}
    if wrong := _impossible(found):
        raise ConfigError(f"{key} has no possible {wrong}; write postgresql://host:5432/database?option=value")
    return found


def _impossible(parameters: dict[str, Any]) -> str | None:
    """The port or option with which libpq would not even begin: no server could mend that, so it is not waited for."""
    for name in _WHOLE.intersection(parameters):  # libpq reads them when a server has answered
        if not re.fullmatch(r"\s*[+-]?\d{1,9}\s*", str(parameters[name])):
            return name
    local = {name: value for name, value in parameters.items() if name not in ("host", "hostaddr")}
    for port in str(parameters.get("port") or "").split(","):
        begun = PGconn.connect_start(make_conninfo("", **{**local, "host": os.devnull, "port": port}).encode())
        refused = _IMPOSSIBLE.match(begun.error_message)
        begun.finish()
        if refused:
            return (refused["option"] or refused["name"]).decode()
    return None


def _several(hosts: Any) -> list[str]:
    return [host for host in str(hosts or "").split(",") if host]


def _is_odd_host(host: str) -> bool:
    return bool(passwords(host)) if host.startswith("/") else is_odd(host)  # a socket's folder has any name


def place(parameters: dict[str, Any]) -> str:
    """Where a connection leads, for people: no user, no password."""
    hosts = _several(parameters.get("host") or parameters.get("hostaddr")) or ["the local socket"]
    told = ",".join(HIDDEN if _is_odd_host(host) else host for host in hosts)
    return f"postgres at {told}:{parameters.get('port') or 5432}/{shown(str(parameters.get('dbname') or ''))}"
