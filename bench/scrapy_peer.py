"""The peer of the scraping bench: a spider as its users write it, that fetches profiles and makes items of them.

In: addresses, as JSON on stdin, asked in turn for `--seconds` with `--at-once` requests out. Out, on the last line:
profiles, seconds and seconds of processor time. What costs time and is of no use here is off: robots.txt, cookies,
retries, throttling, the telnet console, statistics in the log.
"""

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import AsyncIterator
from itertools import cycle
from typing import Any

import scrapy
from scrapy.crawler import CrawlerProcess
from scrapy.http import Request, Response

WARM_S = 1.0
ENDS_S = 30


class Profiles(scrapy.Spider):
    name = "profiles"

    def __init__(self, addresses: list[str], seconds: float) -> None:
        super().__init__()
        self._addresses = cycle(addresses)
        self._seconds = seconds
        self._done = 0
        self._before = 0
        self._cpu_s = 0.0
        self._measured_from = time.perf_counter() + WARM_S
        self._warm = False
        self.figures: tuple[int, float, float] = (0, 0.0, 0.0)

    async def start(self) -> AsyncIterator[Request]:
        while not self.figures[0]:
            yield Request(next(self._addresses), dont_filter=True)

    def parse(self, response: Response, /, **_: Any) -> Any:
        found = json.loads(response.body)["business_discovery"]
        self._done += 1
        now = time.perf_counter()
        if not self._warm and now >= self._measured_from:
            self._warm, self._before, self._measured_from = True, self._done, now
            self._cpu_s = time.process_time()
        elif self._warm and not self.figures[0] and now >= self._measured_from + self._seconds:
            done, took_s = self._done - self._before, now - self._measured_from
            self.figures = done, took_s, time.process_time() - self._cpu_s
        return {
            "profile_id": found["id"],
            "handle": found["username"],
            "followers": found.get("followers_count"),
            "following": found.get("follows_count"),
            "media_count": found.get("media_count"),
            "full_name": found.get("name"),
            "bio": found.get("biography"),
            "posts": [
                {
                    "post_id": media["id"],
                    "likes": media.get("like_count"),
                    "comments": media.get("comments_count"),
                    "caption": media.get("caption"),
                    "permalink": media.get("permalink"),
                    "publish_time": media.get("timestamp"),
                }
                for media in found["media"]["data"]
            ],
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--at-once", type=int, required=True)
    arguments = parser.parse_args()
    # Where the server and whoever asked are gone, a spider that is closed would work off what it has yielded first.
    end = threading.Timer(arguments.seconds + ENDS_S, os._exit, [1])
    end.daemon = True
    end.start()
    process = CrawlerProcess(
        {
            "CONCURRENT_REQUESTS": arguments.at_once,
            "CONCURRENT_REQUESTS_PER_DOMAIN": arguments.at_once,
            "DOWNLOAD_DELAY": 0,
            "COOKIES_ENABLED": False,
            "LOG_INSTALL_ROOT_HANDLER": False,
            "LOG_LEVEL": "ERROR",
            "RETRY_ENABLED": False,
            "ROBOTSTXT_OBEY": False,
            "TELNETCONSOLE_ENABLED": False,
        }
    )
    crawler = process.create_crawler(Profiles)
    process.crawl(crawler, addresses=json.load(sys.stdin), seconds=arguments.seconds)
    process.start()
    assert isinstance(crawler.spider, Profiles)
    print(json.dumps(crawler.spider.figures))


if __name__ == "__main__":
    main()
