"""How each kind of credential is renewed before it ends: a row a kind.

In: a credential, the JSON that its renewal answered, and the time. Out: the request, and the secret that follows with
what is known of it. Facebook's tokens are in no row: their owner has to consent again.
"""

import datetime as dt
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlencode

from gcc.sources.credentials import Credential, Facts
from gcc.sources.fields import Fields
from gcc.sources.http import Request
from gcc.sources.verdicts import QuestionFailed

SOURCE = "tokens"
DAY_S, HOUR_S, MINUTE_S = 86_400.0, 3600.0, 60.0
SHOP = re.compile(r"[a-z0-9][a-z0-9-]*\.myshopify\.com")


@dataclass(frozen=True, slots=True)
class Renewal:
    """`near_s`: so long before its end it is renewed, if it is `age_s` old; `rotates`: the old one ends with it.

    `host` is where it is asked, with {shop} where that is the account's; `room` is its place in the world. `asks` makes
    (method, path, parameters, body, type of the body) of the secret.
    """

    near_s: float
    host: str
    room: str
    asks: Callable[[Mapping[str, Any]], tuple[str, str, Mapping[str, str], bytes, str]]
    needs: tuple[str, ...]
    age_s: float = 0.0
    rotates: bool = False

    @property
    def revives(self) -> bool:
        """Whether one whose token is dead may be renewed all the same."""
        return "token" not in self.needs


def _instagram(secret: Mapping[str, Any]) -> tuple[str, str, Mapping[str, str], bytes, str]:
    params = {"grant_type": "ig_refresh_token", "access_token": str(secret["token"])}
    return "GET", "/refresh_access_token", params, b"", ""


def _form(path: str, grant_type: str, *names: str) -> Callable[[Mapping[str, Any]], Any]:
    def asks(secret: Mapping[str, Any]) -> tuple[str, str, Mapping[str, str], bytes, str]:
        body = urlencode({"grant_type": grant_type, **{name: str(secret[name]) for name in names}})
        return "POST", path, {}, body.encode(), "application/x-www-form-urlencoded"

    return asks


_CLIENT = ("client_id", "client_secret")
RENEWALS: Mapping[str, Renewal] = {
    "instagram": Renewal(
        7 * DAY_S, "https://graph.instagram.com", "graph_instagram", _instagram, ("token",), age_s=DAY_S
    ),
    "google": Renewal(
        10 * MINUTE_S,
        "https://oauth2.googleapis.com",
        "oauth2",
        _form("/token", "refresh_token", *_CLIENT, "refresh_token"),
        (*_CLIENT, "refresh_token"),
    ),
    "shopify": Renewal(
        15 * MINUTE_S,
        "https://{shop}",
        "shopify/{shop}",
        _form("/admin/oauth/access_token", "refresh_token", *_CLIENT, "refresh_token"),
        (*_CLIENT, "refresh_token"),
        rotates=True,
    ),
    "shopify_app": Renewal(
        2 * HOUR_S,
        "https://{shop}",
        "shopify/{shop}",
        _form("/admin/oauth/access_token", "client_credentials", *_CLIENT),
        _CLIENT,
    ),
}


def request(credential: Credential, root: str, timeout_s: float) -> Request:
    """At the API's own host, or below `root` where that is not ''. QuestionFailed: it lacks something for that."""
    renewal = RENEWALS[credential.kind]
    missing = [name for name in renewal.needs if not credential.secret.get(name)]
    shop = credential.account or ""
    if "{shop}" in renewal.host and not SHOP.fullmatch(shop):
        missing.append("its account, a shop such as name.myshopify.com")
    if missing:
        raise QuestionFailed(f"credential {credential.handle} of {credential.source} lacks {', '.join(missing)}")
    method, path, params, body, kind = renewal.asks(credential.secret)
    place = f"{root}/{renewal.room}" if root else renewal.host
    headers = {"content-type": kind} if body else {}
    return Request(SOURCE, method, place.format(shop=shop) + path, params, headers, timeout_s, body)


def renewed(answer: Any, credential: Credential, now: dt.datetime) -> tuple[dict[str, Any], Facts]:
    """The secret that follows, and what is known of it. OddAnswer: there is no token in the answer."""
    told = Fields(answer, SOURCE)
    token = told.text("access_token")
    if not token:
        raise told.refusal("access_token", "a token")
    secret = dict(credential.secret) | {"token": token}
    if next_refresh := told.text("refresh_token"):
        secret["refresh_token"] = next_refresh
    known = {each.name: getattr(credential, each.name) for each in fields(Facts)}
    expires_in_s = told.count("expires_in")
    known["expires_at"] = None if expires_in_s is None else now + dt.timedelta(seconds=min(expires_in_s, 10**9))
    if scopes := told.text("scope"):
        known["scopes"] = tuple(re.split(r"[ ,]+", scopes))
    return secret, Facts(**known)


def problem(body: bytes) -> tuple[str, str]:
    """(code, what it says) of an error: OAuth's {"error": CODE, "error_description"}, or Graph's {"error": {...}}."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return "", ""
    error = found.get("error") if isinstance(found, dict) else None
    if isinstance(error, dict):
        return str(error.get("code", "")), str(error.get("message", ""))
    return str(error or ""), str(found.get("error_description") or "") if isinstance(found, dict) else ""
