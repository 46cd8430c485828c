"""`run`: starts the platform, prints its URLs when it is ready, and stays until it has drained.

SIGTERM and SIGINT ask for the drain; a second one cancels at once, which loses nothing.
"""

import argparse
import gc
import os
import signal
import sys

import structlog
import trio
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from gcc.cli import USAGE, complain, leaves, logs, lose
from gcc.cli.client import settings_of
from gcc.cli.descriptors import allow_files
from gcc.clock import SystemClock
from gcc.config import Settings
from gcc.errors import ConfigError
from gcc.supervisor.supervisor import RestartsExceeded
from gcc.tree import Tree

LOOK_S = 0.5
OPEN = {
    "ops": "the dashboard; the address with its token is above, and told by: status",
    "gateway": "the API",
    "docs": "the API, to read and to try",
    "world": "a stand-in for the outside APIs",
}
"""What people find at each of the open ports."""
STEP_PERCENT = 10  # without a terminal, progress is a log line each

log = structlog.get_logger()


def main(arguments: argparse.Namespace) -> int:
    settings = settings_of(arguments)
    os.umask(0o077)  # what the stores write is for our user alone, wherever it is moved
    allow_files(settings)
    logs.configure(settings)
    code = 1
    try:
        code = trio.run(run, settings)
    except* ConfigError as refused:
        for error in leaves(refused):
            complain(error)
        code = USAGE
    except* RestartsExceeded as gave_up:
        for error in leaves(gave_up):
            complain(error)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # all is done: a late one must not change how this process ends
    return code


async def run(settings: Settings) -> int:
    """The exit code: 0 after a drain, 130 after a second signal. Raises what `Tree.run` raises."""
    gc.disable()
    tree = Tree(settings, SystemClock())
    gc.freeze()  # all modules and tables stay as long as we do: the collector need not walk them, now or ever again
    gc.enable()
    gc.set_threshold(5_000, 20, 20)  # little that we make is in a circle, and each walk of all holds up everybody
    failure: Exception | None = None
    code = 0
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:

            async def listen() -> None:
                nonlocal code
                async for number in signals:
                    if tree.drain.draining:
                        log.warning("cancelled by a second signal")
                        code = 130
                        nursery.cancel_scope.cancel()
                    log.info("draining", signal=signal.Signals(number).name, grace_s=settings.grace_s)
                    tree.drain.request(signal.Signals(number).name)

            nursery.start_soon(listen)
            nursery.start_soon(_accompany, tree)
            log.info("starting", data_dir=str(settings.data_dir), roles=list(tree.roles.here))
            try:
                await tree.run()
            except Exception as error:
                failure = error
            nursery.cancel_scope.cancel()
    if failure is not None:
        raise failure
    return code


async def _accompany(tree: Tree) -> None:
    """Say when it is ready and where, then show the first crawl's progress."""
    await tree.ready.wait()
    try:
        print(f"ready {tree.context.urls['ops']}/?token={tree.ops.token}", flush=True)
    except OSError:
        lose(sys.stdout)  # which is no reason to end; the log and supervisor.json tell the address, too
    urls = tree.context.urls
    for name in sorted(urls, key=[*OPEN, *urls].index):
        log.info("open", name=name, url=urls[name], what=OPEN.get(name, ""))
    if sys.stderr.isatty():
        await _bar(tree)
    else:
        await _steps(tree)


async def _bar(tree: Tree) -> None:
    columns = TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("importing history", total=None)
        while not tree.ops.counts.crawled:
            done, total = tree.ops.counts.crawl or (0, 0)
            imported = tree.context.board.actor("first start").done
            told = f"first crawl, {done:,} of {total:,}" if total else f"importing history, {imported:,} snapshots"
            progress.update(task, completed=done, total=total or None, description=told)
            await trio.sleep(LOOK_S)


async def _steps(tree: Tree) -> None:
    told = 0
    while not tree.ops.counts.crawled:
        done, total = tree.ops.counts.crawl or (0, 0)
        percent = 100 * done // total if total else 0
        if percent >= told + STEP_PERCENT:
            told = percent - percent % STEP_PERCENT
            log.info("first crawl", done=done, total=total)
        await trio.sleep(LOOK_S)
