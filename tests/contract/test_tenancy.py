"""The role of requests, which row-level security holds: who may be it, and what it is let in to."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.errors import InsufficientPrivilege, UndefinedObject
from pydantic import ValidationError

from gcc import statements
from gcc.clock import SystemClock
from gcc.config import Settings
from gcc.errors import ConfigError, Transient
from gcc.stores.postgres import Connection, Pool
from gcc.stores.tenancy import SQL, settle
from gcc.tree import Tree
from tests.fixtures_postgres import URL

Admin = psycopg.Connection[tuple[object, ...]]
SUPERUSER = pytest.mark.skipif(URL in os.environ, reason="roles of a server from outside are not the tests' to change")
_numbers = itertools.count(1)


async def asked(conninfo: str, statement: str, *arguments: object) -> list[Any]:
    async with await Connection.connect(conninfo) as connection:
        cursor = await connection.execute(statement.encode(), arguments or None)
        return await cursor.fetchall() if cursor.description else []


@pytest.fixture
def role(postgres_admin: Admin, database: str) -> Iterator[str]:
    """A role that may only log in, of which the owner is a member."""
    name = f"web_{os.getpid()}_{next(_numbers)}"
    postgres_admin.execute(f"create role {name} login".encode())
    postgres_admin.execute(f"grant {name} to {conninfo_to_dict(database)['user']}".encode())
    yield name
    with psycopg.connect(make_conninfo(database, user="postgres"), autocommit=True) as inside:
        inside.execute(f"drop owned by {name} cascade".encode())
    postgres_admin.execute(f"drop role {name}".encode())


@SUPERUSER
async def test_a_new_role_is_let_in_and_then_nothing_is_missing(database: str, role: str) -> None:
    web = make_conninfo(database, user=role)
    with pytest.raises(InsufficientPrivilege):
        await asked(web, "select from leaderboard")
    for _ in range(2):
        await settle(database, web)
    assert await asked(web, "select from leaderboard") == []
    assert await asked(database, SQL["due"].replace("%(role)s", f"'{role}'").replace("%%", "%")) == []
    await asked(database, "create table later (id int); create table leaderboard__new (id int)")
    await settle(database, web)
    assert await asked(web, "select from later") == []
    with pytest.raises(InsufficientPrivilege):
        await asked(web, "select from leaderboard__new")


@pytest.mark.parametrize(
    "statement",
    [
        "select from credential",
        "select from schema_migration",
        "insert into partner_contract (id, partner_id, type, plan, starts_at, ends_at)"
        " values (gen_random_uuid(), 1, 'SAAS', 'PAID', now(), now() + interval '1 day')",
        "alter table app_user disable row level security",
        "alter table app_user no force row level security",
        "drop policy tenant on app_user",
        "truncate app_user",
        "create table mine (id int)",
        "create or replace function said_tenant() returns bigint language sql return 1",
    ],
)
async def test_what_is_no_business_of_requests_is_refused(web_pool: Pool, statement: str) -> None:
    with pytest.raises(InsufficientPrivilege):
        async with web_pool.tenant(1) as connection:
            await connection.execute(statement.encode())


@SUPERUSER
@pytest.mark.parametrize(
    ("made", "told"),
    [
        ("alter role {role} superuser", "a superuser"),
        ("alter role {role} bypassrls", "BYPASSRLS"),
        ("grant {owner} to {role}", "the owner of the tables"),
    ],
)
async def test_a_role_that_would_not_be_held_is_refused(
    database: str, postgres_admin: Admin, role: str, made: str, told: str
) -> None:
    owner = str(conninfo_to_dict(database)["user"])
    postgres_admin.execute(f"revoke {role} from {owner}".encode())
    postgres_admin.execute(made.format(role=role, owner=owner).encode())
    with pytest.raises(ConfigError, match=told) as refusal:
        await settle(database, make_conninfo(database, user=role))
    assert role in str(refusal.value) and "docs/servers.md" in str(refusal.value)


@SUPERUSER
async def test_an_owner_who_would_not_see_its_transactions_is_told_what_to_say(
    database: str, postgres_admin: Admin, role: str
) -> None:
    owner = conninfo_to_dict(database)["user"]
    postgres_admin.execute(f"revoke {role} from {owner}".encode())
    with pytest.raises(ConfigError, match=f"grant {role} to {owner}"):
        await settle(database, make_conninfo(database, user=role))


@SUPERUSER
async def test_under_another_owner_the_platform_sees_what_is_there(
    partners: None, database: str, postgres_admin: Admin, role: str
) -> None:
    """As after a restore: policies name the old one, or were lost with it."""
    owner, heir = str(conninfo_to_dict(database)["user"]), make_conninfo(database, user=role)
    postgres_admin.execute(f"revoke {role} from {owner}".encode())
    with psycopg.connect(make_conninfo(database, user="postgres"), autocommit=True) as inside:
        inside.execute("drop policy platform on app_user")
        inside.execute(f"grant create on schema public to {role}".encode())
        for table in ("account", "app_user", "partner"):
            inside.execute(f"alter table {table} owner to {role}".encode())
    with pytest.raises(UndefinedObject):
        await asked(heir, "select id from account")
    for _ in range(2):
        await settle(heir, "")
        assert len(await asked(heir, "select id from account")) == 3
        assert await asked(heir, "select id from app_user") == []


def test_a_url_that_is_none_is_named(tmp_path: Path) -> None:
    for web_url in ("postgresql://gcc_web:hunter2@[db", "host=h password=hunter2 port=x"):
        settings = Settings.model_validate({"data_dir": tmp_path, "postgres": {"url": "host=h", "web_url": web_url}})
        with pytest.raises(ConfigError, match=r"postgres\.web_url") as refusal:
            Tree(settings, SystemClock())
        assert "hunter2" not in str(refusal.value)
    with pytest.raises(ValidationError, match="embedded one has its own"):
        Settings.model_validate({"postgres": {"web_url": "host=h"}})


@SUPERUSER
async def test_another_database_or_none_is_refused(database: str, postgres_admin: Admin, role: str) -> None:
    postgres_admin.execute(f"create database of_{role} strategy file_copy".encode())
    with pytest.raises(ConfigError, match="another database"):
        await settle(database, make_conninfo(database, user=role, dbname=f"of_{role}"))
    postgres_admin.execute(f"drop database of_{role}".encode())
    with pytest.raises(ConfigError, match=r"postgres\.web_url: .*GCC_POSTGRES__WEB_URL"):
        await settle(database, make_conninfo(database, user="nobody_at_all"))
    with pytest.raises(Transient):
        await settle(database, "postgresql://gcc_web@127.0.0.1:1/gcc")


async def test_replicas_see_since_when_its_transactions_are_open(database: str, pool: Pool, web_pool: Pool) -> None:
    """Else they would pass over what one of them commits later."""
    async with web_pool.tenant(1) as connection:
        ((began,),) = await (await connection.execute("select now()")).fetchall()
        ((oldest, _),) = await asked(database, statements.load("replica")["horizon"])
        assert oldest == began


# -- what it sees and writes

ADDED = "insert into account (id, partner_id, name) values (gen_random_uuid(), %s, 'one')"


@pytest.fixture
async def partners(pool: Pool) -> None:
    async with pool.transaction() as connection:
        await connection.execute("insert into partner (id, name) values (7, 'seven'), (8, 'eight')")
        for partner_id in (7, 8):
            await connection.execute(ADDED, [partner_id])
        await connection.execute(
            "insert into social_link (id, partner_id, platform, profile_id, linked_platform, linked_profile_id)"
            " select gen_random_uuid(), whose, 'INSTAGRAM', 'a', 'YOUTUBE', 'b' from unnest(array[null, 7, 8]) as whose"
        )


@pytest.mark.parametrize("table", ["account", "social_link", "partner_contract", "partner"])
async def test_who_has_not_said_whose_rows_is_refused(partners: None, web_pool: Pool, pool: Pool, table: str) -> None:
    async with web_pool.connection() as connection:
        with pytest.raises(UndefinedObject):
            await connection.execute(f"select from {table}".encode())
    async with web_pool.tenant(7) as said:
        await said.execute("select")  # with which it is said
    async with web_pool.connection() as again:
        assert again is connection
        with pytest.raises(psycopg.errors.InvalidTextRepresentation):
            await again.execute(f"select from {table}".encode())
    async with pool.connection() as owner:
        await owner.execute(f"select from {table}".encode())


@pytest.mark.parametrize("of_web", [True, False], ids=["requests", "the platform"])
async def test_a_partner_sees_its_own_without_any_filter(
    partners: None, web_pool: Pool, pool: Pool, of_web: bool
) -> None:
    """The platform, too, as long as it says whose rows it wants: its jobs do."""
    async with (web_pool if of_web else pool).tenant(7) as connection:

        async def ids(query: str) -> list[Any]:
            return [each for (each,) in await (await connection.execute(query.encode())).fetchall()]

        assert await ids("select partner_id from account") == [7]
        assert await ids("select id from partner") == [7]
        assert await ids("select partner_id from social_link order by 1") == [7, None]
        assert await ids("update social_link set linked_profile_id = 'c' returning partner_id") == [7]
        assert await ids("delete from social_link returning partner_id") == [7]
        assert await ids("update account set name = 'two' returning partner_id") == [7]


@pytest.mark.parametrize(
    "statement",
    [
        ADDED.replace("%s", "8"),
        "update account set partner_id = 8",
        "insert into partner (id, name) values (9, 'nine')",
    ],
    ids=["insert", "move", "found a partner"],
)
async def test_a_row_of_another_cannot_be_written(partners: None, web_pool: Pool, statement: str) -> None:
    with pytest.raises(InsufficientPrivilege, match="row-level security"):
        async with web_pool.tenant(7) as connection:
            await connection.execute(statement.encode())


# -- every table

TENANTS = """
select class.relname::text, class.relrowsecurity and class.relforcerowsecurity,
       array(select polname::text from pg_policy where polrelid = class.oid order by 1)
from pg_class as class join pg_attribute on attrelid = class.oid and attname = 'partner_id' and not attisdropped
where class.relnamespace = 'public'::regnamespace and class.relkind in ('r', 'p', 'm')
"""
KEYS = """
select key.conname::text
from pg_constraint as key
join pg_attribute as held on held.attrelid = key.conrelid and held.attname = 'partner_id' and not held.attisdropped
join pg_attribute as of on of.attrelid = key.confrelid and of.attname = 'partner_id' and not of.attisdropped
where key.contype = 'f'
  and array_position(key.confkey, of.attnum) is distinct from array_position(key.conkey, held.attnum)
   or key.contype = 'f' and array_position(key.conkey, held.attnum) is null
"""


FREE = {"oauth_state"}


async def test_every_table_of_tenants_is_held(database: str) -> None:
    """Who adds one with a partner_id says so in its migration: select hold_to_tenant('its_name'). To those of FREE the
    digest of a secret leads, before a tenant is known."""
    held = {
        name: (forced, set(policies)) for name, forced, policies in await asked(database, TENANTS) if name not in FREE
    }
    assert len(held) >= 28
    assert {
        name for name, (forced, policies) in held.items() if not (forced and {"tenant", "platform"} <= policies)
    } == set()
    assert {name for name, (_, policies) in held.items() if "ours" in policies} == {"social_link", "linked_social"}


async def test_every_foreign_key_between_tables_of_tenants_holds_the_partner(database: str) -> None:
    """Foreign keys look past policies: another partner's id must find nothing."""
    assert await asked(database, KEYS) == []


async def test_a_view_of_tenants_asks_as_who_asks_it(database: str) -> None:
    loose = """
        select distinct view.relname::text from pg_class as view
        join pg_rewrite on ev_class = view.oid join pg_depend on objid = pg_rewrite.oid
        join pg_attribute on attrelid = refobjid and attname = 'partner_id'
        where view.relkind = 'v' and not coalesce(view.reloptions @> '{security_invoker=true}', false)
    """
    assert await asked(database, loose) == []
