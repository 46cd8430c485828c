"""One endpoint, declared once: the gateway routes by it, the OpenAPI document describes it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import pydantic
from quart import Response

from gcc.web.api.envelope import Answer
from gcc.web.api.errors import Code


@dataclass(frozen=True)
class Route:
    """`path` is written as in OpenAPI: /things/{name}. The handler gets the tenant (None where `open`),
    the request, and the path's parts by name; it returns an Answer, or a Response where `data` is None.
    """

    method: Literal["GET", "POST"]
    path: str
    name: str  # unique; the operationId
    summary: str
    handler: Callable[..., Awaitable[Answer | Response]]
    data: Any = None  # the type of the envelope's data
    query: type[pydantic.BaseModel] | None = None
    body: type[pydantic.BaseModel] | None = None
    parts: dict[str, str] = field(default_factory=dict)  # path parameter -> what it is
    part_schemas: dict[str, Any] = field(default_factory=dict)  # where they are not as everywhere: shapes.PART_SCHEMAS
    errors: tuple[Code, ...] = ()  # beside those of every route
    description: str = ""
    open: bool = False  # no token needed
    reads: bool = True  # answered while draining, whatever its method
    media_type: str = "application/json"
