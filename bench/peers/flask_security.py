"""Flask-Security-Too with a key as the second factor: Flask with DEBUG off, forms and pages of its own; gunicorn, one worker."""

import html
import json
import re
from pathlib import Path

from bench.peers.peer import SERVED, Asked, Installed, Off, expect
from bench.peers.person import PASSWORD, Person
from bench.peers.wire import Browser

_TOKEN = re.compile(r'name="csrf_token"[^>]* value="([^"]+)"')
_BEGUN = re.compile(r'<form action="(/wan-signin/[^"]+)".*?handleSignin\(\'(.*?)\'\)', re.DOTALL)

NEXT = "?next=/"
"""As for somebody who asked for the page of the application, and is passed on to the logon page."""


class FlaskSecurity(Installed):
    name = "Flask-Security-Too"
    logon_page = f"/login{NEXT}"
    slow = True
    program = "flask_security_site.py"
    packages = (
        "Flask-Security-Too[fsqla,common,mfa]==5.9.2",
        "Flask==3.1.3",
        "Flask-SQLAlchemy==3.1.1",
        "SQLAlchemy==2.1.9",
        "webauthn==3.0.1",
        "gunicorn==27.0.1",
    )

    def __init__(self) -> None:
        self._tokens: dict[int, str] = {}

    def command(self, folder: Path, port: int) -> tuple[list[str], dict[str, str]]:
        gunicorn = [self.python(), "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "1", "--threads", "4"]
        return [*gunicorn, "--chdir", str(SERVED), "flask_security_site:app"], {"BENCH_FOLDER": str(folder)}

    async def arrive(self, browser: Browser, person: Person | None) -> None:
        """Its token against forged requests is in its pages only: that of the logon page holds for the whole session."""
        self._tokens[id(browser)] = _token(expect(await browser.get(self.logon_page), 200).text)

    async def password(self, browser: Browser, person: Person) -> None:
        fields = {"email": f"{person.username}@example.com", "password": PASSWORD, "csrf_token": self._tokens[id(browser)]}
        expect(await browser.post(self.logon_page, fields), 302, location=f"/wan-signin{NEXT}")

    async def begin(self, browser: Browser, person: Person) -> Asked:
        page = expect(await browser.post(f"/wan-signin{NEXT}", {"csrf_token": self._tokens.pop(id(browser))}), 200).text
        begun = _BEGUN.search(page)
        if not begun:
            raise Off(f"no ceremony: {page[-1500:]}")
        return Asked(json.loads(begun[2]), {"action": html.unescape(begun[1]), "csrf_token": _token(page)})

    async def finish(self, browser: Browser, person: Person, asked: Asked, answer: str) -> None:
        fields = {"csrf_token": asked.carried["csrf_token"], "credential": answer}
        done = expect(await browser.post(asked.carried["action"], fields), 302)
        if done.header("location") != "/":
            raise Off(f"not signed in: to {done.header('location')}")


def _token(page: str) -> str:
    found = _TOKEN.search(page)
    if not found:
        raise Off(f"no token: {page[:600]}")
    return found[1]
