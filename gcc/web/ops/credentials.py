"""Credentials over HTTP: listed without their secrets, added, taken out and brought back, probed, sealed anew.

The rules of the actions (actions.py) hold. A secret comes in, and never goes out: not in answers, nor into the action
log.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any

from pydantic import AwareDatetime, Field
from quart import Response, request
from quart_trio import QuartTrio

from gcc.actors.controls import Action, Controls
from gcc.channels.jobs import URGENT, Jobs
from gcc.clock import Clock
from gcc.errors import Permanent
from gcc.pipelines.scraping.upkeep import PROBED, probe_of
from gcc.sources.credentials import BY_HAND, KINDS, Credentials, Facts
from gcc.sources.source import Source
from gcc.stores.vault import Listed, Vault
from gcc.web.ops.access import Access
from gcc.web.ops.actions import Body, Why, Word, by, done, read_action
from gcc.web.ops.operations import By
from gcc.web.ops.shown_credentials import shown

SECRETS_MAX = 20  # names of one credential's secret


class PlaceBody(Body):
    source: Word
    handle: Word
    why: Why


class EnableBody(Body):
    """`handle` None: the source itself, and its apps."""

    source: Word
    handle: Word | None = None
    why: Why


class RotateBody(Body):
    why: Why


class AddBody(PlaceBody):
    secret: Annotated[dict[Word, Any], Field(min_length=1, max_length=SECRETS_MAX)]
    kind: Word = "token"
    app: str = Field("", max_length=300)
    account: Word | None = None
    scopes: Annotated[tuple[Word, ...], Field(max_length=100)] = ()
    expires_at: AwareDatetime | None = None
    data_access_expires_at: AwareDatetime | None = None

    @property
    def facts(self) -> Facts:
        return Facts(**self.model_dump(include={each.name for each in fields(Facts)}))


@dataclass(frozen=True, slots=True)
class CredentialActions:
    """What people do to credentials; each with a row of the action log. Permanent: it makes no sense."""

    vault: Vault
    credentials: Credentials
    jobs: Jobs
    controls: Controls
    clock: Clock
    sources: Mapping[str, Source]

    async def one(self, source: str, handle: str) -> dict[str, Any]:
        found = await self.vault.look(source, handle)
        return {"source": source, **shown(found)}

    async def add(self, source: str, handle: str, secret: Mapping[str, Any], facts: Facts, by: By) -> bool:
        """Store a new one, or a new secret in the place of another. False: it is the secret that was there."""
        self._refuse_unknown(source)
        if facts.kind not in KINDS:
            raise Permanent(f"there is no kind {facts.kind!r} of credentials; there are {', '.join(KINDS)}")
        if source not in (of := KINDS[facts.kind].of or (source,)):
            raise Permanent(f"a credential of kind {facts.kind} is one of {', '.join(of)}, not of {source}")
        if not secret.get("token"):
            raise Permanent(f"the secret of a credential of {source} needs token")
        if unsendable := [name for name, part in secret.items() if not _sendable(part)]:
            told = "is no text that a request can hold: ASCII, without spaces or line ends around it"
            raise Permanent(f"{', '.join(unsendable)} of the secret {told}")
        facts = replace(facts, account=facts.account or secret.get("ig_user_id"))
        if (account := self.sources[source].account) and not facts.account:
            raise Permanent(f"a credential of {source} must name its account: --account {account}")
        await self._note("credentials add", source, handle, by)
        return await self.credentials.put(source, handle, secret, facts)

    async def enable(self, source: str, handle: str | None, by: By) -> None:
        self._refuse_unknown(source)
        await self._note("credentials enable", source, handle, by)
        await self.vault.enable(source, handle)

    async def disable(self, source: str, handle: str, by: By) -> None:
        self._refuse_unknown(source)
        await self._note("credentials disable", source, handle, by)
        await self.vault.disable(source, handle, BY_HAND + by.why)

    async def rotate_key(self, by: By) -> dict[str, Any]:
        await self._note("credentials rotate-key", "all", None, by)
        resealed = await self.vault.rotate()
        return {"key": resealed.key, "resealed": resealed.resealed, "left": resealed.left}

    async def probe(self, source: str, handle: str, by: By) -> str:
        """Ask the source with it, in a job, whose id is answered."""
        self._refuse_unknown(source)
        if source not in PROBED:
            raise Permanent(f"credentials of {source} cannot be probed, those of {' and '.join(PROBED)} can")
        await self.vault.look(source, handle)
        await self._note("credentials probe", source, handle, by)
        (enqueued,) = await self.jobs.enqueue([replace(probe_of(source, handle), priority=URGENT, ttl_s=60.0)])
        return str(enqueued.id)

    def _refuse_unknown(self, source: str) -> None:
        own = [name for name, row in self.sources.items() if row.has_credentials]
        if source not in own:
            lender = self.sources[source].shares if source in self.sources else ""
            hint = f"{source} uses those of {lender}" if lender else f"there are {', '.join(own)}"
            raise Permanent(f"there is no source {source!r} that has credentials; {hint}")

    async def _note(self, verb: str, source: str, handle: str | None, by: By) -> None:
        target = source if handle is None else f"{source} {handle}"
        await self.controls.record(Action(self.clock.new_id(), self.clock.now(), by.who, by.why, verb, target))


def _sendable(part: Any) -> bool:
    return isinstance(part, str) and part.isascii() and part.isprintable() and part == part.strip()


def add_credentials(app: QuartTrio, access: Access, actions: CredentialActions) -> None:
    """Give `app` the routes of the credentials."""

    @app.get("/api/credentials")
    async def credentials() -> Response:
        access.check_reader(request)
        return done(_lines(await actions.vault.listed()))

    @app.post("/api/credentials/add")
    async def add_credential() -> Response:
        given = await read_action(access, AddBody, "add")
        is_new = await actions.add(given.source, given.handle, given.secret, given.facts, by(access, given.why))
        return done(await actions.one(given.source, given.handle), new=is_new)

    @app.post("/api/credentials/enable")
    async def enable_credential() -> Response:
        given = await read_action(access, EnableBody, "enable")
        await actions.enable(given.source, given.handle, by(access, given.why))
        if given.handle is None:
            return done(None)
        return done(await actions.one(given.source, given.handle))

    @app.post("/api/credentials/disable")
    async def disable_credential() -> Response:
        given = await read_action(access, PlaceBody, "disable")
        await actions.disable(given.source, given.handle, by(access, given.why))
        return done(await actions.one(given.source, given.handle))

    @app.post("/api/credentials/probe")
    async def probe_credential() -> Response:
        given = await read_action(access, PlaceBody, "probe")
        return done({"job": await actions.probe(given.source, given.handle, by(access, given.why))})

    @app.post("/api/credentials/rotate-key")
    async def rotate_credential_key() -> Response:
        given = await read_action(access, RotateBody, "rotate-key")
        return done(await actions.rotate_key(by(access, given.why)))


def _lines(listed: Sequence[Listed]) -> list[dict[str, Any]]:
    return [{"source": each.source, **shown(each)} for each in listed]
