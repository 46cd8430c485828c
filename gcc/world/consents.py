"""How creators of the world let an app in: the page that asks them, and the codes by which the app gets tokens.

In: a browser that opens the page and sends its form, then the app that exchanges the code. Out: the page, the way back
to the app with a code or a refusal, whose the code is. A code is good once, within CODE_S, for the redirect that it was
given to, and, where a challenge came with the question, for who has its verifier (RFC 7636, S256 or plain).
"""

import base64
import datetime as dt
import functools
import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from gcc.world.answer import Answer, Query, query_of
from gcc.world.chance import key_of, letters, mix
from gcc.world.model import Cast, Creator, Platform

CODE_S = 600
CODES_MAX = 10_000
SHOWN = 30
"""So many creators the page offers; any other may be typed."""
_REDIRECT = r"https?://[^/?#\\@]+/identity-service/api/connect/{platform}/callback"
"""What the app has registered, at any host: the world does not know where its callers listen."""


@dataclass(frozen=True, slots=True)
class Client:
    id: str
    secret: str


CLIENTS: Mapping[Platform, Client] = {
    "INSTAGRAM": Client("220144780000001", "world-instagram-secret"),
    "YOUTUBE": Client("world-client.apps.example", "world-client-secret"),
}
"""The app's, by platform."""


@dataclass(frozen=True, slots=True)
class Login:
    """How a platform's page behaves: what a refusal carries beside access_denied, and what ends its way back."""

    denied: Mapping[str, str]
    fragment: str = ""


LOGINS: Mapping[Platform, Login] = {
    "INSTAGRAM": Login(
        {"error_reason": "user_denied", "error_description": "The user denied your request"}, fragment="#_"
    ),
    "YOUTUBE": Login({}),
}


@dataclass(frozen=True, slots=True)
class _Given:
    creator: Creator
    query: Query  # with which the page was opened
    until: dt.datetime


class Consents:
    """Of one login. Codes are remembered until they are used, the last CODES_MAX of them."""

    def __init__(self, cast: Cast) -> None:
        self._cast, self._login, self._client = cast, LOGINS[cast.platform], CLIENTS[cast.platform]
        self._redirect = re.compile(_REDIRECT.format(platform=cast.platform.lower()))
        self._codes: dict[str, _Given] = {}
        self._count = 0

    def page(self, method: str, query: Query, body: bytes, now: dt.datetime) -> Answer:
        """What a browser gets: the page, or the way back to the app. What no app of ours asks is told on the page."""
        form = query_of(body) if method == "POST" else {}
        redirect = query.get("redirect_uri", "")
        if query.get("client_id") != self._client.id:
            return _page(400, "<p>There is no such app.</p>")
        if not self._redirect.fullmatch(redirect):
            return _page(400, "<p>redirect_uri_mismatch: the app has not registered this redirect.</p>")
        if query.get("response_type") != "code" or not query.get("scope"):
            return _page(400, "<p>invalid_request: response_type and scope are needed.</p>")
        if method != "POST":
            return _page(200, self._form(query))
        if form.get("decision") != "allow":
            return self._back(redirect, {"error": "access_denied", **self._login.denied}, query)
        account = form.get("account", "")
        creator = self._cast.by_handle(account) or self._cast.by_id(account)
        if creator is None or creator.state not in ("public", "hides_likes"):
            return _page(400, "<p>There is no such account that can let an app in.</p>")
        return self._back(redirect, {"code": self._code(creator, query, now)}, query)

    def redeemed(self, form: Query, now: dt.datetime) -> tuple[Creator, Sequence[str]] | None:
        """Who gave the code, and the scopes; None: it is not good, or not for who sends it."""
        given = self._codes.pop(form.get("code", ""), None)
        if given is None or given.until <= now or form.get("redirect_uri") != given.query["redirect_uri"]:
            return None
        challenge, method = given.query.get("code_challenge"), given.query.get("code_challenge_method", "plain")
        if challenge is not None and _challenge(form.get("code_verifier", ""), method) != challenge:
            return None
        return given.creator, re.split(r"[ ,]+", given.query["scope"])

    def _code(self, creator: Creator, query: Query, now: dt.datetime) -> str:
        self._count += 1
        code = letters(mix(key_of(creator.profile_id), self._count), mix(key_of(str(now)), self._count))
        self._codes[code] = _Given(creator, query, now + dt.timedelta(seconds=CODE_S))
        if len(self._codes) > CODES_MAX:
            del self._codes[next(iter(self._codes))]
        return code

    def _back(self, redirect: str, told: Mapping[str, str], query: Query) -> Answer:
        state = {"state": query["state"]} if "state" in query else {}
        where = f"{redirect}?{urlencode({**told, **state})}{self._login.fragment}"
        return Answer(302, b"", "text/html; charset=utf-8", headers=(("location", where),))

    def _form(self, query: Query) -> str:
        names = [html.escape(creator.handle) for creator, _ in self._cast.ranked[:SHOWN]]
        offered = "".join(f'<option value="{name}">' for name in names)
        return (
            f"<p>An app asks for: {html.escape(query['scope'])}</p><form method=post>"
            f"<input name=account list=accounts required placeholder=account><datalist id=accounts>{offered}</datalist>"
            "<button name=decision value=allow>Allow</button>"
            "<button name=decision value=deny formnovalidate>Deny</button></form>"
        )


@functools.lru_cache(maxsize=8)
def consents(cast: Cast) -> Consents:
    """One for a cast: the page and the exchange are of different APIs."""
    return Consents(cast)


def _challenge(verifier: str, method: str) -> str:
    if method != "S256":
        return verifier
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _page(status: int, inside: str) -> Answer:
    return Answer(status, f"<!doctype html><title>World</title>{inside}".encode(), "text/html; charset=utf-8")
