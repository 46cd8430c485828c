"""What users are given to deploy, as far as it can be proved without a container engine: it says what it should."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from gcc import cli
from gcc.config import Settings, load
from gcc.pipelines.scraping.table import Catalogue, limits
from gcc.stores.sealing import Keys
from gcc.tree import ALL

ROOT = Path(__file__).parents[2]
SERVICES = ROOT / "config" / "services.toml"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
VARIABLE = re.compile(r"\$\{(\w+)(?::(?:-([^}]*)|\?))?\}")
PROCESSES = ("crawl", "serve")
SERVERS = ("postgres", "rabbitmq", "redis", "clickhouse", "s3")


def example() -> dict[str, str]:
    lines = (ROOT / "deploy" / ".env.example").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value.strip("'") for name, _, value in pairs}


def settings(process: str) -> Settings:
    """Those of a process of the compose file, with the passwords of the example."""
    values = example()
    environment = COMPOSE["services"][process]["environment"]
    filled = {key: VARIABLE.sub(lambda found: values[found[1]], text) for key, text in environment.items()}
    return load(SERVICES, environ=filled)


def urls(given: Settings) -> dict[str, str]:
    return {part: getattr(given, part).url for part in ("postgres", "exchange", "redis", "clickhouse", "objects")}


def test_the_config_for_servers_is_valid_and_embeds_nothing() -> None:
    given = load(SERVICES, environ={})
    limits(given, Catalogue())
    assert {part: url.partition(":")[0] for part, url in urls(given).items()} == {
        "postgres": "postgresql", "exchange": "amqp", "redis": "redis", "clickhouse": "http", "objects": "s3",
    }  # fmt: skip
    assert not given.world.enabled


def test_each_variable_that_the_config_for_servers_names_is_a_setting() -> None:
    named = re.findall(r"(GCC_\w+)=('[^']*'|\.\.\.)", SERVICES.read_text())
    assert len(named) >= 9
    load(SERVICES, environ={name: value.strip("'") for name, value in named})


def test_the_processes_share_the_servers_and_all_roles_between_them() -> None:
    crawl, serve = (settings(process) for process in PROCESSES)
    assert urls(crawl) == urls(serve)
    assert Keys(crawl.credentials.keys, ROOT).ids == Keys(serve.credentials.keys, ROOT).ids != []
    assert {part for part, url in urls(crawl).items() if "change-me" in url} == {
        "postgres", "exchange", "redis", "clickhouse",
    }  # fmt: skip
    assert (crawl.objects.access_key, crawl.objects.secret_key) == ("gcc", "change-me-s3")
    assert sorted([*(crawl.roles or ()), *(serve.roles or ())]) == sorted({row.role for row in ALL})
    assert crawl.ops.port != serve.ops.port
    for process, given in (("crawl", crawl), ("serve", serve)):
        assert f"127.0.0.1:{given.ops.port}/ready" in COMPOSE["services"][process]["healthcheck"]["test"][-1]


def test_the_urls_lead_to_the_ports_that_the_servers_publish_on_loopback() -> None:
    published = {}
    for name in SERVERS:
        for port in COMPOSE["services"][name]["ports"]:
            host, outside, _ = port.split(":")
            assert host == "127.0.0.1", name
            published[outside] = name
    given = settings("serve")
    for url in (*list(urls(given).values())[:4], given.objects.endpoint_url):
        port = re.search(r"127\.0\.0\.1:(\d+)", url)
        assert port and port[1] in published, url
    assert all("ports" not in COMPOSE["services"][process] for process in PROCESSES)


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_keeps_its_data_and_tells_when_it_is_well(name: str) -> None:
    server = COMPOSE["services"][name]
    assert server["healthcheck"]["test"]
    assert [volume.partition(":")[0] in COMPOSE["volumes"] for volume in server["volumes"]] == [True]
    assert ":" in server["image"] and not server["image"].endswith(":latest")
    waited = COMPOSE["services"]["serve"]["depends_on"]
    assert name in waited or name in COMPOSE["services"]["bucket"]["depends_on"]


def test_the_example_holds_every_variable_and_no_other() -> None:
    text = (ROOT / "deploy" / "compose.yaml").read_text()
    assert {found[1] for found in VARIABLE.finditer(text)} == set(example())
    assert not re.search(r"(PASSWORD|SECRET_KEY|PASS): (?!\$\{)\S", text)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed (package systemd)")
def test_the_unit_of_systemd_is_one(tmp_path: Path) -> None:
    text = (ROOT / "deploy" / "gcc-platform.service").read_text()
    (command,) = re.findall(r"^ExecStart=(\S+) (.*)$", text, re.MULTILINE)
    unit = tmp_path / "gcc-platform.service"
    unit.write_text(text.replace(command[0], "/bin/true").replace("User=gcc\nGroup=gcc\n", ""))  # what is not here
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr.decode()) == (0, "")
    arguments = cli.parse(command[1].split())
    assert (arguments.verb, command[0].rpartition("/")[2]) == ("run", cli.COMMAND)
    stop_s = int(re.findall(r"^TimeoutStopSec=(\d+)$", text, re.MULTILINE)[0])
    assert stop_s > 2 * load(None, environ={}).grace_s


def test_the_glossary_is_short_and_in_order() -> None:
    rows = re.findall(r"^\| ([^|]+) \| ([^|]+) \|$", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)[1:]
    words = [word for word, _ in rows if word != "---"]
    assert words == sorted(set(words))
    assert len(words) <= 40
    assert all(told.endswith(".") and ". " not in told for word, told in rows if word != "---")
