"""The outside APIs, a row each: the folders here hold how they are asked and read."""

from collections.abc import Mapping

from gcc.sources.instagram.graph_client import GraphApi
from gcc.sources.limits import Daily, Limit, Rule
from gcc.sources.source import Source
from gcc.sources.youtube.data_client import DataApi

CALLS = Limit(50, 1.0)  # a second; where the other side names no number, this bounds the whole platform
PACIFIC = "America/Los_Angeles"

_GRAPH = (Rule(CALLS), Rule(CALLS, "app"), Rule(CALLS, "credential"))  # the narrower ones for what its headers tell
_YOUTUBE = (
    Rule(CALLS),
    Rule(Daily(100, PACIFIC), "credential", "search"),
    Rule(Daily(10_000, PACIFIC), "credential", "stats"),
    Rule(Daily(10_000, PACIFIC), "credential", "units"),
)

SOURCES: Mapping[str, Source] = {
    row.name: row
    for row in (
        Source("graphapi", "https://graph.facebook.com", "/graph", _GRAPH, GraphApi, version="v25.0"),
        Source("ytapi", "https://www.googleapis.com/youtube", "/youtube", _YOUTUBE, DataApi, version="v3"),
    )
}
