"""Requests to addresses that others choose: nothing leaves for what is not public, whatever it is written as."""

import ipaddress
import socket
from collections.abc import Sequence
from typing import Any

import httpcore
import pytest
import trio.testing

from gcc.errors import Transient
from gcc.sources.http import Request
from gcc.sources.outbound import Guarded, NotAllowed, target_of
from gcc.sources.outbound.addresses import RESERVED, not_public

PUBLIC, PRIVATE = "93.184.216.34", "10.0.0.1"


class Names:
    """A resolver that answers what it was told, the next time the next thing."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        if not self.answers:
            raise socket.gaierror(socket.EAI_NONAME, "internal-name-server.corp says no")
        return list(self.answers.pop(0) if len(self.answers) > 1 else self.answers[0])


class Wire(httpcore.AsyncNetworkBackend):
    """Notes who is called; nobody answers."""

    def __init__(self) -> None:
        self.called: list[tuple[str, int]] = []

    async def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        self.called.append((host, port))
        raise httpcore.ConnectError("nobody is here")


def request(url: str) -> Request:
    return Request("webhooks", "POST", url, body=b"{}", timeout_s=5.0)


# Every range with its ends, and what lies just outside.
OUTSIDE = [
    "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
    "168.63.129.15", "168.63.129.17", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
    "191.255.255.255", "192.0.1.0", "192.0.3.0", "192.31.195.255", "192.31.197.0", "192.52.192.255", "192.52.194.0",
    "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0", "192.175.47.255", "192.175.49.0",
    "198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.112.255", "203.0.114.0",
    "223.255.255.255", "8.8.8.8", PUBLIC,
    "2000::", "2001:200::", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::", "2003::", "2606:4700:4700::1111",
    "2620:4f:7fff:ffff::", "2620:4f:8001::", "3ffd:ffff::", "3fff:1000::",
]  # fmt: skip


@pytest.mark.parametrize("network", RESERVED, ids=str)
def test_each_range_is_refused_from_end_to_end(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> None:
    middle = network[network.num_addresses // 2]
    assert all(not_public(address) for address in (network[0], middle, network[-1]))


@pytest.mark.parametrize("text", OUTSIDE)
def test_what_lies_beside_the_ranges_is_public(text: str) -> None:
    assert not_public(ipaddress.ip_address(text)) == ""


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("127.0.0.1", "loopback"), ("169.254.169.254", "link-local"), ("168.63.129.16", "a cloud's metadata"),
        ("100.100.100.200", "a carrier's own"), ("192.0.0.192", "reserved for protocols"), ("0.0.0.0", "unspecified"),
        ("255.255.255.255", "reserved"), ("224.0.0.1", "multicast"), ("::", "unspecified"), ("::1", "loopback"),
        ("::7f00:1", "IPv4 within IPv6"), ("::ffff:8.8.8.8", "IPv4 within IPv6"),
        ("::ffff:0:127.0.0.1", "IPv4 within IPv6"), ("64:ff9b::7f00:1", "IPv4 behind NAT64"),
        ("64:ff9b:1:fffe::a9fe:a9fe", "IPv4 behind NAT64"), ("2002:7f00:1::", "IPv4 behind 6to4"),
        ("2001:0:7f00:1::", "IPv4 behind Teredo"), ("2001:20::1", "reserved for protocols"),
        ("2001:db8::1", "for documentation"), ("3fff::1", "for documentation"), ("fd00:ec2::254", "unique local"),
        ("fd20:ce::254", "unique local"), ("fe80::1%eth0", "link-local"), ("fec0::1", "site-local"),
        ("ff02::1", "multicast"), ("100::1", "a sink"), ("5f00::1", "not routed"), ("4000::1", "not routed"),
        ("1fff::1", "not routed"), ("e000::1", "not routed"),
    ],
)  # fmt: skip
def test_the_reason_is_told(text: str, what: str) -> None:
    assert not_public(ipaddress.ip_address(text)) == what


def test_python_calls_nothing_private_that_we_call_public() -> None:
    """The other way round it does: that is why the table is ours."""
    for text in OUTSIDE:
        assert ipaddress.ip_address(text).is_global, text
    called_global = [network for network in RESERVED if network[0].is_global]
    assert ipaddress.ip_network("ff00::/8") in called_global
    assert ipaddress.ip_network("192.88.99.0/24") in called_global


# Refused as they are written: nobody is asked, neither a resolver nor a host.
HOSTILE = [
    # not https, no URL
    "http://hooks.example.org/", "ftp://hooks.example.org/", "file:///etc/passwd", "gopher://hooks.example.org/",
    "dict://hooks.example.org:443/", "javascript:alert(1)", "//hooks.example.org/", "hooks.example.org/x", "", "https:",
    "https://", "https:///x", "https:/hooks.example.org", "https:hooks.example.org", "jar:https://hooks.example.org!/",
    # numbers that a resolver reads as addresses
    "https://2130706433/", "https://0x7f000001/", "https://017700000001/", "https://0177.0.0.1/", "https://0x7f.0.0.1/",
    "https://127.1/", "https://127.0.1/", "https://0/", "https://0x0/", "https://127.0.0.0x1/", "https://127.00.0.1/",
    "https://127.0.0.01/", "https://127.0.0.256/", "https://1.2.3.4.5/", "https://0300.0250.0.1/", "https://3232235521/",
    "https://2852039166/", "https://0xA9FEA9FE/", "https://0xa9.0xfe.0xa9.0xfe/", "https://99999999999/",
    "https://hooks.example.0x7f/", "https://0x/",
    # addresses as they should be written
    "https://127.0.0.1/", "https://127.255.255.254/", "https://10.1.2.3/", "https://172.16.0.1/", "https://192.168.1.1/",
    "https://169.254.169.254/latest/meta-data/", "https://168.63.129.16/", "https://100.100.100.200/",
    "https://0.0.0.0/", "https://255.255.255.255/", "https://224.0.0.1/", "https://240.0.0.1/", "https://[::]/",
    "https://[::1]/", "https://[0:0:0:0:0:0:0:1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/",
    "https://[::127.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/", "https://[2001:0:7f00:1::]/",
    "https://[fe80::1]/", "https://[fe80::1%25eth0]/", "https://[fe80::1%eth0]/", "https://[fd00:ec2::254]/",
    "https://[ff02::1]/", "https://[fec0::1]/", "https://[2001:db8::1]/", "https://[::1/", "https://::1/",
    "https://[v1.127]/", "https://[]/", "https://[127.0.0.1]/", "https://[1::2::3]/",
    # dots
    "https://127.0.0.1./", "https://localhost./", "https://hooks.example.org./", "https://hooks..example.org/",
    "https://.hooks.example.org/", "https://localhost/", "https://metadata/", "https://127。0。0。1/",
    "https://１２７.0.0.1/", "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/", "https://hooks．example.org/", "https://bücher.example/",
    # punycode
    "https://xn--/", "https://xn--.example.org/", "https://xn--localhost-.example.org/", "https://xn--127-.example/",
    "https://xn--a.example/", "https://xn--99999999.example/", "https://xn--bcher-kva-.example/",
    "https://xn--BCHER-KVA.xn--.example/",
    # users, ports, backslashes, control characters
    "https://user@hooks.example.org/", "https://user:word@hooks.example.org/", "https://hooks.example.org@127.0.0.1/",
    "https://127.0.0.1:443@hooks.example.org/", "https://@hooks.example.org/", "https://hooks.example.org\\@127.0.0.1/",
    "https://127.0.0.1\\.hooks.example.org/", "https:\\\\hooks.example.org/", "https://hooks.example.org%2f@127.0.0.1/",
    "https://hooks%2eexample.org/", "https://%31%32%37.0.0.1/", "https://hooks.example.org:80/",
    "https://hooks.example.org:22/", "https://hooks.example.org:0/", "https://hooks.example.org:65536/",
    "https://hooks.example.org:443:80/", "https://hooks.example.org:0443a/", "https://hooks.example.org:-1/",
    "https://hooks.example.org:٤٤٣/", "https://hooks.example.org\r\nHost: x/", "https://hooks.example.org/\r\nX: y",
    "https://hooks.example.org/a b", "https://hooks.example.org/\0", "https://hooks.example.org\t/", " https://a.b/",
    "https://hooks.example.org/#fragment", "https://hooks.example.org#@127.0.0.1/", "https://-hooks.example.org/",
    "https://hooks-.example.org/", f"https://{'a' * 64}.example.org/", f"https://{'a.' * 130}org/",
    "https://hooks.example.org/" + "x" * 2048, "https://*.example.org/", "https://hooks.example.org,127.0.0.1/",
    "https://hooks.example.org;127.0.0.1/", "https://$(hostname).example.org/", "https://hooks.example.org/\ud800",
]  # fmt: skip


@pytest.mark.parametrize("url", HOSTILE, ids=ascii)
async def test_a_hostile_url_is_refused_before_anybody_is_asked(url: str) -> None:
    names, wire = Names([PUBLIC]), Wire()
    with pytest.raises(NotAllowed):
        await Guarded(resolve=names, network=wire).fetch(request(url))
    assert (names.asked, wire.called) == ([], [])


def test_there_are_many_and_each_once() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) > 100


ANSWERS = [
    [PRIVATE], ["127.0.0.1"], ["169.254.169.254"], ["::1"], ["::ffff:93.184.216.34"], ["fe80::1%2"], ["fd00::1"],
    ["64:ff9b::5db8:d822"], ["2002:5db8:d822::"], ["0.0.0.0"], ["224.0.0.1"],
    [PUBLIC, PRIVATE], [PRIVATE, PUBLIC], [PUBLIC, "::1"], ["2606:4700::1", "127.0.0.1"], [PUBLIC] * 40 + [PRIVATE],
    ["hooks.internal"], [""],
]  # fmt: skip


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: ",".join(answer)[-30:] or "empty")
async def test_a_name_that_leads_to_anything_private_is_refused(answer: list[str]) -> None:
    wire = Wire()
    with pytest.raises(NotAllowed, match=r"^hooks\.example\.org leads to an address that is not public") as refused:
        await Guarded(resolve=Names(answer), network=wire).fetch(request("https://hooks.example.org/secret-path"))
    assert wire.called == []
    told = str(refused.value)
    assert not any(address and address in told for address in answer)
    assert "secret-path" not in told


async def test_a_name_is_looked_up_once_and_what_was_checked_is_called() -> None:
    """Rebinding: a second answer would lead inside."""
    names, wire = Names([PUBLIC, "2606:4700::1"], ["127.0.0.1"]), Wire()
    with pytest.raises(Transient, match=r"^hooks\.example\.org: it takes no connection$"):
        await Guarded(resolve=names, network=wire).fetch(request("https://hooks.example.org/"))
    assert names.asked == ["hooks.example.org"]
    assert wire.called == [(PUBLIC, 443), ("2606:4700::1", 443)]
    with pytest.raises(NotAllowed, match="loopback"):
        await Guarded(resolve=names, network=wire).fetch(request("https://hooks.example.org/"))


async def test_of_many_addresses_a_few_are_tried() -> None:
    wire = Wire()
    with pytest.raises(Transient):
        await Guarded(resolve=Names([f"93.184.216.{n}" for n in range(200)]), network=wire).fetch(
            request("https://hooks.example.org/")
        )
    assert len(wire.called) == 4


async def test_a_name_that_leads_nowhere_may_lead_somewhere_later() -> None:
    for names in (Names(), Names([])):
        with pytest.raises(Transient, match=r"^hooks\.example\.org: the name leads nowhere$"):
            await Guarded(resolve=names).fetch(request("https://hooks.example.org/"))


async def test_a_name_server_that_hangs_costs_no_more_than_the_deadline(autojump_clock: trio.testing.MockClock) -> None:
    async def hangs(host: str) -> list[str]:
        await trio.sleep_forever()
        raise AssertionError

    with pytest.raises(Transient, match=r"^hooks\.example\.org: no answer within 5 s$"):
        await Guarded(resolve=hangs).fetch(request("https://hooks.example.org/"))
    assert trio.current_time() == pytest.approx(5.0)


@pytest.mark.parametrize(
    ("url", "host", "port", "path", "authority"),
    [
        ("https://hooks.example.org", "hooks.example.org", 443, "/", "hooks.example.org"),
        ("HTTPS://Hooks.Example.ORG:443/a?b=c", "hooks.example.org", 443, "/a?b=c", "hooks.example.org"),
        ("https://hooks.example.org:8443?x", "hooks.example.org", 8443, "/?x", "hooks.example.org:8443"),
        ("https://xn--bcher-kva.example/", "xn--bcher-kva.example", 443, "/", "xn--bcher-kva.example"),
        ("https://r3---sn-4g5e.example.org/", "r3---sn-4g5e.example.org", 443, "/", "r3---sn-4g5e.example.org"),
        ("https://a_b.example.org/%2e%2e/", "a_b.example.org", 443, "/%2e%2e/", "a_b.example.org"),
        ("https://8.8.8.8/", "8.8.8.8", 443, "/", "8.8.8.8"),
        ("https://[2606:4700:4700:0::1111]/", "2606:4700:4700::1111", 443, "/", "[2606:4700:4700::1111]"),
        ("https://hooks.example.org/@me", "hooks.example.org", 443, "/@me", "hooks.example.org"),
    ],
)
def test_what_is_plain_is_read(url: str, host: str, port: int, path: str, authority: str) -> None:
    target = target_of(url, ports=(443, 8443))
    assert (target.host, target.port, target.path, target.authority) == (host, port, path, authority)


def test_the_operators_own_may_be_http_and_within_its_network() -> None:
    own = Guarded(allow_private=True)
    for url in ("http://127.0.0.1:9000/x", "http://receiver:80/", "https://10.0.0.1:8443/", "http://[::1]:1/"):
        own.allowed(url)
    for url in ("http://2130706433/", "http://user@127.0.0.1/", "ftp://127.0.0.1/", "http://127.0.0.1./"):
        with pytest.raises(NotAllowed):
            own.allowed(url)


def test_names_in_errors_have_an_end() -> None:
    with pytest.raises(NotAllowed) as refused:
        target_of(f"https://{'a' * 1500}/")
    assert len(str(refused.value)) < 200
