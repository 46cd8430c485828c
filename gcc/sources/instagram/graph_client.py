"""The Instagram Graph API as this platform asks it: business discovery, one call a profile.

In: a handle and the attempt's visit. Out: a snapshot with the first page of posts. Failures: see `Outside.ask`.
A credential's secret is {"token": ..., "ig_user_id": ...}: the professional account that asks in its name.
"""

from urllib.parse import quote

from gcc.platforms import INSTAGRAM
from gcc.sources.chain import Outside, Question, SourceApi, Visit
from gcc.sources.credentials import Credential
from gcc.sources.http import Request
from gcc.sources.instagram import graph_parse, graph_usage
from gcc.sources.instagram.graph_errors import SOURCE
from gcc.sources.snapshot import ProfileSnapshot
from gcc.sources.verdicts import CredentialDead, InvalidHandle

GRAPH = SourceApi(SOURCE, graph_parse.judge, graph_usage.usage)
POSTS_MAX = 12  # one page

_MEDIA = (
    "id,caption,like_count,comments_count,media_type,media_product_type,permalink,timestamp,"
    "thumbnail_url,media_url,view_count"
)
_PROFILE = "id,username,name,biography,followers_count,follows_count,media_count,profile_picture_url,website"


class GraphApi:
    """`base_url` is the API's root with its version; `ig_user_id` serves credentials that name none."""

    def __init__(self, outside: Outside, base_url: str, ig_user_id: str = "") -> None:
        self._outside = outside
        self._root = base_url.rstrip("/")
        self._ig_user_id = ig_user_id

    async def profile(self, handle: str, visit: Visit) -> ProfileSnapshot:
        """The profile now. Raises InvalidHandle without asking, NotFound, and what `Outside.ask` raises."""
        if not INSTAGRAM.is_handle(handle):  # it goes into a field expression: anything else could ask for more
            raise InvalidHandle(f"{handle[:60]!r} is no Instagram handle: 1 to 30 of A-Z a-z 0-9 . _")
        fields = f"business_discovery.username({handle}){{{_PROFILE},media.limit({POSTS_MAX}){{{_MEDIA}}}}}"
        question = Question(fields, lambda credential: self._request(credential, fields))
        decoded = await self._outside.ask(GRAPH, question, visit)
        return graph_parse.profile(decoded, handle, self._outside.clock.now())

    def _request(self, credential: Credential, fields: str) -> Request:
        token = credential.secret.get("token")
        asks_as = credential.secret.get("ig_user_id") or self._ig_user_id
        if not token or not asks_as:
            raise CredentialDead(f"{GRAPH.name}: credential {credential.handle!r} lacks its token or ig_user_id")
        return Request(
            source=GRAPH.name,
            method="GET",
            url=f"{self._root}/{quote(str(asks_as), safe='')}",
            params={"fields": fields, "access_token": str(token)},
            timeout_s=self._outside.timeout_s(GRAPH.name),
        )
