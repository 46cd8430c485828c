"""The access rule of the ports that are meant for this machine: which Host and which Origin may ask."""

from typing import Any

import pytest

from gcc.web import access
from gcc.web.api.errors import ApiError, Code


def scope(host: str | None, origin: str | None = None) -> dict[str, Any]:
    headers = [(b"accept", b"*/*")]
    headers += [(b"host", host.encode("latin-1"))] if host is not None else []
    headers += [(b"origin", origin.encode("latin-1"))] if origin is not None else []
    return {"headers": headers, "server": ("10.1.2.3", 8009)}


def refusal(host: str | None, origin: str | None = None, **allowed: Any) -> Code | None:
    try:
        access.check(scope(host, origin), **allowed)
    except ApiError as error:
        assert error.detail.isprintable() and len(error.detail) < 300
        return error.code
    return None


OURS = [
    "127.0.0.1",
    "127.0.0.1:8009",
    "localhost",
    "LocalHost:1",
    "[::1]",
    "[::1]:8009",
    "127.8.9.1:",
    "10.1.2.3:80",
    None,
]
FOREIGN = [
    "evil.example", "evil.example:8009", "127.0.0.1.evil.example", "localhost.evil.example", "evil.example#127.0.0.1",
    "evil.example@127.0.0.1", "127.0.0.1@evil.example", "127.0.0.1:8009@evil.example", "127.0.0.1, evil.example", "[",
    "[]", "]", "[::1", "::1", "[evil.example]", "[::ffff:10.9.9.9]", "0.0.0.0", "10.1.2.4", "127.1", "2130706433", "",
    " ", ":8009", "127.0.0.1:80:80", "127.0.0.1:x", "localhost\x00", "127.0.0.1/", "é", "x" * 5000, "localhost.",
]  # fmt: skip


@pytest.mark.parametrize("host", OURS)
def test_this_machine_may_be_asked_by_any_of_its_names(host: str | None) -> None:
    assert refusal(host) is None


@pytest.mark.parametrize("host", FOREIGN)
def test_another_name_may_not(host: str) -> None:
    assert refusal(host) is Code.HOST_NOT_ALLOWED
    assert refusal(host, f"http://{host}") is Code.HOST_NOT_ALLOWED


def test_names_that_are_ours_besides() -> None:
    assert refusal("data.example.org:8010", names=("data.example.org", "")) is None
    assert refusal("other.example.org:8010", names=("data.example.org", "")) is Code.HOST_NOT_ALLOWED
    assert refusal("", names=("",)) is Code.HOST_NOT_ALLOWED


@pytest.mark.parametrize("origin", [None, "http://localhost:8009", "https://localhost:8009", "HTTP://LOCALHOST:8009"])
def test_our_own_pages_may_ask(origin: str | None) -> None:
    assert refusal("localhost:8009", origin) is None


@pytest.mark.parametrize(
    "origin",
    [
        "null", "", "http://[", "http://", "http://evil.example", "http://localhost", "http://localhost:8010",
        "localhost:8009",
        "http://localhost:8009/", "http://localhost:8009.evil.example", "http://evil.example@localhost:8009",
        "file://localhost:8009", "ws://localhost:8009", "http://127.0.0.1:8009", "x" * 5000, "é",
    ],
)  # fmt: skip
def test_other_pages_may_not(origin: str) -> None:
    assert refusal("localhost:8009", origin) is Code.ORIGIN_REFUSED


def test_pages_that_the_settings_allow_may_ask() -> None:
    allowed = {"origins": ("https://app.example.org",)}
    assert refusal("localhost:8009", "https://app.example.org", **allowed) is None
    assert refusal("localhost:8009", "https://app.example.org.evil.example", **allowed) is Code.ORIGIN_REFUSED
    assert refusal("evil.example", "https://app.example.org", **allowed) is Code.HOST_NOT_ALLOWED


def test_a_page_without_a_host_is_nobodys() -> None:
    assert refusal(None, "http://localhost:8009") is Code.ORIGIN_REFUSED
