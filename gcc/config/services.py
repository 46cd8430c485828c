"""The services behind the gateway, each at /NAME-service/api/..., and what settings of services make no sense."""

from collections.abc import Mapping

SERVICES = (
    "discovery", "leaderboard", "profile-collection", "post-collection", "genre-insights", "collection-analytics",
    "keyword-collection", "campaign-profile", "partner-usage", "content", "collection-group", "activity",
    "social-profile",
)  # fmt: skip


IDENTITY = "identity"
"""It is asked who somebody is; nothing is passed on to it."""


def refuse_odd_services(services: Mapping[str, tuple[str, str, str]]) -> None:
    """ValueError. `services`: by name where each is, what it asks with, and our password there; '' is none."""
    if odd := [name for name, (url, _, _) in services.items() if url and name not in (*SERVICES, IDENTITY)]:
        raise ValueError(f"services.{odd[0]}.url: only these may be elsewhere: {IDENTITY}, {', '.join(SERVICES)}")
    url, _, password = services.get(IDENTITY, ("", "", ""))
    if url and not (password.isascii() and password.isprintable() and password.strip()):
        raise ValueError(
            "services.identity.url: set GCC_SERVICES__IDENTITY__PASSWORD to the token that it knows us by"
            " (GCC_SERVICES__NAME__TOKEN there)"
        )
    tokens = [token for _, token, _ in services.values() if token]
    if len(tokens) != len({*tokens}):
        raise ValueError("two services have one token; give each its own, in GCC_SERVICES__NAME__TOKEN")
