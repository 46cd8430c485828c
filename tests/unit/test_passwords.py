"""What is looked through for secrets may be of any length: an argument, a setting, an error."""

import time

import pytest

from gcc.cli import main
from gcc.passwords import masked, passwords

CHARS = 200_000
THREAD_S_MAX = 0.5

LONG = [
    "a", "://a:b", "password=", "password=x ", "password='", "password='\\", "a=", "a =", "a ", "'", "=", " ", ":", "/",
    ":/", "@", ":/a:b@", "%25", "scram_", "_key", "\\", "a='", "'password=", "s3://?password=", "password=,",
    "password={number} ",
]  # fmt: skip


def of_many(piece: str) -> str:
    return "".join(piece.replace("{number}", str(number)) for number in range(CHARS // len(piece)))


@pytest.mark.parametrize("piece", LONG)
@pytest.mark.parametrize("end", ["", "=", "@", "'", "\n"])
def test_a_long_text_is_looked_through_once(piece: str, end: str) -> None:
    text = of_many(piece) + end
    began = time.thread_time()
    masked(text, passwords(text))
    assert time.thread_time() - began < THREAD_S_MAX


@pytest.mark.parametrize("piece", LONG)
def test_a_long_argument_is_refused_at_once(piece: str, capsys: pytest.CaptureFixture[str]) -> None:
    began = time.thread_time()
    assert main(["flows", "x" + of_many(piece)]) == 2
    assert time.thread_time() - began < 2 * THREAD_S_MAX
    assert capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("password=a,password=b", {"a,password=b"}),  # a value has commas
        ("password=a;password=b", {"a", "b"}),
        ("password = 'a\\'b c' pwd=d", {"a\\'b c", "d"}),
        ("host=h,password=a", {"a"}),
        ("options='-c x.password=a'", {"a"}),
        ("postgresql://u:a:b@c@h/d?sslpassword=e#f", {"a:b@c", "e"}),
        ("amqp://a:b@c amqp://d:e@f", {"b@c amqp://d:e"}),
        ("s3://b/token=1/key=2", set()),
        ("s3://b/token=1?token=2", {"2"}),
        ("s3://b/u:a@c", {"a"}),
        ("://a:@", set()),
    ],
)
def test_what_is_secret_in_a_text(text: str, found: set[str]) -> None:
    assert passwords(text) == found
