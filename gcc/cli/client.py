"""The way to a running platform: DATA/supervisor.json (URL and token), then HTTP on loopback."""

import argparse
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx

from gcc.config import Settings, load
from gcc.errors import ConfigError, GccError, Permanent

REGISTRY = "supervisor.json"
ANSWER_S = 30.0


class NotRunning(ConfigError):
    """There is no platform to ask."""


def settings_of(arguments: argparse.Namespace) -> Settings:
    return load(arguments.config, overrides=arguments.set, data_dir=arguments.data)


@dataclass(frozen=True, slots=True)
class Running:
    """A platform that runs. `token` is secret."""

    url: str
    token: str

    @property
    def page(self) -> str:
        return f"{self.url}/?token={self.token}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    def ask(self, method: str, path: str, *, content: bytes | Iterable[bytes] | None = None, **query: str) -> Any:
        """The decoded answer. Raises NotRunning when nobody answers, Permanent with what it refused."""
        # An import lasts as long as its file; all else answers at once.
        timeout = httpx.Timeout(ANSWER_S, read=None if path in ("/api/import-history", "/api/check") else ANSWER_S)
        try:
            answer = httpx.request(
                method, self.url + path, content=content, params=query, headers=self.headers, timeout=timeout,
                trust_env=False,
            )  # fmt: skip
        except httpx.TransportError as error:
            raise NotRunning(f"the platform at {self.url} does not answer ({error}); start it with: run") from None
        decoded = answer.json()
        if answer.status_code >= 400:
            raise Permanent(decoded["error"]["detail"])
        return decoded


def find(arguments: argparse.Namespace) -> Running:
    """The platform that runs on the data folder of these arguments. Raises NotRunning."""
    file = settings_of(arguments).data_dir / REGISTRY
    try:
        found = json.loads(file.read_text())
    except FileNotFoundError:
        raise NotRunning(f"no platform runs on {file.parent} (there is no {file.name}); start it with: run") from None
    except (OSError, ValueError) as error:
        raise GccError(f"{file} cannot be read: {error}") from None
    running = Running(found["url"], found["token"])
    with suppress(httpx.TransportError):
        httpx.get(running.url + "/live", timeout=ANSWER_S, trust_env=False)
        return running
    raise NotRunning(f"no platform runs on {file.parent}: nobody answers at {running.url}; start it with: run")
