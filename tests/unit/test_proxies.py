"""Who asks through proxies: the rightmost address that is no trusted one's, whatever clients claim."""

from ipaddress import ip_network
from typing import Any

import pytest

from gcc.config import load
from gcc.config.sections import ProxyHeader
from gcc.errors import ConfigError
from gcc.web.gateway.proxies import Proxies

TRUSTED = [ip_network(each) for each in ("10.0.7.0/24", "192.0.2.7/32", "2001:db8:7::/48")]
PROXY = "10.0.7.3"


def caller(*told: str, client: Any = (PROXY, 4711), header: ProxyHeader = "x-forwarded-for", name: str = "") -> Any:
    headers = [(b"host", b"x")] + [((name or header).encode(), each.encode("latin-1")) for each in told]
    scope = {"client": client, "headers": headers}
    Proxies(TRUSTED, header).look_behind(scope)
    return client if scope["client"] is None else scope["client"][0]


HOPS = [
    # what the proxy was told, and by whom; the nearest is the rightmost
    (["203.0.113.9"], "203.0.113.9"),
    (["1.1.1.1, 203.0.113.9"], "203.0.113.9"),  # spoofed by 203.0.113.9
    (["1.1.1.1", "203.0.113.9"], "203.0.113.9"),  # as two headers
    (["10.0.7.9, 203.0.113.9"], "203.0.113.9"),  # as if it were ours
    (["1.1.1.1, 203.0.113.9, 192.0.2.7, 10.0.7.1"], "203.0.113.9"),  # three of ours
    (["203.0.113.9", "10.0.7.1 ", " 192.0.2.7"], "203.0.113.9"),
    (["203.0.113.9,10.0.7.1"], "203.0.113.9"),
    (["10.0.7.2, 10.0.7.1"], "10.0.7.2"),  # one of ours asks itself
    (["203.0.113.9:40123"], "203.0.113.9"),
    (["2001:db8::9"], "2001:db8::9"),
    (["[2001:db8::9]:40123"], "2001:db8::9"),
    (["[2001:db8::9]"], "2001:db8::9"),
    (["2001:DB8:0:0::9, 2001:db8:7::1"], "2001:db8::9"),
    (["::ffff:203.0.113.9"], "203.0.113.9"),
    (["203.0.113.9, ::ffff:10.0.7.1"], "203.0.113.9"),
    (["fe80::1%eth0"], "fe80::1"),
    ([], PROXY),
    ([""], PROXY),
    (["203.0.113.9, junk"], PROXY),  # and not the one before
    (["203.0.113.9,"], PROXY),
    (["203.0.113.9, , 10.0.7.1"], "10.0.7.1"),
    (["203.0.113.9, unknown, 10.0.7.1"], "10.0.7.1"),
    (["999.1.1.1"], PROXY),
    (["203.0.113.9:x"], PROXY),
    (["0x7f.1"], PROXY),
    (["3405803785"], PROXY),
    (["[203.0.113.9"], PROXY),
    (["\xff\x00"], PROXY),
    (["203.0.113.9 1.1.1.1"], PROXY),
    (["1.1.1.1," * 4000 + "203.0.113.9"], "203.0.113.9"),
    (["203.0.113.9" + ",10.0.7.1" * 3000], "203.0.113.9"),
]


@pytest.mark.parametrize(("told", "expected"), HOPS)
def test_the_rightmost_that_is_not_trusted_is_who_asks(told: list[str], expected: str) -> None:
    assert caller(*told) == expected


FORWARDED = [
    (["for=203.0.113.9"], "203.0.113.9"),
    (["For=203.0.113.9;proto=https;by=10.0.7.3"], "203.0.113.9"),
    (['proto=http; host="a,b;for=1.1.1.1"; for="203.0.113.9:4711"'], "203.0.113.9"),
    (['for="[2001:db8::9]:4711", for=10.0.7.1'], "2001:db8::9"),
    (['for="\\2\\0\\3.0.113.9"'], "203.0.113.9"),
    (["for=1.1.1.1", "for=203.0.113.9 , for=192.0.2.7"], "203.0.113.9"),
    (["for=203.0.113.9, for=unknown"], PROXY),
    (["for=203.0.113.9, for=_hidden, for=10.0.7.1"], "10.0.7.1"),
    (["for=203.0.113.9, proto=https"], PROXY),
    (["by=203.0.113.9"], PROXY),
    (["for=[2001:db8::9]"], PROXY),  # it must be quoted
    (['for=1.1.1.1;host="', "for=203.0.113.9"], PROXY),  # it swallows what follows
    (['for=1.1.1.1;host="', 'for=203.0.113.9;host="x"'], PROXY),
    (["for=1.1.1.1;", "for=203.0.113.9"], PROXY),
    (["for=1.1.1.1 for=2.2.2.2"], PROXY),
    (["203.0.113.9"], PROXY),
    ([""], PROXY),
    (["for="], PROXY),
]


@pytest.mark.parametrize(("told", "expected"), FORWARDED)
def test_and_as_rfc_7239_writes_it(told: list[str], expected: str) -> None:
    assert caller(*told, header="forwarded") == expected


@pytest.mark.parametrize("client", ["203.0.113.9", "10.0.8.3", "::1", "2001:db8:8::1", "fe80::1%eth0", "odd"])
def test_who_is_not_trusted_may_claim_what_it_likes(client: str) -> None:
    assert caller("1.1.1.1", client=(client, 1)) == client
    assert caller("for=1.1.1.1", client=(client, 1), header="forwarded") == client


def test_only_the_header_that_the_proxies_write_is_read() -> None:
    for header, other, told in (
        ("x-forwarded-for", "forwarded", "for=1.1.1.1"),
        ("forwarded", "x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-for", "x_forwarded_for", "1.1.1.1"),
        ("x-forwarded-for", "x-real-ip", "1.1.1.1"),
    ):
        assert caller(told, header=header, name=other) == PROXY  # type: ignore[arg-type]


def test_trusted_addresses_are_known_in_any_form() -> None:
    for client in ("::ffff:10.0.7.3", "2001:db8:7::3", "2001:0db8:0007:0::3"):
        assert caller("203.0.113.9", client=(client, 1)) == "203.0.113.9"
    assert caller("203.0.113.9", client=None) is None


def test_without_trusted_proxies_nothing_is_believed() -> None:
    scope = {"client": (PROXY, 1), "headers": [(b"x-forwarded-for", b"1.1.1.1")]}
    Proxies([], "x-forwarded-for").look_behind(scope)
    assert scope["client"] == (PROXY, 1)


def test_settings_name_networks() -> None:
    words = ['gateway.trusted_proxies=["10.0.7.0/24", "2001:db8::1"]', "gateway.proxy_header=forwarded"]
    chosen = load(None, overrides=words, environ={}).gateway
    assert list(map(str, chosen.trusted_proxies)) == ["10.0.7.0/24", "2001:db8::1/128"]
    for wrong in ("10.0.7.1/24", "0.0.0.0/0", "::/0", "proxy.example.org", "10.0.7"):
        with pytest.raises(ConfigError, match=r"gateway\.trusted_proxies"):
            load(None, overrides=[f'gateway.trusted_proxies=["{wrong}"]'], environ={})
    with pytest.raises(ConfigError, match=r"gateway\.proxy_header"):
        load(None, overrides=["gateway.proxy_header=x-real-ip"], environ={})
