"""The way to a running platform: DATA/supervisor.json (URL and token), then HTTP on loopback."""

import argparse
import getpass
import json
import socket
import ssl
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote

import httpx

from gcc.config import Settings, load
from gcc.errors import ConfigError, GccError, Permanent
from gcc.web.ops.registry import REGISTRY, read_registry

ANSWER_S = 30.0
LONG_ANSWER_S = 3600.0
LONG = tuple(
    f"/api/{path}"
    for path in (
        "import-history",
        "check",
        "check-parity",
        "jobs/add",
        "jobs/retry",
        "jobs/cancel",
        "replay",
        "schedules/run",
        "models/run",
        "models/backfill",
        "models/test",
        "sync/run",
        "sync/accept",
    )
)
"""These last as long as what they do; an import's begins when its file is sent. So does the making of lineage."""
ANSWER_BYTES_MAX = 64 << 20
SENTENCE_CHARS_MAX = 1000
EXCERPT_CHARS_MAX = 100
NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Whom an answer over TLS would be believed: it is plain HTTP on loopback, and to read whom to believe takes 20 ms."""
START = "name its folder with --data, or start it with: run, and the --config that it had"
WRONG_USE = (400, 404, 409, 422)


class NotRunning(ConfigError):
    """There is no platform to ask."""


class Unanswered(GccError):
    """Something is there, and what it answers is no answer."""


class HungUp(Unanswered):
    """It closed the connection before its answer was whole."""


class Told(dict[str, Any]):
    """A JSON object of the platform's. Unanswered: it lacks a key that is asked for."""

    def __missing__(self, key: str) -> NoReturn:
        raise Unanswered(f"the platform's answer lacks {key!r}: is it of another version than this command?")


def settings_of(arguments: argparse.Namespace) -> Settings:
    return load(arguments.config, overrides=arguments.set, data_dir=arguments.data)


def settings_as_run(arguments: argparse.Namespace) -> Settings:
    """Those of the platform that runs on the data folder, or was killed on it, unless others are asked for."""
    settings = settings_of(arguments)
    if arguments.config is not None or arguments.set:
        return settings
    try:
        found = json.loads(read_registry(settings.data_dir / REGISTRY))
        config, overrides = found["config"], [str(each) for each in found["set"]]
    except (OSError, ValueError, TypeError, LookupError, RecursionError, ConfigError):
        return settings
    return load(Path(config) if config else None, overrides=overrides, data_dir=settings.data_dir)


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

    def ask(
        self,
        method: str,
        path: str,
        *,
        content: bytes | Iterable[bytes] | None = None,
        holds: type | None = dict,
        **query: str,
    ) -> Any:
        """The decoded answer, whose `data` is a `holds` (None: it is no envelope). Raises NotRunning when nobody is
        there, Unanswered, ConfigError with what made no sense, Permanent with what could not be done."""
        for name in path.removeprefix("/api/").split("/"):
            if name in ("", ".", "..") or "%2F" in name:  # another path would be asked
                told = sentence(unquote(name))
                raise ConfigError(f"{told!r} is no name: it is empty, made of dots alone, or holds a slash")
        status, body = self.answer(method, path, content=content, **query)
        answer = decoded(body)
        if answer is not None and status < 300 and (holds is None or isinstance(answer.get("data"), holds)):
            return answer
        error = answer and answer.get("error")
        detail = error.get("detail") if isinstance(error, dict) else None
        if status >= 400 and isinstance(detail, str) and detail:
            raise (ConfigError if status in WRONG_USE else Permanent)(sentence(detail))
        excerpt = sentence(body[: 4 * EXCERPT_CHARS_MAX].decode(errors="replace"))[:EXCERPT_CHARS_MAX]
        raise Unanswered(
            f"{self.url} answers {path} with HTTP {status} and {excerpt!r}: that is no answer of this platform"
        )

    def answer(
        self, method: str, path: str, *, content: bytes | Iterable[bytes] | None = None, **query: str
    ) -> tuple[int, bytes]:
        """Status and body, whatever they are. Raises NotRunning, Unanswered."""
        answer_s = LONG_ANSWER_S if path in LONG or path.endswith("/lineage") else ANSWER_S
        timeout = httpx.Timeout(ANSWER_S, read=answer_s)
        try:
            with httpx.stream(
                method, self.url + path, content=content, params=query, headers=self.headers, timeout=timeout,
                trust_env=False, verify=NOBODY,
            ) as answer:  # fmt: skip
                return answer.status_code, _whole(answer, time.monotonic() + answer_s)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise NotRunning(f"the platform at {self.url} does not answer ({error}); {START}") from None
        except httpx.TimeoutException:
            told = f"the platform at {self.url} did not answer {path} within {answer_s:g} s; its log may tell why"
            raise Unanswered(told) from None
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            raise HungUp(f"the platform at {self.url} gave no whole answer ({sentence(str(error))})") from None

    def act(self, path: str, body: dict[str, Any], *, holds: type = dict) -> Any:
        """Do something; what it did. Raises as `ask`."""
        return self.ask("POST", path, content=json.dumps(body).encode(), holds=holds)["data"]


def find(arguments: argparse.Namespace) -> Running:
    """The platform that runs on the data folder of these arguments. Raises NotRunning, Unanswered."""
    file = settings_of(arguments).data_dir / REGISTRY
    try:
        found = json.loads(read_registry(file))
        running = Running(str(found["url"]), str(found["token"]))
        running.headers["Authorization"].encode("ascii")
    except FileNotFoundError:
        raise NotRunning(f"no platform runs on {file.parent} (there is no {file.name}); {START}") from None
    except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
        raise GccError(f"{file} cannot be read: {sentence(str(error))}") from None
    try:
        running.answer("GET", "/live")
    except NotRunning:
        told = f"no platform runs on {file.parent}: nobody answers at {running.url}; {START}"
        raise NotRunning(told) from None
    return running


def decoded(body: bytes | str) -> Told | None:
    """The JSON object that `body` is; None: it is none."""
    try:
        found = json.loads(body, object_hook=Told)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, Told) else None


def sentence(text: str) -> str:
    """What a stranger wrote, in one line of bearable length, without what would steer the terminal."""
    line = " ".join(text[:SENTENCE_CHARS_MAX].split())
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in line)


def many(number: int, one: str) -> str:
    """ "1 job", "2 jobs", "3,000 jobs"."""
    return f"{number:,} {one}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """What a stranger wrote, without what would steer the terminal."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text)


def _whole(answer: httpx.Response, until_s: float) -> bytes:
    body = bytearray()
    for piece in answer.iter_bytes():
        body += piece
        if len(body) > ANSWER_BYTES_MAX:
            raise httpx.ReadError(f"it has more than {ANSWER_BYTES_MAX >> 20} MiB")
        if time.monotonic() > until_s:
            raise httpx.ReadTimeout("it comes too slowly")
    return bytes(body)


def _who() -> str:
    """user@host, for the action log."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user without a name
        user = "unknown"
    return f"{user}@{socket.gethostname()}".encode("ascii", "replace").decode()
