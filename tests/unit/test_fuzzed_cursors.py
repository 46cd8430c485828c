"""Cursors that somebody has bent: a hundred thousand mutations of real ones are refused, or are the page they name.

What a cursor names is bound as a parameter of the query that made it, so all that a forged one can reach is another
place of the same query: a mutation may decode only for the same partner, plan, filters and sort.
"""

import base64
import datetime as dt
import json
import random
from typing import Any
from uuid import UUID

import pytest

from gcc.stores.tenant import Tenant
from gcc.web.api import cursor
from gcc.web.api.discovery import PostKey
from gcc.web.api.errors import ApiError, Code
from gcc.web.api.leaderboard import RankKey
from gcc.web.identity.pages import PageKey

NOW = dt.datetime(2026, 10, 15, 20, tzinfo=dt.UTC)
ID = UUID("01a14126-6e00-7ccb-8000-000000000000")
MUTATIONS = 100_000
TENANT = Tenant(7, "SAAS")
SCOPES = {
    "rank": cursor.scope(TENANT, "leaderboard", "INSTAGRAM", "platform", "instagram", "followers", None),
    "post": cursor.scope(TENANT, "posts", "INSTAGRAM", "ig-known"),
    "page": cursor.scope(TENANT, "users"),
}
FOREIGN = cursor.scope(Tenant(8, "SAAS"), "users")
KEYS: dict[str, Any] = {"rank": RankKey, "post": PostKey, "page": PageKey}
REAL = {
    "rank": [RankKey(1, "p001"), RankKey(2**31 - 1, "é" * 40)],
    "post": [PostKey(NOW, "ig-001"), PostKey(None, "x")],
    "page": [PageKey(NOW, ID)],
}
"""Sort keys of rows, as pages end with them."""
SNAPSHOT = "0f8fad5b-d9cb-469f-a165-70867728950e"
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
ODD = [
    None, True, -1, 2**31, 2**63, 1e308, 0.5, "", "\0", "\ud800", "x" * 129, [], {}, [[]], "9999-12-31T23:59:59+00:00",
    "0001-01-01T00:00:00-23:59", "2026-10-15T20:00:00", str(ID), "' or 1=1 --", "live", SNAPSHOT, FOREIGN,
]  # fmt: skip


def bent(chance: random.Random, text: str, others: list[str]) -> str:
    """One mutation: of its letters, or of what it says."""
    match chance.randrange(8):
        case 0:  # some letters are others
            letters = list(text)
            for _ in range(chance.randint(1, 4)):
                letters[chance.randrange(len(letters))] = chance.choice(LETTERS)
            return "".join(letters)
        case 1:
            return text[: chance.randrange(len(text))]
        case 2:
            place = chance.randrange(len(text))
            return text[:place] + "".join(chance.choices(LETTERS + "=+/ %é\0", k=chance.randint(1, 8))) + text[place:]
        case 3:  # two halves
            other = chance.choice(others)
            return text[: chance.randrange(len(text))] + other[chance.randrange(len(other)) :]
        case 4:  # bits of what it says
            raw = bytearray(whole(text))
            raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
            return armoured(bytes(raw))
        case 5:
            raw = whole(text)
            return armoured(raw[: chance.randrange(len(raw))] + chance.randbytes(chance.randint(0, 6)))
        case _:  # another value in one of its places
            said = json.loads(whole(text))
            places = [(said, place) for place in range(len(said))] + [(said[2], place) for place in range(len(said[2]))]
            inside, place = chance.choice(places)
            inside[place] = chance.choice(ODD)
            return armoured(json.dumps(said).encode())


def whole(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def armoured(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@pytest.mark.parametrize("kind", SCOPES)
def test_bent_cursors_are_refused_or_name_a_place_of_the_same_query(kind: str) -> None:
    chance = random.Random(f"cursors of {kind}")
    real = {each: [cursor.encode(SNAPSHOT, SCOPES[each], key) for key in REAL[each]] for each in SCOPES}
    others = [text for texts in real.values() for text in texts]
    refused = 0
    for _ in range(MUTATIONS // len(SCOPES)):
        text = bent(chance, chance.choice(real[kind]), others)
        try:
            snapshot, key = cursor.decode(text, SCOPES[kind], KEYS[kind])
        except ApiError as error:
            assert error.code is Code.INVALID_CURSOR and error.errors[0]["path"] == "cursor"
            refused += 1
            continue
        assert json.loads(whole(text))[1] == SCOPES[kind], "it names its query"
        assert isinstance(key, KEYS[kind]) and isinstance(snapshot, str)
        assert cursor.decode(cursor.encode(snapshot, SCOPES[kind], key), SCOPES[kind], KEYS[kind]) == (snapshot, key)
    assert refused > MUTATIONS // len(SCOPES) // 2, "else they are not bent"


@pytest.mark.parametrize("kind", SCOPES)
def test_a_cursor_is_of_one_partner_plan_and_query(kind: str) -> None:
    text = cursor.encode(SNAPSHOT, SCOPES[kind], REAL[kind][0])
    for scope in (*(each for each in SCOPES.values() if each != SCOPES[kind]), FOREIGN):
        with pytest.raises(ApiError, match="another query"):
            cursor.decode(text, scope, KEYS[kind])
