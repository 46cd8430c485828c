"""What is known of an outside platform, in one row that everything else asks. Pure.

What cannot exist there is refused before anybody is asked for it. The rules are the platforms' own.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from gcc.tables import Table

HANDLE_CHARS_MAX = 30
AVERAGES = dict.fromkeys(("avg_likes", "avg_comments", "avg_views", "engagement_rate"), "double precision")
"""Columns of what is derived at each crawl of a profile."""


def words(text: str) -> Collection[str]:
    return frozenset(text.split())


@dataclass(frozen=True, slots=True)
class Site:
    """Where a platform's pages are. `pages`: firsts of a path that are nobody's name; `prefixes`: what may stand before
    a name, and `before_id` before an id alone; `titles`: before a name that is no handle; `tabs`: what may follow it
    (None: anything)."""

    hosts: Collection[str]
    pages: Collection[str]
    prefixes: Collection[str] = ()
    before_id: Collection[str] = ()
    titles: Collection[str] = ()
    tabs: Collection[str] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Platform:
    """`is_handle`: whether there can be this handle, without @; `handle_rule` tells people. `handle_pattern` says the
    same in the API's document, @ before it or not: a regular expression of JSON Schema, which may let more through.

    `id_rule` tells people what `id_pattern` means. `known_by_id`: an id stands for a profile wherever a handle does,
    and rather than it, as its handle may change; so it is asked for, and events name it. `recent_posts_max`: as many
    posts does a crawl bring, and the API show with a profile. `account` and `post` hold current state: the first's key
    is a profile's id, and a column of the second, too. `other_ids`: columns of the first with ids by which some sources
    know it.
    """

    name: str
    is_handle: Callable[[str], bool]
    handle_rule: str
    handle_pattern: str
    id_pattern: re.Pattern[str]
    id_rule: str
    known_by_id: bool
    site: Site
    recent_posts_max: int
    account: Table
    post: Table
    other_ids: Collection[str] = ()

    @property
    def profile_id(self) -> str:
        """The column of a profile's id, in both tables."""
        (column,) = self.account.key
        return column

    @property
    def post_id(self) -> str:
        """The column of a post's id."""
        (column,) = self.post.key
        return column

    def is_id(self, text: str) -> bool:
        return self.id_pattern.fullmatch(text) is not None

    def asked_as(self, profile_id: str, handle: str) -> str:
        """What a source is asked for. Lists write names that are no ids, and handles that are none."""
        return profile_id if self.known_by_id and self.is_id(profile_id) else handle

    def folded(self, name: str) -> str:
        """A handle or an id, the same in whichever letters it was written: only an id's case tells it from others."""
        return name if self.is_id(name) else name.lower()

    def handle_in(self, text: str) -> str | None:
        """The handle that is written there, with or without @, or as the URL of a profile. ValueError: there is none.

        None: it is the URL of a profile, and does not tell its handle. YouTube's old names (/c/NAME, /user/NAME) are
        no handles: the same word may be the handle of somebody else.
        """
        named = self._of_url(text) if "/" in text or _site_name(text) in self.site.hosts else text
        if named is None:
            return None
        bare = named.removeprefix("@")
        # lists write names with accents: they are kept as they are, and asking tells whether there is such a one
        if not self.is_handle("".join("a" if letter.isalpha() and not letter.isascii() else letter for letter in bare)):
            raise ValueError(f"{_shown(bare)} cannot be a handle on {self.name}")
        return bare

    def _of_url(self, text: str) -> str | None:
        site = self.site
        url = urlsplit(text if "://" in text else f"//{text.lstrip('/')}")
        if url.scheme not in ("", "http", "https") or _site_name(url.hostname or "") not in site.hosts:
            raise ValueError(f"{_shown(text)} is no page of {self.name}")
        parts = [unquote(part) for part in url.path.split("/") if part]
        first = parts[0].lower() if parts else ""
        if len(parts) > 1 and first in site.titles:
            return None
        if len(parts) > 1 and (first in site.prefixes or (first in site.before_id and self.is_id(parts[1]))):
            parts = parts[1:]
        elif {first} & {*site.pages, *site.prefixes, *site.before_id, *site.titles}:
            parts = []
        if not parts or not (len(parts) == 1 or site.tabs is None or parts[1].lower() in site.tabs):
            raise ValueError(f"{_shown(text)} is a page that is no profile's")
        return parts[0]


def _site_name(host: str) -> str:
    """A host without what only says how its pages look."""
    return host.lower().rstrip(".").removeprefix("www.").removeprefix("m.")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}...")
