"""A wheel carries what stands beside the package, as gcc/share: see ROOT in gcc/statements.py."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

BESIDE = ("sql", "config", "pyproject.toml", "constraints.txt")


class BuildWithShare(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        share = Path(self.build_lib, "gcc", "share")
        shutil.rmtree(share, ignore_errors=True)
        share.mkdir(parents=True)
        for name in BESIDE:
            if Path(name).is_dir():
                shutil.copytree(name, share / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(name, share / name)


setup(cmdclass={"build_py": BuildWithShare})
