"""The checkers of limits: each is kept over every window as the outside counts it, by whoever calls.

A limit of so many in a time is of one process, or of all where they share their limiter; one of a day is of all, and
across restarts. Near the ceiling nothing is hammered, and nothing is refused by a limit of ours that has room.
"""

import datetime as dt
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from weakref import WeakKeyDictionary
from zoneinfo import ZoneInfo

import trio

from gcc.clock import Clock
from gcc.sources.limits import AnyLimit, Daily
from gcc.sources.table import SOURCES
from tests.simulation.faults import CURSOR
from tests.simulation.throttles import Use
from tests.simulation.world import GIVEN, Call, app_of

HAMMERED = 3  # calls after a full reading that may come from attempts which were cut off as it came
TAKEN_SHARE = 0.5  # a limit may be taken of for calls that a cancellation then cut off, but not by half
SEEN_MIN = 3  # a limit of fewer is full of those on their way
CREDENTIALS = Counter(source for source, _, _ in GIVEN.values())
UNCOUNTED = ("shopify", "shopify@*")
"""Those in points: the outside itself says when a shop has spent its own."""


class Counts:
    def __init__(
        self, clock: Clock, limits: Mapping[str, AnyLimit], complain: Callable[[str], None], *, shared: bool
    ) -> None:
        self._clock = clock
        self._limits = limits
        self._complain = complain
        self._shared = shared
        self._calls: defaultdict[tuple[int, str], deque[float]] = defaultdict(deque)
        self._days: Counter[tuple[dt.date, str]] = Counter()
        self._full: dict[tuple[int, str], tuple[float, float]] = {}  # since when a process knows, until when
        self._doubted: dict[tuple[int, str], float] = {}  # has no room since then, although few calls are seen
        self._pages: WeakKeyDictionary[trio.lowlevel.Task, Counter[tuple[object, ...]]] = WeakKeyDictionary()
        self._hammered: Counter[tuple[int, str]] = Counter()

    def spent(self, name: str, rule: str, left: int) -> int:
        """Somebody else has spent all but `left` of a limit of this day: how much that is."""
        limit = self._limits[rule]
        assert isinstance(limit, Daily)
        self._days[self._today(limit), name] = max(0, limit.calls - left)
        return self._days[self._today(limit), name]

    def called(self, process: int, call: Call) -> None:
        """Process `process` asks now."""
        now = trio.current_time()
        self._no_circle(call)
        _, handle, _ = GIVEN.get(call.token, ("", "", ""))
        for rule in SOURCES[call.source].limits:
            name = rule.name(call.source, credential=handle or call.token, app=app_of(call.token))
            if rule.bucket not in ("", call.bucket) or rule.name(call.source) in UNCOUNTED:
                continue
            if isinstance(limit := self._limits.get(rule.name(call.source)) or self._limits[call.source], Daily):
                self._days[self._today(limit), name] += call.units
                if self._days[self._today(limit), name] > limit.calls:
                    self._complain(f"{self._days[self._today(limit), name]} calls of {name} today; {limit}")
                continue
            calls = self._recent(process, name, limit.per_s)
            calls += [now] * call.units
            if len(calls) > limit.calls:
                self._complain(f"{len(calls)} calls of {name} within {limit.per_s:g} s; its limit is {limit.calls}")
            self._not_hammered(process, name, now)

    def _no_circle(self, call: Call) -> None:
        """An attempt asks for the same page of the same list once with each credential at most."""
        if cursor := call.request.params.get(CURSOR):
            asked = self._pages.setdefault(trio.lowlevel.current_task(), Counter())
            page = call.path, *sorted(param for param in call.request.params.items() if param[1] != call.token)
            asked[page] += 1
            if asked[page] == CREDENTIALS[call.source] + 1:
                self._complain(f"page {cursor} of {call.path} was asked for {CREDENTIALS[call.source] + 1} times")

    def told_full(self, process: int, call: Call, use: Use, known_at: float) -> None:
        """An answer that tells so is on its way to `process`."""
        rule = next(rule for rule in SOURCES[call.source].limits if rule.each == use.scope and not rule.bucket)
        _, handle, _ = GIVEN[call.token]
        of = self._process(process), rule.name(call.source, credential=handle, app=app_of(call.token))
        _, until = self._full.get(of, (0.0, 0.0))
        if until <= trio.current_time():
            self._full[of] = known_at, use.until
            self._hammered[of] = 0

    def throttled(self, call: Call) -> None:
        """The outside itself found a limit spent. A process that began anew may not know what its last life took."""
        if self._shared:
            self._complain(f"{GIVEN[call.token][1]} of {call.source} has spent all of its points")

    def refused(self, process: int, name: str, calls: int, per_s: float) -> None:
        """Our own limit, of which nothing is narrowed, refuses."""
        if calls < SEEN_MIN or name.partition("@")[0] == "shopify":  # whose are points
            return
        of, now = (self._process(process), name), trio.current_time()
        used = len(self._recent(process, name, per_s))
        if used >= calls * TAKEN_SHARE:
            self._doubted.pop(of, None)
            return
        since = self._doubted.setdefault(of, now)  # at the start of a burst those before it are about to call
        if now - since > 3 * per_s:
            self._doubted[of] = now
        elif now - since > per_s:
            self._complain(f"{name} has no room, but of its {calls} calls per {per_s:g} s {used} were made")

    def _not_hammered(self, process: int, name: str, now: float) -> None:
        of = self._process(process), name
        since, until = self._full.get(of, (0.0, 0.0))
        if since < now < until:
            self._hammered[of] += 1
            if self._hammered[of] == HAMMERED + 1:
                self._complain(f"{name} is full until {until:.0f}, as was told at {since:.0f}, and is asked on and on")

    def _recent(self, process: int, name: str, per_s: float) -> deque[float]:
        calls, now = self._calls[self._process(process), name], trio.current_time()
        while calls and now - calls[0] >= per_s - 1e-6:
            calls.popleft()
        return calls

    def _process(self, process: int) -> int:
        return 0 if self._shared else process

    def _today(self, limit: Daily) -> dt.date:
        return self._clock.now().astimezone(ZoneInfo(limit.zone)).date()
