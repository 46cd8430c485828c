"""Those who scrape Instagram: a row tells what each can be asked, and how. What they answer is read by one parser.

An endpoint is written as it is asked: `GET feed?user_id={profile_id}&next_max_id={after}`. A parameter whose
placeholder has no value is left out: `{after}`, the cursor, on the first page. A POST sends its parameters as a JSON
object; `name:=value` is JSON already, `name=value` a text. Placeholders: handle, profile_id, shortcode, post_id, tag,
after.
"""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args
from urllib.parse import parse_qsl, quote

from gcc.errors import ConfigError
from gcc.sources.http import Request

Asked = Literal[
    "user",
    "user_by_id",
    "posts",
    "post",
    "tagged",
    "stories",
    "followers",
    "following",
    "hashtag",
    "comments",
    "likers",
]
"""What a provider may have an endpoint for."""
PLACEHOLDERS = ("handle", "profile_id", "shortcode", "post_id", "tag", "after")
_WRITTEN = re.compile(r"(GET|POST) ([\w./{}-]+)(?:\?(.*))?")
_PLACEHOLDER = re.compile(r"{(\w*)}")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One that was read by `endpoint`: the last member of a parameter says whether its text is JSON."""

    method: str
    path: str
    params: tuple[tuple[str, str, bool], ...]

    def request(self, source: str, root: str, values: Mapping[str, str]) -> Request:
        """The request, without what tells who asks; `values` of placeholders stand in for them, "" for none."""
        path = _filled(self.path, {name: quote(value, safe="") for name, value in values.items()})
        known = [
            (name, _filled(text, values), as_json)
            for name, text, as_json in self.params
            if all(values.get(wanted) for wanted in _PLACEHOLDER.findall(text))
        ]
        if self.method == "GET":
            return Request(source, "GET", f"{root}/{path}", {name: text for name, text, _ in known})
        body = {name: json.loads(text) if as_json else text for name, text, as_json in known}
        headers = {"Content-Type": "application/json"}
        return Request(source, "POST", f"{root}/{path}", headers=headers, body=json.dumps(body).encode())


def endpoint(written: str) -> Endpoint:
    """Raises ConfigError where it is not written as the module tells."""
    found = _WRITTEN.fullmatch(written)
    unknown = [name for name in _PLACEHOLDER.findall(written) if name not in PLACEHOLDERS]
    if found is None or unknown:
        wanted = f"GET or POST, a path and parameters, with placeholders of {', '.join(PLACEHOLDERS)}"
        raise ConfigError(f"an endpoint is {wanted}; got {written[:100]!r}")
    method, path, params = found.groups()
    read = parse_qsl(params or "", keep_blank_values=True)
    return Endpoint(method, path, tuple((name.removesuffix(":"), text, name.endswith(":")) for name, text in read))


@dataclass(frozen=True, slots=True)
class Provider:
    """`host` is how RapidAPI's gateway knows it, "" where it stands before none; `headers` tell who asks, by `{token}`.

    `asks_as` is the source whose limits, breaker and credentials it uses, where it is but another name of it.
    """

    name: str
    host: str
    endpoints: Mapping[str, Endpoint]
    headers: Mapping[str, str] = field(default_factory=lambda: {"X-RapidAPI-Key": "{token}"})
    absent_statuses: Collection[int] = (404,)
    private_statuses: Collection[int] = ()
    asks_as: str = ""

    def headers_for(self, token: str) -> dict[str, str]:
        told = {name: text.replace("{token}", token) for name, text in self.headers.items()}
        return {**({"X-RapidAPI-Host": self.host} if self.host else {}), **told}


def endpoints(written: Mapping[str, str]) -> dict[str, Endpoint]:
    """By what is asked of each. Raises ConfigError."""
    if unknown := sorted(written.keys() - set(get_args(Asked))):
        raise ConfigError(f"{unknown[0]!r} is nothing to ask for; known are {', '.join(get_args(Asked))}")
    return {asked: endpoint(text) for asked, text in written.items()}


_SCRAPER_2022 = endpoints(
    {
        "user": "GET ig/info_username/?user={handle}",
        "user_by_id": "GET ig/info/?id_user={profile_id}",
        "posts": "GET ig/posts/?id_user={profile_id}&end_cursor={after}",
        "post": "GET ig/post_info/?shortcode={shortcode}",
        "tagged": "GET ig/tagged/?id_user={profile_id}&end_cursor={after}",
        "stories": "GET ig/stories/?id_user={profile_id}",
    }
)
_SCRAPER_2022_HOST = "instagram-scraper-2022.p.rapidapi.com"

PROVIDERS: Mapping[str, Provider] = {
    row.name: row
    for row in (
        Provider(
            "insta-best-performance",
            "instagram-api-cheap-best-performance.p.rapidapi.com",
            endpoints(
                {
                    "user": "GET profile?username={handle}",
                    "user_by_id": "GET profile?user_id={profile_id}",
                    "posts": "GET feed?user_id={profile_id}&next_max_id={after}",
                }
            ),
        ),
        Provider(
            "instagram-scraper2",
            "instagram-scraper2.p.rapidapi.com",
            endpoints(
                {
                    "user": "GET user_info_by_id?user_name={handle}",
                    "user_by_id": "GET user_info_by_id?user_id={profile_id}",
                    "posts": "GET medias_v2?user_id={profile_id}&max_id={after}",
                    "post": "GET media_info_v2?short_code={shortcode}",
                    "followers": "GET followers?user_id={profile_id}&batch_size=50&next_cursor={after}",
                    "following": "GET following?user_id={profile_id}&batch_size=50&next_cursor={after}",
                    "hashtag": "GET hash_tag_medias_v2?hash_tag={tag}&batch_size=50&next_cursor={after}",
                    "comments": "GET media_comments?short_code={shortcode}&next_cursor={after}",
                    "likers": "GET media_likers?short_code={shortcode}&batch_size=50&next_cursor={after}",
                }
            ),
        ),
        Provider("instagram-scraper-2022", _SCRAPER_2022_HOST, _SCRAPER_2022),
        Provider("arraybobo", _SCRAPER_2022_HOST, _SCRAPER_2022, asks_as="instagram-scraper-2022"),
        Provider(
            "rocketapi",
            "rocketapi-for-instagram.p.rapidapi.com",
            endpoints(
                {
                    "user": "POST instagram/user/get_info?username={handle}",
                    "user_by_id": "POST instagram/user/get_info_by_id?id:={profile_id}",
                    "posts": "POST instagram/user/get_media?id:={profile_id}&count:=12&max_id={after}",
                    "post": "POST instagram/media/get_info_by_shortcode?shortcode={shortcode}",
                    "stories": "POST instagram/user/get_stories?ids:=[{profile_id}]",
                    "followers": "POST instagram/user/get_followers?id:={profile_id}&count:=100&max_id={after}",
                }
            ),
            # its own host, v1.rocketapi.io, knows who asks by the second
            headers={"X-RapidAPI-Key": "{token}", "Authorization": "Token {token}"},
        ),
        Provider(
            "lama",
            "",
            endpoints(
                {
                    "user": "GET a1/user?username={handle}",
                    "user_by_id": "GET v1/user/by/id?id={profile_id}",
                    "posts": "GET v1/user/medias/chunk?user_id={profile_id}&end_cursor={after}",
                    "post": "GET v1/media/by/code?code={shortcode}",
                    "stories": "GET v1/user/stories?user_id={profile_id}",
                    "followers": "GET gql/user/followers/chunk?user_id={profile_id}&end_cursor={after}",
                    "following": "GET gql/user/following/chunk?user_id={profile_id}&end_cursor={after}",
                    "hashtag": "GET v1/hashtag/medias/recent/chunk?name={tag}&max_id={after}",
                }
            ),
            headers={"x-access-key": "{token}"},
            absent_statuses=(400, 404),
            private_statuses=(403,),
        ),
    )
}


def declared(name: str, host: str, like: str, written: Mapping[str, str]) -> Provider:
    """A provider of the settings alone, or a known one of which they change endpoints. Raises ConfigError."""
    known = PROVIDERS.get(like or name)
    if like and known is None:
        raise ConfigError(f"sources.{name}.like {like!r} is none of {', '.join(PROVIDERS)}")
    try:
        own = endpoints(written)
    except ConfigError as error:
        raise ConfigError(f"sources.{name}.endpoints: {error}") from None
    if known is None:
        return Provider(name, host, own)
    asks_as = known.asks_as if known.name == name else ""
    return replace(known, name=name, host=host or known.host, endpoints={**known.endpoints, **own}, asks_as=asks_as)


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], ""), text)
