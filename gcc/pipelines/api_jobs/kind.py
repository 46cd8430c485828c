"""What a kind of API job declares of itself: a row. gcc/pipelines/api_jobs/table.py lists them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from gcc.channels.api_jobs import ApiJob
from gcc.pipelines.api_jobs.parquet import Type
from gcc.stores.api_jobs import Begun

Form = Literal["csv", "parquet"]

Step = Callable[[ApiJob, Any, Begun], Awaitable[None]]
"""One batch, given the job and its params: what it does by `begun.connection`, it tells in `begun.told`, then sets
`begun.place`, where the next begins (JSON), or `begun.last`. At most BATCH rows or lines, in less than BATCH_S. It
keeps nothing between batches but the place: whoever goes on may be another process.

Raises CannotBeDone where trying again changes nothing, Transient where it may; anything else is a bug.
"""


@dataclass(frozen=True, slots=True)
class File:
    """What the rows of a job become."""

    columns: Mapping[str, Type]
    form: Form = "csv"


@dataclass(frozen=True)
class Kind:
    """`file(params)`: what its rows become; None: it makes none. `reports`: its lines have a report."""

    name: str
    params: type[msgspec.Struct]
    step: Step
    file: Callable[[Any], File] | None = None
    reports: bool = False
