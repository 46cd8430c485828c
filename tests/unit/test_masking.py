"""No secret is shown, wherever it hides, and what is none stays readable."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcc.masking import MASK, is_secret, masked_body, masked_headers, masked_text, masked_value

S = "s3cr3t-Value_9"


@pytest.mark.parametrize(
    "name",
    [
        "token", "access_token", "accessToken", "refresh-token", "X-Auth-Token", "secret", "clientSecret", "password",
        "PASSWORD", "dbPassword", "api_key", "apiKey", "apikey", "x-api-key", "X-API-Key", "Authorization",
        "Proxy-Authorization", "Cookie", "set-cookie", "credentials", "privateKey", "private_key", "OAUTH_TOKEN",
        "x-shopify-hmac-sha256", "session_id", "JWT", "auth",
    ],
)  # fmt: skip
def test_names_of_secrets(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    "name",
    ["handle", "profile_id", "event_id", "key", "routing_key", "author", "authored_at", "pinned", "keyword", "monkey",
     "secretary", "code", "", "_", "x-retry-count", "content-type", "session", "opinion"],
)  # fmt: skip
def test_names_of_no_secrets(name: str) -> None:
    assert not is_secret(name)


def test_headers_of_secrets_are_masked() -> None:
    shown = masked_headers(
        {
            "Authorization": f"Bearer {S}",
            "cookie": S,
            "x-api-key": S,
            "x-retry-count": "2",
            "referer": f"https://x/?token={S}&a=1",
        }
    )
    assert shown == {
        "Authorization": MASK, "cookie": MASK, "x-api-key": MASK, "x-retry-count": "2",
        "referer": f"https://x/?token={MASK}&a=1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"https://x/y?access_token={S}&limit=3", f"https://x/y?access_token={MASK}&limit=3"),
        (f"https://x/y?a=b&key={S}#top", f"https://x/y?a=b&key={MASK}#top"),
        (f"GET https://x?fields=a,b&api_key={S} failed", f"GET https://x?fields=a,b&api_key={MASK} failed"),
        (f"next=https%3A%2F%2Fx%3Ftoken%3D{S}%26a%3D1", f"next=https%3A%2F%2Fx%3Ftoken%3D{MASK}%26a%3D1"),
        (f"https://ann:{S}@host/path", f"https://{MASK}@host/path"),
        (f"amqp://gcc:{S}@rabbit:5672/%2F", f"amqp://{MASK}@rabbit:5672/%2F"),
        (f"url=https://x?password={S}", f"url=https://x?password={MASK}"),
        (f"sent Bearer {S} to it", f"sent Bearer {MASK} to it"),
        (f'{{"token": "{S}", "a": 1', f'{{"token": {MASK}, "a": 1'),
        (f"{{'token': '{S}', 'a': 1", f"{{'token': {MASK}, 'a': 1"),
        (f'{{"a": "{{\\"token\\": \\"{S}\\", \\"b\\": 2}}"', f'{{"a": "{{\\"token\\": {MASK}, \\"b\\": 2}}"'),
        (f'"token": "{S}', f'"token": {MASK}'),
        (f'"credentials": {{"user": "{S}"', f'"credentials": {MASK}'),
        (f"Cookie: a={S}; b={S}\nHost: x", f"Cookie: {MASK}\nHost: x"),
        (f"authorization: Digest username={S}", f"authorization: {MASK}"),
        (f"password={S}", f"password={MASK}"),
        ("Expected `int`, got `str` - at `$.metrics[...]`", "Expected `int`, got `str` - at `$.metrics[...]`"),
        ("https://x?q=key&code2=4&keyword=a", "https://x?q=key&code2=4&keyword=a"),
        ('{"key": "a", "n": 1', '{"key": "a", "n": 1'),
        ("", ""),
    ],
)
def test_text(text: str, shown: str) -> None:
    assert masked_text(text) == shown


def test_json_is_masked_at_any_depth_and_reads_well() -> None:
    line = {
        "handle": "ann", "n": 3, "token": S, "empty": {"token": None, "secret": ""},
        "list": [{"apiKey": [S, {"a": S}]}, S[:3]],
        "uri": f"https://x?access_token={S}", "extra": json.dumps({"deep": {"password": S, "é": 1}}),
    }  # fmt: skip
    shown, whole = masked_body(json.dumps(line).encode() + b"\n[]", 10_000)
    assert whole and S not in shown
    assert shown.startswith('{\n  "handle": "ann",\n  "n": 3,\n  "token": "•••"') and shown.endswith("}\n[]")
    found = json.loads(shown[:-3])
    assert found["empty"] == {"token": None, "secret": ""}
    assert found["list"] == [{"apiKey": MASK}, S[:3]]
    assert json.loads(found["extra"]) == {"deep": {"password": MASK, "é": 1}}


def test_pairs_of_name_and_value_are_fields_too() -> None:
    pairs = {
        "a": [["x-api-key", S], ["n", "1"]],
        "b": [{"name": "Authorization", "value": S, "n": 1}, {"name": "n", "value": 2}],
    }
    shown, _ = masked_body(json.dumps(pairs).encode(), 10_000)
    assert json.loads(shown) == {
        "a": [["x-api-key", MASK], ["n", "1"]],
        "b": [{"name": "Authorization", "value": MASK, "n": 1}, {"name": "n", "value": 2}],
    }


@pytest.mark.parametrize(
    "body",
    [
        f"\ufeff{{}} token={S}".encode(),
        b'\xff{"token": "' + S.encode() + b'"}',
        (b'{"a":' * 5000) + b'{"token": "' + S.encode() + b'"}',
        b'{"token": "' + S.encode() + b'", "n": ' + b"9" * 5000 + b"}",
        json.dumps({"a": "[" * 3000 + f'"token": "{S}"'}).encode(),
        json.dumps({"a": "x" * 300_000, "token": S}).encode(),
    ],
)
def test_what_is_no_plain_json_hides_its_secrets_too(body: bytes) -> None:
    shown, _ = masked_body(body, 1_000_000)
    assert S not in shown


def test_a_body_is_shown_up_to_a_bound() -> None:
    assert masked_body(b"abcd\nefgh", 9) == ("abcd\nefgh", True)
    assert masked_body(b"abcd\nefgh", 8) == ("abcd\nefg", False)
    assert masked_body(b"abcd\n" * 100_000, 7) == ("abcd\nab", False)
    assert masked_body(b"x" * 1_000_000, 7) == ("x" * 7, False)
    assert masked_body(b"", 7) == ("", True)


NAMES = st.sampled_from(("token", "apiKey", "client_secret", "Authorization", "x-api-key"))
FIELDS = st.dictionaries(NAMES, st.just(S), min_size=1, max_size=2)
PAIRS = st.tuples(NAMES, st.just(S)) | NAMES.map(lambda name: {"name": name, "value": S})


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(st.text(max_size=5), inner, max_size=2)
            | inner.map(json.dumps)
            | st.dictionaries(NAMES, inner, max_size=2)
            | inner.map(lambda value: {json.dumps(value): 1})
        ),
        max_leaves=6,
    )


@given(nested(FIELDS | PAIRS))
def test_no_json_shows_a_secret(value: Any) -> None:
    shown, _ = masked_body(json.dumps(value).encode(), 100_000)
    assert S not in shown


@given(nested(FIELDS), st.integers(1, 200))
def test_json_that_was_cut_short_shows_no_secret_either(value: Any, cut: int) -> None:
    body = json.dumps(value)
    shown, _ = masked_body(body[: len(body) - cut].encode(), 100_000)
    assert S not in shown


@given(st.text() | st.text(alphabet="token=:\"'\\{}[] &?%3FD26s\n"))
def test_any_text_is_masked_and_nothing_is_added_to_the_rest(text: str) -> None:
    shown = masked_text(text)
    assert len(shown) <= len(text) + len(MASK) * (
        1 + text.count("=") + text.count(":") + text.upper().count("%3D") + text.count("@")
    )


@pytest.mark.parametrize(
    "text",
    ["a=" * 200_000, "\\" * 300_000, "token:" * 60_000, "x" * 400_000, "'token'=\"" * 40_000, "://" * 100_000,
     "token=\\\"" * 50_000, "Bearer " * 60_000],
)  # fmt: skip
def test_hostile_text_costs_little(text: str) -> None:
    began = time.process_time()
    masked_text(text)
    assert time.process_time() - began < 2


def test_what_is_nested_too_deep_to_be_looked_through_is_not_shown() -> None:
    nested: Any = {"token": S}
    for _ in range(100_000):
        nested = [nested]
    assert masked_value({"a": [1, {"token": S}]}) == {"a": [1, {"token": MASK}]}
    assert masked_value(nested) == MASK
