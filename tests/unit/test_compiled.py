"""Templates that a process has compiled are code for the next one, and never other code than their text says."""

import sys
from pathlib import Path
from typing import Any

import jinja2
import pytest

from gcc.pipelines.analytics.compiled import Compiled

TEXTS = ("select {{ 1 + 1 }}", "{% macro two() %}2{% endmacro %}select {{ two() }}")


class _Counting(jinja2.Environment):
    compiled = 0

    def compile(self, *args: Any, **named: Any) -> Any:
        self.compiled += 1
        return super().compile(*args, **named)


@pytest.fixture(autouse=True)
def _code_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", None)


def process(folder: Path, *texts: str) -> tuple[list[str], int]:
    """What a new process renders of these, and how many it had to compile."""
    environment = _Counting()
    compiled = Compiled(environment, folder)
    templates = [compiled.template(text) for text in texts]
    compiled.keep(templates)
    return [template.render() for template in templates], environment.compiled


def test_the_next_process_compiles_only_what_is_new(tmp_path: Path) -> None:
    assert process(tmp_path, *TEXTS) == (["select 2"] * 2, 2)
    assert process(tmp_path, *TEXTS) == (["select 2"] * 2, 0)
    assert process(tmp_path, TEXTS[0], "select {{ 3 }}") == (["select 2", "select 3"], 1)
    assert process(tmp_path, "select {{ 3 }}", TEXTS[1]) == (["select 3", "select 2"], 1), "nothing old stays"
    assert [path.name for path in (tmp_path / "__pycache__").iterdir()] == [
        f"models.{sys.implementation.cache_tag}.pyc"
    ]


@pytest.mark.parametrize("found", [b"", b"torn", b"\x00" * 9])
def test_what_is_no_code_is_written_anew(tmp_path: Path, found: bytes) -> None:
    process(tmp_path, *TEXTS)
    [file] = (tmp_path / "__pycache__").iterdir()
    file.write_bytes(found or file.read_bytes()[:-20])
    assert process(tmp_path, *TEXTS) == (["select 2"] * 2, 2)
    assert process(tmp_path, *TEXTS) == (["select 2"] * 2, 0)


def test_a_folder_that_cannot_be_written_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "__pycache__").write_text("a file stands in the way")
    assert process(tmp_path, *TEXTS) == process(tmp_path, *TEXTS) == (["select 2"] * 2, 2)
    (tmp_path / "__pycache__").unlink()
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert process(tmp_path, *TEXTS) == process(tmp_path, *TEXTS) == (["select 2"] * 2, 2)
    assert not (tmp_path / "__pycache__").exists()
