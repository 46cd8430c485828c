"""Those who ask the two gateways, and tell the ledger what they were answered.

A call goes to a gateway that is up, each time to any; one that was not answered, or told to come again, is sent again
until it is answered. That is how a client behaves of which the platform promises that nothing is lost or done twice.
"""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import jwt
import trio

from gcc.web.identity.tokens import LIFE_S
from tests.integration.identity_people import AUTH, Someone, bearer
from tests.torture.gateway.ledger import Answered, Credential, Ledger, Write
from tests.torture.gateway.victims import GatewayVictim

TIMEOUT_S = 40.0  # twice the gateway's own deadline
PAUSE_S = 0.1
FRESH_S = 60.0  # before its end a token is not used any more
AT_ONCE = 0.3  # of the calls with a key are sent twice at once


@dataclass
class Person:
    someone: Someone
    role: str
    session: Credential | None = None  # which nobody ends
    refresh_token: str = ""
    logging_in: trio.Lock = field(default_factory=trio.Lock)

    @property
    def address(self) -> str:
        """Of their own: an address that logs in too often waits."""
        return f"2001:db8:{self.someone.user_id.hex[:4]}:{self.someone.user_id.hex[4:8]}::1"

    @property
    def partner_id(self) -> int:
        return self.someone.partner_id


class Crew:
    def __init__(self, gateways: list[GatewayVictim], ledger: Ledger, client: httpx.AsyncClient) -> None:
        self.ledger = ledger
        self.gateways = gateways
        self.over = trio.Event()
        self.rng = random.Random()  # callers draw in no order that a seed could give
        self._client = client
        self._marks = iter(range(1, 1 << 31))

    def mark(self) -> int:
        return next(self._marks)

    async def ask(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        fine: tuple[str, ...] = (),
        gateway: GatewayVictim | None = None,
        key: str | None = None,
        body: Any = None,
        address: str = "",
    ) -> Answered | None:
        """From `address`, as a proxy tells it. None: there was no gateway, or the one that was asked died."""
        up = [each for each in ([gateway] if gateway else self.gateways) if each.url]
        if not up:
            await trio.sleep(PAUSE_S)
            return None
        asked = self.rng.choice(up)
        life, sent_at = asked.life, trio.current_time()
        headers = {} if token is None else bearer(token)
        if address:
            headers["x-forwarded-for"] = address
        if key is not None:
            headers["idempotency-key"] = key
        try:
            response = await self._client.request(method, asked.url + path, headers=headers, json=body)
        except httpx.TransportError as error:
            if asked.url and asked.life == life:
                self.ledger.complain(f"{method} {path}: {error!r} of a gateway that lives")
            self.ledger.counts["unanswered"] += 1
            return None
        answer = answered(response, sent_at)
        self.ledger.answered(f"{method} {path}", answer, fine)
        return answer

    async def as_one(self, who: Credential, method: str, path: str, **more: Any) -> Answered | None:
        """Asked with this credential, whose ledger is kept."""
        fine = (*more.pop("fine", ()), "UNAUTHORIZED")  # whether rightly so, `opened` tells
        answer = await self.ask(method, path, token=who.token, fine=fine, **more)
        if answer is not None:
            self.ledger.opened(who, answer)
        return answer

    async def settled(
        self, call: Callable[[], Awaitable[Answered | None]], patience_s: float = float("inf")
    ) -> Answered | None:
        """Its answer, asked until there is one; None after `patience_s`."""
        with trio.move_on_after(patience_s):
            while True:
                answer = await call()
                if answer is not None and not answer.away and answer.code != "IDEMPOTENCY_IN_PROGRESS":
                    return answer
                await trio.sleep(PAUSE_S)
        return None

    async def log_in(self, person: Person) -> Credential:
        """A new session."""
        body = {"email": person.someone.email, "password": person.someone.password}
        answer = await self.settled(lambda: self.ask("POST", f"{AUTH}/login", body=body, address=person.address))
        assert answer is not None
        if not answer.good:
            return Credential("nobody", "none", 0.0, doubted=True)  # the ledger has complained
        if answer.data["role"] != person.role:
            self.ledger.complain(f"{person.someone.email} is {person.role} and logged in as {answer.data['role']}")
        person.refresh_token = answer.data["refresh_token"]
        return self.ledger.begun(session_of(answer, person))

    async def token_of(self, person: Person) -> Credential:
        """Their session that nobody ends."""
        async with person.logging_in:  # five at once are as many as are let in
            who = person.session
            if who is None or who.until < trio.current_time() or who.ended_at is not None:
                who = person.session = await self.log_in(person)
        return who

    async def as_person(self, person: Person, method: str, path: str, **more: Any) -> Answered | None:
        return await self.as_one(await self.token_of(person), method, path, **more)

    async def wrote(
        self,
        kind: str,
        person: Person,
        path: str,
        mark: str,
        body: Any = None,
        *,
        secret: str = "",
        fine: tuple[str, ...] = (),
        patience_s: float = float("inf"),
    ) -> Write:
        """Write something under a key of its own; `first` of it is None where nobody knows whether it was."""
        key = f"{kind}-{person.partner_id}-{mark}".replace(" ", "-")
        fine = (*fine, "IDEMPOTENCY_IN_PROGRESS")

        async def call() -> Answered | None:
            answer = await self.as_person(person, "POST", path, key=key, body=body, fine=fine)
            if answer is not None:
                self.ledger.wrote(write, answer)
            return answer

        write = Write(kind, person.partner_id, mark, call, secret)
        self.ledger.writes.append(write)
        if self.rng.random() < AT_ONCE:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(call)
                nursery.start_soon(call)
        if write.first is None:
            await self.settled(call, patience_s)
        return write

    async def ends(self, who: Credential, call: Callable[[], Awaitable[Answered | None]]) -> None:
        """Until the end of `who`, which `call` asks for, is known."""
        who.doubted = True
        self.ledger.ended(who, await self.settled(call))

    async def tried(self, *ended: Credential, for_s: float = 1.5) -> None:
        """Everywhere, for as long as somebody might remember it, and a little longer."""
        until = trio.current_time() + for_s
        while trio.current_time() < until:
            for who in ended:
                for gateway in self.gateways:
                    await self.as_one(who, "GET", f"{AUTH}/me", gateway=gateway, fine=("FORBIDDEN",))


def answered(response: httpx.Response, sent_at: float) -> Answered:
    at, replayed = trio.current_time(), "idempotency-replayed" in response.headers
    if not response.headers.get("content-type", "").startswith("application/json"):
        return Answered(sent_at, at, response.status_code, data=None, replayed=replayed)
    content = response.json()
    code = (content.get("error") or {}).get("code", "")
    return Answered(sent_at, at, response.status_code, code, content.get("data"), content, replayed)


def session_of(answer: Answered, person: Person) -> Credential:
    token = answer.data["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    until = answer.sent_at + LIFE_S - FRESH_S
    return Credential(f"session {claims['sid']} of {person.someone.email}", token, until, claims["sid"])
