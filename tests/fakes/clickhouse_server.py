"""A ClickHouse server for tests: the HTTP interface in front of the embedded engine, so that no server is needed.

It answers what the store asks: statements in the body or in `query`, settings and `param_*` in the URL, data of
inserts in the body, errors with ClickHouse's code in a header, results that fail midway with the error in the body.
"""

import itertools
import re
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import chdb
from clickhouse_connect.driver._backend.chdb_backend import CHDB_TRANSPORT_SETTINGS

NOT_SETTINGS = CHDB_TRANSPORT_SETTINGS | {"query"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path

    def do_POST(self) -> None:
        values = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        params = {name[6:]: value for name, value in values.items() if name.startswith("param_")}
        settings = {k: v for k, v in values.items() if k not in NOT_SETTINGS and not k.startswith("param_")}
        connection = chdb.connect(str(self.folder))
        try:
            if "database" in values:
                connection.query(f"use `{values['database']}`")
            if "query" in values and body:
                self._insert(connection, values["query"], body, settings)
            else:
                if settings:  # in one statement: fifteen cost more than what most are asked
                    connection.query("set " + ", ".join(f"{name} = '{value}'" for name, value in settings.items()))
                self._answer(connection, values.get("query") or body.decode(), params)
        except Exception as error:
            self._refuse(str(error))
        finally:
            connection.close()

    do_GET = do_POST

    def _insert(self, connection: Any, statement: str, body: bytes, settings: dict[str, str]) -> None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(body)
            file.flush()
            given = ", ".join(f"{name} = '{value}'" for name, value in settings.items())
            head, _, form = statement.partition(" FORMAT ")
            connection.query(f"{head} FROM INFILE '{file.name}' SETTINGS {given} FORMAT {form}")
        self._send(200, iter(()))

    def _answer(self, connection: Any, sql: str, params: dict[str, str]) -> None:
        form = (re.findall(r"FORMAT\s+(\w+)\s*;?\s*$", sql) or ["TabSeparated"])[-1]
        if form != "TSV":
            self._send(200, iter([connection.query(sql, form, params=params).bytes()]))
            return
        blocks = connection.send_query(sql, form, params=params)
        try:
            first = next(blocks, None)  # an error before the first block is an error of the whole answer
            self._send(200, itertools.chain([first.bytes()] if first else [], _bytes(blocks)))
        finally:
            blocks.close()

    def _refuse(self, message: str) -> None:
        code = re.search(r"Code: (\d+)", message)
        self._send(500, iter([message.encode()]), {"X-ClickHouse-Exception-Code": code[1] if code else "1002"})

    def _send(self, status: int, pieces: Iterator[bytes], headers: Mapping[str, str] = MappingProxyType({})) -> None:
        self.send_response(status)
        for name, value in {"Transfer-Encoding": "chunked", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(ConnectionError):  # the client left
            for piece in pieces:
                if piece:
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        pass


def _bytes(blocks: Any) -> Iterator[bytes]:
    try:
        for block in blocks:
            yield block.bytes()
    except RuntimeError as error:
        yield f"__exception__\r\n{error}\r\n".encode()


@contextmanager
def clickhouse_server(folder: Path, port: int = 0) -> Iterator[str]:
    """Serves the engine's `folder`, which this process has open; gives the URL. Port 0: any free one."""
    handler = type("Handler", (_Handler,), {"folder": folder})
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
