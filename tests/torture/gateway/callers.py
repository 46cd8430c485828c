"""The mixed load: each caller is a loop over what one kind of client does, until the crew is called off."""

import time
import uuid
from collections.abc import Awaitable, Callable
from functools import partial

import trio

from tests.integration.identity_people import AUTH, IDENTITY
from tests.torture.gateway.crew import AT_ONCE, Crew, Person
from tests.torture.gateway.ledger import Answered, Credential
from tests.torture.gateway.victims import FORGED

BOARD = "/leaderboard-service/api/leaderboard/platform/INSTAGRAM"
PROFILE = "/discovery-service/api/profile/INSTAGRAM"
BEAT_S = 0.05
EXPORT_S = 5.0
PROBED_S = 600.0
FOREIGN = {
    "api key": (("DELETE", "api-keys/{id}"), ("POST", "api-keys/{id}/rotate")),
    "webhook": (("GET", "webhooks/{id}"), ("DELETE", "webhooks/{id}")),
    "account": (("PATCH", "accounts/{id}"),),
    "invitation": (("DELETE", "invitations/{id}"),),
}
"""What must not be done to what another partner wrote."""


class Callers(Crew):
    """`owners`: one a partner, with a plan; `others`: users of the same partners, whose sessions and roles end."""

    owners: list[Person]
    others: list[Person]
    free: Person  # of a partner without a plan
    handles: list[str]

    def loops(self) -> list[Callable[[], Awaitable[None]]]:
        """What is done again and again."""
        each = [
            partial(act, owner)
            for owner in self.owners
            for act in (self.reads, self.reads, self.accounts, self.invitations, self.keys, self.webhooks, self.exports)
        ]
        pairs = [
            partial(act, owner, others[number])
            for owner in self.owners
            for others in [[other for other in self.others if other.partner_id == owner.partner_id]]
            for number, act in enumerate((self.ends_sessions, self.refreshes, self.lowers))
        ]
        hammers = [partial(self.hammers, path, window) for path, window in self._hammered() for _ in range(2)]
        return [*each, *pairs, *hammers, self.strangers, self.foreigners, self.again, self.probes]

    async def looped(self, act: Callable[[], Awaitable[None]]) -> None:
        while not self.over.is_set():
            await act()
            await trio.sleep(self.rng.uniform(0, 2 * BEAT_S))

    async def reads(self, owner: Person) -> None:
        handle = self.rng.choice(self.handles)
        method, path, body = self.rng.choice((
            ("GET", f"{AUTH}/me", None), ("GET", f"{AUTH}/sessions", None), ("GET", f"{PROFILE}/{handle}", None),
            ("GET", f"{BOARD}?limit=20", None), ("POST", BOARD, {"limit": 10}),
        ))  # fmt: skip
        answer = await self.as_person(owner, method, path, body=body)
        if handle in path:
            self.ledger.viewed(owner.partner_id, handle, answer)
        if answer is not None and answer.good:
            told = str(answer.data)
            if "/me" in path and answer.data["partner"]["id"] != owner.partner_id:
                self.ledger.complain(f"partner {owner.partner_id} was told: {told}")
            if handle in path and handle not in told:
                self.ledger.complain(f"{path} was answered with somebody else: {told[:200]}")

    async def accounts(self, owner: Person) -> None:
        mark = f"Account {owner.partner_id} {self.mark()}"
        made = await self.wrote("account", owner, f"{IDENTITY}/accounts", mark, {"name": mark})
        await self._listed(owner, f"{IDENTITY}/accounts", made.first)

    async def invitations(self, owner: Person) -> None:
        mark = f"i{self.mark()}@partner{owner.partner_id}.example"
        body = {"email": mark, "role": "VIEWER"}
        made = await self.wrote("invitation", owner, f"{IDENTITY}/invitations", mark, body, secret="link")
        await self._listed(owner, f"{IDENTITY}/invitations", made.first)

    async def _listed(self, owner: Person, path: str, made: Answered | None) -> None:
        """What was written is there for everybody who asks then, and nothing of another partner."""
        answer = await self.as_person(owner, "GET", f"{path}?limit=100")
        if made is not None and made.good and answer is not None and answer.good:
            if made.data["id"] not in {row["id"] for row in answer.data}:
                self.ledger.complain(f"{path}: {made.data['id']} was written and is not listed")
            for row in answer.data:
                if "email" in row and f"@partner{owner.partner_id}." not in row["email"]:
                    self.ledger.complain(f"{path}: partner {owner.partner_id} was shown {row}")

    async def keys(self, owner: Person) -> None:
        """A key opens everywhere, then, from its end on, nowhere."""
        path, mark = f"{IDENTITY}/api-keys", f"Key {owner.partner_id} {self.mark()}"
        made = await self.wrote("api key", owner, path, mark, {"name": mark}, secret="key")
        if made.first is None:
            return
        keys = [made]
        if self.rng.random() < AT_ONCE:
            keys.append(await self.wrote("rotation", owner, f"{path}/{made.id}/rotate", made.id, secret="key"))
        for key in keys:
            if key.first is None:
                continue
            shown = key.first.data["key"]  # None: the answer that showed it was lost
            who = self.ledger.begun(Credential(f"key {key.id}", shown or "", float("inf"), key.id))
            if shown:
                for gateway in self.gateways:
                    handle = self.rng.choice(self.handles)
                    answer = await self.as_one(who, "GET", f"{PROFILE}/{handle}", gateway=gateway)
                    self.ledger.viewed(owner.partner_id, handle, answer)
            revoke = partial(self.as_person, owner, "DELETE", f"{path}/{key.id}", fine=("NOT_FOUND",))
            await self.ends(who, revoke)
            if shown:
                await self.tried(who)

    async def webhooks(self, owner: Person) -> None:
        path, mark = f"{IDENTITY}/webhooks", f"https://hooks{self.mark()}.partner{owner.partner_id}.example/in"
        body = {"url": mark, "events": ["webhook.test"]}
        made = await self.wrote("webhook", owner, path, mark, body, secret="secret")
        if made.first is None:
            return
        await self.as_person(owner, "GET", f"{path}/{made.id}")  # NOT_FOUND is not fine
        await self.wrote("webhook test", owner, f"{path}/{made.id}/test", made.id)
        delete = partial(self.as_person, owner, "DELETE", f"{path}/{made.id}", fine=("NOT_FOUND",))
        await self.settled(delete)

    async def exports(self, owner: Person) -> None:
        """While Redis is away none is begun: after a while it is left."""
        mark = str(self.mark() % 10_000 + 1)
        made = await self.wrote("job", owner, f"{BOARD}/export", mark, {"limit": int(mark)}, patience_s=EXPORT_S)
        if made.first is not None:
            await self.as_person(owner, "GET", f"/jobs/{made.id}")
            cancel = partial(self.as_person, owner, "POST", f"/jobs/{made.id}/cancel", fine=("JOB_ENDED",))
            await self.settled(cancel)
        await trio.sleep(1.0)

    async def ends_sessions(self, owner: Person, other: Person) -> None:
        """A session that all gateways know is ended, one way or another, and tried from then on."""
        sessions = [await self.log_in(other) for _ in range(2)]
        one, second = sessions
        for gateway in self.gateways:
            for who in sessions:
                await self.as_one(who, "GET", f"{AUTH}/me", gateway=gateway)
        fine = ("UNAUTHORIZED", "NOT_FOUND")
        log_out = partial(self.as_one, one, "POST", f"{AUTH}/logout")
        delete = partial(self.as_person, owner, "DELETE", f"{AUTH}/sessions/{one.id}", fine=fine)
        await self.ends(one, self.rng.choice((log_out, delete)))
        await self.as_one(second, "GET", f"{AUTH}/me")  # it has not ended
        await self.ends(second, partial(self.as_one, second, "POST", f"{AUTH}/logout-all"))
        await self.tried(*sessions)

    async def refreshes(self, owner: Person, other: Person) -> None:
        """A chain of refresh tokens, some used twice at once; at its end a stolen old one, which ends the session."""
        who = await self.log_in(other)
        tokens = [other.refresh_token]
        while len(tokens) < 5 and not self.over.is_set():
            answers: list[Answered] = []
            call = partial(self._refresh, other, tokens[-1], answers)
            answer = await self.settled(call)
            if self.rng.random() < AT_ONCE:
                await call()
            self.ledger.refreshed(who.name, answers)
            if answer is None or not answer.good:
                who.doubted = True  # it was used again too late, after answers that were lost
                self.ledger.ended(who, answer)
                return
            tokens.append(answer.data["refresh_token"])
            await self.as_one(who, "GET", f"{AUTH}/me")
        if len(tokens) < 3:
            return
        who.doubted = True
        answer = await self.settled(partial(self._refresh, other, tokens[0], []))
        if answer is not None and answer.good:
            self.ledger.complain(f"{who.name}: a refresh token of {len(tokens)} generations ago opened")
        self.ledger.ended(who, answer)
        await self.tried(who)

    async def _refresh(self, person: Person, token: str, answers: list[Answered]) -> Answered | None:
        sent_at = trio.current_time()
        fine = ("REFRESH_REUSED", "UNAUTHORIZED")
        answer = await self.ask("POST", f"{AUTH}/refresh", body={"refresh_token": token}, fine=fine)
        answers.append(answer or Answered(sent_at, trio.current_time(), 503, "STORE_UNAVAILABLE"))
        return answer

    async def lowers(self, owner: Person, other: Person) -> None:
        """Another role ends the sessions; the next one has it."""
        who = await self.log_in(other)
        for gateway in self.gateways:
            await self.as_one(who, "GET", f"{AUTH}/me", gateway=gateway)
        if other.role == "VIEWER":
            answer = await self.as_one(who, "POST", f"{IDENTITY}/accounts", body={"name": "Mine"}, fine=("FORBIDDEN",))
            if answer is not None and answer.good:
                self.ledger.complain("a VIEWER made an account")
        role = "EDITOR" if other.role == "VIEWER" else "VIEWER"
        change = partial(self.as_person, owner, "PATCH", f"{IDENTITY}/users/{other.someone.user_id}")
        await self.ends(who, partial(change, body={"role": role}))
        other.role = role
        await self.tried(who)

    async def strangers(self) -> None:
        """Nobody, with all that nobody may have."""
        owner = self.rng.choice(self.owners).someone
        forged = FORGED.signed(
            time.time(), user=owner.user_id, session=uuid.uuid4(), partner_id=owner.partner_id,
            account=owner.account_id, role="OWNER",
        )  # fmt: skip
        session = self.rng.choice(self.owners).session
        unsigned = "none" if session is None else session.token.rpartition(".")[0] + "."
        for token in (None, "none", "x" * 50, forged, unsigned):
            path = self.rng.choice((f"{AUTH}/me", f"{IDENTITY}/users", "/jobs", f"{PROFILE}/{self.handles[0]}"))
            answer = await self.ask("GET", path, token=token, fine=("UNAUTHORIZED",))
            if answer is not None and answer.let_in:
                self.ledger.complain(f"{path} was open to nobody ({token!r}): {answer.status}")
        body = {"email": "guessed@brand.example", "password": "never the password"}
        await self.ask("POST", f"{AUTH}/login", body=body, fine=("LOGIN_FAILED", "LOGIN_THROTTLED"))
        await trio.sleep(1.0)

    async def foreigners(self) -> None:
        """An owner asks for what is another partner's."""
        mine, theirs = self.rng.sample(self.owners, 2)
        choices = [("PATCH", f"users/{theirs.someone.user_id}"), ("DELETE", f"users/{theirs.someone.user_id}")]
        choices += [
            (method, path.format(id=write.id))
            for write in self.ledger.writes[-200:]
            if write.partner_id == theirs.partner_id and write.first is not None
            for method, path in FOREIGN.get(write.kind, ())
        ]
        if theirs.session is not None:
            choices.append(("DELETE", f"auth/sessions/{theirs.session.id}"))
        method, tail = self.rng.choice(choices)
        path = f"{IDENTITY}/{tail}"
        body = {"name": "Mine now"} if method == "PATCH" else None
        answer = await self.as_person(mine, method, path, body=body, fine=("NOT_FOUND",))
        if answer is not None and answer.good:
            self.ledger.complain(f"{method} {path} of partner {theirs.partner_id} was done for {mine.partner_id}")

    def _hammered(self) -> list[tuple[str, str]]:
        return [(f"{AUTH}/me", "read"), (f"/jobs/{uuid.uuid4()}/download", "heavy")]

    async def hammers(self, path: str, window: str) -> None:
        """Somebody who may ask little asks as often as it goes."""
        answer = await self.as_person(self.free, "GET", path, fine=("RATE_LIMITED", "NOT_FOUND"))
        if answer is not None:
            self.ledger.counted(window, answer)

    async def again(self) -> None:
        """Something that was answered is asked for again."""
        done = [write for write in self.ledger.writes if write.first is not None]
        if done:
            await self.rng.choice(done).call()

    async def probes(self) -> None:
        """Of all that ever ended, and may still be tried, one."""
        now = trio.current_time()
        ended = [
            who for who in self.ledger.credentials if who.ended_at is not None and who.token and now < who.until
            and now < who.ended_at + PROBED_S
        ]  # fmt: skip
        if ended:
            await self.tried(self.rng.choice(ended), for_s=0.0)
            await self.as_one(self.rng.choice(ended), "GET", f"{AUTH}/me", fine=("FORBIDDEN",))
