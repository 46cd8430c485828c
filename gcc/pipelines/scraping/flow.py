"""A flow, declared: what a kind of crawl is given, which sources it asks and how, and what becomes of the answer.

A flow is a row (instagram.py, youtube.py and shopify.py hold them; table.py joins them). The chain is tried in order,
each source with its own credentials and limits; one that reads the platform without its consent is passed over unless
it is switched on.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import pydantic
from pydantic import StringConstraints

from gcc.pipelines.events.types import SCRAPE_REQUEST_LOG, TRACE_LOG, EventType
from gcc.pipelines.scraping.yields import Yields
from gcc.platforms import Platform
from gcc.sources.chain import Visit
from gcc.tables import Table

OF_EVERY_JOB = (SCRAPE_REQUEST_LOG, TRACE_LOG)
"""Events that each attempt emits, whatever it finds."""


class Params(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


_LIST = 'a list is written ["A", "B"]'
WRONG = {"extra_forbidden": "the flow has no such param", "list_type": _LIST, "tuple_type": _LIST}
"""What is wrong with a param, where pydantic's sentence speaks of programs."""


def wrong(error: pydantic.ValidationError) -> tuple[str, str]:
    """The first param that is none ("" where it is all of them together), and why."""
    first = error.errors(include_url=False, include_context=False)[0]
    return ".".join(map(str, first["loc"])), WRONG.get(first["type"], first["msg"].removeprefix("Value error, "))


class HandleParams(Params):
    """`handle` as the platform shows it, without "@"; where profiles are known by their ids also the id."""

    handle: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]


Retrieve = Callable[[Any, Any, Visit], Awaitable[Any]]
"""Asks one source, by its client, for what the params name. It answers what the flow's `yields` takes."""


Capability = Literal["public", "owner", "unofficial"]
"""Who may ask: anybody, the account's own credential alone, or only who reads the platform without its consent."""


@dataclass(frozen=True, slots=True)
class Flow:
    """`workers` x `concurrency` jobs run at once; `chain` maps each source, in order, to how it is asked.

    `events` and `tables` tell what `yields` makes of an answer. `refreshes`: the platform whose profiles it brings up
    to date by their handles; one flow of a platform does. `header`: that of the CSV object which it stores, with rows
    or, where nobody may show them, without.
    """

    name: str
    platform: str
    params: type[Params]
    chain: Mapping[str, Retrieve]
    yields: Yields
    workers: int
    events: tuple[EventType, ...]
    tables: tuple[Table, ...]
    concurrency: int = 5
    capability: Capability = "public"
    refreshes: Platform | None = None
    header: Sequence[str] = ()


class Made(NamedTuple):
    """What becomes of an answer, as flows share it; `events` beside those of every job."""

    yields: Yields
    events: tuple[EventType, ...] = ()
    tables: tuple[Table, ...] = ()


def flow_of(
    platform: str,
    name: str,
    params: type[Params],
    chain: Mapping[str, Retrieve],
    made: Made,
    capability: Capability = "public",
    workers: int = 1,
    *,
    refreshes: Platform | None = None,
    header: Sequence[str] = (),
) -> Flow:
    events = (*made.events, *OF_EVERY_JOB)
    return Flow(
        name, platform, params, chain, made.yields, workers, events, made.tables,
        capability=capability, refreshes=refreshes, header=header,
    )  # fmt: skip
