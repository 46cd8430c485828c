"""The first wall around a tenant's rows: a statement names the partner of each table of tenants that it speaks of.

It compares that table's partner_id with something, by its alias where it has one; an insert writes it. Row-level
security stands behind (tests/contract/test_tenancy.py); this reads the files.
"""

import re
from collections.abc import Iterator

import pytest

from gcc import statements

HELD = re.compile(r"hold_to_tenant\(\s*'(\w+)'")
ALL_OF_THEM = re.compile(r"foreach held in array array\[(.*?)\]", re.DOTALL)
REFERENCE = re.compile(
    r"\b(?P<verb>from|join|into|update|using)\s+(?:only\s+)?(?P<table>\w+)(?:\s+(?:as\s+)?(?P<alias>\w+))?",
    re.IGNORECASE,
)
NO_ALIAS = re.compile(
    r"where|set|on|join|left|cross|inner|order|group|limit|for|using|values|select|returning|union", re.IGNORECASE
)

COMPARED = r"OFpartner_id\s*(?:=|in\b|is\b|,[^()]*\)\s*=)|=\s*\(?OFpartner_id\b"
"""Alone, or in a row: (u.partner_id, u.id) = (s.partner_id, s.user_id)."""

EXCEPTIONS = {
    ("identity", "seen"): "who asked within a minute, of all partners; ids of ours",
    ("identity", "prune_expired"): "what has ended, of all partners",
    ("identity", "prune_revoked"): "as `prune_expired`",
    ("identity", "prune_devices"): "of no partner: which no session names",
    ("identity_keys", "used"): "as `seen`",
    ("identity_partners", "change_contract"): "staff's: a contract is of whichever partner",
    ("webhooks", "lock_ready"): "the platform's: what is due, of all partners",
    ("webhooks", "claim"): "as `lock_ready`: by ids that it answered",
    ("webhooks", "end_leases"): "those of a life before, of all partners",
    ("webhooks", "delivered"): "by the id and the attempt of what was claimed",
    ("webhooks", "failed"): "by the id and the attempt of what was claimed",
    ("erasure", "forget_answers"): "the platform's: of all partners",
    ("erasure", "forget_noted"): "the platform's: of all partners",
    ("connections", "granted"): "a listener knows the id alone; it answers whose it is",
    ("connections", "hold"): "by ids that are names of credentials, which no caller gives",
    ("demo", "liked"): "the embedded configuration's first start, which makes the one partner that there is",
    ("pruning", "idempotency_keys"): "what has ended, of all partners",
    ("pruning", "webhook_deliveries"): "what has ended, of all partners",
    ("api_jobs", "claim"): "the platform's: what waits, of all partners, in turns",
    ("api_jobs", "release"): "by the ids and the attempts of what was claimed",
    ("api_jobs", "extend"): "by the ids and the attempts of what was claimed",
    ("api_jobs", "rescue"): "those that nobody has any more, of all partners",
    ("api_jobs", "end_leases"): "those of a life before, of all partners",
    ("api_jobs", "due_to_be_freed"): "what ended a week ago, of all partners",
    ("api_jobs", "freed"): "by ids that `due_to_be_freed` answered",
    ("counts", "api_jobs"): "how many there are, for operators",
    ("pruning", "usage_events"): "of periods that have ended, of all partners",
    ("pruning", "api_jobs"): "what has ended, of all partners",
    ("connections", "prune"): "what nobody needs any more, of all partners",
}
"""(file, statement) -> why it speaks of rows of all partners. They are the platform's own, never of a request."""


def tenants() -> frozenset[str]:
    """The tables that migrations hold to a tenant, but for `partner` itself, which has no partner_id."""
    held = set[str]()
    for file in sorted((statements.SQL / "postgres").glob("*.sql")):
        sql = re.sub(r"--.*", "", file.read_text("utf-8"))
        held |= set(HELD.findall(sql))
        for listed in ALL_OF_THEM.findall(sql):
            held |= set(re.findall(r"'(\w+)'", listed))
    return frozenset(held - {"partner"})


TENANTS = tenants()


def unsaid(sql: str) -> Iterator[str]:
    """The tables of tenants of which the statement does not say whose rows."""
    sql = re.sub(r"--.*", "", sql)
    for found in REFERENCE.finditer(sql):
        table, alias = found["table"], found["alias"]
        if table not in TENANTS:
            continue
        if found["verb"].lower() == "into":
            said = re.match(r"(?:\s+as\s+\w+)?\s*\([^)]*\bpartner_id\b", sql[found.end("table") :])
        elif alias and not NO_ALIAS.fullmatch(alias):
            said = re.search(COMPARED.replace("OF", rf"\b{alias}\."), sql)
        else:
            said = re.search(COMPARED.replace("OF", rf"(?:\b{table}\.|(?<![\w.]))"), sql)
        if not said:
            yield table


def test_the_tables_are_known() -> None:
    assert {"app_user", "api_key", "profile_collection", "webhook_delivery", "social_link"} <= TENANTS
    assert len(TENANTS) >= 28 and "leaderboard" not in TENANTS


@pytest.mark.parametrize("name", sorted(file.stem for file in statements.QUERIES.glob("*.sql")))
def test_each_statement_says_whose_rows_it_wants(name: str) -> None:
    loose = {
        (name, statement): sorted(set(unsaid(sql)))
        for statement, sql in statements.load(name).items()
        if (name, statement) not in EXCEPTIONS
    }
    assert {where: tables for where, tables in loose.items() if tables} == {}, "say partner_id, or why not"


def test_no_exception_is_left_over() -> None:
    for name, statement in EXCEPTIONS:
        assert list(unsaid(statements.load(name)[statement])), (name, statement)


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("select * from app_user where id = %(id)s", ["app_user"]),
        ("select * from app_user where partner_id = %(p)s", []),
        ("select * from app_user as u where partner_id = 1", ["app_user"]),
        ("select * from account as a join app_user as u on u.id = a.id where a.partner_id = 1", ["app_user"]),
        ("select * from account a join app_user u on (u.partner_id, u.id) = (a.partner_id, a.id)", []),
        ("update api_key set hash = 'x' -- of this partner_id\nwhere id = 1", ["api_key"]),
        ("delete from reset_token where id = 1", ["reset_token"]),
        ("insert into account (id, name) values (1, 'x')", ["account"]),
        ("insert into account (partner_id, name) values (1, 'x')", []),
        ("insert into account as a (partner_id, name) values (1, 'x')", []),
        ("select partner_id from invitation where hash = 'x'", ["invitation"]),
        ("update partner_contract set plan = 'x' where id = 1 returning partner_id", ["partner_contract"]),
        ("select * from leaderboard", []),
    ],
)
def test_a_statement_that_does_not_is_found(sql: str, found: list[str]) -> None:
    assert list(unsaid(sql)) == found
