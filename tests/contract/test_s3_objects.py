"""What objects in a bucket have beyond the port: parts, pages, and errors that say what to mend."""

import socket
from collections.abc import AsyncIterator

import pytest
import trio
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

from gcc.errors import GccError, Permanent, Transient
from gcc.stores.s3_objects import PART_BYTES, S3Objects, _translated
from tests.fixtures_s3 import s3_store
from tests.services.s3 import PAGE_KEYS, S3Node

CHUNK = bytes(range(256)) * (1 << 12)  # 1 MiB


async def chunks(total: int, *, taken: list[int] | None = None) -> AsyncIterator[bytes]:
    """`total` bytes; the number of those given so far goes to `taken`."""
    given = 0
    while given < total:
        await trio.lowlevel.checkpoint()
        piece = CHUNK[: total - given]
        given += len(piece)
        if taken is not None:
            taken.append(given)
        yield piece


def answers_of(objects: S3Objects) -> list[str]:
    """The operations it made that were answered, as they come."""
    made: list[str] = []
    objects._opened().meta.events.register("after-call.s3.*", lambda model, **_: made.append(model.name))
    return made


def unfinished(objects: S3Objects) -> list[object]:
    found = objects._opened().list_multipart_uploads(Bucket=objects._bucket).get("Uploads", [])
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize("size", [PART_BYTES - 1, PART_BYTES, 2 * PART_BYTES, 2 * PART_BYTES + 1])
async def test_a_long_stream_goes_up_in_parts_and_comes_back_whole(s3_objects: S3Objects, size: int) -> None:
    made = answers_of(s3_objects)
    assert await s3_objects.put("long", chunks(size)) == size
    parts = -(-size // PART_BYTES)
    multipart = ["CreateMultipartUpload", *["UploadPart"] * parts, "CompleteMultipartUpload"]
    assert made == (["PutObject"] if size < PART_BYTES else multipart)
    whole = await s3_objects.read("long")
    assert (len(whole), whole[: 1 << 20], whole[-1]) == (size, CHUNK, CHUNK[(size - 1) % len(CHUNK)])


async def test_no_more_of_a_stream_is_taken_than_one_part_ahead(s3_objects: S3Objects) -> None:
    taken: list[int] = []
    ahead: list[int] = []
    sent = 0

    def part_sent(model: object, **_: object) -> None:
        nonlocal sent
        ahead.append(taken[-1] - sent)
        sent += PART_BYTES

    s3_objects._opened().meta.events.register("after-call.s3.UploadPart", part_sent)
    await s3_objects.put("long", chunks(4 * PART_BYTES + 1, taken=taken))
    assert len(ahead) == 5
    assert max(ahead) <= PART_BYTES + len(CHUNK)


async def test_a_long_put_that_fails_is_aborted_and_leaves_the_old_object(s3_objects: S3Objects) -> None:
    await s3_objects.put("long", b"old")

    async def breaks() -> AsyncIterator[bytes]:
        async for chunk in chunks(PART_BYTES + 1):
            yield chunk
        assert unfinished(s3_objects)
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        await s3_objects.put("long", breaks())
    assert unfinished(s3_objects) == []
    assert await s3_objects.read("long") == b"old"


async def test_a_long_put_that_is_cancelled_is_aborted(s3_objects: S3Objects) -> None:
    begun = trio.Event()

    async def stalls() -> AsyncIterator[bytes]:
        async for chunk in chunks(PART_BYTES):
            yield chunk
        begun.set()
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(s3_objects.put, "long", stalls())
        await begun.wait()
        assert len(unfinished(s3_objects)) == 1
        assert await s3_objects.keys("") == []
        nursery.cancel_scope.cancel()
    assert unfinished(s3_objects) == []
    assert await s3_objects.keys("") == []


async def test_a_reader_that_stops_early_gives_its_connection_back(s3_objects: S3Objects) -> None:
    await s3_objects.put("long", CHUNK * 3)
    for _ in range(30):  # more than there are connections
        reader = s3_objects.get("long")
        assert await anext(reader) == CHUNK
        await reader.aclose()


async def test_keys_come_in_pages(s3_objects: S3Objects) -> None:
    made = answers_of(s3_objects)
    for number in range(2 * PAGE_KEYS + 1):
        await s3_objects.put(f"a/{number}", b"")
    made.clear()
    assert await s3_objects.keys("a/") == [f"a/{number}" for number in range(2 * PAGE_KEYS + 1)]
    assert made == ["ListObjectsV2"] * 3


async def test_a_prefix_is_a_room_of_its_own(s3_server: S3Node, s3_bucket: str) -> None:
    one, other, all_of_it = (s3_store(s3_server, s3_bucket, prefix) for prefix in ("one", "one/more/", ""))
    await one.put("a", b"1")
    await other.put("a", b"2")
    one._opened().put_object(Bucket=s3_bucket, Key="one/marker/", Body=b"")  # as the consoles of vendors make them
    assert await one.read("a") == b"1"
    assert await one.keys("") == ["a", "more/a"]
    assert await other.keys("") == ["a"]
    assert await all_of_it.keys("") == ["one/a", "one/more/a"]
    for store in (one, other, all_of_it):
        store.close()


async def test_a_bucket_that_is_not_there_is_named_with_the_way_out(s3_server: S3Node) -> None:
    objects = s3_store(s3_server, "no-such-bucket")
    reading = objects.read("a")
    for attempt in (objects.put("a", b"x"), objects.put("a", chunks(PART_BYTES)), reading, objects.keys("")):
        with pytest.raises(Transient, match="bucket no-such-bucket does not exist; create it"):
            await attempt
    objects.close()


async def test_a_server_that_is_gone_is_transient() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        objects = S3Objects("bucket", endpoint_url=endpoint, access_key="a", secret_key="hunter2")
        with pytest.raises(Transient, match="bucket bucket cannot be reached: Could not connect") as caught:
            await objects.put("a", b"x")
        objects.close()
    assert "hunter2" not in str(caught.value)


async def test_a_cancelled_read_does_not_wait_for_a_server_that_hangs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        objects = S3Objects("bucket", endpoint_url=endpoint, access_key="a", secret_key="b")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(objects.read, "a")
            connection = await trio.to_thread.run_sync(silent.accept)
            with connection[0] as peer:
                assert await trio.to_thread.run_sync(peer.recv, 4) == b"GET "
                started = trio.current_time()
                nursery.cancel_scope.cancel()
    assert trio.current_time() - started < 5  # the client would wait twice 10 s
    objects.close()


def refusal(code: str, status: int) -> ClientError:
    told = {"Error": {"Code": code, "Message": "hunter2"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(told, "PutObject")


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (refusal("NoSuchKey", 404), Permanent, "object k does not exist"),
        (refusal("InvalidAccessKeyId", 403), Transient, "GCC_OBJECTS__SECRET_KEY"),
        (refusal("SignatureDoesNotMatch", 403), Transient, "refuses our credentials (SignatureDoesNotMatch)"),
        (refusal("ExpiredToken", 400), Transient, "refuses our credentials (ExpiredToken)"),
        (refusal("PermanentRedirect", 301), Transient, "another region (PermanentRedirect); mend objects.region"),
        (refusal("SlowDown", 503), Transient, "answers 503 SlowDown"),
        (refusal("RequestTimeout", 400), Transient, "answers 400 RequestTimeout"),
        (refusal("KeyTooLongError", 400), Permanent, "answers 400 KeyTooLongError"),
        (NoCredentialsError(), Transient, "no credentials for bucket b; set GCC_OBJECTS__ACCESS_KEY"),
        (EndpointConnectionError(endpoint_url="http://x"), Transient, "cannot be reached"),
    ],
)
def test_what_s3_answers_becomes_one_of_our_errors(error: ClientError, kind: type[GccError], words: str) -> None:
    told = _translated(error, "k", "b")
    assert type(told) is kind
    assert words in str(told)
    assert "hunter2" not in str(told)
