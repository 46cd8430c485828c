"""The OpenAPI 3.1 document, made from the declared routes, their models and the table of errors."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import pydantic

from gcc.web.api import deprecation, fields, shapes
from gcc.web.api.errors import Code
from gcc.web.api.rates import CALLS, WINDOW_S
from gcc.web.api.route import KEY_HEADER, KEY_PATTERN, Route

UNREADABLE = (
    Code.MALFORMED_REQUEST, Code.ORIGIN_REFUSED, Code.NO_WEBSOCKET, Code.REQUEST_TIMEOUT, Code.URI_TOO_LONG,
    Code.HOST_NOT_ALLOWED, Code.HEADERS_TOO_LARGE, Code.NOT_IMPLEMENTED, Code.BUSY,
)  # fmt: skip
"""Answers to what never reaches a route: the port and its access rule refuse it."""

EVERYWHERE = (Code.NOT_ACCEPTABLE, Code.INTERNAL, Code.TIMEOUT, Code.STORE_UNAVAILABLE, *UNREADABLE)
GUARDED = (Code.UNAUTHORIZED, Code.FORBIDDEN, Code.PARTNER_SUSPENDED, Code.PLAN_REQUIRED)
PLACELESS = (Code.NOT_FOUND, Code.METHOD_NOT_ALLOWED)
"""Answers of paths and methods that no route has."""

_REFERENCE = "#/components/schemas/{model}"
_WAITING = (409, 429, 503)
_ORDER = {code: number for number, code in enumerate(sorted(Code, key=lambda code: code.status))}
_HEADERS: dict[str, Any] = {
    "x-bb-requestid": {
        "description": "The request's id, as it was sent or made.",
        "schema": {"type": "string", "format": "uuid"},
    },
    "RateLimit-Policy": {
        "description": "What limits such calls, the tightest first: q calls in any w seconds.",
        "schema": {"type": "string", "examples": ['"read";q=1200;w=60']},
    },
    "RateLimit": {
        "description": "Of each of them: r calls are left, and there are more in t seconds.",
        "schema": {"type": "string", "examples": ['"read";r=7;t=13']},
    },
    "ETag": {
        "description": "What the answer was made of: sent in If-None-Match, it is answered again only if that changed.",
        "schema": {"type": "string", "examples": ['W/"7d1c1f4b0c6a5e9d3b2a1f0e"']},
    },
    "Deprecation": {
        "description": "Since when another path is to be asked: @ and Unix time (RFC 9745).",
        "schema": {"type": "string", "examples": ["@1796083200"]},
    },
    "Sunset": {
        "description": "When this one ends (RFC 8594).",
        "schema": {"type": "string", "examples": ["Wed, 01 Dec 2027 00:00:00 GMT"]},
    },
    "Link": {
        "description": "The path to ask instead, as successor-version.",
        "schema": {"type": "string", "examples": ['</docs>; rel="deprecation"; type="text/html"']},
    },
    "Retry-After": {"description": "Seconds, where known.", "schema": {"type": "integer"}},
    "Idempotency-Replayed": {
        "description": "The call was made before with this Idempotency-Key, and this is what was answered then.",
        "schema": {"const": "true"},
    },
}
_EVERYWHERE = ("x-bb-requestid", "RateLimit-Policy", "RateLimit")
_IF_NONE_MATCH: dict[str, Any] = {
    "name": "If-None-Match",
    "in": "header",
    "description": "ETags that are here already, or *.",
    "schema": {"type": "string"},
}


_PICKED = {"type": "object", "description": f"What `{fields.NAME}` names, and what identifies it."}


def document(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """The whole document as JSON-able data. Every route that has an envelope is in it."""
    listed = list(routes)
    schemas, components = _schemas(listed)
    paths: dict[str, dict[str, Any]] = {}
    for route in listed:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    refusals = {
        _refusal_name(codes): _error_response(status, codes, schemas)
        for route in listed
        for status, codes in _by_status(route).items()
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gcc API",
            "version": version,
            "description": _introduction(),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "responses": refusals,
            "headers": _HEADERS,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def errors_of(route: Route) -> tuple[Code, ...]:
    """Every error that a route can answer."""
    guarded = () if route.who == "OPEN" else GUARDED
    rated = (Code.LOGIN_THROTTLED if route.rate == "login" else Code.RATE_LIMITED,)
    drained = (Code.DRAINING,) if route.writes else ()
    asked = (Code.INVALID_PARAMETER, Code.BODY_TOO_LARGE)
    repeated = (Code.IDEMPOTENCY_IN_PROGRESS, Code.IDEMPOTENCY_MISMATCH, Code.GONE) if route.takes_key else ()
    keyed = (Code.IDEMPOTENCY_REQUIRED,) if route.key_required else ()
    sent = () if route.body is None else (Code.INVALID_BODY, Code.UNSUPPORTED_MEDIA_TYPE)
    found = (*guarded, *rated, *drained, *asked, *sent, *keyed, *repeated, *route.errors, *EVERYWHERE)
    return tuple(dict.fromkeys(found))


def _schemas(routes: list[Route]) -> tuple[dict[tuple[str, str], Any], dict[str, Any]]:
    """((route name, "data" | "body") -> schema, components). Query models are spelled out as parameters."""
    inputs: list[tuple[tuple[str, str], Any, pydantic.TypeAdapter[Any]]] = [
        (("", "meta"), "serialization", pydantic.TypeAdapter(shapes.Meta)),
        (("", "error"), "serialization", pydantic.TypeAdapter(shapes.ErrorEnvelope)),
        (("", "problem"), "serialization", pydantic.TypeAdapter(shapes.Problem)),
    ]
    for route in routes:
        if route.data is not None:
            inputs.append(((route.name, "data"), "serialization", pydantic.TypeAdapter(route.data)))
        if route.body is not None:
            inputs.append(((route.name, "body"), "validation", pydantic.TypeAdapter(route.body)))
    schemas, definitions = pydantic.TypeAdapter.json_schemas(inputs, ref_template=_REFERENCE)
    by_name = {key: schema for (key, _mode), schema in schemas.items()}
    components = definitions.get("$defs", {})
    for route in routes:
        if route.body is not None:
            _without_nul(by_name[route.name, "body"], components, set())
    return by_name, components


def _without_nul(schema: dict[str, Any], components: dict[str, Any], seen: set[str]) -> None:
    """Say of every text in what is sent that no NUL may be in it, where it does not say what may."""
    if name := schema.get("$ref", "").rpartition("/")[2]:
        if name in seen:
            return
        seen.add(name)
        schema = components[name]
    if schema.get("type") == "string" and not schema.keys() & {"pattern", "enum", "const", "format"}:
        schema["pattern"] = "^[^\\u0000]*$"
    inside = (*schema.get("anyOf", ()), *schema.get("properties", {}).values())
    for each in (*inside, *(schema[key] for key in ("items", "additionalProperties") if key in schema)):
        if isinstance(each, dict):
            _without_nul(each, components, seen)


def _operation(route: Route, schemas: dict[tuple[str, str], Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": [route.path.split("/")[1]],
        "parameters": [
            *_path_parameters(route),
            *_query_parameters(route),
            *([_fields(route)] if route.picks else ()),
            *([_IF_NONE_MATCH] if route.conditional else ()),
            *([_key_parameter(route)] if route.takes_key else ()),
        ],
        "responses": _responses(route, schemas),
    }
    if route.description:
        operation["description"] = route.description
    operation |= {"x-who": route.who, "x-plan": route.plan, "x-rate-class": route.rate}
    if route.forced_rate is not None:
        operation["x-forced-rate-class"] = route.forced_rate
    if route.deprecated is not None:
        operation |= {"deprecated": True, "x-sunset": route.deprecated.sunset.isoformat()}
    if route.who == "OPEN":
        operation["security"] = []
    elif route.local:
        operation["security"] = [{}, {"bearer": []}]
    if route.body is not None:
        operation["requestBody"] = {"content": {"application/json": {"schema": schemas[route.name, "body"]}}}
        if any(each.is_required() for each in route.body.model_fields.values()):
            operation["requestBody"]["required"] = True
    return operation


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": route.parts[name],
            "schema": route.part_schemas.get(name) or shapes.PART_SCHEMAS[name],
        }
        for name in re.findall(r"{(\w+)}", route.path)
    ]


def _key_parameter(route: Route) -> dict[str, Any]:
    once = "".join(f" `{name}` is null then, it is shown once." for name in route.shown_once)
    described = {
        "name": KEY_HEADER,
        "in": "header",
        "description": "A new one for each new call (a UUID). The same call with the same key, within a day, is not"
        " made again: it is answered as it was." + once,
        "schema": {"type": "string", "pattern": KEY_PATTERN},
    }
    return described | ({"required": True} if route.key_required else {})


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    described = route.query.model_json_schema()
    needed = described.get("required", ())
    return [
        _query_parameter(name, schema, name in needed, route.part_schemas.get(name, {}))
        for name, schema in described["properties"].items()
    ]


def _query_parameter(name: str, schema: dict[str, Any], needed: bool, own: dict[str, Any]) -> dict[str, Any]:
    """One that is left out is absent, not null: a query string knows no null. `own`: what its route says of it."""
    if schema.get("default", "") is None:
        kind, _null = schema["anyOf"]
        schema = {**kind, "description": schema.get("description", "")}
    shown = {key: value for key, value in schema.items() if key not in ("title", "description")} | own
    _without_nul(shown, {}, set())
    parameter: dict[str, Any] = {"name": name, "in": "query", "schema": shown}
    if schema.get("description"):
        parameter["description"] = schema["description"]
    if needed:
        parameter["required"] = True
    elif shown.get("type") == "boolean":
        parameter["allowEmptyValue"] = True
    return parameter


def _fields(route: Route) -> dict[str, Any]:
    return {
        "name": fields.NAME,
        "in": "query",
        "description": "Only these of the answer's fields, and its ids.",
        "style": "form",
        "explode": False,
        "schema": {
            "type": "array",
            "items": {"type": "string", "enum": route.fields.names},
            "minItems": 1,
            "maxItems": fields.FIELDS_MAX,
        },
    }


def _responses(route: Route, schemas: dict[tuple[str, str], Any]) -> dict[str, Any]:
    ok: dict[str, Any]
    if route.redirects:
        ok = {"description": route.summary}
    elif route.data is None:
        ok = {"description": route.summary, "content": {media: {} for media in route.media_type.split(", ")}}
    else:
        whole = schemas[route.name, "data"]
        envelope = {
            "type": "object",
            "required": ["status", "data", "meta"],
            "properties": {
                "status": {"const": "SUCCESS"},
                "data": {"anyOf": [whole, _PICKED]} if route.picks else whole,
                "meta": schemas["", "meta"],
            },
        }
        ok = {"description": route.summary, "content": {"application/json": {"schema": envelope}}}
    told = (
        *_EVERYWHERE,
        *(("ETag",) if route.conditional else ()),
        *(() if route.deprecated is None else deprecation.NAMES),
    )
    ok["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in told}
    if route.takes_key:
        ok["headers"]["Idempotency-Replayed"] = {"$ref": "#/components/headers/Idempotency-Replayed"}
    status, where = _place(route)
    if where:
        ok["headers"]["Location"] = {"description": where, "schema": {"type": "string"}}
    answers = {status: ok}
    if route.links:
        link = {"description": "A URL that is good for five minutes.", "schema": {"type": "string"}}
        answers["303"] = {"description": "It is at another place.", "headers": {"Location": link}}
    if route.conditional:
        answers["304"] = {"description": "It did not change.", "headers": dict(ok["headers"])}
    return answers | {
        str(status): {"$ref": f"#/components/responses/{_refusal_name(codes)}"}
        for status, codes in _by_status(route).items()
    }


def _place(route: Route) -> tuple[str, str]:
    """The status of what succeeds, and what its Location is."""
    if route.creates:
        return "201", "The path of what was created."
    if route.begins:
        return "202", "The path of the job."
    return ("303", "Where to go on.") if route.redirects else ("200", "")


def _by_status(route: Route) -> dict[int, list[Code]]:
    """The errors of a route, by status, in one order for all routes."""
    found: dict[int, list[Code]] = {}
    for code in sorted(errors_of(route), key=_ORDER.__getitem__):
        found.setdefault(code.status, []).append(code)
    return found


def _refusal_name(codes: list[Code]) -> str:
    return ".".join(code.name for code in codes)


def _error_response(status: int, codes: list[Code], schemas: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
    code = {"properties": {"code": {"enum": [code.name for code in codes]}}}
    envelope, problem = schemas["", "error"], schemas["", "problem"]
    response: dict[str, Any] = {
        "description": "; ".join(f"`{code.name}`: {code.title}" for code in codes),
        "content": {
            "application/json": {"schema": {"allOf": [envelope, {"properties": {"error": code}}]}},
            "application/problem+json": {"schema": {"allOf": [problem, code]}},
        },
    }
    if status in _WAITING:
        response["headers"] = {"Retry-After": {"$ref": "#/components/headers/Retry-After"}}
    if status == 429:
        response["headers"] |= {name: {"$ref": f"#/components/headers/{name}"} for name in _EVERYWHERE}
    return response


def _introduction() -> str:
    classes = "\n".join(f"| `{name}` | {' | '.join(map(str, numbers))} |" for name, numbers in CALLS.items())
    rows = "\n".join(f"| `{code.name}` | {code.status} | {code.title} |" for code in Code)
    return (
        "Send the header `Authorization: Bearer TOKEN`. TOKEN is the `access_token` of a login "
        "(POST /identity-service/api/auth/login), or `web.dev_token` of the settings: `gcc-dev` in those that come "
        "with the platform. Without it only what has no lock here answers.\n\n"
        'Success: `{"status": "SUCCESS", "data": ..., "meta": {cursor, total, as_of, source}}`, and in `meta` a '
        "`note` that tells why where there is nothing. "
        'Error: `{"status": "ERROR", "data": null, "error": {code, title, detail, errors, request_id}}`. '
        "With `Accept: application/problem+json` it is problem details (RFC 9457) of the same facts: {type, title, "
        "status, detail, instance, code, errors}. A body is JSON in UTF-8: each name once in an object, integers to "
        "2^53, 32 deep. `x-bb-timeout-ms` (50 to 20000) makes the deadline shorter. "
        "Every answer carries `x-bb-requestid`; a UUID sent in that header is kept. Times are UTC.\n\n"
        f"How often one may ask is told by each operation's x-rate-class: so many calls in any {WINDOW_S} s, of a "
        "partner, all who belong to it together; `open` and `login` of an address; `staff` of the token of an operator "
        "or a service, whatever it asks. A refusal (429) tells in Retry-After when to come back, RateLimit in every "
        "answer how many calls are left.\n\n"
        f"| class | FREE | SAAS | PAID |\n| --- | --- | --- | --- |\n{classes}\n\n"
        "x-who is the least role that may ask: VIEWER, EDITOR, OWNER (each may do what those before it may), OPERATOR, "
        "SERVICE; x-plan the least plan.\n\n"
        f"| code | status | meaning |\n| --- | --- | --- |\n{rows}\n"
    )
