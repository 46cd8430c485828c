"""The YouTube Data API v3 as this platform asks it: channel, its uploads, their figures; three calls a profile.

In: a handle or channel id and the attempt's visit. Out: a snapshot with the latest 15 videos. Each call goes
through the limit. Failures: see `Outside.ask`; a failure of any of the three fails the attempt, so no
half-read profile is stored. A credential's secret is {"token": API key}.
"""

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from gcc.platforms import YOUTUBE
from gcc.sources.chain import Outside, Question, SourceApi, Visit
from gcc.sources.credentials import Credential
from gcc.sources.http import Request
from gcc.sources.snapshot import ProfileSnapshot
from gcc.sources.verdicts import CredentialDead, InvalidHandle, NotFound
from gcc.sources.youtube import data_parse
from gcc.sources.youtube.data_errors import SOURCE

DATA = SourceApi(SOURCE, data_parse.judge)
POSTS_MAX = 15


class DataApi:
    """`base_url` is the API's root with its version, such as https://www.googleapis.com/youtube/v3."""

    def __init__(self, outside: Outside, base_url: str) -> None:
        self._outside = outside
        self._root = base_url.rstrip("/")

    async def profile(self, handle_or_channel_id: str, visit: Visit) -> ProfileSnapshot:
        """The channel now. Raises InvalidHandle without asking, NotFound, and what `Outside.ask` raises."""
        asked = handle_or_channel_id
        if not YOUTUBE.is_handle(asked.removeprefix("@")):
            raise InvalidHandle(f"{asked[:60]!r} is neither a YouTube handle nor a channel id")
        by = {"id": asked} if YOUTUBE.is_id(asked) else {"forHandle": asked.removeprefix("@")}
        answer = await self._ask("channels", {"part": "snippet,contentDetails,statistics", **by}, visit)
        profile, uploads = data_parse.channel(answer, asked, self._outside.clock.now())
        notes = list(profile.notes)
        ids = await self._uploaded(uploads, notes, visit) if uploads else []
        if not ids:
            return replace(profile, notes=notes)
        parts = "snippet,contentDetails,statistics,liveStreamingDetails"
        videos = await self._ask("videos", {"part": parts, "id": ",".join(ids)}, visit)
        return replace(profile, posts=data_parse.posts(videos, ids, profile, notes), notes=notes)

    async def _uploaded(self, playlist_id: str, notes: list[str], visit: Visit) -> list[str]:
        """The latest uploads' ids. A channel that never uploaded names a playlist that does not exist."""
        params = {"part": "contentDetails", "playlistId": playlist_id, "maxResults": str(POSTS_MAX)}
        try:
            return data_parse.video_ids(await self._ask("playlistItems", params, visit), notes)[:POSTS_MAX]
        except NotFound as absent:
            if absent.code != "PLAYLIST_NOT_FOUND":
                raise
            return []

    async def _ask(self, collection: str, params: dict[str, str], visit: Visit) -> Any:
        def build(credential: Credential) -> Request:
            key = credential.secret.get("token")
            if not key:
                raise CredentialDead(f"{DATA.name}: credential {credential.handle!r} holds no token")
            return Request(
                source=DATA.name,
                method="GET",
                url=f"{self._root}/{collection}",
                params={**params, "key": str(key)},
                timeout_s=self._outside.timeout_s(DATA.name),
            )

        return await self._outside.ask(DATA, Question(f"{collection}?{urlencode(params)}", build), visit)
