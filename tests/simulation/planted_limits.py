"""Planted bugs of limits and credentials, of each kind of limit one at least; see planted.py."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import trio

from gcc.errors import Transient
from gcc.sources.chain import Outside
from gcc.sources.days import Day
from gcc.sources.limits import DAY_S, FollowedCall, InProcessLimiter, Narrowing, Rule, Take, WindowLane, narrowed
from gcc.sources.snapshot import Found
from gcc.sources.tokens.client import TokenApi
from gcc.sources.turns import Lacking
from gcc.sources.verdicts import CredentialDead, CredentialRests, RestScope
from gcc.sources.youtube import data_client, youtube138
from tests.simulation.planting import Patch, bug


@bug
def weights_counted_as_one(patch: Patch) -> None:
    """A question of a hundred points takes one of its limits."""
    take = Rule.take
    patch.setattr(Rule, "take", lambda self, source, units, **whose: take(self, source, 1, **whose))


@bug
def day_begins_with_the_process(patch: Patch) -> None:
    """A process has the whole day's calls, whatever others or its last life have spent of them."""

    async def reserve(self: Day, units: int, calls: int, zone: str) -> None:
        await trio.lowlevel.checkpoint()
        self._begins = trio.current_time()
        self._left, self._calls, self._reserved, self._ends = calls, calls, calls, self._begins + DAY_S

    patch.setattr(Day, "_reserve", reserve)


def _resting_in_place_of(patch: Patch, told: RestScope) -> None:
    take_out = Outside._take_out

    async def alone(
        self: Outside, source: str, credential: Any, error: Transient, rest_s: float, bucket: str = ""
    ) -> None:
        if isinstance(error, CredentialRests) and error.scope == told:
            error.scope = "credential"
        await take_out(self, source, credential, error, rest_s, bucket)

    patch.setattr(Outside, "_take_out", alone)


@bug
def rest_of_an_app_for_a_credential(patch: Patch) -> None:
    """An app that asked too much goes on with its other tokens."""
    _resting_in_place_of(patch, "app")


@bug
def rest_of_a_bucket_for_a_credential(patch: Patch) -> None:
    """A key whose searches are spent asks for nothing else either."""
    _resting_in_place_of(patch, "bucket")


@bug
def stop_of_a_source_for_a_credential(patch: Patch) -> None:
    """A source that blocks the platform is asked with the next token, and the next."""
    _resting_in_place_of(patch, "source")


@bug
def dead_token_asks_again(patch: Patch) -> None:
    """A token that is refused for ever rests a minute, and is tried again."""
    take_out = Outside._take_out

    async def rest(
        self: Outside, source: str, credential: Any, error: Transient, rest_s: float, bucket: str = ""
    ) -> None:
        if isinstance(error, CredentialDead):
            error, rest_s = CredentialRests(str(error)), 60.0
        await take_out(self, source, credential, error, rest_s, bucket)

    patch.setattr(Outside, "_take_out", rest)


@bug
def usage_headers_ignored(patch: Patch) -> None:
    """What good answers tell of the other side's limits is not read."""

    async def heed(self: Outside, *of: Any) -> None:
        pass

    patch.setattr(Outside, "_heed", heed)


@bug
def narrowed_for_ever(patch: Patch) -> None:
    """A limit that was narrowed is never whole again."""

    async def narrow(self: InProcessLimiter, lane: WindowLane, new: Narrowing) -> None:
        lane.narrowing = narrowed(lane.narrowing, replace(new, until=math.inf) if new.share < 1 else new)

    patch.setattr(InProcessLimiter, "_narrow", narrow)


@bug
def renewed_token_not_kept(patch: Patch) -> None:
    """A token is renewed, and the old one asks on until it ends."""

    async def store(self: TokenApi, *of: Any) -> bool:
        await trio.lowlevel.checkpoint()
        return True

    patch.setattr(TokenApi, "_store", store)


@bug
def stack_taken_in_part(patch: Patch) -> None:
    """Where one limit of a question has no room, what was taken of its others is not given back."""

    async def ask(self: InProcessLimiter, takes: Sequence[Take], ahead: Mapping[str, int]) -> Lacking:
        now, lacking = trio.current_time(), {}
        for take in takes:
            lane = self._window_of(take)
            if (at := lane.room_at(now, take.units, ahead.get(take.name, 0))) > now:
                lacking[take.name] = at
            else:
                lane.window.spend(now, take.units)
        self._granted_at = now
        return lacking

    patch.setattr(InProcessLimiter, "_ask", ask)


@bug
def calls_counted_from_their_leave(patch: Patch) -> None:
    """A call counts from when it may be made, however late it is sent and arrives."""

    def counts(self: FollowedCall, since: Callable[[float], float]) -> None:
        pass

    patch.setattr(FollowedCall, "_counts", counts)


@bug
def cursors_in_a_circle(patch: Patch) -> None:
    """A page that names itself as the next one is asked for again, to the cap of pages."""

    async def walk(ask: Any, *, pages_max: int, key: Any, cursors_move: bool = True) -> Any:
        found: dict[Any, Any] = {}
        after = None
        for _ in range(pages_max):
            page = await ask(after)
            for item in page.items:
                found.setdefault(key(item), item)
            after = page.after
            if after is None:
                break
        return Found(list(found.values()))

    for client in (data_client, youtube138):
        patch.setattr(client, "pages", walk)
