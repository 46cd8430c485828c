"""The flows of YouTube."""

from collections.abc import Sequence
from functools import partial

from gcc.pipelines.events.types import POST_LOG, PROFILE_LOG
from gcc.pipelines.scraping.flow import OF_EVERY_JOB, Flow, HandleParams
from gcc.pipelines.scraping.yields import of_profile
from gcc.platforms import YOUTUBE
from gcc.sources.chain import Visit
from gcc.sources.snapshot import ProfileSnapshot
from gcc.sources.youtube.data_client import DataApi


async def _profile(api: DataApi, params: HandleParams, visit: Visit) -> ProfileSnapshot:
    return await api.profile(params.handle, visit)


FLOWS: Sequence[Flow] = (
    Flow(
        "refresh_yt_profiles",
        YOUTUBE.name,
        HandleParams,
        {"ytapi": _profile},
        partial(of_profile, YOUTUBE),
        workers=10,
        events=(PROFILE_LOG, POST_LOG, *OF_EVERY_JOB),
        tables=(YOUTUBE.account, YOUTUBE.post),
        refreshes=YOUTUBE,
    ),
)
