"""How the APIs say that somebody asked too much, or may not ask at all: refusals with a scope, and headers of use.

A trouble of the table begins, strikes a victim of its scope for a while, and is over: whoever asks meanwhile is
refused in the API's own words. A use is told on good answers: how near a limit of the other side is.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import msgspec
import trio

from gcc.sources.verdicts import RestScope
from gcc.world.answer import Answer, answer
from gcc.world.limits import Rule, Used
from tests.simulation.world import APPS, GIVEN, Call, app_of

Named = Literal["minutes", "retry-after", "reset", ""]
_NEAR = (0.8, 0.95, 1.0)


@dataclass(frozen=True, slots=True)
class Kind:
    """A refusal of `source` by its code. `scope` is whom it stops, None: the credential, for ever.

    `says` is a part of what the platform tells of it; `named` is how its end is told, "": not at all.
    """

    source: str
    code: str
    scope: RestScope | None
    says: str
    named: Named = ""

    @property
    def tells_its_end(self) -> bool:
        """So that whoever is refused knows when to come back, or that it is never."""
        return self.named != "" or self.scope in (None, "source")

    def refusal(self, call: Call, left_s: float) -> Answer:
        if self.code == "THROTTLED":
            found = answer(200, {"errors": [{"message": "Throttled", "extensions": {"code": "THROTTLED"}}]})
        elif self.code == "search":
            found = call.api.refuse_quota("search")
        else:
            found = call.api.error(self.code, None) or call.api.fail(500)
        match self.named:
            case "retry-after":
                return replace(found, retry_after_s=math.ceil(left_s))
            case "minutes":
                return replace(found, headers=(*found.headers, _use_case(1.0, math.ceil(left_s / 60))))
            case "reset":
                told = {"limit": "500", "remaining": "0", "reset": str(math.ceil(left_s))}
                return replace(found, headers=tuple((f"x-ratelimit-requests-{key}", told[key]) for key in told))
        return found


def _of_gateway(source: str) -> tuple[Kind, ...]:
    return (
        Kind(source, "daily", "credential", "DAILY quota", "reset"),
        Kind(source, "tooMany", "credential", "Too many requests", "retry-after"),
        Kind(source, "notSubscribed", None, "not subscribed"),
    )


KINDS = (
    *(Kind("graphapi", code, "app", f"error {code}:", "minutes") for code in ("4", "341")),
    *(Kind("graphapi", code, "credential", f"error {code}:", "minutes") for code in ("17", "32", "613", "80002")),
    Kind("graphapi", "368", "source", "error 368:"),
    Kind("graphapi", "190", None, "error 190:"),
    Kind("ytapi", "quotaExceeded", "bucket", "quotaExceeded"),
    Kind("ytapi", "search", "bucket", "Search Queries per day"),
    Kind("ytapi", "rateLimitExceeded", "credential", "Queries per minute"),
    Kind("ytapi", "keyInvalid", None, "keyInvalid"),
    *_of_gateway("youtube138"),
    *_of_gateway("instagram-scraper2"),
    *_of_gateway("instagram-scraper-2022"),
    Kind("shopify", "THROTTLED", "credential", "Throttled"),
)
SCOPES: Sequence[RestScope | None] = ("app", "app", "credential", "credential", "bucket", "bucket", None, "source")
"""How often each is met."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A kind that is on: its victim (an app, a token, a token and its bucket, "" all) is refused until then."""

    kind: Kind
    victim: str
    until: float

    def hits(self, call: Call) -> bool:
        if call.source != self.kind.source:
            return False
        match self.kind.scope:
            case "app":
                return app_of(call.token) == self.victim
            case "source":
                return True
            case "bucket":
                return f"{call.token} {call.bucket}" == self.victim
        return call.token == self.victim


@dataclass(frozen=True, slots=True)
class Use:
    """So much of a limit of the victim's is used until then, as good answers tell."""

    source: str
    scope: Literal["app", "credential"]
    victim: str
    share: float
    until: float

    def told(self, call: Call, now: float) -> Sequence[tuple[str, str]]:
        left_s = math.ceil(self.until - now)
        if call.source == "graphapi" and self.scope == "credential":
            return [_use_case(self.share, math.ceil(left_s / 60) if self.share >= 1 else 0)]
        return call.api.usage(Used(Rule(call.source, 100, 3600.0), round(100 * self.share), left_s))


def _use_case(share: float, minutes: int) -> tuple[str, str]:
    use = {"type": "instagram", "call_count": round(100 * share), "estimated_time_to_regain_access": minutes}
    return "x-business-use-case-usage", msgspec.json.encode({"17841": [use]}).decode()


class Throttles:
    """The troubles and uses of one run that are on; `lasts_s` in the mean."""

    def __init__(self, rng: random.Random, lasts_s: float) -> None:
        self._rng = rng
        self._lasts_s = lasts_s
        self._troubles: list[Trouble] = []
        self._uses: list[Use] = []

    def refuse(self) -> Trouble:
        """Another trouble begins."""
        scope = self._rng.choice(SCOPES)
        kind = self._rng.choice([kind for kind in KINDS if kind.scope == scope])
        match kind.scope:
            case "app":
                victim = self._rng.choice(APPS)
            case "source":
                victim = ""
            case "bucket":
                bucket = "search" if kind.code == "search" else self._rng.choice(("units", "stats"))
                victim = f"{self._token(kind.source)} {bucket}"
            case _:
                victim = self._token(kind.source)
        trouble = Trouble(kind, victim, self._end())
        self._troubles.append(trouble)
        return trouble

    def use(self) -> Use:
        """Another use is told."""
        source = self._rng.choice(("graphapi", "graphapi", "instagram-scraper2", "youtube138"))
        if source == "graphapi" and self._rng.random() < 0.5:
            use = Use(source, "app", self._rng.choice(APPS), self._rng.choice(_NEAR), self._end())
        else:
            use = Use(source, "credential", self._token(source), self._rng.choice(_NEAR), self._end())
        self._uses.append(use)
        return use

    def heal(self) -> None:
        self._troubles.clear()
        self._uses.clear()

    def trouble(self, call: Call) -> Trouble | None:
        """What refuses this call, if anything does."""
        now = trio.current_time()
        self._troubles = [each for each in self._troubles if each.until > now]
        return next((each for each in self._troubles if each.hits(call)), None)

    def used(self, call: Call) -> Use | None:
        now = trio.current_time()
        self._uses = [each for each in self._uses if each.until > now]
        victims = (call.token, app_of(call.token))
        return next((each for each in self._uses if each.source == call.source and each.victim in victims), None)

    def _token(self, source: str) -> str:
        return self._rng.choice([token for token, given in GIVEN.items() if given[0] == source])

    def _end(self) -> float:
        return trio.current_time() + self._rng.uniform(10.0, 2 * self._lasts_s)
