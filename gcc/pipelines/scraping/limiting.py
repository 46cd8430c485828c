"""The limits of scraping: those of a full refresh, what people set while it runs, and how waiting ends with a drain."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from gcc.actors.controls import LIMIT
from gcc.channels.jobs import URGENT
from gcc.errors import Permanent, there_are
from gcc.sources.calls import Call
from gcc.sources.limits import AnyLimit, Daily, Limit, Limiter, LimitRefused, LimitUse, Take
from gcc.supervisor.drain import Stage, take_until

_REFRESH = "beat_server_refresh_profile_insta"
FULL_REFRESH: Mapping[str, AnyLimit] = {
    f"{_REFRESH}_daily": Daily(20_000, "UTC"),
    f"{_REFRESH}_per_minute": Limit(60, 60.0),
    f"{_REFRESH}_per_handle_*": Limit(1, 1.0),
}
"""Of an Instagram profile that somebody wants afresh, whatever is known of it."""

_REFRESHES = {"_daily": "in a day", "_per_minute": "in a minute", "_per_handle_": "of a profile"}
_EACH = {"*": "each {} alone", "": "its one {}"}

CALLS_MAX, PER_S_MAX = 10**9, 10**7


async def take_full_refresh(limiter: Limiter, handle: str) -> None:
    """Spend one of each of FULL_REFRESH. LimitRefused, at once, with the wait."""
    day, minute, of_handle = FULL_REFRESH
    takes = [Take(day), Take(minute), Take(of_handle.removesuffix("*") + handle, rule=of_handle)]
    async with await limiter.take(takes, priority=URGENT, wait_s_max=0.0):
        pass  # nothing is on its way anywhere


def meaning(name: str) -> str:
    """What the limit of this name is of, in words; see `Rule`."""
    for ending, words in _REFRESHES.items():
        if name.startswith(_REFRESH + ending):
            handle = name.removeprefix(_REFRESH + ending).strip("*")
            return f"full refreshes of Instagram profiles that somebody asks for, {words}{handle and f': {handle}'}"
    stem, at, whose = name.partition("@@" if "@@" in name else "@")
    source, _, bucket = stem.partition(".")
    calls = f"{f'bucket {bucket}' if bucket else 'all calls'} of {source}"
    if not at:
        return f"{calls}, whoever asks"
    kind = "app" if at == "@@" else "credential"
    return f"{calls}, with {_EACH[whose].format(kind) if whose in _EACH else f'{kind} {whose}'}"


@dataclass(frozen=True, slots=True)
class SetLimit:
    """A limit that a person set, kept as the override `limit:<name>`."""

    limit: AnyLimit
    who: str
    why: str
    at: str

    def value(self) -> dict[str, Any]:
        """As the override's row holds it."""
        told = {"who": self.who, "why": self.why, "at": self.at}
        return {"calls": self.limit.calls, "per_s": self.limit.per_s, **told}


def configured(name: str, limits: Mapping[str, AnyLimit]) -> AnyLimit:
    """What `name`, which may be of one credential or app, allows by `limits`. Permanent: there is none."""
    stem, at, _ = name.partition("@@" if "@@" in name else "@")
    found = limits.get(name) or limits.get(f"{stem}{at}*") or (limits.get(stem) if at else None)
    if found is None:
        raise Permanent(f"there is no limit {name!r}; {there_are(limits, name)}")
    return found


def meant(name: str, calls: Any, per_s: Any, limits: Mapping[str, AnyLimit]) -> AnyLimit:
    """What a person sets in place of what is `configured`. Permanent: it makes no sense."""
    now = configured(name, limits)
    if type(calls) is not int or not 1 <= calls <= CALLS_MAX:
        raise Permanent(f"calls is a number of 1 to {CALLS_MAX:,}")
    if type(per_s) not in (int, float) or not (math.isfinite(per_s) and 0 < per_s <= PER_S_MAX):
        raise Permanent(f"per_s is a number of seconds, more than 0 and at most {PER_S_MAX:,}")
    if isinstance(now, Limit):
        return Limit(calls, float(per_s))
    if per_s != now.per_s:
        raise Permanent(f"{name} is of whole days of {now.zone}: write {now.per_s:g} for its seconds")
    return replace(now, calls=calls)


def set_limits(overrides: Mapping[str, Any], limits: Mapping[str, AnyLimit]) -> dict[str, SetLimit]:
    """What people set, by name. A row that is none, of a hand or of another version, sets nothing."""
    found = {}
    for name, value in overrides.items():
        if name.startswith(LIMIT) and isinstance(value, dict):
            who, why, at = (str(value.get(key, "")) for key in ("who", "why", "at"))
            try:
                limit = meant(name.removeprefix(LIMIT), value.get("calls"), value.get("per_s"), limits)
            except Permanent:
                continue
            found[name.removeprefix(LIMIT)] = SetLimit(limit, who, why, at)
    return found


def heard(limiter: Limiter, limits: Mapping[str, AnyLimit], overrides: Mapping[str, Any]) -> None:
    """Let `limiter` obey what people set."""
    limiter.override({name: set_.limit for name, set_ in set_limits(overrides, limits).items()})


class DrainingLimiter:
    """Keeps nobody waiting once the drain has begun: who waits for a limit gives the job back.

    See `gcc.sources.limits.Limiter`; `stage` is the one at which claiming stops.
    """

    def __init__(self, limiter: Limiter, stage: Stage) -> None:
        self._limiter = limiter
        self._stage = stage

    async def take(
        self,
        takes: Sequence[Take],
        *,
        priority: int = 0,
        flow: str = "",
        wait_s_max: float,
        hurried: Sequence[str] = (),
    ) -> Call:
        ask = partial(self._limiter.take, takes, priority=priority, flow=flow, hurried=hurried)
        if self._stage.begun.is_set():  # work in hand goes on where it needs not wait
            return await ask(wait_s_max=0.0)
        call = await take_until(self._stage, partial(ask, wait_s_max=wait_s_max))
        if call is None:
            raise LimitRefused(f"{takes[0].name}: the platform drains; the job goes back", retry_after_s=0.0)
        return call

    async def narrow(self, what: Take, share: float, for_s: float, why: str) -> None:
        await self._limiter.narrow(what, share, for_s, why)

    def override(self, limits: Mapping[str, AnyLimit]) -> None:
        self._limiter.override(limits)

    def away(self) -> str | None:
        return self._limiter.away()

    def usage(self) -> list[LimitUse]:
        return self._limiter.usage()
