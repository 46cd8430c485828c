"""Named SQL statements, read from files when the module that uses them is imported.

In: `sql/postgres/queries/NAME.sql` (or another folder's `NAME.sql`), written as

    -- name: complete_job
    -- What it does, in one line or more.
    update ...;

Out: a read-only mapping from statement name to its SQL, without the describing lines and the last
semicolon. A file that does not exist, a name given twice, an empty name, a statement without SQL
and SQL before the first name are mistakes of ours: ValueError at import, naming file and line.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

_PACKAGE = Path(__file__).resolve().parent
ROOT = share if (share := _PACKAGE / "share").is_dir() else _PACKAGE.parent
"""Where sql/, config/, pyproject.toml and constraints.txt are: in the repository, or what a wheel carries of it."""

SQL = ROOT / "sql"

QUERIES = SQL / "postgres" / "queries"

_HEADER = re.compile(r"--\s*name:(.*)")
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def load(name: str, folder: Path | None = None) -> Mapping[str, str]:
    """The statements of `NAME.sql` in `folder` (default: PostgreSQL's), by their names."""
    file = (folder or QUERIES) / f"{name}.sql"
    try:
        text = file.read_text("utf-8")
    except FileNotFoundError:
        raise ValueError(f"{file} does not exist: no statements called {name!r}") from None
    return MappingProxyType(_parse(text, file))


def _parse(text: str, file: Path) -> dict[str, str]:
    bodies: dict[str, list[str]] = {}
    body: list[str] = []  # lines before the first header; only comments may stand there
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _HEADER.fullmatch(line.strip()):
            name = header[1].strip()
            if not _NAME.fullmatch(name):
                raise ValueError(f"{file}:{number}: {name!r} is no statement name; use lower_case_words")
            if name in bodies:
                raise ValueError(f"{file}:{number}: statement {name!r} is there twice")
            body = bodies[name] = []
        elif body or (line.strip() and not line.lstrip().startswith("--")):
            if not bodies:
                raise ValueError(f"{file}:{number}: SQL before the first '-- name: ...'")
            body.append(line)
    statements = {name: "\n".join(lines).strip().removesuffix(";").rstrip() for name, lines in bodies.items()}
    for name, statement in statements.items():
        if not statement:
            raise ValueError(f"{file}: statement {name!r} has no SQL")
    return statements
