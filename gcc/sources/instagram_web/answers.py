"""What the refusals of Instagram's scrapers mean: a table, read from the top; the first row that fits holds. Pure.

They hand on Instagram's own refusals, or make ones of their own, with a status or inside HTTP 200. What Instagram says
to their sessions (log in, solve a challenge, wait) is their trouble: it tells nothing of what was asked for. That
there is none is final: they see what a visitor sees.
"""

import datetime as dt
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gcc.errors import GccError
from gcc.sources.fields import Fields
from gcc.sources.http import Answer, decode
from gcc.sources.rapidapi import gateway
from gcc.sources.verdicts import (
    NotFound,
    SourceFailed,
    Verdict,
    dead,
    failed,
    limited,
    may_not,
    may_not_or_away,
    not_visible,
    rests_a_day,
    unanswerable,
)
from gcc.supervisor.lifecycle import one_line

_TOLD_IN = ("message", "msg", "detail", "error", "error_type", "exc_type", "errorMessage", "reason", "title", "type")
_WRAPPED_IN = ("response", "body", "error", "detail", "data")
_COMPLAINTS = ("error", "exc_type", "errorMessage", "detail", "checkpoint_url")
_DEPTH_MAX = 4
_THING = "(?:user|username|profile|account|media|post|page|hashtag|resource)"


@dataclass(frozen=True, slots=True)
class Row:
    """A refusal: a pattern in what it says, in lower case. `verdict` None: what was asked for is not there."""

    says: str
    verdict: Verdict | None


ROWS = (
    # their session wants a person: another scraper may have a better one
    Row(r"(login|checkpoint|challenge|consent|feedback)_required|challenge_redirection|require_login", failed),
    Row(r"please wait a few minutes|useragent mismatch", failed),
    # what nobody sees who may not
    Row(r"not authorized to view|private ?account|(account|profile|user) is private|hiding follow", not_visible),
    Row(r"restricted_profile|geo_?block|age[ -]restricted|users aged|not available in your country", not_visible),
    # what is not there
    Row(rf"\b{_THING}s?\b.{{0,20}} (not found|unavailable|(does ?n[o']t|do not) exist)", None),
    Row(rf"{_THING}_?(not_?found|unavailable)|notfounderror|no such user|no users? found|invalid (target )?user", None),
    Row(rf"\b({_THING}|photo|video|reel|story) (has been|was) (deleted|removed)|may have been removed", None),
    # who asks
    Row(r"insufficient ?funds|(top up|out of|not enough|no) (balance|credits|requests)", rests_a_day),
    Row(r"(invalid|wrong|unknown|expired|inactive|bad) (access[ _-]?key|api[ _-]?key|token)", dead),
)  # fmt: skip
_OTHERWISE: Mapping[int, Verdict] = {
    400: unanswerable, 401: may_not, 402: rests_a_day, 403: may_not, 414: unanswerable, 422: unanswerable, 429: limited,
}  # fmt: skip
"""What a status means where the words tell nothing; the others: it cannot answer now."""


@dataclass(frozen=True, slots=True)
class Judge:
    """The judge of one kind of question to `source`: its answer's decoded JSON, or a verdict.

    `absent` is the code of what it asks for where there is none, which `absent_statuses` say; `private_statuses` say
    that nobody sees it who may not.
    """

    source: str
    absent: str
    absent_statuses: Collection[int] = (404,)
    private_statuses: Collection[int] = ()

    def __call__(self, answer: Answer, now: dt.datetime) -> Any:
        if (refusal := gateway.refusal(answer, self.source, now)) is not None:
            raise refusal
        try:
            decoded = decode(answer, self.source)
        except SourceFailed as garbled:
            verdict = may_not_or_away if answer.status in (401, 403) else failed
            raise verdict(str(garbled), gateway.wait_s(answer, now)) from None
        levels = list(_levels(decoded, self.source))
        status = next((code for level in levels if (code := level.code("status_code")) is not None), answer.status)
        said = _said(levels)
        if status == answer.status == 200 and not _complains(levels):
            return decoded
        raise self._refusal(status, said, gateway.wait_s(answer, now))

    def _refusal(self, status: int, said: str, wait_s: float | None) -> GccError:
        told = f"{self.source}: HTTP {status}: {said or 'no message'}"
        for row in ROWS:
            if re.search(row.says, said.lower()):
                return NotFound(self.absent, told) if row.verdict is None else row.verdict(told, wait_s)
        if status in self.absent_statuses:
            return NotFound(self.absent, told)
        if status in self.private_statuses:
            return not_visible(told, wait_s)
        return _OTHERWISE.get(status, failed)(told, wait_s)


def _levels(decoded: Any, source: str) -> Iterator[Fields]:
    """The answer, and what is wrapped in it, as far as these are objects."""
    here = decoded[0] if isinstance(decoded, list) and len(decoded) == 1 else decoded
    for _ in range(_DEPTH_MAX):
        if not isinstance(here, dict):
            return
        yield Fields(here, source)
        here = next((here[name] for name in _WRAPPED_IN if isinstance(here.get(name), dict)), None)


def _said(levels: list[Fields]) -> str:
    """All that they say of themselves in words, on one line."""
    texts = (level.text(name) for level in levels for name in _TOLD_IN if level.kind(name) == "a text")
    return one_line(" ".join(text for text in texts if text))[:300]


def _complains(levels: list[Fields]) -> bool:
    """Whether it is a refusal inside a good status."""
    return any(map(_is_refusal, levels)) or (bool(levels) and _only_talks(levels[0]))


def _is_refusal(level: Fields) -> bool:
    says = {name: level.text(name) for name in ("status", "type") if level.kind(name) == "a text"}
    return (
        says.get("status") in ("fail", "failed", "error")
        or says.get("type") == "CHALLENGE_REDIRECTION"
        or (level.kind("status") == "true or false" and level.flag("status") is False)
        or any(level.kind(name) in ("a text", "an object") for name in _COMPLAINTS)
        or ("errors" in level and not _holds(level, "data"))
        or "authenticated" in level
    )


def _holds(level: Fields, key: str) -> bool:
    """Whether there is anything in it: beside errors a null says that they came in between, not that there is none."""
    if level.kind(key) != "an object":
        return key in level
    inner = level.object(key)
    return any(name in inner for name in inner)


def _only_talks(root: Fields) -> bool:
    """Whether it has words for people, and nothing that anybody could have asked for."""
    says = any(root.kind(name) == "a text" for name in ("message", "msg", "reason"))
    holds = any(root.kind(name) in ("an object", "a list") for name in root)
    return says and not holds and not any(name in root for name in ("pk", "id", "username", "code", "shortcode"))
