"""The macros that our runner and dbt share, as functions that answer SQL: what both are asked is written once."""

import re
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jinja2

from gcc import statements

FOLDER = statements.SQL / "dbt" / "macros"


@cache
def macros(name: str, folder: Path = FOLDER) -> Any:
    """Those of `NAME.sql`, by their names. They know of dbt's world what they need: `modules.re`, `return`, `do`."""
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, extensions=["jinja2.ext.do"], autoescape=False, lstrip_blocks=True
    )
    template = environment.from_string((folder / f"{name}.sql").read_text("utf-8"))
    return template.make_module({"modules": SimpleNamespace(re=re), "return": str})
