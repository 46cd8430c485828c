"""Clients written for the last release go on working: what docs/openapi.json promised, this tree still keeps.

More may come at any time. A release renews the file: `python -m gcc.supervisor openapi > docs/openapi.json`.
"""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gcc import cli
from gcc.config import load
from gcc.web.gateway.document import document

RELEASED = Path(__file__).parents[2] / "docs" / "openapi.json"
Schema = dict[str, Any]


def breaks(old: Schema, new: Schema) -> Iterator[str]:
    """What a client of `old` relies on and `new` does not keep."""
    for path, methods in old["paths"].items():
        for method, was in methods.items():
            where = f"{method.upper()} {path}"
            now = new["paths"].get(path, {}).get(method)
            if now is None:
                yield f"{where} is gone"
                continue
            for told in (*_asked(was, now), *_sent(was, now, old, new), *_answered(was, now, old, new)):
                yield f"{where}: {told}"


def _asked(was: Schema, now: Schema) -> Iterator[str]:
    before, after = ({(p["in"], p["name"]): p for p in each.get("parameters", ())} for each in (was, now))
    for key, parameter in before.items():
        if key not in after:
            yield f"{' '.join(key)} is gone"
        else:
            yield from _narrower(" ".join(key), parameter["schema"], after[key]["schema"], {}, {})
    for key, parameter in after.items():
        if parameter.get("required") and not before.get(key, {}).get("required"):
            yield f"{' '.join(key)} is required now"


def _sent(was: Schema, now: Schema, old: Schema, new: Schema) -> Iterator[str]:
    if (after := now.get("requestBody")) is None:
        if "requestBody" in was:
            yield "its body is gone"
        return
    before = was.get("requestBody", {"content": {}})
    if after.get("required") and not (before.get("required") or _needs_fields(before, old)):
        yield "its body is required now"
    for media, content in before["content"].items():
        if media not in after["content"]:
            yield f"it takes no {media} any more"
        else:
            schema = after["content"][media]["schema"]
            yield from _narrower("body", content["schema"], schema, _components(old), _components(new))


def _needs_fields(body: Schema, document: Schema) -> bool:
    """Whether nothing at all was no body that it took."""
    contents = body["content"].values()
    return any(Fields("body", content["schema"], _components(document)).required for content in contents)


def _narrower(at: str, was: Schema, now: Schema, old: Schema, new: Schema) -> Iterator[str]:
    """What was taken and is not any more."""
    before, after = Fields(at, was, old), Fields(at, now, new)
    yield from (f"{field} is gone" for field in before.kinds.keys() - after.kinds)
    yield from (f"{field} is required now" for field in after.required - before.required)
    for field in before.kinds.keys() & after.kinds:
        yield from (f"{field} takes no {kind} any more" for kind in before.kinds[field] - after.kinds[field])


def _answered(was: Schema, now: Schema, old: Schema, new: Schema) -> Iterator[str]:
    for status, told in was["responses"].items():
        response, after = _whole(told, old) or {}, _whole(now["responses"].get(status), new)
        if after is None:
            if status.startswith("2"):
                yield f"it does not answer {status} any more"
            continue
        yield from (
            f"{status} has no {name} any more"
            for name in response.get("headers", {}).keys() - after.get("headers", {}).keys()
        )
        for media, content in response.get("content", {}).items():
            if media not in after.get("content", {}):
                yield f"{status} is no {media} any more"
            elif status.startswith("2") and "schema" in content:
                schema = after["content"][media]["schema"]
                before_fields = Fields("answer", content["schema"], _components(old))
                after_fields = Fields("answer", schema, _components(new))
                yield from (f"{field} is gone" for field in before_fields.kinds.keys() - after_fields.kinds)
                yield from (f"{field} may be absent now" for field in before_fields.required - after_fields.required)
                for field in before_fields.kinds.keys() & after_fields.kinds.keys():
                    added = {kind for kind in after_fields.kinds[field] - before_fields.kinds[field] if kind[0] != "="}
                    yield from (f"{field} may be {kind} now" for kind in added)


def _whole(response: Schema | None, document: Schema) -> Schema | None:
    if response is None or "$ref" not in response:
        return response
    found: Schema = document["components"]["responses"][response["$ref"].rpartition("/")[2]]
    return found


def _components(document: Schema) -> Schema:
    return dict(document["components"]["schemas"])


class Fields:
    """A schema as a flat list: where in it (body.filters[].name) stands what kind of value, and what must be there."""

    def __init__(self, at: str, schema: Schema, components: Schema) -> None:
        self.kinds: dict[str, set[str]] = {}
        self.required: set[str] = set()
        self._components = components
        self._add(at, schema, ())

    def _add(self, at: str, schema: Schema, within: tuple[str, ...]) -> None:
        name = schema.get("$ref", "").rpartition("/")[2]
        if name:
            if name not in within:
                self._add(at, self._components[name], (*within, name))
            return
        kinds = self.kinds.setdefault(at, set())
        kinds.update([schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type", ()))
        kinds.update(f"={value}" for value in schema.get("enum", ()))
        for each in (*schema.get("anyOf", ()), *schema.get("allOf", ()), *schema.get("oneOf", ())):
            self._add(at, each, within)
        if isinstance(schema.get("items"), dict):
            self._add(f"{at}[]", schema["items"], within)
        for field, inside in schema.get("properties", {}).items():
            self._add(f"{at}.{field}", inside, within)
        self.required.update(f"{at}.{field}" for field in schema.get("required", ()))


@pytest.fixture(scope="module")
def now() -> Schema:
    return document(load(None, environ={}))


def test_what_the_last_release_promised_is_kept(now: Schema) -> None:
    assert list(breaks(json.loads(RELEASED.read_text()), now)) == []


BOARD = "/leaderboard-service/api/leaderboard/platform/{platform}"
SERIES = "/discovery-service/api/profile/{platform}/{handle}/timeseries"
ADDED: dict[str, Callable[[Schema], object]] = {
    "a path": lambda new: new["paths"].update({"/new": new["paths"]["/heartbeat"]}),
    "a parameter": lambda new: new["paths"][BOARD]["post"]["parameters"].append(
        {"in": "query", "name": "new", "schema": {"type": "string"}}
    ),
    "a field of a body": lambda new: _body(new)["properties"].update(new={"type": "string"}),
    "a value that a body may have": lambda new: _body(new)["properties"]["metric"]["enum"].append("new"),
    "a field of an answer": lambda new: _row(new)["properties"].update(new={"type": "string"}),
    "an error": lambda new: new["paths"][BOARD]["post"]["responses"].update(
        {"418": new["paths"][BOARD]["post"]["responses"]["422"]}
    ),
}
BROKEN: dict[str, tuple[Callable[[Schema], object], str]] = {
    "a path": (lambda new: new["paths"].pop(BOARD), f"POST {BOARD} is gone"),
    "a parameter": (lambda new: new["paths"][SERIES]["get"]["parameters"].pop(), f"GET {SERIES}: query granularity"),
    "a parameter that must be there": (
        lambda new: new["paths"][SERIES]["get"]["parameters"][2].update(required=True),
        "query metric is required now",
    ),
    "a value of a parameter": (
        lambda new: new["paths"][SERIES]["get"]["parameters"][2]["schema"]["enum"].remove("views"),
        "query metric takes no =views any more",
    ),
    "a field of a body": (lambda new: _body(new)["properties"].pop("month"), "body.month is gone"),
    "a field that must be sent": (lambda new: _body(new).update(required=["month"]), "body.month is required now"),
    "a field of another kind": (
        lambda new: _body(new)["properties"]["limit"].update(type="string"),
        "body.limit takes no integer any more",
    ),
    "a field of an answer": (lambda new: _row(new)["properties"].pop("rank"), "answer.data[].rank is gone"),
    "a field that may be absent": (
        lambda new: _row(new)["required"].remove("rank"),
        "answer.data[].rank may be absent now",
    ),
    "a field that may be null": (
        lambda new: _row(new)["properties"]["rank"].update(type=["integer", "null"]),
        "answer.data[].rank may be null now",
    ),
    "a success": (lambda new: new["paths"][BOARD]["post"]["responses"].pop("200"), "does not answer 200"),
    "a header": (
        lambda new: new["paths"][BOARD]["post"]["responses"]["200"]["headers"].pop("x-bb-requestid"),
        "200 has no x-bb-requestid any more",
    ),
}


def _body(new: Schema) -> Schema:
    found: Schema = new["components"]["schemas"]["LeaderboardBody"]
    return found


def _row(new: Schema) -> Schema:
    found: Schema = new["components"]["schemas"]["LeaderboardRow"]
    return found


@pytest.mark.parametrize("change", ADDED)
def test_more_breaks_nothing(now: Schema, change: str) -> None:
    new = copy.deepcopy(now)
    ADDED[change](new)
    assert new != now and list(breaks(now, new)) == []


@pytest.mark.parametrize("change", BROKEN)
def test_less_is_told(now: Schema, change: str) -> None:
    new = copy.deepcopy(now)
    BROKEN[change][0](new)
    told = list(breaks(now, new))
    assert told and any(BROKEN[change][1] in each for each in told)


def test_the_verb_prints_it_and_no_platform_runs(
    now: Schema, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in ([], ["--json"], ["--port", "gateway"]):
        assert cli.main(["openapi", "--data", str(tmp_path / "none"), *words]) == 0
        assert json.loads(capsys.readouterr().out) == now
    assert not (tmp_path / "none").exists()


def test_a_port_that_is_not_served_has_no_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["openapi", "--port", "beat", "--data", str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert told.out == "" and "the beat API (beat_api.port) is not served yet" in told.err


def test_operations_tell_who_may_ask_and_as_what_they_count(now: Schema) -> None:
    board, series = now["paths"][BOARD]["post"], now["paths"][SERIES]["get"]
    assert (board["x-who"], board["x-plan"], board["x-rate-class"]) == ("VIEWER", "FREE", "read")
    assert "x-forced-rate-class" not in series
    profile = now["paths"]["/discovery-service/api/profile/{platform}/{handle}"]["get"]
    assert profile["x-forced-rate-class"] == "scrape"
    assert now["paths"]["/heartbeat"]["get"]["x-who"] == "OPEN"
