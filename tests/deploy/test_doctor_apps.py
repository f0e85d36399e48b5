"""`keystead doctor --app` finds nothing behind the proxies that the files in deploy/ set up, and names each mistake made to them.

Keystead is a real server, the proxies are real, and the app repeats what it is sent. The names of hosts lead to this machine.
"""

import asyncio
import contextlib
import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPMessage
from pathlib import Path
from typing import Any

import pytest

from backends import open_backend
from tests.browser import live_site
from tests.browser.live_site import Site
from tests.deploy import mirror
from tests.deploy.proxies import PROGRAMS, Place, ProxyName, proxy
from webapp import clock
from webapp.accounts import apps as operations
from webapp.accounts.context import Context as Operating
from webapp.doctor import apps
from webapp.doctor.finding import Context, Finding, Options
from webapp.doctor.outside import Answer
from webapp.metrics import Metrics
from webapp.settings import Settings
from webapp.testing.mailbox import free_port

WIKI = "https://wiki.example.com"
ENVIRON = {"KEYSTEAD_PUBLIC_URL": "https://account.example.com", "KEYSTEAD_TRUSTED_PROXIES": "127.0.0.1"}
CONNECT = socket.create_connection
Change = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Wiki:
    """Keystead, and the app's port."""

    site: Site
    port: int
    certificate: Path


@pytest.fixture(scope="module")
def wiki(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wiki]:
    port = free_port()
    with live_site.serving(tmp_path_factory.mktemp("site"), **ENVIRON) as site, said(port):
        asyncio.run(_add(site))
        time.sleep(operations.LEASE)
        yield Wiki(site, port, certificate)


@contextlib.contextmanager
def said(port: int, **headers: str) -> Iterator[None]:
    """The app: everybody gets the same page."""
    with mirror.answering(port, lambda _: (200, headers)):
        yield


async def _add(site: Site) -> None:
    settings = Settings.from_environ(site.environ)
    backend = await open_backend(settings.backend)
    try:
        made = operations.new(settings, "wiki", [WIKI], clock.now())
        await operations.change(Operating(settings, backend, Metrics()), "add", made)
    finally:
        await backend.close()


@pytest.fixture
def looked(wiki: Wiki, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Finding]]:
    """What doctor says of the app behind this proxy, with this change made to its files."""

    def looked(
        name: ProxyName,
        change: Change = str,
        *,
        keystead: Site | None = None,
        url: str = WIKI,
        trusted: bool = True,
        **settings: str,
    ) -> list[Finding]:
        if PROGRAMS[name] is None:
            pytest.skip(f"{name} IS NOT INSTALLED: nothing was tested behind it")
        site = keystead or wiki.site
        place = Place(
            host="account.example.com", other_host="www.example.test", http=free_port(), https=free_port(),
            keystead=int(site.environ["PORT"]), certificate=wiki.certificate, apps={"wiki.example.com": wiki.port},
            change_apps=change,
        )  # fmt: skip
        if trusted:
            monkeypatch.setenv("SSL_CERT_FILE", str(wiki.certificate))
        with proxy(name, tmp_path / name, place), monkeypatch.context() as patch:
            leads_to(place.https, patch)
            return examined(site, url, **settings)

    return looked


def leads_to(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the name of the host is, this port of this machine answers."""
    monkeypatch.setattr(socket, "create_connection", lambda _, *rest, **more: CONNECT(("127.0.0.1", port), *rest, **more))


def examined(site: Site, url: str = WIKI, **settings: str) -> list[Finding]:
    ctx = Context(Settings.from_environ(site.environ | settings), Options(app=url))
    return asyncio.run(apps.app(ctx))


def replacing(old: str, new: str) -> Change:
    """The same mistake in each file that has these words; there is one at least."""
    known = [*Path("deploy").glob("*apps*"), Path("deploy/nginx.guard.conf")]
    assert any(old in file.read_text() for file in known), f"{old!r} is in no file"
    return lambda text: text.replace(old, new)


Looked = Callable[..., list[Finding]]


@pytest.mark.parametrize(
    "name", ["nginx", "caddy", *(name for name in PROGRAMS if PROGRAMS[name] and name not in ("nginx", "caddy"))]
)
def test_nothing_is_wrong_behind_a_proxy_that_is_set_up_as_the_files_say(looked: Looked, name: ProxyName) -> None:
    [finding] = looked(name)
    assert (finding.state, finding.text) == (
        "ok",
        f"The proxy at {WIKI} asks before it lets anybody in, and Keystead hears what visitors say.",
    )


MISTAKES: dict[str, tuple[ProxyName, Change, str, str]] = {
    "nginx asks nothing": (
        "nginx", replacing("include /etc/nginx", "# include /etc/nginx"),
        "Something else than Keystead answers at https://wiki.example.com/.keystead/ (with status 200)", "without",
    ),
    "Caddy asks nothing": (
        "caddy", replacing("\timport keystead_guard\n", ""),
        "Something else than Keystead answers at https://wiki.example.com/.keystead/ (with status 200)", "",
    ),
    "nginx asks about some pages only": (
        "nginx", replacing("        proxy_pass http://127.0.0.1:3000;", "        auth_request off; proxy_pass http://127.0.0.1:3000;"),
        "A stranger gets to the app (status 200): the proxy does not ask Keystead.", "name another one",
    ),
    "nginx asks about the way in": (
        "nginx", replacing("location ^~ /.keystead/ {\n    auth_request off;", "location ^~ /.keystead/ {"),
        "The proxy asks also about /.keystead/, which Keystead refuses: nobody gets in.", "without asking",
    ),
    "Caddy asks about the way in": (
        "caddy", replacing("@keystead_guarded not path /.keystead/*", "@keystead_guarded path *"),
        "The proxy asks also about /.keystead/, which Keystead refuses: nobody gets in.", "without asking",
    ),
    "nginx names its own host": (
        "nginx", replacing('Host $keystead_app;\n    proxy_set_header Connection "";', 'X-Other "";'),
        "The proxy hands /.keystead/ on as if it were asked of keystead: nobody gets in.", "Host header",
    ),
    "nginx leads nobody on": (
        "nginx", replacing("error_page 401 = @keystead_401;", ""),
        "A stranger who opens a page sees an error (401), and no logon.", "Location",
    ),
    "nginx leads scripts on": (
        "nginx", replacing("return 401 '", "return 302 https://wiki.example.com/.keystead/begin?back=/; return 401 '"),
        "A script of a stranger gets status 302, and not 401", "401",
    ),
    "nginx takes away what it should ask with": (
        "nginx", replacing("http://keystead/check;", "http://keystead/check; proxy_set_header Remote-User '';"),
        "Keystead does not hear that a visitor sends Remote-User: somebody who is logged on", "as they came",
    ),
    "Caddy takes away what it should ask with": (
        "caddy", replacing("\t\theader_up -Forwarded\n", "\t\theader_up -Remote-*\n\t\theader_up -Keystead-*\n"),
        "Keystead does not hear that a visitor sends Remote-User or Remote-Groups or Keystead-Proof", "as they came",
    ),
    "nginx asks in two ways": (
        "nginx", replacing('proxy_set_header X-Forwarded-Host "";', "proxy_set_header X-Forwarded-Host $host;"),
        "Keystead believes nothing of what this proxy asks: nobody gets in.", "not believed",
    ),
    "nginx asks about another host": (
        "nginx", replacing("X-Original-URL $scheme://$keystead_app$request_uri", "X-Original-URL $scheme://$host:8443$request_uri"),
        "The proxy asks about another host than wiki.example.com, which Keystead does not know.", "exactly wiki.example.com",
    ),
    "nginx asks elsewhere": (
        "nginx", replacing("http://keystead/check;", "http://keystead/chekc;"),
        "The proxy cannot ask Keystead, or gets an answer that it does not understand (status 503).", "/check",
    ),
    "Caddy asks elsewhere": (
        "caddy", replacing("uri /check?", "uri /chekc?"),
        "The proxy asks Keystead at another address than /check.", "",
    ),
    "nginx takes cookies away": (
        "nginx", replacing("location ^~ /.keystead/ {", "location ^~ /.keystead/ {\n    proxy_hide_header Set-Cookie;"),
        "The proxy takes cookies away from /.keystead/: nobody gets in.", "Set-Cookie",
    ),
    "a cache answers": (
        "nginx", replacing("server_tokens off;", "server_tokens off; add_header Age 7 always;"),
        "A cache stands before the app", "keep nothing",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_proxy_is_named(looked: Looked, mistake: str) -> None:
    name, change, text, todo = MISTAKES[mistake]
    fault = looked(name, change)[0]
    assert (fault.state, fault.text[: len(text)]) == ("wrong", text)
    assert todo in fault.todo or todo == "without"


@pytest.mark.parametrize("name", ["nginx", "caddy"])
def test_where_the_proxy_asks_nothing_a_lie_gets_through(looked: Looked, name: ProxyName) -> None:
    without = {"nginx": "include /etc/nginx", "caddy": "import keystead_guard\n"}[name]
    _, lie = looked(name, replacing(without, f"# {without}"))
    assert lie.text.startswith("Whoever sends Remote-User or Remote")
    assert "take away what visitors send" in lie.todo


def test_a_proxy_that_keystead_was_not_told_of(looked: Looked, wiki: Wiki, tmp_path: Path) -> None:
    environ = ENVIRON | {"KEYSTEAD_TRUSTED_PROXIES": "10.0.0.1"}
    same = {name: wiki.site.environ[name] for name in ("KEYSTEAD_BACKEND", "KEYSTEAD_SECRET_KEYS")}
    with live_site.serving(tmp_path, **environ, **same) as site:
        [fault] = looked("nginx", keystead=site)
    assert fault.text == "Keystead gives this proxy no answer, because it does not know 127.0.0.1 as one."
    assert "KEYSTEAD_TRUSTED_PROXIES=127.0.0.1" in fault.todo


def test_another_keystead_and_another_public_url(looked: Looked) -> None:
    [fault] = looked("caddy", KEYSTEAD_SECRET_KEYS="Rk7tQ2wXz9LmB4vNc6YpHs8JdF3gUe5a")
    assert fault.text == f"A Keystead with other secrets answers at {WIKI}."
    [fault] = looked("caddy", KEYSTEAD_PUBLIC_URL="https://keys.example.com")
    assert fault.text.startswith("The way in leads to https://account.example.com/apps/enter?to=")


def test_a_server_that_keeps_its_records_elsewhere(looked: Looked, wiki: Wiki, tmp_path: Path) -> None:
    secret = {"KEYSTEAD_SECRET_KEYS": wiki.site.environ["KEYSTEAD_SECRET_KEYS"]}
    with live_site.serving(tmp_path, **ENVIRON, **secret) as site:
        [fault] = looked("nginx", keystead=site, KEYSTEAD_BACKEND=wiki.site.environ["KEYSTEAD_BACKEND"])
    assert "keeps its records elsewhere" in fault.text


ARRIVED = {"version": "0.1.9", "peer": "127.0.0.1", "trusted": True, "host": "wiki.example.com", "app": "wiki", "at": 1.5}
ODD: list[tuple[object, str]] = [
    *((({name: ARRIVED[name] for name in ARRIVED if name not in ("version", left_out)}), "Another version of Keystead answers")
      for left_out in ("trusted", "host", "app", "at")),
    (ARRIVED | {"host": None}, "Another version of Keystead answers at https://wiki.example.com ('0.1.9'; "),
    (ARRIVED | {"trusted": "yes", "at": []}, "Another version of Keystead answers"),
    ({"error": "log on"}, "A Keystead with other secrets"), ({"error": None}, "Something else than Keystead"),
    ([], "Something else than Keystead"),
]  # fmt: skip


@pytest.mark.parametrize("place", range(len(ODD)))
def test_an_answer_that_no_server_of_this_version_gives(wiki: Wiki, monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    odd, words = ODD[place]
    monkeypatch.setattr(http.client, "HTTPSConnection", http.client.HTTPConnection)
    leads_to(port := free_port(), monkeypatch)
    with mirror.answering(port, lambda _: (200, {"x-frame-options": "DENY"}), json.dumps(odd).encode()):
        (fault,) = examined(wiki.site)
    assert (fault.state, fault.text.startswith(words)) == ("wrong", True), fault


def test_an_address_that_is_no_apps(wiki: Wiki) -> None:
    [fault] = examined(wiki.site, "https://wiki.example.com:8443/page")
    assert fault.text == "There is no app at https://wiki.example.com:8443: nobody gets in there."
    assert fault.todo.startswith("Add it: keystead app add NAME https://wiki.example.com:8443. These are there: https://wiki.")
    for text in ("wiki.example.com", "https://", "ftp://wiki.example.com", "https://wiki.example.com:0x", "https://[wiki"):
        [fault] = examined(wiki.site, text)
        assert "cannot be looked at" in fault.text


def test_a_certificate_that_browsers_do_not_trust(looked: Looked) -> None:
    [fault] = looked("caddy", trusted=False)
    assert fault.text.startswith(f"Browsers will not trust {WIKI}: self")


def test_an_address_where_nobody_answers(wiki: Wiki, monkeypatch: pytest.MonkeyPatch) -> None:
    leads_to(free_port(), monkeypatch)
    [fault] = examined(wiki.site)
    assert fault.text == f"{WIKI} cannot be reached from here: nobody answers."


def test_the_page_that_is_named_is_looked_at(looked: Looked) -> None:
    public = replacing(
        "    location / {", "    location = / { auth_request off; proxy_pass http://127.0.0.1:3000; }\n    location / {"
    )
    assert [finding.state for finding in looked("nginx", public, url=f"{WIKI}/private?of=anna")] == ["ok"]
    assert [finding.state for finding in looked("nginx", public)] == ["wrong", "wrong"]


def test_the_command_looks_at_the_app_only_where_it_is_named(wiki: Wiki) -> None:
    assert not any("wiki" in line for line in wiki.site.keystead("doctor").stdout.splitlines())
    done = wiki.site.keystead("doctor", "--app", "https://elsewhere.example.com")
    assert done.returncode == 1
    assert "WRONG      app        There is no app at https://elsewhere.example.com" in done.stdout


@pytest.mark.parametrize(
    ("status", "headers", "reached"),
    [(200, {}, True), (404, {}, True), (302, {"location": "/login"}, True), (401, {}, False), (403, {}, False), (502, {}, False),
     (302, {"location": f"{WIKI}/.keystead/begin?back=/"}, False), (404, {"x-frame-options": "DENY"}, False)],
)  # fmt: skip
def test_what_seems_to_come_from_the_app(status: int, headers: dict[str, Any], reached: bool) -> None:
    message = HTTPMessage()
    for name, value in headers.items():
        message[name] = value
    assert apps._is_the_apps(Answer(status, message, b"", None)) is reached
