"""What `doctor` asks of credentials beside how they stand: whether their secrets can be opened, which end soon, and
which lack their account."""

import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from gcc.cli.finding import Finding
from gcc.config import Settings, tokens_variable
from gcc.pipelines.scraping.table import catalogue_of
from gcc.sources.tokens.renewals import RENEWALS
from gcc.stores.sealing import KEY_FILE, Keys
from gcc.web.ops.registry import program

TOLD_MAX = 10
_KEY_IDS = "select key_id, count(*) from credential group by key_id order by 1"
_ENDING = f"""
select source, handle, kind, least(expires_at, data_access_expires_at)
from credential
where enabled and least(case when kind in ({", ".join(f"'{kind}'" for kind in RENEWALS)}) then null else expires_at end,
                        data_access_expires_at) between now() and now() + interval '7 days'
order by 4, 1, 2"""  # noqa: S608 - names of ours

_NAMELESS = "select source, handle from credential where enabled and account is null order by source, handle"


async def look(settings: Settings, rows: Callable[[str], Awaitable[list[Any]]]) -> list[Finding]:
    """`rows` answers a query that only reads."""
    keys = Keys(settings.credentials.keys, settings.data_dir / KEY_FILE)
    keys.load(make=False)
    unnamed = nameless(settings, await rows(_NAMELESS))
    return [_sealed(keys, dict(await rows(_KEY_IDS))), *_ending(await rows(_ENDING)), *unnamed]


def _sealed(keys: Keys, count: dict[str | None, int]) -> Finding:
    """Whether all that is sealed can be opened here."""
    sealed = {key: number for key, number in count.items() if key is not None}
    if missing := sorted(sealed.keys() - {*keys.ids}):
        found = f"{sum(sealed[key] for key in missing):,} are sealed under key {', '.join(missing)}"
        mend = f"put that key back into {keys.place}, or into GCC_CREDENTIALS__KEYS; see docs/credentials.md"
        return Finding("credential keys", "fail", f"{found}, which is not in {keys.place}", mend)
    if old := sorted(sealed.keys() - {*keys.ids[:1]}):
        mend = f"run: {program()} credentials rotate-key --why WHY"
        return Finding("credential keys", "warn", f"some are sealed under the older key {', '.join(old)}", mend)
    return Finding("credential keys", "ok", f"{sum(sealed.values()):,} are sealed, and open with {keys.place}")


def _ending(rows: Sequence[tuple[str, str, str, dt.datetime]]) -> list[Finding]:
    """What people have to renew within days."""
    if not rows:
        return []
    told = [f"{handle} of {source} ({kind}) on {ends_at:%Y-%m-%d}" for source, handle, kind, ends_at in rows]
    more = f"; and {len(told) - TOLD_MAX} more" if len(told) > TOLD_MAX else ""
    mend = "let their owners consent again, then run: credentials add SOURCE HANDLE, with the same handle"
    return [Finding("expiring credentials", "warn", f"{'; '.join(told[:TOLD_MAX])}{more}", mend)]


def nameless(settings: Settings, handles: Sequence[tuple[str, str]]) -> list[Finding]:
    """Of the (source, handle) of credentials that name no account, those that cannot be asked with for want of it."""
    rows = catalogue_of(settings).sources
    lacking = [(source, handle) for source, handle in handles if source in rows and rows[source].account]
    if not lacking:
        return []
    sources = list(dict.fromkeys(source for source, _ in lacking))
    told = [f"{handle} of {source}" for source, handle in lacking[:TOLD_MAX]]
    more = f" and {len(lacking) - TOLD_MAX} more" if len(lacking) > TOLD_MAX else ""
    added = [f"credentials add {source} HANDLE --account {rows[source].account} --why WHY" for source in sources]
    mend = f"{as_given(settings, sources)}, or run: {program()} {' and '.join(added)}"
    found = f"{', '.join(told)}{more}: whose account it is was not told, and without that nothing can be asked"
    return [Finding("credential accounts", "warn", found, mend)]


def as_given(settings: Settings, sources: Sequence[str]) -> str:
    """How their tokens are told to a start."""
    rows = catalogue_of(settings).sources
    accounts = {source: f"{rows[source].account}:" if rows[source].account else "" for source in sources}
    given = [f"{tokens_variable(source)}='[\"{account}TOKEN\"]'" for source, account in accounts.items()]
    return f"set {' and '.join(given)}, then start again"


def given_nameless(settings: Settings) -> list[tuple[str, str]]:
    """(source, handle) of the tokens of the environment that name no account, as the first start calls them."""
    return [
        (name, f"{name}-{number}")
        for name, source in settings.sources.items()
        for number, token in enumerate(source.tokens, start=1)
        if not token.rpartition(":")[0]
    ]
