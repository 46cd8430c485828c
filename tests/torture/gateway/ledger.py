"""What was answered, and what may therefore be answered next: the book that the torture of gateways is held against.

In: each answer, with when it was asked for and when it came (one clock, seconds). Out: `complaints`. Nothing here waits
or asks: times are arguments, and a complaint is raised only where every order of what happened in between is wrong.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from gcc.web.api.errors import Code

STATUS = {code.name: code.status for code in Code}
AWAY = frozenset({"STORE_UNAVAILABLE", "TIMEOUT", "BUSY", "STARTING", "DRAINING"})
"""What anybody may be answered at any time: nothing was done, or nobody knows; ask again."""
OPENED_S_MAX = 1.1
"""So long after its end was committed may a session or key open, whatever is cut."""
REUSE_S = 10.0
"""So long a refresh token gives the successor that it gave before."""
WINDOW_S = 60.0
COMPLAINTS_MAX = 20


@dataclass(frozen=True)
class Answered:
    sent_at: float
    at: float
    status: int
    code: str = ""  # of an error
    data: Any = None
    content: Any = None  # the whole envelope
    replayed: bool = False

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def away(self) -> bool:
        return self.code in AWAY

    @property
    def let_in(self) -> bool:
        """Whoever asked was taken for somebody, whatever came of it."""
        return not self.away and self.status != 401


@dataclass
class Credential:
    """A session's access token, or an API key. `doubted`: its end was asked for, and not yet answered."""

    name: str
    token: str
    until: float  # it may be asked with
    id: str = ""
    doubted: bool = False
    ended_at: float | None = None  # its end was committed by then


@dataclass
class Write:
    """One call with an Idempotency-Key, sent until it is answered. `mark`: by which its effect is found."""

    kind: str
    partner_id: int
    mark: str
    call: Callable[[], Any]  # the same again
    secret: str = ""  # the name of what is shown once
    first: Answered | None = None
    done: bool = False  # somebody was told so, not as a replay

    @property
    def id(self) -> str:
        assert self.first is not None
        return str(self.first.data["id"])


@dataclass
class Ledger:
    complaints: list[str] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    credentials: list[Credential] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    granted: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # window -> (sent, answered)
    views: dict[tuple[int, str], bool] = field(default_factory=dict)  # of a partner, a profile -> it was shown

    def complain(self, text: str) -> None:
        if len(self.complaints) < COMPLAINTS_MAX and text not in self.complaints:
            self.complaints.append(text)

    def answered(self, what: str, answer: Answered, fine: Collection[str]) -> None:
        """`fine`: the codes that this call may be answered with, beside good ones and those of AWAY."""
        self.counts["answers"] += 1
        self.counts[answer.code or "good"] += 1
        if answer.good and not answer.code:
            return
        if STATUS.get(answer.code) != answer.status:
            self.complain(f"{what} was answered {answer.status} {answer.code!r}, which is in no table")
        elif answer.code not in AWAY and answer.code not in fine:
            self.complain(f"{what} was answered {answer.code}: {detail(answer)}")

    def opened(self, who: Credential, answer: Answered) -> None:
        """`who` was let in, or not."""
        late_s = None if who.ended_at is None else answer.sent_at - who.ended_at
        if answer.let_in and late_s is not None and late_s > OPENED_S_MAX:
            self.complain(f"{who.name} opened, asked {late_s:.2f} s after its end was known")
        if answer.status == 401 and who.ended_at is None:
            if not who.doubted:
                self.complain(f"{who.name} opens no more, and nobody ended it: {answer.code}")
            who.ended_at = answer.at

    def begun(self, who: Credential) -> Credential:
        self.credentials.append(who)
        self.counts["begun"] += 1
        return who

    def ended(self, who: Credential, answer: Answered | None) -> bool:
        """Its end was asked for; whether it has come. None: nobody knows."""
        who.doubted = True
        if answer is not None and (answer.good or answer.status in (401, 404)):
            if who.ended_at is None:
                who.ended_at = answer.at
                self.counts["ended"] += 1
            return True
        return False

    def wrote(self, write: Write, answer: Answered) -> None:
        """`write` was answered, for the first time or again; of two at once the one that waited may be told first."""
        if not answer.good:
            return
        what = f"{write.kind} {write.mark}"
        if answer.replayed:
            self.counts["replayed"] += 1
            if write.secret and answer.data[write.secret] is not None:
                self.complain(f"{what}: {write.secret} was shown again")
        elif write.done:
            self.complain(f"{what} was done again, for the same Idempotency-Key")
        write.done = write.done or not answer.replayed
        if write.first is None:
            self.counts[write.kind] += 1
        elif without(answer, write.secret) != without(write.first, write.secret):
            self.complain(f"{what} was answered otherwise when it was asked for again")
        if write.first is None or not answer.replayed:
            write.first = answer

    def found(self, kind: str, effects: dict[tuple[int, str], int]) -> None:
        """How often the database has each effect, by partner and mark, of all writes of the kind."""
        asked = {(write.partner_id, write.mark): write for write in self.writes if write.kind == kind}
        for place, write in asked.items():
            if effects.get(place, 0) > 1:
                self.complain(f"{kind} {place} is there {effects[place]} times")
            if write.first is not None and not effects.get(place):
                self.complain(f"{kind} {place} was answered {write.first.status} and is not there")
        for place in effects.keys() - asked.keys():
            self.complain(f"{kind} {place} is there, and nobody asked for it")

    def noted(self, write: Write, times: int) -> None:
        """How often it is noted that somebody did so."""
        if times != 1:
            self.complain(f"{write.kind} {write.mark} is noted {times} times")

    def viewed(self, partner_id: int, handle: str, answer: Answered | None) -> None:
        place = partner_id, handle
        self.views[place] = self.views.get(place, False) or (answer is not None and answer.good)

    def used(self, views: dict[int, int]) -> None:
        """How many views each partner is said to have had; a profile counts once."""
        for partner_id in {partner_id for partner_id, _ in self.views}:
            shown = [good for (partner, _), good in self.views.items() if partner == partner_id]
            if not sum(shown) <= views.get(partner_id, 0) <= len(shown):
                told = f"{views.get(partner_id, 0)} views count, {sum(shown)} were shown, {len(shown)} asked for"
                self.complain(f"partner {partner_id}: {told}")

    def lives(self, who: Credential, alive: bool) -> None:
        """To the database."""
        if alive and who.ended_at is not None:
            self.complain(f"{who.name} was ended, and the database has not ended it")
        if not alive and not who.doubted:
            self.complain(f"{who.name} has ended, and nobody ended it")

    def refreshed(self, who: str, answers: list[Answered]) -> None:
        """All answers of one refresh token, in the order in which they were asked for, one after the other."""
        good = [answer for answer in answers if answer.good]
        if len({answer.data["refresh_token"] for answer in good}) > 1:
            self.complain(f"{who}: one refresh token has two successors")
        for answer in answers:
            if answer.code == "REFRESH_REUSED" and answer.at - answers[0].sent_at < REUSE_S:
                self.complain(f"{who}: a refresh was refused as reuse {answer.at - answers[0].sent_at:.1f} s after it")

    def counted(self, window: str, answer: Answered) -> None:
        """A call that counts in `window`."""
        if not answer.away and answer.status not in (401, 429):
            self.granted.setdefault(window, []).append((answer.sent_at, answer.at))

    def hold_rate(self, window: str, calls: Callable[[float, float], int]) -> None:
        """`calls`: how many may be granted within (from, to). Calls that were surely within it are counted."""
        for began, most, ended in fullest(self.granted.get(window, [])):
            if most > calls(began, ended):
                self.complain(f"{window}: {most} calls within {WINDOW_S:g} s, {calls(began, ended)} may be")


def fullest(granted: list[tuple[float, float]]) -> Iterator[tuple[float, int, float]]:
    """(from, calls, to) of the windows that begin with a call: those that were sent and answered within it."""
    by_sent = sorted(granted)
    for number, (began, _) in enumerate(by_sent):
        within = 0
        for sent, at in by_sent[number:]:
            if sent > began + WINDOW_S:
                break
            within += at <= began + WINDOW_S
        yield began, within, began + WINDOW_S


def without(answer: Answered, secret: str) -> Any:
    """What is answered, but for what is shown once."""
    return answer.content if not secret else answer.content | {"data": answer.data | {secret: None}}


def detail(answer: Answered) -> str:
    return "" if answer.content is None else str(answer.content.get("error"))
