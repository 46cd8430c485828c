"""Objects in memory: what simulations use. It passes the contract tests of the folder."""

from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from contextlib import AsyncExitStack

import trio

from gcc.channels.objects import CHUNK_BYTES, checked, missing


class MemoryObjects:
    """`before` is where a put may take its time, and fail."""

    def __init__(self, before: Callable[[], Awaitable[None]] = trio.lowlevel.checkpoint) -> None:
        self._objects: dict[str, bytes] = {}
        self._before = before

    async def put(self, key: str, data: bytes | AsyncIterable[bytes]) -> int:
        checked(key)
        await self._before()
        if not isinstance(data, bytes):
            async with AsyncExitStack() as stack:
                if aclose := getattr(data, "aclose", None):
                    stack.push_async_callback(aclose)
                data = b"".join([chunk async for chunk in data])
        self._objects[key] = data
        return len(data)

    async def get(self, key: str) -> AsyncGenerator[bytes, None]:
        data = await self.read(key)
        for start in range(0, len(data), CHUNK_BYTES):
            yield data[start : start + CHUNK_BYTES]
            await trio.lowlevel.checkpoint()

    async def read(self, key: str, start: int = 0, size: int | None = None) -> bytes:
        await trio.lowlevel.checkpoint()
        try:
            return self._objects[checked(key)][start : None if size is None else start + size]
        except KeyError:
            raise missing(key) from None

    def held(self, key: str) -> bytes | None:
        """What a test looks at, at once."""
        return self._objects.get(key)

    async def delete(self, key: str) -> None:
        await trio.lowlevel.checkpoint()
        self._objects.pop(checked(key), None)

    async def link(self, key: str, *, good_s: int, name: str, media_type: str) -> str | None:
        checked(key)
        return None

    async def keys(self, prefix: str) -> list[str]:
        await trio.lowlevel.checkpoint()
        return sorted(key for key in self._objects if key.startswith(prefix))
