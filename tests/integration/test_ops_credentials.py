"""Credentials by the command line, over real HTTP, on a real database: no secret comes back, whatever is asked."""

import io
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from gcc.channels.jobs import Crawl, Failure, Room
from gcc.cli import main
from gcc.clock import SystemClock
from gcc.sources.credentials import Facts
from gcc.stores.credentials import PostgresCredentials
from gcc.stores.postgres import Pool
from gcc.web.ops.registry import REGISTRY, write_registry
from tests.fakes.credentials import KEYS
from tests.integration.ops_platform import TOKEN, Port, World

pytest_plugins = ["tests.fixtures_ops"]

SECRET = "hush-hush-hush"
Verb = Callable[..., Awaitable[tuple[int, Any, str]]]


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    pool = Pool(database, 4, name="test")
    yield pool
    await pool.aclose()


@pytest.fixture
def stored(pool: Pool) -> PostgresCredentials:
    return PostgresCredentials(pool, SystemClock(), KEYS)


@pytest.fixture
async def world(database: str) -> AsyncIterator[World]:
    world = World(database=database)
    yield world
    world.close()


@pytest.fixture
async def verb(port: Port, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Verb:
    """(exit code, the object or the lines of stdout, stderr) of `credentials ...`, asked of the port."""
    write_registry(tmp_path / REGISTRY, url=port.url, token=TOKEN)

    async def run(*words: str, stdin: str = "", as_json: bool = True) -> tuple[int, Any, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        given = ["credentials", *words, "--data", str(tmp_path), *(["--json"] if as_json else [])]
        code = await trio.to_thread.run_sync(main, given)
        told = capsys.readouterr()
        assert SECRET not in told.out + told.err and "Traceback" not in told.err
        return code, json.loads(told.out) if as_json and told.out else told.out, told.err

    return run


async def test_one_is_added_from_stdin_and_told_without_its_secret(
    verb: Verb, world: World, stored: PostgresCredentials
) -> None:
    code, told, _ = await verb(
        "add", "ytapi", "main", "--kind", "key", "--app", "p1", "--scope", "a", "--scope", "b",
        "--expires-at", "2100-01-01T00:00:00Z", "--why", "bought", stdin=f"{SECRET}\n",
    )  # fmt: skip
    (one,) = told["credentials"]
    expected = {"source": "ytapi", "handle": "main", "kind": "key", "app": "p1", "scopes": ["a", "b"], "state": "ready"}
    assert code == 0 and expected.items() <= one.items() and one["expires_at"].startswith("2100-01-01")
    picked = await stored.pick("ytapi")
    assert (picked.secret, picked.app) == ({"token": SECRET}, "p1")
    ((_, why, what, target, *_),) = [
        (done.who, done.why, done.verb, done.target, done.detail) for done in world.controls.log.values()
    ]
    assert (why, what, target) == ("bought", "credentials add", "ytapi main")
    assert SECRET not in repr(world.controls.log)


async def test_a_secret_of_many_parts_comes_from_a_variable(
    verb: Verb, stored: PostgresCredentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = {"token": SECRET, "refresh_token": SECRET * 2}
    monkeypatch.setenv("MY_SECRET", json.dumps(whole))
    words = ("--secret-from", "MY_SECRET", "--kind", "facebook", "--account", "17", "--why", "x")
    assert (await verb("add", "graphapi", "hers", *words))[0] == 0
    assert (await stored.pick("graphapi", owner="17")).secret == whole


@pytest.mark.parametrize(
    ("words", "stdin", "told"),
    [
        (("add", "ytapi", "a"), SECRET, "needs --why"),
        (("add", "ytapi", "--why", "x"), SECRET, "takes SOURCE HANDLE"),
        (("add", "ytapi", "a", SECRET, "--why", "x"), "", "1 word, not repeated here"),
        (("add", "ytapi", "a", "--why", "x"), " ", "stdin holds no secret"),
        (("add", "ytapi", "a", "--why", "x"), "{" + SECRET, "begins like a JSON object, and is none"),
        (("add", "ytapi", "a", "--why", "x"), json.dumps({"key": SECRET}), "needs token"),
        *(
            (("add", "ytapi", "a", "--why", "x"), json.dumps({"token": part}), "token of the secret is no text that a")
            for part in (
                f"{SECRET}\n",
                f" {SECRET}",
                f"{SECRET}\r\nX-Other: 1",
                f"{SECRET}\u0663",
                {"a": SECRET},
                [1],
                17,
            )
        ),
        (("add", "ytapi", "a", "--secret-from", "NONE", "--why", "x"), "", "that --secret-from names holds no secret"),
        (("add", "graphapi", "a", "--why", "x"), SECRET, "must name its account: --account IG_USER_ID"),
        (("add", "nowhere", "a", "--why", "x"), SECRET, "no source 'nowhere' that has credentials; there are graphapi"),
        (("add", "ytapi", "a", "--kind", "odd", "--why", "x"), SECRET, "no kind 'odd'"),
        (("add", "ytapi", "a", "--kind", "google", "--why", "x"), SECRET, "google is one of ytanalytics, not of ytapi"),
        (("probe", "shopify", "a", "--why", "x"), "", "cannot be probed, those of graphapi and ytapi can"),
        (("add", "ytapi", "a", "--expires-at", "soon", "--why", "x"), SECRET, "expires_at"),
        (("disable", "ytapi", "a", "--why", "x"), "", "ytapi has no credential 'a'"),
        (("enable", "ytapi", "a", "--why", "x"), "", "ytapi has no credential 'a'"),
        (("probe", "ytapi", "a", "--why", "x"), "", "ytapi has no credential 'a'"),
        (("rotate-key", "ytapi", "--why", "x"), "", "takes no words"),
    ],
)
async def test_what_makes_no_sense_is_refused(verb: Verb, words: tuple[str, ...], stdin: str, told: str) -> None:
    code, out, err = await verb(*words, stdin=stdin)
    assert code == 2 and not out and told in err and err.count("\n") == 1


async def test_one_is_taken_out_and_brought_back(verb: Verb, stored: PostgresCredentials, world: World) -> None:
    await stored.put("ytapi", "main", {"token": SECRET}, Facts(app="p1"))
    _, told, _ = await verb("disable", "ytapi", "main", "--why", "lent out")
    assert (told["credentials"][0]["state"], told["credentials"][0]["reason"]) == ("disabled", "by hand: lent out")
    _, lines, _ = await verb("list", as_json=False)
    assert lines == "ytapi main  disabled  token, app p1  used 0 times\n    by hand: lent out\n"
    _, told, _ = await verb("enable", "ytapi", "main", "--why", "back")
    assert told["credentials"][0]["state"] == "ready"
    assert [done.verb for done in world.controls.log.values()] == ["credentials disable", "credentials enable"]


async def test_rests_are_told_with_their_scope_and_ended(verb: Verb, stored: PostgresCredentials) -> None:
    await stored.put("ytapi", "main", {"token": SECRET}, Facts(app="p1"))
    picked = await stored.pick("ytapi")
    await stored.disable(picked, rest_s=600, reason="quota", scope="bucket", bucket="search")
    await stored.disable(picked, rest_s=300, reason="throttled", scope="app")
    _, told, _ = await verb("list", "ytapi")
    (one,) = told["credentials"]
    assert (one["state"], one["rests"], one["reason"]) == ("rests", "app", "throttled") and 290 < one["back_in_s"] < 301
    assert [(rest["bucket"], rest["reason"]) for rest in one["buckets"]] == [("search", "quota")]
    _, lines, _ = await verb("list", as_json=False)
    assert "all of its app: throttled" in lines and "calls of search rest for" in lines
    _, told, _ = await verb("enable", "ytapi", "--why", "they let us again")
    assert (told["credentials"][0]["state"], len(told["credentials"][0]["buckets"])) == ("ready", 1)
    _, told, _ = await verb("enable", "ytapi", "main", "--why", "new day")
    assert told["credentials"][0]["buckets"] == []


@pytest.mark.parametrize(
    ("alive", "code", "told"), [(True, 0, ""), (False, 1, ""), (None, 1, "the probe ended FAILED: it answered 500")]
)
async def test_a_probe_is_a_job_that_is_waited_for(
    verb: Verb, world: World, stored: PostgresCredentials, alive: bool | None, code: int, told: str
) -> None:
    await stored.put("ytapi", "main", {"token": SECRET})

    async def probed() -> None:
        while not (jobs := await world.jobs.claim({"probe_credential": Room(1)})):  # noqa: ASYNC110
            await trio.sleep(0.05)
        assert jobs[0].params == {"source": "ytapi", "credential": "main"}
        if alive is None:
            await world.jobs.fail(jobs[0], Failure("SOURCE_FAILED", "it answered 500", None))
        else:
            await world.jobs.complete(jobs[0], Crawl("ytapi", data={"alive": alive}))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(probed)
        ended, out, err = await verb("probe", "ytapi", "main", "--why", "does it live?")
    assert ended == code and told in err and out["credentials"][0]["handle"] == "main"


async def test_keys_are_renewed(verb: Verb, stored: PostgresCredentials) -> None:
    await stored.put("ytapi", "main", {"token": SECRET})
    assert await verb("rotate-key", "--why", "yearly", as_json=False) == (
        0, f"0 credentials are sealed anew, all under key {KEYS.newest}\n", "",
    )  # fmt: skip
    _, told, _ = await verb("rotate-key", "--why", "yearly")
    assert told == {"credentials": [], "key": KEYS.newest, "resealed": 0, "left": 0}


async def test_without_any_it_says_how_to_add_one(verb: Verb) -> None:
    code, out, err = await verb("list", as_json=False)
    assert (code, out) == (0, "") and "credentials add SOURCE HANDLE" in err
