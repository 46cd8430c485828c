"""What can go wrong, by what is gone afterwards: the connection, one channel, one consumer."""

from typing import TypeVar


class AmqpError(Exception):
    """Anything this package raises about the broker or the way to it."""


class UrlError(AmqpError, ValueError):
    """The URL is no amqp:// or amqps:// URL. The text never holds the URL: it has a password in it."""


class ProtocolError(AmqpError):
    """The peer sent what AMQP 0-9-1 does not allow. As the reason of a closed connection, or of one bad message."""


class _Closed(AmqpError):
    def __init__(self, code: int | None, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        """The broker's reply code (404, 406, 530, ...); None where no broker spoke."""
        self.text = text

    def __str__(self) -> str:
        return self.text if self.code is None else f"{self.code} {self.text}"


class ConnectionClosed(_Closed):
    """There is no connection: it was refused (bad credentials, unknown vhost), lost, silent or closed."""


class ChannelClosed(_Closed):
    """The channel is gone, its delivery tags are void; the connection lives."""


class ConsumerCancelled(AmqpError):
    """The broker ended the consumer: its queue was deleted or failed over."""


_Error = TypeVar("_Error", bound=AmqpError)


def fresh(error: _Error) -> _Error:
    """The same error again: one instance raised in several tasks would collect their tracebacks."""
    return type(error)(*error.args)
