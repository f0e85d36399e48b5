"""django-allauth with its MFA: Django with DEBUG off, its own middleware, sessions in the database; gunicorn, one worker."""

import html
import json
import re
from pathlib import Path

from bench.peers.peer import SERVED, Asked, Installed, Off, expect
from bench.peers.person import PASSWORD, Person, crowd
from bench.peers.wire import Browser

_DATA = re.compile(r'<script id="js_data" type="application/json">(.*?)</script>', re.DOTALL)


class Allauth(Installed):
    name = "django-allauth"
    logon_page = "/accounts/login/"
    slow = True
    program = "allauth_site.py"
    packages = ("django-allauth[mfa]==65.21.1", "Django==5.2.19", "fido2==2.2.1", "gunicorn==27.0.1")

    def people(self, number: int) -> list[Person]:
        return crowd(number, str)

    def command(self, folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
        gunicorn = [self.python(), "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "1", "--threads", "4"]
        return [*gunicorn, "--chdir", str(SERVED), "allauth_site:application"], {"BENCH_FOLDER": str(folder)}

    async def password(self, browser: Browser, person: Person) -> None:
        fields = {"login": person.username, "password": PASSWORD, "csrfmiddlewaretoken": browser.cookies["__Host-csrf"]}
        expect(await browser.post("/accounts/login/", fields), 302, location="/accounts/2fa/authenticate/")

    async def begin(self, browser: Browser, person: Person) -> Asked:
        page = expect(await browser.get("/accounts/2fa/authenticate/"), 200).text
        data = _DATA.search(page)
        if not data:
            raise Off(f"no ceremony: {page[:600]}")
        return Asked(json.loads(html.unescape(data[1]))["request_options"]["publicKey"], {})

    async def finish(self, browser: Browser, person: Person, asked: Asked, answer: str) -> None:
        fields = {"credential": answer, "csrfmiddlewaretoken": browser.cookies["__Host-csrf"]}
        expect(await browser.post("/accounts/2fa/authenticate/", fields), 302, location="/home/")
