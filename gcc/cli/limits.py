"""`limits [list]`, `limits set NAME CALLS PER_S --why WHY` and `limits set NAME default --why WHY`."""

import argparse
import json
from typing import Any

from gcc.cli.client import Running, find, many, sentence
from gcc.errors import ConfigError

DAY_S = 86_400.0


def main(arguments: argparse.Namespace) -> int:
    action, words = arguments.action, arguments.words
    if action == "list" and not words:
        return _list(find(arguments), as_json=arguments.json)
    if action != "set" or not (len(words) == 3 or words[1:] == ["default"]):
        raise ConfigError("write limits, limits set NAME CALLS PER_S --why WHY, or limits set NAME default --why WHY")
    if not arguments.why:
        raise ConfigError("limits set needs --why: it is kept in the action log")
    calls, per_s = (None, None) if len(words) == 2 else (int(_number(words[1])), _number(words[2]))
    body = {"name": words[0], "calls": calls, "per_s": per_s, "why": arguments.why}
    done = find(arguments).act("/api/limits", body)
    told = "as configured" if calls is None or per_s is None else allowed(calls, per_s)
    print(json.dumps(done) if arguments.json else f"{done['name']}: {told}")
    return 0


def _list(running: Running, *, as_json: bool) -> int:
    rows = running.ask("GET", "/api/limits", holds=list)["data"]
    if as_json:
        print(json.dumps({"limits": rows}))
        return 0
    names, uses = [sentence(row["name"]) for row in rows], [_use(row) for row in rows]
    wide, used = (max(map(len, column), default=0) for column in (names, uses))
    for row, name, use in zip(rows, names, uses, strict=True):
        print(f"{name:<{wide}}  {use:<{used}}  {sentence(row['of'])}")
        for line in _changed(row):
            print(f"    {line}")
    return 0


def _use(row: dict[str, Any]) -> str:
    waiting = f", {row['waiting']:,} wait" if row["waiting"] else ""
    return f"{row['used']:,} of {allowed(row['calls'], row['per_s'])}{waiting}"


def _changed(row: dict[str, Any]) -> list[str]:
    """What makes it another one than the configured."""
    lines = []
    if row["share"] < 1:
        lines.append(f"{row['share']:.0%} of it until {row['until']}: {sentence(row['why'])}")
    if row["set_by"]:
        why = f": {sentence(row['why'])}" if row["share"] >= 1 else ""
        lines.append(f"set by {sentence(row['set_by'])} at {row['set_at']}{why}")
    return lines


def allowed(calls: int, per_s: float) -> str:
    """A limit in words: "100 calls a day", "1 call per 1 s"."""
    return f"{many(calls, 'call')} {'a day' if per_s == DAY_S else f'per {per_s:g} s'}"


def _number(word: str) -> float:
    try:
        number = float(word)
        if number.is_integer() or number > 0:
            return number
    except (ValueError, OverflowError):
        pass
    raise ConfigError(f"limits set: {word!r} is no number")
