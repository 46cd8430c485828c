"""The checks that `doctor` makes of a RabbitMQ: does it let us in, does it take messages, is all there as declared?

Over AMQP alone, apart from the bindings, which only its management plugin can list. Nothing is changed: what is
declared is looked for first (passively), and what is there is then declared as we would: the broker refuses that when
it differs. One message is published that no queue can get. No text holds the password of the URL.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import quote

import httpx
import trio

from gcc.channels.message import Binding
from gcc.cli.checkup import VERB, first_line, within
from gcc.cli.finding import Finding
from gcc.errors import Transient
from gcc.pipelines.events.routes import KEPT
from gcc.stores import rabbitmq
from gcc.stores.rabbitmq import Channel, ChannelClosed, Connection, Message, QueueInfo
from gcc.stores.rabbitmq_exchange import ACCESS_REFUSED, NOT_ALLOWED
from gcc.stores.rabbitmq_topology import NOT_FOUND, Topology

BLOCKED_S = 2.0  # a broker that takes messages confirms one in milliseconds
NAMES_SHOWN_MAX = 10
MENDS = {
    ACCESS_REFUSED: "mend user and password in GCC_EXCHANGE__URL, or what the user may do: rabbitmqctl set_permissions",
    NOT_ALLOWED: "make that vhost (rabbitmqctl add_vhost, set_permissions), or name another one in GCC_EXCHANGE__URL",
    None: "start the broker, or mend exchange.url (secret: GCC_EXCHANGE__URL)",
}
_INEQUIVALENT = re.compile(
    r"inequivalent arg '(?P<what>[^']+)' .*: received (?P<ours>.+) but current is (?P<theirs>.+)"
)


@dataclass(slots=True)
class _Seen:
    """What was looked for, in words."""

    missing: list[str] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    queues: list[QueueInfo] = field(default_factory=list)


async def examine(
    url: str,
    bindings: Sequence[Binding],
    topology: Topology,
    *,
    running: bool,
    deadline_s: float,
    management: str | None = None,
) -> list[Finding]:
    """All that the broker tells. `running`: a platform works on this machine. `management`: the plugin's URL, by
    default the usual one on the same host."""
    findings: list[Finding] = []
    try:
        target = rabbitmq.parse_url(url)
        async with rabbitmq.connect(url, name="gcc doctor", connect_s=deadline_s) as connection:
            findings += await within(deadline_s, "rabbitmq alarms", partial(_alarms, url, deadline_s))
            look = partial(_topology, connection, bindings, topology, running)
            findings += await within(deadline_s, "rabbitmq topology", look)
        found = Finding("rabbitmq", "ok", str(target))
    except rabbitmq.AmqpError as error:
        code = getattr(error, "code", None)
        return [*findings, Finding("rabbitmq", "fail", first_line(error), MENDS.get(code, MENDS[None]))]
    plugin = management or f"{'https' if target.tls else 'http'}://{target.host}:{15671 if target.tls else 15672}"
    look = partial(_bindings, plugin, target, bindings, running)
    return [found, *findings, *await within(deadline_s, "rabbitmq bindings", look)]


async def _alarms(url: str, deadline_s: float) -> list[Finding]:
    """It tells those who publish that it blocks them, and then hears nothing more from their connection."""
    message = Message("", "gcc.doctor: nobody has this queue", b"")
    with _translated():
        async with rabbitmq.connect(url, name="gcc doctor", connect_s=deadline_s) as connection:
            channel = await connection.open_channel()
            await channel.select_confirms()
            with trio.move_on_after(BLOCKED_S):
                for _ in range(2):  # the first may be let through
                    await channel.publish([message], mandatory=True)
                return [Finding("rabbitmq alarms", "ok", "it takes messages")]
            why = connection.blocked or f"nothing is confirmed within {BLOCKED_S:g} s"
    mend = "give the broker's machine memory or disk: rabbitmqctl status tells which alarm it is, and its limits"
    return [Finding("rabbitmq alarms", "fail", f"it blocks publishers: {why}", mend)]


async def _topology(
    connection: Connection, bindings: Sequence[Binding], topology: Topology, running: bool
) -> list[Finding]:
    seen = _Seen()
    exchanges = sorted({binding.route.exchange for binding in bindings} - {""})
    queues = sorted({binding.queue for binding in bindings})
    arguments = topology.queue_arguments
    with _translated():
        for name in exchanges:
            declare = partial(Channel.declare_exchange, name=name, kind=topology.kinds.get(name, "direct"))
            await _look(connection, f"exchange {name}", declare, seen)
        for name in queues:
            declare_queue = partial(Channel.declare_queue, name=name, arguments=arguments)
            await _look(connection, f"queue {name}", declare_queue, seen)
    return [_declared(seen, len(exchanges), len(queues), running), *_differences(seen), _unread(seen)]


async def _look(connection: Connection, what: str, declare: Callable[..., Awaitable[Any]], seen: _Seen) -> None:
    """A refusal costs the channel, so each of the two questions has one of its own."""
    try:
        async with connection.channel() as channel:
            found = await declare(channel, passive=True)
            if isinstance(found, QueueInfo):
                seen.queues.append(found)
    except ChannelClosed as error:
        if error.code != NOT_FOUND:
            raise
        seen.missing.append(what)
        return
    try:
        async with connection.channel() as channel:
            await declare(channel)
    except ChannelClosed as error:
        seen.other.append(f"{what}: {_difference(error)}")


def _difference(error: ChannelClosed) -> str:
    told = _INEQUIVALENT.search(error.text)
    return f"{told['what']} is {told['theirs']}, declared is {told['ours']}" if told else str(error)


def _declared(seen: _Seen, exchanges: int, queues: int, running: bool) -> Finding:
    if not seen.missing:
        return Finding("rabbitmq topology", "ok", f"{exchanges} exchanges and {queues} queues are there")
    found = f"missing: {_some(seen.missing)}"
    if running:
        mend = f"start a process with the role relay or sinker anew, which declares them: {VERB} run"
        return Finding("rabbitmq topology", "fail", f"{found}; such events are dead-lettered", mend)
    return Finding("rabbitmq topology", "warn", found, f"the next start declares them: {VERB} run")


def _differences(seen: _Seen) -> list[Finding]:
    if not seen.other:
        return []
    mend = (
        "they are used as they are. Declare them as they are there (of queues: exchange.quorum), or let the queue run"
        f" empty, delete it or the exchange by hand, and declare it anew: {VERB} run"
    )
    return [Finding("rabbitmq differences", "warn", _some(seen.other), mend)]


def _unread(seen: _Seen) -> Finding:
    left = [queue for queue in seen.queues if queue.messages and not queue.consumers and queue.name not in KEPT]
    unread = [f"{queue.name} ({queue.messages:,})" for queue in left]
    if unread:
        mend = f"start or resume a process with the role sinker; which one has a breaker open: {VERB} status"
        return Finding("rabbitmq queues", "warn", f"messages and no consumer: {_some(unread)}", mend)
    ready = sum(queue.messages for queue in seen.queues)
    return Finding("rabbitmq queues", "ok", f"{ready:,} messages wait, none forgotten" if ready else "empty")


async def _bindings(plugin: str, target: rabbitmq.Url, bindings: Sequence[Binding], running: bool) -> list[Finding]:
    """AMQP can make a binding, but not ask for one."""
    name = "rabbitmq bindings"
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=None, auth=(target.user, target.password)) as client:
            answer = await client.get(f"{plugin}/api/bindings/{quote(target.vhost, safe='')}")
        listed = answer.raise_for_status().json()
        bound = {(each["source"], each["routing_key"], each["destination"]) for each in listed}
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        why = first_line(error, default=type(error).__name__)
        found = f"not asked for: no management plugin answers ({why}); they are made whenever a process connects"
        return [Finding(name, "ok", found)]
    declared = {(each.route.exchange, each.route.key, each.queue) for each in bindings}
    if missing := sorted(declared - bound):
        found = f"missing: {_some([f'{exchange} {key} -> {queue}' for exchange, key, queue in missing])}"
        mend = f"they are made whenever a process with the role relay or sinker connects: {VERB} run"
        return [Finding(name, "fail" if running else "warn", found, mend)]
    return [Finding(name, "ok", f"all {len(declared)} are there")]


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except rabbitmq.AmqpError as error:
        raise Transient(str(error)) from error


def _some(words: Sequence[str]) -> str:
    more = len(words) - NAMES_SHOWN_MAX
    return "; ".join(words[:NAMES_SHOWN_MAX]) + (f"; and {more} more" if more > 0 else "")
