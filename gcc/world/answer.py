"""One HTTP answer, and the query of a request: what the stand-ins for the APIs are made of."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import msgspec

Query = Mapping[str, str]
JSON = "application/json; charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    content_type: str = JSON
    retry_after_s: int | None = None
    headers: tuple[tuple[str, str], ...] = ()  # names in lower case


def answer(
    status: int, body: Any, retry_after_s: int | None = None, headers: tuple[tuple[str, str], ...] = ()
) -> Answer:
    return Answer(status, msgspec.json.encode(body), retry_after_s=retry_after_s, headers=headers)


def written(moment: dt.datetime) -> str:
    """A moment (UTC) to the second, as most APIs write it: 2026-10-30T12:00:00Z."""
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def query_of(raw: bytes) -> dict[str, str]:
    """The parameters, the last of a name winning; empty ones count as absent."""
    return dict(parse_qsl(raw.decode("latin-1")))
