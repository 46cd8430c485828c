"""What `doctor` asks of the role of requests: whether row-level security holds it."""

from gcc.cli.finding import Finding
from gcc.config import Settings
from gcc.stores import tenancy
from gcc.stores.migrations import refused
from gcc.stores.postgres import Connection

NAME = "role of requests"
MEND = "make a role that may only log in, and name it in GCC_POSTGRES__WEB_URL; docs/servers.md has the two statements"


async def look(settings: Settings, *, connect_s: float) -> list[Finding]:
    """Raises as `tenancy.settle`. The embedded server has such a role by itself."""
    web = settings.postgres.web_url
    if settings.postgres.url == "embedded" or not settings.has_role("web"):
        return []
    if not web:
        found = (
            "that of postgres.url, the owner: a statement that does not say whose rows it wants would see all partners'"
        )
        return [Finding(NAME, "warn", found, MEND)]
    with refused(web, "postgres.web_url"):
        async with await Connection.connect(web, connect_s=connect_s) as connection:
            ((role, free),) = await (await connection.execute(tenancy.SQL["who"])).fetchall()
    if free:
        return [Finding(NAME, "fail", f"{role} is {free}: row-level security would not hold it", MEND)]
    return [Finding(NAME, "ok", f"{role}, whom row-level security holds")]
