"""A real S3 protocol for tests: `s3_objects` is the store on a fresh bucket of moto's server.

`s3_bucket` is that bucket's name, `s3_server` the server, one for each pytest process.
"""

import itertools
from collections.abc import Iterator

import pytest
import trio

from gcc.stores.s3_objects import S3Objects
from tests.services import s3

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[s3.S3Node]:
    node = s3.S3Node()
    try:
        trio.run(node.start)
        yield node
    finally:
        node.close()


@pytest.fixture
def s3_bucket(s3_server: s3.S3Node) -> str:
    name = f"test-{next(_numbers)}"
    s3_server.make_bucket(name)
    return name


@pytest.fixture
def s3_objects(s3_server: s3.S3Node, s3_bucket: str) -> Iterator[S3Objects]:
    objects = s3_store(s3_server, s3_bucket, "some/prefix")
    yield objects
    objects.close()


def s3_store(server: s3.S3Node, bucket: str, prefix: str = "") -> S3Objects:
    return S3Objects(
        bucket, prefix, endpoint_url=server.url, region=s3.REGION, access_key=s3.ACCESS_KEY, secret_key=s3.SECRET_KEY
    )
