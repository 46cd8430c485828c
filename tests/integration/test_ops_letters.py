"""Dead letters over real HTTP and by the command line: listed, looked at with secrets masked, replayed once."""

import json
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from gcc.channels.letters import LetterFilter
from gcc.cli import main
from gcc.errors import Transient
from gcc.web.ops.registry import REGISTRY, write_registry
from tests.integration.ops_platform import TOKEN, Port, World, client

pytest_plugins = ["tests.fixtures_ops"]

POSTS, TRACES = "post_log_events_q", "trace_log"
SECRET = "s3cr3t-of-a-source"
TRACE = json.dumps({"uri": f"https://x/y?access_token={SECRET}", "headers": {"authorization": SECRET}, "n": 1}).encode()


async def ask(port: Port, path: str, body: dict[str, Any] | None = None, **query: str) -> tuple[int, Any, Any]:
    """(status, data or error, meta)."""
    async with client(port) as http:
        answer = await (http.get(path, params=query) if body is None else http.post(path, json=body))
    decoded = answer.json()
    return answer.status_code, decoded["data"] if answer.status_code < 300 else decoded["error"], decoded.get("meta")


async def some_letters(world: World) -> None:
    """Three of POSTS (two reasons, five events), one of TRACES, the newest."""
    await world.bury(POSTS, b'{"n": 1}\n{"n": 2}', "not a post_log event: Object missing required field `source`")
    await world.bury(POSTS, b'{"n": 3}\n{"n": 4}', "not a post_log event: Object missing required field `source`")
    await world.bury(POSTS, b'{"n": 5}', "Code 27: cannot parse")
    await world.bury(TRACES, TRACE, f"refused: https://x?token={SECRET}", **{"X-Api-Key": SECRET, "x-retry-count": "2"})


def outbox(world: World) -> list[tuple[str, str, bytes]]:
    frames = [row.frame for row in world.connection.database.outbox]
    return [(frame.route.exchange, frame.route.key, frame.body) for frame in frames]


def actions(world: World) -> list[tuple[str, str, str, str, int | None]]:
    return [(done.who, done.why, done.verb, done.target, done.things) for done in world.controls.log.values()]


async def test_letters_are_listed_newest_first_and_counted_by_queue_and_reason(port: Port, world: World) -> None:
    assert await ask(port, "/api/dead-letters") == (200, [], {"total": 0, "events": 0, "groups": []})
    await some_letters(world)
    code, letters, meta = await ask(port, "/api/dead-letters", limit="3")
    assert (code, [letter["queue"] for letter in letters], meta["total"]) == (200, [TRACES, POSTS, POSTS], 4)
    assert [(group["queue"], group["letters"], group["events"]) for group in meta["groups"]] == [
        (TRACES, 1, 1), (POSTS, 1, 1), (POSTS, 2, 4),
    ]  # fmt: skip
    assert set(letters[1]) == {
        "id", "at", "queue", "exchange", "routing_key", "frame_id", "events", "reason", "object", "replayed_at",
        "replayed_by",
    }  # fmt: skip
    _, letters, meta = await ask(port, "/api/dead-letters", queue=POSTS, reason="missing", since="2026-01-01T00:00:00Z")
    assert ([letter["events"] for letter in letters], meta["total"], len(meta["groups"])) == ([2, 2], 2, 1)
    assert await ask(port, "/api/dead-letters", since="2999-01-01T00:00:00Z") == (
        200,
        [],
        {"total": 0, "events": 0, "groups": []},
    )


async def test_what_is_shown_has_its_secrets_masked_and_what_is_replayed_has_them(port: Port, world: World) -> None:
    await some_letters(world)
    (trace,) = await world.letters.find(LetterFilter(queue=TRACES))
    code, letter, _ = await ask(port, f"/api/dead-letters/{trace.id}")
    assert code == 200 and letter["headers"] == {"X-Api-Key": "•••", "x-retry-count": "2"}
    assert json.loads(letter["body"]) == {
        "uri": "https://x/y?access_token=•••", "headers": {"authorization": "•••"}, "n": 1,
    }  # fmt: skip
    assert (letter["whole"], letter["bytes"], letter["trouble"]) == (True, len(TRACE), None)
    assert letter["reason"] == "refused: https://x?token=•••"
    async with client(port) as http:
        for path in ("/api/dead-letters", f"/api/dead-letters/{trace.id}", "/api/status"):
            answer = await http.get(path)
            assert answer.status_code == 200 and SECRET not in answer.text
        dry = await http.post("/api/replay", json={"filter": {"queue": TRACES}, "dry_run": True})
        assert dry.json()["data"]["letters"] == 1 and SECRET not in dry.text
    await ask(port, "/api/replay", {"filter": {"queue": TRACES}, "why": "x"})
    assert outbox(world) == [("", TRACES, TRACE)]


async def test_letters_are_replayed_after_a_look_and_once(port: Port, world: World) -> None:
    await some_letters(world)
    wanted = {"filter": {"queue": POSTS, "reason": "MISSING"}}
    code, would, _ = await ask(port, "/api/replay", {**wanted, "dry_run": True})
    assert (code, would["letters"], would["events"], len(would["groups"])) == (200, 2, 4, 1)
    assert (outbox(world), actions(world)) == ([], []), "looking is no action"
    done = {"letters": 2, "events": 4, "unreadable": 0, "errors": []}
    assert (await ask(port, "/api/replay", {**wanted, "why": " mended "}))[:2] == (200, done)
    assert outbox(world) == [("", POSTS, b'{"n": 1}\n{"n": 2}'), ("", POSTS, b'{"n": 3}\n{"n": 4}')]
    assert (await ask(port, "/api/replay", {**wanted, "why": "again"}))[1]["letters"] == 0
    assert len(outbox(world)) == 2
    target = f"dead letters queue={POSTS} reason=MISSING"
    assert actions(world) == [("API", "mended", "replay", target, 2), ("API", "again", "replay", target, 0)]
    first, _ = world.controls.log.values()
    assert first.detail == {"filter": wanted["filter"], "events": 4, "unreadable": 0}
    assert (await ask(port, "/api/dead-letters"))[2]["total"] == 2


async def test_letters_are_replayed_by_id_up_to_a_limit_and_what_cannot_be_read_is_told(
    port: Port, world: World
) -> None:
    await some_letters(world)
    newest, parse, *_ = await world.letters.find(LetterFilter())
    world.letters.lost.add(parse.id)
    ids = [str(parse.id), str(newest.id)]
    code, done, _ = await ask(port, "/api/replay", {"filter": {"ids": ids}, "why": "x"})
    assert (code, done["letters"], done["unreadable"], done["errors"][0]["id"]) == (200, 1, 1, str(parse.id))
    assert actions(world)[0][3:] == ("dead letters 2 ids", 1)
    code, letter, _ = await ask(port, f"/api/dead-letters/{parse.id}")
    assert (code, letter["body"], letter["headers"]) == (200, None, {}) and "does not exist" in letter["trouble"]
    _, letter, _ = await ask(port, f"/api/dead-letters/{newest.id}")
    assert (letter["replayed_by"], letter["replayed_at"] is None) == ("API", False)
    code, done, _ = await ask(port, "/api/replay", {"filter": {"queue": POSTS, "limit": 1}, "why": "x"})
    assert (done["letters"], outbox(world)[-1][2]) == (1, b'{"n": 1}\n{"n": 2}')


async def test_a_long_body_is_cut_in_view_and_a_long_reason_in_the_list(port: Port, world: World) -> None:
    letter = await world.bury(POSTS, b'{"caption": "' + b"x" * 200_000 + b'"}', "too long " * 100)
    _, (listed,), _ = await ask(port, "/api/dead-letters")
    _, shown, _ = await ask(port, f"/api/dead-letters/{letter.id}")
    assert (len(listed["reason"]), shown["reason"]) == (300, "too long " * 100)
    assert (len(shown["body"]), shown["whole"], shown["bytes"]) == (100_000, False, 200_015)


@pytest.mark.parametrize(
    ("body", "code", "told"),
    [
        ({"filter": {}, "why": "x"}, 409, "name a queue"),
        ({"filter": {"limit": 5}, "dry_run": True}, 409, "name a queue"),
        ({"filter": {"queue": POSTS}}, 422, "why"),
        ({"filter": {"queue": POSTS}, "why": "  "}, 422, "why"),
        ({"filter": {"queue": ""}, "why": "x"}, 422, "filter.queue"),
        ({"filter": {"ids": ["7"]}, "why": "x"}, 422, "filter.ids"),
        ({"filter": {"since": "noon"}, "why": "x"}, 422, "filter.since"),
        ({"filter": {"queue": POSTS, "limit": 0}, "why": "x"}, 422, "filter.limit"),
        ({"filter": {"colour": "red"}, "why": "x"}, 422, "filter.colour"),
        ({"why": "x"}, 422, "filter"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_not_done(
    port: Port, world: World, body: dict[str, Any], code: int, told: str
) -> None:
    await some_letters(world)
    answered, error, _ = await ask(port, "/api/replay", body)
    assert answered == code and told in error["detail"], error
    assert (outbox(world), actions(world)) == ([], [])


async def test_questions_that_make_no_sense_are_refused(port: Port) -> None:
    for query in ("limit=0", "limit=1001", "ids=7", "colour=red", "since=noon"):
        async with client(port) as http:
            assert (await http.get(f"/api/dead-letters?{query}")).status_code == 422
    code, error, _ = await ask(port, f"/api/dead-letters/{uuid.uuid4()}")
    assert (code, error["code"]) == (404, "DEAD_LETTER_NOT_FOUND")
    assert (await ask(port, "/api/dead-letters/seven"))[0] == 422


async def test_letters_need_the_token_and_a_replay_the_page(port: Port, world: World) -> None:
    await some_letters(world)
    (letter,) = await world.letters.find(LetterFilter(queue=TRACES))
    cookie = {"Cookie": f"gcc_ops_{port.number}={TOKEN}"}
    page = cookie | {"Origin": port.url, "x-gcc-action": "replay"}
    body = {"filter": {"queue": POSTS}, "why": "x"}
    async with client(port, token=None) as http:
        for path in ("/api/dead-letters", f"/api/dead-letters/{letter.id}"):
            assert (await http.get(path)).status_code == 401
        answers = [
            (await http.post("/api/replay", json=body, headers=headers)).status_code
            for headers in ({}, cookie, page | {"x-gcc-action": "other"}, page | {"Origin": "http://evil.example"})
        ]
        assert (answers, outbox(world), actions(world)) == ([401, 403, 403, 403], [], [])
        assert (await http.post("/api/replay", json=body, headers=page)).status_code == 200
    assert actions(world)[0][0] == "dashboard"


async def test_a_replay_that_was_cut_off_has_its_row_all_the_same(port: Port, world: World) -> None:
    await some_letters(world)

    async def away() -> None:
        raise Transient("PostgreSQL is away")

    world.connection.before = away
    code, error, _ = await ask(port, "/api/replay", {"filter": {"queue": POSTS}, "why": "x"})
    assert (code, error["code"]) == (503, "STORE_UNAVAILABLE")
    assert actions(world) == [("API", "x", "replay", f"dead letters queue={POSTS}", None)]


async def test_the_status_tells_how_many_wait(port: Port, world: World) -> None:
    await some_letters(world)
    port.composer._counts = await world.count()
    async with client(port) as http:
        told = (await http.get("/api/status")).json()["dead_letters"]
    assert (told["letters"], told["events"], told["more"]) == (4, 6, False)
    assert [group["queue"] for group in told["groups"]] == [TRACES, POSTS, POSTS]


# The command line

Verb = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
async def verb(port: Port, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Verb:
    """(exit code, stdout, stderr) of one verb, asked of the port."""
    write_registry(tmp_path / REGISTRY, url=port.url, token=TOKEN)

    async def run(*words: str) -> tuple[int, str, str]:
        code = await trio.to_thread.run_sync(main, [*words, "--data", str(tmp_path)])
        told = capsys.readouterr()
        return code, told.out.strip(), told.err.strip()

    return run


async def test_letters_by_the_command_line(verb: Verb, world: World) -> None:
    await some_letters(world)
    code, told, _ = await verb("dead-letters", "--queue", POSTS, "--limit", "2")
    assert code == 0 and told.endswith("2 of 3 dead letters") and told.count("Code 27") == 2, told
    (trace,) = await world.letters.find(LetterFilter(queue=TRACES))
    code, told, _ = await verb("dead-letters", "--show", str(trace.id))
    assert code == 0 and "header       X-Api-Key: •••" in told and '"n": 1' in told and SECRET not in told
    code, told, _ = await verb("dead-letters", "--since", "1h", "--json")
    listed = json.loads(told)
    assert (code, len(listed["letters"]), listed["total"], len(listed["groups"])) == (0, 4, 4, 3)

    code, told, _ = await verb("replay", "--reason", "post_log", "--dry-run")
    assert code == 0 and told.endswith("2 letters with 4 events would be replayed") and POSTS in told
    assert outbox(world) == []
    assert await verb("replay", "--reason", "post_log", "--why", "mended") == (
        0, "2 letters with 4 events replayed", "",
    )  # fmt: skip
    assert [line[1:] for line in actions(world)] == [("mended", "replay", "dead letters reason=post_log", 2)]
    assert "@" in actions(world)[0][0]
    code, told, _ = await verb("replay", "--id", str(trace.id), "--why", "x", "--json")
    assert (code, json.loads(told)["letters"]) == (0, 1)
    code, told, _ = await verb("dead-letters", "--show", str(trace.id))
    assert code == 0 and "replayed     20" in told


async def test_none_is_told_in_one_line(verb: Verb) -> None:
    assert await verb("dead-letters") == (0, "0 of 0 dead letters", "")
    assert await verb("replay", "--queue", POSTS, "--dry-run") == (0, "0 letters with 0 events would be replayed", "")


async def test_what_cannot_be_read_is_told_by_exit_1(verb: Verb, world: World) -> None:
    await some_letters(world)
    (lost,) = await world.letters.find(LetterFilter(reason="Code 27"))
    world.letters.lost.add(lost.id)
    code, told, err = await verb("replay", "--queue", POSTS, "--why", "x")
    assert (code, told) == (1, "2 letters with 4 events replayed")
    assert err.startswith(f"not replayed: {lost.id}: ") and "does not exist" in err
    code, _, err = await verb("dead-letters", "--show", str(lost.id))
    assert code == 1 and "does not exist" in err


async def test_what_strangers_wrote_does_not_steer_the_terminal(verb: Verb, world: World) -> None:
    letter = await world.bury(POSTS, b"\x1b[2J{broken", "\x1b]0;title\x07 bad", evil="\x1b[31m")
    for words in (
        ("dead-letters",),
        ("dead-letters", "--show", str(letter.id)),
        ("replay", "--queue", POSTS, "--dry-run"),
    ):
        code, told, _ = await verb(*words)
        assert code == 0 and "\x1b" not in told and "\x07" not in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("replay", "--why", "x"), "name a queue"),
        (("replay", "--limit", "3", "--dry-run"), "name a queue"),
        (("replay", "--queue", POSTS), "replay needs --why"),
        (("replay", "--since", "soon", "--why", "x"), "--since 'soon' is no time"),
        (("replay", "--id", "7", "--why", "x"), "filter.ids"),
        (("dead-letters", "--show", "7"), "no id of a dead letter"),
        (("dead-letters", "--show", "../status"), "no id of a dead letter"),
        (("dead-letters", "--show", str(uuid.UUID(int=7))), "there is no dead letter"),
        (("dead-letters", "--show", "7", "--queue", POSTS), "leave out the filter"),
        (("dead-letters", "--limit", "0"), "limit"),
    ],
)
async def test_a_wrong_call_is_one_sentence(verb: Verb, world: World, words: tuple[str, ...], told: str) -> None:
    code, out, err = await verb(*words)
    assert (code, out, err.count("\n")) == (2, "", 0) and err.startswith("gcc: ") and told in err, err
    assert (outbox(world), actions(world)) == ([], [])
