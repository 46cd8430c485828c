"""Every setting with its meaning and default, a class a section of the file."""

import base64
import functools
import ipaddress
import re
import zoneinfo
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import pydantic
from pydantic import AfterValidator, Field

from gcc.config.paths import WholePath
from gcc.config.services import refuse_odd_services
from gcc.passwords import is_host, is_torn, odd, passwords

POSTGRES_AGE_S_MAX = 15.0
"""The oldest batch that fits into a lease of the PostgreSQL exchange (60 s) while the one before it is stored."""

SECONDS_MAX = 100 * 366 * 86_400.0
"""The longest time that every clock, database and timeout can still add to now."""


class Section(pydantic.BaseModel):
    # no number here means anything as infinity or NaN, and what computes with it would raise
    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _a_zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError("it is no time zone; use a name such as Asia/Kolkata or UTC") from error
    return name


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        # a port that is too large: ValueError
        return parts.scheme in ("http", "https") and is_host(parts.hostname or "") and parts.port != 0
    except ValueError:
        return False


def _chdb_or_http(url: str) -> str:
    if url != "chdb" and not _is_http(url):
        raise ValueError("it is neither 'chdb' nor http[s]://host:port/database")
    if is_torn(urlsplit(url)):
        raise ValueError(f"it {odd('host, path or query')}")
    return url


def _http_or_none(url: str) -> str:
    if url and not _is_http(url):
        raise ValueError("it is no address; write http[s]://host/path")
    return url


OBJECTS_URL = re.compile(r"file://(?P<folder>/.*)|s3://(?P<bucket>[a-z0-9][a-z0-9.-]+[a-z0-9])(/(?P<prefix>[^?#]*))?")

Port = Annotated[int, Field(ge=0, le=65535)]  # 0 = any free port
Seconds = Annotated[float, Field(le=SECONDS_MAX)]
Days = Annotated[int, Field(ge=0, le=36_500)]
ZoneName = Annotated[str, AfterValidator(_a_zone)]


def _host(name: str) -> str:
    if name and not is_host(name):
        raise ValueError("it is no host; give an address of this machine, or a name whose parts have 1 to 63 letters")
    return name


Host = Annotated[str, AfterValidator(_host)]


class Bind(Section):
    host: Host = "127.0.0.1"  # anything but loopback opens the port to the network
    port: Port
    connections_max: int = Field(0, ge=0)  # more get 503; 0: 1000, or what few descriptors leave


ProxyHeader = Literal["x-forwarded-for", "forwarded"]


ORIGIN = re.compile(
    r"(?!http:.*:80$|https:.*:443$)https?://([a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(:[1-9][0-9]{0,4})?"
)


class Gateway(Bind):
    port: Port = 8009
    cors_origins: tuple[str, ...] = ()  # exact origins that browsers may call from
    body_bytes_max: int = Field(1 << 20, ge=1024)  # larger request bodies get 413
    deadline_s: Seconds = Field(20.0, gt=0)  # one deadline per request; it cancels its queries (504)
    # networks of the proxies in front of it, ["10.0.7.0/24"]: who asks through them is whom they name. Empty: whoever
    # connects. Whoever else can connect from there is believed as well
    trusted_proxies: tuple[pydantic.IPvAnyNetwork, ...] = ()
    proxy_header: ProxyHeader = "x-forwarded-for"  # in which they name it, and which none of them passes on unchanged

    @pydantic.field_validator("cors_origins")
    @classmethod
    def _exact(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for number, origin in enumerate(origins, start=1):
            if not ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"number {number} is no origin; write scheme, name and port as browsers do, in small letters"
                    " (https://app.example.org): neither * nor null, no path, no port that the scheme has anyway"
                )
        return origins

    @pydantic.field_validator("trusted_proxies")
    @classmethod
    def _not_everybody(cls, networks: tuple[pydantic.IPvAnyNetwork, ...]) -> tuple[pydantic.IPvAnyNetwork, ...]:
        if any(network.prefixlen == 0 for network in networks):
            raise ValueError("it trusts everybody, so that anybody may claim any address; name the proxies' networks")
        return networks


class Ops(Bind):
    port: Port = 8010
    check_s: Seconds = Field(50.0, gt=0)  # a `check` that takes longer gets 504; large stores need more


class BeatApi(Bind):
    port: Port = 8000


class Ingest(Section):
    host: Host = "127.0.0.1"
    http_port: Port = 8019
    grpc_port: Port = 8017


class Postgres(Section):
    url: str = "embedded"  # or postgresql://...; a password belongs into GCC_POSTGRES__URL
    web_url: str = ""  # the same database as a role that row-level security holds; empty: as url. GCC_POSTGRES__WEB_URL
    web_pool: int = Field(8, ge=1)  # connections for requests; separate, so that crawls never starve them
    actor_pool: int = Field(12, ge=2)  # connections for actors
    fsync: bool = True  # False: faster, safe against kill -9 but not against power loss
    audit: bool = False  # True: tables profile_log and post_log hold what is emitted so, too; see docs/migration.md

    @pydantic.model_validator(mode="after")
    def _of_a_server(self) -> Self:
        if self.web_url and self.url == "embedded":
            raise ValueError("web_url belongs to a url of a server; the embedded one has its own")
        return self


class ClickHouse(Section):
    url: Annotated[str, AfterValidator(_chdb_or_http)] = "chdb"  # or http(s)://host:8123/database
    writers: int = Field(2, ge=1)  # concurrent inserts; each is a thread with its own client
    readers: int = Field(4, ge=1)  # concurrent SELECTs
    query_s_max: Seconds = Field(60.0, gt=0, le=1e6)  # max_execution_time of every query; no socket waits for 25 days
    fsync: bool = False  # True: fsync_after_insert, about 25 % slower


class Exchange(Section):
    url: str = "postgres"  # or amqp[s]://host:5672/vhost; a password belongs into GCC_EXCHANGE__URL
    quorum: bool = False  # RabbitMQ: queues that are declared now are replicated (three nodes or more)
    held_bytes_max: int = Field(
        256 << 20, ge=1 << 20
    )  # unacknowledged bytes of the whole process; then nothing is taken

    @pydantic.field_validator("url")
    @classmethod
    def _known(cls, url: str) -> str:
        if url != "postgres" and not url.startswith(("amqp://", "amqps://")):
            raise ValueError("is neither 'postgres' nor amqp://... nor amqps://...")
        return url


class Redis(Section):
    url: str = ""  # redis[s]://host:6379/0; empty: limits and sessions live in this process
    connections: int = Field(16, ge=1)  # each with a thread; callers beyond them wait their turn


class Objects(Section):
    url: str = ""  # file:///path or s3://bucket[/prefix]; empty: DATA/objects
    endpoint_url: str = ""  # http(s)://host:port of an S3 that is not Amazon's
    region: str = ""  # empty: what the AWS SDK reads (AWS_REGION, ~/.aws/config)
    access_key: str = ""  # GCC_OBJECTS__ACCESS_KEY, never in a file; empty: what the AWS SDK reads
    secret_key: str = ""  # GCC_OBJECTS__SECRET_KEY, likewise

    @pydantic.model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.url and not OBJECTS_URL.fullmatch(self.url):
            raise ValueError("url must be file:///path or s3://bucket/prefix, without user, port or query")
        if self.url.startswith("s3:") and passwords(self.url):
            raise ValueError("url must be s3://bucket/prefix, without a password; that is what secret_key is for")
        endpoint = self.endpoint_url
        if endpoint and not (re.fullmatch(r"https?://[^/@?#=;\s]+/?", endpoint) and _is_http(endpoint)):
            raise ValueError("endpoint_url must be http://host:port or https://host:port")
        if bool(self.access_key) != bool(self.secret_key):
            raise ValueError("access_key and secret_key belong together; set both or neither")
        return self


class SinkerOverride(Section):
    """What one event type's sinker has of its own; empty: as the others."""

    batch_rows: int | None = Field(None, ge=1, le=10_000)
    batch_age_s: Seconds | None = Field(None, gt=0)
    batch_rows_max: int | None = Field(None, ge=1)


class Sinker(Section):
    # rows per insert when there is no backlog; of single events RabbitMQ hands out no more than 10,000 unacknowledged,
    # so a batch that waits for more would wait for its age
    batch_rows: int = Field(1000, ge=1, le=10_000)
    batch_age_s: Seconds = Field(5.0, gt=0)  # the oldest waiting event's age that forces a flush
    batch_rows_max: int = Field(20_000, ge=1)  # rows per insert under backlog
    overrides: dict[str, SinkerOverride] = {}  # event type -> what differs for it
    event_types: tuple[str, ...] = ()  # what this process stores; empty: all. The rest needs another process

    @pydantic.model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.batch_rows > self.batch_rows_max:
            raise ValueError(f"batch_rows {self.batch_rows} cannot exceed batch_rows_max {self.batch_rows_max}")
        for name in self.overrides:
            own = self.of(name)
            if own.batch_rows > own.batch_rows_max:
                raise ValueError(
                    f"overrides.{name}: batch_rows {own.batch_rows} cannot exceed batch_rows_max {own.batch_rows_max}"
                )
        return self

    @property
    def age_s_max(self) -> float:
        """The longest batch_age_s of all sinkers."""
        return max([self.batch_age_s, *(self.of(name).batch_age_s for name in self.overrides)])

    def of(self, event_type: str) -> "Sinker":
        """The settings of one event type's sinker."""
        own = self.overrides.get(event_type, SinkerOverride()).model_dump(exclude_none=True)
        return self.model_copy(update={**own, "overrides": {}})


class Scraper(Section):
    lease_s: Seconds = Field(60.0, gt=1)  # a dead process's jobs come back after this long
    attempts_max: int = Field(5, ge=1)  # failures (not claims) before a job is FAILED
    lost_max: int = Field(10, ge=1)  # workers that died over it before a job is FAILED
    backoff_s: Seconds = Field(2.0, gt=0)  # first retry delay; doubles, with jitter, to backoff_s_max
    backoff_s_max: Seconds = Field(600.0, gt=0)
    poll_s: Seconds = Field(2.0, gt=0)  # fallback when a NOTIFY was missed
    concurrency: dict[str, int] = {}  # flow -> jobs in flight; overrides the flow table


class Scorer(Section):
    workers: int = Field(0, ge=0, le=1000)  # processes that score at once; 0: as many as there are cores
    idle_s: Seconds = Field(60.0, gt=0)  # one that had nothing to do for so long ends
    slow_s: Seconds = Field(10.0, gt=0, le=15)  # one that takes longer over a slice is ended, and the slice done again
    waiting_max: int = Field(100_000, ge=1)  # followers in the queue, above which none are pushed
    again_max: int = Field(20_000, ge=0)  # of those scored by an older version, pushed again every ten minutes


class Source(Section):
    base_url: Annotated[str, AfterValidator(_http_or_none)] = (
        ""  # without the version; empty: the API's own address, or the world's where world.enabled
    )
    tokens: tuple[str, ...] = ()  # GCC_SOURCES__<NAME>__TOKENS='["..."]'; seeded into the credential table
    calls: int | None = Field(None, ge=1)  # limit: this many calls (empty: the declared limit of the source) ...
    per_s: Seconds = Field(1.0, gt=0)  # ... per this many seconds, for the whole platform
    # calls of its other limits by bucket ({search = 100}), or by "credential" or "app" where they are of all calls
    limits: dict[str, Annotated[int, Field(ge=1)]] = {}
    timeout_s: Seconds = Field(15.0, gt=0)
    version: str = Field("", pattern=r"^[A-Za-z0-9._-]*$")  # of the API; empty: the declared one
    enabled: bool | None = None  # empty: yes, unless it reads a platform without its consent
    retention_days: Days | None = (
        None  # what it answered is kept so long unless renewed; 0: for ever; empty: as declared
    )
    derive: bool | None = None  # whether figures may be computed from it; empty: as declared
    # Of one who scrapes Instagram: what is asked -> how it is written, "GET feed?user_id={profile_id}"; one that no row
    # declares needs these, or `like`: the one that it is asked like. docs/sources.md tells more
    endpoints: dict[str, str] = {}
    like: str = ""
    host: str = Field("", pattern=r"^[A-Za-z0-9.-]*$")  # by which RapidAPI's gateway knows it


class Credentials(Section):
    # GCC_CREDENTIALS__KEYS='["BASE64", ...]', 32 bytes each, newest first: what the secrets of credentials are sealed
    # under. Empty: DATA/credentials.key, which the first start makes
    keys: tuple[str, ...] = ()


class WorldLimit(Section):
    """A limit that the world measures, and refuses more where it is enforced."""

    source: str
    calls: int = Field(ge=1, le=1_000_000)
    per_s: Seconds = Field(gt=0, le=604_800)
    each: Literal["source", "token", "app"] = "source"
    bucket: str = ""  # of the source's calls; empty: all
    enforced: bool = False


class World(Section):
    enabled: bool = False
    port: Port = 8090
    seed: int = 1
    creators: int = Field(1000, ge=1)  # per platform, generated
    odd: int = Field(0, ge=0)  # beside them, smaller: private, renamed, gone, age-gated, hiding their likes, in turn
    owners: int = Field(0, ge=0)  # generated creators whose own Graph tokens the scraper is given
    recorded: WholePath | None = None  # a folder of recorded creators instead of generated ones
    recorded_max: int | None = Field(None, ge=1)  # of these only the biggest, per platform; empty: all
    history_days: int = Field(90, ge=0, le=3650)  # imported at first start; 0 = none
    calls_per_s: float = Field(100.0, gt=0)  # per source; more gets 429 with Retry-After
    latency_s: Seconds = Field(0.0, ge=0, le=60)  # before each answer of an outside API
    limits: tuple[WorldLimit, ...] = ()  # measured at its door; GET /stats tells how full each ever was
    quota_times: float = Field(1000.0, gt=0)  # daily quotas, as a multiple of the real ones: a demo never ends
    calls_per_hour: int | None = Field(None, ge=1)  # of the Graph API's app; empty: twice what calls_per_s lets through
    mix: bool = False  # start also where the other one, the world or the real APIs, has filled the database


class Web(Section):
    dev_token: str = ""  # accepted as Authorization: Bearer, tenant 1; loopback only
    stale_after_s: Seconds = Field(86_400.0, gt=0)  # an older profile is scraped within the request
    scrape_wait_s: Seconds = Field(15.0, gt=0)  # how long a request waits for that scrape
    not_found_s: Seconds = Field(300.0, ge=0)  # a handle that does not exist is not asked for again for so long
    repeated_s: Seconds = Field(1.0, ge=0, le=60)  # who asks the same within that gets the same; 0: reads it anew
    # handles that nobody follows yet, a minute and tenant, in each process; more get 429: each costs a call outside
    unknown_handles: int = Field(30, ge=1)


class Auth(Section):
    # GCC_AUTH__JWT_SECRET, never in a file: 32 bytes or more in Base64, the same for all gateways; a comma and the one
    # before it while it is replaced. Empty: DATA/auth.key, which the first start makes, while gateway.host is loopback
    jwt_secret: str = ""
    public_url: Annotated[str, AfterValidator(_http_or_none)] = (
        ""  # where links of invitations lead; empty: whoever asked
    )
    known: int = Field(100_000, ge=1)  # sessions that a process keeps in memory, or fewer, so that they fit into ...
    known_bytes: int = Field(64 << 20, ge=1 << 16)  # ... this much
    known_s: Seconds = Field(30.0, gt=0)  # for so long; a session that ends is forgotten at once


class App(Section):
    """What a platform has registered us as, for creators to let us in; see docs/identity.md."""

    client_id: str = ""
    client_secret: str = Field("", repr=False)  # GCC_CONNECT__<PLATFORM>__CLIENT_SECRET, never in a file

    @pydantic.model_validator(mode="after")
    def _whole(self) -> Self:
        if bool(self.client_id) != bool(self.client_secret):
            raise ValueError("client_id and client_secret belong together; set both or neither")
        return self


class Service(Section):
    # one of SERVICES, or identity, that another host answers for: http[s]://host:port; empty: this process;
    # docs/servers.md
    url: Annotated[str, AfterValidator(_http_or_none)] = ""
    # GCC_SERVICES__NAME__PASSWORD, never in a file: by which that host believes who we say is asking; of identity the
    # token that we ask it with
    password: str = Field("", repr=False)
    # GCC_SERVICES__NAME__TOKEN, never in a file: what that service asks with, 32 characters or more; NAME has _ for -
    token: str = Field("", repr=False, max_length=512, pattern=r"^([0-9A-Za-z._~+/=-]{32,})?$")


class Analytics(Section):
    schedules: dict[str, str] = {}  # schedule name -> cron (UTC), or "by hand"; overrides the declared one
    model_threads: int = Field(2, ge=1)  # models built side by side
    query_threads: int = Field(1, ge=1)  # ClickHouse's, for each of them; more leave fewer to readers
    model_memory_mb: int = Field(1500, ge=50)  # of each; one that needs more fails
    model_spill_mb: int = Field(1000, ge=10)  # above, its groups go to disk, which is slower; sorts from an eighth on
    model_s_max: Seconds = Field(600.0, gt=0, le=1e6)  # max_execution_time of each of its statements


RateClass = Literal["open", "login", "read", "search", "write", "heavy", "scrape"]
RateNumbers = Annotated[int, Field(ge=1)] | dict[Literal["FREE", "SAAS", "PAID"], Annotated[int, Field(ge=1)]]


class Limits(Section):
    # calls a minute in place of those of gcc/web/api/rates.py: {read = 5000}, or by plan: {read = {FREE = 100}};
    # open and login are of an address, staff of an operator's or a service's token, all others of a partner
    classes: dict[RateClass | Literal["staff"], RateNumbers] = {}


class Alerts(Section):
    # where trouble of schedules is posted, https://... (http:// on loopback alone); empty: nowhere. docs/schedules.md
    url: Annotated[str, AfterValidator(_http_or_none)] = ""
    secret: str = ""  # GCC_ALERTS__SECRET, never in a file: what posts are signed with

    @pydantic.model_validator(mode="after")
    def _safe(self) -> Self:
        parts = urlsplit(self.url)
        if self.url and parts.scheme != "https" and not is_loopback(parts.hostname or ""):
            raise ValueError("url must be https://..., but for one on loopback")
        if self.url and (parts.username or parts.password or is_torn(parts)):
            raise ValueError("url must be without a user, a password and odd letters; posts are signed by secret")
        if self.url and not self.secret:
            raise ValueError("secret is needed beside url: set GCC_ALERTS__SECRET")
        return self


class Webhooks(Section):
    """Those of tenants, which choose where they are told of events; see docs/webhooks.md."""

    ports: tuple[Annotated[int, Field(ge=1, le=65535)], ...] = (443,)  # of their URLs, which are https://
    # True: http, any port and this machine's own network, too, for who tries things out. Only on one machine alone
    allow_private: bool = False
    # GCC_WEBHOOKS__SECRET, 32 bytes in Base64, never in a file: what the secret of each endpoint is derived from; with
    # another all of them are others. Empty: DATA/webhooks.key with embedded PostgreSQL; else nothing is sent
    secret: str = ""

    @pydantic.field_validator("secret")
    @classmethod
    def _a_key(cls, text: str) -> str:
        try:
            found = base64.b64decode(text, validate=True)
        except ValueError:
            found = b"?"
        if text and len(found) < 32:
            raise ValueError("secret must be 32 bytes or more in Base64; make one with: openssl rand -base64 32")
        return text


class Kept(Section):
    """How many days what has ended is kept from then on; 0: for ever. Later nobody can look at it, or retry it."""

    jobs_days: Days = 30  # COMPLETE, EXPIRED and CANCELLED ones
    failed_jobs_days: Days = 90
    letters_days: Days = 90  # dead letters that were replayed, with their objects
    actions_days: Days = 365  # of people: the action log
    schedule_runs_days: Days = 90  # but for the last one of each schedule
    webhook_deliveries_days: Days = 30  # from when their events came, whatever became of them
    api_jobs_days: Days = 90  # jobs of the API; their files and reports 7

    @property
    def days(self) -> dict[str, int]:
        """By kind: "jobs", "failed_jobs", ..."""
        return {name.removesuffix("_days"): days for name, days in self}

    @property
    def jobs_in_words(self) -> str:
        """For whom misses one."""
        jobs, failed = (f"{days} days" if days else "for ever" for days in (self.jobs_days, self.failed_jobs_days))
        return f"jobs that have ended are kept {jobs}, failed ones {failed}"


class Reports(Section):
    timezone: ZoneName = "Asia/Kolkata"  # day and month boundaries of reports


class Logging(Section):
    level: Literal["debug", "info", "warning", "error"] = "info"


class Settings(Section):
    """Everything a process is told. Frozen; passed down explicitly."""

    _told_by: str = "the defaults"
    _start: tuple[Path | None, tuple[str, ...]] = (None, ())

    data_dir: WholePath = Field(Path("var"), validate_default=True)
    roles: Annotated[tuple[str, ...], Field(min_length=1)] | None = None  # None: all that there are
    grace_s: Seconds = Field(20.0, gt=0)  # drain's limit; after it the rest is cancelled, which loses nothing
    demo: bool = (
        False  # of the world's creators, partner 1 gets collections, campaign prices, links: once, at the first start
    )
    gateway: Gateway = Gateway()
    ops: Ops = Ops()
    beat_api: BeatApi = BeatApi()
    ingest: Ingest = Ingest()
    postgres: Postgres = Postgres()
    clickhouse: ClickHouse = ClickHouse()
    exchange: Exchange = Exchange()
    redis: Redis = Redis()
    objects: Objects = Objects()
    sinker: Sinker = Sinker()
    scraper: Scraper = Scraper()
    scorer: Scorer = Scorer()
    sources: dict[str, Source] = {}
    credentials: Credentials = Credentials()
    retention: dict[str, Days] = {}  # trace_log_days = 14: then they are dropped, whole partitions at a time; 0: never
    kept: Kept = Kept()
    world: World = World()
    web: Web = Web()
    auth: Auth = Auth()
    connect: dict[Literal["instagram", "youtube"], App] = {}
    services: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")], Service] = {}
    limits: Limits = Limits()
    analytics: Analytics = Analytics()
    alerts: Alerts = Alerts()
    webhooks: Webhooks = Webhooks()
    reports: Reports = Reports()
    logging: Logging = Logging()

    def has_role(self, role: str) -> bool:
        return self.roles is None or role in self.roles

    @pydantic.model_validator(mode="after")
    def _safe_together(self) -> Self:
        if self.web.dev_token:
            for key, bind in (("gateway", self.gateway), ("ops", self.ops), ("beat_api", self.beat_api)):
                if not is_loopback(bind.host):
                    raise ValueError(f"{key}.host is not loopback while web.dev_token is set; unset web.dev_token")
        if self.webhooks.allow_private:
            binds = [self.gateway.host, self.ops.host, self.beat_api.host, self.ingest.host]
            if self.postgres.url != "embedded" or not all(map(is_loopback, binds)):
                raise ValueError(
                    "webhooks.allow_private is for one machine alone: it needs embedded PostgreSQL, and gateway, ops,"
                    " beat_api and ingest on loopback; unset webhooks.allow_private"
                )
        if self.has_role("web") and not (self.auth.jwt_secret or is_loopback(self.gateway.host)):
            raise ValueError(
                "gateway.host is not loopback while auth.jwt_secret is not set; set GCC_AUTH__JWT_SECRET, the same for"
                " every gateway: openssl rand -base64 32 prints one"
            )
        if self.exchange.url == "postgres" and self.sinker.age_s_max > POSTGRES_AGE_S_MAX:
            raise ValueError(
                f"sinker.batch_age_s {self.sinker.age_s_max:g} cannot exceed {POSTGRES_AGE_S_MAX:g} with the PostgreSQL"
                " exchange, whose leases would end before a batch is stored"
            )
        if 0 < self.kept.failed_jobs_days * 86_400 < self.web.not_found_s:
            raise ValueError(
                f"web.not_found_s {self.web.not_found_s:g} cannot exceed kept.failed_jobs_days"
                f" {self.kept.failed_jobs_days}: that a handle does not exist is known from its failed job"
            )
        refuse_odd_services({name: (each.url, each.token, each.password) for name, each in self.services.items()})
        ports = [p for p in (self.gateway.port, self.ops.port, self.world.port if self.world.enabled else 0) if p]
        if len(ports) != len(set(ports)):
            raise ValueError(f"gateway.port, ops.port and world.port must differ, got {ports}")
        return self

    @property
    def told_by(self) -> str:
        """Where they come from: the file, and the names of the variables and options that changed it."""
        return self._told_by

    @property
    def start(self) -> tuple[Path | None, tuple[str, ...]]:
        """The file and the overrides with which `load` makes them again, in the same environment. Nothing is secret."""
        return self._start


@functools.lru_cache(maxsize=256)  # each request of a port for this machine asks
def is_loopback(host: str) -> bool:
    """True for localhost, 127.0.0.0/8 and ::1."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
