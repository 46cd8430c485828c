"""The outside APIs, a row each: the folders here hold how they are asked and read."""

from collections.abc import Mapping

from gcc.sources.instagram.graph_client import GraphApi
from gcc.sources.limits import Limit
from gcc.sources.source import Source
from gcc.sources.youtube.data_client import DataApi

SOURCES: Mapping[str, Source] = {
    row.name: row
    for row in (
        # Both limits are per credential at the other side; these bound the whole platform.
        Source("graphapi", "https://graph.facebook.com", "/graph", Limit(50, 1.0), GraphApi, version="v25.0"),
        Source("ytapi", "https://www.googleapis.com/youtube", "/youtube", Limit(50, 1.0), DataApi, version="v3"),
    )
}
