"""The roles of a process, and their ends: one drain for the whole, and one within it for each role.

A role that has drained may be resumed: what belongs to it begins again (gcc/keeping.py).
"""

from collections.abc import Iterable

import trio

from gcc.errors import ConfigError, Permanent
from gcc.pipelines.declared import Pipeline
from gcc.supervisor.drain import Drain

PORTS = "ports"  # the last stage, in which all ports close: the dashboard's, too, which is of no role


class Roles:
    """`chosen` of the roles of `pipelines` (None: all) run here. ConfigError: one of them is none."""

    def __init__(self, pipelines: Iterable[Pipeline], chosen: Iterable[str] | None, grace_s: float) -> None:
        stages: dict[str, dict[str, None]] = {}  # by role, in order
        for pipeline in pipelines:
            stages.setdefault(pipeline.role, {}).update(dict.fromkeys(pipeline.stages))
        self.known = tuple(stages)
        """Of all processes."""
        if unknown := sorted(set(chosen or ()) - set(stages)):
            raise ConfigError(f"roles: {unknown[0]!r} is no role; known are {', '.join(stages)}")
        in_order = [stage for of in stages.values() for stage in of if stage != PORTS]
        self.whole = Drain(list(dict.fromkeys([*in_order, PORTS])), grace_s)
        self.here = {
            role: Drain(list(stages[role]), grace_s, within=self.whole)
            for role in (stages if chosen is None else dict.fromkeys(chosen))
        }
        self._resumed = {role: trio.Event() for role in self.here}  # after the drain that is the next one, or under way

    def drain_of(self, role: str | None) -> Drain:
        """The role's drain; the whole process's for no role, and for one that runs elsewhere."""
        return self.whole if role is None else self.here.get(role, self.whole)

    def request_drain(self, role: str | None, reason: str) -> None:
        """Ask the whole process, or one role of it, to finish. Permanent: it has no such role."""
        (self.whole if role is None else self._named(role)).request(reason)

    def resume(self, role: str) -> None:
        """Let a drained role work again. Permanent: it has no such role, or it has not drained."""
        drain = self._named(role)
        if drain.state != "drained" or self.whole.draining:
            raise Permanent(f"role {role} cannot be resumed: it is {drain.state}")
        drain.reopen()
        self._resumed[role].set()
        self._resumed[role] = trio.Event()

    def resumed(self, role: str) -> trio.Event:
        """Set when the role is resumed after the drain that is the next one, or under way: read it before that."""
        return self._resumed[role]

    def _named(self, name: str) -> Drain:
        if name not in self.here:
            raise Permanent(f"this process has no role {name!r}; it has {', '.join(self.here)}")
        return self.here[name]
