"""Settings: one TOML file, the environment for secrets, `--set` for the rest, checked whole.

Order, later wins: defaults here, the file, `GCC_<KEY>__<SUB>` variables, `--set key.sub=value`.
Unknown keys, wrong types and contradictions refuse to start with one sentence (`ConfigError`).
Read once; what changes while running is a row in PostgreSQL, never this.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pydantic

from gcc.config.paths import whole_path
from gcc.config.sections import (
    OBJECTS_URL,
    Alerts,
    Bind,
    Gateway,
    Kept,
    Limits,
    RateClass,
    RateNumbers,
    Scraper,
    Settings,
    SinkerOverride,
    Source,
    Web,
    Webhooks,
    World,
    is_loopback,
)
from gcc.errors import ConfigError
from gcc.refusals import NESTED_MAX, refuse_extremes, refuse_odd_names, refuse_secrets

_BEARS_SECRETS = re.compile(r"url|token|secret|_key|keys")  # a wrong value of theirs is not repeated
_KEY = re.compile(rf"[\w-]+(\.[\w-]+){{,{NESTED_MAX}}}")
_REPEATED = re.compile(r"\(.*\)|'..+'|\"..+\"", re.DOTALL)
_ADDRESS = re.compile(r"[@=]|//")

__all__ = [
    "OBJECTS_URL", "Alerts", "Bind", "Gateway", "Kept", "Limits", "RateClass", "RateNumbers", "Scraper",
    "Settings", "SinkerOverride", "Source", "Web", "Webhooks", "World", "is_loopback", "load", "tokens_variable",
    "whole_path",
]  # fmt: skip


def load(
    file: Path | None,
    *,
    overrides: Sequence[str] = (),
    data_dir: Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Settings from `file`, then GCC_* variables, then `overrides` ("key.sub=value"); checked whole.

    Raises ConfigError naming the key, where it was set and what to do; never with a value that could be secret.
    """
    given = _Given(str(file) if file else "the defaults", _read(file) if file else {})
    refuse_extremes(given.values, f"config file {file}")
    refuse_odd_names(given.values, str(file))
    refuse_secrets(given.values, str(file))
    for name, text in sorted(environ.items()):
        if name.startswith("GCC_") and not name.startswith("GCC_TEST_"):  # those are told to the tests
            origin = "a variable GCC_..." if _ADDRESS.search(name) else name
            given.put(path := _named(name), _value(path, text), origin=origin)
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not _KEY.fullmatch(key.strip()):  # not repeated: who knows what it holds
            raise ConfigError("--set takes KEY.SUB=VALUE, such as --set ops.port=8010; what was given is not so")
        given.put(path := key.strip().split("."), value := _value(path, text), origin=f"--set {key.strip()}")
        refuse_secrets(_nested(path, value), f"--set {key.strip()}")
    if data_dir is not None:
        given.put(["data_dir"], str(data_dir), origin="--data")
    try:
        settings = Settings.model_validate(given.values)
    except pydantic.ValidationError as error:
        raise ConfigError(given.sentence(error)) from None
    settings._told_by, settings._start = given.told_by, (file and file.resolve(), tuple(overrides))
    return settings


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"config file {file} does not exist; pass --config FILE") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"config file {file} cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        why, at, where = str(error).rpartition(" (at ")
        why = _REPEATED.sub("...", why)  # a name, which may be anything
        raise ConfigError(f"config file {file} is not valid TOML: {why}{at}{where}") from None
    except ValueError:
        raise ConfigError(f"config file {file} holds a number of too many digits; mend or remove it") from None
    except RecursionError:
        raise ConfigError(f"config file {file} is nested too deeply") from None


class _Given:
    """The layers so far, merged, and who set what: `file`, where nobody else has."""

    def __init__(self, file: str, values: dict[str, Any]) -> None:
        self.values = values
        self._file = file
        self._origins: dict[tuple[str, ...], str] = {}

    def put(self, path: list[str], value: Any, *, origin: str) -> None:
        nested = _nested(path, value)
        refuse_extremes(nested, origin)
        refuse_odd_names(nested, origin)
        node = self.values
        for number, part in enumerate(path[:-1], start=1):
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                _, whose = self._whose(tuple(path[:number]))
                raise ConfigError(f"{origin}: {part!r} is a value (set in {whose}), not a section; set one of the two")
        node[path[-1]] = value
        self._origins[tuple(path)] = origin

    @property
    def told_by(self) -> str:
        """The file and who else set something, by name."""
        return ", ".join([self._file, *sorted({*self._origins.values()} - {"--data"})])

    def _whose(self, loc: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
        """(path, origin): who set what stands at `loc`, and as which path."""
        for end in range(len(loc), 0, -1):
            if loc[:end] in self._origins:
                return loc[:end], self._origins[loc[:end]]
        return loc, next((whose for path, whose in self._origins.items() if path[: len(loc)] == loc), self._file)

    def sentence(self, error: pydantic.ValidationError) -> str:
        """The first complaint as one sentence. No value of the environment is repeated: secrets stand there."""
        first = error.errors(include_url=False, include_context=False)[0]
        path, origin = self._whose(tuple(str(part) for part in first["loc"]))
        of_environment = origin.startswith("GCC_")
        loc = path if of_environment else first["loc"]  # what lies below is a part of the variable's value
        key = ".".join(str(part) for part in loc)
        named = f"setting {key!r} in {origin}" if key else "settings"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        if first["type"] == "extra_forbidden":
            return f"unknown {named}; remove it or mend its name{more}"
        if first["type"] in ("model_type", "dict_type"):
            example = _example(path) if of_environment else f"[{'.'.join(path)}] and below it NAME = VALUE"
            return f"{named} is a section, not a value; set what is in it, such as {example}{more}"
        if first["type"] == "tuple_type":
            return f"""{named} is a list; write '["ONE", "ANOTHER"]' there, with one or more{more}"""
        if first["type"] == "too_short":
            return f"{named} is empty, and takes one or more{more}"
        message = first["msg"].removeprefix("Value error, ")
        hidden = not key or of_environment or _BEARS_SECRETS.search(key) or isinstance(first["input"], dict)
        got = "" if hidden else f", got {first['input']!r}"
        return f"{named}: {message}{got}{more}"


def tokens_variable(source: str) -> str:
    """The variable that holds a source's tokens: shells know no "-", so "_" stands for it in a source's name."""
    return f"GCC_SOURCES__{source.upper().replace('-', '_')}__TOKENS"


def _named(variable: str) -> list[str]:
    """The key that a variable GCC_... sets."""
    path = variable[4:].lower().split("__")
    if path[0] in ("sources", "services") and len(path) > 1:
        return [path[0], path[1].replace("_", "-"), *path[2:]]
    return path


def _example(section: tuple[str, ...]) -> str:
    """The variable of what is most often set in a section."""
    name, *rest = section
    if name == "sources":
        return tokens_variable((rest or ["graphapi"])[0])
    fields = getattr(Settings.model_fields[name].annotation, "model_fields", {"NAME": None})
    if rest:
        return f"GCC_{'__'.join(section).upper()}__NAME"
    return f"GCC_{name.upper()}__{next((field for field in fields if field == 'url'), next(iter(fields))).upper()}"


def _value(path: Sequence[str], text: str) -> Any:
    """What JSON makes of it; the text itself where it is none, or no string for a setting that is text (as 1e10)."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return text if value is None or ({str, Path} & _kinds(path) and not isinstance(value, str)) else value


def _kinds(path: Sequence[str]) -> set[Any]:
    """The types that the setting at `path` takes; empty: there is none."""
    kinds: set[Any] = {Settings}
    for part in path:
        below: list[Any] = []
        for kind in kinds:
            if get_origin(kind) is dict:
                below.append(get_args(kind)[1])
            elif hasattr(kind, "model_fields") and part in kind.model_fields:
                below.append(kind.model_fields[part].annotation)
        kinds = {plain for kind in below for plain in _plain_types(kind)}
    return kinds


def _plain_types(annotation: Any) -> Iterator[Any]:
    """The members of a union, each without what is annotated to it."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        for member in get_args(annotation):
            yield from _plain_types(member)
    else:
        yield annotation


def _nested(path: Sequence[str], value: Any) -> dict[str, Any]:
    for part in reversed(path):
        value = {part: value}
    return dict(value)
