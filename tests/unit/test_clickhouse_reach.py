"""A ClickHouse server that goes away while the platform runs, and comes back: a line each, whoever asks how often."""

import socket
from types import SimpleNamespace
from typing import Any

import clickhouse_connect
import pytest
import structlog.testing
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError, ProgrammingError
from urllib3.exceptions import HTTPError

from gcc.errors import ConfigError, GccError, Transient
from gcc.stores import clickhouse
from gcc.stores.clickhouse import ClickHouse, Lane
from gcc.stores.clickhouse_errors import translated

REFUSED = OperationalError("Error HTTPConnectionPool: connection refused")


class Client:
    error: ClickHouseError | HTTPError | None = None

    def query(self, *_: Any, **__: Any) -> Any:
        if self.error:
            raise self.error
        return SimpleNamespace(named_results=list)

    def raw_insert(self, *_: Any, **__: Any) -> None:
        self.query()


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def store(client: Client) -> ClickHouse:
    store = ClickHouse("http://127.0.0.1:9", writers=1, readers=1, query_s_max=5, fsync=False)
    store._lanes = {name: Lane(name, [client]) for name in ("writers", "readers", "killers")}  # type: ignore[list-item]
    return store


async def asked(store: ClickHouse, client: Client, error: ClickHouseError | HTTPError | None) -> list[str]:
    """What is told while it is asked thrice."""
    client.error = error
    with structlog.testing.capture_logs() as logs:
        for ask in (store.rows("select 1"), store.insert_ndjson("t", b"{}", token="t"), store.rows("select 1")):
            try:
                await ask
            except GccError:
                assert error
    return [f"{log['event']} {log['part']} {log.get('error', '')}".strip() for log in logs]


@pytest.mark.parametrize("lost", [REFUSED, HTTPError("timed out")], ids=["driver", "transport"])
@pytest.mark.parametrize(
    "answer", [None, DatabaseError("DB::Exception: no such table", code=60)], ids=["rows", "error"]
)
async def test_it_is_told_once_when_it_goes_and_when_it_is_back(
    store: ClickHouse, client: Client, lost: ClickHouseError | HTTPError, answer: ClickHouseError | None
) -> None:
    assert await asked(store, client, answer) == []
    (away,) = await asked(store, client, lost)
    assert away.startswith("away stores/clickhouse Transient: ClickHouse, query")
    assert await asked(store, client, lost) == []
    assert await asked(store, client, answer) == ["back stores/clickhouse"]
    assert await asked(store, client, answer) == []


async def test_one_that_comes_and_goes_fills_no_log(
    store: ClickHouse, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = [line for error in [REFUSED, None] * 20 for line in await asked(store, client, error)]
    assert [line.split()[0] for line in told] == ["away", "back"]
    monkeypatch.setattr(clickhouse, "QUIET_S", 0.0)
    assert len(await asked(store, client, REFUSED)) == 1


@pytest.mark.parametrize(
    "query",
    [
        "foo=1", "hunter2=1", "password=hunter2", "interface=hunter2", "settings=hunter2", "username=hunter2",
        "token_provider=hunter2", "rename_response_column=hunter2", "user=a&user_name=hunter2",
        "compress=1&compression=hunter2",
    ],
)  # fmt: skip
async def test_options_that_are_none_are_refused_without_repeating_them(query: str) -> None:
    store = ClickHouse(f"http://127.0.0.1:1/d?{query}", writers=1, readers=1, query_s_max=5, fsync=False)
    with pytest.raises(ConfigError, match=r"clickhouse.url: .*'\?'") as caught:
        await store.open()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("connect_timeout=hunter2", "connecting: Invalid value '***' for option connect_timeout"),
        ("compress=hunter2", "connecting: Unsupported compression method ***"),
        ("tz_source=hunter2", 'connecting: tz_source must be "auto", "server", or "local", got "***"'),
    ],
)
async def test_the_driver_says_what_it_cannot_use(query: str, told: str) -> None:
    store = ClickHouse(f"http://127.0.0.1:1/d?{query}", writers=1, readers=1, query_s_max=5, fsync=False)
    with pytest.raises(ConfigError) as caught:
        await store.open()
    assert str(caught.value) == f"clickhouse.url: ClickHouse, {told}"
    error: BaseException | None = caught.value
    while error:
        assert "hunter2" not in str(error)
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("query", ["compress=1", "user=x@y", "user_name=x", "compression=lz4", "client_name=a@b",
                                   "verify=false&session_id=1", "access_token=x", ""])  # fmt: skip
async def test_options_of_the_driver_are_taken(query: str) -> None:
    store = ClickHouse(f"http://127.0.0.1:1/d?{query}", writers=1, readers=1, query_s_max=5, fsync=False)
    with pytest.raises(Transient, match="ClickHouse, connecting: "):  # nobody is there
        await store.open()


async def test_a_setting_that_the_server_keeps_is_told_whatever_the_address_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ProgrammingError("Setting max_execution_time is unknown or readonly")

    monkeypatch.setattr("gcc.stores.clickhouse_clients.clickhouse_connect.get_client", refuse)
    store = ClickHouse("http://127.0.0.1:1/d?compress=1", writers=1, readers=1, query_s_max=5, fsync=False)
    with pytest.raises(
        ConfigError,
        match=r"^clickhouse\.url: ClickHouse, connecting: Setting max_execution_time is unknown or readonly",
    ):
        await store.open()


async def test_a_refusal_repeats_no_part_of_the_address_that_may_be_of_a_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise DatabaseError("Code: 81. DB::Exception: Database hu@sh does not exist", code=81)

    monkeypatch.setattr("gcc.stores.clickhouse_clients.clickhouse_connect.get_client", refuse)
    store = ClickHouse("http://127.0.0.1:1/hu%40sh", writers=1, readers=1, query_s_max=5, fsync=False)
    with pytest.raises(ConfigError, match=r"clickhouse.url: .* Database \*\*\* does not exist"):
        await store.open()


def test_of_a_server_that_nobody_reaches_its_address_and_the_reason_are_told() -> None:
    with socket.socket() as bound:  # and nobody listens
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        with pytest.raises(Transient) as lost, translated("connecting", starting=True):
            clickhouse_connect.get_client(host="127.0.0.1", port=port)
    assert str(lost.value) == f"ClickHouse, connecting: 127.0.0.1:{port}: Connection refused"
