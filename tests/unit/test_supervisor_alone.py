"""The supervisor's package, lifted out under another name, works where nothing of the platform is."""

import subprocess
import sys
from pathlib import Path

import gcc.supervisor

PACKAGE = Path(gcc.supervisor.__file__).parent

CHECK = """
import doctest, importlib, pkgutil, sys
import lifted
for module in pkgutil.iter_modules(lifted.__path__, "lifted."):
    importlib.import_module(module.name)
failed, tried = doctest.testmod(lifted)
print(failed, tried > 5, sorted({name.partition(".")[0] for name in sys.modules} & {"gcc", "trio"}))
"""


def test_the_package_lifted_out_runs_the_example_of_its_docstring(tmp_path):
    (tmp_path / "lifted").mkdir()
    for file in PACKAGE.glob("*.py"):
        if file.name != "__main__.py":  # the platform's command
            (tmp_path / "lifted" / file.name).write_text(file.read_text().replace("gcc.supervisor", "lifted"))
    done = subprocess.run([sys.executable, "-c", CHECK], cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout.splitlines()[-1:], done.stderr) == (["0 True ['trio']"], ""), done.stdout
