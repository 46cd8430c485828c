"""A private RabbitMQ broker: in a folder, on free ports, with a cookie and an epmd of its own.

The Erlang VM is our direct child: told that systemd runs it, the start script becomes the VM instead of watching
over it. epmd would survive as a daemon, so it is a child, too, and no Erlang may start another one. The programs
that the VM starts end when their pipe to it closes.
"""

import itertools
import os
import signal

import httpx
import trio

from tests.services.child import Child, Failed, PrivateFolder, ReservedPort, program

BIN = "/usr/lib/rabbitmq/bin"  # Debian's /usr/sbin/rabbitmq-server would change the user
PACKAGE = "rabbitmq-server"
START_S = 90.0
CONTROL_S = 90.0
HTTP_S = 15.0
MEMORY_BYTES = 1 << 30
USER = PASSWORD = "gcc"
CONF = """\
default_user = {user}
default_pass = {password}
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.absolute = {memory}
management.tcp.ip = 127.0.0.1
management.tcp.port = {port}
management_agent.disable_metrics_collector = true
"""


class Vhosts:
    """Virtual hosts of a broker, made and dropped in some 20 ms through its management plugin (HTTP)."""

    def __init__(self, amqp_url: str, http_url: str) -> None:
        """Both with user and password, `amqp_url` without a path; the user must be an administrator."""
        self._amqp_url = amqp_url
        self._http = httpx.Client(base_url=http_url, timeout=HTTP_S, trust_env=False)
        self._numbers = itertools.count(1)

    def add(self) -> str:
        """The amqp URL of a fresh vhost, in which the user may do everything."""
        name = f"gcc-test-{os.getpid()}-{next(self._numbers)}"
        try:
            self._http.put(f"/api/vhosts/{name}").raise_for_status()
        except httpx.HTTPError as error:
            raise Failed(f"no vhost can be made through the management plugin of RabbitMQ: {error}") from error
        return f"{self._amqp_url}/{name}"

    def drop(self, url: str) -> None:
        """Drop the vhost of `url`, with its queues and connections."""
        self._http.delete(f"/api/vhosts/{url.rpartition('/')[2]}").raise_for_status()

    def close(self) -> None:
        self._http.close()


class RabbitMQNode:
    """One broker. Its messages live in its folder, so they survive `kill` and `start`; `close` removes it all."""

    def __init__(self) -> None:
        """Raises Missing without the programs."""
        self._server = program("rabbitmq-server", package=PACKAGE, beside=BIN)
        self._control = program("rabbitmqctl", package=PACKAGE, beside=BIN)
        self._epmd = program("epmd", package="erlang-base")
        self._folder = PrivateFolder("rabbitmq")
        self._amqp, self._http, self._dist, self._names = self._ports = [ReservedPort() for _ in range(4)]
        (self._folder.path / "enabled_plugins").write_text("[rabbitmq_management].\n")
        conf = CONF.format(user=USER, password=PASSWORD, port=self._http.number, memory=MEMORY_BYTES)
        (self._folder.path / "rabbitmq.conf").write_text(conf)
        self._children: list[Child] = []  # epmd, the broker
        self._alarmed = False
        login = f"{USER}:{PASSWORD}@127.0.0.1"
        self.http_url = f"http://{login}:{self._http.number}"
        self.vhosts = Vhosts(f"amqp://{login}:{self._amqp.number}", self.http_url)

    @property
    def alive(self) -> bool:
        return len(self._children) == 2 and self._children[1].alive

    async def start(self) -> None:
        """Start it, from the folder and on the ports it had; returns when it takes connections. Main thread only."""
        self.kill()
        self._alarmed = False
        log, env = self._folder.path / "log", self._environment()
        epmd = Child([self._epmd, "-port", str(self._names.number), "-address", "127.0.0.1"], log, env)
        self._children = [epmd]
        await epmd.until(self._names.listening, START_S)
        self._children.append(Child([self._server], log, env))
        await self._children[1].until(lambda: self._amqp.listening() and self._http.listening(), START_S)

    async def settle(self) -> None:
        """Returns when all that was declared is on disk. The broker's database writes that up to two seconds late: a
        crash before loses new queues, with the messages that were confirmed into them."""
        await self.control("eval", "mnesia:sync_log().")

    def kill(self) -> None:
        """kill -9, as a crash; returns when the processes are gone."""
        for child in reversed(self._children):
            child.kill()
        self._children = []

    def pause(self) -> None:
        """Stop answering without closing a connection, until `resume`."""
        self._children[1].signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._children[1].signal(signal.SIGCONT)

    async def heal(self) -> None:
        """Undo what a test may have done to it: running, not paused, no alarm."""
        if not self.alive:
            await self.start()
        self.resume()
        if self._alarmed:
            await self.set_memory_alarm(False)

    async def set_memory_alarm(self, on: bool) -> None:
        """While it is on, the broker blocks every connection that publishes."""
        self._alarmed = on
        await self.control("set_vm_memory_high_watermark", "absolute", str(1 if on else MEMORY_BYTES))

    async def control(self, *words: str) -> str:
        """What `rabbitmqctl WORDS` says; it takes a second or two. Raises Failed with its complaint."""
        command = [self._control, "--quiet", *words]
        with trio.fail_after(CONTROL_S):
            done = await trio.run_process(
                command, env=self._environment(), capture_stdout=True, capture_stderr=True, check=False
            )
        if done.returncode:
            raise Failed(f"rabbitmqctl {' '.join(words)}: {done.stderr.decode()}")
        return done.stdout.decode()

    def close(self) -> None:
        self.kill()
        for port in self._ports:
            port.close()
        self.vhosts.close()
        self._folder.close()

    def _environment(self) -> dict[str, str]:
        folder = str(self._folder.path)
        return {
            "HOME": folder,  # of the cookie
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "RUNNING_UNDER_SYSTEMD": "true",
            "ERL_ZFLAGS": "-start_epmd false",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._names.number),
            "RABBITMQ_NODENAME": "gcc@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._amqp.number),
            "RABBITMQ_DIST_PORT": str(self._dist.number),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
            "RABBITMQ_FEATURE_FLAGS_FILE": f"{folder}/feature_flags",
            "RABBITMQ_GENERATED_CONFIG_DIR": f"{folder}/config",
            "RABBITMQ_LOG_BASE": folder,
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_MNESIA_BASE": f"{folder}/mnesia",
            "RABBITMQ_PID_FILE": f"{folder}/pid",
            "RABBITMQ_SCHEMA_DIR": f"{folder}/schema",
        }
