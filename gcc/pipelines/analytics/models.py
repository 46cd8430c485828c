"""The SQL model graph: SELECT files with `ref()` and `source()`, read, checked and put in order.

In: `sql/models/{staging,marts}/NAME.sql`, Jinja templates with a header of comment lines; `sql/models/macros/*.sql`,
whose `{% macro %}`s every model may call; `sql/models/vars.toml`, what `var()` answers. docs/models.md tells how to
write one. The files are those of a dbt project but for their headers, which an export turns into its YAML.

Out: models, parents before children. A mistake in a file is a ConfigError that names the file.
"""

import hashlib
import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Literal, cast

import jinja2
from jinja2.runtime import Macro
from jinja2.sandbox import SandboxedEnvironment

from gcc import statements
from gcc.actors.modelled import EVERYTHING, NEVER, Model, Slice
from gcc.errors import ConfigError, there_are
from gcc.pipelines.analytics.compiled import Compiled

MODELS = statements.SQL / "models"
DATABASE = "dbt"

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_VALUE = re.compile(r"[\w -]+")
_HEADER = re.compile(r"--\s?(\w+):\s*(.*)")
_KEYS = ("description", "materialized", "tags", "unique_key", "strategy", "partition_by", "looks_back", "values")
_OUTER_JOIN = re.compile(r"\b(left|right|full)\s+((outer|any|all|semi|anti|asof)\s+)*join\b", re.IGNORECASE)
_NULLS = re.compile(r"\bjoin_use_nulls\s*=\s*1\b")
FILE_BYTES_MAX = 262_144
"""ClickHouse reads no longer statement, by default."""
IN_ORDER = "optimize_aggregation_in_order = 1"
_SLICES = (EVERYTHING, Slice(incremental=True, first="2026-01-01", end="2026-03-01"))


class _Returned(Exception):
    """A macro's `{{ return(value) }}`, as in dbt: what its caller gets is the value, not text."""


class _Environment(SandboxedEnvironment):
    def call(self, context: Any, called: Any, /, *args: Any, **named: Any) -> Any:
        if not isinstance(called, Macro):
            return super().call(context, called, *args, **named)
        try:
            return super().call(context, called, *args, **named)
        except _Returned as returned:
            return returned.args[0]


_ENVIRONMENT: Any = _Environment(undefined=jinja2.StrictUndefined, lstrip_blocks=True)


_COMPILED = Compiled(_ENVIRONMENT, MODELS)


def _return(value: object) -> None:
    raise _Returned(value)


@dataclass(frozen=True)
class _File:
    """One template with its header, and what it refers to."""

    path: Path
    header: Mapping[str, str]
    template: jinja2.Template
    macros: jinja2.Template
    variables: Mapping[str, Any]
    refs: set[str] = field(default_factory=set)
    since: set[str] = field(default_factory=set)  # models whose watermark it asks for

    @property
    def name(self) -> str:
        return self.path.stem

    def render(self, scope: Slice) -> str:
        """The SELECT of so much. Fills `refs` and `since`."""

        def watermark(model: str = self.name) -> str:
            self.since.add(model)
            return f"toDateTime64('{scope.since.get(model, NEVER)}', 6, 'UTC')"

        names: dict[str, Any] = {
            "ref": self._ref,
            "source": self._source,
            "var": lambda name: self._var(name, scope),
            "this": f"{DATABASE}.{self.name}",
            "is_incremental": lambda: scope.incremental,
            "watermark": watermark,
            "period_from": lambda: f"toDate('{scope.first}')",
            "period_to": lambda: f"toDate('{scope.end}')",
            "return": _return,
        }
        try:
            macros = self.macros.make_module(names)
            named = {name: value for name, value in vars(macros).items() if isinstance(value, Macro)}
            return _without_final(self.template.render(named | names).strip(), scope.once)
        except ConfigError:
            raise
        except _Returned:
            raise ConfigError(f"{self.path}: return() stands outside a macro") from None
        except Exception as error:  # what a template says is a program of whoever wrote it
            raise ConfigError(f"{self.path}: {_told(error)}") from None

    def _ref(self, name: str) -> str:
        self.refs.add(name)
        return f"{DATABASE}.{name}"

    def _source(self, database: str, table: str) -> str:
        if not _NAME.fullmatch(database.lstrip("_")) or not _NAME.fullmatch(table):
            raise ConfigError(f"{self.path}: source({database!r}, {table!r}) names no table")
        return f"{database}.{table}"

    def _var(self, name: str, scope: Slice) -> Any:
        if name in scope.variables:
            return scope.variables[name]
        if name not in self.variables:
            known = there_are(sorted(self.variables), name)
            raise ConfigError(f"{self.path}: var({name!r}) is not given; write it into vars.toml, or {known}")
        return self.variables[name]


def read(folder: Path = MODELS, *, variables: Mapping[str, Any]) -> Sequence[Model]:
    """Every model below `folder`, parents first. `variables` and vars.toml are what `var()` answers; they go into SQL
    as they are, so give nothing that a user typed.

    Raises ConfigError for a bad header, an undefined name, a ref to nothing, a name given twice, a cycle.
    """
    files: dict[str, _File] = {}
    stated = all_variables(folder, variables)
    macros = _macros(folder / "macros")
    for path in sorted({*folder.rglob("*.sql")} - {*(folder / "macros").glob("*.sql")}):
        file = _read_file(path, macros, stated)
        if file.name in files:
            raise ConfigError(f"{path}: {files[file.name].path} is called {file.name!r} too; rename one")
        files[file.name] = file
    if folder == MODELS:
        _COMPILED.keep([macros, *(file.template for file in files.values())])
    for file in files.values():
        for name in sorted((file.refs | file.since) - files.keys()):
            raise ConfigError(f"{file.path}: {name!r} is no model; write {name}.sql or correct the name")
    models: dict[str, Model] = {}
    for name in _in_order(files):
        models[name] = _model(files[name], models)
    return list(models.values())


def all_variables(folder: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """What `var()` answers: `given`, and vars.toml of the folder."""
    path = folder / "vars.toml"
    try:
        stated = tomllib.loads(_text(path)) if path.exists() else {}
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from None
    for name, value in stated.items():
        if name in given or not isinstance(value, str | int | float | list):
            raise ConfigError(f"{path}: {name} is given elsewhere, or no text, number or list")
    return stated | dict(given)


def list_of(macro: str, folder: Path = MODELS) -> Any:
    """What a macro without arguments returns: a list that models loop over."""
    try:
        getattr(_macros(folder / "macros").make_module({"return": _return}), macro)()
    except _Returned as returned:
        return returned.args[0]
    raise ConfigError(f"{folder}/macros: {macro} returns no list")


def _macros(folder: Path) -> jinja2.Template:
    """All of them as one template: so they may call each other, in whatever file."""
    texts: dict[Path, str] = {}
    owners: dict[str, Path] = {}
    for path in sorted(folder.glob("*.sql")):
        texts[path] = _text(path)
        for name in re.findall(r"{%-?\s*macro\s+(\w+)", texts[path]):
            if name in owners:
                raise ConfigError(f"{path}: macro {name!r} stands in {owners[name]} too; rename one")
            owners[name] = path
    try:
        return _COMPILED.template("\n".join(texts.values()))
    except jinja2.TemplateSyntaxError:
        for path, text in texts.items():
            try:
                _ENVIRONMENT.parse(text)
            except jinja2.TemplateSyntaxError as error:
                raise ConfigError(f"{path}: {error} (line {error.lineno})") from None
        raise


def _in_order(files: Mapping[str, _File]) -> list[str]:
    try:
        return list(
            TopologicalSorter(
                {name: sorted(file.refs | file.since - {name}) for name, file in files.items()}
            ).static_order()
        )
    except CycleError as error:
        cycle = " -> ".join(str(files[name].path.name) for name in reversed(error.args[1]))
        raise ConfigError(f"models refer to each other in a circle: {cycle}") from None


def _read_file(path: Path, macros: jinja2.Template, variables: Mapping[str, Any]) -> _File:
    if not _NAME.fullmatch(path.stem) or path.stem.endswith("__new"):
        raise ConfigError(f"{path}: {path.stem!r} is no model name; use lower_case_words")
    header, body = _header(path, _text(path))
    _check(path, header)
    try:
        template = _COMPILED.template(body)
    except jinja2.TemplateSyntaxError as error:
        raise ConfigError(f"{path}: {error} (line {error.lineno} after the header)") from None
    except RecursionError as error:
        raise ConfigError(f"{path}: {_told(error)}") from None
    file = _File(path, header, template, macros, variables)
    whole, part = (file.render(scope) for scope in _SLICES)
    if not whole:
        raise ConfigError(f"{path}: there is no SELECT below the header")
    if header["materialized"] == "incremental" and whole == part:
        raise ConfigError(f"{path}: an incremental model without is_incremental() builds everything every time")
    if header["materialized"] == "view" and _OUTER_JOIN.search(whole) and not _NULLS.search(whole):
        raise ConfigError(f"{path}: a view with an outer join ends in 'settings join_use_nulls = 1': unknown is null")
    return file


def _without_final(select: str, once: Collection[str]) -> str:
    """Without FINAL after what holds each key once: to find that out again takes as long as to read it. Not where
    groups are made in order: FINAL hands on one stream of all parts, where each part would be held beside the others.
    """
    if IN_ORDER in select:
        return select
    for name in once:
        select = re.sub(rf"\b({DATABASE}\.{name}( as \w+)?) final\b", r"\1", select)
    return select


def _text(path: Path) -> str:
    """Of a file as people's editors write it."""
    try:
        with path.open("rb") as file:
            read = file.read(FILE_BYTES_MAX + 1)
        text = read.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}; mend or remove it") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: byte {error.start + 1} is no UTF-8; save it as UTF-8") from None
    if len(read) > FILE_BYTES_MAX:
        raise ConfigError(
            f"{path}: has more than {FILE_BYTES_MAX >> 10} KiB; data belongs into tables, not into models"
        )
    return text


def _told(error: Exception) -> str:
    if isinstance(error, jinja2.TemplateError):
        return str(error)
    if isinstance(error, RecursionError):
        return "a macro calls itself without an end, or brackets are nested too deeply"
    return f"{type(error).__name__}: {error}"


def _header(path: Path, text: str) -> tuple[dict[str, str], str]:
    """The leading comment lines as keys and values, and the rest of the file."""
    header: dict[str, str] = {}
    lines = text.splitlines()
    key = ""
    while lines and lines[0].startswith("--"):
        line = lines.pop(0)
        if match := _HEADER.fullmatch(line):
            key = match[1]
            if key not in _KEYS or key in header:
                raise ConfigError(f"{path}: header {key!r} is unknown or given twice; use {', '.join(_KEYS)} once each")
            header[key] = match[2].strip()
        elif key:
            header[key] += " " + line.removeprefix("--").strip()
        else:
            raise ConfigError(f"{path}: begin with '-- description: ...'")
    return header, "\n".join(lines)


def _check(path: Path, header: dict[str, str]) -> None:
    """Raise ConfigError for what does not fit together; fill in what was left out."""
    if not header.get("description"):
        raise ConfigError(f"{path}: has no '-- description: ...'")
    how = header.setdefault("materialized", "view")
    if how not in ("view", "table", "incremental"):
        raise ConfigError(f"{path}: materialized {how!r} is none of view, table, incremental")
    if how != "view" and not header.get("unique_key"):
        raise ConfigError(f"{path}: a {how} needs '-- unique_key: column, ...'")
    strategy = header.setdefault("strategy", "keys" if how == "incremental" else "")
    if strategy not in (("keys", "partitions") if how == "incremental" else ("",)):
        raise ConfigError(f"{path}: strategy {strategy!r} does not fit; an incremental model has keys or partitions")
    if strategy == "partitions" and not header.get("partition_by"):
        raise ConfigError(f"{path}: strategy partitions needs '-- partition_by: expression'")
    by = header.get("partition_by", "")
    if strategy == "keys" and by and not set(_words(header["unique_key"])) & set(re.findall(r"\w+", by)):
        raise ConfigError(f"{path}: partition_by {by!r} is not of the unique_key: a key would stand in two partitions")
    if how == "view" and header.get("partition_by"):
        raise ConfigError(f"{path}: a view has no partition_by")
    back = header.setdefault("looks_back", "0")
    if not (back.isdecimal() or back == "all") or (back != "0" and strategy != "partitions"):
        raise ConfigError(f"{path}: looks_back {back!r} is no count of months, or all, of strategy partitions")


def _model(file: _File, before: Mapping[str, Model]) -> Model:
    """`before` holds its parents: their fingerprints are part of its own."""
    header = file.header
    parents = tuple(sorted(file.refs))
    how = [header["materialized"], header["strategy"], header.get("unique_key", ""), header.get("partition_by", "")]
    text = "\n".join([*how, file.render(EVERYTHING), *(before[parent].fingerprint for parent in parents)])
    return Model(
        name=file.name,
        description=header["description"],
        materialized=cast(Literal["view", "table", "incremental"], header["materialized"]),
        strategy=cast(Literal["", "keys", "partitions"], header["strategy"]),
        tags=frozenset(_words(header.get("tags", ""))),
        unique_key=_words(header.get("unique_key", "")),
        partition_by=header.get("partition_by", ""),
        looks_back=None if header["looks_back"] == "all" else int(header["looks_back"]),
        parents=parents,
        values=_values(file.path, header.get("values", "")),
        fingerprint=hashlib.sha256(text.encode()).hexdigest()[:16],
        select=file.render,
        newer_than=tuple(sorted(file.since - {file.name})),
    )


def _values(path: Path, text: str) -> dict[str, tuple[str, ...]]:
    """`kind = TOP, NEW; status = PAID` as a mapping. ConfigError: it is none, or a value is no plain word."""
    values: dict[str, tuple[str, ...]] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        column, _, said = (word.strip() for word in part.partition("="))
        values[column] = _words(said)
        if not _NAME.fullmatch(column) or not values[column] or not all(map(_VALUE.fullmatch, values[column])):
            raise ConfigError(f"{path}: values {part!r} is no 'column = WORD, WORD; column = ...'")
    return values


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in (part.strip() for part in text.split(",")) if word)
