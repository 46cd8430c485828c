"""Whatever the settings hold, and however wrong: no verb prints a secret, and none ends with a traceback."""

import json
from pathlib import Path

import pytest

from gcc.cli import VERBS, main

SECRET = "hunter2hunter2"
WORDS = {
    "pause": ["WHAT", "--why", "x"],
    "resume": ["WHAT", "--why", "x"],
    "concurrency": ["FLOW", "1", "--why", "x"],
    "jobs": ["list"],
    "credentials": ["list"],
    "users": ["add", "a@b.example", "--role", "operator"],
    "import-history": ["FILE"],
}
ALONE = ("flows", "models", "openapi", "schedules", "sync")
"""Verbs that tell what is declared where no platform runs: they need no store."""
WRONG = [
    ("GCC_POSTGRES", f"postgresql://u:{SECRET}@h/d"),
    ("GCC_POSTGRES__URL", f"postgresql://u:{SECRET}@[/x"),
    ("GCC_POSTGRES__URL", f"postgresql://u:{SECRET}@127.0.0.1:1:2/x"),
    ("GCC_POSTGRES__WEB_POOL", f"postgresql://u:{SECRET}@h/d"),
    ("GCC_SOURCES__GRAPHAPI", SECRET),
    ("GCC_SOURCES__GRAPHAPI__TOKENS", SECRET),
    ("GCC_SOURCES__GRAPHAPI__TOKENS", json.dumps({"a": SECRET})),
    ("GCC_SOURCES__GRAPHAPI__BASE_URL", f"http://u:{SECRET}@[/x"),
    ("GCC_EXCHANGE__URL", f"amqp://u:{SECRET}@[/x"),
    ("GCC_REDIS__URL", f"redis://u:{SECRET}@[/x"),
    ("GCC_CLICKHOUSE__URL", f"http://u:{SECRET}@[/x"),
    ("GCC_POSTGRES__URL", f"postgresql://u:12/{SECRET}@127.0.0.1/d"),
    ("GCC_POSTGRES__URL", f"postgresql:///u:{SECRET}@127.0.0.1/d"),
    ("GCC_POSTGRES__URL", f"host=h,password={SECRET}"),
    ("GCC_POSTGRES__URL", f"host=h pass={SECRET}"),
    ("GCC_EXCHANGE__URL", f"amqp://u:12/{SECRET}@127.0.0.1"),
    ("GCC_REDIS__URL", f"redis://u:12/{SECRET}@127.0.0.1:6379/0"),
    ("GCC_CLICKHOUSE__URL", f"http://u:12/{SECRET}@127.0.0.1:8123/d"),
    ("GCC_CLICKHOUSE__URL", "http://127.0.0.1:1/d;password=" + SECRET),
    ("GCC_OBJECTS__SECRET_KEY", SECRET),
    ("GCC_OBJECTS__URL", f"s3://{SECRET}@x"),
    ("GCC_ROLES", SECRET),
    ("GCC_REPORTS__TIMEZONE", SECRET),
]
"""Variables that some verb has to refuse."""
AWAY = {
    "GCC_POSTGRES__URL": f"postgresql://u:{SECRET}@127.0.0.1:1/gcc?connect_timeout=1&sslpassword={SECRET}",
    "GCC_CLICKHOUSE__URL": f"http://u:{SECRET}@127.0.0.1:1/x",
    "GCC_EXCHANGE__URL": f"amqp://u:{SECRET}@127.0.0.1:1/gcc",
    "GCC_REDIS__URL": f"redis://:{SECRET}@127.0.0.1:1/0",
    "GCC_OBJECTS__ENDPOINT_URL": "http://127.0.0.1:1",
    "GCC_OBJECTS__URL": "s3://bucket",
    "GCC_OBJECTS__ACCESS_KEY": SECRET,
    "GCC_OBJECTS__SECRET_KEY": SECRET,
    "GCC_SOURCES__GRAPHAPI__TOKENS": json.dumps([f"17:{SECRET}"]),
    "GCC_WEB__DEV_TOKEN": SECRET,
}


def said(capfd: pytest.CaptureFixture[str]) -> str:
    out, err = capfd.readouterr()
    assert SECRET not in out + err
    assert "Traceback" not in out + err
    return out + err


@pytest.mark.parametrize("verb", VERBS)
def test_a_wrong_setting_with_a_secret_is_named_and_not_repeated(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in WRONG:
        if verb == "run" and name.endswith(("_KEY", "TOKENS", "BASE_URL")):
            continue  # may well be right
        with monkeypatch.context() as patched:
            patched.setenv(name, value)
            code = main([verb, *WORDS.get(verb, []), "--data", str(tmp_path / "data")])
        assert (code != 0 or verb in ALONE, name) == (True, name)
        said(capfd)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "words",
    [
        ["--set", f"postgres.url=postgresql://u:{SECRET}@[/x"],
        ["--set", f"postgres.url=postgresql://u:{SECRET}@h/d"],
        ["--set", f"postgres.url=host=h Password={SECRET}"],
        ["--set", f"postgresql://u:{SECRET}@h/d"],
        ["--set", f"postgres=postgresql://u:{SECRET}@h/d"],
        [f"postgres.url=postgresql://u:{SECRET}@h/d"],
        [f"postgresql://u:{SECRET}@h/d"],
        [f"--postgres.url=postgresql://u:{SECRET}@h/d"],
        ["--set", f'sources={{"graphapi": {{"tokens": ["{SECRET}"]}}}}'],
    ],
)
def test_a_secret_on_the_command_line_is_refused_and_not_repeated(
    verb: str, words: list[str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code = main([verb, *WORDS.get(verb, []), *words, "--data", str(tmp_path)])
    assert code != 0
    assert said(capfd).count("\n") == 1 or verb == "doctor"


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "run"])
def test_stores_that_are_away_are_told_without_their_passwords(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, value in AWAY.items():
        monkeypatch.setenv(name, value)
    code = main([verb, *WORDS.get(verb, []), "--data", str(tmp_path)])
    assert (code != 0) == (verb not in ALONE)
    assert said(capfd)
