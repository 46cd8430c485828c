"""Rows of a file of followers, and what becomes of them: `score_rows` takes some and gives their lines of the answer.

Pure, and importable in worker processes. A row has follower_handle and follower_full_name (or handle and full_name);
of the account followers, following, posts, picture, private and age_days, as columns of their own or within `account`;
who follows whom (KEPT) is repeated in the answer. A row that names nobody is answered with a score of null and why;
what is no row at all is told by its line.
"""

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from gcc import formulas
from gcc.pipelines.scoring.record import Account, Follower, Scored
from gcc.pipelines.scoring.scorer import SCORER_VERSION, score

KEPT = ("platform", "profile_id", "handle", "follower_profile_id")
HANDLE, NAME = ("follower_handle", "handle", "username"), ("follower_full_name", "full_name", "name")
ACCOUNT = ("followers", "following", "posts", "picture", "private", "age_days")
FEATURES = (
    "non_indic", "more_than_4_digits", "handle_name_correlation", "fuzzy_similarity", "indian_name_match",
)  # fmt: skip
COLUMNS = (
    *KEPT, "follower_handle", "follower_full_name", "score", *FEATURES, "reasons", "account_score", "account_reasons",
    "scorer_version", "refused",
)  # fmt: skip
GIVEN = frozenset((*KEPT, *HANDLE, *NAME, *ACCOUNT, "account"))
"""All columns that say something."""

VERDICTS = ("real", "weak", "fake", "unscored")
Form = Literal["ndjson", "array", "csv"]
Given = bytes | Mapping[str, Any] | str
"""JSON of a row, the row, or why it is none."""
EXCERPT_CHARS, EXCERPT_CHARS_MAX = 60, 300


UNKNOWN = Account()


class Row(NamedTuple):
    line: int  # where it begins, from 1
    given: Given


class Answer(NamedTuple):
    """`body`: the rows in the form that was asked for. `bad`: lines that are no rows, and why."""

    body: bytes
    counts: dict[str, int]
    bad: list[tuple[int, str]]


class NoRow(ValueError):
    """It says of nobody."""


def score_rows(form: Form, rows: Sequence[Row]) -> Answer:
    """Of each row its line, in their order."""
    answers, bad, counts = [], [], Counter[str]()
    for line, given in rows:
        try:
            row = _decoded(given)
        except NoRow as error:
            bad.append((line, str(error)))
            continue
        answers.append(scored_row(row))
        counts[verdict(answers[-1]["score"])] += 1
    return Answer(_encoded(form, answers), dict(counts), bad)


def verdict(score: float | None) -> str:
    """One of VERDICTS."""
    return {None: "unscored", 0.0: "real", 1.0: "fake"}.get(score, "weak")


def scored_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """What is answered to a row: COLUMNS."""
    handle, name = _text(row, HANDLE), _text(row, NAME)
    answer: dict[str, Any] = {key: _text(row, (key,)) or None if key in row else None for key in KEPT}
    if "follower_handle" not in row:
        answer["handle"] = None  # it is the follower's own
    answer["follower_handle"] = handle
    answer["follower_full_name"] = name
    return answer | told(_scored(Follower(handle, name, _account(row))))


def _scored(follower: Follower) -> Scored:
    try:
        return score(follower)
    except Exception as error:  # a bug of ours costs its row alone
        return Scored(
            None, {}, (), None, (), SCORER_VERSION, f"the scorer failed over it: {error!r}"[:EXCERPT_CHARS_MAX]
        )


def told(scored: Scored) -> dict[str, Any]:
    answer: dict[str, Any] = {"score": scored.score}
    for feature in FEATURES:
        answer[feature] = scored.features.get(feature)
    answer["reasons"] = scored.reasons
    answer["account_score"] = scored.account_score
    answer["account_reasons"] = scored.account_reasons
    answer["scorer_version"] = scored.scorer_version
    answer["refused"] = scored.refused
    return answer


def _decoded(given: Given) -> Mapping[str, Any]:
    """Raises NoRow."""
    if isinstance(given, str):
        raise NoRow(given)
    row = _from_json(given) if isinstance(given, bytes) else given
    if not isinstance(row, Mapping):
        raise NoRow(f"it is no object but {json.dumps(row)[:EXCERPT_CHARS]}")
    return row


def _from_json(given: bytes) -> Any:
    try:
        return msgspec.json.decode(given)
    except RecursionError:
        raise NoRow("it is nested too deep") from None
    except UnicodeDecodeError:
        raise NoRow("it is not UTF-8") from None
    except msgspec.DecodeError as error:
        fault = str(error).removeprefix("JSON is malformed: ")
    try:  # escapes of half a character, which apps do send
        return json.loads(given)
    except (ValueError, RecursionError):
        raise NoRow(f"it is no JSON: {fault}") from None


def _text(row: Mapping[str, Any], keys: Sequence[str]) -> str:
    """The first that is there; a number is text, and anything else says nothing."""
    for key in keys:
        if (value := row.get(key)) is not None:
            return value if type(value) is str else str(value) if type(value) is int else ""
    return ""


def _account(row: Mapping[str, Any]) -> Account:
    """What is empty or of another type is not known."""
    nested = row.get("account")
    known = nested if isinstance(nested, Mapping) else row
    if known.keys().isdisjoint(ACCOUNT):
        return UNKNOWN
    return Account(
        followers=_count(known.get("followers")),
        following=_count(known.get("following")),
        posts=_count(known.get("posts")),
        picture=_flag(known.get("picture")),
        private=_flag(known.get("private")),
        age_days=_count(known.get("age_days")),
    )


def _count(value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19:
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        return None
    return int(value)


def _flag(value: Any) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(value.lower())
    return bool(value) if isinstance(value, int) and value in (0, 1) else None


def _encoded(form: Form, answers: Sequence[dict[str, Any]]) -> bytes:
    if form == "csv":
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(map(_cells, answers))
        return text.getvalue().encode("utf-8", "replace")
    lines = map(to_json, answers)
    return b",\n".join(lines) if form == "array" else b"".join(line + b"\n" for line in lines)


def _cells(answer: dict[str, Any]) -> list[Any]:
    return [to_json(value).decode() if isinstance(value, tuple) else formulas.cell(value) for value in answer.values()]


def to_json(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # half a character
        return json.dumps(value, default=msgspec.structs.asdict).encode()
