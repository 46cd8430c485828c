"""The platform's websocket, as the command line follows it: whole status objects, twice a second."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import trio
from trio_websocket import ConnectionClosed, HandshakeError, connect_websocket_url

from gcc.cli.client import NotRunning, Running

CONNECT_S = 5.0
CLOSE_S = 1.0
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

        async def decoded() -> AsyncGenerator[dict[str, Any], None]:
            try:
                while True:
                    yield json.loads(await socket.get_message())
            except ConnectionClosed:
                return

        try:
            async with aclosing(decoded()) as stream:
                yield stream
        finally:
            with trio.move_on_after(CLOSE_S, shield=True):
                await socket.aclose()
            nursery.cancel_scope.cancel()
