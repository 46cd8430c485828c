"""youtube-v31 behind RapidAPI: the paths and shapes of the YouTube Data API v3, asked with a key of the gateway's.

Unofficial. What it answers, and how that is asked for, is in data_client.py; the gateway's plan is its only quota.
"""

import datetime as dt
from typing import Any

from gcc.sources.chain import SourceApi
from gcc.sources.credentials import Credential
from gcc.sources.http import Answer, Request
from gcc.sources.rapidapi import gateway
from gcc.sources.rapidapi.usage import usage
from gcc.sources.youtube import data_parse
from gcc.sources.youtube.data_client import DataApi, token

SOURCE = "youtubev31"
HOST = "youtube-v31.p.rapidapi.com"


def judge(answer: Answer, now: dt.datetime) -> Any:
    """As of the API itself, unless it is the gateway that answers."""
    if b'"error"' not in answer.body and (refusal := gateway.refusal(answer, SOURCE, now)) is not None:
        raise refusal
    return data_parse.judge(answer, now, SOURCE)


class V31Api(DataApi):
    """`base_url` is the gateway's host for it. A credential's secret is {"token": key of the gateway}."""

    api = SourceApi(SOURCE, judge, usage)
    has_buckets = False

    def _request(self, credential: Credential, collection: str, params: dict[str, Any]) -> Request:
        return Request(
            source=SOURCE,
            method="GET",
            url=f"{self._root}/{collection}",
            params=params,
            headers=gateway.headers(HOST, token(credential)),
            timeout_s=self._outside.timeout_s(SOURCE),
        )
