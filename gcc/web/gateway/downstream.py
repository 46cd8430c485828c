"""Headers of a request on its way to another service, and of its answer on the way back. Pure.

In: what a client sent, without its claims (hot.py), and who it is. Out: what the service is told: the identity is made
anew here, and nothing that a client wrote of it arrives. What belongs to one connection stays on it, both ways; what a
service says to browsers (cookies, CORS) is ours to say.
"""

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gcc.stores.tenant import Tenant
from gcc.web.framing import Header

HOP = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te", b"trailer",
    b"transfer-encoding", b"upgrade",
})  # fmt: skip
"""Of one connection, beside those that Connection names."""
OURS = HOP | {b"host", b"authorization", b"cookie", b"expect", b"forwarded", b"x-real-ip"}
"""Of a request: made anew, answered here, or nobody else's business."""
THEIRS = HOP | {b"set-cookie", b"set-cookie2", b"server", b"date", b"alt-svc", b"ratelimit", b"ratelimit-policy"}
"""Of an answer."""
_OF_CLIENTS = frozenset({b"x-bb-clientid", b"x-bb-device-id"})
"""Of x-bb-* these arrive as they were sent; the others are made anew."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a service is told beside what the client sent. `name`: the person's; `password`: the service's own."""

    request_id: str
    timeout_ms: int
    address: str
    tenant: Tenant | None = None
    name: str = ""
    password: str = ""


def asked(sent: Iterable[Header], told: Told) -> list[Header]:
    """The headers of the request that goes on."""
    return [*_passed(list(sent)), *_identity(told)]


def answered(sent: Iterable[Header]) -> Iterator[Header]:
    """Those of the answer that go back."""
    sent = list(sent)
    named = _named(sent)
    for name, value in sent:
        name = name.lower()
        if name not in THEIRS and name not in named and not name.startswith((b"access-control-", b"x-bb-")):
            yield name, value


def _passed(sent: list[Header]) -> Iterator[Header]:
    named = _named(sent)
    for name, value in sent:
        if name in OURS or name in named or name.startswith(b"x-forwarded-"):
            continue
        if not name.startswith(b"x-bb-") or name in _OF_CLIENTS:
            yield name, value


def _named(sent: Iterable[Header]) -> frozenset[bytes]:
    """The headers that Connection names: they end here, too."""
    values = b",".join(value for name, value in sent if name.lower() == b"connection")
    return frozenset(each.strip().lower() for each in values.split(b","))


def _identity(told: Told) -> Iterator[Header]:
    yield b"x-bb-requestid", told.request_id.encode()
    yield b"x-bb-timeout-ms", b"%d" % told.timeout_ms
    yield b"x-forwarded-for", told.address.encode()
    tenant = told.tenant
    if tenant is None:
        return
    yield b"authorization", authorization(tenant, told.name, told.password).encode()
    yield b"x-bb-partner-id", b"%d" % tenant.partner_id
    yield b"x-bb-plan-type", tenant.plan.encode()
    yield b"x-bb-role", tenant.role.encode()
    if tenant.account_id is not None:
        yield b"x-bb-account-id", str(tenant.account_id).encode()
    if tenant.user_id is not None:
        yield b"x-bb-user-id", str(tenant.user_id).encode()


def authorization(tenant: Tenant, name: str, password: str) -> str:
    """As old services read it: userId~userName~isLoggedIn~accountId:password in Base64. Who is no person has no id."""
    for each in "%~:":
        name = name.replace(each, f"%{ord(each):02X}")
    parts = (str(tenant.user_id or ""), name, "true" if tenant.user_id else "false", str(tenant.account_id or ""))
    return "Basic " + base64.b64encode(f"{'~'.join(parts)}:{password}".encode()).decode()
