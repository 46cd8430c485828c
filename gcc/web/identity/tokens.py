"""Access tokens: who asks, signed, for fifteen minutes. PyJWT signs and verifies; what it lets pass is refused here.

In: the keys (the newest signs, all verify, each by its kid), a session. Out: a token; of a token its claims, or Untrue.
Role and plan are not read from a token: they come from the session and the contracts, which change.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import jwt
import msgspec

from gcc.config import Settings
from gcc.errors import ConfigError
from gcc.stores.sealing import Keys

LIFE_S, SKEW_S = 15 * 60, 30
BYTES_MAX = 4096
ISSUER, AUDIENCE = "gcc", "gcc-api"
SECRET_BYTES = 32
KEY_FILE = "auth.key"

_TOKEN = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_HEADER = {"alg", "kid", "typ"}


class Untrue(Exception):
    """No token of ours, or one whose time is not now."""


class Ended(Untrue):
    """A token of ours whose time is over."""


class Claims(msgspec.Struct, frozen=True):
    """What a token says that anybody reads."""

    sub: UUID
    sid: UUID
    pid: int
    iat: int
    exp: int


@dataclass(frozen=True, slots=True)
class Secret:
    raw: bytes = field(repr=False)

    @property
    def kid(self) -> str:
        return hashlib.sha256(b"gcc jwt " + self.raw).hexdigest()[:8]

    def derived(self, purpose: bytes, text: bytes) -> bytes:
        return hmac.digest(hmac.digest(self.raw, b"gcc " + purpose, "sha256"), text, "sha256")


def secrets_of(settings: Settings) -> list[Secret]:
    """Those that tokens are signed with, the newest first: of the settings, or one that the data folder keeps, which
    the first start makes. ConfigError: what is given is none."""
    if settings.auth.jwt_secret:
        return [_read(text) for text in settings.auth.jwt_secret.split(",")]
    kept = Keys((), settings.data_dir / KEY_FILE)
    kept.load(make=True)
    return [Secret(kept.key.bytes)]


def _read(text: str) -> Secret:
    found = b""
    with suppress(binascii.Error, ValueError):
        found = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    if len(found) < SECRET_BYTES:
        raise ConfigError(
            "GCC_AUTH__JWT_SECRET: a secret is 32 bytes or more in Base64, two are parted by a comma, the newest first;"
            " make one with: openssl rand -base64 32"
        )
    return Secret(found)


class AccessTokens:
    def __init__(self, keys: Sequence[Secret]) -> None:
        self._newest = keys[0]
        self._keys = {key.kid: key for key in keys}

    def signed(self, now: float, *, user: UUID, session: UUID, partner_id: int, account: UUID, role: str) -> str:
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user),
            "sid": str(session),
            "pid": partner_id,
            "aid": str(account),
            "role": role,
            "iat": int(now),
            "exp": int(now) + LIFE_S,
        }
        return jwt.encode(claims, self._newest.raw, "HS256", headers={"kid": self._newest.kid})

    def verified(self, token: str, now: float) -> Claims:
        """Raises Untrue."""
        if len(token) > BYTES_MAX or not _TOKEN.fullmatch(token):
            raise Untrue("no token looks like that")
        header, body, _ = token.split(".")
        try:
            said, _claims = _once(header), _once(body)
            if not said.keys() <= _HEADER or said.get("typ", "JWT") != "JWT":
                raise Untrue("its header asks for what is not understood")
            key = self._keys[said["kid"]]
            found = jwt.decode(
                token,
                key.raw,
                algorithms=["HS256"],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={
                    "require": ["exp", "iat", "sub", "sid", "aud", "iss"],
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            claims = msgspec.convert(found, Claims)
        except (
            jwt.InvalidTokenError,
            msgspec.ValidationError,
            ValueError,
            LookupError,
            TypeError,
            RecursionError,
        ) as why:
            raise Untrue("it was not signed here") from why
        if claims.exp - claims.iat > LIFE_S or claims.exp <= claims.iat or claims.iat > now + SKEW_S:
            raise Untrue("its times are not ours")
        if not is_now(claims, now):
            raise Ended("its time is over")
        return claims


def is_now(claims: Claims, now: float) -> bool:
    return now < claims.exp + SKEW_S


def _once(part: str) -> dict[str, Any]:
    """A part of a token as JSON. ValueError: it is no object, or says something twice, and readers would differ."""

    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) < len(pairs):
            raise ValueError("a name stands there twice")
        return dict(pairs)

    found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)), object_pairs_hook=object_of)
    if not isinstance(found, dict):
        raise ValueError("it is no object")
    return found
