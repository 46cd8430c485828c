"""`credentials list [SOURCE]`: which tokens and keys there are, in which state. `credentials add SOURCE HANDLE`: one
more, or a new secret in the place of an old one, from stdin or a variable, never from the command line. `credentials
enable|disable|probe SOURCE HANDLE`, `credentials rotate-key`."""

import argparse
import getpass
import json
import os
import sys
import time
from typing import Any

from gcc.cli.client import Running, find, many, sentence
from gcc.errors import ConfigError, Permanent

SECRET_CHARS_MAX = 10_000
PROBE_S, PROBE_LOOK_S = 45.0, 0.3
ENDED = ("COMPLETE", "FAILED", "EXPIRED", "CANCELLED")
NEEDS = {"list": (0, 1), "add": (2, 2), "probe": (2, 2), "enable": (1, 2), "disable": (2, 2), "rotate-key": (0, 0)}


def main(arguments: argparse.Namespace) -> int:
    least, most = NEEDS[arguments.action]
    words = [word for word in (arguments.source, arguments.handle) if word is not None]
    if not least <= len(words) <= most:
        takes = " ".join(["SOURCE", "HANDLE"][:least] + [f"[{word}]" for word in ["SOURCE", "HANDLE"][least:most]])
        raise ConfigError(f"credentials {arguments.action} takes {takes or 'no words'}; see --help")
    if arguments.action != "list" and not arguments.why:
        raise ConfigError(f"credentials {arguments.action} needs --why WHY")
    return ACTIONS[arguments.action](arguments)


def _list(arguments: argparse.Namespace) -> int:
    credentials = find(arguments).ask("GET", "/api/credentials", holds=list)["data"]
    chosen = [each for each in credentials if arguments.source in (None, each["source"])]
    return _tell(arguments, chosen)


def _add(arguments: argparse.Namespace) -> int:
    body = {
        "secret": _secret(arguments.secret_from),
        "kind": arguments.kind,
        "app": arguments.app,
        "account": arguments.account,
        "scopes": arguments.scope or [],
        "expires_at": arguments.expires_at,
        "data_access_expires_at": arguments.data_access_expires_at,
    }
    given = {name: value for name, value in body.items() if value is not None}
    return _tell(arguments, [find(arguments).act("/api/credentials/add", _place(arguments) | given)])


def _change(arguments: argparse.Namespace) -> int:
    running = find(arguments)
    if arguments.handle is not None:
        return _tell(arguments, [running.act(f"/api/credentials/{arguments.action}", _place(arguments))])
    place = {"source": arguments.source, "why": arguments.why}
    running.ask("POST", "/api/credentials/enable", content=json.dumps(place).encode(), holds=type(None))
    credentials = running.ask("GET", "/api/credentials", holds=list)["data"]
    return _tell(arguments, [each for each in credentials if each["source"] == arguments.source])


def _rotate(arguments: argparse.Namespace) -> int:
    done = find(arguments).act("/api/credentials/rotate-key", {"why": arguments.why})
    if arguments.json:
        print(json.dumps({"credentials": [], **done}))
    else:
        left = f"; {done['left']:,} cannot be opened and lie as they were" if done["left"] else ""
        print(f"{done['resealed']:,} credentials are sealed anew, all under key {done['key']}{left}")
    return 1 if done["left"] else 0


def _probe(arguments: argparse.Namespace) -> int:
    running = find(arguments)
    job = _ended(running, running.act("/api/credentials/probe", _place(arguments))["job"])
    credentials = running.ask("GET", "/api/credentials", holds=list)["data"]
    place = (arguments.source, arguments.handle)
    found = [each for each in credentials if (each["source"], each["handle"]) == place]
    _tell(arguments, found)
    if job["status"] == "COMPLETE":
        return 0 if "true" in (job["data"] or "") else 1
    raise Permanent(f"the probe ended {job['status']}: {sentence(job['reason'] or 'no reason is told')}")


def _ended(running: Running, job_id: str) -> Any:
    """The job, once it has ended. Permanent: it has not within PROBE_S."""
    for _ in range(int(PROBE_S / PROBE_LOOK_S)):
        job = running.ask("GET", f"/api/jobs/{job_id}")["data"]
        if job["status"] in ENDED:
            return job
        time.sleep(PROBE_LOOK_S)
    raise Permanent(f"the probe has not ended within {PROBE_S:g} s; see: jobs show {job_id}")


def _place(arguments: argparse.Namespace) -> dict[str, Any]:
    return {"source": arguments.source, "handle": arguments.handle, "why": arguments.why}


def _secret(variable: str | None) -> dict[str, Any]:
    """A token, or a JSON object of all that the secret holds. ConfigError: there is none."""
    if variable is not None:
        text = os.environ.get(variable, "")
        where = "the variable that --secret-from names"
    elif sys.stdin.isatty():
        text, where = getpass.getpass("secret (not shown): "), "what was typed"
    else:
        text, where = sys.stdin.read(SECRET_CHARS_MAX + 1), "stdin"
    text = text.strip()
    if not text or len(text) > SECRET_CHARS_MAX:
        raise ConfigError(f'{where} holds no secret: a token, or a JSON object such as {{"token": ...}}')
    if not text.startswith("{"):
        return {"token": text}
    try:
        found: dict[str, Any] = json.loads(text)
    except (ValueError, RecursionError):
        raise ConfigError(f"{where} begins like a JSON object, and is none") from None
    return found


def _tell(arguments: argparse.Namespace, credentials: list[dict[str, Any]]) -> int:
    if arguments.json:
        print(json.dumps({"credentials": credentials}))
        return 0
    for each in credentials:
        print("\n    ".join(_lines(each)))
    if not credentials:
        print("there are none; add one with: credentials add SOURCE HANDLE --why WHY", file=sys.stderr)
    return 0


def _lines(each: dict[str, Any]) -> list[str]:
    """What it is, and below it what stands in its way."""
    back = "" if each["back_in_s"] is None else f" for {each['back_in_s']:,.0f} s"
    state = f"{each['state']}{back}" if each["state"] == "rests" else each["state"]
    known = [each["kind"], *(f"{name} {each[name]}" for name in ("app", "account") if each[name])]
    ends = {"ends": each["expires_at"], "data access ends": each["data_access_expires_at"]}
    known += [f"{what} {when[:10]}" for what, when in ends.items() if when]
    lines = [
        f"{each['source']} {each['handle']}  {state}  {sentence(', '.join(known))}  used {many(each['uses'], 'time')}"
    ]
    if each["state"] != "ready":
        whose = f"all of its {each['rests']}: " if each["rests"] in ("app", "source") else ""
        lines.append(sentence(whose + (each["reason"] or "no reason is known")))
    for rest in each["buckets"]:
        lines.append(
            sentence(f"calls of {rest['bucket'] or 'no bucket'} rest for {rest['back_in_s']:,.0f} s: {rest['reason']}")
        )
    return lines


ACTIONS = {
    "list": _list, "add": _add, "probe": _probe, "enable": _change, "disable": _change, "rotate-key": _rotate,
}  # fmt: skip
