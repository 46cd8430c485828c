"""Query strings and bodies into pydantic models; what does not fit is an ApiError that names each fault."""

from typing import Any, TypeVar

import pydantic
from quart import Request

from gcc.web.api.errors import ApiError, Code, Fault

Model = TypeVar("Model", bound=pydantic.BaseModel)

_FIELD_CODES = {
    "from": Code.INVALID_DATE,
    "to": Code.INVALID_DATE,
    "month": Code.INVALID_DATE,
    "cursor": Code.INVALID_CURSOR,
}


def query(model: type[Model], request: Request) -> Model:
    """The query string as `model`. Raises INVALID_PARAMETER, or the code of the field that is wrong."""
    values: dict[str, Any] = {}
    for name, texts in request.args.lists():
        if len(texts) > 1:
            reason = f"given {len(texts)} times"
            raise ApiError(Code.INVALID_PARAMETER, f"{name}: {reason}", errors=[{"path": name, "reason": reason}])
        values[name] = texts[0]
    try:
        return model.model_validate(values)
    except pydantic.ValidationError as error:
        raise _refusal(error, Code.INVALID_PARAMETER) from None


async def body(model: type[Model], request: Request) -> Model:
    """The JSON body as `model`; an empty one as {}. Raises INVALID_BODY, or the code of the wrong field."""
    raw = await request.get_data(cache=False, as_text=False, parse_form_data=False)
    try:
        return model.model_validate_json(raw or b"{}")
    except pydantic.ValidationError as error:
        raise _refusal(error, Code.INVALID_BODY) from None


def _refusal(error: pydantic.ValidationError, code: Code) -> ApiError:
    faults = [_fault(part) for part in error.errors(include_url=False, include_context=False, include_input=False)]
    first = faults[0]
    where = f"{first['path']}: " if first["path"] else ""
    return ApiError(_FIELD_CODES.get(first["path"], code), f"{where}{first['reason']}", errors=faults)


def _fault(part: Any) -> Fault:
    reason = "there is no such field" if part["type"] == "extra_forbidden" else part["msg"]
    return {"path": ".".join(str(step) for step in part["loc"]), "reason": reason.removeprefix("Value error, ")}
