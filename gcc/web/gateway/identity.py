"""The identity service as a gateway holds it: its stores, its routes, and who is calling."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from gcc.clock import Clock
from gcc.config import Settings
from gcc.stores.connections import PostgresConnections
from gcc.stores.postgres import Pool
from gcc.stores.postgres_identity import PostgresIdentity
from gcc.stores.postgres_identity_keys import PostgresKeys
from gcc.stores.postgres_identity_partners import PostgresPartners
from gcc.stores.postgres_identity_people import PostgresPeople
from gcc.stores.tenant import Tenant
from gcc.stores.webhook_endpoints import WebhookEndpoints
from gcc.web.api import rates
from gcc.web.api.route import Route
from gcc.web.gateway.auth import Authenticator
from gcc.web.gateway.elsewhere import RemoteAuthenticator, RemoteIdentity
from gcc.web.gateway.strangers import Strangers
from gcc.web.identity.bus import Bus
from gcc.web.identity.connections import Connecting, Connections
from gcc.web.identity.key_routes import ApiKeys
from gcc.web.identity.partners import Partners
from gcc.web.identity.passwords import Passwords
from gcc.web.identity.people import People
from gcc.web.identity.services import Services
from gcc.web.identity.sessions import Sessions
from gcc.web.identity.tokens import AccessTokens, Secret
from gcc.web.identity.webhooks import Webhooks


class Identity:
    def __init__(
        self,
        settings: Settings,
        pool: Pool,
        platform: Pool,
        clock: Clock,
        keys: Sequence[Secret],
        bus: Bus,
        connecting: Connecting,
        remote: RemoteIdentity | None,
    ) -> None:
        """`pool` is held to one partner at a time, `platform` sees all, for staff and chores. `keys` sign tokens, `bus`
        tells of sessions that end. `remote`: where identities are elsewhere; then there are no routes of them here."""
        store, people, passwords = PostgresIdentity(pool, platform), PostgresPeople(pool, clock), Passwords()
        self._store = store
        api_keys, url = PostgresKeys(pool, platform, clock, people), settings.auth.public_url
        authenticator = Authenticator if remote is None else partial(RemoteAuthenticator, remote)
        self.authenticator = authenticator(
            store,
            api_keys,
            AccessTokens(keys),
            bus,
            clock,
            settings.auth,
            settings.web.dev_token,
            settings.services,
            Strangers(rates.calls(settings.limits.classes, "login")),
        )
        self.partners = PostgresPartners(platform, clock, people)
        sessions = Sessions(
            store,
            self.authenticator,
            keys=keys,
            bus=bus,
            clock=clock,
            passwords=passwords,
            origins=settings.gateway.cors_origins,
        )
        self._is_elsewhere = remote is not None
        self._parts = (
            sessions,
            People(people, store, sessions, bus=bus, passwords=passwords, public_url=url),
            ApiKeys(api_keys, bus, clock),
            Partners(self.partners, bus, url),
            Connections(settings, PostgresConnections(pool, clock, connecting.keys), connecting.api, clock),
            Services(self.authenticator, clock),
            Webhooks(settings, WebhookEndpoints(pool, clock), clock),
        )

    async def name_of(self, tenant: Tenant) -> str:
        user = None if tenant.user_id is None else await self._store.user(tenant.partner_id, tenant.user_id)
        return "" if user is None else user.name

    def routes(self) -> Iterator[Route]:
        for part in () if self._is_elsewhere else self._parts:
            for route in part.routes():
                yield replace(route, secret=True)
