"""How often the outside may be called: limits, what one question takes of each, and who is let through.

A limit is at most `calls` units in ANY `per_s` seconds (see window.py) at the other side (see calls.py), or in a day of
a zone. A source has several, for all of its calls or for a bucket of them, each kept for the whole platform, for each
credential, or for each app. A question takes of its whole stack, or of none.

Callers wait in turn (see turns.py). Who cannot be served in the time they have is refused at once, with the seconds to
come back after. A limit can be narrowed for a while, by what the other side tells of how much is left.
"""

import math
import zoneinfo
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Generic, Literal, Protocol, Self, TypeVar

import trio

from gcc.errors import ConfigError, Transient
from gcc.sources.calls import Call, Floor, Floors
from gcc.sources.days import Day, Days
from gcc.sources.turns import URGENT, Lacking, Turns
from gcc.sources.window import IN_FLIGHT, Window, way_s

LANES_MAX = 10_000  # kept at once; beyond them those that nobody uses now are forgotten
DAY_S = 86_400.0
KEPT_FREE = 25  # one unit in so many is for urgent calls alone: they come at once where a window was spent in a burst
AWAY_S = 1.0  # when to ask again where nobody knows
Each = Literal["source", "app", "credential"]


class LimitRefused(Transient):
    """Our own limit says no. Nothing was asked outside, so it costs no attempt: come back `retry_after_s` later.

    `name`: which of the limits, "" where it is none of them.
    """

    code = "LIMITED"

    def __init__(self, message: str, *, retry_after_s: float | None = None, name: str = "") -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.name = name


class LimitsAway(LimitRefused):
    """Nobody knows what our limit says: where it is kept cannot be asked."""

    code = "LIMITS_AWAY"


@dataclass(frozen=True, slots=True)
class Limit:
    calls: int
    per_s: float

    def __post_init__(self) -> None:
        if self.calls < 1 or not 0 < self.per_s < math.inf:
            raise ValueError(f"a limit needs at least 1 call and more than 0 s, got {self.calls} per {self.per_s} s")

    def __str__(self) -> str:
        return f"{self.calls} calls per {self.per_s:g} s"


@dataclass(frozen=True, slots=True)
class Daily:
    """So many calls between one midnight of `zone` ("America/Los_Angeles") and the next."""

    calls: int
    zone: str

    def __post_init__(self) -> None:
        if self.calls < 1:
            raise ValueError(f"a limit needs at least 1 call, got {self.calls}")
        zoneinfo.ZoneInfo(self.zone)  # ZoneInfoNotFoundError

    @property
    def per_s(self) -> float:
        return DAY_S

    def __str__(self) -> str:
        return f"{self.calls} calls per day of {self.zone}"


@dataclass(frozen=True, slots=True)
class Take:
    """`units` of the limit `name`. `rule` is what says how many there are, where many limits share that."""

    name: str
    units: int = 1
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One limit of a source, as its row declares it: of every call (bucket "") or of those of a bucket.

    It is kept once for the whole platform, or once for `each` credential or app. Without a limit each of these may as
    much as all of the source: it is there to be narrowed by what answers tell. `word` tells rules apart that are of
    the same calls ("hourly"). Their names: `graphapi`, `ytapi.search`, `ytapi.search@KEY`, `graphapi@@APP`.
    """

    limit: Limit | Daily | None
    each: Each = "source"
    bucket: str = ""
    word: str = ""

    def name(self, source: str, *, credential: str = "*", app: str = "*") -> str:
        """As people name it, with "*" for each credential or app; or that of one of these."""
        stem = ".".join(part for part in (source, self.bucket, self.word) if part)
        return stem + {"source": "", "credential": f"@{credential}", "app": f"@@{app}"}[self.each]

    def take(self, source: str, units: int, *, credential: str, app: str) -> Take:
        return Take(self.name(source, credential=credential, app=app), units, self.name(source))


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer told of a limit of the other side: `share_used` of it (1: nothing is left) for `for_s` more.

    It narrows our limits of the same scope and bucket, where the source declares any: see `allowed`.
    """

    scope: Each
    share_used: float
    for_s: float
    why: str
    bucket: str = ""


NEAR = 0.75
"""The share of a limit of the other side up to which we go on at full speed."""
SLOWEST = 0.05


def allowed(share_used: float) -> float:
    """How much of our limit stays: all up to NEAR, from there less and less, and nothing at the ceiling."""
    if not share_used < 1:
        return 0.0
    return min(1.0, max(SLOWEST, (1 - share_used) / (1 - NEAR)))


@dataclass(frozen=True, slots=True)
class LimitUse:
    """How full a limit's window is now, and how many wait for it. `share` of it is allowed for `narrowed_s` more."""

    name: str
    used: int
    calls: int
    per_s: float
    waiting: int
    share: float = 1.0
    narrowed_s: float = 0.0
    why: str = ""


AnyLimit = Limit | Daily


class Limiter(Protocol):
    async def take(
        self,
        takes: Sequence[Take],
        *,
        priority: int = 0,
        flow: str = "",
        wait_s_max: float,
        hurried: Sequence[str] = (),
    ) -> Call:
        """Return when all of `takes` may be spent now; they are then, whatever comes of it. All of them, or none.

        They count from when what was let through can last have arrived; who enters the Call, and tells it of its way,
        lets them count from when it did.

        Raises LimitRefused when that takes longer than `wait_s_max` (0: now or never), as soon as it is known, when
        only some of `hurried` (names) have no room now, when it is more than a limit has, as it is or becomes while
        they wait, or when nobody knows. Cancelled while waiting: nothing is
        spent, or where the limits are kept elsewhere one take at most, and the place goes to the next.
        """

    async def narrow(self, what: Take, share: float, for_s: float, why: str) -> None:
        """Allow only `share` of a limit for so long (0: nothing, 1: all of it). What comes later holds, but nothing
        opens a closed limit before its time. LimitsAway: it may hold nowhere."""

    def override(self, limits: Mapping[str, AnyLimit]) -> None:
        """What people set in place of what was configured, by names of limits or of rules; all others are as they were.

        What was spent still counts, as far back as the window that it was spent in.
        """

    def away(self) -> str | None:
        """Why the limits cannot be asked now, where they are kept elsewhere and that is lost; None: they can."""

    def usage(self) -> list[LimitUse]:
        """One entry for each limit, ordered by name."""


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Only `share` of a limit is allowed until then, on Trio's clock."""

    share: float
    until: float
    why: str


def narrowed(old: Narrowing | None, new: Narrowing) -> Narrowing | None:
    """The later of two, but that nothing opens what is closed before its time. None: the whole limit is allowed."""
    if old and old.share <= 0 and old.until > trio.current_time():
        return new if new.share <= 0 and new.until > old.until else old
    return new if new.share < 1 else None


def paced(limit: AnyLimit, share: float) -> tuple[int, float]:
    """(units, seconds) of that share of a limit: fewer units, and where not one is left, one in a longer time."""
    units = limit.calls * share + 1e-9  # 10 x 0.4 is 3.9999...
    return (int(units), limit.per_s) if units >= 1 else (1, limit.per_s / units)


@dataclass(slots=True)
class Lane(ABC):
    """One limit as this process knows it, from when it is first taken of until nobody uses it."""

    name: str
    limit: AnyLimit
    rule: str = ""
    narrowing: Narrowing | None = None

    @abstractmethod
    def used(self) -> int:
        """The units that are spent now."""

    def narrowed(self) -> Narrowing | None:
        if self.narrowing and self.narrowing.until <= trio.current_time():
            self.narrowing = None
        return self.narrowing

    def use(self, waiting: int) -> LimitUse:
        use = LimitUse(self.name, self.used(), self.limit.calls, self.limit.per_s, waiting)
        if (narrowing := self.narrowed()) is None:
            return use
        left_s = narrowing.until - trio.current_time()
        return replace(use, share=narrowing.share, narrowed_s=left_s, why=narrowing.why)

    def refusal(self, until: float) -> LimitRefused:
        narrowing = self.narrowed()
        why = f", of which {narrowing.share:.0%} is allowed ({narrowing.why})," if narrowing else ""
        return LimitRefused(
            f"{self.name}: our limit of {self.limit}{why} is used up",
            retry_after_s=max(0.0, until - trio.current_time()),
            name=self.name,
        )


@dataclass(slots=True)
class DayLane(Lane):
    """Of a narrowing it knows only that it is closed: a day has no rate."""

    day: Day = field(kw_only=True)

    def used(self) -> int:
        return self.day.used()

    async def take(self, units: int) -> float | None:
        """None: taken. Otherwise when to come back. LimitsAway."""
        assert isinstance(self.limit, Daily)
        if (narrowing := self.narrowed()) and narrowing.share <= 0:
            return narrowing.until
        try:
            return await self.day.take(units, calls=self.limit.calls, zone=self.limit.zone)
        except Transient as lost:
            raise LimitsAway(f"{self.name}: our limits are away: {lost}", retry_after_s=AWAY_S) from lost


L = TypeVar("L", bound=Lane)


class StackedLimiter(ABC, Generic[L]):
    """What limiters share: names, turns, days. Where the windows are kept, and who grants, is their own.

    `limits` by their names (see `Rule.name`); `days` keeps those per day, where there are any.
    """

    def __init__(self, limits: Mapping[str, AnyLimit], days: Days | None, window: Callable[[str, Limit], L]) -> None:
        self._limits = dict(limits)
        self._set: dict[str, AnyLimit] = {}
        self._days = days
        self._window = window
        self._lanes: dict[str, L | DayLane] = {}
        self._turns = Turns()
        self._floors = Floors(Floor)  # by the name of the first limit that a call takes of: a source's
        self._granted_at = 0.0

    async def take(
        self,
        takes: Sequence[Take],
        *,
        priority: int = 0,
        flow: str = "",
        wait_s_max: float,
        hurried: Sequence[str] = (),
    ) -> Call:
        deadline = trio.current_time() + wait_s_max
        self._refuse_larger(takes)
        # Before the grant a cancellation is welcome, after it would waste the units.
        await trio.lowlevel.checkpoint_if_cancelled()
        held: list[tuple[Day, int, float]] = []
        windows = [take for take in takes if not isinstance(self._lane(take), DayLane)]
        try:
            for take in takes:
                if isinstance(lane := self._lane(take), DayLane):
                    if (until := await lane.take(take.units)) is not None:
                        raise lane.refusal(until)
                    held.append((lane.day, take.units, lane.day.closes_at))
                    deadline = min(deadline, lane.day.closes_at)
            if windows:
                await self._take_windows(windows, priority, flow, deadline, hurried)
        except BaseException:
            for day, units, closes_at in held:
                day.give_back(units, closes_at)
            raise
        call = self._call(windows, self._floors[takes[0].name])
        await trio.lowlevel.cancel_shielded_checkpoint()
        return call

    async def _take_windows(
        self, takes: Sequence[Take], priority: int, flow: str, deadline: float, hurried: Sequence[str]
    ) -> None:
        lacking = await self._turns.take(
            {take.name: take.units for take in takes},
            partial(self._ask_now, takes, urgent=priority >= URGENT),
            priority=priority,
            flow=flow,
            deadline=deadline,
            hurried=hurried,
        )
        if lacking:
            last = max(lacking, key=lambda name: (name not in hurried and lacking[name] > deadline, lacking[name]))
            raise self._lane(next(take for take in takes if take.name == last)).refusal(lacking[last])

    async def _ask_now(self, takes: Sequence[Take], ahead: Mapping[str, int], *, urgent: bool) -> Lacking:
        """Who is not urgent leaves room for those who are, as if some were always ahead. LimitRefused: the limit that
        it waited for was lowered below what it takes."""
        self._refuse_larger(takes)
        if not urgent:
            ahead = {take.name: ahead.get(take.name, 0) + self._kept_free(take) for take in takes}
        return await self._ask(takes, ahead)

    def _refuse_larger(self, takes: Sequence[Take]) -> None:
        """LimitRefused: they never fit."""
        for take in takes:
            limit = self._lane(take).limit
            if take.units > limit.calls:
                told = f"{take.name}: {take.units} units at once are more than our limit of {limit}"
                raise LimitRefused(told, retry_after_s=limit.per_s, name=take.name)

    def _kept_free(self, take: Take) -> int:
        lane = self._lane(take)
        calls = lane.limit.calls
        if narrowing := lane.narrowed():
            calls = paced(lane.limit, narrowing.share)[0] if narrowing.share > 0 else 0
        return max(0, min(calls // KEPT_FREE, calls - take.units))

    @abstractmethod
    async def _ask(self, takes: Sequence[Take], ahead: Mapping[str, int]) -> Lacking:
        """See turns.Ask. A grant is told to `_granted_at`, and not followed by a checkpoint."""

    @abstractmethod
    def _call(self, takes: Sequence[Take], floor: Floor) -> Call:
        """What was granted at `_granted_at`."""

    async def narrow(self, what: Take, share: float, for_s: float, why: str) -> None:
        lane = self._lane(what)
        old, new = lane.narrowed(), Narrowing(share, trio.current_time() + for_s, why)
        if (old is None and share >= 1) or (old and old.share == share and new.until - old.until < for_s / 10):
            return  # it is so already
        if isinstance(lane, DayLane):
            lane.narrowing = narrowed(old, new)
        else:
            await self._narrow(lane, new)
        self._turns.changed()

    @abstractmethod
    async def _narrow(self, lane: L, new: Narrowing) -> None:
        """Keep it where the windows are."""

    def override(self, limits: Mapping[str, AnyLimit]) -> None:
        if limits != self._set:
            self._set = dict(limits)
            for lane in self._lanes.values():
                self._lane(Take(lane.name, rule=lane.rule))
            self._turns.changed()

    def usage(self) -> list[LimitUse]:
        named = self._limits | self._set
        unused = {name: LimitUse(name, 0, limit.calls, limit.per_s, 0) for name, limit in named.items()}
        used = {name: lane.use(self._turns.waiting(name)) for name, lane in self._lanes.items()}
        return [use for _, use in sorted((unused | used).items())]

    def _window_of(self, take: Take) -> L:
        lane = self._lane(take)
        assert not isinstance(lane, DayLane)
        return lane

    def _lane(self, take: Take) -> L | DayLane:
        """As the limit is now."""
        names = (take.name, take.rule, take.rule.partition("@")[0])
        known = (limits.get(name) for name in names for limits in (self._set, self._limits))
        limit = next((limit for limit in known if limit), None)
        if limit is None:
            name = take.rule or take.name
            raise ConfigError(f"no limit is set for source {name!r}; add sources.{name}.calls and per_s")
        lane = self._lanes.get(take.name)
        if lane is None:
            self._forget()
            lane = self._lanes[take.name] = self._made(take.name, limit)
        lane.rule, lane.limit = take.rule, limit
        return lane

    def _made(self, name: str, limit: AnyLimit) -> L | DayLane:
        if isinstance(limit, Limit):
            return self._window(name, limit)
        if self._days is None:
            raise ConfigError(f"{name}: nobody here keeps limits per day")
        return DayLane(name, limit, day=Day(name, self._days))

    def _forget(self) -> None:
        """Make room for one more. LimitRefused: so many are in use."""
        if len(self._lanes) < LANES_MAX:
            return
        self._lanes = {
            name: lane
            for name, lane in self._lanes.items()
            if lane.used() or lane.narrowed() or self._turns.waiting(name)
        }
        if len(self._lanes) >= LANES_MAX:
            raise LimitRefused(f"{LANES_MAX} limits are in use at once", retry_after_s=1.0)


@dataclass(slots=True)
class WindowLane(Lane):
    window: Window = field(default_factory=Window)

    def used(self) -> int:
        return self.window.used(trio.current_time(), self.limit.per_s)

    def room_at(self, now: float, units: int, ahead: int) -> float:
        """When there is room, see `Window.room_at`."""
        narrowing = self.narrowed()
        if narrowing is None:
            return self.window.room_at(now, units, self.limit.per_s, self.limit.calls, ahead)
        if narrowing.share <= 0:
            return narrowing.until
        calls, per_s = paced(self.limit, narrowing.share)
        if units > calls:
            return narrowing.until
        return min(narrowing.until, self.window.room_at(now, units, per_s, calls, ahead))


class FollowedCall(Call):
    def __init__(self, spent: Sequence[tuple[WindowLane, int]], at: float, floor: Floor) -> None:
        super().__init__(floor)
        self._spent = [(lane, units, at) for lane, units in spent]

    async def __aenter__(self) -> Self:
        self._counts(lambda way_s: IN_FLIGHT)
        return self

    async def sending(self) -> None:
        await super().sending()
        sent_at = trio.current_time()
        self._counts(lambda way_s: sent_at + way_s)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        came_at = trio.current_time() if self.came_at is None else self.came_at
        sent_at = came_at if self.sent_at is None else self.sent_at
        self._counts(lambda way_s: min(sent_at + way_s, came_at))

    def _counts(self, since: Callable[[float], float]) -> None:
        """In each of its windows since then, which is told how long the way may be there."""
        for number, (lane, units, at) in enumerate(self._spent):
            to = since(way_s(lane.limit.per_s))
            lane.window.move(at, to, units)
            self._spent[number] = lane, units, to


class InProcessLimiter(StackedLimiter[WindowLane]):
    """The limiter of a platform that is one process; several share theirs in Redis (gcc/stores/limits.py)."""

    def __init__(self, limits: Mapping[str, AnyLimit], days: Days | None = None) -> None:
        super().__init__(limits, days, WindowLane)

    async def _ask(self, takes: Sequence[Take], ahead: Mapping[str, int]) -> Lacking:
        now = trio.current_time()
        lanes = [(take, self._window_of(take)) for take in takes]
        room = {take.name: lane.room_at(now, take.units, ahead.get(take.name, 0)) for take, lane in lanes}
        lacking = {name: at for name, at in room.items() if at > now}
        if not lacking:
            self._granted_at = now
            for take, lane in lanes:
                lane.window.spend(now, take.units)
        return lacking

    def _call(self, takes: Sequence[Take], floor: Floor) -> Call:
        spent = [(self._window_of(take), take.units) for take in takes]
        return FollowedCall(spent, self._granted_at, floor)

    async def _narrow(self, lane: WindowLane, new: Narrowing) -> None:
        lane.narrowing = narrowed(lane.narrowing, new)

    def away(self) -> str | None:
        return None
