"""The way to a running platform: DATA/supervisor.json (URL and token), then HTTP on loopback."""

import argparse
import getpass
import json
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx

from gcc.config import Settings, load
from gcc.errors import ConfigError, GccError, Permanent
from gcc.web.ops.registry import REGISTRY

ANSWER_S = 30.0
LONG = ("/api/import-history", "/api/check", "/api/jobs/retry", "/api/jobs/cancel", "/api/replay")
"""These last as long as they last."""
WRONG_USE = (400, 404, 409, 422)


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
        return {"Authorization": f"Bearer {self.token}", "X-Gcc-Who": _who()}

    def ask(self, method: str, path: str, *, content: bytes | Iterable[bytes] | None = None, **query: str) -> Any:
        """The decoded answer. Raises NotRunning when nobody answers, ConfigError with what made no sense,
        Permanent with what could not be done."""
        timeout = httpx.Timeout(ANSWER_S, read=None if path in LONG else ANSWER_S)
        try:
            answer = httpx.request(
                method, self.url + path, content=content, params=query, headers=self.headers, timeout=timeout,
                trust_env=False,
            )  # fmt: skip
        except httpx.TransportError as error:
            raise NotRunning(f"the platform at {self.url} does not answer ({error}); start it with: run") from None
        decoded = answer.json()
        if answer.status_code >= 400:
            kind = ConfigError if answer.status_code in WRONG_USE else Permanent
            raise kind(decoded["error"]["detail"])
        return decoded

    def act(self, path: str, body: dict[str, Any]) -> Any:
        """Do something; what it did. Raises as `ask`."""
        return self.ask("POST", path, content=json.dumps(body).encode())["data"]


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


def _who() -> str:
    """user@host, for the action log."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}".encode("ascii", "replace").decode()
