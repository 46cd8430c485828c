"""`users add EMAIL --role operator|owner|editor|viewer [--partner ID]`: a link by which somebody becomes a user."""

import argparse
import json

from gcc.cli.client import find, sentence


def main(arguments: argparse.Namespace) -> int:
    body = {
        "email": arguments.email,
        "role": arguments.role.upper(),
        "partner_id": arguments.partner,
        "why": arguments.why,
    }
    made = find(arguments).act("/api/users/add", body)
    if arguments.json:
        print(json.dumps({"users": [made]}))
        return 0
    print(f"{sentence(made['email'])} becomes {sentence(made['role'])} by this link, once, until {made['expires_at']}:")
    print(made["link"])
    return 0
