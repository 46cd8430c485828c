"""Redis from Trio: redis-py (on hiredis), over `connections` at most.

A connection is made in a worker thread; a script is then sent and its answer waited for in the event loop, and read by
redis-py once it is there: a thread for each would cost four times as much. An answer is small and comes whole.

In: Lua scripts with keys and arguments. Out: their answers. Every failure is `Transient` and names the server, never
the password. Nothing is tried twice here: whether a lost call had its effect is unknown, and only the caller knows
whether that matters.

The first failure marks the server as lost: from then on calls fail at once, rather than each waiting for its own
timeout, until `look` has found it well. So somebody must look again and again (see gcc/parts.py).

Cancelled: the caller leaves at once, and its connection ends.
"""

import datetime as dt
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import redis
import trio
from redis.backoff import NoBackoff
from redis.retry import Retry

from gcc import threads
from gcc.clock import Clock
from gcc.errors import ConfigError, Transient
from gcc.passwords import encoded, is_host, is_torn, masked, odd

T = TypeVar("T")
CONNECT_S = 2.0
ANSWER_S = 2.0
"""For the answer of one command; a script of ours takes some microseconds."""
CALL_S = 5.0
"""For a whole call: its turn, a connection, the answer."""
TOO_LONG = f"no answer within {CALL_S:g} s"
LOST_S = 1.0
"""When to ask again after a failure."""
ALIVE = "gcc:alive"
SCHEMES = ("redis", "rediss")
REFUSALS = (redis.AuthenticationError, redis.exceptions.AuthorizationError, redis.exceptions.NoPermissionError)
NO_DATABASE = "DB index is out of range"


class Script:
    """A Lua script; see `Redis.run`. Its text is sent to a server that has not seen it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


class Redis:
    """One Redis server: redis[s]://[user:password@]host[:port][/database]. Construction connects nothing.

    rediss:// checks the server's certificate; `?ssl_ca_certs=FILE` names an authority of your own. Raises ConfigError.
    """

    def __init__(self, url: str, *, connections: int = 16) -> None:
        self.place, self._hidden = place(url), encoded(url)
        self._client = open_client(url, connections=connections)
        self._threads = trio.CapacityLimiter(connections)
        self._slots = trio.CapacityLimiter(connections)
        self._idle: list[Any] = []
        self._lost: Transient | None = None
        self._met = False  # it has been well once

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        """What the script answers. Transient, at once while the server is lost. Cancelled: it may have run."""
        if self._lost is not None:
            raise Transient(str(self._lost), retry_after_s=LOST_S) from self._lost
        with self._losing(), trio.move_on_after(CALL_S):
            async with self._slots:
                connection = self._well() or await self._in_thread(self._connected)
                try:
                    answer = await _answer(connection, script, keys, arguments)
                except BaseException:
                    connection.disconnect()
                    raise
                self._idle.append(connection)
                return answer
        raise self._now_lost(TOO_LONG)

    async def look(self) -> int:
        """Find out how the server is; 1 when it is well. Transient; ConfigError: it has never been, and refuses us.

        By a small write: one that is full, or a replica, or cannot store to its disk, still answers PING.
        """
        try:
            await self._call(lambda: self._client.set(ALIVE, "", ex=60))
        except Transient as error:
            if self._met or not (isinstance(error.__cause__, REFUSALS) or NO_DATABASE in str(error)):
                raise
            raise ConfigError(f"redis.url: {error}; mend GCC_REDIS__URL or the server") from error
        self._lost, self._met = None, True
        return 1

    @property
    def lost(self) -> str | None:
        """Why the server is known to be lost; None: it is not."""
        return None if self._lost is None else str(self._lost)

    def close(self) -> None:
        """Close the connections. Used again, it opens new ones."""
        self._client.close()
        while self._idle:
            self._idle.pop().disconnect()

    def _well(self) -> Any:
        """A connection that waits for work, and that the server has not closed; None: there is none."""
        while self._idle:
            connection = self._idle.pop()
            with suppress(redis.RedisError):
                if not connection.can_read():
                    return connection
            connection.disconnect()
        return None

    def _connected(self) -> Any:
        pool = self._client.connection_pool
        connection: Any = pool.connection_class(**pool.connection_kwargs)
        connection.connect()
        return connection

    async def _call(self, work: Callable[[], T]) -> T:
        with self._losing(), trio.move_on_after(CALL_S):
            return await self._in_thread(work)
        raise self._now_lost(TOO_LONG)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        with threads.needed(self.place):
            return await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._threads)

    @contextmanager
    def _losing(self) -> Iterator[None]:
        try:
            yield
        except redis.RedisError as error:
            why = masked(str(error).partition("\n")[0], self._hidden) or type(error).__name__
            raise self._now_lost(why) from error

    def _now_lost(self, why: str) -> Transient:
        self._lost = Transient(f"{self.place}: {why}", retry_after_s=LOST_S)
        return self._lost


async def _answer(connection: Any, script: Script, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
    try:
        return await _asked(connection, "EVALSHA", script.sha, len(keys), *keys, *arguments)
    except redis.exceptions.NoScriptError:
        await _asked(connection, "SCRIPT LOAD", script.text)
        return await _asked(connection, "EVALSHA", script.sha, len(keys), *keys, *arguments)


async def _asked(connection: Any, *words: Any) -> Any:
    connection.send_packed_command(connection.pack_command(*words), check_health=False)
    with trio.move_on_after(ANSWER_S):
        await trio.lowlevel.wait_readable(connection._sock)  # theirs: redis-py is pinned
        return connection.read_response()
    raise redis.TimeoutError("Timeout reading from socket")


def asked(url: str, clock: Clock) -> tuple[dict[str, Any], tuple[dt.datetime, dt.datetime, dt.datetime]]:
    """(what the server tells of itself, (our clock, theirs, ours again)). For a thread; writes nothing. Transient."""
    client = open_client(url, connections=1)
    try:
        info: Any = client.info()
        before = clock.now()
        seconds, micros = client.time()
        return info, (before, dt.datetime.fromtimestamp(seconds + micros / 1e6, dt.UTC), clock.now())
    except redis.RedisError as error:
        raise Transient(f"{place(url)}: {error}") from error
    finally:
        client.close()


def open_client(url: str, *, connections: int) -> redis.Redis:
    """A client for threads, with a timeout on everything; it connects when it is used. ConfigError: a bad URL."""
    place(url)
    try:
        pool = redis.ConnectionPool.from_url(
            url,
            max_connections=connections,
            socket_connect_timeout=CONNECT_S,
            socket_timeout=ANSWER_S,
            retry=Retry(NoBackoff(), 0),
            client_name="gcc",
        )
        pool.connection_class(**pool.connection_kwargs)  # refuses what it does not know
    except (ValueError, TypeError):
        raise ConfigError("redis.url: what follows its '?' are no options of a connection; remove them") from None
    return redis.Redis.from_pool(pool)


def place(url: str) -> str:
    """Where the URL leads, for people: no user, no password. ConfigError (without its text) when it leads nowhere."""
    try:
        parts = urlsplit(url)
        host, path = parts.hostname or "", parts.path.rstrip("/")
        if is_torn(parts):
            raise ConfigError(f"redis.url {odd('host, path or query')}") from None
        if parts.scheme in SCHEMES and is_host(unquote(host)) and re.fullmatch(r"(/[0-9]*)?", path):
            return f"redis at {f'[{host}]' if ':' in host else host}:{parts.port or 6379}{path}"
    except ValueError:
        pass
    raise ConfigError("redis.url is no address of a Redis server; write redis[s]://host:port/database") from None
