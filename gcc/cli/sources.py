"""`sources`: how full the limits of the outside APIs are, whether they answer, which credentials are out, and why."""

import argparse
import json
from typing import Any

from gcc.cli.client import find, sentence
from gcc.cli.limits import allowed
from gcc.config import tokens_variable


def main(arguments: argparse.Namespace) -> int:
    running = find(arguments)
    answer = running.ask("GET", "/api/sources", holds=list)
    sources, trouble = answer["data"], answer["meta"]["credentials_error"]
    status = running.ask("GET", "/api/status", holds=None)
    lines = {actor["name"]: actor for actor in status["actors"]}
    if arguments.json:
        told = [source | {"line": lines.get(f"sources/{source['name']}")} for source in sources]
        print(json.dumps({"sources": told, "credentials_error": trouble, "off": answer["meta"]["off"]}))
        return 0
    wide = max((len(source["name"]) for source in sources), default=0)
    for source in sources:
        limit = source["limit"]
        name, line = source["name"], lines.get(f"sources/{source['name']}")
        use = f"limit {allowed(limit['calls'], limit['per_s'])}"
        if line is not None:  # who does not ask does not know
            use += f", {limit['used']:,} used, {limit['waiting']:,} wait"
        print(f"{name:<{wide}}  {_answering(source, line)}; {use}; {_ready(source)}")
        for credential in (source["credentials"] or {"listed": []})["listed"]:
            if credential["state"] != "ready":
                back = "" if credential["back_in_s"] is None else f" for {credential['back_in_s']:,.0f} s"
                why = sentence(credential["reason"] or "no reason is known")
                print(f"    {sentence(credential['handle'])}  {credential['state']}{back}: {why}")
    if off := answer["meta"]["off"]:
        print(f"off until sources.NAME.enabled = true: {', '.join(off)}")
    if trouble:
        print(f"the credentials are not known: {sentence(trouble)}")
    return 0


def _answering(source: dict[str, Any], line: dict[str, Any] | None) -> str:
    if line is None:
        return "not asked by this process"
    if line["breaker"] != "open":
        credentials = source["credentials"]
        if credentials is not None and not credentials["total"]:
            account = f" --account {source['account']}" if source["account"] else ""
            by_hand = f"credentials add {source['name']} HANDLE{account} --why WHY"
            return f"cannot be asked: set {tokens_variable(source['name'])} and start again, or: {by_hand}"
        return "answers" if credentials is None or credentials["ready"] else "no credential is ready"
    return f"rests, asked again in {line['retry_in_s'] or 0:,.0f} s ({sentence(line['last_error'] or 'no error told')})"


def _ready(source: dict[str, Any]) -> str:
    credentials = source["credentials"]
    return f"{credentials['ready']:,} of {credentials['total']:,} credentials ready" if credentials else "-"
