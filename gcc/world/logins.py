"""Where a browser goes to let an app in: www.instagram.com with api.instagram.com, and accounts.google.com.

In: the page's question and its form; of an app, at Instagram, the code for a token of an hour. Google's codes are
exchanged where its refresh tokens are (youtube_analytics.py), Instagram's short tokens for long ones at its Graph API.
"""

import datetime as dt
from collections.abc import Callable

from gcc.world.answer import Answer, Query, answer, query_of
from gcc.world.api import Api, Headers
from gcc.world.consents import CLIENTS, consents
from gcc.world.graph_tokens import short_tokens
from gcc.world.model import Cast


class LoginApi(Api):
    """Of one platform; whoever has a browser may ask."""

    tokens = ()
    open = True
    page: str

    def __init__(self, cast: Cast, now: Callable[[], dt.datetime]) -> None:
        self._cast = cast
        self._now = now
        self._consents = consents(cast)

    def token(self, query: Query, headers: Headers) -> str | None:
        return None

    def answer(self, method: str, path: str, query: Query, headers: Headers, body: bytes) -> Answer:
        if path != self.page:
            return self.fail(404)
        return self._consents.page(method, query, body, self._now())

    def refuse_token(self, token: str | None, *, expired: bool = False) -> Answer:
        return self.fail(401)

    def refuse_rate(self, retry_after_s: int, *, of_user: bool) -> Answer:
        return answer(429, {"error_type": "OAuthRateLimitException", "code": 429}, retry_after_s)

    def fail(self, status: int) -> Answer:
        return answer(status, {"error_type": "OAuthException", "code": status, "error_message": "Sorry, try again"})


class InstagramLogin(LoginApi):
    source = "instagram-login"
    page = "/oauth/authorize"

    def answer(self, method: str, path: str, query: Query, headers: Headers, body: bytes) -> Answer:
        if path != "/oauth/access_token":
            return super().answer(method, path, query, headers, body)
        form, client = query_of(body), CLIENTS["INSTAGRAM"]
        if method != "POST" or form.get("grant_type") != "authorization_code":
            return _refused("Invalid grant_type")
        if (form.get("client_id"), form.get("client_secret")) != (client.id, client.secret):
            return _refused("Invalid platform app")
        found = self._consents.redeemed(form, self._now())
        if found is None:
            return _refused("This authorization code has been used or is not valid")
        creator, scopes = found
        token = short_tokens(self._cast).give(creator, self._now())
        told = {"access_token": token, "user_id": creator.profile_id, "permissions": ",".join(scopes)}
        return answer(200, {"data": [told]})


class GoogleAccounts(LoginApi):
    source = "google-accounts"
    page = "/o/oauth2/v2/auth"


def _refused(words: str) -> Answer:
    return answer(400, {"error_type": "OAuthException", "code": 400, "error_message": words})
