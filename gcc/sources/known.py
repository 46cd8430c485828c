"""What our own rows tell a client that asks the outside: whose a post is, which handle an id has, whose turn it is.

Some APIs answer by handle alone, or to owners alone, or to each account a few different questions only.
"""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Protocol

import trio

from gcc.sources.limits import LimitRefused

HASHTAGS_MAX = 30  # different ones, of an account in any 7 days; one again is free
HASHTAGS_PER_S = 7 * 86_400.0 + 120.0  # the other side counts from when it hears of one, which may be later than here

NO_ACCOUNT_S = 600.0


@dataclass(frozen=True, slots=True)
class Author:
    """Whose a post is, and its two names; "" where our rows do not tell."""

    profile_id: str
    handle: str = ""
    post_id: str = ""
    shortcode: str = ""


@dataclass(frozen=True, slots=True)
class HashtagTurn:
    """The account that asks for a hashtag, and the hashtag's id, which is the same for all; None: nobody asked yet."""

    account: str
    hashtag_id: str | None


class Known(Protocol):
    async def handle_of(self, profile_id: str) -> str | None:
        """The handle that an Instagram account had last. Raises Transient where the store is lost, as all here do."""

    async def author_of(self, *, shortcode: str = "", post_id: str = "") -> Author | None:
        """Whose an Instagram post is."""

    async def hashtag_turn(self, tag: str) -> HashtagTurn:
        """The account that may ask for `tag` now: one that asked for it lately, else one that it costs a new one.

        It is spent then, whatever comes of it, for all processes. LimitRefused: all have asked for their 30, or there
        is no account that may ask for any.
        """

    async def hashtag_found(self, tag: str, hashtag_id: str) -> None:
        """Remember a hashtag's id."""


@dataclass(slots=True)
class InProcessKnown:
    """What a test or a bench says is known; hashtags are counted in this process."""

    handles: Mapping[str, str] = field(default_factory=dict)
    authors: Mapping[str, Author] = field(default_factory=dict)
    accounts: tuple[str, ...] = ()
    hashtag_ids: MutableMapping[str, str] = field(default_factory=dict)
    _asked: dict[str, dict[str, float]] = field(default_factory=dict)

    async def handle_of(self, profile_id: str) -> str | None:
        return self.handles.get(profile_id)

    async def author_of(self, *, shortcode: str = "", post_id: str = "") -> Author | None:
        return self.authors.get(shortcode or post_id)

    async def hashtag_turn(self, tag: str) -> HashtagTurn:
        now = trio.current_time()
        lately = {
            account: {of: at for of, at in self._asked.get(account, {}).items() if at + HASHTAGS_PER_S > now}
            for account in self.accounts
        }
        asked_it = [account for account, tags in lately.items() if tag in tags]
        account = min(asked_it or lately, key=lambda each: len(lately[each]), default=None)
        if account is None or (not asked_it and len(lately[account]) >= HASHTAGS_MAX):
            raise no_turn(max((now - min(tags.values()) for tags in lately.values()), default=None))
        self._asked[account] = {tag: now, **lately[account]}
        return HashtagTurn(account, self.hashtag_ids.get(tag))

    async def hashtag_found(self, tag: str, hashtag_id: str) -> None:
        self.hashtag_ids[tag] = hashtag_id


def no_turn(first_s: float | None) -> LimitRefused:
    """`first_s`: how long ago the first of all that count was asked for; None: there is no account that may ask."""
    if first_s is None:
        return LimitRefused("graphapi: there is no account now that may ask for hashtags", retry_after_s=NO_ACCOUNT_S)
    told = f"graphapi: each account has asked for its {HASHTAGS_MAX} hashtags of 7 days"
    return LimitRefused(told, retry_after_s=max(1.0, HASHTAGS_PER_S - first_s))
