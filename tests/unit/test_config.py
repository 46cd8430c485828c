"""Settings: layers in order, everything checked, one sentence for each mistake, no secret shown."""

import json
from collections.abc import Iterator
from pathlib import Path

import pydantic
import pytest

from gcc.cli import parse
from gcc.cli.client import settings_of
from gcc.clock import SystemClock
from gcc.config import Settings, SinkerOverride, Source, load, tokens_variable
from gcc.errors import ConfigError
from gcc.parts import Stores, open_objects, refuse_what_is_not_here
from gcc.pipelines.roles import Roles
from gcc.pipelines.scraping.table import Catalogue
from gcc.refusals import DEV_TOKEN
from gcc.stores.folder_objects import FolderObjects
from gcc.stores.rabbitmq_exchange import PREFETCH
from gcc.stores.s3_objects import S3Objects
from gcc.tree import ALL

EMBEDDED = Path(__file__).parents[2] / "config" / "embedded.toml"


def refused(tmp_path: Path, toml: str = "", *, overrides: tuple[str, ...] = (), **environ: str) -> str:
    file = tmp_path / "x.toml"
    file.write_text(toml)
    with pytest.raises(ConfigError) as caught:
        load(file, overrides=overrides, environ=environ)
    return str(caught.value)


def test_what_differs_for_one_event_type_is_all_that_differs(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("[sinker]\nbatch_rows = 5\n")
    settings = load(
        file,
        environ={"GCC_SINKER__OVERRIDES__POST_LOG__BATCH_ROWS_MAX": "7"},
        overrides=["sinker.overrides.post_log.batch_age_s=2.5", "sinker.overrides.trace_log.batch_rows=9"],
    )
    post, trace, other = (settings.sinker.of(name) for name in ("post_log", "trace_log", "profile_log"))
    assert (post.batch_rows, post.batch_age_s, post.batch_rows_max) == (5, 2.5, 7)
    assert (trace.batch_rows, trace.batch_age_s, trace.batch_rows_max) == (9, 5.0, 20_000)
    assert other == settings.sinker.model_copy(update={"overrides": {}})


def test_a_long_batch_age_is_for_exchanges_whose_leases_are_long(tmp_path: Path) -> None:
    settings = load(None, environ={}, overrides=["exchange.url=amqp://broker", "sinker.batch_age_s=300"])
    assert settings.sinker.batch_age_s == 300


def test_an_override_for_no_event_type_refuses_to_start(tmp_path: Path) -> None:
    settings = load(None, environ={}, overrides=["sinker.overrides.post_logs.batch_rows=1"])
    with pytest.raises(ConfigError, match=r"sinker.overrides: post_logs is no event type; known are profile_log, post"):
        refuse_what_is_not_here(settings)


def test_the_embedded_config_is_valid_and_knows_its_world() -> None:
    settings = load(EMBEDDED, environ={})
    assert (settings.world.enabled, settings.world.creators, settings.web.dev_token) == (True, 1000, DEV_TOKEN)


def test_later_layers_win(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("grace_s = 1\n[sinker]\nbatch_rows = 2\n")
    settings = load(file, environ={"GCC_SINKER__BATCH_ROWS": "3", "GCC_OPS__PORT": "1"}, overrides=["ops.port=2"])
    assert (settings.grace_s, settings.sinker.batch_rows, settings.ops.port) == (1, 3, 2)
    assert load(file, environ={"GCC_TEST_REDIS_URL": "x"}) == load(file, environ={})
    assert load(file, environ={}, data_dir=Path("/elsewhere")).data_dir == Path("/elsewhere")


def test_a_path_is_whole_wherever_the_process_stands_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While chdb is loaded, the process stands in its folder."""
    monkeypatch.chdir(tmp_path)
    for settings, name in (
        (load(None, environ={}), "var"),
        (Settings(), "var"),
        (Settings(data_dir=Path("data")), "data"),
        (load(None, environ={}, data_dir=Path("data")), "data"),
        (load(None, environ={"GCC_DATA_DIR": "./data"}), "data"),
    ):
        assert settings.data_dir == tmp_path / name


def test_a_config_that_is_neither_a_file_nor_one_that_comes_along_is_told_with_those(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no file 'nosuch' here, and none of embedded, real, services is called so"):
        parse(["flows", "--config", "nosuch"])
    with pytest.raises(ConfigError, match=f"config file {tmp_path / 'nosuch'} does not exist"):
        settings_of(parse(["flows", "--config", str(tmp_path / "nosuch")]))


HOMES = [("~", ""), ("~/gcc", "gcc"), ("~/a/../b", "a/../b")]


@pytest.mark.parametrize(("given", "below"), HOMES)
def test_a_tilde_is_the_home(given: str, below: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "x.toml"
    file.write_text(f"data_dir = '{given}'")
    (tmp_path / "gcc.toml").touch()
    for settings in (
        load(file, environ={}),
        load(None, environ={"GCC_DATA_DIR": given}),
        load(None, environ={}, overrides=[f"data_dir={given}"]),
        settings_of(parse(["status", "--config=~/gcc.toml", f"--data={given}"])),
    ):
        assert settings.data_dir == tmp_path / below
    assert load(None, environ={"GCC_WORLD__RECORDED": given}).world.recorded == tmp_path / below


@pytest.mark.parametrize("given", ["", "  ", "a\0b", "~nobody-of-this-name/x"])
def test_what_names_no_path_is_refused(given: str, tmp_path: Path) -> None:
    """'' would be whatever folder one stands in."""
    said = [
        refused(tmp_path, GCC_DATA_DIR=given),
        refused(tmp_path, overrides=(f"data_dir={given}",)),
        refused(tmp_path, GCC_WORLD__RECORDED=given),
    ]
    for option in ("--data", "--config"):
        with pytest.raises(ConfigError) as caught:
            parse(["status", f"{option}={given}"])
        said.append(str(caught.value))
    assert all("path" in sentence and len(sentence) < 200 for sentence in said), said
    assert "data_dir" in said[0] and "GCC_DATA_DIR" in said[0]


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("colour = 1", ["unknown setting 'colour'", "x.toml"]),
        ("[ops]\nprot = 1", ["unknown setting 'ops.prot'"]),
        ("[ops]\nport = 'x'", ["'ops.port'", "integer", "'x'"]),
        ("[ops]\nport = 70000", ["'ops.port'", "65535"]),
        ("[sinker]\nbatch_rows = 3000\nbatch_rows_max = 2000", ["batch_rows 3000", "batch_rows_max"]),
        ("[sinker.overrides.post_log]\nbatch_row = 1", ["unknown setting 'sinker.overrides.post_log.batch_row'"]),
        (
            "[sinker.overrides.post_log]\nbatch_rows = 3000\nbatch_rows_max = 2000",
            ["overrides.post_log", "3000", "batch_rows_max"],
        ),
        ("[sinker.overrides.post_log]\nbatch_age_s = 0", ["sinker.overrides.post_log.batch_age_s", "greater than 0"]),
        ("[sinker.overrides.post_log]\nbatch_age_s = 300", ["batch_age_s 300", "cannot exceed 15", "leases"]),
        ("[ops", ["not valid TOML"]),
        ("[reports]\ntimezone = 'Mars/Olympus'", ["'reports.timezone'", "Mars/Olympus", "Asia/Kolkata"]),
        ("[ops]\nhost = '0.0.0.0'\n[web]\ndev_token = 'gcc-dev'", ["ops.host", "loopback", "web.dev_token"]),
        ("[gateway]\nhost = '0.0.0.0'", ["gateway.host", "loopback", "GCC_AUTH__JWT_SECRET"]),
        ("[gateway]\nport = 8010", ["must differ", "8010"]),
        ("[objects]\nurl = 's3://'", ["'objects'", "url", "s3://bucket/prefix"]),
        ("[objects]\nurl = 'gs://bucket'", ["'objects'", "url", "s3://bucket/prefix"]),
        ("[objects]\nurl = 's3://bucket'\nendpoint_url = 'minio:9000'", ["endpoint_url", "http://host:port"]),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_key(tmp_path: Path, toml: str, words: list[str]) -> None:
    message = refused(tmp_path, toml)
    assert all(word in message for word in words), message
    assert "\n" not in message


@pytest.mark.parametrize("depth", [11, 100, 400, 900, 5000])
def test_what_is_nested_too_deeply_is_one_sentence(tmp_path: Path, depth: int) -> None:
    name, tables = ".".join("a" * depth), "".join("{a=" for _ in range(depth))
    said = [
        refused(tmp_path, f"{name} = 1"),
        refused(tmp_path, f"[{name}]"),
        refused(tmp_path, f"roles = {'[' * depth}{']' * depth}"),
        refused(tmp_path, f"a = {tables}1{'}' * depth}"),
        refused(tmp_path, overrides=(f"{name}=1",)),
        refused(tmp_path, overrides=(f"roles={'[' * depth}{']' * depth}",)),
        refused(tmp_path, **{"GCC_" + "__".join("A" * depth): "1"}),
        refused(tmp_path, GCC_OPS='{"a":' * depth + "1" + "}" * depth),
    ]
    assert all("\n" not in sentence and len(sentence) < 500 for sentence in said), said


@pytest.mark.parametrize("number", ["9" * 5000, "0x" + "f" * 5000, "9" * 4000])
def test_a_number_of_too_many_digits_is_one_sentence(tmp_path: Path, number: str) -> None:
    said = [
        refused(tmp_path, f"[ops]\nport = {number}"),
        refused(tmp_path, f"roles = [{number}]"),
        refused(tmp_path, f"[postgres]\nurl = {number}"),
    ]
    assert all("too many digits" in sentence and len(sentence) < 500 for sentence in said), said
    assert "ops.port" in refused(tmp_path, overrides=(f"ops.port={number}",)).replace("--set ", "")


def test_a_batch_waits_for_no_more_single_events_than_the_broker_hands_out(tmp_path: Path) -> None:
    settings = load(None, environ={}, overrides=[f"sinker.batch_rows={PREFETCH}"])
    assert settings.sinker.batch_rows == PREFETCH
    message = refused(tmp_path, overrides=(f"sinker.batch_rows={PREFETCH + 1}",))
    assert all(word in message for word in ("sinker.batch_rows", str(PREFETCH), str(PREFETCH + 1))), message


@pytest.mark.parametrize(
    ("toml", "variable"),
    [
        ("[postgres]\nurl = 'postgresql://u:hunter2@db/x'", "GCC_POSTGRES__URL"),
        ("[sources.graphapi]\ntokens = ['hunter2']", "GCC_SOURCES__GRAPHAPI__TOKENS"),
        ("[web]\ndev_token = 'hunter2'", "GCC_WEB__DEV_TOKEN"),
        ("[objects]\nsecret_key = 'hunter2'", "GCC_OBJECTS__SECRET_KEY"),
        ("[objects]\naccess_key = 'hunter2'", "GCC_OBJECTS__ACCESS_KEY"),
        ("[services.post-collection]\ntoken = 'hunter2'", "GCC_SERVICES__POST_COLLECTION__TOKEN"),
    ],
)
def test_secrets_in_a_file_are_refused_and_not_repeated(tmp_path: Path, toml: str, variable: str) -> None:
    message = refused(tmp_path, toml)
    assert variable in message
    assert "hunter2" not in message


FORMS = (
    "postgresql://u:hunter2@db/x",
    "postgres://u:hunter2@a,b:5433/x?target_session_attrs=any",
    "postgresql://db/x?user=u&password=hunter2",
    "postgresql://db/x?Pass%77ord=hunter2",
    "postgresql://db/x?PASSWORD=hunter2",
    "postgresql://db/x?%2570assword=hunter2",
    "postgresql:///?host=/run&sslpassword=hunter2",
    "host=db user=u password=hunter2",
    "host=db user=u password = 'hunter2 and more'",
    "password=hunter2",
    "PASSWORD='hunter2' host=db",
    "postgresql://u:p/hunter2?x#@db/x",
    "postgresql://u:hunter2@[/x",
    "postgresql://:hunter2@db",
    "http://u:hunter2@db:8123/x",
    "https://db:8123/x?user=u&password=hunter2",
    "https://db:8123/x?access_token=hunter2",
    "https://db:8123/x?a=b;api_key=hunter2",
    "amqp://u:hunter2@broker/vhost",
    "amqps://broker/vhost?password=hunter2",
    "redis://:hunter2@cache/0",
    "rediss://cache/0?password=hunter2",
    "https://api.example.com/v1?key=hunter2",
    "HTTPS://U:hunter2@API.EXAMPLE.COM",
    "postgresql:///u:hunter2@h/d",
    "postgresql://us/er:hunter2@h/d",
    "postgresql://u:12/hunter2@h/d",
    "postgresql://us@er:hunter2@h/d",
    "postgresql:/u:hunter2@h/d",
    "host=h,password=hunter2",
    "host=h pass=hunter2",
    "host=h pw=hunter2",
    "host=h scram_client_key=hunter2",
    "postgresql://h/d?scram_server_key=hunter2",
    "host=h options='-c x.password=hunter2'",
    "https://db:8123/x?jwt=hunter2",
    "amqp://h/v;password=hunter2",
)
URLS = ("postgres.url", "clickhouse.url", "exchange.url", "redis.url", "objects.url", "objects.endpoint_url",
        "sources.graphapi.base_url", "world.recorded", "gateway.host")  # fmt: skip


@pytest.mark.parametrize("key", URLS)
@pytest.mark.parametrize("form", FORMS)
def test_a_password_in_any_form_belongs_into_the_environment(tmp_path: Path, key: str, form: str) -> None:
    section, _, name = key.rpartition(".")
    variable = "GCC_" + key.upper().replace(".", "__")
    for message in (
        refused(tmp_path, f'[{section}]\n{name} = "{form}"'),
        refused(tmp_path, overrides=(f"{key}={form}",)),
        refused(tmp_path, overrides=(f"{section}={json.dumps({name: form})}",)),
    ):
        assert variable in message
        assert "hunter2" not in message


@pytest.mark.parametrize(
    "url",
    [
        "embedded", "postgresql://gcc@127.0.0.1:5432/gcc", "postgresql:///gcc?host=/run/postgresql&passfile=/etc/pgpass",
        "host=db user=gcc passfile=/etc/pgpass sslkey=/etc/key", "postgresql://a,b:5433/x?target_session_attrs=any",
    ],
)  # fmt: skip
def test_what_holds_no_password_may_stand_in_a_file(tmp_path: Path, url: str) -> None:
    file = tmp_path / "x.toml"
    file.write_text(f"[postgres]\nurl = {url!r}\n")
    assert load(file, environ={}).postgres.url == url


ODD_NAMES = ("postgresql://u:hunter2@h", "a b=hunter2", "host=h,password=hunter2", "u:hunter2@h")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_address_in_the_place_of_a_name_is_not_repeated(name: str, tmp_path: Path) -> None:
    tomls = ['{} = "x"', "[{}]", "[postgres]\n{} = 1", "[sinker.overrides.{}]\nbatch_rows = 1", "[[sources]]\n{} = 1",
             "[{0}]\n[{0}]",
             "{0} = 1\n{0} = 2", "[sources.{}]\ntokens = ['x']", "[scraper.concurrency]\n{} = 0"]  # fmt: skip
    said = [refused(tmp_path, toml.format(json.dumps(name))) for toml in tomls]
    for section in ("sources", "postgres", "retention"):
        said.append(refused(tmp_path, overrides=(f"{section}={json.dumps({name: {}})}",)))
        said.append(refused(tmp_path, **{f"GCC_{section.upper()}": json.dumps({name: {}})}))
    assert not [sentence for sentence in said if "hunter2" in sentence]


def test_a_variable_whose_name_is_none_is_the_one_that_is_told(tmp_path: Path) -> None:
    assert refused(tmp_path, "grace_s = 1", **{"GCC_A:B": "hunter2"}).startswith("GCC_A:B: a name holds more than")
    others = {"GCC_SINKER__BATCH_ROWS": "5", "GCC_SINKER__X:Y": "hunter2", "GCC_SINKER__ZZ": "1"}
    message = refused(tmp_path, **others)
    assert message.startswith("sinker in GCC_SINKER__X:Y: a name holds more than") and "hunter2" not in message
    message = refused(tmp_path, GCC_A="1", GCC_SINKER='{"hun:ter": 1}')
    assert message.startswith("sinker in GCC_SINKER: a name holds more than") and "hun:ter" not in message
    for name in ODD_NAMES:
        for variable in (f"GCC_{name}", f"GCC_SINKER__{name}", f"GCC_{name}__A"):
            message = refused(tmp_path, **{variable.upper(): "1", variable.upper() + "__X": "2"})
            assert "a variable GCC_...: a name holds" in message and "hunter2" not in message.lower()


@pytest.mark.parametrize("url", ["http://u:12/hunter2@h:8123/d", "http://h/d;password=hunter2", "http://u:1#hunter2@h/d",
                                 "http://h;hunter2/d", "http://u:1?hunter2@h/d", "http://u:1?a=b&hunter2@h/d",
                                 "http://u:1#a=hunter2@h/d"])  # fmt: skip
def test_an_address_with_a_piece_of_a_password_is_refused(url: str, tmp_path: Path) -> None:
    message = refused(tmp_path, GCC_CLICKHOUSE__URL=url)
    assert "'clickhouse.url' in GCC_CLICKHOUSE__URL" in message and "%40" in message
    assert "hunter2" not in message


@pytest.mark.parametrize("url", ["http://[::1]:8123/d", "https://u:p%40%2F%3A@h:8443/d?verify=false", "http://h/a%40b",
                                 "http://h/db?client_name=a@b"])  # fmt: skip
def test_an_address_of_clickhouse_that_is_whole_is_taken(url: str) -> None:
    assert load(None, environ={"GCC_CLICKHOUSE__URL": url}).clickhouse.url == url


@pytest.mark.parametrize(
    "objects", [{"url": "s3://ak/u:hunter2@bucket"}, {"url": "s3://b", "endpoint_url": "http://h;p=hunter2"}]
)
def test_no_address_of_objects_holds_a_password(objects: dict[str, str], tmp_path: Path) -> None:
    environ = {f"GCC_OBJECTS__{name.upper()}": value for name, value in objects.items()}
    message = refused(tmp_path, **environ)
    assert "'objects'" in message and "must be" in message
    assert "hunter2" not in message


@pytest.mark.parametrize("url", ["s3://lake/env=prod/key=5", "s3://lake/raw/token=1", "s3://lake/year=2026/a@b"])
def test_the_prefix_of_objects_may_be_of_partitions(url: str, tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text(f"[objects]\nurl = '{url}'\n")
    assert load(file, environ={}).objects.url == url
    assert load(None, environ={"GCC_OBJECTS__URL": url}).objects.url == url


@pytest.mark.parametrize("url", ["s3://ak:hunter2@bucket/x", "s3://b/x?secret_key=hunter2", "s3://b/u:hunter2@x"])
def test_an_address_of_objects_holds_no_user_and_no_query(url: str, tmp_path: Path) -> None:
    for message in (refused(tmp_path, f"[objects]\nurl = '{url}'"), refused(tmp_path, GCC_OBJECTS__URL=url)):
        assert "GCC_OBJECTS__URL" in message or "url must be s3://" in message or "url must be file://" in message
        assert "hunter2" not in message


def test_a_user_in_the_address_of_a_source_is_taken_for_a_key(tmp_path: Path) -> None:
    assert "hunter2" not in refused(tmp_path, "[sources.graphapi]\nbase_url = 'https://hunter2@api.example.com'")


def test_secrets_on_the_command_line_are_refused(tmp_path: Path) -> None:
    for override in ("sources.graphapi.tokens=hunter2", 'sources={"graphapi": {"tokens": {"a": "hunter2"}}}',
                     "web.dev_token=hunter2", "objects.secret_key=hunter2"):  # fmt: skip
        message = refused(tmp_path, overrides=(override,))
        assert "GCC_" in message
        assert "hunter2" not in message


@pytest.mark.parametrize(
    "override", ["hunter2", "=hunter2", "postgresql://u:hunter2@h/d?a=b", "postgres.url:hunter2", "a b=hunter2", ".=x"]
)
def test_an_override_that_is_none_is_not_repeated(tmp_path: Path, override: str) -> None:
    message = refused(tmp_path, overrides=(override,))
    assert "--set ops.port=8010" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("variable", "way_out"),
    [
        ("GCC_POSTGRES", "GCC_POSTGRES__URL"),
        ("GCC_CLICKHOUSE", "GCC_CLICKHOUSE__URL"),
        ("GCC_EXCHANGE", "GCC_EXCHANGE__URL"),
        ("GCC_REDIS", "GCC_REDIS__URL"),
        ("GCC_OBJECTS", "GCC_OBJECTS__URL"),
        ("GCC_SOURCES__GRAPHAPI", "GCC_SOURCES__GRAPHAPI__TOKENS"),
        ("GCC_SOURCES", "GCC_SOURCES__GRAPHAPI__TOKENS"),
        ("GCC_OPS", "GCC_OPS__HOST"),
        ("GCC_RETENTION", "GCC_RETENTION__NAME"),
        ("GCC_SINKER__OVERRIDES__POST_LOG", "GCC_SINKER__"),
    ],
)
def test_a_variable_that_names_a_section_is_told_what_it_lacks(tmp_path: Path, variable: str, way_out: str) -> None:
    for value in ("postgresql://u:hunter2@h/d", "hunter2", '["hunter2"]', "17"):
        message = refused(tmp_path, **{variable: value})
        assert variable in message
        assert "section" in message
        assert way_out in message
        assert "hunter2" not in message


def places(model: type[pydantic.BaseModel] = Settings, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every section and setting that there is, with made-up names where any will do."""
    named: dict[tuple[str, ...], type[pydantic.BaseModel]] = {
        ("sources",): Source,
        ("sinker", "overrides"): SinkerOverride,
    }
    for name, field in model.model_fields.items():
        yield (*path, name)
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel):
            yield from places(kind, (*path, name))
        elif below := named.get((*path, name)):
            yield (*path, name, "graphapi")
            yield from places(below, (*path, name, "graphapi"))
        elif "dict" in str(kind):
            yield (*path, name, "trace_log_days")


NAMES = (("roles",), ("sinker", "event_types"), ("scraper", "concurrency"), ("retention",),
         ("sources", "graphapi", "limits"), ("sources", "ytapi", "limits"))  # fmt: skip
"""Of event types, flows and limits: one that nobody knows is told."""
VALUES = ("hunter2", "postgresql://u:hunter2@h/d", "http://u:hunter2@[/x", "http://hunter2:99999/", '["hunter2"]',
          '{"hunter2": 1}', '{"url": ["hunter2"]}', '[["hunter2"]]', "amqp://u:hunter2@h:x/", "redis://u:hunter2@h:x/",
          "s3://hunter2:a@b", "password=hunter2 host")  # fmt: skip


@pytest.mark.parametrize("place", [*places()], ids=".".join)
def test_no_value_of_the_environment_is_ever_repeated(place: tuple[str, ...]) -> None:
    for value in VALUES:
        for more in ({}, {"GCC_WEB__DEV_TOKEN": "gcc-dev"}, {"GCC_OPS__PORT": "x"}):
            try:
                settings = load(None, environ={"GCC_" + "__".join(place).upper(): value, **more})
                refuse_what_is_not_here(settings)
                roles = Roles(ALL, settings.roles, settings.grace_s)
                Stores(settings, SystemClock(), Catalogue(), {}, roles, str, list)
            except ConfigError as error:
                assert place in NAMES or "hunter2" not in str(error)


def test_secrets_in_the_environment_are_taken_and_never_repeated(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("")
    settings = load(file, environ={"GCC_SOURCES__GRAPHAPI__TOKENS": '["hunter2"]'})
    assert settings.sources["graphapi"].tokens == ("hunter2",)
    message = refused(tmp_path, GCC_SOURCES__GRAPHAPI__TOKENS='{"a": "hunter2"}')
    assert "sources.graphapi.tokens" in message
    assert "hunter2" not in message


def test_a_service_asks_with_a_token_of_its_own_that_is_never_repeated(tmp_path: Path) -> None:
    token = "hunter2" * 5
    settings = load(None, environ={"GCC_SERVICES__POST_COLLECTION__TOKEN": token})
    assert settings.services["post-collection"].token == token
    assert token not in repr(settings)
    for tokens in ([token, token], ["hunter2"], [f"hunter2 {token}"], [f"{token}\n"]):
        told = {f"GCC_SERVICES__S{number}__TOKEN": each for number, each in enumerate(tokens)}
        assert "hunter2" not in (message := refused(tmp_path, **told)) and "services" in message


def test_only_a_service_behind_the_gateway_may_be_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("[services.post-collection]\nurl = 'http://10.0.0.7:7179'\n")
    assert load(file, environ={}).services["post-collection"].url == "http://10.0.0.7:7179"
    for name, url in (("identity", "http://10.0.0.7"), ("content", "10.0.0.7:7179"), ("content", "ftp://x/")):
        assert f"services.{name}.url" in refused(tmp_path, f"[services.{name}]\nurl = '{url}'\n")


def test_the_keys_of_objects_come_from_the_environment_both_or_neither(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("[objects]\nurl = 's3://bucket/some/prefix'\n")
    keys = {"GCC_OBJECTS__ACCESS_KEY": "gcc", "GCC_OBJECTS__SECRET_KEY": "12345678"}  # no number, though it looks so
    objects = load(file, environ=keys).objects
    assert (objects.access_key, objects.secret_key) == ("gcc", "12345678")
    message = refused(tmp_path, GCC_OBJECTS__SECRET_KEY="hunter2")
    assert "access_key and secret_key belong together" in message
    assert "hunter2" not in message
    message = refused(tmp_path, GCC_OBJECTS='{"access_key": "gcc", "secret_key": ["hunter2"]}')
    assert "GCC_OBJECTS" in message
    assert "hunter2" not in message


LOOK_LIKE_OTHERS = ("1e10", "0e12345", "0.10", "NaN", "-0", "123456", "007", "true", "null", "[1]", '{"a": 1}', '"',
                    'a"b"', '"a" "b"')  # fmt: skip


@pytest.mark.parametrize("text", LOOK_LIKE_OTHERS)
def test_a_text_setting_is_its_text_whatever_it_looks_like(text: str, tmp_path: Path) -> None:
    sources = {"GCC_SOURCES__GRAPHAPI__TOKENS": json.dumps([text])}
    keys = {"GCC_OBJECTS__ACCESS_KEY": text, "GCC_OBJECTS__SECRET_KEY": text}
    told = load(None, environ={"GCC_WEB__DEV_TOKEN": text, "GCC_DATA_DIR": text, **keys, **sources})
    assert (told.objects.access_key, told.objects.secret_key, told.web.dev_token) == (text, text, text)
    assert (told.data_dir, told.sources["graphapi"].tokens) == (Path(text).absolute(), (text,))
    assert load(None, environ={"GCC_WORLD__RECORDED": text}).world.recorded == Path(text).absolute()
    overrides = [f"data_dir={text}", f"objects.region={text}", f"analytics.schedules.x={text}"]
    told = load(None, environ={}, overrides=overrides)
    assert (told.data_dir, told.objects.region, told.analytics.schedules) == (Path(text).absolute(), text, {"x": text})


def test_quotes_that_a_text_setting_brings_along_are_not_of_it(tmp_path: Path) -> None:
    """An --env-file of Docker keeps them."""
    told = load(None, environ={"GCC_DATA_DIR": '"/srv/gcc"', "GCC_WEB__DEV_TOKEN": r'"a\"b"'},
                overrides=['objects.region="x"', 'analytics.schedules.x="* * * * *"'])  # fmt: skip
    assert (told.data_dir, told.web.dev_token) == (Path("/srv/gcc"), 'a"b')
    assert (told.objects.region, told.analytics.schedules) == ("x", {"x": "* * * * *"})


def numbers(model: type[pydantic.BaseModel] = Settings, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every setting that is a number with a point."""
    known = {("sources",): (Source, "graphapi"), ("sinker", "overrides"): (SinkerOverride, "post_log")}
    for name, field in model.model_fields.items():
        below, *more = known.get((*path, name), (field.annotation,))
        if isinstance(below, type) and issubclass(below, pydantic.BaseModel):
            yield from numbers(below, (*path, name, *map(str, more)))
        elif "float" in str(field.annotation):
            yield (*path, name)


@pytest.mark.parametrize("path", [*numbers()], ids=".".join)
@pytest.mark.parametrize("value", ["Infinity", "-Infinity", "NaN", "1e999"])
def test_a_number_has_an_end(path: tuple[str, ...], value: str, tmp_path: Path) -> None:
    key = ".".join(path)
    assert f"'{key}'" in refused(tmp_path, overrides=(f"{key}={value}",))
    assert f"'{key}'" in refused(tmp_path, **{"GCC_" + "__".join(path).upper(): value})
    if path[-1].endswith(("_s", "_s_max")) and path[-1] != "calls_per_s":
        assert f"'{key}'" in refused(tmp_path, overrides=(f"{key}=1e20",))


@pytest.mark.parametrize(
    "url", ["http://a..invalid", f"http://{'a' * 64}.invalid", "http://.a/", f"http://{'x' * 300}"]
)
def test_a_host_that_is_no_name_is_refused(url: str, tmp_path: Path) -> None:
    assert "GCC_CLICKHOUSE__URL" in refused(tmp_path, GCC_CLICKHOUSE__URL=url)
    assert "sources.graphapi.base_url" in refused(tmp_path, overrides=(f"sources.graphapi.base_url={url}",))
    assert "endpoint_url" in refused(tmp_path, GCC_OBJECTS__ENDPOINT_URL=url)
    for section in ("gateway", "ops", "beat_api", "ingest"):
        assert f"{section}.host" in refused(tmp_path, overrides=(f"{section}.host={url.split('/')[2]}",))


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("", ("/data/objects",)),
        ("file:///elsewhere", ("/elsewhere",)),
        ("s3://a.bucket", ("a.bucket", "")),
        ("s3://a.bucket/", ("a.bucket", "")),
        ("s3://a.bucket/some/prefix", ("a.bucket", "some/prefix/")),
    ],
)
def test_the_url_of_objects_chooses_their_store(url: str, found: tuple[str, ...]) -> None:
    objects = open_objects(Settings.model_validate({"data_dir": "/data", "objects": {"url": url}}))
    if isinstance(objects, S3Objects):
        assert (objects._bucket, objects._prefix) == found
    else:
        assert isinstance(objects, FolderObjects)
        assert (str(objects._root),) == found


def test_wrong_overrides_and_missing_files_are_named(tmp_path: Path) -> None:
    assert "--set" in refused(tmp_path, overrides=("ops.port",))
    assert "'grace_s' is a value" in refused(tmp_path, "grace_s = 1", overrides=("grace_s.x=1",))
    with pytest.raises(ConfigError, match="does not exist"):
        load(tmp_path / "none.toml", environ={})


def test_settings_tell_where_they_come_from_and_how_to_make_them_again(tmp_path: Path) -> None:
    environ = {"GCC_WEB__DEV_TOKEN": "hush"}
    overrides = ["gateway.deadline_s=3", "gateway.port=0"]
    settings = load(EMBEDDED, overrides=overrides, data_dir=tmp_path, environ=environ)
    assert settings.told_by == f"{EMBEDDED}, --set gateway.deadline_s, --set gateway.port, GCC_WEB__DEV_TOKEN"
    file, again = settings.start
    assert load(file, overrides=again, data_dir=tmp_path, environ=environ) == settings
    assert load(None, environ={}).told_by == "the defaults"


def test_the_config_for_the_real_apis_asks_no_more_than_one_token_may() -> None:
    settings = load(EMBEDDED.with_name("real.toml"), environ={})
    assert not settings.world.enabled
    asked_a_day = {name: (source.calls or 0) * 86_400 / source.per_s for name, source in settings.sources.items()}
    assert asked_a_day["graphapi"] < 200 * 24
    assert asked_a_day["ytapi"] < 10_000


@pytest.mark.parametrize(
    ("text", "environ", "overrides", "told"),
    [
        ("", {"GCC_ROLES": "web,scraper"}, [], """'roles' in GCC_ROLES is a list; write '["ONE", "ANOTHER"]' there"""),
        ("", {}, ["roles=web"], """'roles' in --set roles is a list; write '["ONE", "ANOTHER"]' there"""),
        ("roles = []", {}, [], "'roles' in {file} is empty, and takes one or more"),
        ("[scraper]\nconcurrency = 'many'", {}, [], "in {file} is a section, not a value; set what is in it, such as "
         "[scraper.concurrency] and below it NAME = VALUE"),
        ("", {"GCC_SCRAPER__CONCURRENCY": "5"}, [], "such as GCC_SCRAPER__CONCURRENCY__NAME"),
    ],
)  # fmt: skip
def test_a_setting_of_the_wrong_shape_is_shown_the_right_one(
    text: str, environ: dict[str, str], overrides: list[str], told: str, tmp_path: Path
) -> None:
    file = tmp_path / "odd.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file, environ=environ, overrides=overrides)
    assert told.format(file=file) in str(caught.value)


def test_an_underscore_stands_for_the_dash_of_a_source(tmp_path: Path) -> None:
    variable = tokens_variable("instagram-scraper2")
    assert variable == "GCC_SOURCES__INSTAGRAM_SCRAPER2__TOKENS"
    settings = load(None, environ={variable: '["a"]', "GCC_WEB__STALE_AFTER_S": "7"})
    assert settings.sources["instagram-scraper2"].tokens == ("a",)
    assert settings.web.stale_after_s == 7
