"""What no setting may be, whatever it is for: refused before anything else is made of it.

In: a tree of what was given (a file's, a variable's, an override's) and its origin. ConfigError names the origin, and
repeats nothing that could be secret.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from gcc.errors import ConfigError
from gcc.passwords import passwords

DEV_TOKEN = "gcc-dev"
"""The token of the embedded config. It may stand in a file because it opens only loopback."""
NESTED_MAX = 10
"""More than any setting is; what walks through settings recurses."""
NUMBER_BITS_MAX = 1000
"""More than any setting has; of some 14,000 on, Python refuses to print it."""
ORIGIN_CHARS_MAX = 200

_SECRETS = {
    "access_key",
    "secret_key",
    "tokens",
    "dev_token",
    "keys",
    "jwt_secret",
    "token",
    "client_secret",
    "password",
}
_NAME = re.compile(r"[\w. -]*")


def refuse_extremes(values: dict[str, Any], origin: str) -> None:
    """What Python can read and not walk through, or not print again. `origin` may be as long as a variable's name."""
    level: list[Any] = [values]
    for _ in range(NESTED_MAX):
        level = [
            below
            for value in level
            if isinstance(value, dict | list)
            for below in (value.values() if isinstance(value, dict) else value)
        ]
        if any(isinstance(value, int) and value.bit_length() > NUMBER_BITS_MAX for value in level):
            raise ConfigError(f"{origin[:ORIGIN_CHARS_MAX]} holds a number of too many digits; mend or remove it")
    if level:
        raise ConfigError(f"{origin[:ORIGIN_CHARS_MAX]} is nested too deeply, as no setting is; mend or remove it")


def refuse_odd_names(values: dict[str, Any], origin: str, section: str = "") -> None:
    """An address in the place of a name would be repeated with its password."""
    for name, value in values.items():
        if not _NAME.fullmatch(name):
            where = f"{section} in {origin}" if section else origin
            raise ConfigError(f"{where}: a name holds more than letters, digits, '_', '-' and '.'; mend or remove it")
        if isinstance(value, dict):
            refuse_odd_names(value, origin, f"{section}.{name}".strip("."))


def refuse_secrets(values: dict[str, Any], origin: str) -> None:
    """Secrets stand in the environment only, the loopback dev token apart."""
    for path, value in _leaves(values):
        key = ".".join(path)
        if passwords(value) or (path[-1] == "base_url" and "@" in value):
            raise ConfigError(f"{origin}: {key} holds a password; put the whole of it into {_variable(path)} instead")
        if {*path} & _SECRETS and value and (key, value) != ("web.dev_token", DEV_TOKEN):
            raise ConfigError(f"{origin}: {key} is secret; put it into {_variable(path)} instead")


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """(path, text) of every value in a tree of settings; the members of a list stand at its own."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield from _leaves(member, (*path, str(key)))
    elif isinstance(value, list):
        for member in value:
            yield from _leaves(member, path)
    elif path:
        yield path, str(value)


def _variable(path: Sequence[str]) -> str:
    return "GCC_" + "__".join(path).upper().replace("-", "_")
