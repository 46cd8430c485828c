"""Secrets are sealed under a key, for a row; the keys are the settings' or a file's that is ours alone."""

import base64
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gcc.errors import ConfigError
from gcc.stores import data_folder
from gcc.stores.sealing import KEY_FILE, Key, Keys, Unsealable

ROW, OTHER_ROW = bytes(16), bytes([1] * 16)


def key(number: int) -> str:
    return base64.b64encode(bytes([number] * 32)).decode()


def given(*numbers: int) -> Keys:
    return Keys([key(number) for number in numbers], Path("none"))


def test_what_is_sealed_tells_nothing_and_opens_again() -> None:
    keys = given(1)
    sealed = keys.seal({"token": "hush-hush"}, ROW)
    assert b"hush" not in sealed and keys.seal({"token": "hush-hush"}, ROW) != sealed
    assert keys.open(sealed, keys.newest, ROW) == {"token": "hush-hush"}
    assert keys.newest not in key(1) and "AQEB" not in repr(Key.read(key(1)))


@pytest.mark.parametrize(
    ("change", "row", "why"),
    [
        (lambda sealed: sealed, OTHER_ROW, "was changed"),
        (lambda sealed: sealed[:-1], ROW, "was changed"),
        (lambda sealed: sealed[:-1] + bytes([sealed[-1] ^ 1]), ROW, "was changed"),
        (lambda sealed: b"", ROW, "was changed"),
    ],
    ids=["of another row", "shortened", "one bit", "nothing"],
)
def test_what_was_changed_does_not_open(change: object, row: bytes, why: str) -> None:
    keys = given(1)
    with pytest.raises(Unsealable, match=why):
        keys.open(change(keys.seal({"token": "x"}, ROW)), keys.newest, row)  # type: ignore[operator]


def test_an_old_key_opens_and_a_missing_one_is_named() -> None:
    old, both, new = given(1), given(2, 1), given(2)
    sealed = old.seal({"token": "x"}, ROW)
    assert both.open(sealed, old.newest, ROW) == {"token": "x"} and both.newest == new.newest
    with pytest.raises(Unsealable, match=rf"under key {old.newest}, which is not in GCC_CREDENTIALS__KEYS"):
        new.open(sealed, old.newest, ROW)


@pytest.mark.parametrize("text", ["", "x", base64.b64encode(bytes(16)).decode(), "hunter2" * 7, "\xff" * 44])
def test_what_is_no_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError, match="GCC_CREDENTIALS__KEYS: a key is 32 bytes in Base64") as refused:
        Keys([key(1), text], Path("none"))
    assert not text or text not in str(refused.value)


def test_both_alphabets_of_base64_are_read() -> None:
    bytes_of_both = bytes([0xFB, 0xFF] * 16)
    assert Key.read(base64.urlsafe_b64encode(bytes_of_both).decode()).bytes == bytes_of_both
    assert Key.read(base64.b64encode(bytes_of_both).decode()).bytes == bytes_of_both


def test_the_first_start_makes_a_file_of_ours_and_later_ones_read_it(tmp_path: Path) -> None:
    file = tmp_path / KEY_FILE
    first, again = Keys([], file), Keys([], file)
    first.load(make=True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again.load(make=True)
    assert again.ids == first.ids
    first.renew()
    again.load(make=False)
    assert again.ids == first.ids and len(again.ids) == 2 and stat.S_IMODE(file.stat().st_mode) == 0o600
    first.forget_old()
    assert len(first.ids) == 2, "what was read before still opens"
    again.load(make=False)
    assert again.ids == [first.newest]
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


def test_two_first_starts_at_once_have_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both_saw_none = threading.Barrier(2, timeout=10)
    saw_none = threading.local()
    opened = data_folder.opened

    def meeting(file: Path, flags: int) -> int:
        try:
            return opened(file, flags)
        except FileNotFoundError:
            if not hasattr(saw_none, "before"):
                saw_none.before = True
                both_saw_none.wait()
            raise

    monkeypatch.setattr(data_folder, "opened", meeting)
    starts = [Keys([], tmp_path / KEY_FILE) for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda keys: keys.load(make=True), starts))
    monkeypatch.undo()
    later = Keys([], tmp_path / KEY_FILE)
    later.load(make=False)
    assert starts[0].ids == starts[1].ids == later.ids and len(later.ids) == 1
    assert [path.name for path in tmp_path.iterdir()] == [KEY_FILE]


def test_without_a_file_none_is_made_where_something_is_sealed_already(tmp_path: Path) -> None:
    keys = Keys([], tmp_path / KEY_FILE)
    keys.load(make=False)
    assert keys.ids == [] and not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["hunter2hunter2", "", "\xff"])
def test_a_file_that_holds_no_key_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    file = tmp_path / KEY_FILE
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match="holds no keys") as refused:
        Keys([], file).load(make=True)
    assert "hunter2" not in str(refused.value) and file.read_bytes() == text.encode("latin-1")


def test_a_planted_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text(key(1))
    os.symlink(tmp_path / "theirs", tmp_path / KEY_FILE)
    with pytest.raises(ConfigError, match="is a symbolic link"):
        Keys([], tmp_path / KEY_FILE).load(make=True)
