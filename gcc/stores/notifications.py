"""PostgreSQL's NOTIFY, delivered to callbacks: how processes wake each other without polling hard.

In: one connection that LISTENs to the channels. Out: calls of `callback(payload)`, in the order of the
commits. A notification is a hint, never the message: those sent while the connection was lost are gone,
so after every reconnect each callback is called once with "" and looks for itself.
"""

from collections.abc import Callable, Sequence
from contextlib import aclosing

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from gcc.stores.conninfo import odd_parts, parameters, place
from gcc.stores.postgres import Connection, transient

Callback = Callable[[str], None]


class Notifications:
    """One LISTEN connection for the whole process."""

    def __init__(self, conninfo: str, channels: Sequence[str]) -> None:
        """Opens nothing yet. ConfigError: conninfo is malformed."""
        given = parameters(conninfo)
        self._where, self._hidden = place(given), odd_parts(given)
        self._conninfo = make_conninfo("", **{"application_name": "gcc notifications", **given})
        self._callbacks: dict[str, list[Callback]] = {channel: [] for channel in channels}
        self._listened = False  # at least once, in this or an earlier run

    def on(self, channel: str, callback: Callback) -> None:
        """Call back on every notification of `channel`, from now on. KeyError: it was not among the channels.

        The callback must be quick and must not raise: an exception of its is a bug and ends `connected`.
        """
        self._callbacks[channel].append(callback)

    async def connected(
        self, stands: Callable[[], None], troubled: Callable[[str | None], None] = lambda why: None
    ) -> None:
        """One life of the connection: listen, call `stands()`, deliver until it is lost, which raises Transient.

        For gcc/actors/connection.py, which lives one after the other.
        """
        with transient(self._where, self._hidden):
            async with await Connection.connect(self._conninfo) as connection:
                for channel in self._callbacks:
                    await connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
                if self._listened:
                    self._tell_all()
                self._listened = True
                stands()
                await self._deliver(connection)

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
