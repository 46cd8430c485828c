"""The SQL model graph: SELECT files with `ref()` and `source()`, read, checked and put in order.

In: `sql/models/{staging,marts}/NAME.sql`, Jinja templates that begin with comment lines:

    -- description: what one row is
    --   (longer ones go on in indented lines)
    -- materialized: view | table | incremental
    -- tags: core, daily
    -- unique_key: platform, profile_id        (tables: their sort key)

Inside: `{{ ref('model') }}`, `{{ source('_e', 'events') }}`, `{{ var('timezone') }}`, `{{ this }}`, and for incremental
models `{% if is_incremental() %} ... {{ watermark() }} {% endif %}` (rows inserted at or after it may be new).

Out: models, parents before children. A mistake in a file is a ConfigError that names the file.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Literal, cast

import jinja2
from jinja2.sandbox import SandboxedEnvironment

from gcc import statements
from gcc.actors.transformer import Model
from gcc.errors import ConfigError

MODELS = statements.SQL / "models"
DATABASE = "dbt"

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_HEADER = re.compile(r"--\s?(\w+):\s*(.*)")
_KEYS = ("description", "materialized", "tags", "unique_key")


@dataclass(frozen=True)
class _File:
    """One template with its header, and what it refers to."""

    path: Path
    header: Mapping[str, str]
    template: jinja2.Template
    variables: Mapping[str, str]
    refs: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        return self.path.stem

    def render(self, watermark: str | None) -> str:
        """The SELECT, for all rows or for what changed since `watermark`. Fills `refs`."""
        try:
            return self.template.render(
                ref=self._ref,
                source=self._source,
                var=self._var,
                this=f"{DATABASE}.{self.name}",
                is_incremental=lambda: watermark is not None,
                watermark=lambda: f"toDateTime64('{watermark}', 6, 'UTC')",
            ).strip()
        except jinja2.TemplateError as error:
            raise ConfigError(f"{self.path}: {error}") from None

    def _ref(self, name: str) -> str:
        self.refs.add(name)
        return f"{DATABASE}.{name}"

    def _source(self, database: str, table: str) -> str:
        if not _NAME.fullmatch(database.lstrip("_")) or not _NAME.fullmatch(table):
            raise ConfigError(f"{self.path}: source({database!r}, {table!r}) names no table")
        return f"{database}.{table}"

    def _var(self, name: str) -> str:
        if name not in self.variables:
            raise ConfigError(f"{self.path}: var({name!r}) is not given; there are {', '.join(sorted(self.variables))}")
        return self.variables[name]


def read(folder: Path = MODELS, *, variables: Mapping[str, str]) -> Sequence[Model]:
    """Every model below `folder`, parents first. `variables` are what `var()` answers; they go into SQL
    as they are, so give nothing that a user typed.

    Raises ConfigError for a bad header, an undefined name, a ref to nothing, a name given twice, a cycle.
    """
    files: dict[str, _File] = {}
    environment: Any = SandboxedEnvironment(undefined=jinja2.StrictUndefined, lstrip_blocks=True)
    for path in sorted(folder.rglob("*.sql")):
        file = _read_file(path, environment, variables)
        if file.name in files:
            raise ConfigError(f"{path}: {files[file.name].path} is called {file.name!r} too; rename one")
        files[file.name] = file
    for file in files.values():
        for name in sorted(file.refs - files.keys()):
            raise ConfigError(f"{file.path}: ref({name!r}) is no model; write {name}.sql or correct the name")
    models: dict[str, Model] = {}
    for name in _in_order(files):
        models[name] = _model(files[name], models)
    return list(models.values())


def _in_order(files: Mapping[str, _File]) -> list[str]:
    try:
        return list(TopologicalSorter({name: sorted(file.refs) for name, file in files.items()}).static_order())
    except CycleError as error:
        cycle = " -> ".join(str(files[name].path.name) for name in reversed(error.args[1]))
        raise ConfigError(f"models refer to each other in a circle: {cycle}") from None


def _read_file(path: Path, environment: Any, variables: Mapping[str, str]) -> _File:
    if not _NAME.fullmatch(path.stem) or path.stem.endswith("__new"):
        raise ConfigError(f"{path}: {path.stem!r} is no model name; use lower_case_words")
    text = path.read_text("utf-8")
    header, body = _header(path, text)
    try:
        template = environment.from_string(body)
    except jinja2.TemplateSyntaxError as error:
        raise ConfigError(f"{path}: {error} (line {error.lineno} after the header)") from None
    file = _File(path, header, template, variables)
    file.render(None)
    if header["materialized"] == "incremental" and file.render("1970-01-01 00:00:00") == file.render(None):
        raise ConfigError(f"{path}: an incremental model without is_incremental() builds everything every time")
    return file


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
    if not header.get("description"):
        raise ConfigError(f"{path}: has no '-- description: ...'")
    if header.setdefault("materialized", "view") not in ("view", "table", "incremental"):
        raise ConfigError(f"{path}: materialized {header['materialized']!r} is none of view, table, incremental")
    if header["materialized"] != "view" and not header.get("unique_key"):
        raise ConfigError(f"{path}: a {header['materialized']} needs '-- unique_key: column, ...'")
    return header, "\n".join(lines)


def _model(file: _File, before: Mapping[str, Model]) -> Model:
    """`before` holds its parents: their fingerprints are part of its own."""
    parents = tuple(sorted(file.refs))
    how = [file.header["materialized"], file.header.get("unique_key", "")]
    text = "\n".join([*how, file.render(None), *(before[parent].fingerprint for parent in parents)])
    return Model(
        name=file.name,
        materialized=cast(Literal["view", "table", "incremental"], file.header["materialized"]),
        tags=frozenset(_words(file.header.get("tags", ""))),
        unique_key=_words(file.header.get("unique_key", "")),
        parents=parents,
        fingerprint=hashlib.sha256(text.encode()).hexdigest()[:16],
        select=file.render,
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in (part.strip() for part in text.split(",")) if word)
