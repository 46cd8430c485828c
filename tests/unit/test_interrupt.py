"""Ctrl-C before a verb has begun: nothing is there yet that must be told or cleaned up."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gcc.interrupt import INTERRUPTED

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("imported", ["trio", "pydantic"], ids=["before the module", "in the module"])
@pytest.mark.parametrize("ignored", [False, True], ids=["", "nohup"])
def test_ctrl_c_while_the_command_is_imported_ends_it_quietly(tmp_path: Path, imported: str, ignored: bool) -> None:
    (tmp_path / f"{imported}.py").write_text(
        "import os, signal, sys\nos.kill(os.getpid(), signal.SIGINT)\nsys.exit('went on')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "gcc.supervisor", "status"],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        timeout=60,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.SIG_DFL),
    )
    expected = (1, b"went on\n") if ignored else (INTERRUPTED, b"")
    assert (done.returncode, done.stderr) == expected


def test_who_imports_us_keeps_ctrl_c() -> None:
    told = "import signal, gcc.cli; print(signal.getsignal(signal.SIGINT) is signal.default_int_handler)"
    heard = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731 - whatever our own parent ignores
    done = subprocess.run([sys.executable, "-c", told], cwd=ROOT, capture_output=True, timeout=60, preexec_fn=heard)
    assert done.stdout == b"True\n"
