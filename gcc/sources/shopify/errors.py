"""What Shopify's refusals mean. Pure.

A shop's token asks for that shop alone, so a limit is that of a credential: REST counts calls in a leaky bucket,
GraphQL points of what a query costs. GraphQL refuses by `errors` without data, at HTTP 200 too; with data it answers,
and the errors tell what this app may not see.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from gcc.sources.fields import Fields
from gcc.sources.http import Answer, decode, retry_after_s
from gcc.sources.shopify.orders_parse import SOURCE
from gcc.sources.verdicts import (
    QuestionFailed,
    SourceFailed,
    Verdict,
    dead,
    failed,
    limited,
    may_not,
    missing,
    plain,
    unanswerable,
)
from gcc.supervisor.lifecycle import one_line

THROTTLED_S = 2.0  # where it names no wait: a bucket that is full has room again by then


class TooCostly(QuestionFailed):
    """A query that asks for too much at once."""


STATUSES: Mapping[int, Verdict] = {
    **dict.fromkeys((301, 302, 303, 307, 308), unanswerable),  # the shop moved, or is closed: the others are not
    401: dead,
    402: unanswerable,  # the shop does not pay
    403: may_not,  # a scope
    404: missing("STORE_NOT_FOUND"),
    406: unanswerable,
    422: unanswerable,
    423: unanswerable,  # locked
    429: limited,
    430: limited,
}
CODES: Mapping[str, Verdict] = {
    "THROTTLED": limited,
    "ACCESS_DENIED": may_not,
    "SHOP_INACTIVE": unanswerable,
    "MAX_COST_EXCEEDED": plain(TooCostly),
    "INTERNAL_SERVER_ERROR": failed,
    "TIMEOUT": failed,
}


def judge(answer: Answer, now: dt.datetime) -> Any:
    """The decoded object of a good answer. Raises what the refusal means; SourceFailed where it is no JSON."""
    try:
        decoded = decode(answer, SOURCE)
    except SourceFailed:
        if answer.status == 200 or answer.status not in STATUSES:
            raise
        decoded = {}
    errors = decoded.get("errors") if isinstance(decoded, dict) else None
    told = f"{SOURCE}: HTTP {answer.status}: {one_line(_said(errors))}"
    wait_s = retry_after_s(answer, now)
    if answer.status != 200:
        if _code(errors) in CODES:
            raise CODES[_code(errors)](told, wait_s or THROTTLED_S)
        verdict = STATUSES.get(answer.status, failed if answer.status >= 500 else unanswerable)
        raise verdict(told, wait_s or (THROTTLED_S if verdict is limited else None))
    Fields(decoded, SOURCE)  # refuses what is no object
    if errors and not _answers(decoded):
        verdict = CODES.get(_code(errors), unanswerable)
        raise verdict(told, wait_s or (_points_back_s(decoded) if verdict is limited else None))
    return decoded


def _answers(decoded: Any) -> bool:
    """Whether what was asked for is there, beside the errors."""
    data = decoded.get("data")
    asked = data if isinstance(data, dict) else decoded
    return asked.get("orders") is not None or asked.get("order") is not None


def judge_rest(answer: Answer, now: dt.datetime) -> Any:
    """As `judge`, with the cursor of the next page as `next`: REST tells it in a header alone."""
    return {**judge(answer, now), "next": next_page(answer.headers.get("link", ""))}


def next_page(link: str) -> str | None:
    """The `page_info` that a Link header names for the next page; None: it is the last."""
    for part in link.split(","):
        address, _, about = part.partition(";")
        if 'rel="next"' in about.replace(" ", "").replace("'", '"') or "rel=next" in about.replace(" ", ""):
            query = parse_qsl(address.strip().strip("<>").partition("?")[2])
            return next((value for name, value in query if name == "page_info"), None)
    return None


def cost(decoded: Any) -> int | None:
    """The points that a query costs, as its answer tells."""
    found = decoded.get("extensions")
    told = found.get("cost") if isinstance(found, dict) else None
    return Fields(told, SOURCE).count("requestedQueryCost") if isinstance(told, dict) else None


def _status(decoded: Any) -> tuple[float, float, float] | None:
    """(left, most, restored a second) of the points, where they are told."""
    for name in ("extensions", "cost", "throttleStatus"):
        decoded = decoded.get(name) if isinstance(decoded, dict) else None
    if not isinstance(decoded, dict):
        return None
    status = Fields(decoded, SOURCE, "$.extensions.cost.throttleStatus")
    left, most, per_s = map(status.amount, ("currentlyAvailable", "maximumAvailable", "restoreRate"))
    if left is None or not most or not per_s or not (0 <= left <= most and per_s > 0):
        return None
    return left, most, per_s


def _points_back_s(decoded: Any) -> float:
    """Until a query of the same cost is paid for."""
    status = _status(decoded)
    if status is None:
        return THROTTLED_S
    left, most, per_s = status
    return min(max(1.0, (min(cost(decoded) or most, most) - left) / per_s), 60.0)


def _first(errors: Any) -> Any:
    return errors[0] if isinstance(errors, list) and errors else errors


def _said(errors: Any) -> str:
    """The refusal in words; REST also says it as an object of lists by field."""
    first = _first(errors)
    if isinstance(first, dict) and isinstance(first.get("message"), str):
        return str(first["message"])
    return str(first)[:300] if first else "no reason told"


def _code(errors: Any) -> str:
    first = _first(errors)
    extensions = first.get("extensions") if isinstance(first, dict) else None
    code = extensions.get("code") if isinstance(extensions, dict) else None
    if isinstance(code, str):
        return code
    return "THROTTLED" if _said(errors) == "Throttled" else ""
