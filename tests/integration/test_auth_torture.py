"""Whoever is not let in tries everything else: letters of the protocol, on the real socket, and sessions of others."""

import base64
import hmac
import json
import uuid
from typing import Any

import httpx
import jwt
import pytest
import trio
from quart import Request

from gcc.stores.postgres import Pool
from gcc.stores.tenant import Tenant
from gcc.web.api.envelope import Answer
from gcc.web.api.route import Route
from tests.integration.api_serving import KEY, Api
from tests.integration.identity_people import AUTH, PAGE, Someone, add_person, bearer, code, log_in, me, refresh

CLAIMS = [b"x-bb-partner-id: 1", b"x-bb-plan-type: PAID", b"x-bb-role: OPERATOR", b"x-bb-user-id: %b" % (b"0" * 36)]
SPELLED = {
    "as they are": CLAIMS,
    "in capitals": [claim.upper() for claim in CLAIMS],
    "in any case": [b"X-bB-pArtner-Id: 1", b"X-Bb-Role: OPERATOR"],
    "with _": [claim.replace(b"-", b"_") for claim in CLAIMS],
    "with some _": [b"X-BB_Partner-Id: 1", b"x_bb-role: OPERATOR", b"x-bb-partner_id: 1"],
    "twice": CLAIMS + CLAIMS,
    "twice, differently": [*CLAIMS, b"x-bb-partner-id: 2", b"X_BB_Partner_Id: 3"],
    "unknown ones": [b"x-bb-: 1", b"x-bb-whatever: 1", b"x-bb-requestid_: 1"],
}
KEPT = {"x-bb-clientid", "x-bb-device-id", "x-bb-requestid", "x-bb-timeout-ms"}


async def sent(api: Api, *lines: bytes, method: bytes = b"GET", path: str = f"{AUTH}/me", rest: bytes = b"") -> Any:
    """(status, JSON) of a request whose head and body are these bytes."""
    url = httpx.URL(str(api.client.base_url))
    head = [b"%b %b HTTP/1.1" % (method, path.encode()), b"Host: %b" % url.netloc, b"Connection: close", *lines]
    stream = await trio.open_tcp_stream(str(url.host), url.port or 80)
    answer = b""
    with trio.fail_after(20):
        async with stream:
            await stream.send_all(b"\r\n".join([*head, b"", b""]) + rest)
            async for data in stream:
                answer += data
    status, _, body = answer.partition(b"\r\n\r\n")
    return int(status.split()[1]), json.loads(body)


def words(token: str) -> bytes:
    return f"Authorization: Bearer {token}".encode()


@pytest.fixture
async def token(api: Api, asha: Someone) -> str:
    return str((await log_in(api, asha))["access_token"])


@pytest.mark.parametrize("lines", SPELLED.values(), ids=SPELLED)
async def test_who_asks_is_not_what_headers_claim(api: Api, token: str, lines: list[bytes]) -> None:
    """However they are spelled, no handler and no service behind sees them."""
    seen: list[str] = []

    async def echo(tenant: Tenant, request: Request) -> Answer:
        seen.extend(name for name, _ in request.headers)
        return Answer([tenant.partner_id, tenant.role, tenant.plan], "process")

    api.app.add(Route("GET", "/echo", "echo", "", echo, data=Any))
    own = [f"{name.title()}: {uuid.uuid4() if name == 'x-bb-requestid' else 5000}".encode() for name in KEPT]
    status, told = await sent(api, words(token), *lines, *own, path="/echo")
    assert (status, told["data"]) == (200, [7, "OWNER", "SAAS"])
    assert {name for name in seen if "bb" in name} == KEPT and not any("_" in name for name in seen)


async def test_claims_in_trailers_say_nothing(api: Api, token: str) -> None:
    trailers = b"".join(line + b"\r\n" for line in [*CLAIMS, words("x"), b"x-forwarded-for: 1.1.1.1"])
    body = b"0\r\n" + trailers + b"\r\n"
    chunked = b"Transfer-Encoding: chunked", b"Content-Type: application/json"
    logout: dict[str, Any] = {"method": b"POST", "path": f"{AUTH}/logout"}
    status, told = await sent(api, *chunked, **logout, rest=b"0\r\n" + words(token) + b"\r\n\r\n")
    assert (status, told["error"]["code"]) == (401, "UNAUTHORIZED"), "a token comes before the body"
    status, told = await sent(api, words(token), *chunked, **logout, rest=body)
    assert (status, told["data"]) == (200, {"revoked": 1}), "of whom the head told"


async def test_folded_claims_are_no_request(api: Api, token: str) -> None:
    for lines in ([words(token), b"A: b\r\n x-bb-role: OPERATOR"], [b"Authorization: Bearer\r\n " + token.encode()]):
        status, told = await sent(api, *lines)
        assert (status, told["error"]["code"]) == (400, "MALFORMED_REQUEST")


async def test_two_tokens_are_none(api: Api, token: str) -> None:
    good, other = words(token), b"authorization: Bearer x"
    for lines in (
        [good, good], [good, other], [other, good], [good, b"AUTHORIZATION: Bearer x"], [good, b"Authorization:"],
        [good + b", Bearer x"], [b"Authorization: Bearer x, " + good[22:]], [good + b" x"],
        [b"Authorization: Basic x", good], [b"Authorization_: x", b"Proxy-Authorization: Bearer " + token.encode()],
        [b"Authorization: Bearer\t" + token.encode()], [b"Authorization: " + token.encode()],
        [b"Cookie: access_token=" + token.encode()],
    ):  # fmt: skip
        status, told = await sent(api, *lines)
        assert (status, told["error"]["code"]) == (401, "UNAUTHORIZED"), lines
    status, told = await sent(api, path=f"{AUTH}/me?access_token={token}")
    assert (status, told["error"]["code"]) == (401, "UNAUTHORIZED")
    assert (await sent(api, good, b"Authorization_: Bearer x"))[0] == 200, "a name of its own, which nobody reads"


def signed(claims: dict[str, Any], header: dict[str, Any], digest: str = "sha256", key: bytes = KEY.raw) -> str:
    """By hand, as PyJWT would refuse to: right in all but what the header says."""

    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).decode().rstrip("=")

    made = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
    return f"{made}.{part(hmac.digest(key, made.encode(), digest))}"


async def test_what_a_header_says_opens_nothing_though_the_key_is_right(api: Api, token: str) -> None:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    right = {"alg": "HS256", "typ": "JWT", "kid": KEY.kid}
    assert (await me(api, signed(claims, right))).status_code == 200
    changes: list[dict[str, Any]] = [
        {"alg": "HS384"}, {"alg": "HS512"}, {"alg": "hs256"}, {"alg": "HS256 "}, {"alg": ["HS256"]}, {"alg": None},
        {"alg": ""}, {"alg": "none"}, {"alg": "NONE"}, {"alg": "ES256"}, {"alg": "PS256"}, {"alg": "EdDSA"},
        {"kid": ""}, {"kid": None}, {"kid": 0}, {"kid": KEY.kid.upper()}, {"kid": f"{KEY.kid} "}, {"kid": {}},
        {"kid": f"{KEY.kid}\0"}, {"kid": KEY.raw.decode()}, {"kid": "/proc/self/environ"}, {"kid": "%00"},
        {"kid": "x" * 3000}, {"kid": "https://evil.example/key"}, {"kid": "| id"}, {"kid": "__class__"},
        {"x5u": "https://evil.example"}, {"x5c": ["x"]}, {"zip": "DEF"}, {"cty": "JWT"}, {"enc": "A128GCM"},
        {"typ": "JWE"}, {"typ": None}, {"crit": []}, {"nonce": "x"},
    ]  # fmt: skip
    for change in changes:
        digest = {"HS384": "sha384", "HS512": "sha512"}.get(str(change.get("alg")), "sha256")
        assert code(await me(api, signed(claims, right | change, digest))) == (401, "UNAUTHORIZED"), change
    for key in (b"", b"k", KEY.kid.encode(), KEY.raw + b"k", KEY.raw[:-1]):
        assert code(await me(api, signed(claims, right, key=key))) == (401, "UNAUTHORIZED"), key
    head, body, mark = signed(claims, right).split(".")
    for torn in (
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{head}..{mark}",
        f".{body}.{mark}",
        f"{body}.{head}.{mark}",
        "..",
    ):
        assert code(await me(api, torn)) == (401, "UNAUTHORIZED"), torn


async def test_a_login_is_never_anothers_session(api: Api, asha: Someone, pool: Pool) -> None:
    """Fixation: whoever plants a session, a cookie or a device gets nothing of what is logged in with it."""
    ravi = await add_person(pool, "ravi@brand.example", partner_id=7, role="VIEWER")
    planted = await log_in(api, ravi)
    device = (await api.call("POST", "/identity-service/api/device/init", json={"client_id": "x"})).json()["data"]
    body = {"email": asha.email, "password": asha.password, "mode": "cookie", **device}
    headers = bearer(planted["access_token"]) | {"origin": PAGE, "cookie": f"gcc_refresh={planted['refresh_token']}"}
    answers = [await api.call("POST", f"{AUTH}/login", json=body, headers=headers) for _ in range(2)]
    cookies = [answer.cookies["gcc_refresh"] for answer in answers]
    sids = [
        jwt.decode(token, options={"verify_signature": False})["sid"]
        for token in (planted["access_token"], *(answer.json()["data"]["access_token"] for answer in answers))
    ]
    assert len({*sids}) == 3 and len({planted["refresh_token"], *cookies}) == 3
    assert (await me(api, planted["access_token"])).json()["data"]["user"]["email"] == ravi.email
    told = (await refresh(api, planted["refresh_token"])).json()["data"]
    assert (told["user"]["email"], told["role"]) == (ravi.email, "VIEWER")
    for named in ("sid", "session_id", "id", "user_id", "partner_id"):
        response = await api.call("POST", f"{AUTH}/login", json={**body, named: sids[0]}, headers={"origin": PAGE})
        assert code(response) == (422, "INVALID_BODY")


async def test_an_access_token_refreshes_nothing_and_a_refresh_token_opens_nothing(api: Api, asha: Someone) -> None:
    found = await log_in(api, asha)
    assert code(await me(api, found["refresh_token"])) == (401, "UNAUTHORIZED")
    right = found["refresh_token"]
    for odd in (found["access_token"], right + "=", right.swapcase(), f" {right}"):
        assert code(await refresh(api, odd))[0] in (401, 422)
    assert (await refresh(api, right)).status_code == 200, "nothing of that has ended the session"
