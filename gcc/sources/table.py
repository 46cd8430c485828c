"""The outside APIs, a row each: the folders here hold how they are asked and read."""

from collections.abc import Mapping

from gcc.sources.instagram.graph_client import GraphApi
from gcc.sources.limits import Limit, Rule
from gcc.sources.source import Source
from gcc.sources.youtube.data_client import DataApi

PLATFORM = (Rule(Limit(50, 1.0)),)

SOURCES: Mapping[str, Source] = {
    row.name: row
    for row in (
        # Both limits are per credential at the other side; these bound the whole platform.
        Source("graphapi", "https://graph.facebook.com", "/graph", PLATFORM, GraphApi, version="v25.0"),
        Source("ytapi", "https://www.googleapis.com/youtube", "/youtube", PLATFORM, DataApi, version="v3"),
    )
}
