"""`erase PLATFORM PROFILE --why WHY`: have a creator forgotten, in every store and for good; without a name, who is."""

import argparse
import json

from gcc.cli.client import find
from gcc.errors import ConfigError


def main(arguments: argparse.Namespace) -> int:
    if not arguments.who:
        return _list(arguments)
    if len(arguments.who) != 2 or not arguments.why:
        raise ConfigError("erase needs whom, and why: erase PLATFORM HANDLE_OR_ID --why WHY")
    platform, profile = arguments.who
    done = find(arguments).act("/api/erase", {"platform": platform, "profile": profile, "why": arguments.why})
    told = "is forgotten within the hour, and not stored again; schedules run erasure does it now"
    print(json.dumps(done) if arguments.json else f"{done['platform']} {done['profile_id']} {told}")
    return 0


def _list(arguments: argparse.Namespace) -> int:
    erased = find(arguments).ask("GET", "/api/erasures", holds=list)["data"]
    if arguments.json:
        print(json.dumps({"erased": erased}))
        return 0
    for each in erased:
        state = f"gone since {each['erased_at']}" if each["erased_at"] else "is being forgotten"
        print(f"{each['platform']:<10} {each['profile_id']:<26} {state}, by {each['who']}: {each['why']}")
    if not erased:
        print("nobody was erased")
    return 0
