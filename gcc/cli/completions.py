"""`completions SHELL`: a script for the shell's own folder of completions, made from the parser of all verbs."""

import argparse

import shtab

from gcc.cli import COMMAND, whole


def main(arguments: argparse.Namespace) -> int:
    print(shtab.complete(whole(COMMAND), arguments.shell))
    return 0
