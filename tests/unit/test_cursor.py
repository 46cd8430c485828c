"""Cursors: what comes back is what went in, for the same query; anything else is refused by its own code."""

import base64
import datetime as dt
import json
from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcc.stores.tenant import Tenant
from gcc.web.api import cursor
from gcc.web.api.errors import ApiError, Code

TENANT = Tenant(1, "SAAS")
SCOPE = cursor.scope(TENANT, "leaderboard", "INSTAGRAM", None)


class Key(msgspec.Struct, frozen=True, array_like=True):
    rank: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
    name: cursor.Text


class TimeKey(msgspec.Struct, frozen=True, array_like=True):
    at: Annotated[dt.datetime, msgspec.Meta(tz=True)] | None


def forge(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


@given(
    snapshot=st.text(st.characters(codec="utf-8"), max_size=40),
    rank=st.integers(0, 2**31 - 1),
    name=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=60),
)
def test_a_cursor_gives_back_snapshot_and_key(snapshot: str, rank: int, name: str) -> None:
    text = cursor.encode(snapshot, SCOPE, Key(rank, name))
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    if len(text) <= cursor.LENGTH_MAX:
        assert cursor.decode(text, SCOPE, Key) == (snapshot, Key(rank, name))


def test_times_keep_their_zone_and_microseconds() -> None:
    at = dt.datetime(2026, 10, 1, 12, 30, 0, 123456, tzinfo=dt.UTC)
    assert cursor.decode(cursor.encode("s", SCOPE, TimeKey(at)), SCOPE, TimeKey) == ("s", TimeKey(at))
    assert cursor.decode(cursor.encode("s", SCOPE, TimeKey(None)), SCOPE, TimeKey) == ("s", TimeKey(None))


def test_a_cursor_of_another_query_is_refused() -> None:
    text = cursor.encode("s", cursor.scope(TENANT, "leaderboard", "YOUTUBE", None), Key(1, "x"))
    with pytest.raises(ApiError, match="another query") as caught:
        cursor.decode(text, SCOPE, Key)
    assert caught.value.code is Code.INVALID_CURSOR


def test_scopes_differ_by_each_part() -> None:
    queries: list[tuple[str | int | None, ...]] = [
        ("a", "b"), ("ab",), ("a", "b", None), ("a", None, "b"), ("a", 1), ("a", "1"),
    ]  # fmt: skip
    tenants = [TENANT, Tenant(2, "SAAS"), Tenant(1, "FREE"), Tenant(12, "PAID")]
    assert len({cursor.scope(tenant, *query) for tenant in tenants for query in queries}) == 24
    assert cursor.scope(Tenant(1, "SAAS", "VIEWER"), "a") == cursor.scope(TENANT, "a")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "!!!!",
        "é",
        "not base64 at all",
        "=" * 8,
        forge(b"\xff\xfe"),
        forge(b"{"),
        forge({}),
        forge([]),
        forge(["s", SCOPE]),
        forge(["s", SCOPE, [1]]),
        forge(["s", SCOPE, [1, "x"], 1]),
        forge(["s", SCOPE, [-1, "x"]]),
        forge(["s", SCOPE, [2**31, "x"]]),
        forge(["s", SCOPE, ["1", "x"]]),
        forge(["s", SCOPE, [1.5, "x"]]),
        forge(["s", SCOPE, [1, None]]),
        forge(["s", SCOPE, [1, "a\0b"]]),
        forge(["s", SCOPE, [1, "x" * 129]]),
        forge(["s", SCOPE, [1, "\ud800"]]),
        forge([None, SCOPE, [1, "x"]]),
        forge(["s" * 600, SCOPE, [1, "x"]]),
        forge("[" * 300),
        forge(b"[" * 350),
    ],
)
def test_what_is_not_a_cursor_is_refused(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        cursor.decode(text, SCOPE, Key)
    assert caught.value.code is Code.INVALID_CURSOR
    assert caught.value.errors[0]["path"] == "cursor"


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ApiError):
        cursor.decode(forge(["s", SCOPE, ["2026-10-01T00:00:00"]]), SCOPE, TimeKey)
