"""PostgreSQL's NOTIFY, delivered to callbacks: how processes wake each other without polling hard.

In: one connection that LISTENs to the channels. Out: calls of `callback(payload)`, in the order of the
commits. A notification is a hint, never the message: those sent while the connection was lost are gone,
so after every reconnect each callback is called once with "" and looks for itself.
"""

from collections.abc import Callable, Sequence
from contextlib import aclosing

import psycopg
import trio
from psycopg import sql
from psycopg.conninfo import make_conninfo

from gcc.errors import Transient
from gcc.stores.postgres import Connection, parameters, place, transient

Callback = Callable[[str], None]

BACKOFF_S = 0.1
BACKOFF_S_MAX = 5.0


class Notifications:
    """One LISTEN connection for the whole process, reconnecting by itself."""

    def __init__(self, conninfo: str, channels: Sequence[str]) -> None:
        """Opens nothing yet. ConfigError: conninfo is malformed."""
        given = parameters(conninfo)
        self._where = place(given)
        self._conninfo = make_conninfo("", **{"application_name": "gcc notifications", **given})
        self._callbacks: dict[str, list[Callback]] = {channel: [] for channel in channels}
        self._listened = False  # at least once, in this or an earlier run
        self.last_error: str | None = None
        """Why the connection was lost or cannot be had; None while it listens."""

    def on(self, channel: str, callback: Callback) -> None:
        """Call back on every notification of `channel`, from now on. KeyError: it was not among the channels.

        The callback must be quick and must not raise: an exception of its is a bug and ends `run`.
        """
        self._callbacks[channel].append(callback)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled; started() when it listens for the first time.

        A lost server is waited for, as long as it takes, with growing pauses up to BACKOFF_S_MAX. The pauses
        have no jitter: it is one connection a process.
        """
        pause_s = BACKOFF_S
        while True:
            try:
                with transient(self._where):
                    async with await Connection.connect(self._conninfo) as connection:
                        for channel in self._callbacks:
                            await connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
                        self.last_error, pause_s = None, BACKOFF_S
                        if self._listened:
                            self._tell_all()
                        self._listened = True
                        task_status.started()
                        task_status = trio.TASK_STATUS_IGNORED  # once is enough
                        await self._deliver(connection)
            except Transient as error:
                self.last_error = str(error)
            await trio.sleep(pause_s)
            pause_s = min(2 * pause_s, BACKOFF_S_MAX)

    def _tell_all(self) -> None:
        for callbacks in self._callbacks.values():
            for callback in callbacks:
                callback("")

    async def _deliver(self, connection: Connection) -> None:
        # No deadline: silence is normal, and TCP keepalives notice a server that vanished.
        async with aclosing(connection.notifies()) as notifications:
            async for notification in notifications:
                for callback in self._callbacks[notification.channel]:
                    callback(notification.payload)
        raise psycopg.OperationalError("the connection ended")
