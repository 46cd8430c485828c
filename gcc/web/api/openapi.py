"""The OpenAPI 3.1 document, made from the declared routes, their models and the table of errors."""

import re
from collections.abc import Iterable
from typing import Any

import pydantic

from gcc.web.api import shapes
from gcc.web.api.errors import Code
from gcc.web.api.route import Route

UNREADABLE = (
    Code.BAD_REQUEST, Code.ORIGIN_NOT_ALLOWED, Code.NO_WEBSOCKET, Code.REQUEST_TIMEOUT, Code.URL_TOO_LONG,
    Code.HOST_NOT_ALLOWED, Code.HEADERS_TOO_LARGE, Code.NOT_IMPLEMENTED, Code.TOO_MANY_CONNECTIONS,
)  # fmt: skip
"""Answers to what never reaches a route: the port and its access rule refuse it."""

EVERYWHERE = (Code.INTERNAL, Code.TIMEOUT, Code.STORE_UNAVAILABLE, *UNREADABLE)
GUARDED = (Code.UNAUTHORIZED,)
PLACELESS = (Code.NOT_FOUND, Code.METHOD_NOT_ALLOWED)
"""Answers of paths and methods that no route has."""

_REFERENCE = "#/components/schemas/{model}"
_WAITING = (429, 503)


def document(routes: Iterable[Route], version: str) -> dict[str, Any]:
    """The whole document as JSON-able data. Every route that has an envelope is in it."""
    listed = list(routes)
    schemas, components = _schemas(listed)
    paths: dict[str, dict[str, Any]] = {}
    for route in listed:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
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
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def errors_of(route: Route) -> tuple[Code, ...]:
    """Every error that a route can answer."""
    guarded = () if route.open else GUARDED
    asked = () if route.query is None else (Code.INVALID_PARAMETER,)
    sent = () if route.body is None else (Code.INVALID_BODY, Code.BODY_TOO_LARGE)
    return tuple(dict.fromkeys((*guarded, *asked, *sent, *route.errors, *EVERYWHERE)))


def _schemas(routes: list[Route]) -> tuple[dict[tuple[str, str], Any], dict[str, Any]]:
    """((route name, "data" | "body") -> schema, components). Query models are spelled out as parameters."""
    inputs: list[tuple[tuple[str, str], Any, pydantic.TypeAdapter[Any]]] = [
        (("", "meta"), "serialization", pydantic.TypeAdapter(shapes.Meta)),
        (("", "error"), "serialization", pydantic.TypeAdapter(shapes.ErrorEnvelope)),
    ]
    for route in routes:
        if route.data is not None:
            inputs.append(((route.name, "data"), "serialization", pydantic.TypeAdapter(route.data)))
        if route.body is not None:
            inputs.append(((route.name, "body"), "validation", pydantic.TypeAdapter(route.body)))
    schemas, definitions = pydantic.TypeAdapter.json_schemas(inputs, ref_template=_REFERENCE)
    by_name = {key: schema for (key, _mode), schema in schemas.items()}
    return by_name, definitions.get("$defs", {})


def _operation(route: Route, schemas: dict[tuple[str, str], Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": [route.path.split("/")[1]],
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": _responses(route, schemas),
    }
    if route.description:
        operation["description"] = route.description
    if route.open:
        operation["security"] = []
    if route.body is not None:
        operation["requestBody"] = {"content": {"application/json": {"schema": schemas[route.name, "body"]}}}
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


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    return [_query_parameter(name, schema) for name, schema in route.query.model_json_schema()["properties"].items()]


def _query_parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """All have a default. One that is left out is absent, not null: a query string knows no null."""
    if schema.get("default", "") is None:
        kind, _null = schema["anyOf"]
        schema = {**kind, "description": schema.get("description", "")}
    shown = {key: value for key, value in schema.items() if key not in ("title", "description")}
    parameter: dict[str, Any] = {"name": name, "in": "query", "schema": shown}
    if schema.get("description"):
        parameter["description"] = schema["description"]
    if shown.get("type") == "boolean":
        parameter["allowEmptyValue"] = True
    return parameter


def _responses(route: Route, schemas: dict[tuple[str, str], Any]) -> dict[str, Any]:
    if route.data is None:
        ok: dict[str, Any] = {"description": route.summary, "content": {route.media_type: {}}}
    else:
        envelope = {
            "type": "object",
            "required": ["status", "data", "meta"],
            "properties": {
                "status": {"const": "SUCCESS"},
                "data": schemas[route.name, "data"],
                "meta": schemas["", "meta"],
            },
        }
        ok = {"description": route.summary, "content": {"application/json": {"schema": envelope}}}
    ok["headers"] = {"x-bb-requestid": {"schema": {"type": "string", "format": "uuid"}}}
    by_status: dict[int, list[Code]] = {}
    for code in errors_of(route):
        by_status.setdefault(code.status, []).append(code)
    return {"200": ok} | {
        str(status): _error_response(status, by_status[status], schemas["", "error"]) for status in sorted(by_status)
    }


def _error_response(status: int, codes: list[Code], envelope: Any) -> dict[str, Any]:
    narrowed = {"properties": {"error": {"properties": {"code": {"enum": [code.name for code in codes]}}}}}
    response: dict[str, Any] = {
        "description": "; ".join(f"`{code.name}`: {code.title}" for code in codes),
        "content": {"application/json": {"schema": {"allOf": [envelope, narrowed]}}},
    }
    if status in _WAITING:
        response["headers"] = {"Retry-After": {"description": "Seconds, where known.", "schema": {"type": "integer"}}}
    return response


def _introduction() -> str:
    rows = "\n".join(f"| `{code.name}` | {code.status} | {code.title} |" for code in Code)
    return (
        "Send the header `Authorization: Bearer TOKEN`. TOKEN is `web.dev_token` of the settings: `gcc-dev` in those "
        "that come with the platform. Only /heartbeat and these documents are open.\n\n"
        'Success: `{"status": "SUCCESS", "data": ..., "meta": {cursor, total, as_of, source}}`, and in `meta` a '
        "`note` that tells why where there is nothing. "
        'Error: `{"status": "ERROR", "data": null, "error": {code, title, detail, errors, request_id}}`. '
        "Every answer carries `x-bb-requestid`; a UUID sent in that header is kept. Times are UTC.\n\n"
        f"| code | status | meaning |\n| --- | --- | --- |\n{rows}\n"
    )
