"""The objects port: a folder, a bucket (of moto's server), and the fake of the simulations, under the same tests."""

import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from gcc.channels.objects import CHUNK_BYTES, Objects
from gcc.errors import Permanent, Transient
from gcc.stores import folder_objects as objects_module
from gcc.stores.folder_objects import FolderObjects
from tests.fakes.objects import MemoryObjects


@pytest.fixture(params=["folder", "folder with fsync", "s3", "memory"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    if request.param == "memory":
        return MemoryObjects()
    if request.param == "s3":
        found: Objects = request.getfixturevalue("s3_objects")
        return found
    return FolderObjects(tmp_path / "objects", fsync="fsync" in request.param)


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        await trio.lowlevel.checkpoint()
        yield chunk


async def test_what_is_put_is_read(objects: Objects) -> None:
    assert await objects.put("media/INSTAGRAM/17/a b é.jpg", b"picture") == 7
    assert await objects.read("media/INSTAGRAM/17/a b é.jpg") == b"picture"


async def test_large_objects_come_in_chunks(objects: Objects) -> None:
    data = bytes(range(256)) * (CHUNK_BYTES // 100)
    assert await objects.put("large", data) == len(data)
    chunks = [chunk async for chunk in objects.get("large")]
    assert b"".join(chunks) == data
    assert [len(chunk) for chunk in chunks[:-1]] == [CHUNK_BYTES] * (len(chunks) - 1)


async def test_an_object_may_arrive_in_pieces(objects: Objects) -> None:
    assert await objects.put("staging/t.ndjson", pieces(b"a\n", b"", b"b\n")) == 4
    assert await objects.read("staging/t.ndjson") == b"a\nb\n"


async def test_an_empty_object_exists(objects: Objects) -> None:
    assert await objects.put("nothing", b"") == 0
    assert await objects.read("nothing") == b""
    assert [chunk async for chunk in objects.get("nothing")] == []


@pytest.mark.parametrize(
    ("start", "size", "part"), [(0, 3, b"012"), (3, 4, b"3456"), (4, None, b"456789"), (8, 5, b"89"), (9, 1, b"9")]
)
async def test_a_part_of_an_object_is_read_alone(objects: Objects, start: int, size: int | None, part: bytes) -> None:
    await objects.put("digits", b"0123456789")
    assert await objects.read("digits", start, size) == part
    with pytest.raises(Permanent, match="object nothing does not exist"):
        await objects.read("nothing", start, size)


async def test_the_last_put_wins(objects: Objects) -> None:
    await objects.put("a", b"a longer first version")
    await objects.put("a", b"second")
    assert await objects.read("a") == b"second"


async def test_a_reader_keeps_the_version_it_began(objects: Objects) -> None:
    old = b"o" * (3 * CHUNK_BYTES)
    await objects.put("a", old)
    reader = objects.get("a")
    read = await anext(reader)
    await objects.put("a", b"new")
    await objects.put("b", b"")
    async for chunk in reader:
        read += chunk
    assert read == old


async def test_keys_are_those_with_the_prefix_sorted(objects: Objects) -> None:
    for key in ("b/2", "b/1/x", "a/z", "bc/1"):
        await objects.put(key, b"")
    assert await objects.keys("") == ["a/z", "b/1/x", "b/2", "bc/1"]
    assert await objects.keys("b") == ["b/1/x", "b/2", "bc/1"]
    assert await objects.keys("b/") == ["b/1/x", "b/2"]
    assert await objects.keys("b/1") == ["b/1/x"]
    assert await objects.keys("nothing/here") == []


async def test_a_deleted_object_is_gone(objects: Objects) -> None:
    await objects.put("a/b", b"x")
    await objects.delete("a/b")
    await objects.delete("a/b")
    assert await objects.keys("") == []
    with pytest.raises(Permanent, match="object a/b does not exist"):
        await objects.read("a/b")
    with pytest.raises(Permanent, match="object a/b does not exist"):
        async for _ in objects.get("a/b"):
            pass


@pytest.mark.parametrize("key", ["", "/etc/passwd", "a//b", "a/", "../a", "a/../../b", "a/./b", ".hidden", "a\0b"])
async def test_keys_that_leave_or_hide_are_refused(objects: Objects, key: str) -> None:
    for attempt in (objects.put(key, b"x"), objects.read(key), objects.delete(key), anext(aiter(objects.get(key)))):
        with pytest.raises(Permanent, match="is not allowed"):
            await attempt
    assert await objects.keys("") == []


async def test_a_put_that_fails_leaves_the_old_object_and_nothing_else(objects: Objects, tmp_path: Path) -> None:
    await objects.put("a/b", b"old")
    closed = False

    async def breaks() -> AsyncIterator[bytes]:
        nonlocal closed
        try:
            yield b"new"
            raise RuntimeError("the source broke")
        finally:
            closed = True

    with pytest.raises(RuntimeError, match="the source broke"):
        await objects.put("a/b", breaks())
    assert await objects.read("a/b") == b"old"
    assert closed
    assert files(tmp_path) in (["b"], [])


async def test_a_cancelled_put_leaves_the_old_object_and_nothing_else(objects: Objects, tmp_path: Path) -> None:
    await objects.put("a/b", b"old")
    begun, closed = trio.Event(), False

    async def stalls() -> AsyncIterator[bytes]:
        nonlocal closed
        try:
            yield b"new"
            begun.set()
            await trio.sleep_forever()
        finally:
            closed = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(objects.put, "a/b", stalls())
        await begun.wait()
        assert await objects.keys("") == ["a/b"]  # the half-written one is not listed
        nursery.cancel_scope.cancel()
    assert await objects.read("a/b") == b"old"
    assert closed
    assert files(tmp_path) in (["b"], [])


async def test_puts_of_one_key_at_once_leave_one_of_them_whole(objects: Objects, tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(objects.put, "a", pieces(*[b"%d" % number] * 50))
    assert await objects.read("a") in [b"%d" % number * 50 for number in range(10)]
    assert files(tmp_path) in (["a"], [])


async def test_what_a_killed_process_left_is_used_again_and_what_another_writes_is_not(tmp_path: Path) -> None:
    (tmp_path / ".0.part").write_bytes(b"half of something long")
    objects = FolderObjects(tmp_path)
    whole: list[bytes] = []

    async def slowly() -> AsyncIterator[bytes]:
        yield b"slow"
        await FolderObjects(tmp_path).put("quick", b"quick")  # as another process would
        whole.append(await objects.read("quick"))

    await objects.put("slow", slowly())
    assert (whole, await objects.read("slow"), sorted(os.listdir(tmp_path))) == ([b"quick"], b"slow", ["quick", "slow"])


async def test_a_key_through_another_object_is_permanent(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)
    await objects.put("a", b"x")
    await objects.put("b/c", b"x")
    for key in ("a/b", "b"):
        with pytest.raises(Permanent, match=f"object {key}: "):
            await objects.put(key, b"y")
    assert files(tmp_path) == ["a", "c"]


async def test_a_key_that_no_file_can_have_is_permanent(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="too long"):
        await FolderObjects(tmp_path).put("x" * 300, b"x")
    assert files(tmp_path) == []


async def test_a_full_disk_is_transient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(objects_module.os, "replace", full)
    with pytest.raises(Transient, match="object a/b: No space left on device"):
        await FolderObjects(tmp_path).put("a/b", b"x")
    assert files(tmp_path) == []


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())
