"""Objects: named, immutable blobs (media, staging files, dead letters).

In: a key such as "dead-letters/2026-03-04/queue/id.json" and bytes, whole or as they come. Out: the bytes,
in chunks. A put is atomic: readers see the old object or the new one, whole; if it fails or is cancelled,
the old one stays. Permanent: a key that is not allowed, an object that does not exist. Transient: a full
disk and the like.
"""

from collections.abc import AsyncGenerator, AsyncIterable
from typing import Protocol

from gcc.errors import Permanent

CHUNK_BYTES = 1 << 20


class Objects(Protocol):
    """The port. Keys: parts joined by '/', none empty, none beginning with a dot."""

    async def put(self, key: str, data: bytes | AsyncIterable[bytes]) -> int:
        """Store an object, in place of an older one; returns its size in bytes. An async generator is closed."""
        ...

    def get(self, key: str) -> AsyncGenerator[bytes, None]:
        """The object in chunks of at most CHUNK_BYTES. Permanent, at the first step, when it does not exist."""
        ...

    async def read(self, key: str, start: int = 0, size: int | None = None) -> bytes:
        """The object's bytes from `start` on, `size` of them (1 or more) or all; fewer where it ends before.

        Permanent when it does not exist.
        """
        ...

    async def delete(self, key: str) -> None:
        """Remove an object; one that does not exist is as good as removed."""
        ...

    async def link(self, key: str, *, good_s: int, name: str, media_type: str) -> str | None:
        """A URL by which anybody gets the object for so long, as a download of that name; None: this store has none."""
        ...

    async def keys(self, prefix: str) -> list[str]:
        """All keys that begin with `prefix` (any text; "" for every key), sorted."""
        ...


def allowed(key: str) -> bool:
    """False when it could leave the store, hide in it, or name nothing."""
    return "\0" not in key and all(part and not part.startswith(".") for part in key.split("/"))


def checked(key: str) -> str:
    """The key itself. Permanent when it is not allowed."""
    if not allowed(key):
        raise Permanent(f"object key {key[:200]!r} is not allowed: parts joined by '/', not empty, no leading dot")
    return key


def missing(key: str) -> Permanent:
    return Permanent(f"object {key} does not exist")


async def pieces(data: bytes | AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """Bytes in chunks of CHUNK_BYTES; what comes in chunks, as it comes."""
    if isinstance(data, bytes):
        for start in range(0, len(data), CHUNK_BYTES):
            yield data[start : start + CHUNK_BYTES]
    else:
        async for chunk in data:
            yield chunk
