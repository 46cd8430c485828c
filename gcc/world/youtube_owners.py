"""Owners of channels who let the platform in: their access tokens, and the ones that follow when these are renewed.

The first OWNERS channels of a cast have signed in. An access token is good for as long as the world lives, unless a
fault of the kind `expire` ends it; a refresh token always gives a new one.
"""

import functools

from gcc.world.api import Headers
from gcc.world.chance import key_of, letters, mix
from gcc.world.consents import CLIENTS
from gcc.world.model import Cast

OWNERS = 8
CLIENT_ID, CLIENT_SECRET = CLIENTS["YOUTUBE"].id, CLIENTS["YOUTUBE"].secret


class Owners:
    """Who has signed in; one for a cast, as several APIs ask it."""

    def __init__(self, cast: Cast) -> None:
        self._channels = {
            access_token(channel_id, 0): channel_id
            for channel_id in (cast.at(slot).profile_id for slot in range(min(OWNERS, len(cast.ranked))))
        }
        self._by_refresh = {refresh_token(channel_id): channel_id for channel_id in self._channels.values()}
        self._renewed: dict[str, int] = {}

    @property
    def tokens(self) -> list[str]:
        """The newest access token of each."""
        return [self.current(channel_id) for channel_id in self._by_refresh.values()]

    def channel(self, token: str | None) -> str | None:
        """Whose access token it is."""
        return None if token is None else self._channels.get(token)

    def current(self, channel_id: str) -> str:
        return access_token(channel_id, self._renewed.get(channel_id, 0))

    def renew(self, refresh: str) -> str | None:
        """A new access token; None: nobody has such a refresh token."""
        channel_id = self._by_refresh.get(refresh)
        if channel_id is None:
            return None
        self._channels.pop(access_token(channel_id, self._renewed.get(channel_id, 0) - 8), None)  # long forgotten
        self._renewed[channel_id] = self._renewed.get(channel_id, 0) + 1
        token = self.current(channel_id)
        self._channels[token] = channel_id
        return token

    def let_in(self, channel_id: str) -> tuple[str, str]:
        """(access, refresh) token of a channel whose owner has just consented, signed in before or not."""
        refresh = refresh_token(channel_id)
        self._by_refresh[refresh] = channel_id
        access = self.renew(refresh)
        assert access is not None, "it is there"
        return access, refresh

    def given_out(self) -> list[dict[str, str]]:
        return [
            {
                "token": self.current(channel_id),
                "channel_id": channel_id,
                "refresh_token": refresh_token(channel_id),
                "client_id": CLIENT_ID,
                "client_secret": CLIENT_SECRET,
            }
            for channel_id in self._by_refresh.values()
        ]


@functools.lru_cache(maxsize=8)
def owners(cast: Cast) -> Owners:
    return Owners(cast)


def access_token(channel_id: str, number: int) -> str:
    return f"ya29.world-{letters(mix(key_of(channel_id), number))}"


def refresh_token(channel_id: str) -> str:
    return f"1//world-{letters(key_of(channel_id))}"


def bearer(headers: Headers) -> str | None:
    scheme, _, value = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    return value if scheme.lower() == "bearer" and value else None
