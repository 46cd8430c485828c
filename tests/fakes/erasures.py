"""Nobody is to be forgotten."""

from gcc.stores.erasures import Leaving


class NobodyErased:
    async def of(self, platform: str) -> Leaving:
        return Leaving(platform, frozenset(), frozenset())
