"""What goes wrong in one run, and how much there is to do: drawn from the seed, each run another mix (a swarm).

Of each fault some runs have none, some a little and some much: a run in which everything fails all the
time gets nowhere near the interesting corners.
"""

import random
from dataclasses import dataclass, fields

GRACE_S = 20.0


@dataclass(frozen=True)
class Mix:
    """Shares are of the occasions (a commit, an insert, a request); `..._every_s` are means, inf is never."""

    # the database and the exchange
    commit_s: float  # mean time of a commit on its way
    break_before: float  # the connection breaks before the commit ...
    break_after: float  # ... or after it: it is done, and nobody is told
    bug: float  # the call raises what no adapter knows: the pipeline crashes right there
    deliver_twice: float
    deliver_late: float
    reorder: bool
    lose_wakeups: float
    lease_ends_every_s: float  # a lease is over although its holder lives
    # the broker, where there is one: else the queues are in the database
    rabbitmq: bool
    broker_loses: float  # a publication, or its confirm, with the connection
    broker_refuses: float
    broker_slow: float
    # the event store
    store_s: float
    store_fails: float
    store_answer_lost: float
    # the outside
    source_fails: float  # 429, 500, silence, a lost connection, garbage
    source_slow: float  # answers that take 5 to 14 seconds: slower than two heartbeats
    source_far: float  # calls that are on their way for a while before they arrive
    calls_per_s: int
    circles: float  # last pages that name another one, which is without an item and names itself
    throttle_every_s: float  # an API refuses somebody: an app, a credential, a bucket of it, all ...
    use_every_s: float  # ... or tells that somebody's limit is nearly used, or is
    throttle_s: float  # both last so long, in the mean
    day_left: int  # calls of a day that are left to each key, until midnight: soon after all heals
    expiring: bool  # owners' tokens end in the middle of the run, unless they are renewed
    shared: bool  # all processes take of one limiter
    alone: bool  # those who scrape without consent are switched off
    # processes and people
    processes: int
    survive: bool  # the processes that run when all heals go on, else they are killed
    life_every_s: float  # until a process is killed, stopped or drained
    crash_every_s: float  # a pipeline fails at any of its steps
    jump_every_s: float  # the wall clock is set
    people_every_s: float  # pause, resume, concurrency, retry, cancel, drain of a role
    outage_every_s: float  # a dependency is away altogether ...
    outage_s: float  # ... for this long, in the mean
    # work
    jobs: float  # of those that the run may have
    raising: float  # of the jobs: those over which the code stumbles each time
    # what others send
    poison_every_s: float  # garbage among good events, into the outbox and into queues
    objects_s: float  # time of a put
    objects_fail: float
    deleted_every_s: float  # an exchange or a queue of the broker, by people who clean up
    concurrency: int
    batch_rows: int
    # the scorer
    followers_every_s: float  # others ask about some followers
    workers_die: float  # over a slice, whoever is in it

    @classmethod
    def draw(cls, rng: random.Random) -> "Mix":
        def share(most: float) -> float:
            return rng.choice((0.0, 0.0, 0.2, 1.0)) * most

        def every(*means_s: float) -> float:
            return rng.choice((float("inf"), *means_s))

        return cls(
            commit_s=rng.choice((0.002, 0.02, 0.3)),
            break_before=share(0.08),
            break_after=share(0.08),
            bug=share(0.004),
            deliver_twice=share(0.1),
            deliver_late=share(0.1),
            reorder=rng.random() < 0.3,
            lose_wakeups=share(0.5),
            lease_ends_every_s=every(30, 300),
            rabbitmq=rng.random() < 0.4,
            broker_loses=share(0.05),
            broker_refuses=share(0.05),
            broker_slow=share(0.3),
            store_s=rng.choice((0.05, 0.5, 5.0)),
            store_fails=share(0.4),
            store_answer_lost=share(0.2),
            source_fails=share(0.5),
            source_slow=share(0.3),
            calls_per_s=rng.choice((3, 50)),
            circles=share(0.5),
            throttle_every_s=every(30, 300),
            use_every_s=every(30, 300),
            throttle_s=rng.choice((30.0, 300.0)),
            day_left=rng.choice((3, 30, 10_000)),
            expiring=rng.random() < 0.5,
            shared=rng.random() < 0.5,
            alone=rng.random() < 0.3,
            processes=rng.choice((1, 1, 2)),
            survive=rng.random() < 0.5,
            life_every_s=every(60, 600, 1800),
            crash_every_s=every(120, 600),
            jump_every_s=every(300, 1200),
            people_every_s=every(60, 600),
            outage_every_s=every(300, 900),
            outage_s=rng.choice((20.0, 200.0, 900.0)),
            jobs=rng.choice((0.1, 0.1, 0.3, 1.0)),
            raising=share(0.2),
            poison_every_s=every(300, 1200),
            objects_s=rng.choice((0.0, 0.02, 0.2)),
            objects_fail=share(0.3),
            deleted_every_s=every(120, 900),
            concurrency=rng.choice((2, 10, 50)),
            batch_rows=rng.choice((1, 50, 1000)),
            source_far=share(0.5),
            followers_every_s=every(20, 200),
            workers_die=share(0.3),
        )

    @property
    def poisonous(self) -> bool:
        return self.poison_every_s < float("inf")

    @property
    def refusing(self) -> bool:
        """Whether the store refuses rows, or something stumbles over them: each is found by some 20 inserts, all of
        which must succeed in time."""
        return self.store_s < 0.1 and max(self.store_fails, self.store_answer_lost) < 0.1

    def __str__(self) -> str:
        return " ".join(f"{field.name}={getattr(self, field.name):g}" for field in fields(self))
