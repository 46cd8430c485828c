"""Objects in an S3 bucket, Amazon's or one that speaks its protocol, by botocore in worker threads.

The client is made at the first use, which reads no network. Every call has the timeouts below. What is cancelled
ends at once when it reads or deletes; a put ends when its call does, so that it cannot land behind its caller's back.
A stream longer than one part goes up in parts, one at a time, and is seen only when it is whole; what fails or is
cancelled is aborted. Parts of a killed process stay unseen: let the bucket abort incomplete uploads after a day.

Transient: no answer, too many requests, and what people must mend outside: the bucket, its region, the credentials.
Permanent: an object that does not exist, and what S3 refuses for its own sake. No error holds a credential.
"""

import threading
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, suppress
from functools import partial
from typing import Any, TypeVar

import botocore.session
import trio
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
)

from gcc import threads
from gcc.channels.objects import CHUNK_BYTES, allowed, checked, missing, pieces
from gcc.errors import GccError, Permanent, Transient
from gcc.stores.folder_objects import CLEANUP_S

T = TypeVar("T")

PART_BYTES = 8 << 20
"""S3 takes 10,000 parts, so an object has at most 78 GiB."""
CALLS = 10
"""At once, each with a thread, a connection, and at most one part in memory."""
CONNECT_S, ANSWER_S, ATTEMPTS = 3.0, 10.0, 2
"""Seconds to connect, seconds without a byte, and how often a call is made before it fails."""
DEFAULT_REGION = "us-east-1"

REFUSED = {"AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
ELSEWHERE = {"PermanentRedirect", "AuthorizationHeaderMalformed", "301"}
LATER = {"RequestTimeout", "RequestTimeTooSkewed"}


class S3Objects:
    """Objects as `prefix`/key in a bucket. Empty strings leave a choice to botocore: its environment and files."""

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint_url: str = "",
        region: str = "",
        access_key: str = "",
        secret_key: str = "",
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._limiter = trio.CapacityLimiter(CALLS)
        self._client: Any = None
        self._opening = threading.Lock()
        self._options = {
            "endpoint_url": endpoint_url or None,
            "region_name": region or (DEFAULT_REGION if endpoint_url else None),
            "aws_access_key_id": access_key or None,
            "aws_secret_access_key": secret_key or None,
            "config": Config(
                connect_timeout=CONNECT_S,
                read_timeout=ANSWER_S,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                max_pool_connections=CALLS,
                # Other servers than Amazon's have no host name for each bucket, and may not know the newer checksums.
                s3={"addressing_style": "path" if endpoint_url else "auto"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        }

    async def put(self, key: str, data: bytes | AsyncIterable[bytes]) -> int:
        async with AsyncExitStack() as stack:
            if aclose := getattr(data, "aclose", None):
                stack.push_async_callback(aclose)
            parts = await stack.enter_async_context(aclosing(_parts(data)))
            first = await anext(parts)
            if len(first) == PART_BYTES:
                return await self._put_in_parts(key, first, parts)
            await self._call("put_object", key, Body=first)
            return len(first)

    async def _put_in_parts(self, key: str, part: bytes, rest: AsyncIterator[bytes]) -> int:
        upload = (await self._call("create_multipart_upload", key))["UploadId"]
        sent: list[dict[str, Any]] = []
        size = 0
        try:
            while part:
                number = len(sent) + 1
                answer = await self._call("upload_part", key, UploadId=upload, PartNumber=number, Body=part)
                sent.append({"PartNumber": number, "ETag": answer["ETag"]})
                size += len(part)
                part = await anext(rest, b"")
            await self._call("complete_multipart_upload", key, UploadId=upload, MultipartUpload={"Parts": sent})
        except BaseException:
            with trio.move_on_after(CLEANUP_S, shield=True), suppress(GccError):
                await self._call("abort_multipart_upload", key, abandon=True, UploadId=upload)
            raise
        return size

    def get(self, key: str) -> AsyncGenerator[bytes, None]:
        return self._chunks(key)

    async def _chunks(self, key: str, **which: str) -> AsyncGenerator[bytes, None]:
        body = (await self._call("get_object", key, abandon=True, **which))["Body"]
        read = partial(body.read, CHUNK_BYTES)
        try:
            while chunk := await self._in_thread(key, read, abandon=True):
                yield chunk
        except trio.Cancelled:
            raise  # a thread still reads: to close the body would wait for it; it goes with that thread
        except BaseException:
            body.close()
            raise
        body.close()

    async def read(self, key: str, start: int = 0, size: int | None = None) -> bytes:
        last = "" if size is None else start + size - 1
        which = {"Range": f"bytes={start}-{last}"} if start or size is not None else {}
        async with aclosing(self._chunks(key, **which)) as chunks:
            return b"".join([chunk async for chunk in chunks])

    async def delete(self, key: str) -> None:
        await self._call("delete_object", key, abandon=True)  # landing late, it removes what is unwanted still

    async def link(self, key: str, *, good_s: int, name: str, media_type: str) -> str | None:
        """Signed here, without asking the bucket: whether the object exists, who follows it finds out."""
        wanted = {
            "Bucket": self._bucket,
            "Key": self._prefix + checked(key),
            "ResponseContentType": media_type,
            "ResponseContentDisposition": f'attachment; filename="{name}"',
        }

        def sign() -> str:
            return str(self._opened().generate_presigned_url("get_object", Params=wanted, ExpiresIn=good_s))

        return await self._in_thread(key, sign, abandon=True)

    async def keys(self, prefix: str) -> list[str]:
        found: list[str] = []
        more: dict[str, str] = {}
        while True:
            listing = {"Bucket": self._bucket, "Prefix": self._prefix + prefix, **more}
            page = await self._asked(f"{prefix}*", "list_objects_v2", listing, abandon=True)
            found += (each["Key"].removeprefix(self._prefix) for each in page.get("Contents", ()))
            if not page["IsTruncated"]:
                return sorted(key for key in found if allowed(key))  # others may keep theirs in the bucket, too
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def close(self) -> None:
        """Close idle connections, at once."""
        if self._client is not None:
            self._client.close()

    async def _call(self, operation: str, key: str, *, abandon: bool = False, **arguments: Any) -> Any:
        """One operation on one object; its answer."""
        arguments |= {"Bucket": self._bucket, "Key": self._prefix + checked(key)}
        return await self._asked(key, operation, arguments, abandon=abandon)

    async def _asked(self, key: str, operation: str, arguments: dict[str, Any], *, abandon: bool) -> Any:
        return await self._in_thread(key, lambda: getattr(self._opened(), operation)(**arguments), abandon=abandon)

    async def _in_thread(self, key: str, work: Callable[[], T], *, abandon: bool) -> T:
        try:
            with threads.needed(f"object {key[:200]}"):
                return await trio.to_thread.run_sync(work, abandon_on_cancel=abandon, limiter=self._limiter)
        except (ClientError, BotoCoreError) as error:
            raise _translated(error, key[:200], self._bucket) from error

    def _opened(self) -> Any:
        """The client, made once; in a thread, since that takes a third of a second."""
        with self._opening:
            if self._client is None:
                self._client = botocore.session.Session().create_client("s3", **self._options)
            return self._client


async def _parts(data: bytes | AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """`data` in parts of PART_BYTES and one last, shorter one, which may be empty."""
    held = bytearray()
    async with aclosing(pieces(data)) as chunks:
        async for chunk in chunks:
            held += chunk
            while len(held) >= PART_BYTES:
                yield bytes(held[:PART_BYTES])
                del held[:PART_BYTES]
    yield bytes(held)


def _translated(error: ClientError | BotoCoreError, key: str, bucket: str) -> GccError:
    """The same as one of ours. S3's own sentences stay out of it: only codes are sure to hold no credential."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return Transient(f"object {key}: no credentials for bucket {bucket}; {_CREDENTIALS}")
    if isinstance(error, ParamValidationError):
        return Permanent(f"object {key[:200]}: {error}")
    if isinstance(error, BotoCoreError):
        return Transient(f"object {key}: bucket {bucket} cannot be reached: {error}")
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code == "NoSuchKey":
        return missing(key)
    if code == "NoSuchBucket":
        return Transient(f"object {key}: bucket {bucket} does not exist; create it, or mend objects.url")
    if code in REFUSED or status in (401, 403):
        return Transient(f"object {key}: bucket {bucket} refuses our credentials ({code}); {_CREDENTIALS}")
    if code in ELSEWHERE:
        return Transient(f"object {key}: bucket {bucket} is in another region ({code}); mend objects.region")
    kind = Transient if status >= 500 or status in (408, 409, 429) or code in LATER else Permanent
    return kind(f"object {key}: bucket {bucket} answers {status} {code}")


_CREDENTIALS = "set GCC_OBJECTS__ACCESS_KEY and GCC_OBJECTS__SECRET_KEY, or what the AWS SDK reads"
