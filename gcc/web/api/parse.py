"""Query strings and bodies into pydantic models; what does not fit is an ApiError that names each fault.

The gateway has them read before a handler runs (`shape`), which finds them where it asks for them.
"""

import codecs
import json
import re
from collections.abc import Collection
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes
from uuid import UUID

import pydantic
from quart import Request

from gcc.web.api import fields
from gcc.web.api.errors import ApiError, Code, Fault
from gcc.web.api.route import Route

Model = TypeVar("Model", bound=pydantic.BaseModel)

UUID_PATTERN = "^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$"
UUID_SCHEMA: dict[str, Any] = {"type": "string", "format": "uuid", "maxLength": 36, "pattern": UUID_PATTERN}
"""Of a part of a path that is an id of ours."""

_UUID = re.compile(UUID_PATTERN)
_FIELD_CODES = {
    "from": Code.INVALID_DATE,
    "to": Code.INVALID_DATE,
    "month": Code.INVALID_DATE,
    "cursor": Code.INVALID_CURSOR,
}


INTEGER_MAX = 2**53
"""Beyond it what reads JSON as JavaScript does takes one number for another."""
DEPTH_MAX = 32
TIMEOUT_HEADER = "x-bb-timeout-ms"
TIMEOUT_MS = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")
_DEFAULTS: dict[type[pydantic.BaseModel], pydantic.BaseModel] = {}
_CHARSET = re.compile(r"""charset\s*=\s*"?utf-?8"?""", re.IGNORECASE)


async def shape(route: Route, request: Request) -> None:
    """Read what `route` says that a request has. Raises UNSUPPORTED_MEDIA_TYPE, or ApiError of the field that is wrong.

    Pages and files take any query.
    """
    if (timeout := request.headers.get(TIMEOUT_HEADER)) is not None and not TIMEOUT_MS.fullmatch(timeout):
        raise _refused(Code.INVALID_PARAMETER, TIMEOUT_HEADER, "write milliseconds as a whole number")
    kept: Any = request
    if route.body is not None:
        _check_form(request)
        kept.sent = await body(route.body, request)
    apart: tuple[str, ...] = ()
    if route.picks and request.query_string and fields.NAME in request.args:
        kept.chosen, apart = route.fields.chosen(request.args[fields.NAME]), (fields.NAME,)
    if route.query is not None:
        kept.query = query(route.query, request, apart)
    elif request.query_string and route.data is not None:
        for name in request.args:
            raise _refused(Code.INVALID_PARAMETER, name[:100], "there is no such field")


def _check_form(request: Request) -> None:
    """That a body, if there is one, is JSON in UTF-8, as it is."""
    headers = request.headers
    if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
        return
    media, _, parameters = headers.get("content-type", "").partition(";")
    if media.strip().lower() != "application/json" or (
        parameters.strip() and not _CHARSET.fullmatch(parameters.strip())
    ):
        told = headers.get("content-type", "nothing")
        raise ApiError(Code.UNSUPPORTED_MEDIA_TYPE, f"send Content-Type: application/json (UTF-8), not {told[:80]!r}")
    if (encoding := headers.get("content-encoding", "identity")).strip().lower() != "identity":
        raise ApiError(
            Code.UNSUPPORTED_MEDIA_TYPE, f"send the body as it is, not in Content-Encoding {encoding[:80]!r}"
        )


def query(model: type[Model], request: Request, apart: Collection[str] = ()) -> Model:
    """The query string as `model`, but for what is read `apart`. Raises INVALID_PARAMETER, or the code of the wrong
    field."""
    if isinstance(kept := getattr(request, "query", None), model):
        return kept
    if not request.query_string:
        return _nothing_asked(model)
    try:
        unquote_to_bytes(request.query_string).decode()
    except UnicodeDecodeError:
        raise _refused(Code.INVALID_PARAMETER, "", "the query is not UTF-8 before it is %-encoded") from None
    values: dict[str, Any] = {}
    for name, texts in request.args.lists():
        if len(texts) > 1:
            raise _refused(Code.INVALID_PARAMETER, name, f"given {len(texts)} times")
        if "\0" in texts[0]:
            raise _refused(_FIELD_CODES.get(name, Code.INVALID_PARAMETER), name, "a NUL is in it")
        if name not in apart:
            values[name] = texts[0]
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        raise _refusal(error, Code.INVALID_PARAMETER) from None


def _nothing_asked(model: type[Model]) -> Model:
    """Read once, as most ask for nothing: who handles a request does not write into it."""
    if (read := _DEFAULTS.get(model)) is None:
        try:
            read = _DEFAULTS[model] = model.model_validate({})
        except pydantic.ValidationError as error:
            raise _refusal(error, Code.INVALID_PARAMETER) from None
    assert isinstance(read, model)
    return read


async def body(model: type[Model], request: Request) -> Model:
    """The JSON body as `model`; an empty one as {}. Raises INVALID_BODY, or the code of the wrong field."""
    if isinstance(kept := getattr(request, "sent", None), model):
        return kept
    raw = await request.get_data(cache=False, as_text=False, parse_form_data=False)
    _check_json(raw)
    try:
        return model.model_validate_json(raw or b"{}")
    except pydantic.ValidationError as error:
        raise _refusal(error, Code.INVALID_BODY) from None


def _check_json(raw: bytes) -> None:
    """Refuse what readers of JSON do not agree about, or no store takes. What is no JSON at all the model tells."""
    if raw.startswith(codecs.BOM_UTF8):
        raise _refused(Code.INVALID_BODY, "", "a byte order mark stands before it; send UTF-8 without one")
    try:
        value = _READER.decode(raw.decode() or "{}")
    except UnicodeDecodeError:
        raise _refused(Code.INVALID_BODY, "", "it is not UTF-8") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        return
    if b"\\u" in raw or raw.count(b"[") + raw.count(b"{") > DEPTH_MAX:
        for name, part in value.items() if isinstance(value, dict) else [("", value)]:
            _check_part(name, [name, part])


def _named_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        name = next(name for number, name in enumerate(names) if name in names[:number])
        raise _refused(Code.INVALID_BODY, name[:100], "given twice")
    return found


def _exact(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > INTEGER_MAX:
        raise _refused(Code.INVALID_BODY, "", f"integers lie between -{INTEGER_MAX} and {INTEGER_MAX}")
    return int(digits)


def _no_number(text: str) -> Any:
    raise _refused(Code.INVALID_BODY, "", f"{text} is no number")


_READER = json.JSONDecoder(object_pairs_hook=_named_once, parse_int=_exact, parse_constant=_no_number)


def _check_part(name: str, part: list[Any]) -> None:
    """Of a body, with what it is called; both stand one level deep."""
    level, depth = part, 1
    while level:
        inside: list[Any] = []
        for each in level:
            if isinstance(each, dict):
                inside += (*each, *each.values())
            elif isinstance(each, list):
                inside += each
            elif isinstance(each, str) and _UNSTORABLE.search(each):
                reason = "a text has a NUL or half of a surrogate pair in it"
                raise _refused(_FIELD_CODES.get(name, Code.INVALID_BODY), name[:100], reason)
        if depth == DEPTH_MAX and any(isinstance(each, dict | list) for each in level):
            raise _too_deep()
        level, depth = inside, depth + 1


def _too_deep() -> ApiError:
    return _refused(Code.INVALID_BODY, "", f"it is nested more than {DEPTH_MAX} deep")


def whole_uuid(text: str) -> UUID | None:
    """A part of a path as an id; None: nothing has such an id."""
    return UUID(text) if _UUID.fullmatch(text) else None


def _refused(code: Code, path: str, reason: str) -> ApiError:
    where = f"{path}: " if path else ""
    return ApiError(code, f"{where}{reason}", errors=[{"path": path, "reason": reason}])


def _refusal(error: pydantic.ValidationError, code: Code) -> ApiError:
    faults = [_fault(part) for part in error.errors(include_url=False, include_context=False, include_input=False)]
    first = faults[0]
    where = f"{first['path']}: " if first["path"] else ""
    return ApiError(_FIELD_CODES.get(first["path"], code), f"{where}{first['reason']}", errors=faults)


def _fault(part: Any) -> Fault:
    reason = "there is no such field" if part["type"] == "extra_forbidden" else part["msg"]
    return {"path": ".".join(str(step) for step in part["loc"]), "reason": reason.removeprefix("Value error, ")}
