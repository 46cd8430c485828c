"""A whole platform with marked secrets, and an outside that repeats them in every answer: nothing it writes has one.

Good answers, errors, garbage and cut connections; verbs, pages, the log, PostgreSQL's rows, ClickHouse's tables and
every file of the data folder are searched for the marks, in whatever form.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import cycle
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import trio

from gcc.stores.embedded_postgres import EmbeddedPostgres
from gcc.stores.postgres import Pool
from tests.process import PlatformProcess, Status, launched, verb

MARK = "q7Zt4marked"
GRAPH = [f"{MARK}Graph{number}/x+y|z" for number in range(3)]
KEYS = [f"{MARK}Key{number}" for number in range(3)]
ADDED = f"{MARK}Added"
PATHS = (
    "/", "/jobs", "/sources", "/events", "/schedules", "/processes", "/api/status", "/api/jobs", "/api/sources",
    "/api/credentials", "/api/actions", "/api/schedules", "/api/dead-letters", "/api/flows", "/metrics", "/ready",
)  # fmt: skip
DUMP = """
import sys
from pathlib import Path
from gcc.stores.clickhouse_clients import Opener
(client,) = Opener(Path(sys.argv[1]), query_s_max=60).open({"dump": 1})["dump"]
ours = "database not in ('system', 'information_schema', 'INFORMATION_SCHEMA') and engine like '%MergeTree'"
tables = client.query("select database, name from system.tables where " + ours).result_rows
rows = [row for database, name in tables for row in client.query(f"select * from `{database}`.`{name}`").result_rows]
print(len(rows))
for row in rows:
    print(row)
client.close()
"""


def repeated(token: str) -> list[bytes]:
    """Answers that repeat it, in every way that an API has: as an error's text, in an address, as garbage."""
    says = f"Malformed access token {token}"
    graph = {"error": {"message": says, "type": "OAuthException", "code": 100, "error_subcode": 33}}
    google = {"error": {"code": 400, "message": says, "errors": [{"reason": "badRequest", "message": says}]}}
    media = {"data": [], "paging": {"cursors": {"after": "x"}, "next": f"https://x.example/?access_token={token}"}}
    profile = {"business_discovery": {"id": "17", "username": token, "media": media}, "id": token, "token": [token]}
    bodies: list[tuple[int, str]] = [
        (400, json.dumps(graph)),
        (400, json.dumps(graph).replace("/", "\\/")),
        (400, json.dumps(google)),
        (200, json.dumps({**graph, "items": [{"id": token, "snippet": token}]})),
        (200, json.dumps(profile)),
        (500, f"<html>{says}</html>"),
        (403, f"https://x.example/?key={token}"),
        (429, json.dumps(graph)),
    ]
    head = b"HTTP/1.1 %d X\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
    whole = [head % (status, len(body.encode())) + body.encode() for status, body in bodies]
    return [*whole, head % (200, 999) + says.encode(), b""]


@asynccontextmanager
async def repeating_outside() -> AsyncIterator[tuple[str, list[str]]]:
    """Its address, and the tokens that it was asked with."""
    turns, seen = cycle(range(10)), list[str]()

    async def answer(stream: trio.SocketStream) -> None:
        asked = b""
        while b"\r\n\r\n" not in asked and (more := await stream.receive_some()):
            asked += more
        query = parse_qs(urlsplit(asked.split(b" ")[1].decode()).query)
        token = (query.get("access_token") or query.get("key") or [""])[0]
        seen.append(token)
        await stream.send_all(repeated(token)[next(turns)])
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, answer, 0, host="127.0.0.1"))
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}", seen
        nursery.cancel_scope.cancel()


async def rows_of(data: Path) -> str:
    """Every row of every table of PostgreSQL, as text."""
    pool = Pool(EmbeddedPostgres(data, fsync=False).conninfo, 1, name="test")
    async with pool.connection() as connection:
        found = await (
            await connection.execute("select tablename from pg_tables where schemaname = 'public'")
        ).fetchall()
        rows = []
        for (table,) in found:
            rows += await (await connection.execute(f'select t::text from "{table}" t'.encode())).fetchall()  # noqa: S608
    await pool.aclose()
    assert len(rows) > 20
    return "\n".join(str(text) for (text,) in rows)


def find(text: str | bytes, where: str) -> None:
    at = text.find(MARK if isinstance(text, str) else MARK.encode())  # type: ignore[arg-type]
    assert at < 0, f"{where}: {text[max(0, at - 200) : at + 100]!r}"


async def pages(running: PlatformProcess) -> None:
    async with httpx.AsyncClient(base_url=running.running.url, headers=running.running.headers, timeout=30) as client:
        for path in PATHS:
            find((await client.get(path)).text, path)
        for job in (await client.get("/api/jobs", params={"limit": 100})).json()["data"]:
            find((await client.get(f"/api/jobs/{job['id']}")).text, f"job {job['id']}")


async def test_no_secret_is_in_anything_that_a_platform_writes(tmp_path: Path) -> None:
    data = tmp_path / "data"
    environ = {
        "GCC_SOURCES__GRAPHAPI__TOKENS": json.dumps([f"17:{token}" for token in GRAPH]),
        "GCC_SOURCES__YTAPI__TOKENS": json.dumps(KEYS),
        "ADDED": ADDED,
    }
    async with repeating_outside() as (url, seen):
        settings = (
            "world.enabled=false", f"sources.graphapi.base_url={url}", f"sources.ytapi.base_url={url}",
            "scraper.backoff_s=0.2", "scraper.attempts_max=3", "sinker.batch_age_s=0.2",
        )  # fmt: skip
        async with launched(data, *settings, environ=environ) as launch:
            running = await launch.ready()
            who = "".join(f"made.up{number}\n" for number in range(12))
            for flow in ("refresh_profile_by_handle", "refresh_yt_profiles"):
                await trio.Path(tmp_path / "who.csv").write_text(f"handle\n{who}")
                code, _, told = await verb("jobs", data, "add", flow, "--file", str(tmp_path / "who.csv"), "--why", "x")
                assert code == 0, told
            with trio.fail_after(60):
                while len({*seen}) < 6 or len(seen) < 60:  # noqa: ASYNC110 - of another process
                    await trio.sleep(0.1)
            for words in (
                ("credentials", "list"), ("sources",), ("status",), ("jobs", "list"), ("doctor",), ("actions",),
                ("credentials", "probe", "ytapi", "ytapi-1", "--why", "x"),  # those of graphapi rest by now
                ("credentials", "rotate-key", "--why", "x"), ("dead-letters",), ("limits",),
            ):  # fmt: skip
                name, *rest = words
                code, out, err = await verb(name, data, *rest)
                find(json.dumps(out) + err, " ".join(words))
            os.environ["ADDED"] = ADDED
            words = ("add", "ytapi", "late", "--secret-from", "ADDED", "--why", "x")
            code, out, err = await verb("credentials", data, *words)
            assert code == 0, err
            find(json.dumps(out) + err, "credentials add")
            await pages(running)

            async def stored(status: Status) -> bool:
                return status["stored_lag_s"] == 0

            await running.until(stored, "all events stored")
            find(await rows_of(data), "PostgreSQL")
            assert await running.stop(signal.SIGTERM) == 0
    assert {*seen} >= {*GRAPH, *KEYS}
    dumped = await trio.run_process(
        [sys.executable, "-c", DUMP, str(data / "clickhouse")], capture_stdout=True, stderr=subprocess.DEVNULL
    )
    assert int(dumped.stdout.split(b"\n")[0]) > 50
    find(dumped.stdout, "ClickHouse")
    for file in sorted(path for path in data.rglob("*") if path.is_file()):
        find(file.read_bytes(), str(file))
