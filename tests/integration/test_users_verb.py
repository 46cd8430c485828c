"""The first operator of a whole platform, from the command line to a partner's owner, and out again.

Its secrets (links, passwords, tokens, keys) are in nothing that the platform writes.
"""

import re
import signal
from pathlib import Path

import httpx

from tests.integration.test_marked_secrets import rows_of
from tests.process import launched, verb

PASSWORD = "correct horse battery"
IDENTITY = "/identity-service/api"


async def test_from_the_command_line_to_a_partner_s_key(tmp_path: Path) -> None:
    data, secrets = tmp_path / "data", [PASSWORD]
    async with launched(data, "world.enabled=false", "logging.level=debug") as launch:
        running = await launch.ready()
        code, out, err = await verb("users", data, "add", "staff@gcc.example", "--role", "operator", "--why", "first")
        assert code == 0, err
        (made,) = out["users"]
        code, out, err = await verb("users", data, "add", "STAFF@gcc.example", "--role", "operator")
        assert code == 0, "a link that was lost is made again"
        (again,) = out["users"]
        base, _, token = again["link"].partition("/app/invitation#")
        secrets += [made["link"].partition("#")[2], token]
        code, _, err = await verb("users", data, "add", "a@b.example", "--role", "owner", "--partner", "12345")
        assert code == 2 and "there is no such partner" in err, err
        async with httpx.AsyncClient(base_url=base, timeout=30) as client:

            async def call(method: str, path: str, by: str = "", **body: str) -> httpx.Response:
                headers = {"authorization": f"Bearer {by}"} if by else {}
                return await client.request(method, IDENTITY + path, json=body or None, headers=headers)

            person = {"password": PASSWORD, "name": "Staff"}
            assert (await call("POST", "/invitations/accept", token=secrets[1], **person)).status_code == 422
            staff = (await call("POST", "/invitations/accept", token=token, **person)).json()["data"]
            response = await call("POST", "/partners", staff["access_token"], name="Brand", owner_email="a@b.example")
            partner = response.json()["data"]
            link = partner["link"].partition("#")[2]
            owner = (await call("POST", "/invitations/accept", token=link, **person)).json()["data"]
            year = {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2199-01-01T00:00:00Z"}
            await call("POST", f"/partners/{partner['id']}/contracts", staff["access_token"], plan="SAAS", **year)
            key = (await call("POST", "/api-keys", owner["access_token"], name="CI")).json()["data"]["key"]
            secrets += [link, key]
            for each in (staff, owner):
                secrets += [each["access_token"], each["refresh_token"]]
            board = "/leaderboard-service/api/leaderboard/platform/INSTAGRAM"
            asked = await client.post(board, json={}, headers={"authorization": f"Bearer {key}"})
            assert asked.status_code == 200, asked.text
            assert (await call("POST", "/auth/logout", owner["access_token"])).json()["data"] == {"revoked": 1}
            assert (await call("GET", "/auth/me", owner["access_token"])).status_code == 401
            wrong = await call("POST", "/auth/login", email="a@b.example", password="marked wrong password")
            assert wrong.status_code == 401
            login = {"email": "a@b.example", "password": PASSWORD}
            assert (await call("POST", "/auth/login", **login)).status_code == 200
        code, out, err = await verb("actions", data)
        told = str(out) + err
        assert "users add" in told and "staff@gcc.example" in told
        rows = await rows_of(data)
        assert await running.stop(signal.SIGTERM) == 0
    secrets.append("marked wrong password")
    for file in sorted(path for path in data.rglob("*") if path.is_file()):
        content = file.read_bytes()
        for secret in secrets:
            assert secret.encode() not in content, file
    assert not [secret for secret in secrets if secret in rows + told]
    log = running.log.read_text()
    assert re.search(r"auth/login", log) and not [secret for secret in secrets if secret in log]
    assert (data / "auth.key").stat().st_mode & 0o777 == 0o600
