"""What `status` shows in a terminal: what works or is in trouble has a line, what is idle and well shares one."""

import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio
from rich.console import Console

from gcc.channels.exchange import QueueDepth
from gcc.cli.status import screen
from gcc.errors import Transient
from gcc.pipelines.events.types import EVENT_TYPES
from gcc.supervisor.lifecycle import State
from gcc.web.ops.registry import REGISTRY, write_registry
from gcc.web.ops.snapshot import Composer
from tests.integration.ops_platform import IDLE_FLOWS, IDLE_QUEUES, TOKEN, WORKING, World, ops_port, process


async def shown(world: World, columns: int = 160) -> list[str]:
    composer = Composer(world.platform())
    composer._counts = await world.count()
    console = Console(width=columns)
    with console.capture() as capture:
        console.print(screen(composer.status(), "http://127.0.0.1:8010"))
    return [line.strip() for line in capture.get().splitlines()]


async def test_idle_actors_of_a_kind_and_what_they_take_from_share_a_line() -> None:
    world = World()
    idle = len(EVENT_TYPES) - len(WORKING)
    lines = await shown(world)
    assert len(lines) <= 50, "all scrapers but two are one line of them"
    assert any(line.startswith(f"events/{idle} idle sinkers") for line in lines)
    assert any(line.startswith(f"scraping/{len(IDLE_FLOWS)} idle scrapers") for line in lines)
    folded = str(idle + len(IDLE_QUEUES) + len(IDLE_FLOWS))
    assert any(line.split() == [folded, *["idle", "channels", "and", "queues", "0"]] for line in lines)
    assert any(line.split()[:6] == ["events/sinker", "post_log", "backoff", "2", "0", "2,000"] for line in lines)
    assert not any("order_log" in line for line in lines)
    of_post_log = [line.split()[:2] for line in lines if line.startswith("post_log_events_q ")]
    assert of_post_log == [["post_log_events_q", "channel"], ["post_log_events_q", "queue"]]

    world.board.actor("events/sinker order_log").processed(1)
    world.board.actor("events/sinker asset_log").erred(Transient("away"))
    world.board.actor("events/sinker event").state = State.PAUSED
    world.set_counts(queues=[*world.counts.queues, QueueDepth("a_queue", 7, 0, 1.0)])
    lines = await shown(world)
    assert any(line.startswith(f"events/{idle - 3} idle sinkers") for line in lines)
    for name in ("sinker order_log", "sinker asset_log", "sinker event", "order_log_events_q", "a_queue"):
        assert any(name in line for line in lines), name

    world.board.actor("scraping/scraper fetch_post_likes").processed(1)
    lines = await shown(world)
    assert any(line.startswith(f"scraping/{len(IDLE_FLOWS) - 1} idle scrapers") for line in lines)
    for name in ("scraping/scraper fetch_post_likes", "slots fetch_post_likes"):
        assert any(line.startswith(name) for line in lines), name
    world.close()


async def test_states_and_figures_are_whole_in_a_terminal_of_80_columns() -> None:
    world = World()
    lines = await shown(world, columns=80)
    heads = next(line for line in lines if line.startswith("actor")).split()
    assert heads[:8] == ["actor", "state", "restarts", "rate/s", "in", "flight", "lag", "s"]
    assert any(line.split()[:6] == ["events/sinker", "post_log", "backoff", "2", "0", "2,000"] for line in lines)
    assert any(line.startswith("scraping/scraper") and "running" in line and "16" in line for line in lines)
    world.close()


async def test_several_processes_have_a_line_each_and_differing_limits_are_told() -> None:
    world = World()
    assert not any(line.startswith(("process ", "alpha:", "limits differ")) for line in await shown(world)), "one alone"
    world.processes += [
        process("beta", 7, calls=20, drained=["sinker"]),
        process("gamma", 8, roles=["web"], seen_s=75.0),
        replace(process("delta", 9, seen_s=75.0), state="draining"),
        process("epsilon", 10, roles=["web"], away=["stores/redis"]),
    ]
    lines = await shown(world)
    roles = "scraper scorer relay sinker analytics web"
    assert next(line for line in lines if line.startswith("alpha:4211")).split() == [
        "alpha:4211", "ready", "0.2.0", *roles.split(),
    ]  # fmt: skip
    assert next(line for line in lines if line.startswith("beta:7")).endswith(f"{roles}, drained: sinker")
    assert "silent for 0:01:15" in next(line for line in lines if line.startswith("gamma:8"))
    assert "left 0:01:15 ago" in next(line for line in lines if line.startswith("delta:9"))
    assert "ready, without stores/redis" in next(line for line in lines if line.startswith("epsilon:10"))
    told = "limits differ  ytapi: 50 calls per 1 s in alpha:4211, but 20 calls per 1 s in beta:7"
    assert told in lines
    world.close()


@pytest.mark.parametrize(("options", "told"), [([], b"restarts"), (["--json"], b'"state"')])
async def test_who_follows_through_a_pipe_sees_it_live_and_may_leave(
    options: list[str], told: bytes, tmp_path: Path
) -> None:
    """It printed nothing before the end, and as JSON it ended with a traceback when `head` had enough."""
    world = World()
    command = [sys.executable, "-m", "gcc.supervisor", "status", "--watch", *options, "--data", str(tmp_path)]
    with trio.fail_after(60):
        async with ops_port(world) as port:
            write_registry(tmp_path / REGISTRY, url=port.url, token=TOKEN)
            async with trio.open_nursery() as nursery:
                run = partial(trio.run_process, command, check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                process: trio.Process = await nursery.start(run)
                assert process.stdout is not None
                assert process.stderr is not None
                seen = b""
                while told not in seen:
                    part = await process.stdout.receive_some()
                    assert part, await process.stderr.receive_some()
                    seen += part
                await process.stdout.aclose()
                errors = b"".join([part async for part in process.stderr])
    assert (process.returncode, errors) == (1, b"")
    world.close()


async def test_before_anything_was_counted_it_is_shown_all_the_same() -> None:
    world = World()
    console = Console(width=160)
    with console.capture() as capture:
        console.print(screen(Composer(world.platform()).status(), "http://127.0.0.1:8010"))
    assert "in flight -" in capture.get()
    world.close()


async def test_of_many_next_runs_the_first_ones_are_told() -> None:
    world = World()
    world_status = Composer(world.platform()).status()
    world.close()
    lines = [
        {"name": f"s{minute:02}", "running": minute == 59, "next_run": f"2026-11-30T08:{minute:02}:00Z"}
        for minute in range(59, -1, -1)
    ]
    console = Console(width=400)
    with console.capture() as capture:
        console.print(screen(world_status | {"schedules": lines}, "http://127.0.0.1:8010"))
    (told,) = [line.split() for line in capture.get().splitlines() if line.startswith("next runs")]
    assert told[2:4] == ["s59", "now"]
    assert [word for word in told if word.startswith("s0")] == [f"s0{minute}" for minute in range(5)]
    assert " ".join(told).endswith("and 54 more; see: schedules")


async def test_a_drained_role_is_told() -> None:
    world = World()
    assert not any(line.startswith("roles") for line in await shown(world))
    world.roles.here["scraper"].request("a test")
    (line,) = [line for line in await shown(world) if line.startswith("roles")]
    assert "scraper is draining" in line
    world.close()
