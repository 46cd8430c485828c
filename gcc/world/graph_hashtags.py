"""Hashtags in the Graph API: a search by name gives an id, and an account may search 30 different ones in 7 days."""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any

from gcc.world import names, tagging
from gcc.world.chance import key_of
from gcc.world.graph_edges import Listing
from gcc.world.graph_nodes import HASHTAGGED, Node
from gcc.world.graph_refusals import no_hashtag, refused, too_many_hashtags
from gcc.world.model import Cast

WINDOW = dt.timedelta(days=7)
PER_WINDOW = 30
RECENT = dt.timedelta(hours=48)
"""The platform's are of 24 hours, but the world shows no post younger than a day (gcc/world/timeline.py)."""
LIMIT_MAX = 50
HASHTAG = Node("ShadowIGHashtag", {"id": lambda tag: hashtag_id(tag), "name": lambda tag: tag})
EDGES = ("recent_media", "top_media")


def hashtag_id(tag: str) -> str:
    return f"16{key_of(tag) % 10**15:015d}"


class Hashtags:
    """The hashtags that posts of the cast bear, and who has searched which."""

    def __init__(self, cast: Cast, now: Callable[[], dt.datetime]) -> None:
        self._cast = cast
        self._now = now
        fields = {names.field(creator.category) for creator, _ in cast.ranked}
        self._tags = {hashtag_id(tag): tag for tag in (*names.tags(), *fields)}
        self._searched: dict[str, dict[str, dt.datetime]] = {}  # by account: when each tag was searched first

    def tag(self, node: str) -> str | None:
        """The tag of an id."""
        return self._tags.get(node)

    def search(self, account: str, args: Mapping[str, str]) -> dict[str, Any]:
        """GET /ig_hashtag_search. Raises GraphError."""
        if not args.get("user_id"):
            raise refused("The parameter user_id is required")
        tag = args.get("q", "").strip().lower().removeprefix("#")
        if not tag:
            raise refused("The parameter q is required")
        if hashtag_id(tag) not in self._tags:
            raise no_hashtag()
        self._spend(account, tag)
        return {"data": [{"id": hashtag_id(tag)}]}

    def searched(self, account: str) -> list[str]:
        """The tags of the account's last 7 days."""
        since = self._now() - WINDOW
        kept = {tag: at for tag, at in self._searched.get(account, {}).items() if at > since}
        self._searched[account] = kept
        return list(kept)

    def listing(self, tag: str, edge: str) -> Listing:
        """Posts with the tag: the best of all, or the newest (see RECENT)."""
        found = tagging.hashtag(self._cast, tag)
        if edge == "top_media":
            found = sorted(found, key=lambda pair: -pair[1].likes)
        else:
            midnight = dt.datetime.combine(self._cast.today, dt.time(), dt.UTC)
            found = [(creator, post) for creator, post in found if post.published >= midnight - RECENT]
        return Listing(f"{tag}/{edge}", len(found), lambda start, stop: found[start:stop], HASHTAGGED, {}, LIMIT_MAX)

    def _spend(self, account: str, tag: str) -> None:
        """One of the account's 30, unless it has asked for this one within the week."""
        known = self.searched(account)
        if tag in known:
            return
        if len(known) >= PER_WINDOW:
            raise too_many_hashtags()
        self._searched[account][tag] = self._now()
