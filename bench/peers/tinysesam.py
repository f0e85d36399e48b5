"""TinySesam: sessions, limits, audit and passkeys for FastAPI, all on; uvicorn with uvloop and httptools, one process."""

import json
from pathlib import Path

from bench.peers.peer import Asked, Installed, expect
from bench.peers.person import PASSWORD, Person, crowd
from bench.peers.wire import Browser

CSRF = "tinysesam_csrf"


class TinySesam(Installed):
    name = "TinySesam"
    logon_page = "/auth/login"
    passwordless = True
    program = "tinysesam_site.py"
    packages = ("tinysesam[argon2,passkey]==0.24.13", "uvicorn==0.54.0", "uvloop==0.23.0", "httptools==0.9.0")
    pythons = ("3.12", "3.13", "3.14")

    def people(self, number: int) -> list[Person]:
        """It calls people by the number of their account, which counts from 1; the first one is the admin's."""
        return crowd(number, lambda n: str(n + 1))

    def command(self, folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
        uvicorn = [self.python(), "-m", "uvicorn", "--host", "127.0.0.1", "--port", str(port), "--no-access-log"]
        app = ["--no-proxy-headers", "--app-dir", str(Path(__file__).parent / "served"), "tinysesam_site:app"]
        return [*uvicorn, *app], {"BENCH_FOLDER": str(folder)}

    async def password(self, browser: Browser, person: Person) -> None:
        fields = {"username": person.username, "password": PASSWORD, "next": "", "_csrf": _csrf(browser)}
        expect(await browser.post("/auth/login", fields), 303)

    async def begin(self, browser: Browser, person: Person) -> Asked:
        answer = await browser.post_json("/auth/passkey/login/begin", "", x_csrf_token=_csrf(browser))
        return Asked(json.loads(expect(answer, 200).text), {})

    async def finish(self, browser: Browser, person: Person, asked: Asked, answer: str) -> None:
        done = await browser.post_json("/auth/passkey/login/finish?next=", answer, x_csrf_token=_csrf(browser))
        assert json.loads(expect(done, 200).text)["ok"]


def _csrf(browser: Browser) -> str:
    return next(value for name, value in browser.cookies.items() if name.endswith(CSRF))
