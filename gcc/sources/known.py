"""What our own rows tell a client that asks the outside: whose a post is, which names an account has, whose turn it is.

Some APIs answer by handle alone, or to owners alone, or to each account a few different questions only.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import trio

from gcc.sources.instagram.identity import Told, told
from gcc.sources.limits import LimitRefused
from gcc.sources.snapshot import ProfileSnapshot

HASHTAGS_MAX = 30  # different ones, of an account in any 7 days; one again is free
HASHTAGS_PER_S = 7 * 86_400.0 + 120.0  # the other side counts from when it hears of one, which may be later than here

NO_ACCOUNT_S = 600.0


class RowsAway(LimitRefused):
    """Nobody knows who is meant in an answer: no other source would tell, and none is asked. It costs no attempt."""

    code = "STORE_AWAY"


@dataclass(frozen=True, slots=True)
class Account:
    """The handle that an Instagram account had last, and its ids: ours, Instagram's own, and the Graph API's."""

    handle: str
    profile_id: str
    ig_id: str | None = None
    fbid: str | None = None


@dataclass(frozen=True, slots=True)
class Author:
    """Whose a post is, and its names; "" where our rows do not tell. `profile_id` is the Graph API's where it is known,
    and so is `fbid`, the post's own id there."""

    profile_id: str
    handle: str = ""
    post_id: str = ""
    shortcode: str = ""
    fbid: str = ""


@dataclass(frozen=True, slots=True)
class HashtagTurn:
    """The account that asks for a hashtag, and the hashtag's id, which is the same for all; None: nobody asked yet."""

    account: str
    hashtag_id: str | None


class Known(Protocol):
    async def account(self, profile_id: str) -> Account | None:
        """An Instagram account by any of its ids. Raises Transient where the store is lost, as all here do."""

    async def names_of(self, told: Sequence[Told]) -> Mapping[str, str]:
        """The ids by which we know accounts, by those that were told; without those that we do not know.

        Who has one of the ids is meant; else who has the handle, if no id speaks against it, and it was seen so
        lately, has a post of those, or an fbid that is rounded to the one told: a handle may be another's by now.
        """

    async def author_of(self, *, shortcode: str = "", post_id: str = "") -> Author | None:
        """Whose an Instagram post is; `post_id` may be any of its ids."""

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

    accounts_known: Mapping[str, Account] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    authors: Mapping[str, Author] = field(default_factory=dict)
    accounts: tuple[str, ...] = ()
    hashtag_ids: MutableMapping[str, str] = field(default_factory=dict)
    _asked: dict[str, dict[str, float]] = field(default_factory=dict)

    async def account(self, profile_id: str) -> Account | None:
        return self.accounts_known.get(profile_id)

    async def names_of(self, told: Sequence[Told]) -> Mapping[str, str]:
        return {each.id: self.names[each.id] for each in told if each.id in self.names}

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


async def is_of(known: Known, account: Account, profile: ProfileSnapshot) -> bool:
    """Whether a profile that goes by the account's handle is the account still."""
    return (await known.names_of(told(profile))).get(profile.profile_id) == account.profile_id


def no_turn(first_s: float | None) -> LimitRefused:
    """`first_s`: how long ago the first of all that count was asked for; None: there is no account that may ask."""
    if first_s is None:
        return LimitRefused("graphapi: there is no account now that may ask for hashtags", retry_after_s=NO_ACCOUNT_S)
    told = f"graphapi: each account has asked for its {HASHTAGS_MAX} hashtags of 7 days"
    return LimitRefused(told, retry_after_s=max(1.0, HASHTAGS_PER_S - first_s))
