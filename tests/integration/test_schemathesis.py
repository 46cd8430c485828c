"""Schemathesis against the served gateway: what the document says of every operation holds, for each role and plan.

All its checks and phases; what it finds is mended, but for what schemathesis_hooks.py and schemathesis.toml except,
with the reasons. So that it takes a minute of CPU, each role is here with one plan, and the coverage phase, nine tenths
of the time, for THOROUGH alone. All of it, and for longer:

    SCHEMATHESIS_EXAMPLES=100 python -m pytest tests/integration/test_schemathesis.py
"""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from gcc.pipelines.scraping.refresh import Refreshed
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from gcc.stores.tenant import Plan, Role, Tenant
from tests.integration.api_serving import NOW, add_instagram, add_posts, add_youtube, mark_synced, serving_api
from tests.integration.identity_people import add_partner, add_person

EXAMPLES = int(os.environ.get("SCHEMATHESIS_EXAMPLES", "0"))
"""Of each operation; 0: as few as there may be."""
PLANS: tuple[Plan, ...] = ("FREE", "SAAS", "PAID")
ROLES: tuple[Role, ...] = ("VIEWER", "EDITOR", "OWNER")
PAIRS = itertools.product(ROLES, PLANS) if EXAMPLES else zip(ROLES, PLANS, strict=True)
CALLERS: list[tuple[Role, Plan] | None] = [None, ("OPERATOR", "FREE"), ("SERVICE", "FREE"), *PAIRS]
THOROUGH = ("OWNER", "PAID")
CONFIG, HOOKS = (Path(__file__).with_name(f"schemathesis{ending}") for ending in (".toml", "_hooks.py"))


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: "-".join(caller) if caller else "NOBODY")
async def test_the_document_holds(
    pool: Pool,
    clickhouse: ClickHouse,
    tmp_path: Path,
    caller: tuple[Role, Plan] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await add_instagram(pool, "known")
    await add_youtube(pool, "UC" + "a" * 22, "known")
    await add_posts(pool, "ig-known", [NOW] * 3)
    await mark_synced(pool, "leaderboard")
    if caller is not None:
        role, plan = caller
        await add_partner(pool, 7, plan)
        someone = await add_person(pool, partner_id=7, role=role if role in ROLES else "OWNER")
        tenant = Tenant(7, plan, role, someone.account_id, someone.user_id if role in ROLES else None)
        monkeypatch.setattr("gcc.web.gateway.auth.DEVELOPMENT", tenant)
    async with serving_api(pool, clickhouse) as api:
        api.refresher.refreshed = Refreshed("NOT_FOUND", "no such user")
        url = str(api.client.base_url)
        phases = "examples,coverage,fuzzing,stateful" if EXAMPLES or caller == THOROUGH else "examples,fuzzing,stateful"
        header = [] if caller is None else ["--header", f"Authorization: {api.client.headers['authorization']}"]
        command = [
            sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", f"{url}/openapi.json",
            "--max-examples", str(EXAMPLES or 1), "--phases", phases, *header,
        ]  # fmt: skip
        environ = {**os.environ, "SCHEMATHESIS_HOOKS": str(HOOKS)}
        done = await trio.run_process(
            command, capture_stdout=True, stderr=subprocess.STDOUT, check=False, cwd=tmp_path, env=environ
        )
    told = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout.decode())
    assert done.returncode == 0, told
