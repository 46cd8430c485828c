"""amqp:// URLs: the examples of RabbitMQ's URI specification, what is refused, and what is never shown."""

import ssl
from pathlib import Path

import pytest

from gcc.stores.rabbitmq import AmqpError, UrlError, parse_url

GUEST = ("guest", "guest")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("amqp://user:pass@host:10000/vhost", ("user", "pass", "host", 10000, "vhost")),
        ("amqp://user%61:%61pass@ho%61st:10000/v%2fhost", ("usera", "apass", "hoast", 10000, "v/host")),
        ("amqp://", (*GUEST, "localhost", 5672, "/")),
        ("amqp://:@/", ("", "", "localhost", 5672, "")),
        ("amqp://user@", ("user", "guest", "localhost", 5672, "/")),
        ("amqp://user:pass@", ("user", "pass", "localhost", 5672, "/")),
        ("amqp://host", (*GUEST, "host", 5672, "/")),
        ("amqp://:10000", (*GUEST, "localhost", 10000, "/")),
        ("amqp:///vhost", (*GUEST, "localhost", 5672, "vhost")),
        ("amqp://host/", (*GUEST, "host", 5672, "")),
        ("amqp://host/%2f", (*GUEST, "host", 5672, "/")),
        ("amqp://[::1]", (*GUEST, "::1", 5672, "/")),
        ("amqp://u:p@[::1]:5673/v", ("u", "p", "::1", 5673, "v")),
        ("amqps://host", (*GUEST, "host", 5671, "/")),
        ("amqps://host:5672/v", (*GUEST, "host", 5672, "v")),
        ("amqp://user:p%40ss%2F%3A%25@host", ("user", "p@ss/:%", "host", 5672, "/")),
        ("amqp://user:a:b@host", ("user", "a:b", "host", 5672, "/")),
    ],
)
def test_the_parts_of_a_url(text: str, expected: tuple[str, str, str, int, str]) -> None:
    url = parse_url(text)
    assert (url.user, url.password, url.host, url.port, url.vhost) == expected
    assert url.tls is text.startswith("amqps")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "host",
        "http://user:hush@host",
        "amqp:/user:hush@host",
        "amqp://user:hush@host:port",
        "amqp://user:hush@host:0",
        "amqp://user:hush@host:65536",
        "amqp://user:hush@host:" + "9" * 5000,
        "amqp://user:hush@host:٣",
        "amqp://user:hush@host/a/b",
        "amqp://user:hush@host/v#fragment",
        "amqp://user:hush@[::1",
        "amqp://user:hush@::1",
        "amqp://user:hush%ff@host",
        "amqp://user:12/hush@host",
        "amqp://host/v;password=hush",
        "amqp://host/v=hush",
        "amqp://user/x:hush",
        "amqp://host;password=hush/v",
        "amqp://user:hush@a..b",
        "amqp://user:hush@" + "a" * 64,
        "amqp://user:12?hush=x@host",
        "amqp://user:hush@host?heartbeat=5",
        "amqp://user:hush@host?cacertfile=ca.pem",
        "amqps://user:hush@host?verify=perhaps",
        "amqps://user:hush@host?verify",
        "amqp://user:hush@host/" + "v" * 128,
    ],
)
def test_other_urls_are_refused_without_showing_the_password(text: str) -> None:
    with pytest.raises(UrlError) as caught:
        parse_url(text)
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__ is (
        caught.value.__context__ is not None
    )
    assert isinstance(caught.value, AmqpError)


def test_a_url_shows_neither_password_nor_user_to_people() -> None:
    url = parse_url("amqps://someone:hush@host:1/v?verify=verify_none")
    assert "hush" not in repr(url) and "hush" not in str(url) and "someone" not in str(url)
    assert str(url) == "rabbitmq at host:1, vhost 'v'"
    assert str(parse_url("amqp://[::1]")) == "rabbitmq at [::1]:5672, vhost '/'"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("amqp://user:12/hush", "530 NOT_ALLOWED - vhost hush not found"),  # a password, or a vhost: nobody can tell
        ("amqp://user:pass@host/hu%40sh", "530 NOT_ALLOWED - vhost hu@sh not found"),
        ("amqp://user%3Ahush@host/v", "403 ACCESS_REFUSED - Login of user:hush was refused"),
    ],
)
def test_what_may_be_a_password_is_shown_in_no_part(text: str, said: str) -> None:
    url = parse_url(text)
    for told in (str(url), url.masked(said)):
        assert not any(word in told for word in ("hush", "hu@sh")), told
    assert url.masked(said)[:3] == said[:3]


@pytest.mark.parametrize(
    ("vhost", "told"),
    [
        ("a", "Login was refused using authentication mechanism PLAIN: vhost '***', ***"),
        ("hu.sh", "Login was refused using authentication mechanism PLAIN: vhost 'a', a"),
    ],
)
def test_a_short_vhost_is_masked_as_a_word_alone(vhost: str, told: str) -> None:
    said = "Login was refused using authentication mechanism PLAIN: vhost 'a', a"
    assert parse_url(f"amqp://h/{vhost}").masked(said) == told
    assert parse_url(f"amqp://h/{vhost}").masked(f"vhost '{vhost}' not found") == "vhost '***' not found"


def test_the_certificate_is_verified_unless_the_url_says_not_to() -> None:
    strict = parse_url("amqps://host").tls_context()
    assert strict.verify_mode is ssl.CERT_REQUIRED and strict.check_hostname
    assert parse_url("amqps://host?verify=verify_none").tls_context().verify_mode is ssl.CERT_NONE


def test_files_for_tls_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    url = parse_url(f"amqps://u:hush@host?cacertfile={tmp_path}/absent.pem")
    with pytest.raises(UrlError, match="files for TLS") as caught:
        url.tls_context()
    assert "hush" not in str(caught.value)
