"""Seeded chaos: random trees of supervisors under the virtual clock, with the rules checked at every event.

A seed draws a tree (strategies, kinds, intensities, delays; up to three levels), what its workers do (start slowly,
refuse, crash, return, outstay their stop, raise KeyboardInterrupt) and one blow at some step of Trio's scheduler: the
whole is cancelled, or stopping() turns true. Each begin, start, stop and end of a life is an event; the checks below
speak of events and declarations only, never of the supervisor's own memory. A failing seed is the number in the
test's name; `-k 'tree and 137'` runs it again, the same.
"""

import datetime as dt
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import trio

from gcc.supervisor import policy, supervisor
from gcc.supervisor.backoff import Backoff
from gcc.supervisor.lifecycle import Board, State
from gcc.supervisor.policy import Intensity, Restart, Strategy
from gcc.supervisor.supervisor import Child, RestartsExceeded, Supervisor
from tests.simulation.seeded import run

SEEDS = 200
HORIZON_S = 200.0  # then the tree is cancelled, whatever it does
LOOK_S = 20.0
QUIET_S = 100.0  # a tree without events for so long has nothing left to do
ROUNDING_S = 1e-6


class Refused(Exception):
    """A worker could not start. `node` is the worker."""

    def __init__(self, node: "Node") -> None:
        super().__init__(node.name)
        self.node = node


class Broke(Exception):
    """A worker crashed."""


@dataclass(eq=False)
class Life:
    """What was seen of one life. Times are virtual seconds, None while it has not happened."""

    began_at: float
    under: "Life | None"  # the life of the supervisor above
    started_at: float | None = None
    told_at: float | None = None  # to stop
    ended_at: float | None = None
    leaving: bool = False  # by itself, and deaf to what it is told
    failed: bool = False


@dataclass(eq=False)
class Node:
    """A worker, or a supervisor with its children; and its lives, of which the last may be running."""

    name: str
    kind: Restart
    stop_s: float
    parent: "Node | None" = None
    children: list["Node"] = field(default_factory=list)
    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: Intensity = Intensity()  # noqa: RUF009 (frozen)
    backoff: Backoff = Backoff(1.0, 1.0)  # noqa: RUF009 (frozen)
    lives: list[Life] = field(default_factory=list)

    @property
    def life(self) -> Life | None:
        return self.lives[-1] if self.lives and self.lives[-1].ended_at is None else None

    def lives_under(self, above: Life | None) -> list[Life]:
        return [life for life in self.lives if life.under is above]

    def family(self) -> list["Node"]:
        return [self] + [node for child in self.children for node in child.family()]


class Chaos:
    """One seed's tree, what happens to it, and the complaints."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.trace: list[str] = []
        self.complaints: list[str] = []
        self.seen: Counter[str] = Counter()
        self.stopping_since: float | None = None
        self.drained = trio.Event()
        self.interrupted = False
        self.board = Board(lambda: dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        self.mood = rng.choice([0.1, 0.4, 0.8])  # how often a life ends badly
        self.interrupts = rng.random() < 0.25
        self.root = self.draw_supervisor("root", depth=0)
        self.quiet_since = 0.0

    # Drawing

    def draw(self, name: str, depth: int) -> Node:
        if depth < 3 and self.rng.random() < 0.25:
            return self.draw_supervisor(name, depth)
        kinds = [Restart.PERMANENT] * 4 + [Restart.TRANSIENT, Restart.TEMPORARY]
        return Node(name, self.rng.choice(kinds), stop_s=self.rng.choice([0.5, 10.0, 30.0]))

    def draw_supervisor(self, name: str, depth: int) -> Node:
        rng = self.rng
        first_s = rng.choice([0.1, 1.0, 10.0])
        node = Node(
            name,
            Restart.PERMANENT,
            stop_s=200.0,
            strategy=rng.choice(list(Strategy)),
            intensity=Intensity(rng.choice([0, 1, 3, 6, 1000]), rng.choice([5.0, 60.0])),
            backoff=Backoff(first_s, first_s * rng.choice([1, 3]), factor=rng.choice([1.0, 2.0])),
        )
        for number in range(rng.randint(1, 4)):
            child = self.draw(f"{name}.{number}", depth + 1)
            child.parent = node
            node.children.append(child)
        return node

    # Living

    def child(self, node: Node) -> Child:
        return Child(node.name, self.oversee(node) if node.children else self.work(node), node.kind, node.stop_s)

    def supervisor(self, node: Node) -> Supervisor:
        return Supervisor(
            node.name,
            [self.child(child) for child in node.children],
            board=self.board,
            rng=self.rng,
            strategy=node.strategy,
            intensity=node.intensity,
            backoff=node.backoff,
            stopping=lambda: self.stopping_since is not None,
        )

    def oversee(self, node: Node) -> Callable:
        """Run a supervisor, and notice when it is told to stop."""

        async def listen(life: Life) -> None:
            try:
                await trio.sleep_forever()
            finally:
                if life.ended_at is None:
                    self.told(node, life)

        async def lead(*, task_status=trio.TASK_STATUS_IGNORED) -> None:
            life = self.began(node)
            failure: Exception | None = None
            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen, life)
                try:
                    await self.supervisor(node).run(task_status=Told(self, node, life, task_status))
                except Exception as error:
                    failure = error
                finally:
                    self.ended(node, life, failure)
                    nursery.cancel_scope.cancel()
            if failure is not None:
                raise failure

        return lead

    def work(self, node: Node) -> Callable:
        rng = self.rng

        async def worker(*, task_status) -> None:
            life = self.began(node)
            failure: BaseException | None = None
            try:
                await trio.sleep(rng.choice([0, 0, 0.1, 1, 3]))
                if rng.random() < (0.003 if len(node.lives) == 1 else self.mood / 4):
                    raise Refused(node)
                Told(self, node, life, task_status).started()
                with trio.move_on_after(rng.choice([0, 0.5, 1, 5, 20, 70, 1000])):
                    await self.drained.wait()
                    return
                if self.interrupts and rng.random() < 0.1:
                    self.interrupted = True
                    raise rng.choice([KeyboardInterrupt, SystemExit])
                if rng.random() < self.mood:
                    raise Broke(node.name)
            except trio.Cancelled:
                self.told(node, life)
                if rng.random() < 0.05:
                    failure = Broke(f"{node.name} cannot close")
                    raise failure from None
                raise
            except BaseException as error:
                failure = error
                raise
            finally:
                life.leaving = life.told_at is None
                with trio.move_on_after(60, shield=True):
                    await trio.sleep(rng.choice([0, 0, 0, 1, 5, 20]))
                self.ended(node, life, failure)

        return worker

    # Events, and the rules they must keep

    def note(self, what: str, node: Node) -> float:
        now = self.quiet_since = trio.current_time()
        self.trace.append(f"{now:.3f} {what} {node.name}")
        return now

    def check(self, holds: bool, rule: str, node: Node) -> None:
        if not holds:
            self.complaints.append(f"{rule}: {node.name} at {trio.current_time():.3f}")

    def began(self, node: Node) -> Life:
        now = self.note("begins", node)
        above = node.parent.life if node.parent else None
        before = node.lives_under(above)
        self.check(node.life is None, "two lives of one child at once", node)
        self.check(self.stopping_since in (None, now), "begun after stopping", node)
        life = Life(now, above)
        if node.parent is not None:
            self.check(above is not None, "begun under no supervisor", node)
            self.check_order(node, life, first=not before, now=now)
            if before:
                self.seen["restart"] += 1
                self.check_restart(node, before, now)
        node.lives.append(life)
        return life

    def check_order(self, node: Node, life: Life, *, first: bool, now: float) -> None:
        """Those before it can work; those after it wait where the strategy says so."""
        assert node.parent
        siblings = node.parent.children
        position = siblings.index(node)
        for sibling in siblings[:position]:
            if first:
                earlier = sibling.lives_under(life.under)
                begun = any(other.started_at is not None for other in earlier)
                # A temporary child that is stopped while it starts, in a group restart, is never begun again.
                never = sibling.kind is Restart.TEMPORARY and any(other.told_at is not None for other in earlier)
                self.check(begun or never or self.stopping_since is not None, "started before an earlier sibling", node)
            elif node.parent.strategy is not Strategy.ONE_FOR_ONE:
                last = sibling.lives_under(life.under)[-1]
                settled = last.started_at is not None or last.ended_at == now or sibling.kind is Restart.TEMPORARY
                self.check(settled, "begun while an earlier starts", node)
        if node.parent.strategy is not Strategy.ONE_FOR_ONE:
            self.check(not any(sibling.life for sibling in siblings[position + 1 :]), "begun before a later ends", node)

    def check_restart(self, node: Node, before: list[Life], now: float) -> None:
        """Who comes back, how soon, and how often."""
        assert node.parent
        above, last = node.parent, before[-1]
        window_s, max_restarts = above.intensity.window_s, above.intensity.max_restarts
        assert last.ended_at is not None
        self.check(node.kind is not Restart.TEMPORARY, "a temporary child came back", node)
        if node.kind is Restart.TRANSIENT and above.strategy is Strategy.ONE_FOR_ONE:
            self.check(last.failed, "a transient child came back from its return", node)
        waited_s = now - last.ended_at
        full_s = above.backoff.first_s
        if above.strategy is Strategy.ONE_FOR_ONE:
            backoff = above.backoff
            full_s = min(backoff.max_s, full_s * backoff.factor ** (self.failures(before, window_s) - 1))
            self.check(waited_s <= full_s + ROUNDING_S, "backoff too long", node)
        self.check(waited_s >= full_s / 2 - ROUNDING_S, "backoff too short", node)
        # The decision fell between the begin of the life before and its end or dismissal.
        lives = before[-1 - max_restarts :]
        if len(lives) > max_restarts:
            self.check(left_at(lives[-1]) - lives[0].began_at > window_s, "restarted beyond the intensity", node)
        if above.strategy is Strategy.ONE_FOR_ONE:
            # Here the decision fell at the end of the life before, so all restarts of the supervisor can be counted.
            decided = [
                lived.ended_at
                for sibling in above.children
                for lived in sibling.lives_under(last.under)[: -1 if sibling is not node else None]
                if lived.ended_at is not None
            ]
            recent = [at for at in decided if last.ended_at - window_s <= at <= last.ended_at]
            self.check(len(recent) <= max_restarts, "more restarts than the intensity allows", node)

    def failures(self, before: list[Life], window_s: float) -> int:
        row = 0
        for life in before:
            ran_s = 0.0 if life.started_at is None else (life.ended_at or 0.0) - life.started_at
            row = 1 if ran_s >= window_s else row + 1
        return row

    def told(self, node: Node, life: Life) -> None:
        """Later siblings come first, or have outstayed their stop_s."""
        now = life.told_at = self.note("told to stop", node)
        if node.parent is None:
            return
        siblings = node.parent.children
        for later in siblings[siblings.index(node) + 1 :]:
            running = later.life
            if running is not None:
                patient = running.told_at is not None and now - running.told_at >= later.stop_s - ROUNDING_S
                self.check(running.leaving or patient, f"told to stop before {later.name}", node)

    def ended(self, node: Node, life: Life, failure: BaseException | None) -> None:
        life.ended_at = self.note("ends", node)
        life.failed = failure is not None
        self.check(not any(child.life for child in node.children), "ended before its children", node)
        if isinstance(failure, RestartsExceeded):
            for child in node.children:  # none of them where a child gave up as it first started
                if child.name == failure.name:
                    self.seen["gave up"] += 1
                    exits = self.exits(node, life, child.lives[-1].ended_at or 0.0)
                    self.check(exits > node.intensity.max_restarts, "gave up too early", node)

    def exits(self, node: Node, above: Life, at: float) -> int:
        """How many children of this life ended by themselves within the window up to `at`."""
        lives = [life for child in node.children for life in child.lives_under(above) if life.told_at is None]
        return sum(life.ended_at is not None and 0 <= at - life.ended_at <= node.intensity.window_s for life in lives)

    # The whole

    async def watch(self) -> "Chaos":
        """Run the tree until it ends, or is cancelled, and judge how it ended."""
        blow = self.rng.choice(["cancel", "stop", "none"])
        at_step = int(10 ** self.rng.uniform(0.5, 3.5))
        failure: BaseException | None = None
        with trio.move_on_after(HORIZON_S) as scope:
            steps = Steps({at_step: {"cancel": scope.cancel, "stop": self.stop, "none": lambda: None}[blow]})
            trio.lowlevel.add_instrument(steps)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self.look_for_the_forgotten)
                    try:
                        await self.oversee(self.root)()
                    except BaseException as error:
                        failure = error  # cancelled, too: the scope is this function's own
                    nursery.cancel_scope.cancel()
            finally:
                trio.lowlevel.remove_instrument(steps)
        self.judge_end(failure)
        return self

    def stop(self) -> None:
        self.stopping_since = trio.current_time()
        self.drained.set()

    async def look_for_the_forgotten(self) -> None:
        """Children that should live, and nothing is on its way to them."""
        while True:
            await trio.sleep(LOOK_S)
            quiet = trio.current_time() - self.quiet_since >= QUIET_S
            self.seen["quiet"] += quiet
            for node in self.root.family():
                above = node.parent and node.parent.life
                if above and node.life is None and node.kind is Restart.PERMANENT and self.stopping_since is None:
                    self.check(not quiet and not self.overdue(node, above), "forgotten", node)

    def overdue(self, node: Node, above: Life) -> bool:
        """Whatever its siblings do, a child of such a supervisor would have come back by now."""
        assert node.parent
        lives = node.lives_under(above)
        if node.parent.strategy is not Strategy.ONE_FOR_ONE or not lives:
            return False
        return trio.current_time() - (lives[-1].ended_at or 0.0) > node.parent.backoff.max_s + QUIET_S

    def judge_end(self, failure: BaseException | None) -> None:
        root = self.root
        for node in root.family():
            self.check(node.life is None, "lives after the end", node)
            if node.parent and node.lives:
                state = self.board.actor(node.name).state
                self.check(state in (State.FINISHED, State.FAILED), f"ended as {state}", node)
        interrupted = isinstance(failure, BaseExceptionGroup) and failure.subgroup((KeyboardInterrupt, SystemExit))
        self.check(bool(interrupted) is self.interrupted, f"ended with {failure!r} after interrupts", root)
        match failure:
            case None:
                self.seen["returned"] += 1
                over = all(child.kind is not Restart.PERMANENT for child in root.children)
                self.check(over or self.stopping_since is not None, "returned, though not over", root)
            case RestartsExceeded():
                self.seen["gave up at the top"] += 1
            case Refused(node=node):
                self.seen["refused"] += 1
                first = not any(life.started_at for life in node.lives_under(node.lives[-1].under))
                self.check(first, "raised the error of a start that was not the first", node)
            case BaseExceptionGroup():
                self.seen["interrupted" if interrupted else "cancelled"] += 1
                rest = failure.split((KeyboardInterrupt, SystemExit, trio.Cancelled))[1]
                self.check(rest is None, f"ended with {rest!r}", root)
            case _:
                self.check(False, f"ended with {failure!r}", root)


def left_at(life: Life) -> float:
    """When the life ended, or was told to."""
    return min(at for at in (life.told_at, life.ended_at) if at is not None)


class Told:
    """A task status that notes the start, and passes it on."""

    def __init__(self, chaos: Chaos, node: Node, life: Life, onward) -> None:
        self.chaos, self.node, self.life, self.onward = chaos, node, life, onward

    def started(self, value: object = None) -> None:
        self.life.started_at = self.chaos.note("started", self.node)
        self.onward.started()


class Steps(trio.abc.Instrument):
    """Calls each blow just before the step of its number."""

    def __init__(self, blows: dict[int, Callable[[], None]]) -> None:
        self.count = 0
        self.blows = blows

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1
        if blow := self.blows.get(self.count):
            blow()


async def chaos(rng: random.Random) -> Chaos:
    return await Chaos(rng).watch()


@pytest.mark.parametrize("seed", range(SEEDS))
def test_tree(seed: int) -> None:
    outcome = run(chaos, seed)
    assert not outcome.complaints, f"seed {seed}: {outcome.complaints[:5]}"


def test_the_same_seed_gives_the_same_events() -> None:
    assert run(chaos, 1).trace == run(chaos, 1).trace != run(chaos, 2).trace


# The checkers are checked: each of these bugs must be complained about, by the rule that it breaks.


def never_too_many(self: policy.Policy, restart: Restart, *, failed: bool, now: float) -> policy.Verdict:
    again = restart is Restart.PERMANENT or (restart is Restart.TRANSIENT and failed)
    return "restart" if again else "forget"


def escalates_early(self: policy.Policy, restart: Restart, *, failed: bool, now: float) -> policy.Verdict:
    verdict = JUDGE(self, restart, failed=failed, now=now)
    return "escalate" if len(self._restarts) >= self.intensity.max_restarts > 0 else verdict


def brings_back_what_returned(self: policy.Policy, restart: Restart, *, failed: bool, now: float) -> policy.Verdict:
    return JUDGE(self, restart, failed=True, now=now)


async def does_not_wait_for_the_end(self: supervisor._Life) -> None:
    self.dismissed = True
    self.scope.cancel()


def forgets(self: supervisor._Watch, post: supervisor._Post) -> supervisor._Life:
    post.turn = None
    return post.life or BEGIN(self, post)


async def swallows(self: supervisor._Watch, life: supervisor._Life) -> None:
    try:
        await LIVE(self, life)
    except BaseException:
        life.ended.set()


JUDGE = policy.Policy.judge
BEGIN = supervisor._Watch._begin
LIVE = supervisor._Watch._live
DELAY_S = Backoff.delay_s
BUGS = {
    "restarts without end": (policy.Policy, "judge", never_too_many, "restart"),
    "gives up one restart early": (policy.Policy, "judge", escalates_early, "gave up too early"),
    "restarts a transient after its return": (policy.Policy, "judge", brings_back_what_returned, "a transient child"),
    "restarts the one alone": (policy.Policy, "affected", lambda self, names, exited: [exited], "begun before a later"),
    "waits too short": (Backoff, "delay_s", lambda *of: 0.4 * DELAY_S(*of), "backoff too short"),
    "waits too long": (Backoff, "delay_s", lambda *of: 2.1 * DELAY_S(*of), "backoff too long"),
    "stops in the order of the start": (supervisor, "reversed", list, "told to stop before"),
    "begins beside a life that ends": (supervisor._Life, "stop", does_not_wait_for_the_end, "two lives"),
    "judges exits of former lives": (supervisor._Life, "dismissed", property(lambda _: False, lambda *_: None), ""),
    "does not ask stopping()": (Supervisor, "stopping", property(lambda _: lambda: False, lambda *_: None), "begun af"),
    "begins no life again": (supervisor._Watch, "_begin", forgets, "forgotten"),
    "swallows interrupts": (supervisor._Watch, "_live", swallows, "ended with"),
}


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bugs_are_found(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    where, name, instead, rule = BUGS[bug]
    monkeypatch.setattr(where, name, instead, raising=False)
    for seed in range(SEEDS):
        if any(complaint.startswith(rule) for complaint in run(chaos, seed).complaints):
            return
    pytest.fail(f"no complaint {rule!r} in {SEEDS} seeds")
