"""How secrets lie in the database: sealed by AES-256-GCM under one of our keys, each for the row that it belongs to.

In: secrets, and the keys: of the settings (GCC_CREDENTIALS__KEYS, newest first), or of a file of mode 0600 in the data
folder, which the first start makes. Out: bytes that tell nothing without the key, whose id stands beside them. What
was sealed for one row does not open for another.
"""

import base64
import binascii
import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gcc.errors import ConfigError, Permanent
from gcc.stores import data_folder

KEY_BYTES = 32
KEY_FILE = "credentials.key"
_NONCE_BYTES = 12


class Unsealable(Permanent):
    """It cannot be opened: its key is not here, or somebody changed it."""


@dataclass(frozen=True, slots=True)
class Key:
    """32 random bytes; `id` tells which one it is, and nothing of it."""

    bytes: bytes = field(repr=False)

    @property
    def id(self) -> str:
        return hashlib.sha256(b"gcc credentials " + self.bytes).hexdigest()[:8]

    @classmethod
    def read(cls, text: str) -> "Key":
        """From Base64, of either alphabet. ValueError: it is none."""
        try:
            found = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
        except (binascii.Error, ValueError):
            found = b""
        if len(found) != KEY_BYTES:
            raise ValueError("a key is 32 bytes in Base64; make one with: openssl rand -base64 32")
        return cls(found)

    def written(self) -> str:
        return base64.b64encode(self.bytes).decode()


class Keys:
    """The keys of this process, newest first. Without any `given`, those of `file`: `load` it before the first use.

    Hold `turn` from sealing to the commit of what was sealed: between two turns the newest key may become another one.
    """

    def __init__(self, given: Sequence[str], file: Path) -> None:
        """ConfigError: one of those given is no key."""
        self._file = None if given else file
        try:
            self._keys = [Key.read(text) for text in given]
        except ValueError as error:
            raise ConfigError(f"GCC_CREDENTIALS__KEYS: {error}") from None
        self.turn = trio.Lock()

    @property
    def ids(self) -> list[str]:
        return [key.id for key in self._keys]

    @property
    def key(self) -> Key:
        """The newest."""
        return self._keys[0]

    @property
    def newest(self) -> str:
        return self.key.id

    @property
    def place(self) -> str:
        return "GCC_CREDENTIALS__KEYS" if self._file is None else str(self._file)

    def load(self, *, make: bool) -> None:
        """Read the file; where there is none, `make` it. ConfigError: it cannot be read, or holds something else.

        Of several first starts at once one makes it, and the others read it.
        """
        if self._file is None or self._read() or not make:
            return
        with _alone(self._file.parent):
            if not self._read():
                self.renew()

    def _read(self) -> bool:
        """Whether there is a file."""
        assert self._file is not None
        try:
            with open(data_folder.opened(self._file, os.O_RDONLY), encoding="ascii") as file:
                self._keys = [Key.read(line) for line in file.read().split()] or [Key.read("")]
        except FileNotFoundError:
            return False
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self._file} holds no keys: {error}; put its copy back, or move it away") from None
        return True

    def renew(self) -> None:
        """Put a new key before those of the file. Nothing, where the keys are the settings': new ones are set there."""
        if self._file is not None:
            keys = [Key(secrets.token_bytes(KEY_BYTES)), *self._keys]
            self._write(keys)
            self._keys = keys

    def forget_old(self) -> None:
        """Leave only the newest in the file: nothing is sealed under the others any more. Until the end of this
        process they open what was read before."""
        if self._file is not None:
            self._write(self._keys[:1])

    def _write(self, keys: list[Key]) -> None:
        """Replace the file; whoever reads finds all of the old one or all of the new one, after a loss of power too."""
        assert self._file is not None
        new = self._file.with_suffix(".new")
        new.unlink(missing_ok=True)
        fd = data_folder.opened(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with open(fd, "w", encoding="ascii") as file:
            file.writelines(f"{key.written()}\n" for key in keys)
            file.flush()
            os.fsync(fd)
        new.replace(self._file)
        folder = os.open(self._file.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def seal(self, secret: Mapping[str, Any], row: bytes) -> bytes:
        """Under the newest key, for the row with this id."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + AESGCM(self._keys[0].bytes).encrypt(nonce, json.dumps(dict(secret)).encode(), row)

    def open(self, sealed: bytes, key_id: str | None, row: bytes) -> dict[str, Any]:
        """Raises Unsealable."""
        key = next((key for key in self._keys if key.id == key_id), None)
        if key is None:
            raise Unsealable(f"it is sealed under key {key_id}, which is not in {self.place}")
        try:
            opened = json.loads(AESGCM(key.bytes).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], row))
        except (InvalidTag, ValueError):
            raise Unsealable(f"it was changed since it was sealed under key {key_id}") from None
        if not isinstance(opened, dict):
            raise Unsealable("its credentials are no JSON object")
        return opened


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One process at a time; it takes a few milliseconds, and ends with the process."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
