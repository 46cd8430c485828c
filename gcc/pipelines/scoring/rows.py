"""Rows of a file of followers, and what becomes of them: `score_rows` takes some and gives their lines of the answer.

Pure, and importable in worker processes. A row has follower_handle and follower_full_name (or handle and full_name);
of the account followers, following, posts, picture, private and age_days, as columns of their own or within `account`.
How they are spelled, and how exports name them (ALSO), makes no difference. What else a row has is repeated in the
answer as it is. A row that names nobody is answered with a score of null and why; what is no row at all, or has
neither of the two, is told by its line.
"""

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from gcc import formulas
from gcc.errors import ConfigError
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
ALSO = {
    "user_name": "username", "follower_username": "follower_handle", "follower_user_name": "follower_handle",
    "fullname": "full_name", "follower_fullname": "follower_full_name", "follower_name": "follower_full_name",
    "follower_count": "followers", "followers_count": "followers", "following_count": "following",
    "follows_count": "following", "media_count": "posts", "post_count": "posts", "posts_count": "posts",
    "is_private": "private",
}  # fmt: skip
"""As exports of others call them."""
RECORDS = "; an object for each follower is wanted (of pandas: orient='records')"
NOTHING = frozenset({"nan", "NaN", "None", "null", "NULL", "<NA>", "N/A", "n/a", "#N/A", "\\N"})
"""What programs write where they know of nothing, and nobody is called in just these letters."""
KEY_CHARS_MAX = 64  # of a column that says something

VERDICTS = ("real", "weak", "fake", "unscored")
Form = Literal["ndjson", "array", "csv", "tsv"]
Given = bytes | Mapping[str, Any] | str
"""JSON of a row, the row, or why it is none."""
EXCERPT_CHARS, EXCERPT_CHARS_MAX = 60, 300
_HUMP, _PARTS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])"), re.compile(r"[\s\-_.]+")
_ADDRESS = re.compile(r"(?:https?://)?(?:www\.|m\.)?(?:instagram|youtube)\.com/(?:_u/)?@?([\w.\-]+)/?(?:[?#].*)?", re.I)
"""Of a profile, which lists hold in place of its handle."""
_COUNT = re.compile(
    r"([0-9]{1,3}(?:,[0-9]{2,3})*,[0-9]{3}|[0-9]{1,18})(?:\.0*)?|([0-9]{1,4}(?:\.[0-9]{1,3})?)([kKmMbB])", re.A
)
_TIMES = {"k": 1_000, "m": 1_000_000, "b": 1_000_000_000}


UNKNOWN = Account()
_NAMING = frozenset((*HANDLE, *NAME))


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


def score_rows(form: Form, rows: Sequence[Row], own: Collection[str] = ()) -> Answer:
    """Of each row its line, in their order. `own`: the columns before COLUMNS, where the form is a table."""
    answers, bad, counts = [], [], Counter[str]()
    for line, given in rows:
        try:
            answers.append(scored_row(_decoded(given)))
        except NoRow as error:
            bad.append((line, str(error)))
            continue
        counts[verdict(answers[-1]["score"])] += 1
    return Answer(_encoded(form, answers, own), dict(counts), bad)


def verdict(score: float | None) -> str:
    """One of VERDICTS."""
    return {None: "unscored", 0.0: "real", 1.0: "fake"}.get(score, "weak")


def scored_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """What is answered to a row: all of it, and COLUMNS. Raises NoRow."""
    known = _known(row)
    handle, name = _text(known, HANDLE), _text(known, NAME)
    answer: dict[str, Any] = {key: _text(known, (key,)) or None if key in known else None for key in KEPT}
    if "follower_handle" not in known:
        answer["handle"] = None  # it is the follower's own
    answer["follower_handle"] = handle
    answer["follower_full_name"] = name
    return {**row, **answer} | told(_scored(Follower(plain_handle(handle), name, _account(known))))


def _known(row: Mapping[str, Any]) -> dict[str, Any]:
    """What says something, by the names that we have for it. Raises NoRow."""
    known: dict[str, Any] = {}
    for key, value in row.items():
        name = known_as(key)
        if name and known.get(name) is None:
            known[name] = value
    if known.keys().isdisjoint(_NAMING):
        if exported := _exported(row):
            return {"follower_handle": exported}
        has = ", ".join(row)[:EXCERPT_CHARS].encode(errors="replace").decode() or "nothing"
        raise NoRow(f"it has neither follower_handle nor follower_full_name, but {has}{RECORDS}")
    if any(isinstance(known.get(key), Mapping) and known[key] for key in _NAMING):
        raise NoRow(f"its names are objects{RECORDS}")
    return known


def known_as(key: str) -> str:
    """ "Follower Handle", "followerHandle" are follower_handle; "": it says nothing."""
    return key if key in GIVEN else _spelled(key) if len(key) <= KEY_CHARS_MAX else ""


@lru_cache(4096)
def _spelled(key: str) -> str:
    plain = _PARTS.sub("_", _HUMP.sub("_", key.strip())).strip("_").lower()
    plain = ALSO.get(plain, plain)
    return plain if plain in GIVEN else ""


def _exported(row: Mapping[str, Any]) -> str:
    """The handle in an element of the lists that Instagram lets people download."""
    match row:
        case {"string_list_data": [{"value": str(value)}, *_]} if value:
            return value
        case {"string_list_data": [{"href": str(address)}, *_]} if _ADDRESS.fullmatch(address):
            return address
    return ""


def plain_handle(text: str) -> str:
    """Without the @ before it, or of a profile's address the handle alone."""
    text = text.strip()
    if "/" in text and (address := _ADDRESS.fullmatch(text)):
        return address[1]
    return text.removeprefix("@")


def keys_of(given: Given) -> Collection[str]:
    """Of a row; none, if it is none."""
    try:
        return _decoded(given).keys()
    except NoRow:
        return ()


def refuse_columns(file: Path, names: Sequence[str]) -> None:
    """ConfigError: they name no follower, or one thing twice."""
    by_known: dict[str, list[str]] = {}
    for name in names:
        by_known.setdefault(known_as(name), []).append(name)
    for known in by_known.keys() - {""}:
        if len(by_known[known]) > 1:
            raise ConfigError(f"{file} has the column {known} twice ({', '.join(by_known[known])}); leave one")
    if by_known.keys().isdisjoint(HANDLE) or by_known.keys().isdisjoint(NAME):
        told = ", ".join(names)[:200] or "nothing"
        raise ConfigError(f"{file} needs the columns follower_handle and follower_full_name; it has {told}")


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
        return json.loads(given, parse_constant=lambda _: None, parse_float=_finite)  # NaN is not known
    except (ValueError, RecursionError):
        raise NoRow(f"it is no JSON: {fault}") from None


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _text(row: Mapping[str, Any], keys: Sequence[str]) -> str:
    """The first that is there; a number is text, and anything else says nothing."""
    for key in keys:
        if (value := row.get(key)) is not None:
            text = value if type(value) is str else str(value) if type(value) is int else ""
            return "" if text in NOTHING else text
    return ""


def _account(row: Mapping[str, Any]) -> Account:
    """What is empty or of another type is not known."""
    nested = row.get("account")
    if isinstance(nested, str) and nested.startswith("{"):  # as a table holds it
        with suppress(NoRow):
            nested = _from_json(nested.encode(errors="replace"))
    known = {known_as(key): value for key, value in nested.items()} if isinstance(nested, Mapping) else row
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
    """Also of a text: 1234, 1234.0 (what pandas makes of whole numbers), 1,234, 1.2K."""
    if value is None:
        return None
    if isinstance(value, str):
        return _count_of(value.strip())
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal) or not math.isfinite(value) or value < 0:
        return None
    return int(value)


def _count_of(text: str) -> int | None:
    if not (said := _COUNT.fullmatch(text)):
        return None
    whole, some, times = said.groups()
    return int(whole.replace(",", "")) if whole else int(Decimal(some) * _TIMES[times.lower()])


def _flag(value: Any) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(value.lower())
    return bool(value) if isinstance(value, int) and value in (0, 1) else None


DELIMITERS = {"csv": ",", "tsv": "\t"}


def header(form: Form, own: Collection[str]) -> bytes:
    return _table(form, [[formulas.cell(name) for name in own] + list(COLUMNS)])


def _encoded(form: Form, answers: Sequence[dict[str, Any]], own: Collection[str]) -> bytes:
    if form in DELIMITERS:
        return _table(form, [_cells(answer, own) for answer in answers])
    lines = map(_line, answers)
    return b",\n".join(lines) if form == "array" else b"".join(line + b"\n" for line in lines)


def _line(answer: dict[str, Any]) -> bytes:
    try:
        return to_json(answer)
    except RecursionError:  # what the row has beside it was only just read
        return to_json({name: answer[name] for name in COLUMNS})


def _table(form: Form, rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=DELIMITERS[form], lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "replace")


def _cells(answer: Mapping[str, Any], own: Collection[str]) -> list[str]:
    values = map(answer.get, (*own, *COLUMNS))
    return [formulas.cell(value) if type(value) in PLAIN else _cell(value) for value in values]


PLAIN = frozenset({str, int, bool, type(None)})


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    return to_json(value).decode()


def to_json(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:  # half a character
        return json.dumps(value, default=msgspec.structs.asdict).encode()
