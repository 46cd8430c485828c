"""Templates as code, compiled once for all processes: to compile the models is a fifth of a start.

In: texts of templates. Out: templates; and, after `keep`, a file of their code beside the models, in `__pycache__` as
Python's own. It is looked up by what the text says, so it is never stale, and who may write there may change the models
as well. Where it cannot be read or written, each process compiles for itself.
"""

import hashlib
import importlib.util
import marshal
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import cached_property, lru_cache
from pathlib import Path
from types import CodeType
from weakref import WeakKeyDictionary

import jinja2


class Compiled:
    def __init__(self, environment: jinja2.Environment, folder: Path) -> None:
        self._environment = environment
        self._file = Path(importlib.util.cache_from_source(str(folder / "models.sql")))
        self._news = False
        self._keys: WeakKeyDictionary[jinja2.Template, str] = WeakKeyDictionary()
        self.template = lru_cache(maxsize=512)(self._template)

    def _template(self, text: str) -> jinja2.Template:
        """Raises jinja2.TemplateSyntaxError."""
        if (code := self._kept.get(key := _key(text))) is None:
            code = self._kept[key] = self._environment.compile(text)
            self._news = True
        template = jinja2.Template.from_code(self._environment, code, self._environment.make_globals(None))
        self._keys[template] = key
        return template

    def keep(self, templates: Iterable[jinja2.Template]) -> None:
        """Write the code of these for the next process, if there is new; nothing else stays in the file."""
        if not self._news or sys.dont_write_bytecode:
            return
        self._news = False
        part = self._file.with_suffix(f".{os.getpid()}")
        with suppress(OSError):  # a folder that is not ours to write, or a full disk
            self._file.parent.mkdir(exist_ok=True)
            part.write_bytes(marshal.dumps({key: self._kept[key] for key in map(self._keys.__getitem__, templates)}))
            part.replace(self._file)
        with suppress(OSError):
            part.unlink()

    @cached_property
    def _kept(self) -> dict[str, CodeType]:
        with suppress(OSError, EOFError, ValueError, TypeError):
            return dict(marshal.loads(self._file.read_bytes()))
        return {}


def _key(text: str) -> str:
    return hashlib.sha256(f"{jinja2.__version__}\n{text}".encode()).hexdigest()
