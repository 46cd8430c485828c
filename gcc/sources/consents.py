"""How creators are asked to let us in, and what their answer is exchanged for: a row a platform.

In: what the platform has registered our app as; the code that a creator's browser brings back. Out: where to send that
browser; then whose account it is, and the secret of its credential. All is asked of the platform's own addresses, or
of what stands in for all of them: nothing that a caller sends decides where. What the platform refuses is NotGranted;
no answer, or one that makes no sense, is Transient or OddAnswer, and the creator may be asked again.
"""

import base64
import datetime as dt
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from gcc.clock import Clock
from gcc.errors import Permanent
from gcc.sources.credentials import Facts
from gcc.sources.fields import Fields
from gcc.sources.http import Fetcher, Request, decode
from gcc.sources.verdicts import failed

SOURCE = "consents"
ASK_S = 6.0  # for each question of an exchange; there are three at most
TOKEN_CHARS_MAX = 5000


class NotGranted(Permanent):
    """The platform does not take this code, or the creator has no account that can let us in."""


@dataclass(frozen=True, slots=True)
class App:
    """As a platform knows us."""

    id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Consent:
    """What a creator gave, of the account of `facts`: what a credential of `source` is made of."""

    source: str
    handle: str
    secret: Mapping[str, str] = field(repr=False)
    facts: Facts


@dataclass(frozen=True, slots=True)
class Place:
    """A host of a platform, and its room where the world stands in for it."""

    host: str
    room: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """One code on its way."""

    ask: Callable[..., Any]  # (method, place, path, ...) -> Fields
    app: App
    code: str
    redirect_uri: str
    verifier: str
    now: dt.datetime

    @property
    def form(self) -> dict[str, str]:
        return {
            "grant_type": "authorization_code",
            "client_id": self.app.id,
            "client_secret": self.app.secret,
            "redirect_uri": self.redirect_uri,
            "code": self.code,
        }


@dataclass(frozen=True, slots=True)
class Asking:
    """`more`: what the page takes beside what all take. `pkce`: whether its login knows it (Instagram's does not)."""

    page: Place
    path: str
    scopes: Sequence[str]
    parted_by: str
    exchange: Callable[[Exchange], Any]
    more: Mapping[str, str] = field(default_factory=dict)
    pkce: bool = False


async def _instagram(given: Exchange) -> Consent:
    """A token of an hour, for that one of sixty days, and whose it is: the id by which the Graph API knows it."""
    told = await given.ask("POST", _INSTAGRAM_API, "/oauth/access_token", form=given.form)
    short = next(iter(told.objects("data")), told)  # in a list of one, or as it was before
    lengthen = {
        "grant_type": "ig_exchange_token",
        "client_secret": given.app.secret,
        "access_token": _token(short, "access_token"),
    }
    long = await given.ask("GET", _INSTAGRAM_GRAPH, "/access_token", params=lengthen)
    token = _token(long, "access_token")
    me = await given.ask("GET", _INSTAGRAM_GRAPH, "/me", params={"fields": "user_id,username", "access_token": token})
    account = me.number_or_text("user_id")
    if not account:
        raise me.refusal("user_id", "an id")
    scopes = short.texts("permissions") or re.split(r"[ ,]+", short.text("permissions") or "")
    facts = Facts(
        kind="instagram",
        app=given.app.id,
        account=account,
        scopes=tuple(filter(None, scopes)),
        expires_at=_end(long, given.now),
    )
    return Consent("graphapi", me.text("username") or account, {"token": token, "ig_user_id": account}, facts)


async def _youtube(given: Exchange) -> Consent:
    """Both tokens at once, and whose channel it is."""
    form = given.form | {"code_verifier": given.verifier}
    told = await given.ask("POST", _GOOGLE_TOKENS, "/token", form=form)
    token, refresh = _token(told, "access_token"), _token(told, "refresh_token")
    headers = {"authorization": f"Bearer {token}"}
    mine = {"part": "id,snippet", "mine": "true"}
    channels = await given.ask("GET", _YOUTUBE_DATA, "/v3/channels", params=mine, headers=headers)
    for channel in channels.objects("items"):
        account, snippet = channel.identity("id"), channel.object("snippet")
        handle = (snippet.text("customUrl") or snippet.text("title") or account).removeprefix("@")
        app = {"client_id": given.app.id, "client_secret": given.app.secret}
        facts = Facts(
            kind="google",
            app=given.app.id,
            account=account,
            scopes=tuple((told.text("scope") or "").split()),
            expires_at=_end(told, given.now),
        )
        return Consent("ytanalytics", handle, {"token": token, "refresh_token": refresh, **app}, facts)
    raise NotGranted("this Google account has no channel")


def _token(told: Fields, name: str) -> str:
    if not (token := told.text(name, chars_max=TOKEN_CHARS_MAX)):
        raise told.refusal(name, "a token")
    return token


def _end(told: Fields, now: dt.datetime) -> dt.datetime | None:
    seconds = told.count("expires_in")
    return now + dt.timedelta(seconds=min(seconds, 10**9)) if seconds else None


_INSTAGRAM = Place("https://www.instagram.com", "instagram_login")
_INSTAGRAM_API = Place("https://api.instagram.com", "instagram_login")
_INSTAGRAM_GRAPH = Place("https://graph.instagram.com", "graph_instagram")
_GOOGLE = Place("https://accounts.google.com", "google_accounts")
_GOOGLE_TOKENS = Place("https://oauth2.googleapis.com", "oauth2")
_YOUTUBE_DATA = Place("https://www.googleapis.com/youtube", "youtube")
_OF_GOOGLE = "https://www.googleapis.com/auth/"

PLATFORMS: Mapping[str, Asking] = {
    "INSTAGRAM": Asking(
        _INSTAGRAM,
        "/oauth/authorize",
        (
            "instagram_business_basic",
            "instagram_business_manage_insights",
            "instagram_business_manage_comments",
        ),
        ",",
        _instagram,
    ),
    "YOUTUBE": Asking(
        _GOOGLE,
        "/o/oauth2/v2/auth",
        (_OF_GOOGLE + "yt-analytics.readonly", _OF_GOOGLE + "youtube.readonly"),
        " ",
        _youtube,
        # without these there is no refresh token the second time
        more={"access_type": "offline", "prompt": "consent"},
        pkce=True,
    ),
}


class ConsentApi:
    """`apps`: what we are registered as, by platform. `root()`: '' for each platform's own hosts, or what stands in."""

    def __init__(self, fetcher: Fetcher, clock: Clock, apps: Mapping[str, App], root: Callable[[], str]) -> None:
        self._fetcher = fetcher
        self._clock = clock
        self._root = root
        self.apps = apps

    def page(self, platform: str, *, state: str, redirect_uri: str, verifier: str) -> str:
        """Where the creator's browser goes."""
        asking = PLATFORMS[platform]
        query = {
            "client_id": self.apps[platform].id,
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "scope": asking.parted_by.join(asking.scopes),
            "state": state,
            **asking.more,
        }
        if asking.pkce:
            digest = hashlib.sha256(verifier.encode()).digest()
            challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
            query |= {"code_challenge": challenge, "code_challenge_method": "S256"}
        return f"{self._at(asking.page)}{asking.path}?{urlencode(query)}"

    async def exchange(self, platform: str, code: str, *, redirect_uri: str, verifier: str) -> Consent:
        """Raises NotGranted, Transient, OddAnswer."""
        given = Exchange(self._ask, self.apps[platform], code, redirect_uri, verifier, self._clock.now())
        consent: Consent = await PLATFORMS[platform].exchange(given)
        return consent

    def _at(self, place: Place) -> str:
        root = self._root().rstrip("/")
        return f"{root}/{place.room}" if root else place.host

    async def _ask(
        self,
        method: str,
        place: Place,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Fields:
        body = urlencode(form).encode() if form else b""
        sent = {**(headers or {}), **({"content-type": "application/x-www-form-urlencoded"} if form else {})}
        answer = await self._fetcher.fetch(
            Request(SOURCE, method, self._at(place) + path, params or {}, sent, ASK_S, body)
        )
        if answer.status == 429 or answer.status >= 500:
            raise failed(f"{SOURCE}: HTTP {answer.status} of {answer.url}", None)
        if answer.status != 200:
            raise NotGranted(f"the platform answered HTTP {answer.status}")
        return Fields(decode(answer, SOURCE), SOURCE)
