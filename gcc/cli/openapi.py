"""`openapi [--port gateway|beat]`: the OpenAPI document of a port as JSON; no platform needs to run."""

import argparse
import json

from gcc.cli.client import settings_of
from gcc.errors import ConfigError
from gcc.web.gateway.document import document


def main(arguments: argparse.Namespace) -> int:
    if arguments.port == "beat":
        raise ConfigError("the beat API (beat_api.port) is not served yet, so there is no document; use --port gateway")
    described = document(settings_of(arguments))
    print(json.dumps(described, ensure_ascii=False, indent=None if arguments.json else 1))
    return 0
