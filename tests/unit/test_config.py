"""Settings: layers in order, everything checked, one sentence for each mistake, no secret shown."""

from pathlib import Path

import pytest

from gcc.channels.rabbitmq_exchange import PREFETCH
from gcc.config import DEV_TOKEN, Settings, load
from gcc.errors import ConfigError
from gcc.parts import open_objects, refuse_what_is_not_here
from gcc.stores.objects import FolderObjects
from gcc.stores.s3_objects import S3Objects

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
        ("roles = ['scarper']", ["roles", "'scarper'"]),
        ("[ops", ["not valid TOML"]),
        ("[reports]\ntimezone = 'Mars/Olympus'", ["'reports.timezone'", "Mars/Olympus", "Asia/Kolkata"]),
        ("[ops]\nhost = '0.0.0.0'\n[web]\ndev_token = 'gcc-dev'", ["ops.host", "loopback", "web.dev_token"]),
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
    ],
)
def test_secrets_in_a_file_are_refused_and_not_repeated(tmp_path: Path, toml: str, variable: str) -> None:
    message = refused(tmp_path, toml)
    assert variable in message
    assert "hunter2" not in message


def test_secrets_on_the_command_line_are_refused(tmp_path: Path) -> None:
    message = refused(tmp_path, overrides=("postgres.url=postgresql://u:hunter2@db/x",))
    assert "GCC_POSTGRES__URL" in message
    assert "hunter2" not in message


def test_secrets_in_the_environment_are_taken_and_never_repeated(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("")
    settings = load(file, environ={"GCC_SOURCES__GRAPHAPI__TOKENS": '["hunter2"]'})
    assert settings.sources["graphapi"].tokens == ("hunter2",)
    message = refused(tmp_path, GCC_SOURCES__GRAPHAPI__TOKENS='{"a": "hunter2"}')
    assert "sources.graphapi.tokens" in message
    assert "hunter2" not in message


def test_the_keys_of_objects_come_from_the_environment_both_or_neither(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text("[objects]\nurl = 's3://bucket/some/prefix'\n")
    keys = {"GCC_OBJECTS__ACCESS_KEY": "gcc", "GCC_OBJECTS__SECRET_KEY": "12345678"}  # no number, though it looks so
    objects = load(file, environ=keys).objects
    assert (objects.access_key, objects.secret_key) == ("gcc", "12345678")
    message = refused(tmp_path, GCC_OBJECTS__SECRET_KEY="hunter2")
    assert "access_key and secret_key belong together" in message
    assert "hunter2" not in message
    message = refused(tmp_path, GCC_OBJECTS__SECRET_KEY='["hunter2"]')
    assert "objects.secret_key" in message
    assert "hunter2" not in message


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
