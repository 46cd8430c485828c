"""The tokens of the Graph API: who asks in whose name, until when, and how a token is made anew.

Five tokens of one app ask in the name of an account that is nobody's here. Beside them every fourth creator has given
a token of its own, half of them by Facebook Login and half by Instagram Login: its account's insights, stories, tagged
posts and comments are for that token alone. A renewed token is the old one with ~1, ~2, ...; both work. Who lets the
app in on Instagram's page (consents.py) gives a token of an hour, and with that one of sixty days.
"""

import datetime as dt
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

from gcc.world.chance import key_of
from gcc.world.consents import CLIENTS
from gcc.world.graph_refusals import GraphError, dead_token, refused
from gcc.world.model import Cast, Creator

Login = Literal["facebook", "instagram"]
USER = "17841400000000000"  # in whose name the app's own tokens ask
TOKENS = tuple(f"world-ig-{number}" for number in range(1, 6))
LIFE = dt.timedelta(days=60)
SHORT_LIFE = dt.timedelta(hours=1)
RENEWED_AFTER = dt.timedelta(hours=24)
_PREFIXES: Mapping[Login, str] = {"facebook": "world-fb-own-", "instagram": "world-ig-own-"}
_DATA_ACCESS = dt.timedelta(days=90)
_SCOPES: Mapping[Login, Sequence[str]] = {
    "facebook": ("instagram_basic", "instagram_manage_insights", "instagram_manage_comments", "pages_show_list"),
    "instagram": ("instagram_business_basic", "instagram_business_manage_insights"),
}
_RENEWED_MAX = 10_000  # are remembered


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose token it is; `creator` None: of the app's own account."""

    token: str
    login: Login
    creator: Creator | None = None

    @property
    def account(self) -> str:
        return USER if self.creator is None else self.creator.profile_id


def login_of(cast: Cast, creator: Creator) -> Login | None:
    """By which login the creator has given a token; None: it has not."""
    return _login_at(cast.slot(creator)) if creator.state in ("public", "hides_likes") else None


def owner_token(creator: Creator, login: Login) -> str:
    return _PREFIXES[login] + creator.profile_id


def given(creators: Sequence[Creator], count: int) -> list[str]:
    """The tokens of the first `count` owners by Facebook Login, as the settings of a source take them."""
    own = (creator for slot, creator in enumerate(creators) if _login_at(slot) == "facebook")
    return [f"{creator.profile_id}:{owner_token(creator, 'facebook')}" for creator in islice(own, count)]


def _login_at(slot: int) -> Login | None:
    return "facebook" if slot % 8 == 0 else "instagram" if slot % 8 == 4 else None


def owners(cast: Cast) -> list[tuple[Creator, Login, str]]:
    """Who has given a token, by which login, and the token."""
    found = [(creator, login_of(cast, creator)) for creator, _ in cast.ranked]
    return [(creator, login, owner_token(creator, login)) for creator, login in found if login is not None]


class ShortTokens:
    """Those of an hour, which creators gave on Instagram's page, and who of them has given one for sixty days since."""

    def __init__(self) -> None:
        self._given: dict[str, tuple[Creator, dt.datetime]] = {}
        self.owners: set[str] = set()
        self._count = 0

    def give(self, creator: Creator, now: dt.datetime) -> str:
        self._count += 1
        token = f"world-ig-short-{creator.profile_id}-{self._count}"
        self._given[token] = (creator, now + SHORT_LIFE)
        while len(self._given) > _RENEWED_MAX:
            del self._given[next(iter(self._given))]
        return token

    def creator(self, token: str, now: dt.datetime) -> Creator | None:
        creator, until = self._given.get(token, (None, now))
        return creator if until > now else None


@functools.lru_cache(maxsize=8)
def short_tokens(cast: Cast) -> ShortTokens:
    """One for a cast: the login gives them, the Graph API takes them."""
    return ShortTokens()


class Tokens:
    """The tokens of one login."""

    def __init__(self, cast: Cast, login: Login, now: Callable[[], dt.datetime]) -> None:
        self._cast = cast
        self._login = login
        self._now = now
        self._born = now() - dt.timedelta(days=10)  # the first ones
        self._short = short_tokens(cast)
        self._renewed: dict[str, dt.datetime] = {}  # when each renewed one was made, oldest first

    def caller(self, token: str | None) -> Caller | None:
        """None: nobody's, or an owner's that has ended."""
        if token is None:
            return None
        first = token.partition("~")[0]
        if first != token and token not in self._renewed:
            return None
        if self._login == "instagram" and (consented := self._short.creator(token, self._now())) is not None:
            return Caller(token, self._login, consented)
        if first in TOKENS and self._login == "facebook":
            return Caller(token, self._login)
        prefix = _PREFIXES[self._login]
        creator = self._cast.by_id(first.removeprefix(prefix)) if first.startswith(prefix) else None
        if creator is None or self.expires(token) <= self._now():
            return None
        if login_of(self._cast, creator) != self._login and (
            self._login != "instagram" or creator.profile_id not in self._short.owners or first == token
        ):
            return None
        return Caller(token, self._login, creator)

    def expires(self, token: str) -> dt.datetime:
        return self._renewed.get(token, self._born) + LIFE

    def renew(self, token: str) -> dict[str, Any]:
        """A new token in the place of this one. Raises GraphError."""
        if self.caller(token) is None:
            raise GraphError(dead_token())
        if self._login == "instagram" and self._now() - (self.expires(token) - LIFE) < RENEWED_AFTER:
            raise refused("The access token must be at least 24 hours old to be refreshed")
        first, _, number = token.partition("~")
        return self._fresh(first, int(number or 0) + 1)

    def lengthen(self, token: str, secret: str) -> dict[str, Any]:
        """One of sixty days for one of an hour, by the app's own secret. Raises GraphError."""
        creator = self._short.creator(token, self._now())
        if secret != CLIENTS["INSTAGRAM"].secret:
            raise refused("Error validating client secret.", type="OAuthException")
        if creator is None:
            raise refused("Session key invalid. This could be because the session key has an incorrect format")
        self._short.owners.add(creator.profile_id)
        first, number = owner_token(creator, "instagram"), 1
        while f"{first}~{number}" in self._renewed:
            number += 1
        return self._fresh(first, number)

    def _fresh(self, first: str, number: int) -> dict[str, Any]:
        fresh = f"{first}~{number}"
        self._renewed.pop(fresh, None)
        self._renewed[fresh] = self._now()
        while len(self._renewed) > _RENEWED_MAX:
            del self._renewed[next(iter(self._renewed))]
        return {"access_token": fresh, "token_type": "bearer", "expires_in": int(LIFE.total_seconds())}

    def debugged(self, token: str) -> dict[str, Any]:
        """What GET /debug_token tells of a token."""
        caller = self.caller(token)
        if caller is None:
            message = "The access token could not be decrypted"
            return {"data": {"error": {"code": 190, "message": message}, "is_valid": False, "scopes": []}}
        expires = self.expires(token)
        scopes = list(_SCOPES[self._login])
        return {
            "data": {
                "app_id": CLIENTS["INSTAGRAM"].id,
                "type": "USER",
                "application": "world",
                "data_access_expires_at": int((expires - LIFE + _DATA_ACCESS).timestamp()),
                "expires_at": int(expires.timestamp()),
                "issued_at": int((expires - LIFE).timestamp()),
                "is_valid": True,
                "scopes": scopes,
                "granular_scopes": [{"scope": scope, "target_ids": [caller.account]} for scope in scopes],
                "user_id": str(key_of(caller.account) % 10**15),
            }
        }
