"""What tokens are signed with, and how that is replaced (forged ones: tests/integration/test_api_identity.py)."""

import base64
import uuid
from pathlib import Path

import pytest

from gcc.config import Settings, load
from gcc.config.sections import Auth
from gcc.errors import ConfigError
from gcc.web.identity.tokens import AccessTokens, Secret, Untrue, secrets_of

OLD, NEW = b"o" * 32, b"n" * 48
NOW = 1_790_000_000.0


def written(*secrets: bytes) -> str:
    return ",".join(base64.b64encode(each).decode() for each in secrets)


def settings(folder: Path, jwt_secret: str = "") -> Settings:
    return Settings(data_dir=folder, auth=Auth(jwt_secret=jwt_secret))


def token(keys: list[Secret]) -> str:
    some = uuid.uuid4()
    return AccessTokens(keys).signed(NOW, user=some, session=some, partner_id=7, account=some, role="VIEWER")


def test_while_a_secret_is_replaced_tokens_of_both_open(tmp_path: Path) -> None:
    before, both, after = (
        secrets_of(settings(tmp_path, text)) for text in (written(OLD), written(NEW, OLD), written(NEW))
    )
    assert AccessTokens(both).verified(token(before), NOW).pid == 7
    assert AccessTokens(after).verified(token(both), NOW).pid == 7, "the newest signs"
    for keys, made in ((after, token(before)), (before, token(both))):
        with pytest.raises(Untrue):
            AccessTokens(keys).verified(made, NOW)


def test_without_a_secret_the_data_folder_keeps_one(tmp_path: Path) -> None:
    first, again = secrets_of(settings(tmp_path)), secrets_of(settings(tmp_path))
    assert first == again and len(first[0].raw) == 32
    assert (tmp_path / "auth.key").stat().st_mode & 0o777 == 0o600
    other = tmp_path / "other"
    other.mkdir()
    assert secrets_of(settings(other)) != first
    assert repr(first[0].raw) not in repr(first)


@pytest.mark.parametrize("text", ["x", written(b"short"), written(NEW) + ",", "," + written(NEW), written(NEW) + ",é"])
def test_what_is_no_secret_refuses_to_start_without_repeating_it(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="GCC_AUTH__JWT_SECRET") as refused:
        secrets_of(settings(tmp_path, text))
    assert text not in str(refused.value) or text == "x"


def test_a_secret_stands_in_the_environment_alone(tmp_path: Path) -> None:
    file = tmp_path / "gcc.toml"
    file.write_text(f"[auth]\njwt_secret = '{written(NEW)}'")
    with pytest.raises(ConfigError, match="GCC_AUTH__JWT_SECRET") as refused:
        load(file, environ={})
    assert written(NEW) not in str(refused.value)
    found = load(None, environ={"GCC_AUTH__JWT_SECRET": written(NEW), "GCC_GATEWAY__HOST": "0.0.0.0"})
    assert secrets_of(found) == [Secret(NEW)]
