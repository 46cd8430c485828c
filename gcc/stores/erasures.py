"""Profiles that are forgotten: who they are, and their rows in PostgreSQL.

In: a name or an id, from people. Out: `erased_profile`, of which all processes are told (NOTIFY gcc_erased), so that no
crawl stores anything of them again; and their rows are gone. A lost store is Transient.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import msgspec
import trio

from gcc import statements
from gcc.errors import Permanent
from gcc.platforms import Platform
from gcc.stores.postgres import Connection, Pool
from gcc.tables import Table

SQL = statements.load("erasure")
ERASED_CHANNEL = "gcc_erased"
KEPT_S = 60.0  # a notification may have been missed
BATCH = 1000
PERSONS = {
    "profile_id": "handle",
    "channel_id": "handle",
    "source_profile_id": "source_handle",
    "target_profile_id": "target_handle",
    "actor_profile_id": "actor_handle",
    "platform_profile_id": "handle",
    "linked_profile_id": "linked_handle",
}
"""Columns in which a profile stands, in tables of whichever platform, and those of the handles that belong to them."""
NAMED_BY = ("handle", "channels")
"""Params of jobs that name profiles, one or a list of them; a word in another one is no name."""
IDENTIFIED_BY = ("profile_id", "channel_id")
"""And those that hold the id of one: a handle may look like the id of somebody else."""


HANDLES = tuple(dict.fromkeys(PERSONS.values()))


@dataclass(frozen=True, slots=True)
class Erased:
    """`erased_at`: when all of it was gone for the first time; None: not yet."""

    platform: str
    profile_id: str
    names: Sequence[str]
    who: str
    why: str
    requested_at: dt.datetime
    erased_at: dt.datetime | None


@dataclass(frozen=True, slots=True)
class Leaving:
    """The profiles of one platform that are to go: their ids, and every word that names them, in small letters.

    `exported`: those of them whom sheets that were made before may still tell of. `posts`: shortcodes of their posts,
    of YouTube ids of videos; lists may name a post without telling whose it is.
    """

    platform: str
    ids: Set[str]
    names: Set[str]
    exported: Set[str] = frozenset()
    posts: Set[str] = frozenset()


class PostgresErasures:
    """`states`: the tables of current state, by the platform that writes them; `shared`: those of all platforms."""

    def __init__(
        self,
        pool: Pool,
        platforms: Mapping[str, Platform],
        states: Mapping[str, Sequence[Table]],
        shared: Sequence[Table],
    ) -> None:
        self._pool = pool
        self._platforms = platforms
        self._states = states
        self._shared = shared
        self._kept: dict[str, tuple[float, Leaving]] = {}  # platform -> (good until, who)

    def woken(self, payload: str) -> None:
        self._kept.clear()

    async def of(self, platform: str) -> Leaving:
        """Those who are not to be stored."""
        good_until, kept = self._kept.get(platform, (-1.0, None))
        if kept is None or trio.current_time() >= good_until:
            async with self._pool.connection() as conn:
                rows = await (await conn.execute(self._with_names("of"), {"platform": platform})).fetchall()
            kept = _leaving(platform, rows)
            self._kept[platform] = trio.current_time() + KEPT_S, kept
        return kept

    async def erase(self, platform: str, name: str, *, who: str, why: str) -> str:
        """Have the profile of this handle or id forgotten; its id. Permanent: it cannot be told who is meant."""
        known = self._platforms.get(platform)
        if known is None:
            raise Permanent(f"there is no platform {platform!r}; there are {', '.join(self._platforms)}")
        bare = name.removeprefix("@")
        async with self._pool.connection() as conn:
            ids = await _all_ids(conn, known, bare) if bare == name else []
            found = await _named(conn, known, ids, bare)
            if not found and known.is_id(name):
                found = {name: []}
            persons = {frozenset(await _all_ids(conn, known, profile_id)) for profile_id in found}
            if len(persons) != 1:
                told = f"{len(persons)} profiles have had the handle" if found else "nobody here is known by the name"
                raise Permanent(
                    f"{told} {name!r} on {platform}: give the id of the one that is meant, or @ and a handle"
                )
            ids = await _all_ids(conn, known, next(iter(found)))
            named = await _named(conn, known, ids)
            names = sorted({each for handles in named.values() for each in handles})
            values = {"platform": platform, "ids": ids, "names": names, "who": who, "why": why}
            await conn.execute(SQL["erase"], values)
        self._kept.clear()
        return ids[0]

    async def listed(self) -> list[Erased]:
        """The newest first."""
        async with self._pool.connection() as conn:
            return [Erased(*row) for row in await (await conn.execute(SQL["erased"])).fetchall()]

    async def due(self, *, every: bool) -> list[Leaving]:
        """Those of whom something may be left; `every`: all of them."""
        async with self._pool.connection() as conn:
            rows = await (await conn.execute(self._with_names("due"), {"every": every})).fetchall()
        by_platform: dict[str, list[Any]] = {}
        for platform, *row in rows:
            by_platform.setdefault(platform, []).append(row)
        return [_leaving(platform, of) for platform, of in by_platform.items()]

    async def posts(self, leaving: Leaving) -> set[str]:
        """Shortcodes of those of their posts that are known here."""
        platform = self._platforms[leaving.platform]
        shortcode = "shortcode" if "shortcode" in platform.post.columns else platform.post_id
        statement = f"select distinct {shortcode} from {platform.post.name} where {platform.profile_id} = any(%(ids)s)"  # noqa: S608
        async with self._pool.connection() as conn:
            rows = await (await conn.execute(statement, _values(leaving))).fetchall()
        return {row[0] for row in rows if row[0]}

    async def forget_rows(self, leaving: Leaving) -> int:
        """Delete what is known of them; how many rows."""
        rows = 0
        for table, where in self._places(leaving.platform):
            statement = SQL["forget"].replace("{table}", f'"{table.name}"').replace("{where}", where)
            rows += await self._in_batches(statement, _values(leaving))
        return rows

    async def forget_credentials(self, leaving: Leaving) -> int:
        """Delete their own tokens; how many. One that is given again comes back, until the next round for all."""
        async with self._pool.connection() as conn:
            return (await conn.execute(SQL["forget_credentials"], _values(leaving))).rowcount

    async def forget_answers(self, leaving: Leaving) -> int:
        """Empty what callers would be answered again, where it tells of them; how many answers."""
        ids, names = (
            sorted(msgspec.json.encode(each).decode().lower() for each in of) for of in (leaving.ids, leaving.names)
        )
        marks = [*ids, *(f'"{column}":{name}' for column in HANDLES for name in names)]
        async with self._pool.connection() as conn:
            return (await conn.execute(SQL["forget_answers"], {"marks": marks})).rowcount

    async def forget_noted(self, leaving: Leaving) -> int:
        """What partners did stays noted, but not to them; how many notes."""
        where = {"identified_by": list(PERSONS), "named_by": list(HANDLES), "keys": [*PERSONS, *HANDLES]}
        async with self._pool.connection() as conn:
            return (await conn.execute(SQL["forget_noted"], _values(leaving) | where)).rowcount

    async def forget_jobs(self, leaving: Leaving) -> list[str]:
        """Delete the jobs that name them; their ids."""
        statement, gone = SQL["jobs"].replace("{limit}", str(BATCH)), []
        while True:
            async with self._pool.connection() as conn:
                values = {**_values(leaving), "named_by": list(NAMED_BY), "identified_by": list(IDENTIFIED_BY)}
                batch = await (await conn.execute(statement, values)).fetchall()
            gone += [str(row[0]) for row in batch]
            if len(batch) < BATCH:
                return gone

    async def gone(self, leaving: Leaving) -> None:
        async with self._pool.connection() as conn:
            await conn.execute(SQL["gone"], _values(leaving))

    async def _in_batches(self, statement: str, values: Mapping[str, object]) -> int:
        gone = batch = 0
        statement = statement.replace("{limit}", str(BATCH))
        while gone == 0 or batch == BATCH:
            async with self._pool.connection() as conn:
                batch = (await conn.execute(statement, values)).rowcount
            gone += batch
            if not batch:
                break
        return gone

    def _with_names(self, statement: str) -> str:
        living = " union all ".join(
            f"select '{each.name}' as platform, {each.profile_id} as profile_id, handle from {each.account.name}"  # noqa: S608
            for each in self._platforms.values()
        )
        names = SQL["names"].rstrip().removesuffix(";").replace("{living}", living)
        return SQL[statement].replace("{names}", names)

    def _places(self, platform: str) -> Iterator[tuple[Table, str]]:
        """Each table in which they may stand, and where."""
        for table in {each.name: each for each in (*self._states.get(platform, ()), *self._shared)}.values():
            persons = [(column, f"{column} = any(%(ids)s)") for column in PERSONS if column in table.columns]
            persons += [
                (column, f"({column} = '' and lower({handle}) = any(%(names)s))")  # known by the handle alone
                for column, handle in PERSONS.items()
                if {column, handle} <= table.columns.keys()
            ]
            if "post_shortcode" in table.columns:
                persons.append(("post_shortcode", f"{_UNTOLD} and post_shortcode = any(%(posts)s)"))
            own = [f"({_platform_of(column, table)}{is_person})" for column, is_person in persons]
            if own:
                yield table, f"({' or '.join(own)})"


_UNTOLD = "coalesce(platform_profile_id, '') = ''"


def _platform_of(column: str, table: Table) -> str:
    """That the person of this column is of their platform, where the table tells it."""
    name = "linked_platform" if column.startswith("linked_") else "platform"
    return f"{name} = %(platform)s and " if name in table.columns else ""


async def _all_ids(conn: Connection, platform: Platform, profile_id: str) -> list[str]:
    """All ids of the profile that has this one, ours first. Some have a row for each of two ids."""
    ids = ", ".join((platform.profile_id, *platform.other_ids))
    has_one = " or ".join(f"{name} = any(%(ids)s)" for name in (platform.profile_id, *platform.other_ids))
    statement = f"select {ids} from {platform.account.name} where {has_one}"  # noqa: S608
    found, known = [profile_id], 0
    while known < len(found):
        known = len(found)
        rows = await (await conn.execute(statement, {"ids": found})).fetchall()
        own, others = [row[0] for row in rows], [each for row in rows for each in row if each]
        found = list(dict.fromkeys([*own, *others, *found]))
    return found


async def _named(
    conn: Connection, platform: Platform, ids: Sequence[str], handle: str | None = None
) -> dict[str, list[str]]:
    """Of each profile that has one of the ids, or has or had the handle, the handles that are known by its id."""
    statement = SQL["named"].replace("{accounts}", _accounts(platform))
    values = {"platform": platform.name, "ids": ids, "name": handle}
    return {row[0]: row[1] or [] for row in await (await conn.execute(statement, values)).fetchall()}


def _leaving(platform: str, rows: Sequence[Sequence[Any]]) -> Leaving:
    """Of (id, handles, whether sheets may tell of it)."""
    names = {word.lower() for profile_id, handles, _ in rows for word in (profile_id, *handles) if word}
    return Leaving(
        platform,
        frozenset(row[0] for row in rows),
        frozenset(names | {f"@{name}" for name in names}),
        frozenset(profile_id for profile_id, _, exported in rows if exported),
    )


def _values(leaving: Leaving) -> dict[str, Any]:
    return {
        "platform": leaving.platform,
        "ids": list(leaving.ids),
        "names": list(leaving.names),
        "posts": list(leaving.posts),
    }


def _accounts(platform: Platform) -> str:
    """Names and ids, wherever they are known."""
    account, name = platform.account.name, platform.name
    return (
        f"select '{name}' as platform, {platform.profile_id} as profile_id, handle from {account}"  # noqa: S608
        " union all select platform, profile_id, handle from tracked_profile"
        " union all select platform, profile_id, handle from profile_handle"
    )
