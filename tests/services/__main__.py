"""`make services`: private PostgreSQL, RabbitMQ, Redis and S3 on free ports, until Ctrl-C, which removes them.

Prints the variables that bring the platform, and the tests, to them. Servers that run here already are left alone.
"""

import base64
import json
import secrets
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from shlex import quote
from urllib.parse import quote as percent

import trio
from psycopg.conninfo import conninfo_to_dict

from gcc.errors import GccError
from gcc.stores.embedded_postgres import EmbeddedPostgres
from tests.services import s3
from tests.services.child import Failed, Missing
from tests.services.rabbitmq import RabbitMQNode
from tests.services.redis import RedisNode
from tests.services.s3 import S3Node

BUCKET = "gcc"


async def main() -> None:
    with (
        ExitStack() as stack,
        tempfile.TemporaryDirectory(prefix="gcc-services-", ignore_cleanup_errors=True) as folder,
        trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals,
    ):
        async with trio.open_nursery() as nursery:

            async def stop() -> None:
                async for _ in signals:
                    nursery.cancel_scope.cancel()

            nursery.start_soon(stop)
            postgres = EmbeddedPostgres(Path(folder), fsync=False)
            await nursery.start(postgres.run)
            rabbitmq, redis, objects = servers = RabbitMQNode(), RedisNode(), S3Node()
            for server in servers:
                stack.callback(server.close)
                await server.start()
            objects.make_bucket(BUCKET)
            vhost = rabbitmq.vhosts.add()
            tell(
                "the platform (ClickHouse stays embedded)",
                GCC_POSTGRES__URL=url(postgres.conninfo),
                GCC_CREDENTIALS__KEYS=json.dumps([base64.b64encode(secrets.token_bytes(32)).decode()]),
                GCC_EXCHANGE__URL=vhost,
                GCC_REDIS__URL=redis.url,
                GCC_OBJECTS__URL=f"s3://{BUCKET}",
                GCC_OBJECTS__ENDPOINT_URL=objects.url,
                GCC_OBJECTS__REGION=s3.REGION,
                GCC_OBJECTS__ACCESS_KEY=s3.ACCESS_KEY,
                GCC_OBJECTS__SECRET_KEY=s3.SECRET_KEY,
            )
            tell(
                "the tests, one worker at a time, in another shell than the platform's",
                GCC_TEST_POSTGRES_URL=url(postgres.superuser_conninfo),
                GCC_TEST_RABBITMQ_URL=vhost.rpartition("/")[0],
                GCC_TEST_RABBITMQ_HTTP_URL=rabbitmq.http_url,
                GCC_TEST_REDIS_URL=redis.url,
            )
            print("# ready; Ctrl-C stops the four and removes what they hold", flush=True)


def url(conninfo: str) -> str:
    """The same, as people write it."""
    where = conninfo_to_dict(conninfo)
    return f"postgresql://{where['user']}@/{where['dbname']}?host={percent(str(where['host']))}"


def tell(whose: str, **variables: str) -> None:
    print(f"# for {whose}")
    for name, value in variables.items():
        print(f"export {name}={quote(value)}")


if __name__ == "__main__":
    why = None
    try:
        trio.run(main)
    except* (Missing, Failed, GccError) as group:
        why = "; ".join(str(error) for error in group.exceptions)
    sys.exit(why)
