"""The platform's websocket, as the command line follows it: whole status objects, twice a second."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio_websocket import ConnectionClosed, HandshakeError, connect_websocket_url

from gcc.cli.client import NotRunning, Running

CONNECT_S = 5.0
MESSAGE_BYTES_MAX = 16 << 20


@asynccontextmanager
async def messages(running: Running) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """Status objects until the platform closes the connection. NotRunning: it cannot be had."""
    async with trio.open_nursery() as nursery:
        url = running.url.replace("http", "ws", 1) + "/ws"
        headers = [(name.encode(), value.encode()) for name, value in running.headers.items()]
        try:
            with trio.fail_after(CONNECT_S):
                socket = await connect_websocket_url(
                    nursery, url, extra_headers=headers, max_message_size=MESSAGE_BYTES_MAX
                )
        except (OSError, HandshakeError, trio.TooSlowError) as error:
            raise NotRunning(f"the platform at {running.url} does not answer ({error}); start it with: run") from None

        async def decoded() -> AsyncIterator[dict[str, Any]]:
            try:
                while True:
                    yield json.loads(await socket.get_message())
            except ConnectionClosed:
                return

        yield decoded()
        nursery.cancel_scope.cancel()
