"""Nobody is to be forgotten."""


class NobodyErased:
    async def of(self, platform: str) -> frozenset[str]:
        return frozenset()
