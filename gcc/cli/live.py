"""The platform's websocket, as the command line follows it: whole status objects, twice a second."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, wrap_client_stream

from gcc.cli.client import Running, Unanswered, decoded

CONNECT_S = 5.0
CLOSE_S = 1.0
SILENCE_S = 30.0  # a message comes twice a second
MESSAGE_BYTES_MAX = 16 << 20


@asynccontextmanager
async def messages(running: Running) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """Status objects until the platform closes the connection. Unanswered, maybe in a group: there are none."""
    refused = False
    try:
        async with AsyncExitStack() as opened, trio.open_nursery() as nursery:
            socket = await _connected(running, nursery, opened)
            try:
                async with aclosing(_statuses(running, socket)) as stream:
                    yield stream
            finally:
                with trio.move_on_after(CLOSE_S, shield=True):
                    await socket.aclose()
                nursery.cancel_scope.cancel()
    except* HandshakeError:  # the library's own task raises it
        refused = True
    if refused:
        raise Unanswered(f"the platform at {running.url} opens no websocket: is something else there?")


async def _connected(running: Running, nursery: trio.Nursery, opened: AsyncExitStack) -> WebSocketConnection:
    """`opened` closes the connection where the handshake fails: the library does not."""
    url = urlsplit(running.url)
    headers = [(name.encode(), value.encode()) for name, value in running.headers.items()]
    try:
        with trio.fail_after(CONNECT_S):
            stream = await opened.enter_async_context(await trio.open_tcp_stream(url.hostname or "", url.port or 80))
            return await wrap_client_stream(
                nursery, stream, url.netloc, "/ws", extra_headers=headers, max_message_size=MESSAGE_BYTES_MAX
            )
    except trio.TooSlowError:
        raise Unanswered(f"the platform at {running.url} opened no websocket within {CONNECT_S:g} s") from None
    except OSError as error:
        raise Unanswered(f"the platform at {running.url} opens no websocket ({error})") from None


async def _statuses(running: Running, socket: WebSocketConnection) -> AsyncGenerator[dict[str, Any], None]:
    try:
        while True:
            with trio.fail_after(SILENCE_S):
                message = await socket.get_message()
            if (status := decoded(message)) is None:
                raise Unanswered(f"the platform at {running.url} sends what is no status")
            yield status
    except ConnectionClosed:
        return
    except trio.TooSlowError:
        raise Unanswered(f"the platform at {running.url} said nothing for {SILENCE_S:g} s") from None
