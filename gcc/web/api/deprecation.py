"""Routes that go: since when nobody should ask them (RFC 9745), when they end (RFC 8594), and what answers instead."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import format_datetime
from string import Formatter
from urllib.parse import quote

NAMES = ("Deprecation", "Sunset", "Link")
"""The headers of every answer of such a route."""


@dataclass(frozen=True)
class Deprecated:
    since: dt.date
    sunset: dt.date
    successor: str  # its path
    headers: Mapping[str, str] = field(init=False)
    _parts: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        since, sunset = (dt.datetime.combine(day, dt.time(), dt.UTC) for day in (self.since, self.sunset))
        headers = {"deprecation": f"@{since.timestamp():.0f}", "sunset": format_datetime(sunset, usegmt=True)}
        object.__setattr__(self, "headers", headers)
        object.__setattr__(
            self, "_parts", frozenset(name for _, name, _, _ in Formatter().parse(self.successor) if name)
        )

    def told(self, parts: Mapping[str, str]) -> dict[str, str]:
        """The headers of an answer at a path with these parts: where they make the successor's, that one is linked."""
        link = '</docs>; rel="deprecation"; type="text/html"'
        if self._parts <= parts.keys():
            there = self.successor.format_map({name: quote(parts[name], safe="") for name in self._parts})
            link += f', <{there}>; rel="successor-version"'
        return {**self.headers, "link": link}
