"""What schemathesis would call a fault and is none: a program of its own loads this (test_schemathesis.py).

Data that fit the document must be taken. These refusals depend on what no schema can say.
"""

import re
from typing import Any

import schemathesis
from schemathesis.openapi.checks import RejectedPositiveData
from schemathesis.specs.openapi.checks import positive_data_acceptance

EXCEPTIONS = (
    # code, the field and the reason (or what is told where no field is), why it is no fault
    ("INVALID_CURSOR", ".*", "what a cursor must say belongs to the page that told it"),
    ("INVALID_BODY", "a contract begins before it ends", "two dates are in the wrong order, one of them of before"),
    ("INVALID_HANDLE", "handle: .*", "it depends on the platform beside it, and a pattern does not list all letters"),
    ("INVALID_DATE", "from: .*", "two dates are in the wrong order, or too far apart"),
    ("INVALID_PARAMETER", "language: .*", "of two parameters one may be given"),
    ("INVALID_BODY", ".*: Input should be a valid integer", "1.0 is an integer to a schema, and a float to all else"),
    ("INVALID_BODY", r"cidrs\.[0-9]+: .*", "of networks and their masks a pattern would say less than the reason does"),
    ("INVALID_URL", ".*", "whether a host is public, or a page is allowed, is looked up"),
    ("WEAK_PASSWORD", ".*", "ten thousand passwords are refused"),
    ("TOKEN_INVALID", ".*", "a link is good once"),
    ("QUOTA_SPENT", ".*", "what is left of an allowance depends on what was done before"),
    ("IDEMPOTENCY_MISMATCH", ".*", "a key belongs to the call that was made with it"),
)


@schemathesis.check
def data_that_fit_are_taken(ctx: Any, response: Any, case: Any) -> bool | None:
    """In place of positive_data_acceptance."""
    try:
        taken: bool | None = positive_data_acceptance(ctx, response, case)
        return taken
    except RejectedPositiveData:
        if response.status_code in (402, 422) and _excepted(response.json()["error"]):
            return None
        raise


def _excepted(error: dict[str, Any]) -> bool:
    told = "{path}: {reason}".format_map(error["errors"][0]) if error["errors"] else error["detail"]
    return any(error["code"] == code and re.fullmatch(told_of, told) for code, told_of, _ in EXCEPTIONS)
