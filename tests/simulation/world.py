"""The outside of every simulation: the APIs of the world over a small cast, the same in all runs.

An API of a run knows what it was told in that run (who renewed a token). Whatever depends neither on that nor on the
time of day is computed once for all runs of a process.
"""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from gcc.clock import Clock
from gcc.config import World as WorldSettings
from gcc.sources.credentials import Facts
from gcc.sources.http import Request
from gcc.sources.table import SOURCES
from gcc.world import rapidapi, shopify, youtube
from gcc.world.answer import Answer
from gcc.world.api import Api
from gcc.world.apis import APIS
from gcc.world.creators import generate
from gcc.world.graph_tokens import TOKENS, USER
from gcc.world.graph_tokens import owners as graph_owners
from gcc.world.model import Cast, Platform
from gcc.world.youtube_owners import CLIENT_ID, CLIENT_SECRET, OWNERS, access_token, refresh_token

CREATORS, ODD = 12, 5  # per platform; the odd ones are private, renamed, gone, age-gated, or hide their likes
TODAY = dt.date(2026, 1, 1)
ROOT = "http://world"
APPS = ("app-one", "app-two")
"""The Graph API's tokens are of two apps."""
BUCKETS = {"ytapi": {"": "units", "search": "search", "batchGetStats": "stats"}}
"""What the platform calls the buckets of an API."""
ATTEMPTS_MAX = 5
BUGS: dict[str, Callable[[], Exception]] = {
    "raises_value_error": lambda: ValueError("invalid literal for int() with base 10: 'many'"),
    "raises_key_error": lambda: KeyError("data"),
    "raises_a_group": lambda: ExceptionGroup(
        "two of them", [ZeroDivisionError("by zero"), ExceptionGroup("", [IndexError()])]
    ),
    "raises_recursion": lambda: RecursionError("maximum recursion depth exceeded"),
    "raises_assertion": lambda: AssertionError(),
    "raises_half_a_char": lambda: UnicodeEncodeError("utf-8", "\ud83d", 0, 1, "surrogates not allowed \ud83d \0"),
}
"""Handles over which the code stumbles each time, and what it raises."""
_PLATFORMS: tuple[Platform, ...] = ("INSTAGRAM", "YOUTUBE")
_CREATED = {platform: generate(platform, 1, CREATORS, ODD) for platform in _PLATFORMS}
CASTS = {platform: Cast(platform, creators, TODAY) for platform, creators in _CREATED.items()}
_SETTINGS = WorldSettings(creators=CREATORS, odd=ODD, calls_per_hour=10**9)  # it measures no use: the ledger does
_CHANGING = ("insights", "hashtag_search", "access_token", "debug_token")  # parts of paths that depend on the moment
_ANSWERS: dict[tuple[object, ...], Answer] = {}
_ANSWERS_MAX = 5000


def bug_in(request: Request) -> Exception | None:
    """What is raised over this request, if it asks for one of BUGS."""
    asked = str(request.params)
    return next((bug() for handle, bug in BUGS.items() if handle in asked), None) if "raises_" in asked else None


@dataclass(frozen=True, slots=True)
class Call:
    """A request as the API reads it. `source` is whose limits it counts to, `bucket` as the platform names it."""

    request: Request
    source: str
    api: Api
    path: str
    headers: Mapping[bytes, bytes]
    token: str
    bucket: str
    units: int


class World:
    """The APIs as one run finds them; `ends` tells when a token that was given with an end is good no more."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        casts = {platform: Cast(platform, creators, TODAY) for platform, creators in _CREATED.items()}
        self._apis = {row.room: row.make(casts, _SETTINGS, clock) for row in APIS}
        self.ends: dict[str, dt.datetime] = {}

    def read(self, request: Request) -> Call:
        room, _, path = urlsplit(request.url).path[1:].partition("/")
        api, path = self._apis[room], f"/{path}"
        headers = {name.lower().encode(): value.encode() for name, value in request.headers.items()}
        token = api.token(request.params, headers) or ""
        bucket, units = api.cost(request.method, path, request.params, request.body)
        source = SOURCES[request.source].shares or request.source
        named = BUCKETS.get(source, {}).get(bucket, bucket)
        return Call(request, source, api, path, headers, token, named, units)

    def lets_in(self, call: Call) -> bool:
        if call.token in self.ends and self.ends[call.token] <= self._clock.now():
            return False
        return call.api.open or call.api.lets_in(call.token)

    def answer(self, call: Call) -> Answer:
        """What the API answers where nothing is wrong."""
        if not self.lets_in(call):
            return call.api.refuse_token(call.token, expired=call.token in self.ends)
        request = call.request
        if call.source in ("shopify", "tokens") or any(part in call.path for part in _CHANGING):
            return self._fresh(call)
        key = (type(call.api), call.api.source, call.path, call.token, request.body, *sorted(request.params.items()))
        if key not in _ANSWERS:
            if len(_ANSWERS) >= _ANSWERS_MAX:
                _ANSWERS.clear()
            _ANSWERS[key] = self._fresh(call)
        return _ANSWERS[key]

    def _fresh(self, call: Call) -> Answer:
        request = call.request
        found = call.api.answer(request.method, call.path, request.params, call.headers, request.body)
        if call.source == "tokens" and found.status == 200:
            renewed = msgspec.json.decode(found.body)
            self.ends[renewed["access_token"]] = self._clock.now() + dt.timedelta(seconds=renewed["expires_in"])
        return found


Given = tuple[str, str, dict[str, str], Facts]
"""Source, handle, secret, what is known of it."""


def credentials() -> Iterator[Given]:
    """Of every kind, for each source that wants any: tokens of apps, of owners by either login, keys, shops' tokens."""
    for number, token in enumerate(TOKENS[:4]):
        yield "graphapi", f"g{number + 1}", {"token": token, "ig_user_id": USER}, Facts(app=APPS[number % 2])
    for creator, login, token in graph_owners(CASTS["INSTAGRAM"]):
        facts = Facts(kind=login, app=APPS[1] if login == "facebook" else "app-login", account=creator.profile_id)
        yield "graphapi", creator.handle, {"token": token}, facts
    for number, key in enumerate(youtube.KEYS, 1):
        yield "ytapi", f"y{number}", {"token": key}, Facts()
    for creator in _CREATED["YOUTUBE"][:OWNERS]:
        channel_id = creator.profile_id
        client = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "refresh_token": refresh_token(channel_id)}
        facts = Facts(kind="google", account=channel_id)
        yield "ytanalytics", creator.handle, {"token": access_token(channel_id, 0), **client}, facts
    for source in (row for row in SOURCES.values() if row.unofficial and not row.shares):
        for number, key in enumerate(rapidapi.keys(source.name), 1):
            yield source.name, f"k{number}", {"token": key}, Facts()
    for token, store in shopify.TOKENS.items():
        yield "shopify", store, {"token": token}, Facts(kind="shopify", account=f"{store}{shopify.DOMAIN}")


GIVEN: Mapping[str, tuple[str, str, Facts]] = {
    secret["token"]: (source, handle, facts) for source, handle, secret, facts in credentials()
}


def app_of(token: str) -> str:
    """A renewed token is of the same app, but those of other APIs than the Graph API are of none."""
    first = token.partition("~")[0]
    return GIVEN[first][2].app if first in GIVEN else ""
