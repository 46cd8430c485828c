"""The flows of Instagram."""

from collections.abc import Sequence
from functools import partial

from gcc.pipelines.events.types import POST_LOG, PROFILE_LOG
from gcc.pipelines.scraping.flow import OF_EVERY_JOB, Flow, HandleParams
from gcc.pipelines.scraping.yields import of_profile
from gcc.platforms import INSTAGRAM
from gcc.sources.chain import Visit
from gcc.sources.instagram.graph_client import GraphApi
from gcc.sources.snapshot import ProfileSnapshot


async def _profile(api: GraphApi, params: HandleParams, visit: Visit) -> ProfileSnapshot:
    return await api.profile(params.handle, visit)


FLOWS: Sequence[Flow] = (
    Flow(
        "refresh_profile_by_handle",
        INSTAGRAM.name,
        HandleParams,
        {"graphapi": _profile},
        partial(of_profile, INSTAGRAM),
        workers=10,
        events=(PROFILE_LOG, POST_LOG, *OF_EVERY_JOB),
        tables=(INSTAGRAM.account, INSTAGRAM.post),
        refreshes=INSTAGRAM,
    ),
)
