"""Faults on demand: a share of the answers of a source goes wrong for a while. Pure; time is an argument.

Draws come from the world's seed, one stream a source, so the same calls in the same order fail alike.
"""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import msgspec

from gcc.errors import Permanent
from gcc.world.answer import Answer
from gcc.world.api import Api

Kind = Literal["429", "500", "timeout", "garbage", "token", "expire", "error", "slow", "empty", "usage"]
HOLD_S = 60.0
"""How long a `timeout` keeps a request waiting before it ends in 504."""
_OF_TOKENS = ("token", "expire")
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A wish, as POST /faults brings it.

    `rate`: the share of answers that go wrong; of the kinds `token` (revoked) and `expire` (run out), and of a `scope`,
    the share of tokens or apps that are hit, and those always. `bucket`: only its calls are hit. `code`, `subcode`: the
    API's own, of an `error`. `latency_s`: of `slow`. `share`: how full the headers of `usage` say that a limit is.
    """

    source: str
    kind: str
    rate: Share = 1.0
    seconds: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 60.0
    code: str | int | None = None
    subcode: str | int | None = None
    scope: Literal["source", "token", "app"] = "source"
    bucket: str | None = None
    latency_s: Annotated[float, msgspec.Meta(ge=0, le=HOLD_S)] = 0.0
    share: Share = 0.95

    @property
    def wait_s(self) -> float:
        """How long it keeps its caller waiting."""
        return HOLD_S if self.kind == "timeout" else self.latency_s if self.kind == "slow" else 0.0

    def error_of(self, api: Api) -> Answer:
        """The error that it names. Raises Permanent where the API has none such."""
        found = api.error(str(self.code), None if self.subcode is None else str(self.subcode))
        if found is None:
            raise Permanent(f"code {self.code!r}, subcode {self.subcode!r}: no error of {self.source}")
        return found


@dataclass(frozen=True, slots=True)
class _Active:
    fault: Fault
    until_s: float
    victims: frozenset[str] | None  # tokens or apps; None: whoever calls


class Faults:
    """The faults of one source."""

    def __init__(self, api: Api, seed: int) -> None:
        self.rng = random.Random(f"{seed}:faults:{api.source}")
        self._api = api
        self._active: list[_Active] = []

    def add(self, fault: Fault, now_s: float) -> None:
        """In force at once, beside those that are; one of the same kind, code and bucket is replaced."""
        same = (fault.kind, fault.code, fault.subcode, fault.bucket)
        self._active = [
            each
            for each in self._active
            if (each.fault.kind, each.fault.code, each.fault.subcode, each.fault.bucket) != same
        ]
        self._active.append(_Active(fault, now_s + fault.seconds, self._victims(fault)))

    def until_s(self, now_s: float) -> float:
        """When all that strike now will be over."""
        self._forget(now_s)
        return max((each.until_s for each in self._active if each.fault.rate > 0), default=now_s)

    def killer(self, token: str | None, now_s: float) -> Fault | None:
        """What keeps this token out, if anything does."""
        if not self._active:
            return None
        self._forget(now_s)
        dead = (each for each in self._active if each.fault.kind in _OF_TOKENS and token in (each.victims or ()))
        return next((each.fault for each in dead), None)

    def dead_tokens(self, now_s: float) -> list[str]:
        return [token for token in self._api.tokens if self.killer(token, now_s)]

    def strike(self, token: str, app: str, bucket: str, now_s: float) -> Fault | None:
        """What goes wrong with this answer, if anything does."""
        if not self._active:
            return None
        self._forget(now_s)
        struck = (each.fault for each in self._active if self._hits(each, token, app, bucket))
        return next(struck, None)

    def _hits(self, active: _Active, token: str, app: str, bucket: str) -> bool:
        fault = active.fault
        if fault.kind in _OF_TOKENS or fault.bucket not in (None, bucket):
            return False
        if active.victims is None:
            return self.rng.random() < fault.rate
        return (token if fault.scope == "token" else app) in active.victims

    def _victims(self, fault: Fault) -> frozenset[str] | None:
        """The first ones, as many as the rate says."""
        tokens = list(self._api.tokens)
        if fault.scope == "app":
            apps = list(dict.fromkeys(map(self._api.app, tokens)))
            apps = apps[: math.ceil(fault.rate * len(apps))]
            if fault.kind not in _OF_TOKENS:
                return frozenset(apps)
            return frozenset(token for token in tokens if self._api.app(token) in apps)
        if fault.scope == "token" or fault.kind in _OF_TOKENS:
            return frozenset(tokens[: math.ceil(fault.rate * len(tokens))])
        return None

    def _forget(self, now_s: float) -> None:
        if any(each.until_s <= now_s for each in self._active):
            self._active = [each for each in self._active if each.until_s > now_s]


def read(body: bytes, apis: Mapping[str, Api]) -> Fault:
    """The fault that a POST /faults body wishes. Raises Permanent naming the field, msgspec.DecodeError."""
    fault = msgspec.json.decode(body, type=Fault)
    _one_of("source", fault.source, tuple(apis))
    _one_of("kind", fault.kind, get_args(Kind))
    if fault.kind == "error":
        fault.error_of(apis[fault.source])
    elif fault.code is not None or fault.subcode is not None:
        raise Permanent(f"code and subcode belong to the kind 'error', not to {fault.kind!r}")
    if (fault.kind == "slow") != (fault.latency_s > 0):
        raise Permanent("latency_s, above 0, belongs to the kind 'slow'")
    if fault.bucket is not None and fault.kind in _OF_TOKENS:
        raise Permanent(f"a bucket has no part in the kind {fault.kind!r}")
    return fault


def _one_of(field: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise Permanent(f"{field} {value[:40]!r} is none of {', '.join(known)}")
