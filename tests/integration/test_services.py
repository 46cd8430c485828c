"""The private servers of the tests: what they promise to those who use them."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import psycopg
import pytest
import redis as redis_py

from gcc.config import load
from tests.services.child import ENDED_S, Missing, PrivateFolder, ReservedPort, program
from tests.services.rabbitmq import RabbitMQNode
from tests.services.redis import RedisNode

OWNER = """
import sys, trio
from tests.services.rabbitmq import RabbitMQNode
from tests.services.redis import RedisNode
servers = [RabbitMQNode(), RedisNode()]
for server in servers:
    trio.run(server.start)
print("started", flush=True)
sys.stdin.read()
"""


def management(node: RabbitMQNode) -> httpx.Client:
    return httpx.Client(base_url=node.http_url, timeout=15, trust_env=False)


def publish(broker: httpx.Client, url: str, text: str) -> None:
    """A durable message into the durable queue q of the vhost."""
    vhost = url.rpartition("/")[2]
    broker.put(f"/api/queues/{vhost}/q", json={"durable": True}).raise_for_status()
    message = {"properties": {"delivery_mode": 2}, "routing_key": "q", "payload": text, "payload_encoding": "string"}
    answer = broker.post(f"/api/exchanges/{vhost}/amq.default/publish", json=message)
    assert answer.json() == {"routed": True}, answer.text


def taken(broker: httpx.Client, url: str) -> list[str]:
    words = {"count": 10, "ackmode": "ack_requeue_false", "encoding": "auto"}
    answer = broker.post(f"/api/queues/{url.rpartition('/')[2]}/q/get", json=words)
    return [message["payload"] for message in answer.raise_for_status().json()]


def test_the_url_of_a_vhost_leads_to_a_broker(rabbitmq: str) -> None:
    place = urlsplit(rabbitmq)
    with socket.create_connection((str(place.hostname), place.port or 5672), timeout=10) as connection:
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        assert connection.recv(1) == b"\x01"  # a method: it says connection.start


async def test_a_killed_broker_comes_back_on_its_port_with_its_messages(
    rabbitmq_node: RabbitMQNode, rabbitmq: str
) -> None:
    with management(rabbitmq_node) as broker:
        publish(broker, rabbitmq, "durable")
        await rabbitmq_node.settle()
        rabbitmq_node.kill()
        assert not rabbitmq_node.alive
        with pytest.raises(httpx.ConnectError):
            broker.get("/api/overview")
        await rabbitmq_node.start()
        assert taken(broker, rabbitmq) == ["durable"]
        assert taken(broker, rabbitmq) == []


def test_two_vhosts_are_apart(rabbitmq_node: RabbitMQNode, rabbitmq: str) -> None:
    other = rabbitmq_node.vhosts.add()
    with management(rabbitmq_node) as broker:
        publish(broker, rabbitmq, "mine")
        publish(broker, other, "of another")
        assert taken(broker, rabbitmq) == ["mine"]
        rabbitmq_node.vhosts.drop(other)
        names = {vhost["name"] for vhost in broker.get("/api/vhosts").json()}
    assert rabbitmq.rpartition("/")[2] in names
    assert other.rpartition("/")[2] not in names


async def test_the_memory_alarm_can_be_set_and_healed(rabbitmq_node: RabbitMQNode) -> None:
    with management(rabbitmq_node) as broker:
        await rabbitmq_node.set_memory_alarm(True)
        assert broker.get("/api/health/checks/alarms").status_code == 503
        await rabbitmq_node.heal()
        assert broker.get("/api/health/checks/alarms").status_code == 200


def test_redis_is_empty_at_the_start_of_each_test(redis: str, redis_node: RedisNode) -> None:
    assert redis == redis_node.url
    with redis_py.Redis.from_url(redis) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


test_redis_is_empty_at_the_start_of_each_test_again = test_redis_is_empty_at_the_start_of_each_test


async def test_a_killed_redis_comes_back_on_its_port(redis_node: RedisNode) -> None:
    redis_node.kill()
    with pytest.raises(redis_py.ConnectionError), redis_py.Redis.from_url(redis_node.url) as client:
        client.ping()
    await redis_node.start()
    with redis_py.Redis.from_url(redis_node.url) as client:
        assert client.ping()


@pytest.mark.usefixtures("rabbitmq_server", "redis_server")  # they skip where a program is missing
def test_no_server_outlives_an_owner_that_is_killed(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)}, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    with owner:
        try:
            assert owner.stdout
            assert owner.stdout.readline() == b"started\n"
            names = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in those_in(tmp_path)}
            assert {"beam.smp", "epmd", "redis-server"} <= names
        finally:
            owner.kill()
    patience = time.monotonic() + ENDED_S
    while left := those_in(tmp_path):
        assert time.monotonic() < patience, left
        time.sleep(0.02)  # the kernel ends them, and nobody tells us when


@pytest.mark.usefixtures("rabbitmq_server", "redis_server")
def test_make_services_prints_where_they_are_and_removes_them_at_the_end(tmp_path: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "tests.services"], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2],
        env={**os.environ, "TMPDIR": str(tmp_path)}, text=True,
    )  # fmt: skip
    told: dict[str, str] = {}
    with running:
        try:
            assert running.stdout
            for line in running.stdout:
                if line.startswith("export "):
                    name, _, value = line.removeprefix("export ").rstrip().partition("=")
                    told[name] = shlex.split(value)[0]
                elif line.startswith("# ready"):
                    break
            settings = load(None, environ=told)
            with psycopg.connect(settings.postgres.url) as database:
                assert database.execute("select 1").fetchone() == (1,)
            with redis_py.Redis.from_url(settings.redis.url) as client:
                assert client.ping()
            bucket = settings.objects.url.removeprefix("s3://")
            assert httpx.get(f"{settings.objects.endpoint_url}/{bucket}", trust_env=False).status_code == 200
            assert httpx.get(told["GCC_TEST_RABBITMQ_HTTP_URL"] + "/api/whoami", trust_env=False).status_code == 200
            running.send_signal(signal.SIGINT)
            assert running.wait(30) == 0
        finally:
            running.kill()
    assert those_in(tmp_path) == set()
    assert os.listdir(tmp_path) == []


def those_in(folder: Path) -> set[int]:
    """Live processes whose working folder or environment is below `folder`."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if str(folder) in f"{(process / 'cwd').readlink()} {(process / 'environ').read_text(errors='replace')}":
                found.add(int(process.name))
        except OSError:
            continue  # gone, or a zombie
    return found


def test_the_folder_of_a_killed_owner_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    held = PrivateFolder("thing")
    left, fresh = tmp_path / "gcc-private-thing-left", tmp_path / "gcc-private-thing-fresh"
    for folder in (left, fresh):
        folder.mkdir()
        (folder / "log").touch()
    for folder in (left, held.path):
        os.utime(folder, (1, 1))
    own = PrivateFolder("thing")
    assert sorted(tmp_path.iterdir()) == sorted([held.path, fresh, own.path])
    held.close()
    own.close()
    assert os.listdir(tmp_path) == [fresh.name]


def test_a_missing_program_is_told_with_its_package() -> None:
    with pytest.raises(Missing, match="no-such-server is not installed; apt-get install some-package"):
        program("no-such-server", package="some-package")


def test_a_reserved_port_is_given_to_nobody_else_but_its_server() -> None:
    ports = [ReservedPort() for _ in range(50)]
    try:
        assert len({port.number for port in ports}) == 50
        assert not ports[0].listening()
    finally:
        for port in ports:
            port.close()
