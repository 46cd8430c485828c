"""The OpenAPI document against the code: what the code refuses the document refuses, what it allows is never refused.

Each parameter and each field of a body is tried with a pool of values, good and nasty: document and code must agree.
"""

import json
import re
import unicodedata
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from gcc.config import load
from gcc.pipelines.scraping.refresh import Refreshed
from gcc.platforms import PLATFORMS
from gcc.stores.clickhouse import ClickHouse
from gcc.stores.postgres import Pool
from gcc.web.api import openapi
from gcc.web.api.naming import SHOWN, Naming
from tests.integration.api_serving import Api, add_instagram, add_youtube, serving_api

TEXTS = [
    "", " ", "0", "1", "50", "100", "101", "200", "201", "-1", "1.5", "1e2", "9223372036854775808", "x", "true",
    "false", "maybe", "null", "2026-10", "2026-13", "2026-1", "1969-12", "1970-01", "2199-12", "2200-01",
    "2026-10-01", "2026-10-32", "2026-1-1", "1969-12-31", "1970-01-01", "2199-12-31", "2200-01-01", "20261001",
    "2026-12-31T18:30:00Z", "followers", "FOLLOWERS", "engagement_rate", "avg_views", "views", "day", "week",
    "month", "year", "INSTAGRAM", "YOUTUBE", "TIKTOK", "instagram.", "a\0b", "\0", "é", "a b", "a'b", "😀", "@",
    "@@x", "@known", "known", "a.b", ".a", "a.", "a..b", "a-b", "a_b", "x" * 30, "x" * 31, "@" + "x" * 30,
    "@" + "x" * 31, "x" * 100, "x" * 101, "x" * 512, "x" * 513, "x" * 3000, "कविता", "日本", "a·b", "a,b", "%",
    "%00", "<script>", "a\\b", "a;b", "UC" + "a" * 22, "\u200b", "→", "ⅳ", "ＡＢ", "swagger-ui.css",
    "docs.js", "index.html", "\ue000",
]  # fmt: skip
WHOLE = 1.0  # is an integer for a schema, and none for a strict model
VALUES = [
    None, True, False, 0, 1, 50, 200, 201, -1, WHOLE, 1.5, 2**31, 2**63, -(2**63), 1e300, [], ["followers"], {},
    {"a": 1}, [[[[]]]], *(text for text in TEXTS if len(text) < 1000),
]  # fmt: skip
OPAQUE = "cursor"  # what it must say cannot be described; the tests of cursors are elsewhere


@pytest.fixture
async def api(pool: Pool, clickhouse: ClickHouse) -> AsyncIterator[Api]:
    async with serving_api(pool, clickhouse) as api:
        await add_instagram(pool, "known")
        await add_youtube(pool, "UC" + "a" * 22, "known")
        api.refresher.refreshed = Refreshed("NOT_FOUND", "no such user")
        yield api


def allows(schema: dict[str, Any], value: Any, components: dict[str, Any]) -> bool:
    """Whether `value` is as a schema of ours says; a word of a schema that is not known here fails."""
    if "$ref" in schema:
        return allows(components[schema["$ref"].rpartition("/")[2]], value, components)
    known = {
        "type", "enum", "const", "anyOf", "minimum", "maximum", "minLength", "maxLength", "pattern", "format",
        "properties", "additionalProperties", "title", "description", "default", "examples", "items", "maxItems",
        "minItems",
    }  # fmt: skip
    assert set(schema) <= known, set(schema) - known
    kinds = {"string": str, "integer": int, "boolean": bool, "null": type(None), "object": dict, "array": list}
    if "type" in schema:
        whole = isinstance(value, float) and value.is_integer() and schema["type"] == "integer"
        if not (isinstance(value, kinds[schema["type"]]) or whole) or (
            isinstance(value, bool) and schema["type"] != "boolean"
        ):
            return False
    if isinstance(value, str):
        if not schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)):
            return False
        if "pattern" in schema and not re.search(schema["pattern"], value):
            return False
    if isinstance(value, int | float) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return False
    if isinstance(value, list) and schema.get("type") == "array":
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            return False
        return all(allows(schema["items"], each, components) for each in value)
    if isinstance(value, dict) and "properties" in schema:
        known_names = schema["properties"]
        return set(value) <= set(known_names) and all(
            allows(known_names[name], each, components) for name, each in value.items()
        )
    if "anyOf" in schema and not any(allows(each, value, components) for each in schema["anyOf"]):
        return False
    return value in schema["enum"] if "enum" in schema else True


def read(schema: dict[str, Any], text: str) -> Any:
    """A text of a query or a path as its schema's type has it."""
    kinds = [each.get("type") for each in schema.get("anyOf", [schema])]
    if "integer" in kinds and re.fullmatch(r"-?[0-9]+", text):
        return int(text)
    if "array" in kinds:
        return text.split(",")
    if "boolean" in kinds and text in ("true", "false"):
        return text == "true"
    return text


async def fetch(api: Api) -> dict[str, Any]:
    return dict((await api.client.get("/openapi.json")).json())


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


CONFIG = Path(__file__).parents[2] / "config" / "embedded.toml"
GOOD = {
    "id": "01a14126-6e00-7ccb-8000-000000000000",
    "partner_id": "7",
    "platform": "INSTAGRAM",
    "handle": "known",
    "profile_id": "ig-known",
    "category": "x",
    "language": "x",
    "file": "docs.js",
}


IDENTITY = "/identity-service/api"
OPEN = {
    "/heartbeat", "/metrics", f"{IDENTITY}/device/init", f"{IDENTITY}/auth/login", f"{IDENTITY}/auth/refresh",
    f"{IDENTITY}/auth/reset", f"{IDENTITY}/invitations/accept", f"{IDENTITY}/connect/{{platform}}/callback",
}  # fmt: skip
OF_ITS_OWN = {"INVALID_URL", "TOKEN_INVALID", "WEAK_PASSWORD"}
"""What no schema can say of a text."""
START = f"{IDENTITY}/connect/{{platform}}/start"
WHOLE_BODIES = {
    "/identity-service/api/device/init": {"client_id": "web"},
    "/identity-service/api/auth/login": {"email": "a@b.example", "password": "x"},
    "/identity-service/api/auth/password": {"old": "x", "new": "a long new one"},
    f"{IDENTITY}/auth/reset": {"token": "x", "password": "a long new one"},
    f"{IDENTITY}/invitations/accept": {"token": "x", "password": "a long new one", "name": "x"},
    f"{IDENTITY}/invitations": {"email": "a@b.example", "role": "VIEWER"},
    f"{IDENTITY}/accounts": {"name": "x"},
    f"{IDENTITY}/accounts/{{id}}": {"name": "x"},
    f"{IDENTITY}/api-keys": {"name": "x"},
    f"{IDENTITY}/webhooks": {"url": "https://hooks.brand.example/", "events": ["webhook.test"]},
    START: {
        "account_id": "01a14126-6e00-7ccb-8000-000000000000",
        "return_to": "http://127.0.0.1/",
    },
    f"{IDENTITY}/partners": {"name": "x", "owner_email": "a@b.example"},
    "/partner-usage-service/api/consume": {"partner_id": 7, "module": "EXPORT", "subject": "x"},
    "/partner-usage-service/api/profile-page": {"platform": "INSTAGRAM", "profile_id": "ig-known"},
    f"{IDENTITY}/partners/{{id}}/contracts": {
        "plan": "SAAS",
        "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2027-01-01T00:00:00Z",
    },
}
"""Of those that need more than one field."""


def filled(path: str, **parts: str) -> str:
    return re.sub(r"{(\w+)}", lambda part: quote({**GOOD, **parts}[part[1]], safe=""), path)


async def agrees(api: Api, allowed: bool, method: str, path: str, told: Any, **options: Any) -> None:
    own_key = {"idempotency-key": str(uuid.uuid4())}
    response = await api.client.request(method, path, **{**options, "headers": own_key | options.get("headers", {})})
    where = (method, path, told, response.text[:300])
    assert response.status_code < 500, where
    if allowed and not (response.status_code == 422 and response.json()["error"]["code"] in OF_ITS_OWN):
        assert response.status_code not in (400, 414, 415, 422, 431), where
    elif not allowed:
        assert 400 <= response.status_code < 500, where


async def test_it_tells_the_token_and_what_is_open_without_one(api: Api) -> None:
    document = await fetch(api)
    assert f"`{load(CONFIG, environ={}).web.dev_token}` in those that come" in document["info"]["description"]
    for method, path, _ in operations(document):
        response = await api.client.request(method, filled(path), headers={"Authorization": ""})
        opens = (path in OPEN or path.startswith(("/openapi", "/docs"))) and (method, path) != ("PUT", "/heartbeat")
        asked_for = response.status_code == 401 and "Authorization" in response.json()["error"]["detail"]
        assert asked_for is not opens, path


async def test_an_open_path_tells_everybody_which_methods_it_has_and_no_other_does(api: Api) -> None:
    document = await fetch(api)
    opens = {route.path for route in api.app.routed.values() if route.who == "OPEN"}
    for path in {path for _, path, _ in operations(document)}:
        response = await api.client.request("TRACE", filled(path), headers={"Authorization": ""})
        if path in opens:
            assert response.status_code == 405 and response.headers["allow"], path
            assert response.headers["ratelimit-policy"].startswith('"open"')
        else:
            assert response.status_code == 401, path


async def test_parts_of_paths(api: Api) -> None:
    tried = 0
    document = await fetch(api)
    for method, path, operation in operations(document):
        for parameter in (each for each in operation["parameters"] if each["in"] == "path"):
            name, schema = parameter["name"], parameter["schema"]
            assert parameter["description"] and (schema.get("enum") or schema.get("maxLength"))
            for platform in PLATFORMS if name == "handle" else ("INSTAGRAM",):
                for text in TEXTS:
                    if text in ("", ".", "..") or "/" in text:
                        continue  # another path
                    allowed = allows(schema, text, {})
                    if name == "handle":  # which pattern holds depends on the platform
                        own = next(each for each in schema["anyOf"] if each["title"] == platform)
                        allowed = allowed and bool(re.search(own["pattern"], text))
                    parts = {"platform": platform, name: text}
                    more = {"json": WHOLE_BODIES[path]} if path == START else {}
                    await agrees(api, allowed, method, filled(path, **parts), (platform, text), **more)
                    tried += 1
    assert tried > 500


async def test_queries(api: Api) -> None:
    tried = 0
    document = await fetch(api)
    for method, path, operation in operations(document):
        for parameter in (each for each in operation["parameters"] if each["in"] == "query"):
            name, schema = parameter["name"], parameter["schema"]
            for text in TEXTS:
                allowed = allows({**schema, "format": ""}, read(schema, text), {})
                if name == OPAQUE and allowed:
                    continue
                allowed = allowed or (text == "" and parameter.get("allowEmptyValue", False))
                # A date alone may be out of order with the default of the other one, which no schema can say.
                query = {"from": text, "to": text} if name in ("from", "to") else {name: text}
                if schema.get("type") == "boolean" and text in ("0", "1"):
                    continue  # understood besides
                await agrees(api, allowed, method, filled(path), (name, text), params=query)
                tried += 1
            await agrees(api, False, method, filled(path), "unknown", params={"no_such_name": "1"})
    assert tried > 300


async def test_bodies(api: Api) -> None:
    tried = 0
    document = await fetch(api)
    components = document["components"]["schemas"]
    for method, path, operation in operations(document):
        if "requestBody" not in operation:
            continue
        body = components[operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]]
        assert body["additionalProperties"] is False
        whole = WHOLE_BODIES.get(path, {})
        for name, schema in body["properties"].items():
            for value in VALUES:
                allowed = allows(schema, value, components)
                if (name == OPAQUE and isinstance(value, str) and allowed) or value is WHOLE:
                    continue
                await agrees(
                    api, allowed, method, filled(path), (name, value), content=json.dumps(whole | {name: value})
                )
                tried += 1
        for other in ({"no_such_field": 1}, [], "x", None, 7):
            await agrees(api, False, method, filled(path), other, content=json.dumps(other))
    assert tried > 300


def test_the_document_refuses_no_handle_that_can_exist() -> None:
    patterns = {each["title"]: each["pattern"] for each in Naming(SHOWN).part_schemas["handle"]["anyOf"]}
    for platform, pattern in patterns.items():
        looks = re.compile(pattern)
        for number in range(0x110000):
            letter = chr(number)
            if unicodedata.category(letter)[0] in "LMN" or letter in "_-.·":
                assert looks.search(f"a{letter}a") or not PLATFORMS[platform].is_handle(f"a{letter}a"), hex(number)
        for letter in (chr(number) for number in range(0x250)):  # the other way round where most are
            assert bool(looks.search(f"a{letter}a")) == PLATFORMS[platform].is_handle(f"a{letter}a"), hex(ord(letter))


async def test_every_answer_that_any_port_gives_is_in_the_document(api: Api) -> None:
    for _, _, operation in operations(await fetch(api)):
        statuses = {str(code.status) for code in openapi.EVERYWHERE}
        assert statuses <= set(operation["responses"])
